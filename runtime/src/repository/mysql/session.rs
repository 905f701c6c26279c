//! One connection to MySQL or MariaDB.

use sqlx::mysql::{MySqlArguments, MySqlConnectOptions, MySqlConnection, MySqlRow};
use sqlx::query::Query as Statement;
use sqlx::{AssertSqlSafe, Connection, Executor, Row};
use zonesync_core::time::Duration;

use crate::repository::sql::clock::day_of;
use crate::repository::sql::dialect::{Arg, Cells, Query, Session, Sink};
use crate::repository::sql::wait::{self, each_row, within};
use crate::repository::{Reply, RepositoryError};

/// What a moment is called that others come close to.
const NEAR: &str = "near";

pub(super) struct MySqlSession {
    connection: MySqlConnection,
    timeout: Duration,
}

impl MySqlSession {
    /// Dials.
    pub(super) async fn open(
        options: &MySqlConnectOptions,
        connect_timeout: Duration,
        timeout: Duration,
    ) -> Result<Self, RepositoryError> {
        let place = || format!("{}:{}", options.get_host(), options.get_port());
        let opened = within(connect_timeout, MySqlConnection::connect_with(options)).await;
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
        each_row(rows, self.timeout, |row| sink(&Cell(row)), told).await
    }

    /// Runs what cannot be prepared.
    async fn say(&mut self, text: &'static str) -> Result<(), RepositoryError> {
        let timeout = self.timeout;
        match within(timeout, self.connection.execute(sqlx::raw_sql(text))).await {
            Some(Ok(_)) => Ok(()),
            Some(Err(error)) => Err(told(error, "")),
            None => Err(RepositoryError::Unavailable(format!("no answer for {timeout:?}"))),
        }
    }
}

impl Session for MySqlSession {
    fn query<'a>(&'a mut self, query: Query, sink: Sink<'a>) -> Reply<'a, ()> {
        Box::pin(self.run(query, sink))
    }

    fn begin(&mut self, _: Option<String>) -> Reply<'_, Option<String>> {
        Box::pin(async move {
            self.say("set transaction isolation level repeatable read").await?;
            self.say("start transaction with consistent snapshot, read only").await?;
            Ok(Some(NEAR.to_owned()))
        })
    }

    fn end(&mut self) -> Reply<'_, ()> {
        Box::pin(self.say("rollback"))
    }
}

fn statement(query: Query) -> Statement<'static, sqlx::MySql, MySqlArguments> {
    let mut statement = sqlx::query(AssertSqlSafe(query.text));
    for arg in query.args {
        statement = match arg {
            Arg::Text(text) => statement.bind(text),
            // Lists are written as so many places.
            Arg::Texts(texts) => texts.into_iter().fold(statement, |s, text| s.bind(text)),
            Arg::Count(count) => statement.bind(count),
        };
    }
    statement
}

/// Says what an error means: try again, or have somebody change something.
fn told(error: sqlx::Error, doing: &str) -> RepositoryError {
    let sqlx::Error::Database(database) = &error else { return wait::told(&error, doing) };
    let number = database
        .try_downcast_ref::<sqlx::mysql::MySqlDatabaseError>()
        .map_or(0, sqlx::mysql::MySqlDatabaseError::number);
    let why = format!("{doing}{} ({number})", database.message());
    match number {
        // Wrong account, no right, no such database, table or column.
        1044 | 1045 | 1049 | 1054 | 1142 | 1143 | 1146 | 1227 | 1698 => {
            RepositoryError::Denied(why)
        }
        _ => RepositoryError::Unavailable(why),
    }
}

struct Cell(MySqlRow);

impl Cell {
    fn bytes(&self, at: usize) -> Result<Option<&[u8]>, String> {
        self.0.try_get_unchecked::<Option<&[u8]>, _>(at).map_err(|error| error.to_string())
    }
}

impl Cells for Cell {
    fn text(&self, at: usize) -> Result<Option<&str>, String> {
        let Some(bytes) = self.bytes(at)? else { return Ok(None) };
        std::str::from_utf8(bytes).map(Some).map_err(|_| "not UTF-8 text".into())
    }

    fn flag(&self, at: usize) -> Result<Option<bool>, String> {
        // A small number, a bit, or a whole number of more bytes: anything but zero is true.
        Ok(self.bytes(at)?.map(|bytes| bytes.iter().any(|byte| *byte != 0)))
    }

    fn clock(&self, at: usize) -> Result<Option<i64>, String> {
        self.bytes(at)?.map_or(Ok(None), clock)
    }
}

/// Reads a date as it is sent: a length, then year, month, day, hour, minute, second, microseconds,
/// as far as they are not zero. The date `0000-00-00` is none.
fn clock(bytes: &[u8]) -> Result<Option<i64>, String> {
    let wrong = || format!("{} bytes are no date", bytes.len());
    let (length, rest) = bytes.split_first().ok_or_else(wrong)?;
    if rest.len() < usize::from(*length) {
        return Err(wrong());
    }
    let byte = |at: usize| rest.get(at).map_or(0, |byte| i64::from(*byte));
    match length {
        0 => return Ok(None),
        4 | 7 | 11 => {}
        _ => return Err(wrong()),
    }
    let (year, month, day) = (byte(0) | byte(1) << 8, byte(2), byte(3));
    if month == 0 || day == 0 {
        return Ok(None);
    }
    let micros = byte(7) | byte(8) << 8 | byte(9) << 16 | byte(10) << 24;
    let seconds = day_of(year, month, day) * 86_400 + byte(4) * 3600 + byte(5) * 60 + byte(6);
    Ok(Some(seconds * 1_000_000 + micros))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_read_as_they_are_sent() {
        assert_eq!(clock(&[0]), Ok(None));
        assert_eq!(clock(&[4, 0xb2, 0x07, 1, 2]), Ok(Some(86_400_000_000)));
        let micros = 86_400_000_000 + 3_723_000_000 + 123_456;
        let sent = [11, 0xb2, 0x07, 1, 2, 1, 2, 3, 0x40, 0xe2, 0x01, 0];
        assert_eq!(clock(&sent), Ok(Some(micros)));
        assert_eq!(clock(&[4, 0, 0, 0, 0]), Ok(None));
        for bad in [&[][..], &[4, 1], &[5, 1, 2, 3, 4, 5]] {
            assert!(clock(bad).is_err());
        }
    }
}
