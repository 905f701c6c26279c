//! In a cluster.

use zonesync_test_servers::cluster::Cluster;

use super::*;
use crate::store::redis::connection::cluster::slot;

const KEY: &str = "zonesync:{zone}:head";

fn in_cluster(cluster: &Cluster, first: &[usize]) -> RedisOptions {
    let nodes = first.iter().map(|node| address(cluster.nodes[*node].port())).collect();
    RedisOptions { topology: Topology::Cluster { nodes }, ..options(0) }
}

#[test]
fn the_owner_of_the_slot_is_found_from_any_node() {
    let Some(cluster) = Cluster::start(&[]) else { return };
    let owner = Cluster::first_owner(slot(KEY.as_bytes()));
    for seed in 0..3 {
        let setup = connect(in_cluster(&cluster, &[seed]));
        assert_eq!(setup.run(Lane::Data, &WRITE, KEY, "v"), Ok(Value::Okay), "from node {seed}");
        assert_eq!(clients(&cluster.nodes[owner], "zonesync-data"), 1);
        // A key of another slot is a mistake of ours, and does not lead round in circles.
        let other = "{other}";
        assert_ne!(Cluster::first_owner(slot(other.as_bytes())), owner);
        expect(setup.call(Lane::Data, &["GET", other]), "Denied", "names a key of slot");
        assert_eq!(setup.call(Lane::Data, &["GET", KEY]), Ok(bulk("v")), "and we stay");
    }
    // A seed that is gone is passed over.
    let mut options = in_cluster(&cluster, &[0]);
    if let Topology::Cluster { nodes } = &mut options.topology {
        nodes.insert(0, address(zonesync_test_servers::free_port()));
    }
    connect(options).call(Lane::Data, &["GET", KEY]).expect("found");
    // One that is no cluster says so.
    let Some(alone) = RedisServer::start(&[]) else { return };
    let mut options = in_cluster(&cluster, &[]);
    options.topology = Topology::Cluster { nodes: vec![address(alone.port())] };
    expect(connect(options).call(Lane::Data, &["GET", KEY]), "Denied", "is no cluster");
    // And a node of a cluster that is taken for a server alone, too.
    let other = (owner + 1) % 3;
    let setup = connect(super::options(cluster.nodes[other].port()));
    expect(setup.call(Lane::Data, &["GET", KEY]), "Denied", "is a node of a cluster");
}

#[test]
fn a_slot_that_moves_is_followed() {
    let Some(cluster) = Cluster::start(&[]) else { return };
    let slot = slot(KEY.as_bytes());
    let from = Cluster::first_owner(slot);
    let to = (from + 1) % 3;
    let setup = connect(in_cluster(&cluster, &[0, 1, 2]));
    for lane in Lane::ALL {
        assert_eq!(setup.run(lane, &WRITE, KEY, "before"), Ok(Value::Okay));
    }
    let id = setup.call(Lane::Data, &["CLIENT", "ID"]);
    let second = "zonesync:{zone}:term";
    setup.call(Lane::Data, &["SET", second, "1"]).expect("written");

    // On its way: what is still here is answered here, what is there, there.
    cluster.begin_move(slot, from, to);
    assert_eq!(setup.call(Lane::Data, &["GET", KEY]), Ok(bulk("before")));
    cluster.move_key(KEY, from, to);
    assert_eq!(setup.call(Lane::Data, &["GET", KEY]), Ok(bulk("before")), "asked for there");
    assert_eq!(setup.run(Lane::Data, &WRITE, KEY, "during"), Ok(Value::Okay), "by script, too");
    assert_eq!(setup.call(Lane::Data, &["GET", second]), Ok(bulk("1")));
    // Two keys, of which one is here and one is there.
    let both = setup.call(Lane::Data, &["MGET", KEY, second]);
    expect(both, "Unavailable", "on its way to another node");
    assert_eq!(setup.call(Lane::Data, &["CLIENT", "ID"]), id, "the connection stays");

    cluster.move_key(second, from, to);
    cluster.end_move(slot, to);
    for lane in Lane::ALL {
        assert_eq!(setup.call(lane, &["GET", KEY]), Ok(bulk("during")), "{lane:?}");
    }
    assert_eq!(clients(&cluster.nodes[from], "zonesync-data"), 0, "all have moved");
    assert_eq!(clients(&cluster.nodes[to], "zonesync-data"), 1);
}

#[test]
fn many_callers_follow_a_slot_together() {
    let Some(cluster) = Cluster::start(&[]) else { return };
    let slot = slot(KEY.as_bytes());
    let from = Cluster::first_owner(slot);
    let setup = connect(in_cluster(&cluster, &[from]));
    setup.call(Lane::Data, &["SET", KEY, "v"]).expect("written");
    let setup = &setup;
    std::thread::scope(|scope| {
        let callers: Vec<_> = (0..6)
            .map(|_| {
                scope.spawn(|| {
                    for _ in 0..300 {
                        let answer = setup.call(Lane::Data, &["GET", KEY]);
                        assert_eq!(answer, Ok(bulk("v")));
                    }
                })
            })
            .collect();
        for round in 0..4 {
            let (here, there) = ((from + round) % 3, (from + round + 1) % 3);
            cluster.begin_move(slot, here, there);
            cluster.move_key(KEY, here, there);
            cluster.end_move(slot, there);
        }
        for caller in callers {
            caller.join().expect("each got his answer");
        }
    });
}

#[test]
fn a_cluster_that_is_down_says_so_and_comes_back() {
    let Some(node) = RedisServer::start(&["--cluster-enabled", "yes"]) else { return };
    let mut options = options(0);
    options.topology = Topology::Cluster { nodes: vec![address(node.port())] };
    let setup = connect(options);
    let words = format!("no node of the cluster has the zone's slot {}", slot(KEY.as_bytes()));
    expect(setup.call(Lane::Data, &["GET", KEY]), "Unavailable", &words);
    // All slots but one: with full coverage wanted, the cluster is down for all.
    let own = slot(KEY.as_bytes()).to_string();
    let spare = if own == "0" { "1" } else { "0" };
    let slots: Vec<String> = (0..16384).map(|n| n.to_string()).filter(|n| n != spare).collect();
    let mut add = vec!["CLUSTER", "ADDSLOTS"];
    add.extend(slots.iter().map(String::as_str));
    node.ask(&add);
    let until = StdInstant::now() + Duration::from_secs(20);
    loop {
        let error = setup.call(Lane::Data, &["GET", KEY]).expect_err("it is down");
        assert!(matches!(error, StoreError::Unavailable(_)), "{error}");
        if error.to_string().contains("does not serve the zone's slot") {
            break;
        }
        assert!(StdInstant::now() < until, "{error}");
    }
    node.ask(&["CLUSTER", "ADDSLOTS", spare]);
    setup.call_until_ok(Lane::Data, &["SET", KEY, "v"]);
}

#[test]
fn who_may_not_ask_for_the_map_is_sent_on() {
    let Some(cluster) = Cluster::start(&[]) else { return };
    let owner = Cluster::first_owner(slot(KEY.as_bytes()));
    for node in &cluster.nodes {
        node.ask(&["ACL", "SETUSER", "zone", "on", ">pass", "~*", "+get"]);
    }
    let mut options = in_cluster(&cluster, &[(owner + 1) % 3]);
    options.username = Some("zone".to_owned());
    options.password = Some(Secret::new("pass"));
    assert_eq!(connect(options).call(Lane::Data, &["GET", KEY]), Ok(Value::Nil));
}
