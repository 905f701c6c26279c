//! PostgreSQL as management repository.
//!
//! Connections are dialled one by one and not kept in a pool: a refusal then says why, and nothing
//! runs in the background. All that is read is read in transactions that see one moment and write
//! nothing.

mod session;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use sqlx::ConnectOptions;
use sqlx::postgres::PgConnectOptions;
use zonesync_core::id::EntityKeyBuf;
use zonesync_core::time::Duration;

use super::sql::dialect::{Arg, Dialect, Query, Session};
use super::sql::{Sql, SqlOptions};
use super::{Found, ManagementRepository, Read, Reading, Reply, RepositoryError};
use crate::runtime::Runtime;
use session::PostgresSession;

/// Where a PostgreSQL is, and how its tables are read.
#[derive(Clone, Debug)]
pub struct PostgresOptions {
    /// Address, account and TLS.
    pub connect: PgConnectOptions,
    /// The schema of the tables; without one, those on the account's search path.
    pub schema: Option<String>,
    /// The longest that a connection may take to come about.
    pub connect_timeout: Duration,
    /// What is the same for every SQL database.
    pub sql: SqlOptions,
}

impl PostgresOptions {
    /// Takes an address, with the usual times.
    pub fn new(connect: PgConnectOptions, sql: SqlOptions) -> Self {
        Self { connect, schema: None, connect_timeout: Duration::from_secs(10), sql }
    }
}

/// A management repository in a PostgreSQL database.
#[derive(Debug)]
pub struct Postgres {
    sql: Sql,
}

impl Postgres {
    /// Prepares to read. The database may come up later: until then, reads say that it is away.
    pub fn open(
        options: PostgresOptions,
        runtime: Arc<dyn Runtime>,
    ) -> Result<Self, RepositoryError> {
        let PostgresOptions { connect, schema, connect_timeout, sql } = options;
        let connect = connect
            .application_name("zonesync")
            .disable_statement_logging()
            // Without it a server would go on for a reader that is gone.
            .options([("statement_timeout", sql.timeout.as_millis().to_string())]);
        let timeout = sql.timeout;
        let dialect = PostgresDialect { connect, schema, connect_timeout, timeout };
        Ok(Self { sql: Sql::new(Arc::new(dialect), runtime, sql)? })
    }
}

impl ManagementRepository for Postgres {
    fn read(&self, request: Read) -> Reply<'_, Reading> {
        self.sql.read(request)
    }

    fn find(&self, keys: Vec<EntityKeyBuf>) -> Reply<'_, Vec<Found>> {
        self.sql.find(keys)
    }

    fn changed(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        self.sql.changed()
    }
}

struct PostgresDialect {
    connect: PgConnectOptions,
    schema: Option<String>,
    connect_timeout: Duration,
    timeout: Duration,
}

impl fmt::Debug for PostgresDialect {
    /// The options hold the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (host, port) = (self.connect.get_host(), self.connect.get_port());
        f.debug_struct("Postgres").field("host", &host).field("port", &port).finish_non_exhaustive()
    }
}

impl Dialect for PostgresDialect {
    fn connect(&self) -> Reply<'_, Box<dyn Session>> {
        Box::pin(async move {
            let session =
                PostgresSession::open(&self.connect, self.connect_timeout, self.timeout).await?;
            Ok(Box::new(session) as Box<dyn Session>)
        })
    }

    fn schemas(&self) -> Query {
        let of = match &self.schema {
            Some(_) => "table_schema = $1",
            None => "table_schema = any(current_schemas(false))",
        };
        let text = format!(
            "select table_schema::text, table_name::text, column_name::text \
             from information_schema.columns where {of} \
             order by array_position(current_schemas(false), table_schema::name), table_name"
        );
        Query { text, args: self.schema.iter().cloned().map(Arg::Text).collect() }
    }

    fn quote(&self, name: &str) -> String {
        format!("\"{}\"", name.replace('"', "\"\""))
    }

    fn place(&self, number: usize) -> String {
        format!("${number}")
    }

    fn date_place(&self, number: usize) -> String {
        format!("${number}::text::timestamp")
    }

    fn any(&self, column: &str, texts: Vec<String>, args: &mut Vec<Arg>) -> String {
        args.push(Arg::Texts(texts));
        format!("{column} = any(${})", args.len())
    }

    fn after(&self, columns: [&str; 2], places: [&str; 2]) -> String {
        // As one comparison of rows it is read off the index.
        format!("({}, {}) > ({}, {})", columns[0], columns[1], places[0], places[1])
    }
}
