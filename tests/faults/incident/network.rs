//! A network that is cut: a node in a network namespace of its own.

use std::process::{Command, Stdio};
use std::time::Instant;

use super::{Ended, primary};
use crate::nodes::until;
use crate::trial::Trial;

/// A network of one node, joined to the machine's by a pair of virtual cards. Gone when dropped.
struct Network {
    name: String,
    host_card: String,
}

const HOST: &str = "10.213.77.1";
const NODE: &str = "10.213.77.2";

impl Network {
    fn new() -> Result<Self, Ended> {
        let id = std::process::id() % 100_000;
        let (name, host_card) = (format!("zonesync-{id}"), format!("zs{id}h"));
        let network = Self { name, host_card };
        let (name, host) = (&network.name, &network.host_card);
        let card = format!("zs{id}n");
        let steps = [
            format!("netns add {name}"),
            format!("link add {host} type veth peer name {card} netns {name}"),
            format!("addr add {HOST}/24 dev {host}"),
            format!("link set {host} up"),
            format!("-n {name} addr add {NODE}/24 dev {card}"),
            format!("-n {name} link set {card} up"),
        ];
        for step in &steps {
            if !ip(step) {
                return Err(Ended::Skipped(format!("the machine does not allow `ip {step}`")));
            }
        }
        Ok(network)
    }

    fn cut(&self) {
        assert!(ip(&format!("link set {} down", self.host_card)), "a link can be cut");
    }

    fn join(&self) {
        assert!(ip(&format!("link set {} up", self.host_card)), "a link can be joined");
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        ip(&format!("link del {}", self.host_card));
        ip(&format!("netns del {}", self.name));
    }
}

fn ip(step: &str) -> bool {
    let mut command = Command::new("ip");
    command.args(step.split(' ')).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

pub(super) fn partition(trial: &mut Trial) -> Result<(), Ended> {
    let network = Network::new()?;
    trial.redis.ask(&["CONFIG", "SET", "bind", &format!("127.0.0.1 {HOST}")]);
    trial.nodes.stop(0);
    let own = trial.nodes.own(0);
    let enter = ["ip", "netns", "exec", &network.name];
    own.through = enter.map(str::to_owned).to_vec();
    own.settings = vec![format!("distributed-sync.redis.host={HOST}")];
    trial.start_node(0);
    primary::lead(trial, 0)?;
    trial.work(200)?;
    network.cut();
    // The others had to step down before: they rest for up to two TTL.
    let taken = primary::taken_over_within(trial, 0, Instant::now(), trial.ttl * 4);
    if taken.is_ok() {
        trial.work(100)?;
    }
    network.join();
    taken?;
    let in_sync = || trial.nodes.get(0).status().filter(|status| status["in_sync"] == true);
    until("the node that was cut off follows again", || in_sync().map(drop))?;
    trial.rest(trial.patience())?;
    // Before its network goes.
    trial.nodes.stop(0);
    *trial.nodes.own(0) = crate::nodes::Own::default();
    trial.start_node(0);
    Ok(())
}
