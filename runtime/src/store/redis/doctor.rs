//! The doctor: looks at a zone's Redis and says what is good, what is doubtful and what to do.
//!
//! [`examine`] asks; it writes nothing. What is made of the answers stands apart from the asking:
//! `server` judges what Redis says of itself, `rights` what the user may do, `zone` what the zone
//! holds. What may not be asked is a note, and the rest goes on.

mod rights;
mod server;
mod zone;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use redis::{Cmd, Value, cmd};
use serde::Serialize;
use zonesync_core::id::ZoneName;

use super::connection::{Facts, Lane, OLDEST, Server, text};
use super::options::{Address, RedisOptions, Topology};
use super::{RedisStore, native};
use crate::runtime::{Runtime, wall_now};
use crate::store::StoreError;
use server::Info;

/// How good what was found is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// As it should be.
    Good,
    /// Worth knowing; nothing need be done.
    Note,
    /// It works, and may not always.
    Doubtful,
    /// A zone cannot work with it, or may lose what it holds.
    Bad,
}

/// One thing that was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Finding {
    /// What it is about, in one word.
    pub what: &'static str,
    /// How good it is.
    pub level: Level,
    /// What was found. Never holds a secret; may hold words of the server.
    pub told: String,
    /// What to do about it.
    pub advice: Option<String>,
}

impl Finding {
    fn new(what: &'static str, level: Level, told: impl Into<String>) -> Self {
        Self { what, level, told: told.into(), advice: None }
    }

    fn good(what: &'static str, told: impl Into<String>) -> Self {
        Self::new(what, Level::Good, told)
    }

    fn note(what: &'static str, told: impl Into<String>) -> Self {
        Self::new(what, Level::Note, told)
    }

    fn doubtful(what: &'static str, told: impl Into<String>) -> Self {
        Self::new(what, Level::Doubtful, told)
    }

    fn bad(what: &'static str, told: impl Into<String>) -> Self {
        Self::new(what, Level::Bad, told)
    }

    fn advise(mut self, advice: impl Into<String>) -> Self {
        self.advice = Some(advice.into());
        self
    }
}

/// All that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Examined {
    /// What was found, in the order of looking.
    pub findings: Vec<Finding>,
    /// Whether Redis was reached and let us in.
    pub reached: bool,
}

impl Examined {
    /// Counts the findings that are bad.
    pub fn bad(&self) -> usize {
        self.findings.iter().filter(|finding| finding.level == Level::Bad).count()
    }
}

/// Examines the Redis of `options` and what `zone` keeps there, for a node that is a candidate or,
/// without `candidate`, follows only.
///
/// Takes at most one connect, and the time of a short command for each question; a few seconds at
/// worst. Changes nothing at the server.
pub async fn examine(
    zone: &ZoneName,
    options: &RedisOptions,
    candidate: bool,
    runtime: Arc<dyn Runtime>,
) -> Examined {
    let prefix = native::prefix(zone);
    let server = Server::new(options.clone(), Arc::clone(&runtime), format!("{prefix}term"));
    let (address, facts) = match server.greet().await {
        Ok(greeted) => greeted,
        Err(error) => {
            let findings = vec![unreached(options, &error)];
            return Examined { findings, reached: false };
        }
    };
    let mut findings = vec![
        Finding::good("address", format!("{address}, {}", found_by(&options.topology))),
        server::tls(options, &address),
        server::version(&facts),
        server::role(&facts, &options.topology),
    ];
    // A zone uses neither a replica nor an old server, so no more can be said of it.
    if facts.version >= OLDEST && !facts.replica {
        let patient = Patient { server, options, findings };
        findings = patient.ask(&facts, &prefix, candidate).await;
        let store = RedisStore::new(zone.clone(), options.clone(), runtime);
        findings.extend(zone::look(&store).await);
    }
    Examined { findings, reached: true }
}

/// A server under examination, and what was found so far.
struct Patient<'a> {
    server: Server,
    options: &'a RedisOptions,
    findings: Vec<Finding>,
}

impl Patient<'_> {
    /// Asks the server about itself.
    async fn ask(mut self, facts: &Facts, prefix: &str, candidate: bool) -> Vec<Finding> {
        let user = self.text(cmd("ACL").arg("WHOAMI")).await;
        self.findings.push(server::login(&user, self.options));
        // Whoever may not ask for his name is still the one who logged in.
        let user = user.unwrap_or_else(|_| match &self.options.username {
            Some(name) if self.options.password.is_some() => name.clone(),
            _ => "default".to_owned(),
        });
        let rights = rights::try_all(&self, &user, facts, prefix, candidate).await;
        self.findings.push(rights);
        let before = wall_now();
        let time = self.call(&cmd("TIME")).await;
        self.findings.push(server::clock(time, before, wall_now()));
        match self.text(&cmd("INFO")).await {
            Ok(text) => self.judge(&Info::read(&text)).await,
            Err(error) => {
                let told = "eviction, persistence, replicas and memory are not known: ";
                self.findings.push(untold("info", told, &error).advise(
                    "let the user read them, for this examination alone: +info +config|get",
                ));
            }
        }
        self.findings
    }

    async fn judge(&mut self, info: &Info<'_>) {
        let mut denied = None;
        let mut settings = [None, None, None];
        for (place, name) in
            settings.iter_mut().zip(["save", "appendfsync", "min-replicas-to-write"])
        {
            match self.setting(name).await {
                Ok(value) => *place = value,
                Err(error) => {
                    denied = Some(error);
                    break;
                }
            }
        }
        if let Some(error) = denied {
            self.findings.push(untold("config", "some settings are not known: ", &error));
        }
        let [save, fsync, min_replicas] = settings;
        let min_replicas = min_replicas.and_then(|text| text.parse().ok());
        self.findings.push(server::eviction(info));
        self.findings.push(server::memory(info));
        self.findings.extend(server::persistence(info, save.as_deref(), fsync.as_deref()));
        self.findings.extend(server::replicas(info, min_replicas, self.options));
    }

    async fn call(&self, command: &Cmd) -> Result<Value, StoreError> {
        self.server.call(Lane::Data, command, self.options.command_timeout).await
    }

    async fn text(&self, command: &Cmd) -> Result<String, StoreError> {
        let strange = || StoreError::Corrupt("an answer that is no text".to_owned());
        text(self.call(command).await?).ok_or_else(strange)
    }

    /// Reads one setting of the server by its name: a pattern would bring passwords.
    async fn setting(&self, name: &str) -> Result<Option<String>, StoreError> {
        let answer = self.call(cmd("CONFIG").arg("GET").arg(name)).await?;
        let pair = answer.into_map_iter().ok().and_then(|mut pairs| pairs.next());
        Ok(pair.and_then(|(_, value)| text(value)))
    }
}

/// Tells that something could not be asked: no matter where that is not allowed, and doubtful where
/// the server gives no answer.
fn untold(what: &'static str, told: &str, error: &StoreError) -> Finding {
    let level = match error {
        StoreError::Denied(_) => Level::Note,
        _ => Level::Doubtful,
    };
    Finding::new(what, level, format!("{told}{}", why(error)))
}

/// Gives an error's own words, without what kind it is.
fn why(error: &StoreError) -> String {
    match error {
        StoreError::Unavailable(why) | StoreError::Denied(why) | StoreError::Corrupt(why) => {
            why.clone()
        }
        other => other.to_string(),
    }
}

fn unreached(options: &RedisOptions, error: &StoreError) -> Finding {
    let told = format!("not reached ({}): {}", found_by(&options.topology), why(error));
    let finding = Finding::bad("address", told);
    if let StoreError::Denied(_) = error {
        // What denies says itself what to set.
        return finding;
    }
    let see = match &options.topology {
        Topology::Standalone(_) => {
            "see that Redis runs, that it listens on that address, and that no firewall stands \
             between"
        }
        Topology::Sentinel { .. } => {
            "see that the sentinels run, and that the master they name can be reached from here"
        }
        Topology::Cluster { .. } => {
            "see that the nodes run, and that the addresses they announce can be reached from here"
        }
    };
    match &options.tls {
        Some(_) => finding.advise(format!(
            "{see}; if it does not speak TLS, set `distributed-sync.redis.ssl: false`"
        )),
        None => finding.advise(see),
    }
}

/// Says how the server is found.
fn found_by(topology: &Topology) -> String {
    let list =
        |nodes: &[Address]| nodes.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    match topology {
        Topology::Standalone(_) => "one server".to_owned(),
        Topology::Sentinel { master, nodes, .. } => {
            format!("`{master}` of the sentinels {}", list(nodes))
        }
        Topology::Cluster { nodes } => {
            format!("owner of the zone's slot in the cluster of {}", list(nodes))
        }
    }
}
