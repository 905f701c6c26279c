//! The greeting: it names us, and tells what we have before us.

use redis::Value;

use super::Lane;
use super::bare::Bare;
use super::dial::told;
use super::refusal::{self, Refusal};
use crate::secret::Secret;
use crate::store::StoreError;
use crate::store::redis::options::Address;

/// The oldest Redis that will do.
pub(in super::super) const OLDEST: Version = Version(6, 2, 0);

/// The version of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in super::super) struct Version(pub u16, pub u16, pub u16);

/// What a server said of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) struct Facts {
    /// Which one it is, in its own small letters: `redis` or `valkey`.
    pub(in super::super) name: String,
    /// Its version.
    pub(in super::super) version: Version,
    /// `standalone`, `cluster` or `sentinel`.
    pub(in super::super) mode: String,
    /// It is a replica of another.
    pub(in super::super) replica: bool,
}

/// Who we say we are.
#[derive(Clone, Copy, Default)]
pub(super) struct Login<'a> {
    pub(super) username: Option<&'a str>,
    pub(super) password: Option<&'a Secret>,
}

impl Facts {
    /// Says whether scripts may name flags, as from Redis 7 on.
    pub(in super::super) fn knows_script_flags(&self) -> bool {
        self.version >= Version(7, 0, 0)
    }

    /// Refuses a server that is too old, or of another kind.
    pub(super) fn check(&self, address: &Address) -> Result<(), StoreError> {
        if self.mode == "sentinel" {
            return Err(StoreError::Denied(format!(
                "{address} is a sentinel: name it under `distributed-sync.redis.sentinel.nodes`"
            )));
        }
        if self.version < OLDEST {
            return Err(StoreError::Denied(format!(
                "{address} is {self}: Redis {OLDEST} or newer is needed"
            )));
        }
        Ok(())
    }

    pub(in super::super) fn read(answer: Value) -> Option<Self> {
        let (mut name, mut version, mut mode, mut role) = Default::default();
        for (key, value) in answer.into_map_iter().ok()? {
            let place = match text(key)?.as_str() {
                "server" => &mut name,
                "version" => &mut version,
                "mode" => &mut mode,
                "role" => &mut role,
                _ => continue,
            };
            *place = text(value);
        }
        let (name, mode) = (name?, mode.unwrap_or_default());
        let replica = role.is_some_and(|role| role == "replica" || role == "slave");
        Some(Self { name, version: Version::parse(&version?)?, mode, replica })
    }
}

impl std::fmt::Display for Facts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.name, self.version)
    }
}

impl Version {
    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(|c: char| !c.is_ascii_digit()).map(|part| part.parse().ok());
        let major = parts.next()??;
        let mut next = || parts.next().flatten().unwrap_or(0);
        Some(Self(major, next(), next()))
    }
}

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}.{}", self.0, self.1, self.2)
    }
}

/// Greets a server. `lane` is for its list of clients.
pub(super) async fn hello(
    bare: &mut Bare,
    address: &Address,
    login: Login<'_>,
    lane: Option<Lane>,
) -> Result<Facts, Refusal> {
    let name = match lane {
        Some(Lane::Lease) => "zonesync-lease",
        Some(Lane::Data) => "zonesync-data",
        Some(Lane::Watch) => "zonesync-watch",
        None => "zonesync-ask",
    };
    let mut parts: Vec<&[u8]> = vec![b"HELLO", b"3"];
    if let Some(password) = login.password {
        let user = login.username.unwrap_or("default");
        parts.extend([b"AUTH", user.as_bytes(), password.reveal().as_bytes()]);
    }
    parts.extend([b"SETNAME".as_slice(), name.as_bytes()]);
    let answer = bare.ask(&parts).await.map_err(|error| Refusal::fatal(told(&error, address)))?;
    match answer {
        Value::ServerError(error) => Err(refusal::read(&error, "HELLO", address)),
        answer => Facts::read(answer).ok_or_else(|| Refusal::fatal(unknown(address))),
    }
}

/// Says that something else answered a greeting.
pub(super) fn unknown(address: &Address) -> StoreError {
    StoreError::Denied(format!("{address} is no Redis that we know"))
}

/// Reads a value as text.
pub(in super::super) fn text(value: Value) -> Option<String> {
    match value {
        Value::BulkString(bytes) => String::from_utf8(bytes).ok(),
        Value::SimpleString(text) | Value::VerbatimString { text, .. } => Some(text),
        Value::Okay => Some("OK".to_owned()),
        _ => None,
    }
}
