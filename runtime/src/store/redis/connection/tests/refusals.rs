//! Each refusal that a server has, from a server that has it.

use super::*;

/// Says whether this is Redis 7 or newer, or Valkey.
fn knows_script_flags(setup: &Setup) -> bool {
    block(setup.server.facts(Lane::Data)).expect("connected").knows_script_flags()
}

#[test]
fn full() {
    let Some(redis) = RedisServer::start(&["--maxmemory", "2mb"]) else { return };
    let setup = connect(options(redis.port()));
    setup.run(Lane::Data, &WRITE, "{zone}k", "v").expect("there is room");
    let big = "x".repeat(100_000);
    let full =
        (0..100).find_map(|n| setup.call(Lane::Data, &["SET", &format!("k{n}"), &big]).err());
    assert_eq!(full, Some(StoreError::Full));
    // What that one asked for is gone again: now there is no room at all.
    redis.ask(&["CONFIG", "SET", "maxmemory", "1mb"]);
    assert_eq!(setup.run(Lane::Data, &WRITE, "{zone}k", "v"), Err(StoreError::Full), "in a script");
    // The same connection goes on, and what is allowed to may write.
    assert_eq!(setup.call(Lane::Data, &["GET", "{zone}k"]), Ok(bulk("v")));
    let anyhow = setup.run(Lane::Data, &WRITE_ANYHOW, "{zone}k", "w");
    let expected = if knows_script_flags(&setup) { Ok(Value::Okay) } else { Err(StoreError::Full) };
    assert_eq!(anyhow, expected);
}

#[test]
fn read_only_and_unblocked() {
    let Some(redis) = RedisServer::start(&[]) else { return };
    let Some(other) = RedisServer::start(&[]) else { return };
    let setup = connect(options(redis.port()));
    for lane in Lane::ALL {
        setup.run(lane, &WRITE, "{zone}k", "v").expect("a master");
    }
    std::thread::scope(|scope| {
        let read = scope.spawn(|| {
            let read = ["XREAD", "BLOCK", "20000", "STREAMS", "{zone}s", "$"];
            setup.call_within(Lane::Watch, &read, Duration::from_secs(25))
        });
        wait_until("it blocks", || {
            redis.ask(&["INFO", "clients"]).text().contains("blocked_clients:1")
        });
        redis.ask(&["REPLICAOF", "127.0.0.1", &other.port().to_string()]);
        expect(read.join().expect("no panic"), "Unavailable", "is a replica now");
    });
    expect(setup.run(Lane::Lease, &WRITE, "{zone}k", "v"), "Unavailable", "is a replica now");
    expect(setup.call(Lane::Data, &["SET", "{zone}k", "v"]), "Unavailable", "is a replica now");
    // From now on it is seen at the greeting.
    expect(setup.run(Lane::Lease, &WRITE, "{zone}k", "v"), "Unavailable", "needs the master");
    redis.ask(&["REPLICAOF", "NO", "ONE"]);
    assert_eq!(setup.call_until_ok(Lane::Lease, &["SET", "{zone}k", "v"]), Value::Okay);
}

#[test]
fn master_down() {
    let Some(redis) = RedisServer::start(&["--replica-serve-stale-data", "no"]) else { return };
    let Some(mut other) = RedisServer::start(&[]) else { return };
    let setup = connect(options(redis.port()));
    setup.call(Lane::Data, &["GET", "{zone}k"]).expect("a master");
    other.kill();
    redis.ask(&["REPLICAOF", "127.0.0.1", &other.port().to_string()]);
    expect(setup.call(Lane::Data, &["GET", "{zone}k"]), "Unavailable", "replica without a master");
    expect(setup.call(Lane::Data, &["GET", "{zone}k"]), "Unavailable", "needs the master");
}

#[test]
fn loading() {
    let Some(redis) = RedisServer::start(&[]) else { return };
    if !knows_script_flags(&connect(options(redis.port()))) {
        eprintln!("skipped: this server answers nobody while it loads so little");
        return;
    }
    let Some(mut redis) = RedisServer::start(&[
        "--key-load-delay",
        "1000",
        "--loading-process-events-interval-bytes",
        "1024",
    ]) else {
        return;
    };
    let setup = connect(options(redis.port()));
    let fill = "for n = 1, 5000 do redis.call('SET', 'key' .. n, string.rep('x', 64)) end";
    setup.call(Lane::Data, &["EVAL", fill, "0"]).expect("filled");
    redis.ask(&["SAVE"]);
    redis.restart();
    // The old connection is gone; the new one finds a server that greets but does not answer yet.
    let until = StdInstant::now() + Duration::from_secs(20);
    let error = loop {
        match setup.call(Lane::Data, &["GET", "key1"]) {
            Err(error) if error.to_string().contains("loading") => break error,
            Ok(_) => panic!("it was done too soon"),
            Err(error) => assert!(StdInstant::now() < until, "{error}"),
        }
    };
    assert!(matches!(error, StoreError::Unavailable(_)), "{error}");
    assert_eq!(setup.call_until_ok(Lane::Data, &["GET", "key1"]), bulk(&"x".repeat(64)));
}

#[test]
fn busy() {
    let Some(redis) = RedisServer::start(&["--lua-time-limit", "50"]) else { return };
    let setup = connect(options(redis.port()));
    setup.call(Lane::Data, &["PING"]).expect("connected");
    std::thread::scope(|scope| {
        let endless = scope.spawn(|| redis.client().ask(&["EVAL", "while true do end", "0"]));
        let mut told = Err(StoreError::Full);
        wait_until("it is busy", || !matches!(redis.client().ask(&["PING"]), Ok(Answer::Bytes(_))));
        for _ in 0..2 {
            told = setup.call(Lane::Data, &["GET", "k"]);
        }
        // Ended first, for a failure here must not leave it.
        redis.ask(&["SCRIPT", "KILL"]);
        expect(told, "Unavailable", "SCRIPT KILL");
        endless.join().expect("no panic").expect("an answer");
    });
    assert_eq!(setup.call_until_ok(Lane::Data, &["GET", "k"]), Value::Nil);
}

#[test]
fn logins() {
    let Some(redis) = RedisServer::start(&["--requirepass", "right"]) else { return };
    let with = |user: Option<&str>, password: Option<&str>| {
        let mut options = options(redis.port());
        options.username = user.map(str::to_owned);
        options.password = password.map(Secret::new);
        connect(options)
    };
    let ping = |setup: &Setup| setup.call(Lane::Data, &["PING"]);
    expect(ping(&with(None, None)), "Denied", "wants a password");
    expect(ping(&with(None, Some("wrong"))), "Denied", "does not accept the user or the password");
    expect(ping(&with(Some("nobody"), Some("right"))), "Denied", "does not accept the user");
    let setup = with(None, Some("right"));
    let pong = Ok(Value::SimpleString("PONG".to_owned()));
    assert_eq!(ping(&setup), pong);
    assert_eq!(ping(&with(Some("default"), Some("right"))), pong);

    // A user of his own, whose rights are found wanting, and who is taken away in the end.
    let as_right = |command: &[&str]| {
        let mut client = redis.client();
        client.ask(&["AUTH", "right"]).unwrap();
        client.ask(command).unwrap()
    };
    as_right(&[
        "ACL",
        "SETUSER",
        "zone",
        "on",
        ">pass phrase",
        "~{zone}*",
        "+get",
        "+evalsha",
        "+eval",
    ]);
    let setup = with(Some("zone"), Some("pass phrase"));
    assert_eq!(setup.call(Lane::Data, &["GET", "{zone}k"]), Ok(Value::Nil));
    expect(setup.call(Lane::Data, &["SET", "{zone}k", "v"]), "Denied", "forbids SET");
    expect(setup.call(Lane::Data, &["GET", "other"]), "Denied", "forbids GET");
    expect(setup.run(Lane::Data, &WRITE, "{zone}k", "v"), "Denied", "forbids write");
    as_right(&["ACL", "DELUSER", "zone"]);
    let gone = |lane| setup.call(lane, &["GET", "{zone}k"]);
    wait_until("the user is gone", || matches!(gone(Lane::Data), Err(StoreError::Denied(_))));
    as_right(&["ACL", "SETUSER", "zone", "on", ">pass phrase", "~{zone}*", "+get"]);
    setup.call_until_ok(Lane::Data, &["GET", "{zone}k"]);
}

#[test]
fn a_login_that_is_taken_back_on_a_live_connection() {
    let Some(redis) = RedisServer::start(&[]) else { return };
    let setup = connect(options(redis.port()));
    setup.call(Lane::Data, &["GET", "k"]).expect("no password is wanted");
    // RESET makes a connection a stranger's; there is no other way for this to happen.
    redis.ask(&["CONFIG", "SET", "requirepass", "new"]);
    let _ = setup.call(Lane::Data, &["RESET"]);
    expect(setup.call(Lane::Data, &["GET", "k"]), "Denied", "wants a password");
}

#[test]
fn unknown_commands_strange_types_and_failing_scripts() {
    let Some(redis) = RedisServer::start(&["--rename-command", "EVALSHA", ""]) else { return };
    let setup = connect(options(redis.port()));
    expect(
        setup.run(Lane::Lease, &WRITE, "k", "secret"),
        "Denied",
        "does not know the command write",
    );
    let text = expect(setup.call(Lane::Data, &["NOSUCH", "secret"]), "Denied", "NOSUCH");
    assert!(!text.contains("secret"), "{text}");
    redis.ask(&["SET", "text", "1"]);
    expect(setup.call(Lane::Data, &["XLEN", "text"]), "Corrupt", "strange type");
    let eval = |script: &str| setup.call(Lane::Data, &["EVAL", script, "1", "text"]);
    expect(eval("return redis.call('XLEN', KEYS[1])"), "Corrupt", "strange type");
    expect(eval("return nil .. 'x'"), "Corrupt", "concatenate");
    expect(setup.call(Lane::Data, &["SET", "k"]), "Denied", "wrong number of arguments");
}

#[test]
fn too_few_replicas_and_a_disk_that_fails() {
    let Some(redis) = RedisServer::start(&["--min-replicas-to-write", "1"]) else { return };
    let setup = connect(options(redis.port()));
    expect(setup.call(Lane::Data, &["SET", "k", "v"]), "Unavailable", "min-replicas-to-write");
    if knows_script_flags(&setup) {
        // Redis 6.2 lets scripts pass.
        let written = setup.run(Lane::Data, &WRITE, "k", "v");
        expect(written, "Unavailable", "min-replicas-to-write");
    }
    redis.ask(&["CONFIG", "SET", "min-replicas-to-write", "0"]);
    setup.call(Lane::Data, &["SET", "k", "v"]).expect("written");
    // A folder in the place of the dump: saving fails, and so does writing after it.
    redis.ask(&["CONFIG", "SET", "save", "3600 1"]);
    std::fs::create_dir(redis.folder().join("dump.rdb")).expect("a folder");
    redis.ask(&["BGSAVE"]);
    wait_until("saving failed", || {
        redis.ask(&["INFO", "persistence"]).text().contains("rdb_last_bgsave_status:err")
    });
    expect(setup.call(Lane::Data, &["SET", "k", "v"]), "Unavailable", "cannot save");
}

#[test]
fn no_room_for_another_client() {
    let Some(redis) = RedisServer::start(&["--maxclients", "1"]) else { return };
    // The one that saw it start may not be gone yet.
    let mut held = redis.client();
    wait_until("the place is ours", || {
        let ours = matches!(held.ask(&["PING"]), Ok(Answer::Bytes(_)));
        if !ours {
            held = redis.client();
        }
        ours
    });
    let setup = connect(options(redis.port()));
    // What it says is lost when it closes before it has read the greeting: then it merely closed.
    let words = ["more clients", "closed the connection", "broke"];
    wait_until("the first client counts", || match setup.call(Lane::Data, &["PING"]) {
        Err(StoreError::Unavailable(why)) => words.iter().any(|words| why.contains(words)),
        other => panic!("{other:?}"),
    });
    drop(held);
    setup.call_until_ok(Lane::Data, &["PING"]);
}

#[test]
fn a_server_that_is_none_or_too_old() {
    use crate::store::redis::connection::hello::{Facts, Version};
    let facts = |version| Facts {
        name: "redis".to_owned(),
        version,
        mode: "standalone".to_owned(),
        replica: false,
    };
    let old = facts(Version(6, 0, 16)).check(&address(1)).expect_err("too old");
    assert!(old.to_string().contains("6.2.0 or newer is needed"), "{old}");
    assert_eq!(facts(Version(6, 2, 0)).check(&address(1)), Ok(()));
    assert_eq!(facts(Version(9, 1, 2)).check(&address(1)), Ok(()));

    // Something else listens there.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let talk = std::thread::spawn(move || {
        use std::io::{Read, Write};
        let (mut stream, _) = listener.accept().expect("a caller");
        let _ = stream.read(&mut [0; 100]);
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        let _ = stream.read(&mut [0; 100]);
    });
    let setup = connect(options(port));
    expect(setup.call(Lane::Data, &["PING"]), "Unavailable", "makes no sense");
    drop(setup);
    talk.join().expect("no panic");
}
