//! The connections, against real servers.

mod bulk;
mod cluster;
mod faults;
mod refusals;
mod sentinel;
mod tls;

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant as StdInstant;

use redis::{Cmd, Value};
use zonesync_core::time::Duration;
use zonesync_test_servers::redis::{Answer, RedisServer};
use zonesync_test_servers::sentinel::wait_until;

use super::{Lane, Script, Server};
use crate::runtime::{Runtime, Smol, Task};
use crate::secret::Secret;
use crate::store::StoreError;
use crate::store::redis::options::{Address, RedisOptions, Topology};

static ECHO: Script = Script::new("echo", "return {KEYS[1], ARGV[1]}");
static WRITE: Script = Script::new("write", "return redis.call('SET', KEYS[1], ARGV[1])");
static WRITE_ANYHOW: Script =
    Script::new("write", "return redis.call('SET', KEYS[1], ARGV[1])").allow_oom();

/// A host that counts the tasks that run.
#[derive(Debug)]
struct Host {
    smol: Smol,
    tasks: Arc<AtomicUsize>,
}

struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Host {
    fn new() -> Arc<Self> {
        let smol = Smol::new(2).expect("threads can be had");
        Arc::new(Self { smol, tasks: Arc::default() })
    }

    fn tasks(&self) -> usize {
        self.tasks.load(Ordering::SeqCst)
    }
}

impl Runtime for Host {
    fn spawn(&self, task: Task) {
        self.tasks.fetch_add(1, Ordering::SeqCst);
        let counted = Counted(Arc::clone(&self.tasks));
        self.smol.spawn(Box::pin(async move {
            task.await;
            drop(counted);
        }));
    }
}

/// A server to talk to, and whatever has to live as long.
struct Setup {
    host: Arc<Host>,
    server: Server,
}

fn address(port: u16) -> Address {
    Address { host: "127.0.0.1".to_owned(), port }
}

/// Options with short limits, so that what has to time out does so soon.
fn options(port: u16) -> RedisOptions {
    let mut options = RedisOptions::new(Topology::Standalone(address(port)));
    options.command_timeout = Duration::from_millis(600);
    options.bulk_timeout = Duration::from_secs(20);
    options
}

fn connect(options: RedisOptions) -> Setup {
    let host = Host::new();
    let server = Server::new(options, host.clone(), "zonesync:{zone}:head".to_owned());
    Setup { host, server }
}

fn block<T>(future: impl Future<Output = T>) -> T {
    async_io::block_on(future)
}

fn command(parts: &[&str]) -> Cmd {
    let mut command = Cmd::new();
    for part in parts {
        command.arg(*part);
    }
    command
}

impl Setup {
    fn call(&self, lane: Lane, parts: &[&str]) -> Result<Value, StoreError> {
        self.call_within(lane, parts, Duration::from_secs(5))
    }

    fn call_within(
        &self,
        lane: Lane,
        parts: &[&str],
        limit: Duration,
    ) -> Result<Value, StoreError> {
        block(self.server.call(lane, &command(parts), limit))
    }

    fn run(&self, lane: Lane, script: &Script, key: &str, arg: &str) -> Result<Value, StoreError> {
        block(self.server.run(lane, script, &[key], &[arg.as_bytes()]))
    }

    /// Calls again and again until that works. Panics when it does not for long.
    fn call_until_ok(&self, lane: Lane, parts: &[&str]) -> Value {
        let until = StdInstant::now() + Duration::from_secs(30);
        loop {
            match self.call(lane, parts) {
                Ok(value) => return value,
                Err(error) => assert!(StdInstant::now() < until, "{error}"),
            }
        }
    }
}

fn bulk(text: &str) -> Value {
    Value::BulkString(text.into())
}

/// Holds an error to its case and to words that it must have.
#[track_caller]
fn expect(answer: Result<Value, StoreError>, case: &str, words: &str) -> String {
    let error = answer.expect_err("it is refused");
    let name = format!("{error:?}");
    assert!(name.starts_with(case), "{error:?} is no {case}");
    let text = error.to_string();
    assert!(text.contains(words), "{text:?} does not say {words:?}");
    text
}

/// Counts the clients of a server by the names that we give them.
fn clients(redis: &RedisServer, name: &str) -> usize {
    let list = redis.ask(&["CLIENT", "LIST"]).text();
    list.lines().filter(|line| line.contains(&format!("name={name} "))).count()
}

#[test]
fn commands_and_scripts_are_answered_on_each_lane() {
    let Some(redis) = RedisServer::start(&[]) else { return };
    let setup = connect(options(redis.port()));
    assert_eq!(setup.host.tasks(), 0, "nothing happens before it is wanted");
    for lane in Lane::ALL {
        assert_eq!(setup.call(lane, &["SET", "{zone}k", "v"]), Ok(Value::Okay));
        let echoed = setup.run(lane, &ECHO, "{zone}k", "x");
        assert_eq!(echoed, Ok(Value::Array(vec![bulk("{zone}k"), bulk("x")])));
    }
    for name in ["zonesync-lease", "zonesync-data", "zonesync-watch"] {
        assert_eq!(clients(&redis, name), 1, "{name}");
    }
    let facts = block(setup.server.facts(Lane::Lease)).expect("it is connected");
    let info = redis.ask(&["INFO", "server"]).text();
    let valkey = info.contains("server_name:valkey");
    assert_eq!(facts.name, if valkey { "valkey" } else { "redis" });
    assert!(info.contains(&format!("{}_version:{}", facts.name, facts.version)), "{facts}");

    // The other handle goes on; with the last, sockets and tasks end.
    let other = setup.server.clone();
    let Setup { host, server } = setup;
    drop(server);
    assert_eq!(
        block(other.call(Lane::Data, &command(&["GET", "{zone}k"]), options(0).bulk_timeout)),
        Ok(bulk("v"))
    );
    assert_eq!(host.tasks(), 3, "one for each lane");
    drop(other);
    wait_until("tasks end", || host.tasks() == 0);
    wait_until("sockets close", || clients(&redis, "zonesync-data") == 0);
}

#[test]
fn a_script_that_the_server_lost_is_sent_again() {
    let Some(redis) = RedisServer::start(&[]) else { return };
    let setup = connect(options(redis.port()));
    for _ in 0..3 {
        assert_eq!(setup.run(Lane::Lease, &WRITE, "k", "v"), Ok(Value::Okay));
        redis.ask(&["SCRIPT", "FLUSH"]);
    }
    assert_eq!(setup.run(Lane::Lease, &WRITE, "k", "v"), Ok(Value::Okay));
    redis.ask(&["CONFIG", "RESETSTAT"]);
    assert_eq!(setup.run(Lane::Lease, &WRITE, "k", "v"), Ok(Value::Okay));
    let stats = redis.ask(&["INFO", "commandstats"]).text();
    assert!(stats.contains("cmdstat_evalsha:calls=1,"), "{stats}");
    assert!(!stats.contains("cmdstat_eval:"), "the text is sent once only: {stats}");
}

#[test]
fn many_callers_share_a_lane_and_each_gets_his_own_answer() {
    let Some(redis) = RedisServer::start(&[]) else { return };
    let setup = connect(options(redis.port()));
    let setup = &setup;
    std::thread::scope(|scope| {
        for thread in 0..8 {
            scope.spawn(move || {
                for round in 0..200 {
                    let word = format!("{thread}-{round}");
                    assert_eq!(setup.call(Lane::Data, &["ECHO", &word]), Ok(bulk(&word)));
                }
            });
        }
    });
    assert_eq!(clients(&redis, "zonesync-data"), 1, "on one connection");
}

#[test]
fn a_caller_who_leaves_takes_nobodys_answer_with_him() {
    let Some(redis) = RedisServer::start(&[]) else { return };
    let setup = connect(options(redis.port()));
    setup.call(Lane::Data, &["PING"]).expect("connected");
    let id = setup.call(Lane::Data, &["CLIENT", "ID"]);
    let mut left_early = 0;
    for round in 0..200 {
        let left = command(&["ECHO", "left"]);
        let call = setup.server.call(Lane::Data, &left, Duration::from_secs(5));
        // Polled once, so that it is sent, and then dropped; a slow machine has the answer by then.
        left_early += u32::from(block(futures_lite::future::poll_once(call)).is_none());
        let word = format!("stays-{round}");
        assert_eq!(setup.call(Lane::Data, &["ECHO", &word]), Ok(bulk(&word)));
    }
    assert_eq!(setup.call(Lane::Data, &["CLIENT", "ID"]), id, "on the same connection");
    assert!(left_early > 20, "{left_early} left before their answers came");
}

#[test]
fn a_blocking_read_that_is_dropped_does_not_hold_up_the_next() {
    let Some(redis) = RedisServer::start(&[]) else { return };
    let setup = connect(options(redis.port()));
    let block_long = command(&["XREAD", "BLOCK", "20000", "STREAMS", "{zone}s", "0"]);
    let call = setup.server.call(Lane::Watch, &block_long, Duration::from_secs(30));
    let blocked =
        |redis: &RedisServer| redis.ask(&["INFO", "clients"]).text().contains("blocked_clients:1");
    let wait = async {
        blocking::unblock({
            let port = redis.port();
            move || {
                let mut client = zonesync_test_servers::redis::Client::connect(port).unwrap();
                wait_until("it blocks", || {
                    client.ask(&["INFO", "clients"]).unwrap().text().contains("blocked_clients:1")
                });
            }
        })
        .await;
        None
    };
    let call = async { Some(call.await) };
    assert_eq!(block(futures_lite::future::or(call, wait)), None, "dropped while it blocks");
    let begun = StdInstant::now();
    wait_until("the server is free of it", || !blocked(&redis));
    setup.call(Lane::Watch, &["PING"]).expect("the lane is free");
    assert!(begun.elapsed() < Duration::from_secs(5));
}

#[test]
fn a_blocking_read_ends_when_something_comes_and_may_outlast_a_short_command() {
    let Some(redis) = RedisServer::start(&[]) else { return };
    let setup = connect(options(redis.port()));
    // Nothing comes: longer than a short command may take, yet no time-out.
    let none = setup.call_within(
        Lane::Watch,
        &["XREAD", "BLOCK", "1500", "STREAMS", "{zone}s", "0"],
        Duration::from_secs(3),
    );
    assert_eq!(none, Ok(Value::Nil));
    std::thread::scope(|scope| {
        let read = scope.spawn(|| {
            let read = ["XREAD", "BLOCK", "20000", "STREAMS", "{zone}s", "$"];
            setup.call_within(Lane::Watch, &read, Duration::from_secs(25))
        });
        wait_until("it blocks", || {
            redis.ask(&["INFO", "clients"]).text().contains("blocked_clients:1")
        });
        redis.ask(&["XADD", "{zone}s", "*", "field", "value"]);
        let read = read.join().expect("no panic").expect("an answer");
        assert!(format!("{read:?}").contains("field"), "{read:?}");
    });
}

#[test]
fn an_idle_connection_is_closed_and_comes_back() {
    let Some(redis) = RedisServer::start(&[]) else { return };
    let mut short = options(redis.port());
    short.idle_timeout = Duration::from_millis(200);
    let setup = connect(short);
    setup.call(Lane::Data, &["PING"]).expect("connected");
    assert_eq!(clients(&redis, "zonesync-data"), 1);
    // One that blocks for longer is not idle.
    let blocked = ["XREAD", "BLOCK", "800", "STREAMS", "{zone}s", "0"];
    assert_eq!(setup.call(Lane::Watch, &blocked), Ok(Value::Nil));
    wait_until("it is closed", || clients(&redis, "zonesync-data") == 0);
    setup.call(Lane::Data, &["PING"]).expect("it comes back");
}

#[test]
fn tells_of_nothing_that_is_secret() {
    let Some(redis) = RedisServer::start(&["--requirepass", "open-sesame"]) else { return };
    let mut wrong = options(redis.port());
    wrong.password = Some(Secret::new("close-sesame"));
    let setup = connect(wrong);
    let text = expect(setup.call(Lane::Data, &["PING"]), "Denied", "does not accept");
    assert!(!text.contains("sesame") && !format!("{:?}", setup.server).contains("sesame"));
    // A server that does not know the greeting repeats it, password and all.
    let Some(old) = RedisServer::start(&["--rename-command", "HELLO", ""]) else { return };
    let mut wrong = options(old.port());
    wrong.password = Some(Secret::new("close-sesame"));
    let setup = connect(wrong);
    let text =
        expect(setup.call(Lane::Data, &["PING"]), "Denied", "does not know the command HELLO");
    assert!(!text.contains("sesame"), "{text}");
    let Answer::Error(told) =
        old.client().ask(&["HELLO", "3", "AUTH", "u", "close-sesame"]).unwrap()
    else {
        panic!("it knows HELLO");
    };
    assert!(told.contains("sesame"), "the server does repeat it: {told}");
}
