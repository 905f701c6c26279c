use std::os::unix::fs::{PermissionsExt, symlink};
use std::sync::atomic::{AtomicU32, Ordering};

use futures_lite::future::block_on;

use super::*;

/// A folder that goes when the test is over.
struct Temporary(PathBuf);

impl Temporary {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("zonesync-image-{}-{number}", std::process::id());
        Self(std::env::temp_dir().join(name))
    }

    fn mode(&self, name: &str) -> u32 {
        fs::symlink_metadata(self.0.join(name)).unwrap().permissions().mode() & 0o7777
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn write(disk: &FileDisk, bytes: &[u8]) {
    block_on(disk.begin()).unwrap();
    block_on(disk.put(bytes.to_vec())).unwrap();
    block_on(disk.commit()).unwrap();
}

fn read(disk: &FileDisk) -> Option<Vec<u8>> {
    block_on(disk.read()).unwrap().map(|contents| (*contents).as_ref().to_vec())
}

#[test]
fn an_image_is_replaced_as_one_step_and_grows_at_its_end() {
    let folder = Temporary::new();
    let disk = FileDisk::new(&folder.0);
    assert_eq!(read(&disk), None);
    write(&disk, b"first");
    block_on(disk.append(5, b" more".to_vec())).unwrap();
    assert_eq!(read(&disk).unwrap(), b"first more");
    block_on(disk.append(5, b"!".to_vec())).unwrap();
    assert_eq!(read(&disk).unwrap(), b"first!", "what stood behind the place is cut");
    assert!(block_on(disk.append(7, b"x".to_vec())).is_err(), "a hole is no image");

    block_on(disk.begin()).unwrap();
    block_on(disk.put(b"half".to_vec())).unwrap();
    assert_eq!(read(&disk).unwrap(), b"first!", "what is under way does not stand");
    drop(disk);
    let disk = FileDisk::new(&folder.0);
    assert_eq!(read(&disk).unwrap(), b"first!");
    block_on(disk.append(6, b"?".to_vec())).unwrap();
    write(&disk, b"second");
    assert_eq!(read(&disk).unwrap(), b"second");
    assert_eq!(FileDisk::peek(&folder.0).unwrap().unwrap(), b"second");
}

#[test]
fn folder_and_files_are_ours_alone() {
    let folder = Temporary::new();
    write(&FileDisk::new(&folder.0), b"image");
    assert_eq!((folder.mode(""), folder.mode(IMAGE), folder.mode(LOCK)), (0o700, 0o600, 0o600));
    fs::set_permissions(&folder.0, fs::Permissions::from_mode(0o755)).unwrap();
    let error = block_on(FileDisk::new(&folder.0).begin()).unwrap_err().to_string();
    assert!(error.contains("chmod 700"), "{error}");
}

#[test]
fn links_are_not_followed() {
    let (folder, elsewhere) = (Temporary::new(), Temporary::new());
    write(&FileDisk::new(&elsewhere.0), b"elsewhere");
    let disk = FileDisk::new(&folder.0);
    write(&disk, b"ours");
    fs::remove_file(folder.0.join(IMAGE)).unwrap();
    symlink(elsewhere.0.join(IMAGE), folder.0.join(IMAGE)).unwrap();
    symlink(elsewhere.0.join(IMAGE), folder.0.join(UNDER_WAY)).unwrap();
    let error = block_on(disk.read()).err().expect("a link is no image").to_string();
    assert!(error.contains("link"), "{error}");
    write(&disk, b"ours");
    assert_eq!(FileDisk::peek(&elsewhere.0).unwrap().unwrap(), b"elsewhere");

    let link = Temporary::new();
    symlink(&elsewhere.0, &link.0).unwrap();
    let error = block_on(FileDisk::new(&link.0).begin()).unwrap_err().to_string();
    fs::remove_file(&link.0).unwrap();
    assert!(error.contains("link"), "{error}");
}

#[test]
fn two_nodes_never_share_a_folder() {
    let folder = Temporary::new();
    let (first, second) = (FileDisk::new(&folder.0), FileDisk::new(&folder.0));
    write(&first, b"first");
    let error = block_on(second.begin()).unwrap_err().to_string();
    assert!(error.contains("another node uses"), "{error}");
    drop(first);
    write(&second, b"second");
}

#[test]
fn an_unusable_image_is_kept_and_never_in_the_place_of_another() {
    let folder = Temporary::new();
    let disk = FileDisk::new(&folder.0);
    for round in 0..3 {
        write(&disk, &[round]);
        let aside = block_on(disk.set_aside()).unwrap();
        assert_eq!(fs::read(aside).unwrap(), [round]);
        assert_eq!(read(&disk), None);
    }
    write(&disk, b"one too many");
    let error = block_on(disk.set_aside()).unwrap_err().to_string();
    assert!(error.contains("take them away"), "{error}");
    assert_eq!(read(&disk).unwrap(), b"one too many");
}
