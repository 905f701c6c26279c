//! What lies in the folder: names and stamps, without reading a file.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use zonesync_core::time::WallTime;

/// The most files of a folder, those below included.
pub(super) const FILES_MAX: usize = 100_000;

/// The most levels of folders.
pub(super) const LEVELS_MAX: usize = 16;

/// Tells one state of a file from another, so that only changed files are read again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    size: u64,
    file: (u64, u64),
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    pub(super) fn of(metadata: &Metadata) -> Self {
        Self {
            size: metadata.len(),
            file: (metadata.dev(), metadata.ino()),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    pub(super) fn size(&self) -> u64 {
        self.size
    }

    pub(super) fn modified(&self) -> WallTime {
        WallTime::from_millis(self.modified.0 * 1000 + self.modified.1 / 1_000_000)
    }
}

/// A file that was found, or why it may not be read.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Seen {
    /// Its place below the folder: what people are told.
    pub(super) name: String,
    pub(super) path: PathBuf,
    pub(super) stamp: Result<Stamp, String>,
}

/// What a walk through the folder gave.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Scan {
    /// Files in the order of their names.
    pub(super) files: Vec<Seen>,
    /// Something vanished on the way, or could not be listed.
    pub(super) partial: bool,
    /// A bound was passed; its name and number.
    pub(super) beyond: Option<String>,
}

/// Walks through `root`, which must be a folder that can be listed.
pub(super) fn scan(root: &Path) -> io::Result<Scan> {
    let root = fs::canonicalize(root)?;
    let mut scan = Scan::default();
    let top = fs::read_dir(&root)?;
    scan.folder(&root, &root, top, 1);
    scan.files.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(scan)
}

impl Scan {
    fn folder(&mut self, root: &Path, folder: &Path, entries: fs::ReadDir, level: usize) {
        for entry in entries {
            let Ok(entry) = entry else {
                self.partial = true;
                continue;
            };
            let path = folder.join(entry.file_name());
            // Hidden names are those of editors and of mounted volumes.
            if entry.file_name().as_encoded_bytes().starts_with(b".") || self.beyond.is_some() {
                continue;
            }
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => self.below(root, &path, level),
                Ok(_) if is_ours(&path) => self.file(root, path),
                Ok(_) => {}
                Err(_) => self.partial = true,
            }
        }
    }

    fn below(&mut self, root: &Path, path: &Path, level: usize) {
        if level >= LEVELS_MAX {
            self.beyond = Some(format!("folders nested deeper than {LEVELS_MAX} levels"));
            return;
        }
        match fs::read_dir(path) {
            Ok(entries) => self.folder(root, path, entries, level + 1),
            Err(_) => self.partial = true,
        }
    }

    fn file(&mut self, root: &Path, path: PathBuf) {
        if self.files.len() >= FILES_MAX {
            self.beyond = Some(format!("more than {FILES_MAX} files"));
            return;
        }
        let name = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().into_owned();
        // Links may lead to other files of the folder, as mounted volumes do, and nowhere else.
        let target = match fs::canonicalize(&path) {
            Ok(target) => target,
            Err(e) => {
                let stamp = Err(format!("cannot be reached: {e}"));
                return self.files.push(Seen { name, path, stamp });
            }
        };
        let stamp = match fs::metadata(&target) {
            _ if !target.starts_with(root) => Err("a link that leads out of the folder".into()),
            Ok(metadata) if !metadata.is_file() => Err("not a regular file".into()),
            Ok(metadata) => Ok(Stamp::of(&metadata)),
            Err(e) => Err(format!("cannot be reached: {e}")),
        };
        self.files.push(Seen { name, path: target, stamp });
    }
}

fn is_ours(path: &Path) -> bool {
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    ["json", "yaml", "yml"].iter().any(|known| ending.eq_ignore_ascii_case(known))
}
