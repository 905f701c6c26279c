//! The rules run without std, without an allocator and without an operating system.
//!
//! `tests/freestanding` is built as a static library, and linked with a start routine and nothing
//! else. So the linker says what is missing, and `nm` whether something came in that should not.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Parts of names that give away an allocator or std.
const FORBIDDEN: &[&str] = &["__rust_alloc", "__rust_realloc", "__rdl_", "malloc", "std::"];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("freestanding")
}

/// A target folder of its own: the outer cargo holds the lock of the usual one.
fn target() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("freestanding")
}

fn run(command: &mut Command) -> Output {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}\n{text}", output.status);
    output
}

fn cargo() -> Command {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.env("CARGO_TARGET_DIR", target()).env_remove("RUSTFLAGS").current_dir(folder());
    cargo
}

fn archive() -> PathBuf {
    run(cargo().args(["build", "--release", "--locked", "--quiet"]));
    target().join("release/libzonesync_freestanding.a")
}

fn has(tool: &str) -> bool {
    let found = Command::new(tool).arg("--version").output().is_ok_and(|o| o.status.success());
    if !found {
        eprintln!("skipped: there is no {tool}");
    }
    found
}

/// Lists the symbols that `file` defines or needs, as people write them.
fn symbols(file: &Path) -> BTreeSet<String> {
    let output = run(Command::new("nm").args(["-C", "-P"]).arg(file));
    // `name type value size`; a demangled name may have spaces.
    let is_type = |word: &&str| word.len() == 1 && word.as_bytes()[0].is_ascii_alphabetic();
    let name = |line: &str| {
        let words: Vec<_> = line.trim_end().split(' ').collect();
        let end = (1..words.len().min(4)).rev().map(|back| words.len() - back);
        end.clone().find(|end| is_type(&words[*end])).map(|end| words[..end].join(" "))
    };
    String::from_utf8_lossy(&output.stdout).lines().filter_map(name).collect()
}

fn check_symbols(file: &Path) {
    let symbols = symbols(file);
    assert!(symbols.contains("zone_sync_rules"), "{file:?} has what it was built for");
    for name in symbols {
        let forbidden = FORBIDDEN.iter().find(|part| name.contains(*part));
        assert_eq!(forbidden, None, "{file:?} has {name}");
    }
}

#[test]
fn the_rules_need_neither_std_nor_an_allocator() {
    if has("nm") {
        check_symbols(&archive());
    }
}

#[test]
fn the_rules_run_without_an_operating_system() {
    if !cfg!(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"))) {
        eprintln!("skipped: the start routine is for Linux on x86-64 and arm64");
        return;
    }
    if !has("cc") {
        return;
    }
    let archive = archive();
    let program = target().join("rules");
    run(Command::new("cc")
        .args(["-O1", "-Wall", "-Werror", "-ffreestanding", "-fno-builtin", "-fno-stack-protector"])
        .args(["-nostdlib", "-static", "-no-pie", "-Wl,--gc-sections", "-o"])
        .arg(&program)
        .arg(folder().join("start.c"))
        .arg(archive));
    run(&mut Command::new(&program));
    if has("nm") {
        check_symbols(&program);
    }
}

#[test]
fn the_core_builds_where_there_is_no_std() {
    const BARE: &str = "x86_64-unknown-none";
    let listed = Command::new("rustup").args(["target", "list", "--installed"]).output();
    let installed = listed.is_ok_and(|o| String::from_utf8_lossy(&o.stdout).contains(BARE));
    if !installed {
        eprintln!("skipped: the target {BARE} is not installed");
        return;
    }
    for features in [&["--no-default-features"][..], &["--features", "alloc"]] {
        let mut build = cargo();
        build.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../core"));
        run(build.args(["build", "--locked", "--quiet", "--target", BARE]).args(features));
    }
}
