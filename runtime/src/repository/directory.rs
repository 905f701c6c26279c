//! A folder of files as management repository.
//!
//! API definitions stand one to a file, JSON or YAML; everything else stands in files of rows (see
//! `file`). Files are read when they changed, and all of them are known at any time: so every
//! read is a full one. A file that cannot be read keeps what it last held, and is quarantined.
//!
//! What happens in the folder is told by inotify; a poll looks after it where that says nothing.

mod export;
mod file;
mod scan;
mod yaml;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::future::Future;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::{fmt, io};

use async_channel::{Receiver, Sender};
use futures_lite::FutureExt;
use notify::event::{AccessKind, AccessMode, EventKind};
use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use sha2::{Digest, Sha256};
use zonesync_core::id::EntityKeyBuf;
use zonesync_core::time::{Duration, WallTime};

use super::mapping::{BadRow, Mapper, MappingOptions, Origin, Row, Table};
use super::{Found, ManagementRepository, Quarantined, Read, Reading, Reply, RepositoryError};
use crate::runtime::Runtime;
use file::{Placed, ROWS_MAX};
use scan::{Scan, Seen, Stamp};

/// The most bytes of one file: 16 MiB.
pub const FILE_MAX: u64 = 16 << 20;

/// Where the files are, and how they are looked after.
#[derive(Clone, Debug)]
pub struct DirectoryOptions {
    /// The folder.
    pub path: PathBuf,
    /// How rows are mapped.
    pub mapping: MappingOptions,
    /// How long to wait for more changes after the first.
    pub debounce: Duration,
    /// How often to look by oneself, for folders whose changes are not told (network mounts).
    pub poll: Duration,
}

impl DirectoryOptions {
    /// Takes a folder, with the usual times.
    pub fn new(path: impl Into<PathBuf>, mapping: MappingOptions) -> Self {
        let (debounce, poll) = (Duration::from_millis(50), Duration::from_secs(2));
        Self { path: path.into(), mapping, debounce, poll }
    }
}

/// A management repository in a folder.
pub struct Directory {
    path: PathBuf,
    debounce: Duration,
    poll: Duration,
    runtime: Arc<dyn Runtime>,
    shared: Arc<Mutex<Held>>,
    wake: Receiver<()>,
    waker: Sender<()>,
}

impl fmt::Debug for Directory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Directory").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Directory {
    /// Opens a folder. It may appear later: until then, reads say that it is unavailable.
    pub fn open(
        options: DirectoryOptions,
        runtime: Arc<dyn Runtime>,
    ) -> Result<Self, RepositoryError> {
        if options.path.as_os_str().is_empty() {
            return Err(RepositoryError::Denied("the folder has no name".into()));
        }
        if options.path.is_file() {
            let path = options.path.display();
            return Err(RepositoryError::Denied(format!("{path} is a file and no folder")));
        }
        // One place is enough: a wake-up that already waits says as much as two.
        let (waker, wake) = async_channel::bounded(1);
        let held = Held {
            files: BTreeMap::new(),
            seen: None,
            mapper: Mapper::new(options.mapping),
            unread: false,
            faults: Vec::new(),
            watcher: None,
            loaded: false,
        };
        let directory = Self {
            path: options.path,
            debounce: options.debounce,
            poll: options.poll,
            runtime,
            shared: Arc::new(Mutex::new(held)),
            wake,
            waker,
        };
        directory.with(|held, path, waker| held.watch(path, waker));
        Ok(directory)
    }

    fn with<T>(&self, act: impl FnOnce(&mut Held, &Path, &Sender<()>) -> T) -> T {
        // After a panic in a read, what is held is at worst outdated, and is read again.
        let mut held = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        act(&mut held, &self.path, &self.waker)
    }

    /// Runs `act` where it may block, and never twice at once.
    fn blocking<T: Send + 'static>(
        &self,
        act: impl FnOnce(&mut Held, &Path, &Sender<()>, WallTime) -> T + Send + 'static,
    ) -> impl Future<Output = T> + Send + 'static {
        let shared = Arc::clone(&self.shared);
        let (path, waker) = (self.path.clone(), self.waker.clone());
        let now = self.runtime.wall_now();
        blocking::unblock(move || {
            let mut held = shared.lock().unwrap_or_else(PoisonError::into_inner);
            act(&mut held, &path, &waker, now)
        })
    }
}

impl ManagementRepository for Directory {
    fn read(&self, _: Read) -> Reply<'_, Reading> {
        Box::pin(self.blocking(|held, path, waker, now| {
            held.watch(path, waker);
            held.read(path, now)
        }))
    }

    fn find(&self, keys: Vec<EntityKeyBuf>) -> Reply<'_, Vec<Found>> {
        Box::pin(self.blocking(move |held, path, _, now| held.find(path, &keys, now)))
    }

    fn changed(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async move {
            loop {
                let told = async { self.wake.recv().await.is_ok() };
                let polled = async {
                    self.runtime.sleep(self.poll).await;
                    false
                };
                let told = told.or(polled).await;
                if told {
                    self.runtime.sleep(self.debounce).await;
                    while self.wake.try_recv().is_ok() {}
                    return;
                }
                if self.blocking(|held, path, _, _| held.is_outdated(path)).await {
                    return;
                }
            }
        })
    }
}

/// What is wrong with a file, and at which line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) line: usize,
    pub(crate) reason: String,
}

impl Fault {
    pub(crate) fn at(line: usize, reason: impl Into<String>) -> Self {
        Self { line: line.max(1), reason: reason.into() }
    }
}

/// One file, as it was last read.
#[derive(Default)]
struct Known {
    stamp: Option<Stamp>,
    /// Content and the date that was taken for it.
    content: Option<([u8; 32], WallTime)>,
    rows: Vec<Placed>,
    fault: Option<Fault>,
    /// `rows` are those of a good version, if an old one.
    good: bool,
}

struct Held {
    files: BTreeMap<String, Known>,
    /// The folder as it was at the last read.
    seen: Option<Scan>,
    mapper: Mapper,
    /// Some file could never be read: what it holds is not known.
    unread: bool,
    faults: Vec<Quarantined>,
    /// With the folder that is watched, by its number: a new one of the same name needs a new one.
    watcher: Option<(RecommendedWatcher, (u64, u64))>,
    /// The mapper holds what the files hold.
    loaded: bool,
}

impl Held {
    /// Sees to it that changes are told. Without, the poll finds them.
    fn watch(&mut self, path: &Path, waker: &Sender<()>) {
        use std::os::unix::fs::MetadataExt;
        let Ok(metadata) = std::fs::metadata(path) else {
            self.watcher = None;
            return;
        };
        let number = (metadata.dev(), metadata.ino());
        if self.watcher.as_ref().is_some_and(|(_, watched)| *watched == number) {
            return;
        }
        let waker = waker.clone();
        let tell = move |event: notify::Result<notify::Event>| {
            // Our own reading is told too, and must not wake us.
            let ours = |kind: EventKind| {
                let written = AccessKind::Close(AccessMode::Write);
                matches!(kind, EventKind::Access(access) if access != written)
            };
            if !event.is_ok_and(|event| ours(event.kind)) {
                let _ = waker.try_send(());
            }
        };
        let watcher = notify::recommended_watcher(tell).and_then(|mut watcher| {
            watcher.watch(path, RecursiveMode::Recursive)?;
            Ok(watcher)
        });
        match watcher {
            Ok(watcher) => self.watcher = Some((watcher, number)),
            Err(e) => {
                self.watcher = None;
                tracing::warn!(path = %path.display(), "folder is polled, not watched: {e}");
            }
        }
    }

    fn is_outdated(&self, path: &Path) -> bool {
        scan::scan(path).ok() != self.seen
    }

    fn read(&mut self, path: &Path, now: WallTime) -> Result<Reading, RepositoryError> {
        let partial = self.refresh(path)?;
        let mut reading = self.mapper.map(now)?;
        reading.incomplete = partial;
        reading.quarantined.extend(self.faults.iter().cloned());
        Ok(reading)
    }

    fn find(
        &mut self,
        path: &Path,
        keys: &[EntityKeyBuf],
        now: WallTime,
    ) -> Result<Vec<Found>, RepositoryError> {
        let before = self.seen.take();
        let partial = self.refresh(path)?;
        // What changed since the last read is still to be read.
        if before != self.seen {
            self.seen = None;
        }
        let mut found = self.mapper.find(keys, now)?;
        // What is not there may stand in a file that could never be read: it was only missed.
        if partial || self.unread {
            let missing = found.iter_mut().filter(|found| **found == Found::Missing);
            missing.for_each(|found| *found = Found::Present);
        }
        Ok(found)
    }

    /// Reads what changed since the last time; says whether something may have been missed.
    fn refresh(&mut self, path: &Path) -> Result<bool, RepositoryError> {
        let scan = scan::scan(path).map_err(|e| {
            self.seen = None;
            RepositoryError::Unavailable(format!("{}: {e}", path.display()))
        })?;
        if let Some(bound) = &scan.beyond {
            return Err(RepositoryError::Denied(format!("{}: {bound}", path.display())));
        }
        let mut partial = scan.partial;
        let names: BTreeSet<&str> = scan.files.iter().map(|seen| seen.name.as_str()).collect();
        let before = self.files.len();
        self.files.retain(|name, _| names.contains(name.as_str()));
        let mut changed = before != self.files.len() || !self.loaded;
        for seen in &scan.files {
            let known = self.files.entry(seen.name.clone()).or_default();
            match &seen.stamp {
                Ok(stamp) if known.stamp.as_ref() == Some(stamp) => {}
                Ok(stamp) => {
                    changed = true;
                    partial |= !known.renew(seen, *stamp);
                }
                Err(reason) => {
                    changed |= known.stamp.take().is_some() || known.fault.is_none();
                    known.fault = Some(Fault::at(0, reason.clone()));
                }
            }
        }
        if changed {
            // What is only half there must not be taken for loaded.
            self.loaded = false;
            self.load()?;
            self.loaded = true;
        }
        self.seen = Some(scan);
        Ok(partial)
    }

    /// Hands all rows to the mapper, in the order of file names.
    fn load(&mut self) -> Result<(), RepositoryError> {
        let total: usize = self.files.values().map(|file| file.rows.len()).sum();
        if total > ROWS_MAX {
            let reason = format!("{total} rows, of {ROWS_MAX} that a folder may have");
            return Err(RepositoryError::Denied(reason));
        }
        self.mapper.clear();
        self.faults.clear();
        self.unread = false;
        for (name, file) in &self.files {
            let source: Arc<str> = name.as_str().into();
            for placed in &file.rows {
                let origin = Origin { source: Arc::clone(&source), line: Some(placed.line) };
                let (table, id) = match &placed.row {
                    Ok(row) => (row.table, Some(&*row.id)),
                    Err(bad) => (bad.table, bad.id.as_deref()),
                };
                if let Some(first) = id.and_then(|id| self.mapper.origin(table, id)) {
                    let id = id.unwrap_or_default();
                    self.faults.push(twice(&placed.row, table, id, first, &origin));
                    continue;
                }
                self.mapper.put(placed.row.clone(), origin);
            }
            if let Some(fault) = &file.fault {
                self.unread |= !file.good;
                self.faults.extend(fault.quarantined(name, file));
            }
        }
        Ok(())
    }
}

/// Says that an id stands in two places; the first one counts.
fn twice(
    row: &Result<Arc<Row>, BadRow>,
    table: Table,
    id: &str,
    first: &Origin,
    second: &Origin,
) -> Quarantined {
    let at = |origin: &Origin| format!("{}:{}", origin.source, origin.line.unwrap_or(1));
    let (first, place) = (at(first), at(second));
    let key = match row {
        Ok(row) => row.key(),
        Err(bad) => bad.key.clone(),
    };
    let what = if table == Table::EventsLatest { "an API or other item" } else { table.name() };
    let reason = format!("{what} with id `{id}` stands in {first} already, which is the one used");
    Quarantined { kind: key.as_ref().map(|key| key.as_ref().kind), key, place, reason }
}

impl Fault {
    /// Tells of a file, once for each entity that stays as it was, or once if none is known.
    fn quarantined(&self, name: &str, file: &Known) -> Vec<Quarantined> {
        let place = format!("{name}:{}", self.line);
        let kept = match file.good {
            true => "; what it held before stays",
            false => "",
        };
        let reason = format!("{}{kept}", self.reason);
        let one = |key: Option<EntityKeyBuf>| Quarantined {
            kind: key.as_ref().map(|key| key.as_ref().kind),
            key,
            place: place.clone(),
            reason: reason.clone(),
        };
        // For a file of many rows one line says it; they all stay, being rows like any other.
        match file.rows.as_slice() {
            [Placed { row: Ok(row), .. }] => vec![one(row.key())],
            _ => vec![one(None)],
        }
    }
}

impl Known {
    /// Reads the file anew. False if it went away meanwhile.
    fn renew(&mut self, seen: &Seen, stamp: Stamp) -> bool {
        self.stamp = Some(stamp);
        let text = match content(&seen.path, stamp) {
            Ok(text) => text,
            Err(Unreadable::Gone) => {
                self.stamp = None;
                return false;
            }
            Err(Unreadable::Fault(fault)) => {
                self.fault = Some(fault);
                return true;
            }
        };
        let hash: [u8; 32] = Sha256::digest(text.as_bytes()).into();
        let dated = match self.content {
            Some((known, date)) if known == hash => date,
            _ => stamp.modified(),
        };
        let path = Path::new(&seen.name);
        let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        let is_json = path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("json"));
        match file::read(&text, !is_json, stem, dated) {
            Ok(rows) => {
                *self = Self {
                    stamp: Some(stamp),
                    content: Some((hash, dated)),
                    rows,
                    fault: None,
                    good: true,
                };
            }
            Err(fault) => self.fault = Some(fault),
        }
        true
    }
}

enum Unreadable {
    Gone,
    Fault(Fault),
}

/// Reads a file's text, never more of it than a file may have.
fn content(path: &Path, stamp: Stamp) -> Result<String, Unreadable> {
    let fault = |line, reason: String| Unreadable::Fault(Fault::at(line, reason));
    let too_large = || fault(1, format!("larger than {} MiB", FILE_MAX >> 20));
    if stamp.size() > FILE_MAX {
        return Err(too_large());
    }
    let failed = |e: io::Error| match e.kind() {
        io::ErrorKind::NotFound => Unreadable::Gone,
        _ => fault(1, format!("cannot be read: {e}")),
    };
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(failed)?;
    file.take(FILE_MAX + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > FILE_MAX {
        return Err(too_large());
    }
    String::from_utf8(bytes).map_err(|e| {
        let good = e.utf8_error().valid_up_to();
        let line = 1 + e.as_bytes()[..good].iter().filter(|byte| **byte == b'\n').count();
        fault(line, "not UTF-8 text".into())
    })
}
