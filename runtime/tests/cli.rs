//! The built command line: arguments, exit codes, and what it prints of a node's answers.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::Value;
use zonesync::admin::{Admin, AdminServer, Changes, Credential, Get, Item, Looked, Match, Page};
use zonesync::admin::{position_text, serve};
use zonesync::core::election::Role;
use zonesync::core::entity::Kind;
use zonesync::core::id::{EntityKey, Epoch, InstanceId, Position, Sequence, Term, TermId};
use zonesync::core::time::Duration;
use zonesync::image::{KindCheck, Verified};
use zonesync::runtime::{Runtime, Task};
use zonesync::state::{FeedError, Step};
use zonesync::status::{Counters, Held, KindCount, Link, LinkState, Peer, QuarantinedItem, Status};

const KEY: &str = "0f6d2b9a-47aa-4f0e-9f0e-6b1b7a3c1d22";

/// A node with 250 APIs and one API key.
struct Fake {
    ready: bool,
}

fn position() -> Position {
    Position { term: Term { epoch: Epoch(7), id: TermId(9) }, sequence: Sequence(1042) }
}

impl Fake {
    fn entity(kind: Kind, number: usize, payload: bool) -> Item {
        let (api, id) = (format!("api-{number:03}"), format!("key-{number:03}"));
        if kind == Kind::API_KEY {
            let content = format!(r#"{{"key":"{KEY}","plan":"gold"}}"#);
            return Item::new(EntityKey::api_key(&api, &id, "s-1"), content.as_bytes(), payload);
        }
        // A name that would clear the screen.
        let content = br#"{"definition":{"name":"Orders\u001b[2J"}}"#;
        Item::new(EntityKey::new(kind, &api), content, payload)
    }

    fn count(kind: Kind) -> usize {
        [(Kind::API, 250), (Kind::API_KEY, 1)]
            .into_iter()
            .find(|(k, _)| *k == kind)
            .map_or(0, |(_, count)| count)
    }
}

fn peer(node: &str, agrees: bool) -> Peer {
    Peer {
        node: node.into(),
        instance: InstanceId(1),
        role: Role::Secondary,
        position: position(),
        behind: 0,
        digest: format!("{:032x}", 5),
        agrees,
        count: 1250,
        can_stand: true,
    }
}

impl Admin for Fake {
    fn status(&self) -> Status {
        Status {
            zone: "orders".into(),
            node: "edge-1".into(),
            instance: InstanceId(1),
            role: Role::Secondary,
            position: position(),
            primary: Some("edge-2".into()),
            term: position().term,
            ready: self.ready,
            stale: false,
            in_sync: self.ready,
            reason: if self.ready { String::new() } else { "the store is empty".into() },
            lag_ms: if self.ready { 0 } else { 1500 },
            counts: vec![KindCount { kind: "API".into(), count: 1250 }],
            digest: format!("{:032x}", 5),
            store: Link { state: LinkState::Up, ..Link::default() },
            unreplicated: false,
            repository: Link::default(),
            held: vec![Held { kind: "API".into(), count: 3, token: "a1b2".into() }],
            quarantined: vec![QuarantinedItem {
                place: "apis/broken.json:7".into(),
                reason: "ends too early".into(),
            }],
            quarantined_total: 1,
            image: None,
            failed: None,
            counters: Counters::default(),
            zone_nodes: vec![peer("edge-1", true), peer("edge-2", self.ready)],
        }
    }

    fn list(&self, kind: Kind, after: Option<EntityKey<'_>>, limit: usize, payload: bool) -> Page {
        let all = (0..Self::count(kind)).map(|number| Self::entity(kind, number, payload));
        let mut rest: Vec<_> =
            all.filter(|item| after.is_none_or(|after| item.key.as_ref() > after)).collect();
        let more = rest.len() > limit;
        rest.truncate(limit);
        Page { position: position(), items: rest, more }
    }

    fn get(&self, query: &Get, payload: bool) -> Page {
        let all = (0..Self::count(query.kind)).map(|n| Self::entity(query.kind, n, payload));
        let items = all.filter(|item| item.key.as_ref().id == query.id).collect();
        Page { position: position(), items, more: false }
    }

    fn lookup(&self, _: &str, credential: &Credential, _: Option<&str>) -> Looked {
        let payload = br#"{"application":"app-4"}"#.as_slice().into();
        let found = (*credential == Credential::Key(KEY.into())).then(|| Match {
            id: "s-1".into(),
            plan: "gold".into(),
            payload,
        });
        Looked { position: position(), found }
    }

    fn changes(&self, since: Option<Position>) -> (Position, Box<dyn Changes>) {
        let key = EntityKey::api_key("api-001", "key-001", "s-1").into();
        let content = format!(r#"{{"key":"{KEY}"}}"#).into_bytes();
        let step = Step { position: position(), changes: vec![(key, Some(content.into()))] };
        (since.unwrap_or_else(position), Box::new(Feed(Some(step))))
    }

    fn verify(&self) -> Verified {
        let check = |kind: Kind, count| KindCheck {
            kind: kind.to_string(),
            count,
            sum: format!("{:032x}", 7),
            announced_count: 2,
            announced_sum: format!("{:032x}", 7),
            agrees: count == 2,
        };
        let kinds = vec![check(Kind::API, 2), check(Kind::API_KEY, if self.ready { 2 } else { 1 })];
        Verified { position: position(), kinds }
    }

    fn confirm_removal(&self, token: &str) -> bool {
        token == "a1b2"
    }

    fn step_down(&self) -> bool {
        false
    }
}

struct Feed(Option<Step>);

impl Changes for Feed {
    fn next(&mut self, _: Duration) -> Result<Option<Step>, FeedError> {
        self.0.take().map_or(Err(FeedError::Stopped), |step| Ok(Some(step)))
    }
}

#[derive(Debug)]
struct Thread(&'static async_executor::Executor<'static>);

impl Runtime for Thread {
    fn spawn(&self, task: Task) {
        self.0.spawn(task).detach();
    }
}

/// A stand-in for a running node, and the folder of its socket.
struct Zone {
    folder: PathBuf,
    server: Option<AdminServer>,
}

impl Zone {
    /// Makes a folder without a node.
    fn empty() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("zscli-{}-{number}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir(&folder).unwrap();
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o700)).unwrap();
        Self { folder, server: None }
    }

    fn with_node(ready: bool) -> Self {
        let mut zone = Self::empty();
        let executor: &'static _ = Box::leak(Box::new(async_executor::Executor::new()));
        let forever = executor.run(futures_lite::future::pending::<()>());
        std::thread::spawn(move || async_io::block_on(forever));
        let path = zone.folder.join("node.sock");
        let server = serve(Arc::new(Fake { ready }), &path, Arc::new(Thread(executor))).unwrap();
        zone.server = Some(server);
        zone
    }

    /// Runs the command line against this node.
    fn ask(&self, arguments: &[&str]) -> Run {
        let socket = self.folder.join("node.sock");
        run(command().arg("--socket").arg(socket).args(arguments))
    }
}

impl Drop for Zone {
    fn drop(&mut self) {
        self.server = None;
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// What a command came to.
struct Run {
    code: i32,
    out: String,
    err: String,
}

impl Run {
    /// Reads the output as JSON lines.
    fn lines(&self) -> Vec<Value> {
        self.out.lines().map(|line| serde_json::from_str(line).expect("a JSON line")).collect()
    }
}

fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_zonesync"));
    command.env_remove("NO_COLOR").env_remove("COLUMNS").env("RUST_LOG", "off");
    command
}

fn run(command: &mut Command) -> Run {
    let Output { status, stdout, stderr } = command.output().unwrap();
    Run {
        code: status.code().expect("ends by itself"),
        out: String::from_utf8(stdout).unwrap(),
        err: String::from_utf8(stderr).unwrap(),
    }
}

#[test]
fn help_tells_the_exit_codes() {
    let help = run(command().arg("--help"));
    assert_eq!(help.code, 0);
    for line in ["0  done", "1  what was", "2  the command", "3  no node", "4  the node"] {
        assert!(help.out.contains(line), "{line}");
    }
}

#[test]
fn a_wrong_command_line_gives_2() {
    let wrong: [&[&str]; 9] = [
        &[],
        &["stauts"],
        &["list"],
        &["list", "PONY"],
        &["list", "API", "--all", "--limit", "3"],
        &["lookup", "api"],
        &["lookup", "api", "--key", "a", "--client", "b"],
        &["run", "-D", "novalue"],
        &["run", "--zone", "not a name"],
    ];
    for arguments in wrong {
        let run = run(command().args(arguments));
        assert_eq!(run.code, 2, "{arguments:?}: {}", run.err);
        assert!(!run.err.is_empty(), "{arguments:?} says why");
    }
    let kinds = run(command().args(["list", "PONY"])).err;
    assert!(kinds.contains("SUBSCRIPTION"), "names the kinds: {kinds}");
}

#[test]
fn no_node_gives_3_and_says_how_to_start_one() {
    let zone = Zone::empty();
    for arguments in [&["status"][..], &["step-down"], &["watch"], &["list", "API"]] {
        let run = zone.ask(arguments);
        assert_eq!(run.code, 3, "{arguments:?}");
        assert!(run.err.contains("zonesync run"), "{}", run.err);
    }
    let nowhere = run(command().arg("status").env("XDG_RUNTIME_DIR", &zone.folder));
    assert_eq!(nowhere.code, 3, "{}", nowhere.err);
    assert!(nowhere.err.contains(zone.folder.to_str().unwrap()), "says where it looked");
}

#[test]
fn the_only_node_of_the_usual_folder_is_found() {
    let zone = Zone::empty();
    // SAFETY: getuid takes nothing, changes nothing and cannot fail.
    let folder = zone.folder.join(format!("zonesync-{}", unsafe { libc::getuid() }));
    let executor: &'static _ = Box::leak(Box::new(async_executor::Executor::new()));
    let forever = executor.run(futures_lite::future::pending::<()>());
    std::thread::spawn(move || async_io::block_on(forever));
    let start = |name: &str| {
        let node = Arc::new(Fake { ready: true });
        serve(node, &folder.join(name), Arc::new(Thread(executor))).unwrap()
    };
    let _one = start("one.sock");
    let ask = || run(command().arg("status").env("XDG_RUNTIME_DIR", &zone.folder));
    assert_eq!(ask().code, 0);
    let _two = start("two.sock");
    let several = ask();
    assert_eq!(several.code, 2, "which one is meant is for the user to say");
    assert!(several.err.contains("one.sock") && several.err.contains("two.sock"));

    // In a folder that others can write to, nobody is trusted.
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o777)).unwrap();
    assert_eq!(ask().code, 3);
}

#[test]
fn status_of_the_zone_tells_of_each_node_and_whether_they_agree() {
    let run = Zone::with_node(true).ask(&["status", "--zone"]);
    assert_eq!(run.code, 0, "{}", run.err);
    for word in ["zone orders", "edge-1", "edge-2", "1,250", "MAY LEAD"] {
        assert!(run.out.contains(word), "{word}: {}", run.out);
    }
    let run = Zone::with_node(false).ask(&["status", "--zone"]);
    assert_eq!(run.code, 1);
    assert!(run.err.contains("different states"), "{}", run.err);
    let run = Zone::with_node(true).ask(&["status", "--zone", "--json"]);
    let nodes: Value = serde_json::from_str(&run.out).unwrap();
    assert_eq!(nodes[1]["node"], "edge-2");
}

#[test]
fn status_tells_all_and_its_code_tells_ready() {
    let run = Zone::with_node(true).ask(&["status"]);
    assert_eq!(run.code, 0, "{}", run.err);
    let expected = "edge-1 is secondary of zone orders at e7-s1042: ready and in sync\n";
    assert!(run.out.starts_with(expected), "{}", run.out);
    for part in ["edge-2", "API   1,250", "a1b2", "apis/broken.json:7  ends too early"] {
        assert!(run.out.contains(part), "{part} in\n{}", run.out);
    }

    let zone = Zone::with_node(false);
    let run = zone.ask(&["status"]);
    assert_eq!(run.code, 1);
    assert!(run.out.contains("not ready, for 1,500 ms: the store is empty"), "{}", run.out);
    let run = zone.ask(&["status", "--json"]);
    assert_eq!((run.code, &run.lines()[0]["reason"]), (1, &"the store is empty".into()));
}

#[test]
fn verify_tells_each_kind_and_its_code_tells_whether_all_agree() {
    let good = Zone::with_node(true).ask(&["verify"]);
    assert_eq!(good.code, 0, "{}", good.err);
    assert!(good.out.contains("all agrees with what was announced at e7-s1042"), "{}", good.out);
    let zone = Zone::with_node(false);
    let bad = zone.ask(&["verify"]);
    assert_eq!(bad.code, 1);
    assert!(bad.err.contains("1 kinds differ"), "{}", bad.err);
    assert!(bad.out.contains("announced: 2"), "{}", bad.out);
    let json = &zone.ask(&["verify", "--json"]).lines()[0];
    assert_eq!(
        (&json["kinds"][1]["agrees"], &json["kinds"][1]["count"]),
        (&false.into(), &1.into())
    );

    let path = zone.folder.join("image");
    let verify = || run(command().arg("verify").arg("--image").arg(&path));
    assert_eq!(verify().code, 1, "there is none");
    fs::write(&path, "nonsense").unwrap();
    let nonsense = verify();
    assert_eq!(nonsense.code, 4);
    assert!(nonsense.err.contains("image: this is no image"), "{}", nonsense.err);
}

#[test]
fn lists_come_in_pages_and_end_where_they_are_told_to() {
    let zone = Zone::with_node(true);
    let count = |arguments: &[&str]| zone.ask(arguments).lines().len();
    assert_eq!(count(&["list", "api", "--json"]), 100);
    assert_eq!(count(&["list", "API", "--json", "--limit", "7"]), 7);
    assert_eq!(count(&["list", "API", "--json", "--limit", "1000"]), 250);
    assert_eq!(count(&["list", "API", "--json", "--all"]), 250);
    let table = zone.ask(&["list", "API", "--limit", "2"]);
    assert!(table.err.contains("there are more"), "{}", table.err);
    let expected = "\
KIND  ID       BYTES  ABOUT
API   api-000     41  Orders·[2J
API   api-001     41  Orders·[2J
";
    assert_eq!(table.out, expected);
    let none = zone.ask(&["list", "DICTIONARY"]);
    assert_eq!((none.code, none.out.as_str(), none.err.as_str()), (0, "", "no DICTIONARY\n"));
}

#[test]
fn a_key_is_shown_only_to_whom_asks_for_payloads() {
    let zone = Zone::with_node(true);
    let commands: [&[&str]; 5] = [
        &["list", "API_KEY"],
        &["list", "API_KEY", "--json"],
        &["get", "API_KEY", "key-000"],
        &["watch"],
        &["watch", "--json"],
    ];
    for arguments in commands {
        let masked = zone.ask(arguments);
        assert!(masked.out.contains("0f6d…"), "{arguments:?}: {}", masked.out);
        assert!(!masked.out.contains(KEY), "{arguments:?}: {}", masked.out);
        let shown = zone.ask(&[arguments, &["--payload"]].concat());
        assert!(shown.out.contains(KEY), "{arguments:?}: {}", shown.out);
    }
}

#[test]
fn get_gives_1_for_what_is_not_there() {
    let zone = Zone::with_node(true);
    assert_eq!(zone.ask(&["get", "API", "api-003"]).code, 0);
    let none = zone.ask(&["get", "API", "nope"]);
    assert_eq!((none.code, none.out.as_str()), (1, ""));
    assert!(none.err.contains("no API has the id nope"), "{}", none.err);
}

#[test]
fn lookup_finds_or_gives_1() {
    let zone = Zone::with_node(true);
    let found = zone.ask(&["lookup", "api-001", "--key", KEY]);
    assert_eq!(found.code, 0);
    assert!(found.out.contains("s-1") && found.out.contains("app-4"), "{}", found.out);
    let none = zone.ask(&["lookup", "api-001", "--client", "nobody"]);
    assert_eq!((none.code, none.out.as_str()), (1, ""));

    // The key from standard input, where no list of processes shows it.
    let mut child = command()
        .arg("--socket")
        .arg(zone.folder.join("node.sock"))
        .args(["lookup", "api-001", "--key", "-", "--json"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(format!("{KEY}\n").as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(answer["subscription"], "s-1");
}

#[test]
fn watch_prints_each_change_as_it_comes_and_gives_3_when_the_node_stops() {
    let zone = Zone::with_node(true);
    let run = zone.ask(&["watch", "--json"]);
    assert_eq!(run.code, 3, "{}", run.err);
    let [start, change] = &run.lines()[..] else { panic!("{}", run.out) };
    assert_eq!(start["position"], position_text(position()));
    assert_eq!((&change["action"], &change["id"]), (&"deploy".into(), &"key-001".into()));
    let plain = zone.ask(&["watch", "--since", &position_text(position())]);
    assert!(plain.out.starts_with("e7-s1042   deploy   API_KEY api-001 key-001 s-1"));
    assert_eq!(zone.ask(&["watch", "--since", "yesterday"]).code, 4, "the node refuses it");
}

#[test]
fn wishes_say_whether_they_were_carried_out() {
    let zone = Zone::with_node(true);
    assert_eq!(zone.ask(&["confirm-removal", "a1b2"]).code, 0);
    let wrong = zone.ask(&["confirm-removal", "wrong"]);
    assert_eq!(wrong.code, 1);
    assert!(wrong.err.contains("zonesync status"), "{}", wrong.err);
    let not_primary = zone.ask(&["step-down", "--json"]);
    assert_eq!((not_primary.code, &not_primary.lines()[0]["done"]), (1, &false.into()));
}

#[test]
fn colour_is_for_terminals_unless_asked_for() {
    let zone = Zone::with_node(true);
    let colored = |arguments: &[&str]| zone.ask(arguments).out.contains('\x1b');
    assert!(!colored(&["status"]));
    assert!(!colored(&["status", "--color", "never"]));
    assert!(colored(&["status", "--color", "always"]));
    assert!(!colored(&["status", "--color", "always", "--json"]), "JSON is never coloured");
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    let zone = Zone::with_node(true);
    let mut child = command()
        .arg("--socket")
        .arg(zone.folder.join("node.sock"))
        .args(["list", "API", "--all", "--json", "--payload"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut first).unwrap();
    assert!(first.contains("api-000"));
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn config_tells_each_value_and_where_it_comes_from() {
    let place = Zone::empty();
    let path = place.folder.join("gravitee.yml");
    let yaml = "zonesync:\n  store: redis\ndistributed-sync:\n  redis:\n    host: redis-1\n    password: hush-hush\n";
    std::fs::write(&path, yaml).unwrap();
    let ask = |more: &[&str]| {
        let mut command = command();
        command.args(["config", "--config"]).arg(&path).args(["-D", "zonesync.zone=orders"]);
        run(command.env("GRAVITEE_ZONESYNC_POLL", "250ms").args(more))
    };
    let shown = ask(&["--set"]);
    assert_eq!(shown.code, 0, "{}", shown.err);
    for (key, value, from) in [
        ("distributed-sync.redis.host", "redis-1", "gravitee.yml:5"),
        ("distributed-sync.redis.password", "***", "gravitee.yml:6"),
        ("zonesync.poll", "250ms", "variable GRAVITEE_ZONESYNC_POLL"),
        ("zonesync.zone", "orders", "property zonesync.zone"),
    ] {
        let line = shown.out.lines().find(|line| line.starts_with(&format!("{key} ")));
        let line = line.unwrap_or_else(|| panic!("{key} in\n{}", shown.out));
        assert!(line.contains(value) && line.ends_with(from), "{line}");
    }
    assert!(!shown.out.contains("hush") && !shown.out.contains("zonesync.full-read"));

    let document = &ask(&["--json"]).lines()[0];
    let of = |key: &str| {
        let all = document["settings"].as_array().unwrap();
        all.iter().find(|line| line["key"] == key).unwrap_or_else(|| panic!("{key}")).clone()
    };
    let host = of("distributed-sync.redis.host");
    assert_eq!((&host["source"], &host["line"]), (&"file".into(), &5.into()));
    assert_eq!(of("zonesync.full-read")["source"], "default");
    assert_eq!(of("zonesync.zone")["name"], "zonesync.zone");

    let wrong = ask(&["-D", "zonesync.stor=redis", "-D", "zonesync.feed.max=0"]);
    assert_eq!(wrong.code, 2);
    let named = "zonesync.stor (property zonesync.stor): unknown key: did you mean zonesync.store?";
    assert!(wrong.err.contains(named), "{}", wrong.err);
    assert!(wrong.err.contains("zonesync.feed.max (property"), "{}", wrong.err);
    let wrong = ask(&["-D", "zonesync.stor=redis", "--json"]);
    assert_eq!(wrong.code, 2);
    assert_eq!(wrong.lines()[0]["problems"][0]["key"], "zonesync.stor");
}
