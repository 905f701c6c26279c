//! Watches all nodes of a zone from outside.
//!
//! Each process that runs has a thread that lists what it holds and then reads its change feed. What a
//! node applied was acknowledged by the store: from then on it must never be lost.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;

use zonesync::admin::{
    Answer, Client, Credential, ErrorCode, PAGE_MAX, Request, parse_position, position_text,
};
use zonesync::core::id::Position;

use crate::nodes::{Node, ask, until};
use crate::rows::{Pair, api_of, text};
use crate::seen::{Fault, Kind, Name, Seen, Value};

/// How many broken promises are told in full.
const TOLD_MAX: usize = 20;

/// What was seen of a zone.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    /// The newest value that any node told of each row.
    acknowledged: Mutex<HashMap<Name, Value>>,
    /// Each change of a row, once.
    pub(crate) acknowledged_changes: AtomicU64,
    /// Acknowledged changes that some node lost or took back.
    pub(crate) lost: AtomicU64,
    /// Changes that a node told twice.
    pub(crate) twice: AtomicU64,
    /// Anything else.
    pub(crate) broken: AtomicU64,
    told: Mutex<Vec<String>>,
    primaries: Mutex<BTreeMap<String, String>>,
}

impl Watch {
    /// Watches a node until its process ends.
    pub(crate) fn follow(self: &Arc<Self>, node: &Node) {
        let (watch, socket, name) = (Arc::clone(self), node.socket().to_owned(), node.name.clone());
        thread::spawn(move || watch.read(&socket, &name));
    }

    /// Notes that a promise is broken.
    pub(crate) fn break_promise(&self, counter: &AtomicU64, what: String) {
        counter.fetch_add(1, Ordering::Relaxed);
        let mut told = locked(&self.told);
        if told.len() < TOLD_MAX {
            println!("  broken: {what}");
            told.push(what);
        }
    }

    fn read(&self, socket: &Path, name: &str) {
        let Ok(()) = until("the node answers", || Client::connect(socket).ok().map(drop)) else {
            return;
        };
        let mut seen = Seen::default();
        while self.read_feed(socket, name, &mut seen).is_some() {}
    }

    /// Lists, then reads changes. Some if the feed has to be started over.
    fn read_feed(&self, socket: &Path, name: &str, seen: &mut Seen) -> Option<()> {
        let (from, keys_at) = list_both(socket, seen)?;
        let mut client = Client::connect(socket).ok()?;
        let since = Some(position_text(from));
        client.ask(&Request::Watch { since, payload: true }).ok()?;
        loop {
            match client.answer().ok()?? {
                Answer::Change { position, action, entity } => {
                    // What the listing of keys had already.
                    let listed = entity.kind == "API_KEY"
                        && parse_position(&position).is_some_and(|at| at <= keys_at);
                    if listed {
                        continue;
                    }
                    if let Some((row, value, fault)) = seen.change(&position, action, &entity) {
                        self.take(name, &position, row, value, fault);
                    }
                }
                Answer::Error { code: ErrorCode::Behind, .. } => return Some(()),
                Answer::Error { .. } => return None,
                _ => {}
            }
        }
    }

    fn take(&self, node: &str, position: &str, row: Name, value: Value, fault: Option<Fault>) {
        let (kind, number) = row;
        let what = |how: &str| format!("{node} {how}: {kind:?} {number} {value:?} at {position}");
        match fault {
            Some(Fault::Back) => self.break_promise(&self.lost, what("went back")),
            Some(Fault::Twice) => self.break_promise(&self.twice, what("applied twice")),
            Some(Fault::Position) => self.break_promise(&self.broken, what("left its order")),
            None => {}
        }
        let mut acknowledged = locked(&self.acknowledged);
        let newest = acknowledged.entry(row).or_insert(Value { revision: 0, on: false });
        let newer = (value.revision, !value.on) > (newest.revision, !newest.on);
        if newer {
            *newest = value;
            self.acknowledged_changes.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Notes who calls itself primary: a term has one.
    pub(crate) fn look(&self, node: &Node) {
        let Some(status) = node.status() else { return };
        if status["role"] != "primary" {
            return;
        }
        let (term, instance) = (status["term"].to_string(), status["instance"].to_string());
        let mut primaries = locked(&self.primaries);
        let first = primaries.entry(term.clone()).or_insert_with(|| instance.clone());
        if *first != instance {
            let what = format!("{first} and {instance} both lead {term}");
            self.break_promise(&self.broken, what);
        }
    }

    /// Compares what a node holds with the rows, which rest.
    pub(crate) fn compare(&self, node: &Node, pairs: &[Pair]) -> Result<(), String> {
        let held = list(node).ok_or_else(|| format!("{} does not list", node.name))?;
        let wanted = wanted(pairs);
        let differing = wanted.iter().filter(|(row, revision)| held.get(row) != Some(revision));
        let (missing, extra) = (differing.count(), held.len() as i64 - wanted.len() as i64);
        if missing > 0 || extra != 0 {
            return Err(format!("{} differs from {missing} rows, {extra} too many", node.name));
        }
        Ok(())
    }

    /// Checks that a node at rest holds all that was acknowledged, or what came after it.
    pub(crate) fn check_lost(&self, node: &Node, pairs: &[Pair]) {
        let (held, wanted) = (list(node).unwrap_or_default(), wanted(pairs));
        for (row, value) in locked(&self.acknowledged).iter().filter(|(_, value)| value.on) {
            let now = held.get(row).copied().unwrap_or_default();
            let row_says_gone = !wanted.contains_key(row);
            if now < value.revision && !row_says_gone {
                let what = format!("{} lost {row:?} {value:?}, holds {now}", node.name);
                self.break_promise(&self.lost, what);
            }
        }
    }

    /// Looks keys up that were revoked, and some that are good.
    pub(crate) fn look_up(&self, node: &Node, pairs: &[Pair]) {
        for (number, pair) in pairs.iter().enumerate().step_by(7) {
            for (revision, good) in [(pair.key, pair.key_on), (pair.key - 1, false)] {
                let credential = Credential::Key(text(number, revision));
                let request =
                    Request::Lookup { api: api_of(number), credential, plan: None, payload: false };
                let found = matches!(ask(node.socket(), &request), Some(Answer::Found { .. }));
                if found != good {
                    let what = format!("{}: key {number} of {revision} found: {found}", node.name);
                    self.break_promise(&self.lost, what);
                }
            }
        }
    }
}

/// What the rows ask for: the revision of each that is on.
fn wanted(pairs: &[Pair]) -> HashMap<Name, u32> {
    let rows = pairs.iter().enumerate().flat_map(|(number, pair)| {
        let key = pair.key_on.then_some(((Kind::Key, number), pair.key));
        [Some(((Kind::Subscription, number), pair.subscription)), key]
    });
    rows.flatten().collect()
}

/// Lists both kinds of a node. None if it does not answer, or moved between the two.
fn list(node: &Node) -> Option<HashMap<Name, u32>> {
    let mut seen = Seen::default();
    list_both(node.socket(), &mut seen)?;
    Some(seen.deployed())
}

/// Lists both kinds, and gives the positions at which each was listed.
fn list_both(socket: &Path, seen: &mut Seen) -> Option<(Position, Position)> {
    *seen = Seen::default();
    let first = list_kind(socket, "SUBSCRIPTION", seen)?;
    let second = list_kind(socket, "API_KEY", seen)?;
    seen.stand(first);
    Some((first, second))
}

/// Lists one kind, at one position: starts over if it moved between two pages.
fn list_kind(socket: &Path, kind: &str, seen: &mut Seen) -> Option<Position> {
    let mut client = Client::connect(socket).ok()?;
    'over: loop {
        let (mut after, mut at) = (None, None);
        loop {
            let (kind, limit) = (kind.to_owned(), PAGE_MAX);
            client.ask(&Request::List { kind, limit, after: after.take(), payload: true }).ok()?;
            loop {
                match client.answer().ok()?? {
                    Answer::Entity(entity) => {
                        seen.list(&entity);
                        after = Some(entity.key());
                    }
                    Answer::End { position, more } => {
                        let position = parse_position(&position)?;
                        if *at.get_or_insert(position) != position {
                            continue 'over;
                        }
                        if !more {
                            return Some(position);
                        }
                        break;
                    }
                    _ => return None,
                }
            }
        }
    }
}

fn locked<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().expect("no watcher panics")
}
