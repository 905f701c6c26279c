//! A cheap question: did anything change?
//!
//! It asks for the newest date of each large table, on indexed columns alone: an index by
//! environment and date answers it in a few steps for each environment, however many rows there are.
//! Tables without such an index are small and are left to the read that comes by itself every so
//! often; so is a row that was dated before another that was seen already.

use std::collections::BTreeMap;

use zonesync_core::time::Duration;

use super::Sql;
use super::dialect::Query;
use super::reader::Reader;
use crate::repository::RepositoryError;

/// A probe that takes longer than this is asked less often.
const SLOW: Duration = Duration::from_millis(50);

/// How much of the time a slow probe may take: one part in so many.
const SHARE: u32 = 10;

/// The newest dates, by table and environment, in microseconds on the database's clock.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Newest(BTreeMap<(&'static str, String), i64>);

impl Newest {
    /// Says whether something is older than it was: rows are gone, or the database is an older one.
    pub(super) fn fell_behind(&self, before: &Self) -> bool {
        before.0.iter().any(|(place, date)| self.0.get(place).is_none_or(|now| now < date))
    }
}

impl Reader {
    /// Asks for the newest dates.
    pub(super) async fn newest(&mut self) -> Result<Newest, RepositoryError> {
        let mut newest = Newest::default();
        for (table, query) in self.probes() {
            let mut sink = |cells: &dyn super::dialect::Cells| {
                let unclear = |why| RepositoryError::Unavailable(format!("newest date: {why}"));
                let place = cells.text(0).map_err(unclear)?.unwrap_or_default().to_owned();
                if let Some(date) = cells.clock(1).map_err(unclear)? {
                    newest.0.insert((table, place), date);
                }
                Ok(())
            };
            self.session.query(query, &mut sink).await?;
        }
        Ok(newest)
    }

    /// Gives the questions, one for each large table.
    pub(super) fn probes(&self) -> Vec<(&'static str, Query)> {
        let name = |table: &str| self.common.shape.known(table);
        let events = format!("select '', max(t.updated_at) from {} t", name("events_latest"));
        let mut probes = vec![("events_latest", Query { text: events, args: Vec::new() })];
        for table in ["subscriptions", "keys"] {
            let name = name(table);
            // Walks from one environment to the next without looking at the rows of any.
            let text = match self.common.shape.has(table, "environment_id") {
                true => format!(
                    "{} select e.id, (select max(t.updated_at) from {name} t \
                     where t.environment_id = e.id) from e where e.id is not null",
                    walk(name)
                ),
                false => format!("select '', max(t.updated_at) from {name} t"),
            };
            probes.push((table, Query { text, args: Vec::new() }));
        }
        probes
    }
}

/// Begins a query with `e (id)`: the environments that a table names.
pub(super) fn walk(name: &str) -> String {
    format!(
        "with recursive e (id) as (select min(t.environment_id) from {name} t union all \
         select (select min(t.environment_id) from {name} t where t.environment_id > e.id) from e \
         where e.id is not null)"
    )
}

impl Sql {
    /// Waits until something may have changed since the last read.
    pub(super) async fn wait_for_change(&self) {
        let begun = self.runtime.now();
        let mut pause = self.options.probe;
        loop {
            self.runtime.sleep(pause).await;
            let asked = self.runtime.now();
            if asked.since(begun) >= self.options.pause {
                return;
            }
            let newest = match self.ask_newest().await {
                Ok(newest) => newest,
                Err(error) => {
                    // The next read says it aloud.
                    tracing::debug!(%error, "no answer to whether anything changed");
                    continue;
                }
            };
            if self.seen().as_ref() != Some(&newest) {
                return;
            }
            let took = self.runtime.now().since(asked);
            pause = match took > SLOW {
                true => (took * SHARE).max(self.options.probe),
                false => self.options.probe,
            };
        }
    }

    async fn ask_newest(&self) -> Result<Newest, RepositoryError> {
        let (mut reader, _) = self.begin().await?;
        let newest = reader.newest().await?;
        self.end(reader).await;
        Ok(newest)
    }
}
