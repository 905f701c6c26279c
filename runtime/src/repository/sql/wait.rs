//! Waiting for a database, but not for ever.

use std::future::Future;

use async_io::Timer;
use futures_lite::{FutureExt, Stream, StreamExt};
use zonesync_core::time::Duration;

use crate::repository::RepositoryError;

/// After how many rows the clock is wound up again. To do it for each would cost more than the row.
const ROWS_PER_LOOK: usize = 256;

/// Waits for `future`, no longer than `limit`.
pub(crate) async fn within<T>(limit: Duration, future: impl Future<Output = T>) -> Option<T> {
    let late = async {
        Timer::after(limit).await;
        None
    };
    async { Some(future.await) }.or(late).await
}

/// Hands over rows as they arrive. A silence of `limit` is an error.
pub(crate) async fn each_row<R>(
    mut rows: impl Stream<Item = Result<R, sqlx::Error>> + Unpin,
    limit: Duration,
    mut sink: impl FnMut(R) -> Result<(), RepositoryError>,
    told: fn(sqlx::Error, &str) -> RepositoryError,
) -> Result<(), RepositoryError> {
    let mut timer = Timer::after(limit);
    let mut seen = 0usize;
    loop {
        let next = async { Some(rows.next().await) };
        let late = async {
            (&mut timer).await;
            None
        };
        match next.or(late).await {
            Some(Some(Ok(row))) => sink(row)?,
            Some(Some(Err(error))) => return Err(told(error, "")),
            Some(None) => return Ok(()),
            None => {
                let why = format!("no answer for {limit:?} in the middle of a read");
                return Err(RepositoryError::Unavailable(why));
            }
        }
        seen += 1;
        if seen.is_multiple_of(ROWS_PER_LOOK) {
            timer.set_after(limit);
        }
    }
}

/// Says what an error without a code of the database means.
pub(crate) fn told(error: &sqlx::Error, doing: &str) -> RepositoryError {
    let why = format!("{doing}{error}");
    match error {
        sqlx::Error::Configuration(_) | sqlx::Error::Tls(_) => RepositoryError::Denied(why),
        _ => RepositoryError::Unavailable(why),
    }
}
