//! Runs the C programs: `tests/c/*.c`, and the example that users read.
//!
//! Each is compiled without a warning as C11, and where it says so as C++17, and runs under
//! AddressSanitizer and UBSan. The library is built here by the same cargo, into the same folder as
//! this test, and then laid out as an installation would.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// How long a program may run. None takes more than a few seconds.
const RUN_MAX: Duration = Duration::from_secs(120);

const WARNINGS: [&str; 4] = ["-Wall", "-Wextra", "-Werror", "-pedantic"];
const SANITIZERS: [&str; 3] =
    ["-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer"];

#[test]
fn values_are_the_headers() {
    run(&Program::c("tests/c/values.c").compile(), &[]);
    run(&Program::cpp("tests/c/values.c").compile(), &[]);
}

#[test]
fn values_are_the_headers_in_the_archive() {
    run(&Program { archive: true, ..Program::c("tests/c/values.c") }.compile(), &[]);
}

#[test]
fn bad_arguments_are_refused() {
    run(&Program::c("tests/c/refusals.c").compile(), &[]);
}

#[test]
fn lookups_answer_and_tell_the_needed_length() {
    on_a_folder(&Program::c("tests/c/lookups.c"));
}

#[test]
fn stopping_is_safe_beside_lookups() {
    on_a_folder(&Program::c("tests/c/stop.c"));
}

#[test]
fn a_feed_lends_changes() {
    on_a_folder(&Program::c("tests/c/feed.c"));
}

#[test]
fn a_forked_child_is_told() {
    on_a_folder(&Program::c("tests/c/fork.c"));
}

#[test]
fn the_example_runs_as_c_and_as_cpp() {
    let programs = [Program::c("bindings/c/example.c"), Program::cpp("bindings/c/example.c")];
    for program in programs.map(|program| program.compile()) {
        let folder = Folder::new();
        let output = run(&program, &[folder.path().to_str().unwrap(), "api-1", "key-1"]);
        let text = String::from_utf8(output.stdout).unwrap();
        let has = |start: &str| text.lines().any(|line| line.starts_with(start));
        assert!(has("status {"), "{text}");
        assert!(has("position e1-s"), "{text}");
        assert!(has("key opens subscription subscription-1"), "{text}");
    }
}

#[test]
fn the_example_says_what_is_wrong_with_its_configuration() {
    let program = Program::c("bindings/c/example.c").compile();
    let folder = Folder::new();
    let mut command = Command::new(program);
    // A variable stands over what the program wrote itself.
    let output = finish(command.arg(folder.path()).env("gravitee_zonesync_poll", "never"));
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("zonesync.poll (variable gravitee_zonesync_poll)"), "{text}");
    assert!(text.ends_with("start: the configuration cannot be used\n"), "{text}");
}

/// The loader finds the library by this name, whatever the file is called.
#[test]
fn the_library_has_our_name() {
    let dynamic = tool("readelf", &["-d", library().to_str().unwrap()]);
    let soname = dynamic.lines().find(|line| line.contains("(SONAME)")).expect("a soname");
    assert!(soname.ends_with("[libzonesync.so.0]"), "{soname}");
}

#[test]
fn the_library_exports_the_header_and_nothing_else() {
    let header = fs::read_to_string(root().join("include/zonesync.h")).unwrap();
    let code = header.lines().filter(|line| !line.trim_start().starts_with(['*', '/']));
    let declared: BTreeSet<String> = code
        .filter_map(|line| line.split_once('(').map(|(before, _)| before))
        .filter_map(|before| before.rsplit([' ', '*']).next())
        .filter(|name| name.contains("zone_sync"))
        .map(str::to_owned)
        .collect();
    let symbols = tool("nm", &["-D", "--defined-only", library().to_str().unwrap()]);
    let exported: BTreeSet<String> = symbols
        .lines()
        .filter_map(|line| line.split_whitespace().nth(2))
        .map(|name| name.split('@').next().unwrap_or(name).to_owned())
        .collect();
    assert!(declared.contains("start_zone_sync"), "{declared:?}");
    assert_eq!(exported, declared);
}

/// A C program, and how it is compiled.
struct Program {
    source: &'static str,
    cpp: bool,
    archive: bool,
}

impl Program {
    fn c(source: &'static str) -> Self {
        Self { source, cpp: false, archive: false }
    }

    fn cpp(source: &'static str) -> Self {
        Self { source, cpp: true, archive: false }
    }

    /// Compiles and links it. The sanitizer must be in it, or the test would see too little.
    fn compile(&self) -> PathBuf {
        let folder = library().parent().unwrap();
        let stem = Path::new(self.source).file_stem().unwrap().to_str().unwrap();
        let mut name = format!("{stem}-{}", if self.cpp { "cpp" } else { "c" });
        if self.archive {
            name.push_str("-archive");
        }
        // Two tests may compile the same program at once.
        static COUNT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let count = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let program = folder.join(format!("{name}-{count}"));

        let (variable, usual) = if self.cpp { ("CXX", "c++") } else { ("CC", "cc") };
        let compiler = std::env::var(variable).unwrap_or_else(|_| usual.to_owned());
        let mut command = Command::new(&compiler);
        command.args(WARNINGS).args(SANITIZERS).args(["-g", "-O1", "-pthread"]);
        command.args(if self.cpp { ["-std=c++17", "-x", "c++"] } else { ["-std=c11", "-x", "c"] });
        command.args(["-D_DEFAULT_SOURCE", "-I"]).arg(root().join("include"));
        command.arg(root().join(self.source)).args(["-x", "none", "-o"]).arg(&program);
        if self.archive {
            command.arg(folder.join("libzonesync.a")).args(["-lpthread", "-ldl", "-lm", "-lrt"]);
        } else {
            command.arg("-L").arg(folder).arg("-lzonesync");
            command.arg(format!("-Wl,-rpath,{}", folder.display()));
        }
        let output = command.output().unwrap_or_else(|error| {
            panic!(
                "{compiler} cannot be run ({error}): install a compiler, or name one in {variable}"
            )
        });
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let symbols = tool("nm", &[program.to_str().unwrap()]);
        assert!(symbols.contains("__asan_init"), "{name} was built without AddressSanitizer");
        program
    }
}

/// Compiles a program and runs it on a folder of its own.
fn on_a_folder(program: &Program) {
    let program = program.compile();
    let folder = Folder::new();
    run(&program, &[folder.path().to_str().unwrap()]);
}

/// Runs a program to its good end.
fn run(program: &Path, arguments: &[&str]) -> Output {
    let output = finish(Command::new(program).args(arguments));
    assert!(
        output.status.success(),
        "{} {arguments:?}: {}\n{}{}",
        program.display(),
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    output
}

/// Runs a command to its end, whatever that is, but not for ever.
fn finish(command: &mut Command) -> Output {
    let command = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the program runs");
    let started = Instant::now();
    // What the programs print fits into a pipe.
    while child.try_wait().unwrap().is_none() {
        if started.elapsed() > RUN_MAX {
            child.kill().unwrap();
            let output = child.wait_with_output().unwrap();
            panic!("still running after {RUN_MAX:?}: {output:?}");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    child.wait_with_output().unwrap()
}

/// Gives what a tool of the binutils prints.
fn tool(name: &str, arguments: &[&str]) -> String {
    let output = Command::new(name).args(arguments).output();
    let output = output.unwrap_or_else(|error| panic!("{name}: {error}: install binutils"));
    assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// A folder of definitions, gone with its owner: one API, a subscription to it, and its key.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static COUNT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let count = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("zonesync-c-{}-{count}", std::process::id()));
        fs::create_dir(&path).unwrap();
        let folder = Self(path);
        fs::write(
            folder.0.join("api.json"),
            r#"{"id": "api-1", "name": "orders", "version": "1", "gravitee": "2.0.0",
                "proxy": {"virtual_hosts": [{"path": "/orders"}], "groups": []},
                "plans": [{"id": "plan-1", "name": "keys", "security": "API_KEY",
                           "status": "PUBLISHED"}]}"#,
        )
        .unwrap();
        fs::write(
            folder.0.join("rows.json"),
            r#"{"subscriptions": [{"id": "subscription-1", "api": "api-1", "plan": "plan-1",
                                   "application": "application-1", "clientId": "client-1",
                                   "status": "ACCEPTED"}],
                "keys": [{"id": "key-row-1", "key": "key-1", "subscriptions": ["subscription-1"],
                          "application": "application-1"}]}"#,
        )
        .unwrap();
        folder
    }

    fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // A test that failed is told about elsewhere.
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Builds the library once and lays it out beside its archive. Gives the shared library.
fn library() -> &'static Path {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        // This test stands in <target>/<profile>/deps.
        let test = std::env::current_exe().unwrap();
        let built = test.parent().and_then(Path::parent).unwrap();
        let target = built.parent().unwrap();
        // The profile of the test, so that nothing is built twice.
        let profile = if built.ends_with("release") { "release" } else { "test" };
        let output = Command::new(env!("CARGO"))
            .args(["build", "--offline", "--package", "zonesync-ffi", "--profile", profile])
            .arg("--target-dir")
            .arg(target)
            .current_dir(root())
            .output()
            .expect("cargo runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

        let folder = target.join("c");
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        let library = folder.join("libzonesync.so.0");
        fs::copy(built.join("libzonesync_ffi.so"), &library).unwrap();
        symlink("libzonesync.so.0", folder.join("libzonesync.so")).unwrap();
        fs::copy(built.join("libzonesync_ffi.a"), folder.join("libzonesync.a")).unwrap();
        library
    })
}
