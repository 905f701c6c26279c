//! The management repository, as the keys under `management.` name it.

use std::path::PathBuf;
use std::time::Duration;

use super::reader::Reader;
use crate::repository::jdbc::{JdbcUrl, Make};
use crate::secret::Secret;

/// The management repository.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Repository {
    /// A folder of files.
    Directory {
        /// The folder.
        path: PathBuf,
    },
    /// An SQL database.
    Sql(Box<SqlRepository>),
}

/// An SQL database and how it is read.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SqlRepository {
    /// Where it is.
    pub url: JdbcUrl,
    /// The account.
    pub username: Option<String>,
    /// Its password.
    pub password: Option<Secret>,
    /// The schema of the tables.
    pub schema: Option<String>,
    /// What stands before each table's name.
    pub prefix: String,
    /// The most connections at a time.
    pub connections: usize,
    /// The longest that a connection may take to come about.
    pub connect_timeout: Duration,
    /// The zone whose clock the dates in the database show.
    pub time_zone: String,
    /// The longest that a database may be silent in the middle of an answer.
    pub timeout: Duration,
    /// How often to ask whether anything changed.
    pub probe: Duration,
}

/// Reads the keys. A repository that cannot be is a problem, and none.
pub(super) fn read(reader: &mut Reader<'_>) -> Option<Repository> {
    let kind = reader.properties.get("management.type").ok().flatten();
    let sql = read_sql(reader);
    let path = reader.text("management.directory.path");
    if let Some(value) = kind.filter(|value| ["mongodb", "http"].contains(&value.text.trim())) {
        let message = "this build does not read this repository yet: \
                       must be directory, jdbc, postgresql, mysql, mariadb or none";
        reader.text("management.type");
        reader.problem("management.type", Some(&value), message);
        return None;
    }
    let (word, value) = reader.choice("management.type").unzip();
    let make = match word {
        Some("directory") => {
            if path.is_none() {
                let message = "management.type: directory needs a folder here";
                reader.problem("management.directory.path", None, message);
            }
            return path.map(|path| Repository::Directory { path: PathBuf::from(path.text) });
        }
        Some("postgres" | "postgresql") => Some(Make::Postgres),
        Some("mysql" | "mariadb") => Some(Make::MySql),
        Some("jdbc") => None,
        _ => return None,
    };
    match sql {
        Some(sql) if make.is_some_and(|make| make != sql.url.make) => {
            let message = "management.jdbc.url is that of another make of database: jdbc fits any";
            reader.problem("management.type", value.as_ref(), message);
            None
        }
        Some(sql) => Some(Repository::Sql(Box::new(sql))),
        None => {
            if reader.properties.get("management.jdbc.url").ok().flatten().is_none() {
                let message = "a database needs its address here: jdbc:postgresql://host/database";
                reader.problem("management.jdbc.url", None, message);
            }
            None
        }
    }
}

fn read_sql(reader: &mut Reader<'_>) -> Option<SqlRepository> {
    const URL: &str = "management.jdbc.url";
    let username = reader.text("management.jdbc.username").map(|value| value.text);
    let password = reader.text("management.jdbc.password").map(|value| Secret::new(value.text));
    let schema = reader.text("management.jdbc.schema").map(|value| value.text);
    let prefix = reader.text("management.jdbc.prefix").map(|value| value.text);
    let connections = reader.count("management.jdbc.pool.maxPoolSize", 1, 1000) as usize;
    let connect_timeout = reader.count("management.jdbc.pool.connectionTimeout", 250, 600_000);
    let time_zone = reader.text("zonesync.repository.time-zone").map(|value| value.text);
    let timeout = reader.duration("zonesync.repository.timeout", 100, 3_600_000);
    let probe = reader.duration("zonesync.repository.probe", 10, 60_000);
    let value = reader.text(URL)?;
    let url = match JdbcUrl::parse(&value.text) {
        Ok(url) => url,
        Err(why) => {
            // The address may hold a password in its parameters.
            reader.problem(URL, None, why);
            return None;
        }
    };
    Some(SqlRepository {
        username: username.or_else(|| url.user.clone()),
        password: password.or_else(|| url.password.clone()),
        schema: schema.or_else(|| url.schema.clone()),
        prefix: prefix.unwrap_or_default(),
        connections,
        connect_timeout: url
            .connect_timeout
            .unwrap_or(Duration::from_millis(connect_timeout.unsigned_abs())),
        time_zone: time_zone.unwrap_or_default(),
        timeout,
        probe,
        url,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Sources, load};

    fn loaded(yaml: &str) -> Result<Option<Repository>, String> {
        let text = Some(("inline".into(), format!("zonesync.store: memory\n{yaml}")));
        let sources = Sources { text, ..Sources::default() };
        match load(&sources) {
            Ok(loaded) => Ok(loaded.settings.repository),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn a_stock_database_is_read_as_it_stands() {
        let yaml = "management:\n  type: jdbc\n  jdbc:\n    url: jdbc:postgresql://db/g?user=a\n    \
                    username: reader\n    password: hidden\n    schema: apim\n    prefix: gio_\n    \
                    pool: { maxPoolSize: 3 }\n";
        let Ok(Some(Repository::Sql(sql))) = loaded(yaml) else { panic!("not read") };
        assert_eq!(sql.username.as_deref(), Some("reader"));
        assert_eq!((sql.prefix.as_str(), sql.connections), ("gio_", 3));
        assert_eq!(sql.schema.as_deref(), Some("apim"));
        assert_eq!((sql.time_zone.as_str(), sql.probe), ("UTC", Duration::from_millis(500)));
        assert!(!format!("{sql:?}").contains("hidden"));
        let named = yaml.replace("type: jdbc", "type: postgresql");
        assert!(matches!(loaded(&named), Ok(Some(Repository::Sql(_)))));
    }

    #[test]
    fn what_does_not_fit_is_told() {
        let error = loaded("management: { type: jdbc }\n").unwrap_err();
        assert!(error.contains("management.jdbc.url"), "{error}");
        let wrong = "management: { type: mysql, jdbc: { url: 'jdbc:postgresql://h/g' } }\n";
        let error = loaded(wrong).unwrap_err();
        assert!(error.contains("another make"), "{error}");
        let wrong = "management: { type: jdbc, jdbc: { url: 'jdbc:oracle:h?password=hidden' } }\n";
        let error = loaded(wrong).unwrap_err();
        assert!(error.contains("oracle") && !error.contains("hidden"), "{error}");
    }
}
