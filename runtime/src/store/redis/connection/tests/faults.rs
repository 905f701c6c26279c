//! Servers that die, freeze and come back, and networks that fail.

use zonesync_test_servers::free_port;
use zonesync_test_servers::proxy::Proxy;

use super::*;

/// The longest that a call with a limit of 600 ms may take: that, and the machine's own slowness.
const SOON: Duration = Duration::from_secs(4);

#[test]
fn nobody_listens_and_then_somebody_does() {
    let port = free_port();
    let setup = connect(options(port));
    let begun = StdInstant::now();
    expect(setup.call(Lane::Data, &["PING"]), "Unavailable", "cannot be reached");
    assert!(begun.elapsed() < SOON);
    expect(setup.call(Lane::Data, &["PING"]), "Unavailable", "cannot be reached");
    let mut unnamed = options(port);
    let nowhere = Address { host: "no-such-host.invalid".to_owned(), port };
    unnamed.topology = Topology::Standalone(nowhere);
    expect(connect(unnamed).call(Lane::Data, &["PING"]), "Unavailable", "name of no-such-host");
}

#[test]
fn rests_grow_and_nothing_spins() {
    let Some(redis) = RedisServer::start(&[]) else { return };
    let proxy = Proxy::start(redis.port());
    proxy.set(|manners| manners.refuse = true);
    let setup = connect(options(proxy.port()));
    let begun = StdInstant::now();
    while begun.elapsed() < Duration::from_secs(3) {
        setup.call_within(Lane::Data, &["PING"], Duration::from_secs(2)).expect_err("refused");
    }
    // 10, 20, ... 1280 ms, each at least half: 3.2 s are over after twelve tries at the earliest.
    let tries = proxy.accepted();
    assert!((5..=12).contains(&tries), "{tries} tries");
    proxy.set(|manners| manners.refuse = false);
    let begun = StdInstant::now();
    setup.call_within(Lane::Data, &["PING"], Duration::from_secs(3)).expect("back");
    assert!(begun.elapsed() < SOON, "no rest is longer than 1.28 s");
    // A loss of what worked begins from the first rest again.
    proxy.cut();
    setup.call_until_ok(Lane::Data, &["PING"]);
}

#[test]
fn a_server_that_dies_and_comes_back() {
    let Some(mut redis) = RedisServer::start(&[]) else { return };
    let setup = connect(options(redis.port()));
    for lane in Lane::ALL {
        setup.call(lane, &["PING"]).expect("connected");
    }
    std::thread::scope(|scope| {
        let read = scope.spawn(|| {
            let read = ["XREAD", "BLOCK", "20000", "STREAMS", "{zone}s", "$"];
            setup.call_within(Lane::Watch, &read, Duration::from_secs(25))
        });
        wait_until("it blocks", || {
            redis.ask(&["INFO", "clients"]).text().contains("blocked_clients:1")
        });
        redis.signal("KILL");
        expect(read.join().expect("no panic"), "Unavailable", "the server closed it");
    });
    let begun = StdInstant::now();
    expect(setup.run(Lane::Lease, &WRITE, "{zone}k", "v"), "Unavailable", "");
    assert!(begun.elapsed() < SOON);
    redis.restart();
    setup.call_until_ok(Lane::Lease, &["PING"]);
    // Its scripts are gone with it.
    assert_eq!(setup.run(Lane::Lease, &WRITE, "{zone}k", "v"), Ok(Value::Okay));
    for lane in Lane::ALL {
        setup.call_until_ok(lane, &["PING"]);
    }
}

#[test]
fn a_server_that_freezes_and_thaws() {
    let Some(redis) = RedisServer::start(&[]) else { return };
    let setup = connect(options(redis.port()));
    setup.run(Lane::Lease, &WRITE, "{zone}k", "before").expect("connected");
    setup.call(Lane::Data, &["PING"]).expect("connected");
    redis.signal("STOP");
    let begun = StdInstant::now();
    let late = setup.run(Lane::Lease, &WRITE, "{zone}k", "late");
    assert!(begun.elapsed() < SOON);
    // The bulk time-out is 20 s, but a server that shows no sign of life is not waited for.
    std::thread::sleep(Duration::from_millis(1100));
    let begun = StdInstant::now();
    let bulk_late = setup.run(Lane::Data, &WRITE, "{zone}d", "late");
    let bulk_took = begun.elapsed();
    let again = setup.run(Lane::Lease, &WRITE, "{zone}k", "later");
    redis.signal("CONT");
    expect(late, "Unavailable", "did not answer write within");
    expect(bulk_late, "Unavailable", "no sign of life");
    assert!(bulk_took < SOON, "{bulk_took:?}");
    expect(again, "Unavailable", "");
    // Whatever the frozen server had taken in, answers belong to those who ask.
    for round in 0..20 {
        let word = round.to_string();
        setup.call_until_ok(Lane::Lease, &["PING"]);
        assert_eq!(setup.call(Lane::Lease, &["ECHO", &word]), Ok(bulk(&word)));
    }
}

#[test]
fn a_half_open_socket_is_replaced() {
    let Some(redis) = RedisServer::start(&[]) else { return };
    let proxy = Proxy::start(redis.port());
    let setup = connect(options(proxy.port()));
    setup.run(Lane::Lease, &ECHO, "k", "1").expect("connected");
    let before = proxy.accepted();
    proxy.set(|manners| manners.stall = true);
    let late = setup.run(Lane::Lease, &ECHO, "k", "2");
    expect(late, "Unavailable", "did not answer echo within");
    // Only this connection was bad: what passes there is not waited for.
    proxy.set(|manners| manners.stall = false);
    setup.call_until_ok(Lane::Lease, &["PING"]);
    assert!(proxy.accepted() > before, "on a new connection");
    proxy.wait_open(1);
    let echoed = setup.run(Lane::Lease, &ECHO, "k", "3");
    assert_eq!(echoed, Ok(Value::Array(vec![bulk("k"), bulk("3")])));
}

#[test]
fn a_reply_that_is_lost_fails_its_caller_alone() {
    let Some(redis) = RedisServer::start(&[]) else { return };
    let proxy = Proxy::start(redis.port());
    let setup = connect(options(proxy.port()));
    setup.call(Lane::Data, &["PING"]).expect("connected");
    proxy.set(|manners| manners.drop_replies = true);
    let limit = Duration::from_millis(600);
    expect(
        setup.call_within(Lane::Data, &["INCR", "{zone}n"], limit),
        "Unavailable",
        "did not answer INCR within",
    );
    proxy.set(|manners| manners.drop_replies = false);
    assert_eq!(redis.ask(&["GET", "{zone}n"]).text(), "1", "it was carried out");
    for n in 2..20 {
        setup.call_until_ok(Lane::Data, &["PING"]);
        let answer = setup.call(Lane::Data, &["INCR", "{zone}n"]);
        assert_eq!(answer, Ok(Value::Int(n)), "not the answer to another");
    }
}

#[test]
fn slow_answers_fail_their_callers_and_keep_the_connection() {
    let Some(redis) = RedisServer::start(&[]) else { return };
    let setup = connect(options(redis.port()));
    let id = setup.call(Lane::Data, &["CLIENT", "ID"]);
    // A script that takes 300 ms: whoever waits less leaves, and the next gets his own answer.
    let slow = "local t = redis.call('TIME') local now = t repeat now = redis.call('TIME') \
                until (now[1] - t[1]) * 1000000 + now[2] - t[2] > 300000 return 'slow'";
    let short = Duration::from_millis(50);
    let late = setup.call_within(Lane::Data, &["EVAL", slow, "0"], short);
    expect(late, "Unavailable", "did not answer EVAL within 0.05 s");
    assert_eq!(setup.call(Lane::Data, &["ECHO", "mine"]), Ok(bulk("mine")));
    assert_eq!(setup.call(Lane::Data, &["CLIENT", "ID"]), id, "on the same connection");
}

#[test]
fn a_connection_cut_at_any_byte() {
    let Some(redis) = RedisServer::start(&[]) else { return };
    let value = "0123456789".repeat(10);
    redis.ask(&["SET", "{zone}k", &value]);
    let proxy = Proxy::start(redis.port());
    let mut answered = 0;
    // The greeting is about 200 bytes, the answer about 100.
    for cut in (0..420).step_by(7) {
        proxy.set(|manners| manners.cut_after = Some(cut));
        let setup = connect(options(proxy.port()));
        match setup.call_within(Lane::Data, &["GET", "{zone}k"], Duration::from_millis(400)) {
            Ok(answer) => {
                assert_eq!(answer, bulk(&value), "cut after {cut}");
                answered += 1;
            }
            Err(error) => assert!(matches!(error, StoreError::Unavailable(_)), "{error}"),
        }
        let host = Arc::clone(&setup.host);
        drop(setup);
        wait_until("tasks end", || host.tasks() == 0);
    }
    assert!((5..55).contains(&answered), "some came through, some did not: {answered}");
}

#[test]
fn many_callers_at_a_server_that_is_gone_make_one_connection() {
    let Some(redis) = RedisServer::start(&[]) else { return };
    let proxy = Proxy::start(redis.port());
    proxy.set(|manners| manners.delay = Duration::from_millis(30));
    let setup = connect(options(proxy.port()));
    let setup = &setup;
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| setup.call(Lane::Data, &["PING"]).expect("answered"));
        }
    });
    assert_eq!(proxy.accepted(), 1);
}

#[test]
fn a_server_that_takes_connections_and_says_nothing() {
    // Frozen from the start: the system takes the connection in its place.
    let Some(redis) = RedisServer::start(&[]) else { return };
    let mut short = options(redis.port());
    short.connect_timeout = Duration::from_millis(700);
    redis.signal("STOP");
    let setup = connect(short);
    let begun = StdInstant::now();
    let first = setup.call(Lane::Data, &["PING"]);
    let took = begun.elapsed();
    let hurried = setup.call_within(Lane::Lease, &["PING"], Duration::from_millis(100));
    redis.signal("CONT");
    expect(first, "Unavailable", "does not answer within 700ms");
    assert!(took < SOON, "{took:?}");
    expect(hurried, "Unavailable", "still connecting");
    setup.call_until_ok(Lane::Data, &["PING"]);
    setup.call_until_ok(Lane::Lease, &["PING"]);
}

#[test]
fn the_last_handle_may_go_while_it_connects() {
    let Some(redis) = RedisServer::start(&[]) else { return };
    redis.signal("STOP");
    let setup = connect(options(redis.port()));
    let hurried = setup.call_within(Lane::Data, &["PING"], Duration::from_millis(50));
    let Setup { host, server } = setup;
    let running = host.tasks();
    drop(server);
    let begun = StdInstant::now();
    wait_until("the task that connects ends", || host.tasks() == 0);
    redis.signal("CONT");
    expect(hurried, "Unavailable", "still connecting");
    assert_eq!(running, 1);
    assert!(begun.elapsed() < SOON, "it does not wait for its time-out");
}

#[test]
fn a_flood_of_answers_is_stopped() {
    use std::io::{Read, Write};
    // A server that never ends its answer.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let flood = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a caller");
        let mut request = [0; 1000];
        let _ = stream.read(&mut request);
        let hello = b"%2\r\n+server\r\n+redis\r\n+version\r\n+7.0.0\r\n";
        let _ = stream.write_all(hello);
        let _ = stream.read(&mut request);
        let _ = stream.write_all(b"$9000000000\r\n");
        let block = vec![b'x'; 1 << 20];
        let mut sent = 0u64;
        while stream.write_all(&block).is_ok() {
            sent += block.len() as u64;
        }
        sent
    });
    let setup = connect(options(port));
    let limit = Duration::from_secs(60);
    let answer = setup.call_within(Lane::Data, &["GET", "k"], limit);
    expect(answer, "Unavailable", "longer than any that was asked for");
    drop(setup);
    let sent = flood.join().expect("no panic");
    assert!(sent < 2 * super::super::wire::UNCLAIMED_MAX, "{sent} bytes");
}
