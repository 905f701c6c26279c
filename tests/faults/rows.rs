//! The management repository: a folder of files whose rows change.
//!
//! Each pair is a subscription and its API key. A row's revision stands in what it publishes: the
//! client id of a subscription, the text of a key. So whoever watches can tell a newer value from an
//! older one.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::{Mutex, MutexGuard};

use zonesync::runtime::wall_now;
use zonesync_tests::Folder;
use zonesync_tests::data::Random;

/// How many APIs the subscriptions are spread over.
const APIS: usize = 4;

/// How many pairs stand in one file, which is written anew when one of them changes.
const FILE_PAIRS: usize = 25;

/// A subscription and its key, as they stand. Revisions count from one; zero is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pair {
    /// The revision of the subscription.
    pub(crate) subscription: u32,
    /// The revision of the key. Each has another text.
    pub(crate) key: u32,
    /// The key is not revoked.
    pub(crate) key_on: bool,
}

/// The rows.
#[derive(Debug)]
pub(crate) struct Rows {
    folder: Folder,
    held: Mutex<Held>,
}

#[derive(Debug)]
struct Held {
    pairs: Vec<Pair>,
    random: Random,
    changes: u64,
}

impl Rows {
    /// Writes `count` pairs and their APIs.
    pub(crate) fn new(count: usize, seed: u64) -> Self {
        let pairs = vec![Pair { subscription: 1, key: 1, key_on: true }; count];
        let held = Held { pairs, random: Random(seed), changes: 0 };
        let rows = Self { folder: Folder::new("fault-rows"), held: Mutex::new(held) };
        rows.folder.write(
            "environments.json",
            r#"[{"id":"env","hrids":["env"],"name":"Env","organizationId":"org"}]"#,
        );
        (0..APIS).for_each(|number| rows.folder.write(&format!("api-{number}.json"), api(number)));
        let held = rows.held();
        (0..count.div_ceil(FILE_PAIRS)).for_each(|file| rows.write(&held.pairs, file));
        drop(held);
        rows
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().expect("no change panics")
    }

    /// Gives the folder.
    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Copies how all rows stand.
    pub(crate) fn pairs(&self) -> Vec<Pair> {
        self.held().pairs.clone()
    }

    /// Counts the changes so far.
    pub(crate) fn changes(&self) -> u64 {
        self.held().changes
    }

    /// Changes `count` rows of one file.
    pub(crate) fn change(&self, count: usize) {
        let mut held = self.held();
        let Held { pairs, random, changes } = &mut *held;
        let file = random.below(pairs.len().div_ceil(FILE_PAIRS));
        let first = file * FILE_PAIRS;
        let size = FILE_PAIRS.min(pairs.len() - first);
        for _ in 0..count {
            change(&mut pairs[first + random.below(size)], random);
        }
        *changes += count as u64;
        self.write(&held.pairs, file);
    }

    fn write(&self, pairs: &[Pair], file: usize) {
        let first = file * FILE_PAIRS;
        let now = wall_now().as_millis();
        let (mut subscriptions, mut keys) = (String::new(), String::new());
        for (number, pair) in pairs.iter().enumerate().skip(first).take(FILE_PAIRS) {
            let comma = if number == first { "" } else { ",\n" };
            let api = number % APIS;
            let common = format!(
                r#""environmentId":"env","application":"app-{number}","createdAt":1760000000000,"updatedAt":{now}"#
            );
            let _ = write!(
                subscriptions,
                r#"{comma}{{"id":"sub-{number}","referenceType":"API","referenceId":"api-{api}","plan":"plan-{api}",
 "clientId":"{}","status":"ACCEPTED","consumerStatus":"STARTED","type":"STANDARD","startingAt":1760000000000,{common}}}"#,
                text(number, pair.subscription),
            );
            let _ = write!(
                keys,
                r#"{comma}{{"id":"key-{number}","key":"{}","subscriptions":["sub-{number}"],"revoked":{},"paused":false,{common}}}"#,
                text(number, pair.key),
                !pair.key_on,
            );
        }
        let text = format!("{{\"subscriptions\":[{subscriptions}],\n\"keys\":[{keys}]}}\n");
        // Renamed into its place, so that no node reads half of it.
        let path = self.path().join(format!("pairs-{file}.json"));
        let fresh = self.path().join(format!(".pairs-{file}.fresh"));
        std::fs::write(&fresh, text).expect("a file can be written");
        std::fs::rename(fresh, path).expect("a file can be renamed");
    }
}

fn change(pair: &mut Pair, random: &mut Random) {
    match random.below(4) {
        0 if pair.key_on => pair.key_on = false,
        0 | 1 => {
            pair.key += 1;
            pair.key_on = true;
        }
        _ => pair.subscription += 1,
    }
}

/// Writes the client id, or the text of the key, of a pair in a revision.
pub(crate) fn text(number: usize, revision: u32) -> String {
    format!("pair-{number}-revision-{revision}")
}

/// Reads back what [`text`] wrote, wherever it stands in a payload.
pub(crate) fn revision(payload: &str) -> Option<u32> {
    let (_, rest) = payload.split_once("-revision-")?;
    rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

/// Gives the API of a pair.
pub(crate) fn api_of(number: usize) -> String {
    format!("api-{}", number % APIS)
}

fn api(number: usize) -> String {
    format!(
        r#"{{"id":"api-{number}","name":"Api {number}","version":"1","gravitee":"2.0.0","environmentId":"env",
 "deployedAt":1760000000000,"proxy":{{"virtual_hosts":[{{"path":"/api-{number}"}}],"groups":[]}},"flows":[],"resources":[],
 "plans":[{{"id":"plan-{number}","name":"Key","security":"API_KEY","securityDefinition":"{{}}","status":"PUBLISHED","flows":[]}}]}}"#
    )
}
