//! The connections to the zone's Redis: one server that is found, greeted and watched over.
//!
//! Each [`Lane`] is a connection of its own, so that a renewal never waits behind a chunk. A lane
//! connects when it is first wanted; what is lost is made anew, after a rest that grows with each
//! failure. A call never lasts longer than its limit, whatever the server does, and its caller may
//! leave at any time. When the last [`Server`] goes, so do sockets and tasks.
//!
//! `keeper` makes a lane's connection and `line` uses it; `route` finds the server, with `sentinel` and
//! `cluster`; `dial`, `wire`, `bare` and `hello` lead from an address to a greeted server. What a
//! server's refusals mean stands in `refusal`.

mod bare;
mod cluster;
mod dial;
mod hello;
mod keeper;
mod line;
mod refusal;
mod route;
mod script;
mod sentinel;
mod wire;

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_channel::{Receiver, Sender};
use futures_lite::future::or;
use redis::{Cmd, Value};
use tracing::{debug, info};
use zonesync_core::time::{Duration, Instant};

use hello::Login;
pub(super) use hello::{Facts, OLDEST, text};
use keeper::Keeper;
use line::Line;
use refusal::Refusal;
use route::Route;
pub(super) use script::Script;
use wire::End;

use super::options::{Address, RedisOptions, Topology};
use crate::runtime::Runtime;
use crate::store::StoreError;

/// How often one call is sent on to another node.
const REDIRECTS_MAX: usize = 5;

/// What a command goes out on: each lane is a connection of its own, so that none waits behind
/// another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lane {
    /// Short steps that have to be in time: look, acquire, renew, release, raise.
    Lease,
    /// Publishing, chunks, reads.
    Data,
    /// Reads that block. One at a time; dropping one gives its connection up.
    Watch,
}

impl Lane {
    const ALL: [Self; 3] = [Self::Lease, Self::Data, Self::Watch];

    fn name(self) -> &'static str {
        match self {
            Self::Lease => "lease",
            Self::Data => "data",
            Self::Watch => "watch",
        }
    }
}

/// The zone's Redis. Clones share their connections.
#[derive(Clone)]
pub(super) struct Server(Arc<Inner>);

struct Inner {
    common: Arc<Common>,
    keepers: [Keeper; 3],
    /// Ends the tasks that connect, when the last handle goes.
    _stop: Sender<Infallible>,
}

/// What tasks share with it.
struct Common {
    options: RedisOptions,
    runtime: Arc<dyn Runtime>,
    route: Route,
    stopped: Receiver<Infallible>,
    told: AtomicBool,
}

impl Common {
    /// Gives what is sent to Redis: a sentinel's password, too, if there is no other.
    fn login(&self) -> Login<'_> {
        let options = &self.options;
        let spare = match &options.topology {
            Topology::Sentinel { password, .. } => password.as_ref(),
            Topology::Standalone(_) | Topology::Cluster { .. } => None,
        };
        let password = options.password.as_ref().or(spare);
        Login { username: options.username.as_deref(), password }
    }

    /// Says yes the first time.
    fn once(&self) -> bool {
        !self.told.swap(true, Ordering::Relaxed)
    }
}

impl Inner {
    fn keeper(&self, lane: Lane) -> &Keeper {
        &self.keepers[lane as usize]
    }

    /// Gives up what leads anywhere but to `address`.
    fn leave_others(&self, address: &Address) {
        for line in self.keepers.iter().filter_map(Keeper::current) {
            if line.address != *address {
                line.close(End::Elsewhere);
            }
        }
    }
}

impl Server {
    /// Takes the options. Connects when it is first asked. In a cluster, the server is the owner of
    /// the slot of `slot_key`.
    pub(super) fn new(options: RedisOptions, runtime: Arc<dyn Runtime>, slot_key: String) -> Self {
        if matches!(options.topology, Topology::Sentinel { .. }) && options.username.is_some() {
            info!(
                "the user name is sent to the master that sentinels name; a stock gateway drops it"
            );
        }
        let (stop, stopped) = async_channel::bounded(1);
        let route = Route::new(&options, &slot_key);
        let told = AtomicBool::new(false);
        let common = Arc::new(Common { options, runtime, route, stopped, told });
        Self(Arc::new(Inner { common, keepers: Lane::ALL.map(Keeper::new), _stop: stop }))
    }

    /// Runs `script` as one step. It may take as long as a short command may; on [`Lane::Data`] as a
    /// bulk command.
    pub(super) async fn run(
        &self,
        lane: Lane,
        script: &Script,
        keys: &[&str],
        args: &[&[u8]],
    ) -> Result<Value, StoreError> {
        let options = &self.0.common.options;
        let limit = match lane {
            Lane::Data => options.bulk_timeout,
            Lane::Lease | Lane::Watch => options.command_timeout,
        };
        let by_hash = |facts: &Facts| script.on(facts).by_hash(keys, args);
        let by_text = |facts: &Facts| script.on(facts).by_text(keys, args);
        self.carry(lane, script.name, limit, by_hash, by_text).await
    }

    /// Carries out any other command. `limit` counts for the whole call; on [`Lane::Watch`] it counts
    /// anew once the command is sent, for there it is how long the server may block.
    pub(super) async fn call(
        &self,
        lane: Lane,
        command: &Cmd,
        limit: Duration,
    ) -> Result<Value, StoreError> {
        let name = match command.args_iter().next() {
            Some(redis::Arg::Simple(name)) => String::from_utf8_lossy(name).into_owned(),
            _ => String::new(),
        };
        let command = |_: &Facts| command.clone();
        self.carry(lane, &name, limit, command, command).await
    }

    /// Finds the server and greets it on a connection of its own. Unlike any other call, this takes
    /// whoever it finds: a replica, or a server that is too old.
    pub(super) async fn greet(&self) -> Result<(Address, Facts), StoreError> {
        let common = &self.0.common;
        let limit = common.options.connect_timeout;
        let late = || Err(StoreError::Unavailable(common.route.way(common)));
        let address = within(&common.runtime, limit, common.route.find(common), late).await?;
        let login = [common.login()];
        let asked = route::ask(common, &address, &login, limit, &["HELLO", "3"], |_| Ok(()));
        let (answer, _) = asked.await.map_err(Refusal::into_error)?;
        let facts = Facts::read(answer).ok_or_else(|| hello::unknown(&address))?;
        Ok((address, facts))
    }

    /// Gives what the server said of itself; connects if there is no connection.
    #[cfg(test)]
    pub(super) async fn facts(&self, lane: Lane) -> Result<Facts, StoreError> {
        let common = &self.0.common;
        let deadline = common.runtime.now() + common.options.command_timeout;
        Ok(self.0.keeper(lane).line(&self.0, deadline).await?.facts.clone())
    }

    /// Sends a command to where it belongs. `spare` takes its place where the server does not have a
    /// script.
    async fn carry(
        &self,
        lane: Lane,
        name: &str,
        limit: Duration,
        command: impl Fn(&Facts) -> Cmd,
        spare: impl Fn(&Facts) -> Cmd,
    ) -> Result<Value, StoreError> {
        let common = &self.0.common;
        let deadline = common.runtime.now() + limit;
        let mut without_hash = false;
        let mut last = None;
        for _ in 0..=REDIRECTS_MAX {
            let line = self.0.keeper(lane).line(&self.0, deadline).await?;
            let command = if without_hash { spare(&line.facts) } else { command(&line.facts) };
            let left = match lane {
                Lane::Watch => limit,
                Lane::Lease | Lane::Data => deadline.since(common.runtime.now()),
            };
            let refusal = match line.ask(name, &command, left).await {
                Ok(Value::ServerError(error)) => refusal::read(&error, name, &line.address),
                Ok(value) => {
                    line.prove();
                    return Ok(value);
                }
                // Another caller learned first that the zone is elsewhere. It can be sent again: each
                // step of a store can.
                Err(error) if line.led_elsewhere() => {
                    last = Some(error);
                    continue;
                }
                Err(error) => return Err(error),
            };
            let refusal = match refusal {
                Refusal::Ask(to) if self.is_cluster() => {
                    debug!(lane = lane.name(), from = %line.address, %to, "asking another node once");
                    match self.ask_once(lane, name, &to, &command, deadline).await? {
                        Value::ServerError(error) => refusal::read(&error, name, &to),
                        value => return Ok(value),
                    }
                }
                refusal => refusal,
            };
            match refusal {
                Refusal::NoScript if !without_hash => {
                    line.prove();
                    without_hash = true;
                }
                Refusal::Moved { slot, .. } if self.is_cluster() && slot != common.route.slot => {
                    return Err(StoreError::Denied(format!(
                        "{name} names a key of slot {slot}, and the zone lives in {}",
                        common.route.slot
                    )));
                }
                Refusal::Moved { to, .. } if self.is_cluster() => {
                    info!(lane = lane.name(), from = %line.address, %to, "the zone's slot has moved");
                    line.prove();
                    common.route.moved(to);
                    line.close(End::Elsewhere);
                    last = Some(circle());
                }
                // It was sent on from there: the slot is moving once more.
                Refusal::Ask(_) if self.is_cluster() => last = Some(circle()),
                Refusal::Tell { error, leave } => {
                    if leave {
                        line.close(End::Elsewhere);
                    } else {
                        line.prove();
                    }
                    return Err(error);
                }
                refusal => {
                    line.close(End::Elsewhere);
                    return Err(refusal.into_error());
                }
            }
        }
        Err(last.unwrap_or_else(|| Refusal::NoScript.into_error()))
    }

    fn is_cluster(&self) -> bool {
        matches!(self.0.common.options.topology, Topology::Cluster { .. })
    }

    /// Asks the node that a slot is moving to, on a connection of its own.
    async fn ask_once(
        &self,
        lane: Lane,
        name: &str,
        to: &Address,
        command: &Cmd,
        deadline: Instant,
    ) -> Result<Value, StoreError> {
        let common = &self.0.common;
        let left = || deadline.since(common.runtime.now());
        let late = || Err(StoreError::Unavailable(format!("{to} does not answer in time")));
        let opened = Line::open(common, lane, to.clone());
        let line = within(&common.runtime, left(), opened, late).await?;
        let mut asking = Cmd::new();
        asking.arg("ASKING");
        if let Value::ServerError(error) = line.ask("ASKING", &asking, left()).await? {
            return Err(refusal::read(&error, "ASKING", to).into_error());
        }
        line.ask(name, command, left()).await
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("options", &self.0.common.options).finish_non_exhaustive()
    }
}

fn circle() -> StoreError {
    StoreError::Unavailable("the nodes of the cluster send us in a circle".to_owned())
}

/// Waits for `future`, but no longer than `limit`; gives what `late` makes then.
async fn within<T>(
    runtime: &Arc<dyn Runtime>,
    limit: Duration,
    future: impl Future<Output = T>,
    late: impl FnOnce() -> T,
) -> T {
    let limit = runtime.sleep(limit);
    or(future, async {
        limit.await;
        late()
    })
    .await
}

#[cfg(test)]
mod tests;
