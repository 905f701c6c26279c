//! MySQL and MariaDB as management repository.
//!
//! Dates are columns of type `TIMESTAMP`, which a server converts by the time zone of the session.
//! The control plane leaves that zone as the server has it, and so do we: what comes is what it
//! wrote. Each connection sees a moment of its own; they lie so close together that the slack of the
//! next read covers what came between.

mod session;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use sqlx::ConnectOptions;
use sqlx::mysql::{MySqlConnectOptions, MySqlSslMode};
use zonesync_core::id::EntityKeyBuf;
use zonesync_core::time::Duration;

use super::jdbc::Encryption;
use super::mapping::MappingOptions;
use super::sql::dialect::{Arg, Dialect, Query, Session};
use super::sql::{IDS_MAX, Sql, SqlOptions};
use super::{Found, ManagementRepository, Read, Reading, Reply, RepositoryError};
use crate::config::SqlRepository;
use crate::runtime::Runtime;
use session::MySqlSession;

/// How many places a list of values has, at least.
const SIZES: [usize; 4] = [1, 16, 128, IDS_MAX];

/// Where a MySQL or MariaDB is, and how its tables are read.
#[derive(Clone, Debug)]
pub struct MySqlOptions {
    /// Address, account and TLS: of each host, in the order to try them.
    pub connect: Vec<MySqlConnectOptions>,
    /// The schema of the tables; without one, the database that is connected to.
    pub schema: Option<String>,
    /// The longest that a connection may take to come about.
    pub connect_timeout: Duration,
    /// What is the same for every SQL database.
    pub sql: SqlOptions,
}

impl MySqlOptions {
    /// Takes an address, with the usual times.
    pub fn new(connect: MySqlConnectOptions, sql: SqlOptions) -> Self {
        Self { connect: vec![connect], schema: None, connect_timeout: Duration::from_secs(10), sql }
    }
}

impl MySqlOptions {
    /// Takes what a configuration says.
    pub(crate) fn of(settings: &SqlRepository, pause: Duration, mapping: MappingOptions) -> Self {
        let url = &settings.url;
        let mut connect =
            MySqlConnectOptions::new().database(&url.database).ssl_mode(match url.encryption {
                Encryption::Off => MySqlSslMode::Disabled,
                Encryption::Prefer => MySqlSslMode::Preferred,
                Encryption::Require => MySqlSslMode::Required,
                Encryption::Verify => MySqlSslMode::VerifyCa,
                Encryption::VerifyHost => MySqlSslMode::VerifyIdentity,
            });
        if let Some(user) = &settings.username {
            connect = connect.username(user);
        }
        if let Some(password) = &settings.password {
            connect = connect.password(password.reveal());
        }
        if let Some(path) = &url.authorities {
            connect = connect.ssl_ca(path);
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

/// A management repository in a MySQL or MariaDB database.
#[derive(Debug)]
pub struct MySql {
    sql: Sql,
}

impl MySql {
    /// Prepares to read. The database may come up later: until then, reads say that it is away.
    pub fn open(options: MySqlOptions, runtime: Arc<dyn Runtime>) -> Result<Self, RepositoryError> {
        let MySqlOptions { connect, schema, connect_timeout, sql } = options;
        let prepare = |connect: MySqlConnectOptions| {
            // The server's own time zone and modes stay as they are.
            connect
                .timezone(None)
                .pipes_as_concat(false)
                .no_engine_substitution(false)
                .disable_statement_logging()
        };
        let connect = connect.into_iter().map(prepare).collect();
        let timeout = sql.timeout;
        let dialect = MySqlDialect { connect, schema, connect_timeout, timeout };
        Ok(Self { sql: Sql::new(Arc::new(dialect), runtime, sql)? })
    }
}

impl ManagementRepository for MySql {
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

struct MySqlDialect {
    connect: Vec<MySqlConnectOptions>,
    schema: Option<String>,
    connect_timeout: Duration,
    timeout: Duration,
}

impl fmt::Debug for MySqlDialect {
    /// The options hold the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hosts = self.connect.iter().map(|host| (host.get_host(), host.get_port()));
        f.debug_struct("MySql").field("hosts", &hosts.collect::<Vec<_>>()).finish_non_exhaustive()
    }
}

impl Dialect for MySqlDialect {
    fn connect(&self) -> Reply<'_, Box<dyn Session>> {
        Box::pin(async move {
            let mut failed = RepositoryError::Denied("no host is named".into());
            for host in &self.connect {
                match MySqlSession::open(host, self.connect_timeout, self.timeout).await {
                    Ok(session) => return Ok(Box::new(session) as Box<dyn Session>),
                    Err(error) => failed = error,
                }
            }
            Err(failed)
        })
    }

    fn schemas(&self) -> Query {
        let of = if self.schema.is_some() { "?" } else { "database()" };
        let text = format!(
            "select table_schema, table_name, column_name from information_schema.columns \
             where table_schema = {of} order by table_name, ordinal_position"
        );
        Query { text, args: self.schema.iter().cloned().map(Arg::Text).collect() }
    }

    fn quote(&self, name: &str) -> String {
        format!("`{}`", name.replace('`', "``"))
    }

    fn place(&self, _: usize) -> String {
        "?".to_owned()
    }

    fn date_place(&self, _: usize) -> String {
        "?".to_owned()
    }

    fn any(&self, column: &str, mut texts: Vec<String>, args: &mut Vec<Arg>) -> String {
        // Each number of places is a statement of its own, and a server keeps only so many.
        let places = SIZES.into_iter().find(|size| *size >= texts.len()).unwrap_or(texts.len());
        if let Some(last) = texts.last().cloned() {
            texts.resize(places, last);
        } else {
            return "1 = 0".to_owned();
        }
        let list = vec!["?"; texts.len()].join(", ");
        args.extend(texts.into_iter().map(Arg::Text));
        format!("{column} in ({list})")
    }

    fn after(&self, columns: [&str; 2], places: [&str; 2]) -> String {
        // A comparison of rows would not be read off the index here.
        format!("({} > {} or {} > {})", columns[0], places[0], columns[1], places[1])
    }
}
