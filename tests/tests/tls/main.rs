//! TLS as a configuration asks for it, with stores by `openssl` and `keytool`, against real servers.

mod handshakes;
mod recorded;
mod redis;
mod stores;

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConnection, StreamOwned};
use zonesync::config::{self, Problem, Sources, Store};
use zonesync::tls::Tls;

/// What a configuration came to.
struct Built {
    tls: Tls,
    warnings: Vec<Problem>,
}

/// Reads keys of `distributed-sync.redis.` and opens the stores they name. The error has all problems.
fn build(keys: &[(String, String)]) -> Result<Built, String> {
    let mut properties = vec![("zonesync.store".to_owned(), "redis".to_owned())];
    let full =
        |(key, value): &(String, String)| (format!("distributed-sync.redis.{key}"), value.clone());
    properties.extend(keys.iter().map(full));
    let sources = Sources { properties, ..Sources::default() };
    let loaded = config::load(&sources).map_err(|error| error.to_string())?;
    let Some(Store::Redis(redis)) = &loaded.settings.store else { panic!("the store is Redis") };
    let options = redis.options().map_err(|error| error.to_string())?;
    Ok(Built { tls: options.tls.ok_or("ssl is off")?, warnings: loaded.warnings })
}

/// Speaks with a server that sends lines back in reverse; only then the handshake is done on both sides.
fn speak(tls: &Tls, host: &str, port: u16) -> Result<(), String> {
    let socket = TcpStream::connect(("127.0.0.1", port)).map_err(|error| error.to_string())?;
    socket.set_read_timeout(Some(Duration::from_secs(20))).expect("a time-out can be set");
    let name = ServerName::try_from(host.to_owned()).map_err(|error| error.to_string())?;
    let connection = ClientConnection::new(Arc::clone(tls.config()), name);
    let connection = connection.map_err(|error| error.to_string())?;
    let mut stream = StreamOwned::new(connection, socket);
    stream.write_all(b"PING\n").map_err(|error| error.to_string())?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).map_err(|error| error.to_string())?;
    if line == "GNIP\n" { Ok(()) } else { Err(format!("the server says {line:?}")) }
}

/// Writes keys of `distributed-sync.redis.`, from `key: value` lines.
fn keys(lines: &str) -> Vec<(String, String)> {
    let pair = |line: &str| {
        let (key, value) = line.trim().split_once(": ")?;
        Some((key.to_owned(), value.to_owned()))
    };
    lines.lines().filter_map(pair).collect()
}
