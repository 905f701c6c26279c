//! What a server's refusal means, to the caller and to the connection.

use redis::ServerError;

use crate::store::StoreError;
use crate::store::redis::options::Address;

/// The most characters of a server's own words that are passed on.
const WORDS_MAX: usize = 200;

/// What a server's refusal means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// It does not have the script.
    NoScript,
    /// The slot belongs to another node now. An empty host means the one that answered.
    Moved {
        /// The slot.
        slot: u16,
        /// The node.
        to: Address,
    },
    /// For this one command another node is to be asked.
    Ask(Address),
    /// The login is wrong, or missing.
    Login(StoreError),
    /// The caller has to know.
    Tell {
        /// What he is told.
        error: StoreError,
        /// The connection leads to the wrong server: look for another.
        leave: bool,
    },
}

impl Refusal {
    /// Makes one that ends the connection.
    pub(super) fn fatal(error: StoreError) -> Self {
        Self::Tell { error, leave: true }
    }

    /// Gives what the caller is told.
    pub(super) fn into_error(self) -> StoreError {
        match self {
            Self::Login(error) | Self::Tell { error, .. } => error,
            Self::NoScript => StoreError::Unavailable("the script is gone".to_owned()),
            Self::Moved { .. } | Self::Ask(_) => StoreError::Denied(
                "it is a node of a cluster: name its nodes under \
                 `distributed-sync.redis.cluster.nodes`"
                    .to_owned(),
            ),
        }
    }
}

/// Reads the refusal of `command` by the server at `address`.
pub(super) fn read(error: &ServerError, command: &str, address: &Address) -> Refusal {
    let words = error.details().unwrap_or_default();
    let code = match error.code() {
        // Up to 6.2 an error that a script met stands inside one of its own.
        "ERR" => inner_code(words),
        code => code,
    };
    let (error, leave) = match code {
        "NOSCRIPT" => return Refusal::NoScript,
        "MOVED" | "ASK" => match redirect(words, address) {
            Some((slot, to)) if code == "MOVED" => return Refusal::Moved { slot, to },
            Some((_, to)) => return Refusal::Ask(to),
            None => (unavailable(format!("{address} does not say who has the zone's slot")), true),
        },
        "NOAUTH" => {
            return Refusal::Login(StoreError::Denied(format!(
                "{address} wants a password: set `distributed-sync.redis.password`"
            )));
        }
        "WRONGPASS" => {
            return Refusal::Login(StoreError::Denied(format!(
                "{address} does not accept the user or the password: see \
                 `distributed-sync.redis.username` and `.password`"
            )));
        }
        "OOM" => (StoreError::Full, false),
        "LOADING" => {
            (unavailable(format!("{address} is loading its data: it answers when done")), false)
        }
        "READONLY" | "UNBLOCKED" => {
            (unavailable(format!("{address} is a replica now: looking for the master")), true)
        }
        "MASTERDOWN" => {
            let why = format!("{address} is a replica without a master: looking for the master");
            (unavailable(why), true)
        }
        "CLUSTERDOWN" => {
            let why = format!(
                "the cluster does not serve the zone's slot, says {address}: see `CLUSTER INFO`"
            );
            (unavailable(why), true)
        }
        "TRYAGAIN" => {
            let why = "the zone's slot is on its way to another node of the cluster: this works \
                       again when all of it has arrived";
            (unavailable(why.to_owned()), false)
        }
        "BUSY" => {
            let why = format!("a script occupies {address}: wait, or end it by `SCRIPT KILL`");
            (unavailable(why), false)
        }
        "MISCONF" => {
            let why = format!("{address} refuses writes since it cannot save: see its log");
            (unavailable(why), false)
        }
        "NOREPLICAS" => {
            let why = format!("{address} has fewer replicas than `min-replicas-to-write` wants");
            (unavailable(why), false)
        }
        "NOPERM" => {
            let why = format!("the ACL of {address} forbids {command}: {}", cut(words));
            (StoreError::Denied(why), false)
        }
        "WRONGTYPE" => {
            (StoreError::Corrupt(format!("{command} found a value of a strange type")), false)
        }
        "UNKNOWN" => {
            // Its own words repeat what was sent.
            let why = format!("{address} does not know the command {command}, or has it renamed");
            (StoreError::Denied(why), false)
        }
        "CLUSTEROFF" => {
            let why = format!(
                "{address} is no cluster: set `distributed-sync.redis.host` instead of \
                 `.cluster.nodes`"
            );
            (StoreError::Denied(why), true)
        }
        "CLIENTS" => (unavailable(format!("{address} has no room for more clients")), true),
        "SCRIPT" => (StoreError::Corrupt(format!("{command}: {}", cut(words))), false),
        "ERR" | "DENIED" | "NOPROTO" | "CROSSSLOT" | "EXECABORT" => {
            let why = format!("{address} refuses {command}: {}", cut(words));
            (StoreError::Denied(why), false)
        }
        code => {
            let why =
                format!("{address} does not carry out {command}: {} {}", cut(code), cut(words));
            (unavailable(why), false)
        }
    };
    Refusal::Tell { error, leave }
}

/// Finds what an error without a code of its own is about.
fn inner_code(words: &str) -> &str {
    const INNER: [&str; 9] = [
        "OOM",
        "READONLY",
        "MISCONF",
        "NOREPLICAS",
        "NOPERM",
        "WRONGTYPE",
        "MASTERDOWN",
        "CLUSTERDOWN",
        "TRYAGAIN",
    ];
    let script = words.contains("script");
    if script {
        let stands = |code: &&&str| {
            words.match_indices(**code).any(|(at, _)| words[..at].ends_with(['-', ' ', ':']))
        };
        if let Some(code) = INNER.iter().find(stands) {
            return code;
        }
        // Redis 6.2 and Valkey have words of their own for it.
        if words.contains("can't run this command") || words.contains("ACL failure") {
            return "NOPERM";
        }
    }
    if words.starts_with("unknown command") {
        "UNKNOWN"
    } else if words.contains("cluster support disabled") {
        "CLUSTEROFF"
    } else if words.contains("max number of clients") {
        "CLIENTS"
    } else if script {
        "SCRIPT"
    } else {
        "ERR"
    }
}

/// Reads `<slot> <host>:<port>`. A node that does not know its own host leaves it out.
fn redirect(words: &str, from: &Address) -> Option<(u16, Address)> {
    let (slot, place) = words.trim().split_once(' ')?;
    let (host, port) = place.rsplit_once(':')?;
    let host = if host.is_empty() || host == "?" { &from.host } else { host };
    let port = port.parse().ok().filter(|port| *port > 0)?;
    Some((slot.parse().ok()?, Address { host: host.to_owned(), port }))
}

/// Shortens a server's words, and takes out what would break a line.
fn cut(words: &str) -> String {
    words.chars().take(WORDS_MAX).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn unavailable(why: String) -> StoreError {
    StoreError::Unavailable(why)
}
