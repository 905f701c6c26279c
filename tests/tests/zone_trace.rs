//! What a zone tells through tracing: every stage with zone, node and position, and no secret.

use std::io::Write;
use std::sync::{Arc, Mutex};

use tracing_subscriber::fmt::MakeWriter;
use zonesync::core::id::EntityKey;
use zonesync_tests::rows::{Rows, SECRET, apis, subscriptions};
use zonesync_tests::zone::Zone;

/// Gathers all that is told.
#[derive(Clone, Debug, Default)]
struct Told(Arc<Mutex<Vec<u8>>>);

impl Told {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Told {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Told {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[test]
fn every_stage_is_told_and_no_secret() {
    let told = Told::default();
    tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .with_writer(told.clone())
        .init();
    let rows = Rows::default();
    rows.set_all(apis(7));
    rows.set_all(subscriptions(0, 50));
    // A key whose id is its secret, as old installations have them.
    let old = format!("{SECRET}-old");
    let key = EntityKey::api_key("api-1", &old, "sub-1");
    rows.set(key, &format!(r#"{{"id":"{old}","key":"{old}","api":"api-1","active":true}}"#));
    rows.set(
        EntityKey::api_key("api-1", &format!("{SECRET}-huge"), "sub-2"),
        &"x".repeat(17 << 20),
    );
    rows.poison(EntityKey::api_key("api-2", &format!("{SECRET}-bad"), "sub-2"));
    let mut zone = Zone::new("told", rows.clone());
    zone.least = 0;
    zone.start_all(&["a", "b", "c"]);
    let quiet = || {
        let all = zone.statuses();
        all.iter().all(|s| s.in_sync && s.position == all[0].position)
            && all.iter().any(|s| s.primary.is_some() && s.counters.reigns > 0)
    };
    zone.until("a first state", quiet);
    let applied = || zone.statuses().iter().map(|s| s.counters.applied).sum::<u64>();
    let before = applied();
    rows.set_all(subscriptions(50, 5));
    rows.off(key);
    zone.until("batches on the others", || applied() >= before + 2 && quiet());
    zone.store.clear();
    zone.until("a mended store", || told.text().contains("claimed it") && quiet());
    drop(zone);

    let text = told.text();
    for (stage, fields) in [
        ("election: this node is primary", &["term="][..]),
        ("publish: reign begun", &["position="]),
        ("read: repository", &["rows=", "changes=", "took="]),
        ("publish: batch", &["position=", "changes=", "bytes="]),
        ("publish: snapshot", &["position=", "entities=", "bytes="]),
        ("apply: entry", &["position=", "changes=", "bytes="]),
        ("heal: ", &["position="]),
        ("ready", &["position="]),
    ] {
        let mut lines = text.lines().filter(|line| line.contains(stage)).peekable();
        assert!(lines.peek().is_some(), "nothing of {stage:?} in\n{text}");
        for line in lines {
            for field in ["zone=told", "node="].iter().chain(fields) {
                assert!(line.contains(field), "no {field} in {line}");
            }
        }
    }
    assert!(!text.contains(SECRET), "a secret in {:?}", text.lines().find(|l| l.contains(SECRET)));
}
