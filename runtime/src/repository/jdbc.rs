//! Addresses of databases as the JVM spells them.
//!
//! `jdbc:postgresql://host:5432/gravitee?currentSchema=apim&sslmode=verify-full`, and the same with
//! `mysql` or `mariadb`. Several hosts are tried in their order. Parameters that say how to reach the
//! server are read; those that tune a JVM driver are not, and do no harm.

use std::path::PathBuf;
use std::time::Duration;

use crate::secret::Secret;

/// Which make of database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Make {
    /// PostgreSQL.
    Postgres,
    /// MySQL or MariaDB.
    MySql,
}

/// How far TLS goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encryption {
    /// Not at all.
    Off,
    /// If the server offers it; nothing is verified.
    Prefer,
    /// Always; nothing is verified.
    Require,
    /// Always; the server's certificate must be signed by a known authority.
    Verify,
    /// The same, and it must be that of the host.
    VerifyHost,
}

/// What an address says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JdbcUrl {
    /// Which make.
    pub make: Make,
    /// Hosts with their ports, in the order to try them. IPv6 addresses come without brackets.
    pub hosts: Vec<(String, u16)>,
    /// The name of the database.
    pub database: String,
    /// The account, if the address names it.
    pub user: Option<String>,
    /// Its password, if the address names it.
    pub password: Option<Secret>,
    /// The schema of the tables.
    pub schema: Option<String>,
    /// How far TLS goes.
    pub encryption: Encryption,
    /// A file of certificates of authorities, PEM.
    pub authorities: Option<PathBuf>,
    /// A file with our own certificate, PEM.
    pub certificate: Option<PathBuf>,
    /// A file with its key, PEM.
    pub key: Option<PathBuf>,
    /// The longest that a connection may take to come about.
    pub connect_timeout: Option<Duration>,
}

impl JdbcUrl {
    /// Reads an address. The error says what is wrong and what would be right; it shows no value.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let shape =
            "must be jdbc:postgresql://host:port/database, or the same with mysql or mariadb";
        let rest = text.strip_prefix("jdbc:").ok_or(shape)?;
        let (scheme, rest) = rest.split_once(':').ok_or(shape)?;
        let (make, port, known) = match scheme {
            "postgresql" => (Make::Postgres, 5432, true),
            "mysql" | "mariadb" => (Make::MySql, 3306, true),
            _ => (Make::Postgres, 0, false),
        };
        if !known {
            return Err(format!("{scheme} is not read: {shape}"));
        }
        let (rest, parameters) = rest.split_once('?').unwrap_or((rest, ""));
        // PostgreSQL's short form names the database alone.
        let (hosts, database) = match rest.strip_prefix("//") {
            Some(rest) => rest.split_once('/').unwrap_or((rest, "")),
            None => ("", rest),
        };
        let hosts = hosts.split(',').map(|host| read_host(host, port)).collect::<Result<_, _>>()?;
        let database = decoded(database)?;
        if database.is_empty() {
            return Err(format!("no database is named: {shape}"));
        }
        let mut url = Self {
            make,
            hosts,
            database,
            user: None,
            password: None,
            schema: None,
            encryption: Encryption::Prefer,
            authorities: None,
            certificate: None,
            key: None,
            connect_timeout: None,
        };
        let mut flags = MySqlFlags::default();
        for parameter in parameters.split('&').filter(|parameter| !parameter.is_empty()) {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, "true"));
            let value = decoded(value)?;
            match make {
                Make::Postgres => url.postgres(name, value)?,
                Make::MySql => url.mysql(name, value, &mut flags)?,
            }
        }
        if let Some(encryption) = flags.encryption() {
            url.encryption = encryption;
        }
        Ok(url)
    }

    fn postgres(&mut self, name: &str, value: String) -> Result<(), String> {
        match name {
            "user" => self.user = Some(value),
            "password" => self.password = Some(Secret::new(value)),
            // Only the first schema of a path can be meant: the tables stand in one.
            "currentSchema" => {
                self.schema = value.split(',').next().map(|name| name.trim().to_owned());
            }
            "ssl" if value == "true" => self.encryption = Encryption::VerifyHost,
            "ssl" => {}
            "sslmode" => {
                self.encryption = match value.as_str() {
                    "disable" => Encryption::Off,
                    "allow" | "prefer" => Encryption::Prefer,
                    "require" => Encryption::Require,
                    "verify-ca" => Encryption::Verify,
                    "verify-full" => Encryption::VerifyHost,
                    _ => {
                        return Err("sslmode must be disable, allow, prefer, require, verify-ca \
                                     or verify-full"
                            .into());
                    }
                }
            }
            "sslrootcert" => self.authorities = Some(value.into()),
            "sslcert" => self.certificate = Some(value.into()),
            "sslkey" => self.key = Some(pem(name, value)?),
            "connectTimeout" => self.connect_timeout = seconds(name, &value, 1000)?,
            "sslfactory" => return Err(unknown_store(name)),
            _ => {}
        }
        Ok(())
    }

    fn mysql(&mut self, name: &str, value: String, flags: &mut MySqlFlags) -> Result<(), String> {
        match name {
            "user" => self.user = Some(value),
            "password" => self.password = Some(Secret::new(value)),
            "sslMode" => {
                let word = value.to_ascii_lowercase();
                flags.mode = Some(match word.as_str() {
                    "disabled" | "disable" => Encryption::Off,
                    "preferred" => Encryption::Prefer,
                    "required" | "trust" => Encryption::Require,
                    "verify_ca" | "verify-ca" => Encryption::Verify,
                    "verify_identity" | "verify-full" => Encryption::VerifyHost,
                    _ => {
                        return Err("sslMode must be DISABLED, PREFERRED, REQUIRED, VERIFY_CA or \
                                     VERIFY_IDENTITY"
                            .into());
                    }
                });
            }
            "useSSL" | "useSsl" => flags.used = Some(value == "true"),
            "requireSSL" => flags.required = value == "true",
            "verifyServerCertificate" => flags.verified = value == "true",
            "serverSslCert" => {
                self.authorities = Some(value.trim_start_matches("file:").into());
            }
            "connectTimeout" => self.connect_timeout = seconds(name, &value, 1)?,
            "trustCertificateKeyStoreUrl"
            | "clientCertificateKeyStoreUrl"
            | "trustStore"
            | "keyStore" => return Err(unknown_store(name)),
            _ => {}
        }
        Ok(())
    }
}

/// The older spellings, which `sslMode` overrides.
#[derive(Default)]
struct MySqlFlags {
    mode: Option<Encryption>,
    used: Option<bool>,
    required: bool,
    verified: bool,
}

impl MySqlFlags {
    fn encryption(&self) -> Option<Encryption> {
        let older = match (self.used, self.verified, self.required) {
            (Some(false), ..) => Some(Encryption::Off),
            (_, true, _) => Some(Encryption::Verify),
            (_, false, true) => Some(Encryption::Require),
            _ => None,
        };
        self.mode.or(older)
    }
}

fn unknown_store(name: &str) -> String {
    format!("{name} names a Java key store: give certificates as PEM files instead")
}

fn pem(name: &str, value: String) -> Result<PathBuf, String> {
    match value.ends_with(".pk8") || value.ends_with(".p12") {
        true => Err(format!("{name} must be a PEM file")),
        false => Ok(value.into()),
    }
}

fn seconds(name: &str, value: &str, unit: u64) -> Result<Option<Duration>, String> {
    let number: u64 = value.parse().map_err(|_| format!("{name} must be a whole number"))?;
    Ok((number > 0).then(|| Duration::from_millis(number.saturating_mul(unit))))
}

fn read_host(text: &str, default: u16) -> Result<(String, u16), String> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']').ok_or("`[` without `]` in the host")?;
            (host, port.strip_prefix(':'))
        }
        None => match text.rsplit_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    let port = match port {
        Some(port) => port.parse().map_err(|_| "the port must be a number up to 65535")?,
        None => default,
    };
    let host = if host.is_empty() { "localhost" } else { host };
    Ok((host.to_owned(), port))
}

fn decoded(text: &str) -> Result<String, String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let mut digit = || rest.next().and_then(|byte| char::from(byte).to_digit(16));
                match (digit(), digit()) {
                    (Some(high), Some(low)) => (high * 16 + low) as u8,
                    _ => return Err("`%` is not followed by two hexadecimal digits".into()),
                }
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).map_err(|_| "escapes do not make UTF-8 text".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_the_jvm_reads_them() {
        let url = "jdbc:postgresql://db-1:5433,db-2/grav%20itee?user=u&password=p%26q&currentSchema=\
                   apim,public&sslmode=verify-full&sslrootcert=/ca.pem&connectTimeout=3&tcpKeepAlive=true";
        let url = JdbcUrl::parse(url).unwrap();
        assert_eq!(url.hosts, [("db-1".into(), 5433), ("db-2".into(), 5432)]);
        assert_eq!((url.make, url.database.as_str()), (Make::Postgres, "grav itee"));
        assert_eq!(url.password.as_ref().map(Secret::reveal), Some("p&q"));
        assert_eq!(url.schema.as_deref(), Some("apim"));
        assert_eq!(url.encryption, Encryption::VerifyHost);
        assert_eq!(url.connect_timeout, Some(Duration::from_secs(3)));
        assert!(!format!("{url:?}").contains("p&q"));

        let url =
            JdbcUrl::parse("jdbc:mariadb://[::1]:3307/g?sslMode=VERIFY_CA&connectTimeout=250");
        let url = url.unwrap();
        assert_eq!(url.hosts, [("::1".into(), 3307)]);
        assert_eq!((url.make, url.encryption), (Make::MySql, Encryption::Verify));
        assert_eq!(url.connect_timeout, Some(Duration::from_millis(250)));
        let encryption = |text: &str| JdbcUrl::parse(text).unwrap().encryption;
        assert_eq!(encryption("jdbc:mysql://h/g?useSSL=false"), Encryption::Off);
        assert_eq!(encryption("jdbc:mysql://h/g?requireSSL=true"), Encryption::Require);
        assert_eq!(
            encryption("jdbc:mysql://h/g?useSSL=false&sslMode=REQUIRED"),
            Encryption::Require
        );
        assert_eq!(encryption("jdbc:postgresql:g"), Encryption::Prefer);
        assert_eq!(encryption("jdbc:postgresql://h/g?ssl=true"), Encryption::VerifyHost);
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        for (text, word) in [
            ("postgresql://h/g", "jdbc:postgresql://"),
            ("jdbc:sqlserver://h;databaseName=g", "sqlserver"),
            ("jdbc:postgresql://h", "database"),
            ("jdbc:postgresql://h:port/g", "port"),
            ("jdbc:postgresql://h/g?sslmode=maybe", "sslmode"),
            ("jdbc:mysql://h/g?sslMode=maybe", "sslMode"),
            ("jdbc:mysql://h/g?trustCertificateKeyStoreUrl=file:t.jks", "PEM"),
            ("jdbc:postgresql://h/g%2", "%"),
            ("jdbc:postgresql://[::1/g", "["),
        ] {
            let error = JdbcUrl::parse(text).unwrap_err();
            assert!(error.contains(word), "{text}: {error}");
        }
    }
}
