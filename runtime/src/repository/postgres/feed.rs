//! What PostgreSQL tells by itself, where an administrator has installed the triggers for it.
//!
//! `runtime/sql/postgresql-notify.sql` makes each statement that changes a table which we read send
//! the table's name. Where the triggers are not there nothing is ever told, and the probe finds it.

use std::sync::{Mutex, PoisonError};

use async_io::Timer;
use futures_lite::FutureExt;
use sqlx::postgres::{PgConnectOptions, PgListener, PgPoolOptions};
use zonesync_core::time::Duration;

/// The channel that the triggers send to.
const CHANNEL: &str = "zonesync_changes";

/// How long to leave a server alone after it did not let us listen.
const REST: Duration = Duration::from_secs(10);

/// Listens, over a connection of its own.
#[derive(Debug, Default)]
pub(super) struct Feed(Mutex<Option<PgListener>>);

impl Feed {
    /// Waits until a change is told. What came since the last wait is told at once.
    pub(super) async fn wait(&self, hosts: &[PgConnectOptions], connect_timeout: Duration) {
        loop {
            let held = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
            // Taken out for the wait; put back by whoever ends it, be it that nobody waits longer.
            let mut held = Back { feed: self, listener: held };
            if held.listener.is_none() {
                held.listener = listen(hosts, connect_timeout).await;
            }
            let Some(listener) = &mut held.listener else {
                Timer::after(REST).await;
                continue;
            };
            match listener.recv().await {
                Ok(_) => {
                    while listener.next_buffered().is_some() {}
                    return;
                }
                Err(error) => {
                    tracing::debug!(%error, "changes are not told any more");
                    held.listener = None;
                    Timer::after(REST).await;
                }
            }
        }
    }
}

struct Back<'a> {
    feed: &'a Feed,
    listener: Option<PgListener>,
}

impl Drop for Back<'_> {
    fn drop(&mut self) {
        let listener = self.listener.take();
        *self.feed.0.lock().unwrap_or_else(PoisonError::into_inner) = listener;
    }
}

async fn listen(hosts: &[PgConnectOptions], connect_timeout: Duration) -> Option<PgListener> {
    for host in hosts {
        // A pool of one, without any limit of age: so nothing looks after it in the background.
        let pool = PgPoolOptions::new()
            .max_connections(1)
            .max_lifetime(None)
            .idle_timeout(None)
            .acquire_timeout(connect_timeout);
        let opened = async {
            let pool = pool.connect_lazy_with(host.clone());
            let mut listener = PgListener::connect_with(&pool).await?;
            listener.listen(CHANNEL).await?;
            Ok::<_, sqlx::Error>(listener)
        };
        let late = async {
            Timer::after(connect_timeout).await;
            Err(sqlx::Error::PoolTimedOut)
        };
        match opened.or(late).await {
            Ok(listener) => return Some(listener),
            Err(error) => tracing::debug!(%error, "changes are not told"),
        }
    }
    None
}
