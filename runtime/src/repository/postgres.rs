//! PostgreSQL as management repository.
//!
//! Connections are dialled one by one and not kept in a pool: a refusal then says why, and nothing
//! runs in the background. All that is read is read in transactions that see one moment and write
//! nothing.

mod feed;
mod session;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use sqlx::ConnectOptions;
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use zonesync_core::id::EntityKeyBuf;
use zonesync_core::time::Duration;

use super::jdbc::Encryption;
use super::mapping::MappingOptions;
use super::sql::dialect::{Arg, Dialect, Query, Session};
use super::sql::{Sql, SqlOptions};
use super::{Found, ManagementRepository, Read, Reading, Reply, RepositoryError};
use crate::config::SqlRepository;
use crate::runtime::Runtime;
use feed::Feed;
use session::PostgresSession;

/// Where a PostgreSQL is, and how its tables are read.
#[derive(Clone, Debug)]
pub struct PostgresOptions {
    /// Address, account and TLS: of each host, in the order to try them.
    pub connect: Vec<PgConnectOptions>,
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
        Self { connect: vec![connect], schema: None, connect_timeout: Duration::from_secs(10), sql }
    }
}

impl PostgresOptions {
    /// Takes what a configuration says.
    pub(crate) fn of(settings: &SqlRepository, pause: Duration, mapping: MappingOptions) -> Self {
        let url = &settings.url;
        let mut connect = PgConnectOptions::new_without_pgpass().database(&url.database).ssl_mode(
            match url.encryption {
                Encryption::Off => PgSslMode::Disable,
                Encryption::Prefer => PgSslMode::Prefer,
                Encryption::Require => PgSslMode::Require,
                Encryption::Verify => PgSslMode::VerifyCa,
                Encryption::VerifyHost => PgSslMode::VerifyFull,
            },
        );
        if let Some(user) = &settings.username {
            connect = connect.username(user);
        }
        if let Some(password) = &settings.password {
            connect = connect.password(password.reveal());
        }
        if let Some(path) = &url.authorities {
            connect = connect.ssl_root_cert(path);
        }
        if let (Some(certificate), Some(key)) = (&url.certificate, &url.key) {
            connect = connect.ssl_client_cert(certificate).ssl_client_key(key);
        }
        let hosts = url.hosts.iter().map(|(host, port)| connect.clone().host(host).port(*port));
        Self {
            connect: hosts.collect(),
            schema: settings.schema.clone(),
            connect_timeout: settings.connect_timeout,
            sql: SqlOptions::of(settings, pause, mapping),
        }
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
        let prepare = |connect: PgConnectOptions| {
            connect.application_name("zonesync").disable_statement_logging()
        };
        let connect = connect.into_iter().map(prepare).collect();
        let timeout = sql.timeout;
        let feed = Feed::default();
        let dialect = PostgresDialect { connect, schema, connect_timeout, timeout, feed };
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
    connect: Vec<PgConnectOptions>,
    schema: Option<String>,
    connect_timeout: Duration,
    timeout: Duration,
    feed: Feed,
}

impl fmt::Debug for PostgresDialect {
    /// The options hold the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hosts = self.connect.iter().map(|host| (host.get_host(), host.get_port()));
        f.debug_struct("Postgres")
            .field("hosts", &hosts.collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

impl Dialect for PostgresDialect {
    fn connect(&self) -> Reply<'_, Box<dyn Session>> {
        Box::pin(async move {
            let mut failed = RepositoryError::Denied("no host is named".into());
            for host in &self.connect {
                match PostgresSession::open(host, self.connect_timeout, self.timeout).await {
                    Ok(session) => return Ok(Box::new(session) as Box<dyn Session>),
                    Err(error) => failed = error,
                }
            }
            Err(failed)
        })
    }

    fn told(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(self.feed.wait(&self.connect, self.connect_timeout))
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
