//! The server over a real socket, with a stand-in for the node.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant as StdInstant;

use zonesync_core::entity::Kind;
use zonesync_core::id::{EntityKey, Epoch, Position, Sequence, Term, TermId};
use zonesync_core::time::Duration;

use super::server::{Limits, serve_within};
use super::*;
use crate::image::KindCheck;
use crate::runtime::{Runtime, Task};
use crate::state::{FeedError, Step};
use crate::status::Status;

/// One thread that runs whatever it is given.
#[derive(Debug)]
struct Thread(&'static async_executor::Executor<'static>);

impl Thread {
    fn start() -> Arc<Self> {
        let executor: &'static _ = Box::leak(Box::new(async_executor::Executor::new()));
        let forever = executor.run(futures_lite::future::pending::<()>());
        std::thread::spawn(move || async_io::block_on(forever));
        Arc::new(Self(executor))
    }
}

impl Runtime for Thread {
    fn spawn(&self, task: Task) {
        self.0.spawn(task).detach();
    }
}

/// A node with three APIs and one key.
#[derive(Default)]
struct Fake {
    steps: Mutex<Vec<Step>>,
    stopped: AtomicBool,
}

const PAYLOAD: &[u8] = br#"{"definition":{"name":"Orders"}}"#;

fn position(sequence: u64) -> Position {
    Position { term: Term { epoch: Epoch(7), id: TermId(9) }, sequence: Sequence(sequence) }
}

impl Admin for Fake {
    fn status(&self) -> Status {
        panic!("a node that fails while it is asked")
    }

    fn list(&self, kind: Kind, after: Option<EntityKey<'_>>, limit: usize, payload: bool) -> Page {
        let all = ["a", "b", "c"].map(|id| EntityKey::new(kind, id));
        let rest: Vec<_> = all.into_iter().filter(|key| after.is_none_or(|a| *key > a)).collect();
        let items = rest.iter().take(limit).map(|key| Item::new(*key, PAYLOAD, payload)).collect();
        Page { position: position(3), items, more: rest.len() > limit }
    }

    fn get(&self, query: &Get, payload: bool) -> Page {
        let key = EntityKey::new(query.kind, &query.id);
        let items = (query.id == "a").then(|| Item::new(key, PAYLOAD, payload));
        Page { position: position(3), items: items.into_iter().collect(), more: false }
    }

    fn lookup(&self, api: &str, credential: &Credential, plan: Option<&str>) -> Looked {
        let payload = br#"{"application":"app-4"}"#.as_slice().into();
        let found = (api == "a" && *credential == Credential::Key("secret".into()))
            .then(|| Match { id: "s-1".into(), plan: plan.unwrap_or("gold").into(), payload });
        Looked { position: position(3), found }
    }

    fn changes(&self, since: Option<Position>) -> (Position, Box<dyn Changes>) {
        let steps = self.steps.lock().unwrap().clone();
        let start = since.unwrap_or(position(3));
        let feed = Feed { steps, start, stopped: self.stopped.load(Ordering::Relaxed) };
        (start, Box::new(feed))
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
        let kinds = vec![check(Kind::API, 2), check(Kind::API_KEY, 2)];
        Verified { position: position(3), kinds }
    }

    fn confirm_removal(&self, token: &str) -> bool {
        token == "right"
    }

    fn step_down(&self) -> bool {
        true
    }
}

struct Feed {
    steps: Vec<Step>,
    start: Position,
    stopped: bool,
}

impl Changes for Feed {
    fn next(&mut self, timeout: Duration) -> Result<Option<Step>, FeedError> {
        if self.start < position(1) {
            return Err(FeedError::Behind);
        }
        if let Some(step) = (!self.steps.is_empty()).then(|| self.steps.remove(0)) {
            return Ok(Some(step));
        }
        if self.stopped {
            return Err(FeedError::Stopped);
        }
        std::thread::sleep(timeout.min(Duration::from_millis(10)));
        Ok(None)
    }
}

/// A folder of this test alone, removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("zsadm-{}-{number}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        Self(path)
    }

    fn socket(&self) -> PathBuf {
        self.0.join("run").join("node.sock")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Small limits, so that breaking them takes no time.
const TIGHT: Limits = Limits {
    connections: 3,
    request: 1024,
    idle: Duration::from_millis(300),
    line: Duration::from_millis(100),
    write: Duration::from_millis(200),
};

fn start(limits: Limits, path: &Path, node: Fake) -> AdminServer {
    serve_within(limits, Arc::new(node), path, Thread::start()).unwrap()
}

fn ask(path: &Path, request: &Request) -> Vec<Answer> {
    let mut client = Client::connect(path).unwrap();
    client.ask(request).unwrap();
    let mut answers = Vec::new();
    loop {
        let answer = client.answer().unwrap().expect("an answer before the end");
        let last = !matches!(answer, Answer::Entity(_));
        answers.push(answer);
        if last {
            return answers;
        }
    }
}

/// Opens a connection that fails rather than hangs.
fn raw(path: &Path) -> UnixStream {
    let stream = UnixStream::connect(path).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    stream
}

fn read_line(stream: &UnixStream) -> String {
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).unwrap();
    line
}

fn code(line: &str) -> ErrorCode {
    match serde_json::from_str(line) {
        Ok(Answer::Error { code, .. }) => code,
        other => panic!("expected an error, got {other:?} from {line:?}"),
    }
}

#[test]
fn every_request_has_its_answer() {
    let folder = Folder::new();
    let path = folder.socket();
    let _server = start(Limits::default(), &path, Fake::default());

    let list = |limit, after| Request::List { kind: "api".into(), limit, after, payload: false };
    let page = ask(&path, &list(2, None));
    let [Answer::Entity(a), Answer::Entity(b), Answer::End { more: true, position: at }] =
        page.as_slice()
    else {
        panic!("two entities and an end: {page:?}")
    };
    assert_eq!((a.id.as_str(), b.id.as_str(), a.label.as_str()), ("a", "b", "Orders"));
    assert_eq!((a.size, a.payload.as_deref()), (PAYLOAD.len(), None));
    assert_eq!(at, &position_text(position(3)));
    let rest = ask(&path, &list(2, Some(b.key())));
    assert!(
        matches!(&rest[..], [Answer::Entity(c), Answer::End { more: false, .. }] if c.id == "c")
    );

    let get = |id: &str| Request::Get {
        kind: "API".into(),
        id: id.into(),
        scope: None,
        subscription: None,
        payload: true,
    };
    let found = ask(&path, &get("a"));
    let Answer::Entity(entity) = &found[0] else { panic!("{found:?}") };
    assert_eq!(entity.payload.as_deref().map(str::as_bytes), Some(PAYLOAD));
    assert!(matches!(&ask(&path, &get("z"))[..], [Answer::End { .. }]));

    let lookup = |key: &str| Request::Lookup {
        api: "a".into(),
        credential: Credential::Key(key.into()),
        plan: None,
        payload: false,
    };
    let [Answer::Found { subscription, plan, application, payload: None, .. }] =
        &ask(&path, &lookup("secret"))[..]
    else {
        panic!("a match without its payload")
    };
    assert_eq!((subscription.as_str(), plan.as_str()), ("s-1", "gold"));
    assert_eq!(application.as_deref(), Some("app-4"));
    assert!(matches!(ask(&path, &lookup("other"))[..], [Answer::Nothing { .. }]));

    for (token, expected) in [("right", true), ("wrong", false)] {
        let request = Request::ConfirmRemoval { token: token.into() };
        assert_eq!(ask(&path, &request), [Answer::Done { done: expected }]);
    }
    assert_eq!(ask(&path, &Request::StepDown), [Answer::Done { done: true }]);
}

#[test]
fn a_node_that_panics_costs_one_answer_and_not_the_server() {
    let folder = Folder::new();
    let _server = start(Limits::default(), &folder.socket(), Fake::default());
    for _ in 0..CONNECTIONS_MAX + 1 {
        let answers = ask(&folder.socket(), &Request::Status);
        assert!(matches!(answers[..], [Answer::Error { code: ErrorCode::Failed, .. }]));
    }
}

#[test]
fn garbage_is_answered_with_an_error_and_the_connection_goes_on() {
    let folder = Folder::new();
    let _server = start(Limits::default(), &folder.socket(), Fake::default());
    let stream = raw(&folder.socket());
    let deep = [b"[".repeat(5000), b"\n".to_vec()].concat();
    let garbage: [&[u8]; 9] = [
        b"hello\n",
        b"\xff\xfe\x00\n",
        b"{}\n",
        b"{\"request\":\"explode\"}\n",
        b"{\"request\":\"list\",\"kind\":\"PONY\"}\n",
        b"{\"request\":\"list\",\"kind\":\"API\",\"limit\":0}\n",
        b"{\"request\":\"list\",\"kind\":\"API\",\"limit\":-1}\n",
        b"{\"request\":\"watch\",\"since\":\"yesterday\"}\n",
        &deep,
    ];
    for line in garbage {
        (&stream).write_all(line).unwrap();
        assert_eq!(code(&read_line(&stream)), ErrorCode::BadRequest, "{line:?}");
    }
    let long = "x".repeat(600);
    (&stream)
        .write_all(
            format!("{{\"request\":\"get\",\"kind\":\"API\",\"id\":\"{long}\"}}\n").as_bytes(),
        )
        .unwrap();
    assert_eq!(code(&read_line(&stream)), ErrorCode::BadRequest);
    (&stream).write_all(b"\n  \n{\"request\":\"step-down\"}\n").unwrap();
    assert_eq!(read_line(&stream).trim(), r#"{"answer":"done","done":true}"#);
}

#[test]
fn requests_in_pieces_and_several_at_once_are_understood() {
    let folder = Folder::new();
    let _server = start(Limits::default(), &folder.socket(), Fake::default());
    let stream = raw(&folder.socket());
    for piece in [&b"{\"request\":"[..], b"\"step-down\"}", b"\n{\"request\":\"step-down\"}\n{\"re"]
    {
        (&stream).write_all(piece).unwrap();
        std::thread::sleep(Duration::from_millis(20));
    }
    (&stream).write_all(b"quest\":\"step-down\"}").unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let lines = BufReader::new(&stream).lines().map(Result::unwrap).collect::<Vec<_>>();
    assert_eq!(lines, [r#"{"answer":"done","done":true}"#; 3]);
}

#[test]
fn a_request_that_is_too_long_ends_the_connection() {
    let folder = Folder::new();
    let _server = start(TIGHT, &folder.socket(), Fake::default());
    let mut stream = raw(&folder.socket());
    let _ = stream.write_all(&vec![b'x'; 8 << 10]);
    let mut reader = BufReader::new(&mut stream);
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    assert_eq!(code(&line), ErrorCode::TooLong);
    assert_ended(&mut reader);
}

#[test]
fn a_request_that_does_not_end_and_a_silent_client_are_given_up() {
    let folder = Folder::new();
    let _server = start(TIGHT, &folder.socket(), Fake::default());
    let mut half = raw(&folder.socket());
    half.write_all(b"{\"request\":").unwrap();
    // A byte now and then does not prolong it.
    let mut drip = half.try_clone().unwrap();
    std::thread::spawn(move || {
        while drip.write_all(b" ").is_ok() {
            std::thread::sleep(Duration::from_millis(30));
        }
    });
    let mut line = String::new();
    BufReader::new(&mut half).read_line(&mut line).unwrap();
    assert_eq!(code(&line), ErrorCode::Timeout);

    let begun = StdInstant::now();
    assert_ended(&mut raw(&folder.socket()));
    assert!(begun.elapsed() >= Duration::from_millis(250), "not before its time");
}

#[test]
fn only_so_many_connections_are_open_and_places_come_free() {
    let folder = Folder::new();
    let _server = start(TIGHT, &folder.socket(), Fake::default());
    let open: Vec<_> = (0..3)
        .map(|_| {
            let stream = raw(&folder.socket());
            (&stream).write_all(b"{\"request\":\"step-down\"}\n").unwrap();
            assert!(read_line(&stream).contains("done"));
            stream
        })
        .collect();
    let answers = ask(&folder.socket(), &Request::StepDown);
    assert!(matches!(answers[..], [Answer::Error { code: ErrorCode::Busy, .. }]), "{answers:?}");
    drop(open);
    let patience = StdInstant::now() + Duration::from_secs(5);
    while !matches!(ask(&folder.socket(), &Request::StepDown)[..], [Answer::Done { .. }]) {
        assert!(StdInstant::now() < patience, "places do not come free");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_watch_tells_changes_and_ends_with_the_client_or_the_node() {
    let folder = Folder::new();
    let key = |id| EntityKey::api_key("a", id, "s-1").into();
    let secret = br#"{"key":"0f6d2b9a-47aa-4f0e"}"#.as_slice();
    let changes = vec![(key("k-1"), Some(secret.into())), (key("k-2"), None)];
    let node = Fake::default();
    node.steps.lock().unwrap().push(Step { position: position(4), changes });
    let mut limits = TIGHT;
    limits.connections = 1;
    let server = start(limits, &folder.socket(), node);

    let mut client = Client::connect(&folder.socket()).unwrap();
    client.ask(&Request::Watch { since: None, payload: false }).unwrap();
    let mut next = || client.answer().unwrap();
    assert_eq!(next(), Some(Answer::Watching { position: position_text(position(3)) }));
    let Some(Answer::Change { position: at, action: Action::Deploy, entity }) = next() else {
        panic!("a deploy")
    };
    assert_eq!(at, position_text(position(4)));
    assert_eq!((entity.label.as_str(), entity.payload), ("key 0f6d…", None));
    let Some(Answer::Change { action: Action::Undeploy, entity, .. }) = next() else {
        panic!("an undeploy")
    };
    assert_eq!((entity.id.as_str(), entity.subscription.as_str()), ("k-2", "s-1"));
    // Longer than an idle client is kept: a watch is not idle.
    std::thread::sleep(TIGHT.idle + Duration::from_millis(100));
    assert!(matches!(
        ask(&folder.socket(), &Request::StepDown)[..],
        [Answer::Error { code: ErrorCode::Busy, .. }]
    ));

    drop(client);
    let patience = StdInstant::now() + Duration::from_secs(5);
    while !matches!(ask(&folder.socket(), &Request::StepDown)[..], [Answer::Done { .. }]) {
        assert!(StdInstant::now() < patience, "the watch outlives its client");
        std::thread::sleep(Duration::from_millis(10));
    }

    let patience = StdInstant::now() + Duration::from_secs(5);
    let mut client = loop {
        let mut client = Client::connect(&folder.socket()).unwrap();
        client.ask(&Request::Watch { since: None, payload: true }).unwrap();
        if matches!(client.answer().unwrap(), Some(Answer::Watching { .. })) {
            break client;
        }
        assert!(StdInstant::now() < patience, "no place for a second watch");
    };
    client.answer().unwrap();
    client.answer().unwrap();
    drop(server);
    assert_eq!(client.answer().unwrap(), None, "the server's end is the watch's end");
}

#[test]
fn a_watch_from_a_forgotten_position_or_of_a_stopped_node_says_so() {
    let folder = Folder::new();
    let node = Fake { stopped: AtomicBool::new(true), ..Fake::default() };
    let _server = start(Limits::default(), &folder.socket(), node);
    let cases = [(Position::START, ErrorCode::Behind), (position(3), ErrorCode::Stopped)];
    for (since, expected) in cases {
        let mut client = Client::connect(&folder.socket()).unwrap();
        let since = Some(position_text(since));
        client.ask(&Request::Watch { since, payload: false }).unwrap();
        assert!(matches!(client.answer().unwrap(), Some(Answer::Watching { .. })));
        let answer = client.answer().unwrap();
        assert!(matches!(answer, Some(Answer::Error { code, .. }) if code == expected));
        assert_eq!(client.answer().unwrap(), None);
    }
}

#[test]
fn a_client_that_does_not_read_is_given_up() {
    let folder = Folder::new();
    let mut limits = TIGHT;
    limits.connections = 1;
    let _server = start(limits, &folder.socket(), Fake::default());
    let mut deaf = raw(&folder.socket());
    deaf.set_write_timeout(Some(Duration::from_secs(5))).unwrap();
    let request = b"{\"request\":\"list\",\"kind\":\"API\",\"payload\":true}\n";
    // Neither side's buffer is endless: at some point the server can send no more, and hangs up.
    while deaf.write_all(request).is_ok() {}
    let patience = StdInstant::now() + Duration::from_secs(5);
    while !matches!(ask(&folder.socket(), &Request::StepDown)[..], [Answer::Done { .. }]) {
        assert!(StdInstant::now() < patience, "a deaf client keeps its place");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn socket_and_folder_are_for_their_owner_alone() {
    let folder = Folder::new();
    let path = folder.socket();
    let server = start(TIGHT, &path, Fake::default());
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&path), 0o600);
    assert_eq!(mode(path.parent().unwrap()), 0o700);
    let left: Vec<_> = fs::read_dir(path.parent().unwrap())
        .unwrap()
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with('.'))
        .collect();
    assert!(left.is_empty(), "nothing of the making is left: {left:?}");
    drop(server);
    assert!(!path.exists(), "the file goes with its server");
}

#[test]
fn a_dead_socket_is_replaced_and_a_living_one_is_not() {
    let folder = Folder::new();
    let path = folder.socket();
    let make = || serve_within(TIGHT, Arc::new(Fake::default()), &path, Thread::start());
    fs::create_dir(path.parent().unwrap()).unwrap();
    fs::set_permissions(path.parent().unwrap(), fs::Permissions::from_mode(0o755)).unwrap();
    drop(UnixListener::bind(&path).unwrap());
    assert!(path.exists(), "a dead process leaves its file");
    let server = make().expect("a dead socket is replaced");
    assert_eq!(make().unwrap_err().kind(), std::io::ErrorKind::AddrInUse);
    assert_eq!(ask(&path, &Request::StepDown), [Answer::Done { done: true }]);
    drop(server);

    let foreign = UnixListener::bind(&path).unwrap();
    assert_eq!(make().unwrap_err().kind(), std::io::ErrorKind::AddrInUse);
    drop(foreign);
}

#[test]
fn what_is_no_socket_of_ours_is_left_alone() {
    let folder = Folder::new();
    let path = folder.socket();
    let make = |path: &Path| serve_within(TIGHT, Arc::new(Fake::default()), path, Thread::start());
    fs::create_dir(path.parent().unwrap()).unwrap();
    fs::set_permissions(path.parent().unwrap(), fs::Permissions::from_mode(0o700)).unwrap();
    fs::write(&path, "precious").unwrap();
    assert_eq!(make(&path).unwrap_err().kind(), std::io::ErrorKind::AlreadyExists);
    assert_eq!(fs::read_to_string(&path).unwrap(), "precious");

    let link = path.with_file_name("link.sock");
    symlink(&path, &link).unwrap();
    assert_eq!(make(&link).unwrap_err().kind(), std::io::ErrorKind::AlreadyExists);
    assert_eq!(fs::read_to_string(&path).unwrap(), "precious");

    let linked = folder.0.join("linked");
    symlink(path.parent().unwrap(), &linked).unwrap();
    assert!(make(&linked.join("node.sock")).is_err(), "a linked folder");

    let lock = path.with_file_name("n.sock.lock");
    symlink(folder.0.join("elsewhere"), &lock).unwrap();
    assert!(make(&path.with_file_name("n.sock")).is_err(), "a linked lock");
    assert!(!folder.0.join("elsewhere").exists());

    let open = folder.0.join("open");
    fs::create_dir(&open).unwrap();
    fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).unwrap();
    let refused = make(&open.join("node.sock")).unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::PermissionDenied, "{refused}");
}

/// Fails unless the connection ends now, whichever way the system tells it.
fn assert_ended(stream: &mut impl Read) {
    match stream.read(&mut [0; 16]) {
        Ok(0) => {}
        Err(e) if e.kind() == std::io::ErrorKind::ConnectionReset => {}
        other => panic!("still open: {other:?}"),
    }
}
