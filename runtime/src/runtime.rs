//! What a node asks of its host: background tasks, a clock, and randomness.
//!
//! Sockets and timers come from async-io, which runs under any executor, so little else is needed.

mod smol;

pub use smol::Smol;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::OnceLock;
use std::time::Instant as StdInstant;
use std::time::{SystemTime, UNIX_EPOCH};

use zonesync_core::time::{Duration, Instant, WallTime};

/// A background task.
pub type Task = Pin<Box<dyn Future<Output = ()> + Send + 'static>>;

/// A wait for a moment.
pub type Sleep = Pin<Box<dyn Future<Output = ()> + Send + 'static>>;

/// What we ask of the host.
pub trait Runtime: Send + Sync + fmt::Debug + 'static {
    /// Runs `task` to its end in the background.
    fn spawn(&self, task: Task);

    /// Reads the monotonic clock. A test hands out its own.
    fn now(&self) -> Instant {
        monotonic_now()
    }

    /// Reads the calendar.
    fn wall_now(&self) -> WallTime {
        wall_now()
    }

    /// Draws random bits: ids of this node and of its terms.
    ///
    /// Panics if the system has none to give: a node without an id of its own must not run.
    fn random(&self) -> u128 {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).expect("the system gives random bytes");
        u128::from_le_bytes(bytes)
    }

    /// Waits for `duration` on the clock of [`Runtime::now`].
    fn sleep(&self, duration: Duration) -> Sleep {
        Box::pin(async move {
            async_io::Timer::after(duration).await;
        })
    }
}

/// Reads the machine's monotonic clock, counted from the first reading of this process.
pub fn monotonic_now() -> Instant {
    static ORIGIN: OnceLock<StdInstant> = OnceLock::new();
    let nanos = ORIGIN.get_or_init(StdInstant::now).elapsed().as_nanos();
    Instant::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

/// Reads the machine's calendar.
pub fn wall_now() -> WallTime {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    WallTime::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
