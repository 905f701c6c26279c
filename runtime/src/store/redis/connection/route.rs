//! Which server has the zone: the one that is named, the one that sentinels name, or the owner of the
//! zone's slot in a cluster.

use std::sync::{Mutex, MutexGuard, PoisonError};

use redis::Value;
use zonesync_core::time::Duration;

use super::bare::Bare;
use super::dial::{dial, told, unavailable};
use super::hello::{Facts, Login, hello};
use super::refusal::{self, Refusal};
use super::{Common, cluster, sentinel, within};
use crate::store::StoreError;
use crate::store::redis::options::{Address, RedisOptions, Topology};

/// The most nodes of a cluster that are kept to be asked.
const NODES_MAX: usize = 64;

/// Knows the way to the zone's server.
#[derive(Debug)]
pub(super) struct Route {
    /// The slot of the zone's keys.
    pub(super) slot: u16,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    /// Whom to ask: what the options name, and what the cluster told of besides.
    nodes: Vec<Address>,
    /// Whom to ask first.
    first: usize,
    /// Where a node sent us. Used once: after that it is asked for again.
    hint: Option<Address>,
    /// The server that was found last.
    found: Option<Address>,
}

impl Route {
    pub(super) fn new(options: &RedisOptions, slot_key: &str) -> Self {
        let nodes = match &options.topology {
            Topology::Standalone(address) => vec![address.clone()],
            Topology::Sentinel { nodes, .. } | Topology::Cluster { nodes } => nodes.clone(),
        };
        let known = Known { nodes, ..Known::default() };
        Self { slot: cluster::slot(slot_key.as_bytes()), known: Mutex::new(known) }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says what is under way while the server is not found or reached yet.
    pub(super) fn way(&self, common: &Common) -> String {
        match &common.options.topology {
            Topology::Standalone(address) => format!("still connecting to {address}"),
            Topology::Sentinel { master, .. } => {
                format!("still looking for `{master}` through the sentinels")
            }
            Topology::Cluster { .. } => {
                format!("still looking for the owner of the zone's slot {}", self.slot)
            }
        }
    }

    /// Finds the server.
    pub(super) async fn find(&self, common: &Common) -> Result<Address, StoreError> {
        match &common.options.topology {
            Topology::Standalone(address) => Ok(address.clone()),
            Topology::Sentinel { master, password, .. } => {
                sentinel::find(common, self.nodes(), master, password.as_ref()).await
            }
            Topology::Cluster { .. } => {
                let hint = self.known().hint.take();
                match hint {
                    Some(address) => Ok(address),
                    None => cluster::find(common, self.nodes(), self.slot).await,
                }
            }
        }
    }

    /// Gives whom to ask, in order.
    fn nodes(&self) -> Vec<Address> {
        let known = self.known();
        let mut nodes = known.nodes.clone();
        let first = known.first % nodes.len().max(1);
        nodes.rotate_left(first);
        nodes
    }

    /// Notes that what was found was no good: somebody else is asked first.
    pub(super) fn was_wrong(&self) {
        let mut known = self.known();
        known.first = known.first.wrapping_add(1);
    }

    /// Notes who gave a good answer: he is asked first the next time.
    pub(super) fn was_right(&self, node: &Address) {
        let mut known = self.known();
        if let Some(place) = known.nodes.iter().position(|known| known == node) {
            known.first = place;
        }
    }

    /// Notes nodes of the cluster.
    pub(super) fn learn(&self, nodes: Vec<Address>) {
        let mut known = self.known();
        for node in nodes {
            if known.nodes.len() < NODES_MAX && !known.nodes.contains(&node) {
                known.nodes.push(node);
            }
        }
    }

    /// Notes where a node sent us.
    pub(super) fn moved(&self, to: Address) {
        self.known().hint = Some(to);
    }

    /// Notes where we are now. Gives the server before, if that was another.
    pub(super) fn arrived(&self, at: &Address) -> Option<Address> {
        let before = self.known().found.replace(at.clone());
        before.filter(|before| before != at)
    }
}

/// Asks one node one thing, on a connection of its own. The second login is tried where the first
/// is refused. `check` looks at who answers before he is asked. Says which login did it.
pub(super) async fn ask(
    common: &Common,
    node: &Address,
    logins: &[Login<'_>],
    limit: Duration,
    question: &[&str],
    check: impl Fn(&Facts) -> Result<(), StoreError>,
) -> Result<(Value, usize), Refusal> {
    let asked = async {
        let wire = dial(&common.runtime, node, common.options.tls.as_ref(), limit).await;
        let mut bare = Bare(wire.map_err(Refusal::fatal)?);
        let mut used = 0;
        let facts = loop {
            let login = logins.get(used).copied().unwrap_or_default();
            match hello(&mut bare, node, login, None).await {
                Err(Refusal::Login(_)) if used + 1 < logins.len() => used += 1,
                done => break done?,
            }
        };
        check(&facts).map_err(Refusal::fatal)?;
        let parts: Vec<&[u8]> = question.iter().map(|part| part.as_bytes()).collect();
        match bare.ask(&parts).await {
            Err(error) => Err(Refusal::fatal(told(&error, node))),
            Ok(Value::ServerError(error)) => Err(refusal::read(&error, question[0], node)),
            Ok(value) => Ok((value, used)),
        }
    };
    let late = || Err(Refusal::fatal(unavailable(format!("{node} does not answer in time"))));
    within(&common.runtime, limit, asked, late).await
}

/// Gives each of several nodes its share of the time that a connect may take.
pub(super) fn share(common: &Common, nodes: usize) -> Duration {
    const LEAST: Duration = Duration::from_millis(500);
    let limit = common.options.connect_timeout;
    (limit / u32::try_from(nodes.max(1)).unwrap_or(u32::MAX)).max(LEAST.min(limit))
}
