//! One connection to PostgreSQL.

use sqlx::postgres::{PgArguments, PgConnectOptions, PgConnection, PgRow};
use sqlx::query::Query as Statement;
use sqlx::{AssertSqlSafe, Connection, Row, ValueRef};
use zonesync_core::time::Duration;

use crate::repository::sql::dialect::{Arg, Cells, Query, Session, Sink};
use crate::repository::sql::wait::{self, each_row, within};
use crate::repository::{Reply, RepositoryError};

/// The microseconds from 1970 to 2000, where PostgreSQL begins to count.
const ORIGIN: i64 = 946_684_800_000_000;

pub(super) struct PostgresSession {
    connection: PgConnection,
    timeout: Duration,
}

impl PostgresSession {
    /// Dials.
    pub(super) async fn open(
        options: &PgConnectOptions,
        connect_timeout: Duration,
        timeout: Duration,
    ) -> Result<Self, RepositoryError> {
        let place = || format!("{}:{}", options.get_host(), options.get_port());
        let opened = within(connect_timeout, PgConnection::connect_with(options)).await;
        match opened {
            Some(Ok(connection)) => Ok(Self { connection, timeout }),
            Some(Err(error)) => Err(told(error, &format!("connecting to {}: ", place()))),
            None => {
                let why = format!("{} does not answer for {connect_timeout:?}", place());
                Err(RepositoryError::Unavailable(why))
            }
        }
    }

    async fn run(&mut self, query: Query, sink: Sink<'_>) -> Result<(), RepositoryError> {
        let rows = statement(query).fetch(&mut self.connection);
        each_row(rows, self.timeout, |row| sink(&PostgresRow(row)), told).await
    }
}

impl Session for PostgresSession {
    fn query<'a>(&'a mut self, query: Query, sink: Sink<'a>) -> Reply<'a, ()> {
        Box::pin(self.run(query, sink))
    }

    fn begin(&mut self, shared: Option<String>) -> Reply<'_, Option<String>> {
        Box::pin(async move {
            let begin = "begin isolation level repeatable read read only";
            let limit = self.timeout.as_millis();
            // Without it a server would go on for a reader that is gone.
            let limit = plain(&format!("set local statement_timeout = {limit}"));
            self.run(plain(begin), &mut |_| Ok(())).await?;
            if let Some(name) = shared {
                // Names come from a server; still, nothing but a name may be one.
                if !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
                    let why = "a snapshot has a strange name".to_owned();
                    return Err(RepositoryError::Unavailable(why));
                }
                let text = format!("set transaction snapshot '{name}'");
                self.run(plain(&text), &mut |_| Ok(())).await?;
                self.run(limit, &mut |_| Ok(())).await?;
                return Ok(Some(name));
            }
            let mut name = None;
            let mut take = |cells: &dyn Cells| {
                name = cells.text(0).ok().flatten().map(str::to_owned);
                Ok(())
            };
            let text = plain("select pg_export_snapshot()");
            let moment = match self.run(text, &mut take).await {
                Ok(()) => name,
                // A standby of an older version, or a pooler between: one reader will do.
                Err(_) => {
                    self.run(plain("rollback"), &mut |_| Ok(())).await?;
                    self.run(plain(begin), &mut |_| Ok(())).await?;
                    None
                }
            };
            self.run(limit, &mut |_| Ok(())).await?;
            Ok(moment)
        })
    }

    fn end(&mut self) -> Reply<'_, ()> {
        Box::pin(async move { self.run(plain("rollback"), &mut |_| Ok(())).await })
    }
}

fn plain(text: &str) -> Query {
    Query { text: text.to_owned(), args: Vec::new() }
}

fn statement(query: Query) -> Statement<'static, sqlx::Postgres, PgArguments> {
    let mut statement = sqlx::query(AssertSqlSafe(query.text));
    for arg in query.args {
        statement = match arg {
            Arg::Text(text) => statement.bind(text),
            Arg::Texts(texts) => statement.bind(texts),
            Arg::Count(count) => statement.bind(count),
        };
    }
    statement
}

/// Says what an error means: try again, or have somebody change something.
fn told(error: sqlx::Error, doing: &str) -> RepositoryError {
    let sqlx::Error::Database(database) = &error else { return wait::told(&error, doing) };
    let code = database.code().unwrap_or_default().into_owned();
    let why = format!("{doing}{} ({code})", database.message());
    // Wrong account, no such database, no right, no such table or column.
    match code.get(..2) {
        Some("28" | "3D" | "3F" | "42") => RepositoryError::Denied(why),
        _ => RepositoryError::Unavailable(why),
    }
}

struct PostgresRow(PgRow);

impl PostgresRow {
    fn bytes(&self, at: usize) -> Result<Option<&[u8]>, String> {
        let value = self.0.try_get_raw(at).map_err(|error| error.to_string())?;
        if value.is_null() {
            return Ok(None);
        }
        value.as_bytes().map(Some).map_err(|error| error.to_string())
    }

    fn number(&self, at: usize) -> Result<Option<i64>, String> {
        let Some(bytes) = self.bytes(at)? else { return Ok(None) };
        let number = match *bytes {
            [a, b, c, d, e, f, g, h] => i64::from_be_bytes([a, b, c, d, e, f, g, h]),
            [a, b, c, d] => i64::from(i32::from_be_bytes([a, b, c, d])),
            _ => return Err(format!("{} bytes are no number", bytes.len())),
        };
        Ok(Some(number))
    }
}

impl Cells for PostgresRow {
    fn text(&self, at: usize) -> Result<Option<&str>, String> {
        let Some(bytes) = self.bytes(at)? else { return Ok(None) };
        std::str::from_utf8(bytes).map(Some).map_err(|_| "not UTF-8 text".into())
    }

    fn flag(&self, at: usize) -> Result<Option<bool>, String> {
        match self.bytes(at)? {
            None => Ok(None),
            Some([byte]) => Ok(Some(*byte != 0)),
            Some(bytes) => Err(format!("{} bytes are neither true nor false", bytes.len())),
        }
    }

    fn clock(&self, at: usize) -> Result<Option<i64>, String> {
        // The ends of all numbers are `-infinity` and `infinity`: no date at all.
        let date = self.number(at)?.filter(|n| *n != i64::MIN && *n != i64::MAX);
        Ok(date.map(|micros| micros.saturating_add(ORIGIN)))
    }
}
