//! A Redis Cluster of three masters.

use crate::redis::RedisServer;
use crate::sentinel::wait_until;

/// How many slots a cluster has.
const SLOTS: usize = 16384;

/// A cluster of three masters, each with a third of the slots.
#[derive(Debug)]
pub struct Cluster {
    /// The masters.
    pub nodes: Vec<RedisServer>,
}

impl Cluster {
    /// Starts one. `args` go to the servers.
    pub fn start(args: &[&str]) -> Option<Self> {
        let mut all = vec!["--cluster-enabled", "yes", "--cluster-node-timeout", "1000"];
        // A third of a cluster goes on without the others.
        all.extend(["--cluster-require-full-coverage", "no"]);
        all.extend(args);
        let nodes = (0..3).map(|_| RedisServer::start(&all)).collect::<Option<Vec<_>>>()?;
        let cluster = Self { nodes };
        for (number, node) in cluster.nodes.iter().enumerate() {
            let slots: Vec<String> = (number * SLOTS / 3..(number + 1) * SLOTS / 3)
                .map(|slot| slot.to_string())
                .collect();
            let mut command = vec!["CLUSTER", "ADDSLOTS"];
            command.extend(slots.iter().map(String::as_str));
            node.ask(&command);
            let port = cluster.nodes[0].port().to_string();
            if number > 0 {
                node.ask(&["CLUSTER", "MEET", "127.0.0.1", &port]);
            }
        }
        wait_until("the nodes form a cluster", || {
            cluster.nodes.iter().all(|node| {
                let info = node.ask(&["CLUSTER", "INFO"]).text();
                info.contains("cluster_state:ok")
                    && info.contains("cluster_slots_ok:16384")
                    && info.contains("cluster_known_nodes:3")
            })
        });
        Some(cluster)
    }

    /// Gives the number of the node that has a slot in the beginning.
    pub fn first_owner(slot: u16) -> usize {
        (0..3).find(|number| usize::from(slot) < (number + 1) * SLOTS / 3).expect("a slot")
    }

    /// Gives the id of a node.
    pub fn id(&self, node: usize) -> String {
        self.nodes[node].ask(&["CLUSTER", "MYID"]).text()
    }

    /// Begins to move a slot: keys that are not at the source are asked for at the target.
    pub fn begin_move(&self, slot: u16, from: usize, to: usize) {
        let slot = slot.to_string();
        let (source, target) = (self.id(from), self.id(to));
        self.nodes[to].ask(&["CLUSTER", "SETSLOT", &slot, "IMPORTING", &source]);
        self.nodes[from].ask(&["CLUSTER", "SETSLOT", &slot, "MIGRATING", &target]);
    }

    /// Moves one key of a slot that is on its way.
    pub fn move_key(&self, key: &str, from: usize, to: usize) {
        let port = self.nodes[to].port().to_string();
        self.nodes[from].ask(&["MIGRATE", "127.0.0.1", &port, key, "0", "5000"]);
    }

    /// Ends the move of a slot: all nodes take `to` for its owner.
    pub fn end_move(&self, slot: u16, to: usize) {
        let (slot, target) = (slot.to_string(), self.id(to));
        // The target first, so that no node sends anybody to one that does not know yet.
        self.nodes[to].ask(&["CLUSTER", "SETSLOT", &slot, "NODE", &target]);
        for node in &self.nodes {
            node.ask(&["CLUSTER", "SETSLOT", &slot, "NODE", &target]);
        }
    }
}
