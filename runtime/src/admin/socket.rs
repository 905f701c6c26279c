//! The file at which a node is asked: where it is, who may open it, whether it still lives.
//!
//! A lock file beside the socket is held as long as its server lives, so two servers never fight
//! for one path, and a socket whose lock is free and which nobody answers is a dead one's. The
//! socket is made inside a private folder and then moved to its place: at no moment can others
//! open it, whatever the umask of the host.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use async_io::Async;

/// Gives the folder in which nodes put their sockets unless told otherwise.
///
/// It is named after the user, so that two users of one machine never meet there.
pub fn default_folder() -> PathBuf {
    let base = match std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from) {
        Some(folder) if folder.is_absolute() => folder,
        _ => std::env::temp_dir(),
    };
    // SAFETY: getuid takes nothing, changes nothing and cannot fail.
    base.join(format!("zonesync-{}", unsafe { libc::getuid() }))
}

/// A socket that listens. Dropping it takes the file away.
#[derive(Debug)]
pub(super) struct Listening {
    path: PathBuf,
    inode: u64,
    /// Held as long as we listen; the system frees it when we die.
    _lock: File,
}

impl Listening {
    /// Gives the path of the socket.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        // Somebody may have put another file there; that one is not ours to take away.
        if fs::symlink_metadata(&self.path).is_ok_and(|meta| meta.ino() == self.inode) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Opens the socket at `path`, replacing one whose server is dead.
pub(super) fn listen(path: &Path) -> io::Result<(Listening, Async<UnixListener>)> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    make_folder(folder)?;
    let lock = lock(path)?;
    make_room(path)?;

    let stage = folder.join(format!(".zs{:08x}", getrandom::u32().map_err(io::Error::other)?));
    DirBuilder::new().mode(0o700).create(&stage)?;
    let bound = bind_and_move(&stage.join("s"), path);
    let _ = fs::remove_file(stage.join("s"));
    fs::remove_dir(&stage)?;
    let listener = Async::new(bound?)?;
    let inode = fs::symlink_metadata(path)?.ino();
    Ok((Listening { path: path.into(), inode, _lock: lock }, listener))
}

fn bind_and_move(staged: &Path, path: &Path) -> io::Result<UnixListener> {
    let listener = UnixListener::bind(staged)?;
    fs::set_permissions(staged, Permissions::from_mode(0o600))?;
    fs::rename(staged, path)?;
    Ok(listener)
}

/// Makes the folder for us alone, or checks that nobody else can put files into it.
fn make_folder(folder: &Path) -> io::Result<()> {
    let meta = match fs::symlink_metadata(folder) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
            fs::symlink_metadata(folder)?
        }
        other => other?,
    };
    if !meta.is_dir() {
        let why = format!("{} is a link or a file; a folder is needed", folder.display());
        return Err(io::Error::new(io::ErrorKind::NotADirectory, why));
    }
    if !is_private(&meta) {
        let why = format!(
            "others may write into {}; choose a folder that only you can write to",
            folder.display()
        );
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, why));
    }
    Ok(())
}

/// Says whether only we and root can put files into a folder.
pub(super) fn is_private(folder: &fs::Metadata) -> bool {
    folder.is_dir() && [own_user(), 0].contains(&folder.uid()) && folder.mode() & 0o022 == 0
}

/// Takes the lock beside the socket, or says that its holder lives.
fn lock(path: &Path) -> io::Result<File> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".lock");
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(libc::O_NOFOLLOW)
        .open(path.with_file_name(name))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(in_use(path)),
        Err(TryLockError::Error(e)) => Err(e),
    }
}

/// Makes sure that what stands at `path`, if anything, is a dead server's socket.
fn make_room(path: &Path) -> io::Result<()> {
    let meta = match fs::symlink_metadata(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other?,
    };
    if !meta.file_type().is_socket() {
        let why = format!("{} exists and is no socket; it is left alone", path.display());
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, why));
    }
    match async_io::block_on(Async::<UnixStream>::connect(path)) {
        Err(e) if e.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path),
        _ => Err(in_use(path)),
    }
}

fn in_use(path: &Path) -> io::Error {
    let why = format!("another node answers at {}", path.display());
    io::Error::new(io::ErrorKind::AddrInUse, why)
}

/// Gives the user that files which we make belong to.
fn own_user() -> u32 {
    // SAFETY: geteuid takes nothing, changes nothing and cannot fail.
    unsafe { libc::geteuid() }
}
