//! An image in a folder of the file system.
//!
//! | file | what |
//! |---|---|
//! | `image` | the image that stands |
//! | `image.new` | the one under way |
//! | `image.bad`, `image.bad-2`, `image.bad-3` | images that could not be used |
//! | `lock` | held as long as a node uses the folder |
//!
//! The folder is 0700 and ours, the files are 0600, and links are not followed. The lock is taken
//! with the first call, and tried again with each later one: so a node whose folder is in use goes on
//! without an image, and comes to one once the folder is free.

use std::fmt;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::disk::{Contents, Disk, Reply};
use crate::parallel::both;

const IMAGE: &str = "image";
const UNDER_WAY: &str = "image.new";
const SET_ASIDE: [&str; 3] = ["image.bad", "image.bad-2", "image.bad-3"];
const LOCK: &str = "lock";

/// Of a file of this size both halves are read at once.
const LARGE: usize = 16 << 20;

/// How long to wait for a node that is just ending, as one of this process that is started again.
const LOCK_PATIENCE: Duration = Duration::from_secs(1);

/// A folder that holds one image. Dropping it frees the folder for another node.
pub struct FileDisk {
    folder: PathBuf,
    inner: Arc<Mutex<Inner>>,
}

#[derive(Default)]
struct Inner {
    /// Held as long as we use the folder; the system frees it when we die.
    lock: Option<File>,
    stands: Option<File>,
    under_way: Option<File>,
}

impl FileDisk {
    /// Names a folder. Nothing is opened or made before it is used.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into(), inner: Arc::default() }
    }

    /// Reads the image of a folder, or a single file, without locking or changing anything.
    pub fn peek(path: &Path) -> io::Result<Option<Vec<u8>>> {
        let file = if path.is_dir() { path.join(IMAGE) } else { path.to_owned() };
        read_file(&file)
    }

    /// Does something with the folder where it may block.
    fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Path, &mut Inner) -> io::Result<T> + Send + 'static,
    ) -> Reply<'_, T> {
        let (folder, inner) = (self.folder.clone(), self.inner.clone());
        Box::pin(blocking::unblock(move || {
            // A panic elsewhere leaves files behind that are whole or not there.
            let mut inner = inner.lock().unwrap_or_else(PoisonError::into_inner);
            if inner.lock.is_none() {
                make_folder(&folder)?;
                inner.lock = Some(lock(&folder)?);
            }
            work(&folder, &mut inner)
        }))
    }
}

impl Disk for FileDisk {
    fn place(&self) -> String {
        self.folder.join(IMAGE).display().to_string()
    }

    fn read(&self) -> Reply<'_, Option<Contents>> {
        self.run(|folder, _| {
            let bytes = read_file(&folder.join(IMAGE))?;
            Ok(bytes.map(|bytes| Arc::new(bytes) as Contents))
        })
    }

    fn append(&self, at: u64, bytes: Vec<u8>) -> Reply<'_, ()> {
        self.run(move |folder, inner| {
            if inner.stands.is_none() {
                inner.stands = Some(options().write(true).open(folder.join(IMAGE))?);
            }
            let Some(file) = &inner.stands else { unreachable!("it was just opened") };
            if file.metadata()?.len() < at {
                return Err(io::Error::other("the image is shorter than it was written"));
            }
            file.set_len(at)?;
            file.write_all_at(&bytes, at)?;
            file.sync_data()
        })
    }

    fn begin(&self) -> Reply<'_, ()> {
        self.run(|folder, inner| {
            let path = folder.join(UNDER_WAY);
            inner.under_way = None;
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            inner.under_way = Some(options().write(true).create_new(true).open(path)?);
            Ok(())
        })
    }

    fn put(&self, bytes: Vec<u8>) -> Reply<'_, ()> {
        self.run(move |_, inner| match &mut inner.under_way {
            Some(file) => file.write_all(&bytes),
            None => Err(io::Error::other("no image is under way")),
        })
    }

    fn commit(&self) -> Reply<'_, ()> {
        self.run(|folder, inner| {
            let Some(file) = inner.under_way.take() else {
                return Err(io::Error::other("no image is under way"));
            };
            file.sync_all()?;
            fs::rename(folder.join(UNDER_WAY), folder.join(IMAGE))?;
            inner.stands = Some(file);
            File::open(folder)?.sync_all()
        })
    }

    fn set_aside(&self) -> Reply<'_, String> {
        self.run(|folder, inner| {
            inner.stands = None;
            let free = SET_ASIDE.map(|name| folder.join(name)).into_iter().find(|path| {
                fs::symlink_metadata(path).is_err_and(|e| e.kind() == io::ErrorKind::NotFound)
            });
            let Some(aside) = free else {
                let count = SET_ASIDE.len();
                let why = format!(
                    "{count} unusable images are kept in {} already; look at them and take them away",
                    folder.display()
                );
                return Err(io::Error::other(why));
            };
            fs::rename(folder.join(IMAGE), &aside)?;
            Ok(aside.display().to_string())
        })
    }
}

impl fmt::Debug for FileDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("FileDisk").field(&self.folder).finish()
    }
}

/// Ours alone, and never through a link.
fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.mode(0o600).custom_flags(libc::O_NOFOLLOW | libc::O_CLOEXEC | libc::O_NONBLOCK);
    options
}

fn read_file(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let file = match options().read(true).open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) if error.raw_os_error() == Some(libc::ELOOP) => {
            return Err(io::Error::other("it is a link, and links are not followed"));
        }
        other => other?,
    };
    let meta = file.metadata()?;
    if !meta.is_file() {
        return Err(io::Error::other("it is no file"));
    }
    let length = usize::try_from(meta.len()).map_err(|_| io::ErrorKind::FileTooLarge)?;
    // A file too large for memory is an error; to ask for zeros at once would end the process.
    Vec::<u8>::new().try_reserve_exact(length)?;
    let mut bytes = vec![0; length];
    let (half, rest) = bytes.split_at_mut(length / 2);
    let middle = half.len() as u64;
    let beside = length >= LARGE;
    let (one, other) =
        both(beside, || file.read_exact_at(half, 0), || file.read_exact_at(rest, middle));
    one.and(other)?;
    Ok(Some(bytes))
}

/// Makes the folder for us alone, or checks that it is.
fn make_folder(folder: &Path) -> io::Result<()> {
    match DirBuilder::new().recursive(true).mode(0o700).create(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let meta = fs::symlink_metadata(folder)?;
    let name = folder.display();
    if !meta.is_dir() {
        return Err(io::Error::other(format!("{name} is a link or a file; a folder is needed")));
    }
    // SAFETY: geteuid takes nothing, changes nothing and cannot fail.
    if meta.uid() != unsafe { libc::geteuid() } || meta.mode() & 0o077 != 0 {
        let why = format!("{name} must be this user's alone: chmod 700, and owned by it");
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, why));
    }
    Ok(())
}

fn lock(folder: &Path) -> io::Result<File> {
    let file = options().write(true).create(true).truncate(false).open(folder.join(LOCK))?;
    let begun = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if begun.elapsed() < LOCK_PATIENCE => {
                std::thread::sleep(LOCK_PATIENCE / 50);
            }
            Err(TryLockError::WouldBlock) => return Err(in_use(folder)),
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
}

fn in_use(folder: &Path) -> io::Error {
    let why = format!("another node uses {}; each needs a folder of its own", folder.display());
    io::Error::new(io::ErrorKind::ResourceBusy, why)
}

#[cfg(test)]
mod tests;
