//! The admin socket: what a client sends to a real node, and what a server sends to a client.

use std::future::pending;
use std::io::{Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use zonesync::admin::{self, AdminServer, Answer, Request, parse_position};
use zonesync::entity::Entity;
use zonesync::repository::{Found, ManagementRepository, Read, Reading, Reply};
use zonesync::runtime::Smol;
use zonesync::store::memory::{MemoryOptions, MemoryStore};
use zonesync::{Options, Parts, ZoneSync};
use zonesync_core::id::EntityKeyBuf;

use crate::seal::entities;

/// How long a server may take with one input.
const PATIENCE: Duration = Duration::from_secs(8);

/// Asks a node, and reads as a client would.
pub fn run(bytes: &[u8]) {
    if let Ok(request) = serde_json::from_slice::<Request>(bytes) {
        let text = serde_json::to_vec(&request).expect("a request can be written");
        assert_eq!(serde_json::from_slice::<Request>(&text).ok().as_ref(), Some(&request));
    }
    let _ = serde_json::from_slice::<Answer>(bytes);
    let _ = std::str::from_utf8(bytes).map(parse_position);
    let mut stream = UnixStream::connect(SERVER.1.path()).expect("the server answers");
    stream.set_read_timeout(Some(PATIENCE)).expect("a time is given");
    stream.set_write_timeout(Some(PATIENCE)).expect("a time is given");
    // The server may have had enough, and closed its end.
    let _ = stream.write_all(bytes).and_then(|()| stream.shutdown(Shutdown::Write));
    let mut answers = Vec::new();
    if let Err(error) = stream.read_to_end(&mut answers) {
        let gone = [std::io::ErrorKind::ConnectionReset, std::io::ErrorKind::BrokenPipe];
        assert!(gone.contains(&error.kind()), "no end of the answers: {error}");
        return;
    }
    for line in answers.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        serde_json::from_slice::<Answer>(line).expect("an answer is one");
    }
}

/// One request of each sort.
pub fn seeds() -> Vec<Vec<u8>> {
    let seeds = [
        r#"{"request":"status"}"#,
        r#"{"request":"list","kind":"API","limit":2,"payload":true}"#,
        r#"{"request":"list","kind":"subscription","after":{"scope":"a","id":"b","subscription":""}}"#,
        r#"{"request":"get","kind":"API_KEY","id":"key","scope":"api","subscription":"sub"}"#,
        r#"{"request":"lookup","api":"api","credential":{"key":"secret"},"plan":"p","payload":true}"#,
        r#"{"request":"lookup","api":"api","credential":{"client":"c"}}"#,
        r#"{"request":"lookup","api":"api","credential":{"md5":"5ebe2294ecd0e0f08eab7690d2a6ee69"}}"#,
        r#"{"request":"watch","since":"e1/t00000000000000000000000000000007/s2"}"#,
        r#"{"request":"watch"}"#,
        r#"{"request":"verify"}"#,
        r#"{"request":"confirm-removal","token":"00"}"#,
        "{\"request\":\"status\"}\n\n{\"request\":\"verify\"}\nno request\n",
        r#"{"answer":"end","position":"e7/t0000000000000000000000000000009a/s1042","more":true}"#,
    ]
    .map(|text| text.as_bytes().to_vec());
    for seed in seeds.iter().filter(|seed| seed.starts_with(br#"{"request""#)) {
        let line = seed.split(|byte| *byte == b'\n').next().unwrap_or_default();
        serde_json::from_slice::<Request>(line).expect("a seed is a request");
    }
    seeds.into()
}

/// A node with some entities, and its socket.
static SERVER: LazyLock<(Arc<ZoneSync>, AdminServer)> = LazyLock::new(|| {
    let runtime = Arc::new(Smol::new(2).expect("threads can be started"));
    let zone: zonesync_core::id::ZoneName = "fuzz".parse().expect("a name");
    let store = MemoryStore::new(zone.clone(), runtime.clone(), MemoryOptions::default());
    let node = Arc::new(ZoneSync::start_with(Parts {
        zone,
        node: "fuzz".parse().expect("a name"),
        runtime: runtime.clone(),
        store: Arc::new(store),
        repository: Some(Arc::new(Rows)),
        image: None,
        options: Options::default(),
    }));
    assert!(node.wait_ready(Duration::from_secs(30)), "the node is ready");
    let path: PathBuf = std::env::temp_dir().join(format!("zonesync-fuzz-{}", std::process::id()));
    let server = admin::serve(node.clone(), &path.join("socket"), runtime).expect("it listens");
    (node, server)
});

/// A repository that never changes.
#[derive(Debug)]
struct Rows;

impl ManagementRepository for Rows {
    fn read(&self, _: Read) -> Reply<'_, Reading> {
        let entity = |(key, payload): (zonesync_core::id::EntityKey<'_>, &[u8])| Entity {
            key: key.into(),
            payload: payload.into(),
        };
        let mut all: Vec<_> = entities().into_iter().map(entity).collect();
        all.sort_by(|a, b| a.key.cmp(&b.key));
        let rows = all.len() as u64;
        Box::pin(
            async move { Ok(Reading { full: true, entities: all, rows, ..Reading::default() }) },
        )
    }

    fn find(&self, keys: Vec<EntityKeyBuf>) -> Reply<'_, Vec<Found>> {
        Box::pin(async move { Ok(vec![Found::Present; keys.len()]) })
    }

    fn changed(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(pending())
    }
}
