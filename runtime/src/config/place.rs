//! What this process is called, and where it puts its socket, when nobody says so.

use std::path::{Path, PathBuf};

use zonesync_core::id::{NodeId, ZoneName};

/// The longest path of a Unix socket that every system takes (macOS has 104 bytes, with a NUL).
pub(super) const SOCKET_PATH_MAX: usize = 103;

/// Names the node after its host and process.
pub(super) fn node() -> NodeId {
    let host: String = host_name().chars().filter(|c| c.is_ascii_graphic()).take(100).collect();
    let host = if host.is_empty() { "node" } else { &host };
    let name = format!("{host}-{}", std::process::id());
    name.parse().expect("a host's name without blanks and a number make a node's name")
}

/// Places the socket in the user's own folder of run-time files, else of temporary ones.
///
/// The folder is named after the user, so that two users of one machine never meet there. A path
/// too long for a socket ends in a hash in place of the node's name.
pub(super) fn socket(runtime_dir: Option<&str>, zone: &ZoneName, node: &NodeId) -> PathBuf {
    let base = match runtime_dir {
        Some(dir) if Path::new(dir).is_absolute() => PathBuf::from(dir),
        _ => std::env::temp_dir(),
    };
    // SAFETY: getuid takes nothing, changes nothing and cannot fail.
    let uid = unsafe { libc::getuid() };
    let folder = base.join(format!("zonesync-{uid}"));
    let tame = |c: char| if c.is_ascii_alphanumeric() || ".-_".contains(c) { c } else { '-' };
    let node_part: String = node.as_str().chars().map(tame).collect();
    let path = folder.join(format!("{zone}-{node_part}.sock"));
    // Names that differ only in what was tamed must not share a socket either.
    let long = path.as_os_str().len() > SOCKET_PATH_MAX;
    if long || node_part != node.as_str() {
        return folder.join(format!("{:016x}.sock", hash(&[zone.as_str(), node.as_str()])));
    }
    path
}

/// Hashes a few texts (FNV-1a): the same in every process, for the command line finds it again.
fn hash(texts: &[&str]) -> u64 {
    let bytes = texts.iter().flat_map(|text| text.bytes().chain([0]));
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

fn host_name() -> String {
    let mut name = [0_u8; 256];
    // SAFETY: the buffer is ours for the whole call, and its length is told.
    let result = unsafe { libc::gethostname(name.as_mut_ptr().cast(), name.len()) };
    if result != 0 {
        return String::new();
    }
    let end = name.iter().position(|b| *b == 0).unwrap_or(name.len());
    String::from_utf8_lossy(&name[..end]).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_node_has_a_socket_of_its_own_that_fits() {
        let zone: ZoneName = "z".parse().unwrap();
        let path = |node: &str| socket(Some("/run/user/7"), &zone, &node.parse().unwrap());
        assert!(path("a-1").to_string_lossy().ends_with("/z-a-1.sock"));
        assert!(path("a-1").starts_with("/run/user/7"));
        assert_ne!(path("a/1"), path("a-1"));
        assert_ne!(path("a/1"), path("a:1"));
        let long = path(&"n".repeat(128));
        assert!(long.as_os_str().len() <= SOCKET_PATH_MAX, "{long:?}");
        assert!(!socket(Some("relative"), &zone, &node()).starts_with("relative"));
    }

    #[test]
    fn a_node_is_named_after_its_process() {
        assert!(node().as_str().ends_with(&format!("-{}", std::process::id())));
    }
}
