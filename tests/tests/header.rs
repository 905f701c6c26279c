//! Is `include/zonesync.h` what the C face really offers?
//!
//! It is made here, and compared with the file that programs are compiled with. After a change of
//! the C face, `ZONESYNC_BLESS=1 cargo test -p zonesync-tests --test header` writes it anew.

use std::fs;
use std::path::{Path, PathBuf};

/// The files of the C face, in the order of the header.
const FILES: [&str; 7] = ["version", "result", "value", "node", "lookup", "entity", "feed"];

/// Enums lose their own name in front of their values: `ZONE_SYNC_OK` says enough.
const PREFIXES: [(&str, &str); 4] = [
    ("ZONE_SYNC_RESULT_T_", "ZONE_SYNC_"),
    ("ZONE_SYNC_ACTION_T_", "ZONE_SYNC_"),
    ("ZONE_SYNC_KIND_T_", "ZONE_SYNC_KIND_"),
    ("ZONE_SYNC_PART_T_", "ZONE_SYNC_PART_"),
];

/// A heading for readers of Rust, which tells readers of C nothing.
const SAFETY: &str = " *\n * # Safety\n";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

#[test]
fn the_header_is_made_from_the_code() {
    let made = make();
    let path = root().join("include/zonesync.h");
    if std::env::var_os("ZONESYNC_BLESS").is_some() {
        fs::write(&path, &made).unwrap();
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    let differs = made.lines().zip(committed.lines()).position(|(a, b)| a != b);
    assert!(
        made == committed,
        "include/zonesync.h is not what ffi/src says, from line {} on; \
         write it anew with ZONESYNC_BLESS=1",
        1 + differs.unwrap_or_else(|| made.lines().count().min(committed.lines().count())),
    );
}

/// A file with exported functions that is not in the list above would be left out silently.
#[test]
fn no_function_is_left_out_of_the_header() {
    let header = make();
    let mut functions = 0;
    for entry in fs::read_dir(root().join("ffi/src")).unwrap() {
        let code = fs::read_to_string(entry.unwrap().path()).unwrap();
        for exported in code.split("\n#[unsafe(no_mangle)]\n").skip(1) {
            let (_, name) = exported.split_once("extern \"C\" fn ").unwrap();
            let (name, _) = name.split_once('(').unwrap();
            assert!(header.contains(&format!("{name}(")), "{name} is not in the header");
            functions += 1;
        }
    }
    assert!(functions > 10, "only {functions} functions found: is this still the C face?");
}

fn make() -> String {
    let config = cbindgen::Config::from_file(root().join("ffi/cbindgen.toml")).unwrap();
    let mut builder = cbindgen::Builder::new().with_config(config);
    for file in FILES {
        builder = builder.with_src(root().join(format!("ffi/src/{file}.rs")));
    }
    let mut made = Vec::new();
    builder.generate().expect("cbindgen reads the C face").write(&mut made);
    let mut made = without_safety(&String::from_utf8(made).unwrap());
    for (long, short) in PREFIXES {
        made = made.replace(long, short);
    }
    made
}

/// Drops the sections on safety: what C must keep to stands at the top of the header.
fn without_safety(header: &str) -> String {
    let mut pieces = header.split(SAFETY);
    let mut kept = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let end = piece.find(" */").expect("each comment ends");
        kept.push_str(&piece[end..]);
    }
    kept
}
