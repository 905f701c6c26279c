//! A cheap question: did anything change?
//!
//! It asks for the newest date of each large table, on indexed columns alone: an index by
//! environment and date answers it in a few steps for each environment, however many rows there are.
//! Tables without such an index are small and are left to the read that comes by itself every so
//! often; so is a row that was dated before another that was seen already.

use std::collections::BTreeMap;
use std::pin::pin;

use futures_lite::FutureExt;
use zonesync_core::time::Duration;

use super::Sql;
use super::dialect::{Arg, Cells, Query};
use super::reader::Reader;
use crate::repository::RepositoryError;
use crate::repository::mapping::Table;

/// A probe that takes longer than this is asked less often.
const SLOW: Duration = Duration::from_millis(50);

/// How much of the time a slow probe may take: one part in so many.
const SHARE: u32 = 10;

/// The most environments that one query asks for.
const ENVIRONMENTS_MAX: usize = 100;

/// The newest dates, by table and environment, in microseconds on the database's clock.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Newest(BTreeMap<(Table, String), Option<i64>>);

impl Newest {
    /// Says whether something is older than it was: rows are gone, or the database is an older one.
    pub(super) fn fell_behind(&self, before: &Self) -> bool {
        before.0.iter().any(|(place, date)| self.0.get(place).is_none_or(|now| now < date))
    }

    /// Gives the environments of a table with rows dated at or after.
    pub(super) fn environments(&self, table: Table, from: Option<i64>) -> Vec<String> {
        let of = self.0.iter().filter(|((of, _), date)| *of == table && **date >= from);
        of.map(|((_, environment), _)| environment.clone()).collect()
    }
}

/// The large tables.
const TABLES: [Table; 3] = [Table::EventsLatest, Table::Subscriptions, Table::Keys];

impl Reader {
    /// Finds the environments of each table, and asks for their newest dates.
    pub(super) async fn newest(&mut self) -> Result<Newest, RepositoryError> {
        let mut places = Vec::new();
        for table in TABLES {
            let known = places.len();
            if self.common.shape.has(table.name(), "environment_id") {
                // From one to the next along the index, without looking at the rows of any.
                while let Some(next) = self.next_environment(table, &places[known..]).await? {
                    places.push((table, next));
                }
            } else {
                places.push((table, String::new()));
            }
        }
        self.newest_of(places).await
    }

    async fn next_environment(
        &mut self,
        table: Table,
        before: &[(Table, String)],
    ) -> Result<Option<String>, RepositoryError> {
        let query = self.next_query(table, before.last().map(|(_, id)| id.as_str()));
        let mut next = None;
        let mut sink = |cells: &dyn Cells| {
            next = cells.text(0).map_err(unclear)?.map(str::to_owned);
            Ok(())
        };
        self.session.query(query, &mut sink).await?;
        Ok(next)
    }

    pub(super) fn next_query(&self, table: Table, before: Option<&str>) -> Query {
        let name = self.common.shape.known(table.name());
        let mut text = format!("select min(t.environment_id) from {name} t");
        let args = before.map(|id| Arg::Text(id.to_owned()));
        if args.is_some() {
            let place = self.common.dialect.place(1);
            text.push_str(&format!(" where t.environment_id > {place}"));
        }
        Query { text, args: args.into_iter().collect() }
    }

    /// Asks for the newest dates of these places.
    async fn newest_of(&mut self, places: Vec<(Table, String)>) -> Result<Newest, RepositoryError> {
        let mut newest = Newest::default();
        for some in places.chunks(ENVIRONMENTS_MAX) {
            let mut found = vec![None; some.len()];
            let mut sink = |cells: &dyn Cells| {
                let number = cells.text(0).map_err(unclear)?.and_then(|text| text.parse().ok());
                let date = cells.clock(1).map_err(unclear)?;
                if let Some(place) = number.and_then(|number: usize| found.get_mut(number)) {
                    *place = date;
                }
                Ok(())
            };
            let query = self.newest_query(some);
            self.session.query(query, &mut sink).await?;
            newest.0.extend(some.iter().cloned().zip(found));
        }
        Ok(newest)
    }

    pub(super) fn newest_query(&self, places: &[(Table, String)]) -> Query {
        let mut query = Query::default();
        for (number, (table, environment)) in places.iter().enumerate() {
            let name = self.common.shape.known(table.name());
            let union = if number > 0 { " union all " } else { "" };
            query
                .text
                .push_str(&format!("{union}select '{number}', max(t.updated_at) from {name} t"));
            if !environment.is_empty() {
                query.args.push(Arg::Text(environment.clone()));
                let place = self.common.dialect.place(query.args.len());
                query.text.push_str(&format!(" where t.environment_id = {place}"));
            }
        }
        query
    }
}

fn unclear(why: String) -> RepositoryError {
    RepositoryError::Unavailable(format!("newest date: {why}"))
}

impl Sql {
    /// Waits until something may have changed since the last read.
    pub(super) async fn wait_for_change(&self) {
        let mut told = pin!(self.dialect.told());
        let begun = self.runtime.now();
        let mut pause = self.options.probe;
        loop {
            let probe = async {
                self.runtime.sleep(pause).await;
                false
            };
            let told = async {
                told.as_mut().await;
                true
            };
            let asked = self.runtime.now();
            // What was told stands in no probe yet, and is read at once.
            if told.or(probe).await || asked.since(begun) >= self.options.pause {
                return;
            }
            let asked = self.runtime.now();
            match self.has_changed().await {
                Ok(true) => return,
                Ok(false) => {}
                // The next read says it aloud.
                Err(error) => tracing::debug!(%error, "no answer to whether anything changed"),
            }
            let took = self.runtime.now().since(asked);
            pause = match took > SLOW {
                true => (took * SHARE).max(self.options.probe),
                false => self.options.probe,
            };
        }
    }

    async fn has_changed(&self) -> Result<bool, RepositoryError> {
        let Some(seen) = self.seen() else { return Ok(true) };
        let (mut reader, _) = self.begin().await?;
        let newest = reader.newest_of(seen.0.keys().cloned().collect()).await?;
        self.end(reader).await;
        Ok(newest != seen)
    }
}
