//! Behind sentinels.

use zonesync_test_servers::sentinel::{MASTER, Watched};

use super::*;

fn behind(watched: &Watched, master: &str) -> RedisOptions {
    let mut options = options(0);
    options.topology = Topology::Sentinel {
        master: master.to_owned(),
        nodes: watched.sentinels.iter().map(|sentinel| address(sentinel.port())).collect(),
        password: None,
    };
    options
}

fn with_passwords(
    mut options: RedisOptions,
    own: Option<&str>,
    sentinels: Option<&str>,
) -> RedisOptions {
    options.password = own.map(Secret::new);
    if let Topology::Sentinel { password, .. } = &mut options.topology {
        *password = sentinels.map(Secret::new);
    }
    options
}

#[test]
fn a_failover_is_followed_on_every_lane() {
    let Some(mut watched) = Watched::start(3, &[], None, None) else { return };
    let setup = connect(behind(&watched, MASTER));
    for lane in Lane::ALL {
        setup.run(lane, &WRITE, "{zone}k", "first").expect("the master writes");
    }
    assert_eq!(watched.ask(0, &["GET", "{zone}k"]).text(), "first");
    watched.servers[0].kill();
    let begun = StdInstant::now();
    setup.call_until_ok(Lane::Lease, &["SET", "{zone}k", "second"]);
    eprintln!("written {:?} after the master was killed", begun.elapsed());
    for lane in Lane::ALL {
        setup.call_until_ok(lane, &["SET", "{zone}k", "second"]);
    }
    assert_eq!(watched.ask(1, &["GET", "{zone}k"]).text(), "second");
    // The first comes back, is made a replica, and nobody writes there.
    watched.servers[0].restart();
    watched.wait_until("the old master follows the new", |w| !w.is_master(0));
    setup.call_until_ok(Lane::Data, &["SET", "{zone}k", "third"]);
    assert_eq!(watched.ask(1, &["GET", "{zone}k"]).text(), "third");
}

#[test]
fn a_change_of_master_without_a_loss_leads_all_lanes_to_the_new_one() {
    let Some(watched) = Watched::start(1, &[], None, None) else { return };
    let setup = connect(behind(&watched, MASTER));
    for lane in Lane::ALL {
        setup.call(lane, &["SET", "{zone}k", "first"]).expect("the master writes");
    }
    // The sentinel has to hear from the replica first that it follows.
    wait_until("the sentinel takes the order", || {
        let order = watched.sentinels[0].client().ask(&["SENTINEL", "FAILOVER", MASTER]);
        !matches!(order, Ok(Answer::Error(_)) | Err(_))
    });
    watched.wait_until("the other is master", |w| w.is_master(1) && !w.is_master(0));
    for lane in Lane::ALL {
        setup.call_until_ok(lane, &["SET", "{zone}k", "second"]);
    }
    assert_eq!(watched.ask(1, &["GET", "{zone}k"]).text(), "second");
    let mut old = watched.servers[0].client();
    let list = old.ask(&["CLIENT", "LIST"]).unwrap().text();
    assert!(!list.contains("zonesync-"), "nobody is left at the old master: {list}");
}

#[test]
fn sentinels_that_are_gone_or_do_not_know_are_passed_over() {
    let Some(watched) = Watched::start(1, &[], None, None) else { return };
    let Some(strangers) = Watched::start(1, &[], None, None) else { return };
    strangers.sentinels[0].ask(&["SENTINEL", "REMOVE", MASTER]);
    let mut options = behind(&watched, MASTER);
    let good = address(watched.sentinels[0].port());
    let gone = address(zonesync_test_servers::free_port());
    let ignorant = address(strangers.sentinels[0].port());
    let with = |list: &[&Address], options: &mut RedisOptions| {
        if let Topology::Sentinel { nodes, .. } = &mut options.topology {
            *nodes = list.iter().map(|&node| node.clone()).collect();
        }
        connect(options.clone()).call(Lane::Data, &["PING"])
    };
    let none = address(watched.servers[0].port());
    with(&[&gone, &ignorant, &none, &good], &mut options).expect("the last one knows");
    let words = format!("no sentinel knows a master called `{MASTER}`");
    expect(with(&[&gone, &ignorant], &mut options), "Denied", &words);
    expect(with(&[&gone], &mut options), "Unavailable", "no sentinel answers");
    expect(with(&[&none], &mut options), "Denied", "is no sentinel");
    // A sentinel in the place of Redis is told apart, too.
    options.topology = Topology::Standalone(good);
    expect(connect(options).call(Lane::Data, &["PING"]), "Denied", "is a sentinel");
}

#[test]
fn a_frozen_sentinel_takes_its_share_of_the_time_and_no_more() {
    let Some(watched) = Watched::start(2, &[], None, None) else { return };
    let mut options = behind(&watched, MASTER);
    options.connect_timeout = Duration::from_secs(2);
    let setup = connect(options);
    watched.sentinels[0].signal("STOP");
    let begun = StdInstant::now();
    let answer = setup.call(Lane::Data, &["PING"]);
    let took = begun.elapsed();
    watched.sentinels[0].signal("CONT");
    answer.expect("the other one knows");
    assert!(took < Duration::from_secs(4), "{took:?}");
    // From then on the one that answered comes first.
    watched.sentinels[0].signal("STOP");
    let begun = StdInstant::now();
    let answer = setup.call(Lane::Lease, &["PING"]);
    let took = begun.elapsed();
    watched.sentinels[0].signal("CONT");
    answer.expect("the other one knows");
    assert!(took < Duration::from_secs(1), "{took:?}");
}

#[test]
fn passwords_of_both_and_either() {
    let Some(watched) = Watched::start(1, &[], Some("redis-pass"), Some("sentinel-pass")) else {
        return;
    };
    let ping = |own, sentinels| {
        let setup = connect(with_passwords(behind(&watched, MASTER), own, sentinels));
        setup.call(Lane::Data, &["PING"])
    };
    ping(Some("redis-pass"), Some("sentinel-pass")).expect("each its own");
    expect(ping(Some("wrong"), Some("sentinel-pass")), "Denied", "does not accept");
    expect(ping(Some("redis-pass"), None), "Denied", "does not accept");
    expect(ping(None, None), "Denied", "wants a password");

    // As a stock gateway has it: the sentinels want the password of Redis.
    let Some(watched) = Watched::start(1, &[], Some("redis-pass"), Some("redis-pass")) else {
        return;
    };
    let ping = |own, sentinels| {
        let setup = connect(with_passwords(behind(&watched, MASTER), own, sentinels));
        setup.call(Lane::Data, &["PING"])
    };
    ping(Some("redis-pass"), None).expect("one for both");
    ping(Some("redis-pass"), Some("something else")).expect("the other one is tried");
    ping(None, Some("redis-pass")).expect("that of the sentinels goes to Redis, too");
}
