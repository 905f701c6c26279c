//! A step under way, in a task of its own.
//!
//! The task owns the work and hands it back. It ends by itself when its driver is gone, so that
//! nothing of a killed node goes on; and a panic in it ends neither a thread nor the driver.

use std::panic::AssertUnwindSafe;

use async_channel::{Receiver, Sender};
use futures_lite::FutureExt;
use tracing::Instrument;
use zonesync_core::node::{Held, Step};

use super::step::{self, Notes, Outcome, Tools};
use super::work::Work;

/// How a step came to its end.
pub(super) enum Ended {
    Done(Box<(Box<Work>, Outcome, Notes)>),
    Panicked,
    /// The host let go of the task.
    Dropped,
}

/// A step under way. Dropping it ends its task at the next point where that waits.
pub(super) struct Running {
    ended: Receiver<Ended>,
    abandon: Sender<()>,
    reads_repository: bool,
}

impl Running {
    /// Begins `step` in the background.
    pub(super) fn begin(
        step: Step,
        held: Option<&Held>,
        mut work: Box<Work>,
        tools: &Tools,
    ) -> Self {
        let reads_repository = matches!(step, Step::ReadRepository { .. });
        let (done, ended) = async_channel::bounded(1);
        let (abandon, abandoned) = async_channel::bounded::<()>(1);
        let (own, held) = (tools.clone(), held.cloned().map(Box::new));
        // Boxed once, so that what is large is not moved from future to future.
        let run = Box::pin(async move {
            let step = async { Some(step::run(step, held, &mut work, &own).await) };
            let given_up = async {
                let told = abandoned.recv().await.is_ok();
                told.then(|| (Outcome::Abandoned, Notes::default()))
            };
            let (outcome, notes) = step.or(given_up).await?;
            Some(Ended::Done(Box::new((work, outcome, notes))))
        });
        let task = async move {
            if let Some(end) =
                AssertUnwindSafe(run).catch_unwind().await.unwrap_or(Some(Ended::Panicked))
            {
                // Nobody waits for it if the node was killed meanwhile.
                let _ = done.try_send(end);
            }
        };
        tools.runtime.spawn(Box::pin(task.in_current_span()));
        Self { ended, abandon, reads_repository }
    }

    /// Ends a read of the repository: a reign that is over must not wait for it.
    pub(super) fn abandon_reading(&self) {
        if self.reads_repository {
            let _ = self.abandon.try_send(());
        }
    }

    /// Waits for the end. May be dropped and called again.
    pub(super) async fn ended(&self) -> Ended {
        self.ended.recv().await.unwrap_or(Ended::Dropped)
    }
}
