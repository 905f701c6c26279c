//! `zonesync run` and `zonesync demo` for real: processes, files, a socket, signals.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

/// How long anything may take, on a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_secs(60);

/// A key of the demo's folder that opens an API, and that API.
const KEY: &str = "harbour-demo-f2a74de452e6b438";
const KEY_ID: &str = "key-01";
const API: &str = "api-catalogue";

/// A private folder with a copy of the demo's definitions, and maybe a node that reads them.
struct Place {
    folder: PathBuf,
    node: Option<Child>,
}

impl Place {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("zsrun-{}-{number}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        copy(&demo(), &folder.join("definitions"));
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o700)).unwrap();
        Self { folder, node: None }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.join("definitions").join(name)
    }

    fn socket(&self) -> PathBuf {
        self.folder.join("node.sock")
    }

    /// Replaces text in a file of definitions.
    fn edit(&self, name: &str, edit: impl Fn(&mut Value)) {
        let path = self.file(name);
        let mut value: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        edit(&mut value);
        fs::write(&path, serde_json::to_vec_pretty(&value).unwrap()).unwrap();
    }

    /// Makes the command that starts a node here, with short times.
    fn run(&self) -> Command {
        let mut command = command();
        command.arg("run").arg("--socket").arg(self.socket());
        command.arg("--directory").arg(self.folder.join("definitions"));
        command.args(["--zone", "harbour", "--node", "edge-1", "-D", "zonesync.store=memory"]);
        command.args(["-D", "zonesync.election.ttl=600ms", "-D", "zonesync.poll=200ms"]);
        command
    }

    /// Starts a node and waits until it is ready.
    fn start(&mut self) {
        let log = fs::File::create(self.folder.join("log")).unwrap();
        let child = self.run().env("RUST_LOG", "info").stderr(log).spawn().unwrap();
        self.node = Some(child);
        self.until("ready", || self.ask(&["status"]).code == 0);
    }

    fn ask(&self, arguments: &[&str]) -> Done {
        finish(command().arg("--socket").arg(self.socket()).args(arguments))
    }

    /// Waits until something is so, and shows the node's log if it does not come to that.
    fn until(&self, what: &str, so: impl Fn() -> bool) {
        let begun = Instant::now();
        while !so() {
            let log = || fs::read_to_string(self.folder.join("log")).unwrap_or_default();
            assert!(begun.elapsed() < PATIENCE, "not {what}; the node says:\n{}", log());
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Asks the node to end, as a service manager would.
    fn terminate(&mut self) -> ExitStatus {
        let mut node = self.node.take().unwrap();
        // SAFETY: kill takes plain numbers, and the child was not waited for: the id is still its.
        assert_eq!(unsafe { libc::kill(node.id().cast_signed(), libc::SIGTERM) }, 0);
        wait(&mut node)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(mut node) = self.node.take() {
            let _ = node.kill();
            let _ = node.wait();
        }
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// What a command came to.
struct Done {
    code: i32,
    out: String,
    err: String,
}

fn demo() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../demo")
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &target),
            false => drop(fs::copy(entry.path(), target).unwrap()),
        }
    }
}

fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_zonesync"));
    command.env_remove("NO_COLOR").env_remove("COLUMNS").env("RUST_LOG", "off");
    command.stdin(Stdio::null());
    command
}

/// Runs a command to its end, which must not be far.
fn finish(command: &mut Command) -> Done {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // What is printed here fits into a pipe.
    let code = wait(&mut child).code().expect("ends by itself");
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Done { code, out: text(output.stdout), err: text(output.stderr) }
}

fn wait(child: &mut Child) -> ExitStatus {
    let begun = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        if begun.elapsed() > PATIENCE {
            child.kill().unwrap();
            panic!("still running after {PATIENCE:?}: {:?}", child.wait());
        }
        thread::sleep(Duration::from_millis(10));
    }
}

/// Reads a watch line by line, beside us, so that silence does not hang the test.
fn lines(out: ChildStdout) -> std::sync::mpsc::Receiver<Value> {
    let (send, receive) = std::sync::mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(out).lines() {
            let line = serde_json::from_str(&line.unwrap()).expect("a JSON line");
            if send.send(line).is_err() {
                break;
            }
        }
    });
    receive
}

#[test]
fn a_node_answers_follows_its_files_and_stops_cleanly() {
    let mut place = Place::new();
    place.start();

    let apis = place.ask(&["list", "API", "--json"]);
    let ids: Vec<Value> =
        apis.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(ids.iter().any(|api| api["id"] == API), "{}", apis.out);
    assert_eq!(place.ask(&["get", "API", API]).code, 0);
    let found = place.ask(&["lookup", API, "--key", KEY]);
    assert_eq!(found.code, 0, "{}", found.err);
    assert!(found.out.contains("sub-01"), "{}", found.out);
    let missed = place.ask(&["lookup", API, "--key", "nobody's"]);
    assert_eq!((missed.code, missed.out.as_str()), (1, ""), "{}", missed.err);

    let mut watch = command()
        .arg("--socket")
        .arg(place.socket())
        .args(["watch", "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let changes = lines(watch.stdout.take().unwrap());
    let first = changes.recv_timeout(PATIENCE).unwrap();
    assert_eq!(first["answer"], "watching");
    place.edit("apis/weather.json", |api| api["name"] = "Sea weather, renewed".into());
    let change = changes.recv_timeout(PATIENCE).unwrap();
    let expected = (&"deploy".into(), &"API".into(), &"api-weather".into());
    assert_eq!((&change["action"], &change["kind"], &change["id"]), expected, "{change}");

    place.edit("keys.json", |keys| {
        let keys = keys.as_array_mut().unwrap();
        keys.iter_mut().find(|key| key["id"] == KEY_ID).unwrap()["revoked"] = true.into();
    });
    place.until("revoked", || place.ask(&["lookup", API, "--key", KEY]).code == 1);

    assert_eq!(place.terminate().code(), Some(0));
    assert!(!place.socket().exists(), "the socket is gone");
    assert_eq!(wait(&mut watch).code(), Some(3), "a watch tells that the node has gone");
    assert_eq!(place.ask(&["status"]).code, 3);
}

#[test]
fn many_removals_wait_for_a_person() {
    let mut place = Place::new();
    place.start();
    let count = || place.ask(&["list", "API", "--json"]).out.lines().count();
    let before = count();
    for entry in fs::read_dir(place.file("apis")).unwrap().take(6) {
        fs::remove_file(entry.unwrap().path()).unwrap();
    }
    let held = || {
        let status = place.ask(&["status", "--json"]);
        let status: Value = serde_json::from_str(&status.out).unwrap();
        status["held"].as_array().unwrap().clone()
    };
    place.until("held", || !held().is_empty());
    assert_eq!(count(), before, "held removals are served on");
    assert_eq!(place.ask(&["confirm-removal", "0123"]).code, 1);
    place.until("confirmed", || {
        // What hangs on the confirmed ones may be held in its turn.
        for held in held() {
            place.ask(&["confirm-removal", held["token"].as_str().unwrap()]);
        }
        count() < before
    });
    assert_eq!(place.terminate().code(), Some(0));
}

#[test]
fn a_killed_node_comes_back_from_its_image_alone() {
    let mut place = Place::new();
    let image = place.folder.join("state");
    let keep = format!("zonesync.image.path={}", image.display());
    let status = |place: &Place| -> Value {
        serde_json::from_str(&place.ask(&["status", "--json"]).out).unwrap_or_default()
    };
    let spawn = |command: &mut Command| command.args(["-D", &keep]).spawn().unwrap();
    place.node = Some(spawn(place.run().env("RUST_LOG", "off")));
    place.until("ready", || place.ask(&["status"]).code == 0);
    assert_eq!(place.ask(&["lookup", API, "--key", KEY]).code, 0);
    let safe = |place: &Place| {
        let status = status(place);
        status["image"]["position"].is_string() && status["image"]["position"] == status["position"]
    };
    place.until("all on the disk", || safe(&place));
    place.edit("keys.json", |keys| {
        let keys = keys.as_array_mut().unwrap();
        keys.iter_mut().find(|key| key["id"] == KEY_ID).unwrap()["revoked"] = true.into();
    });
    place.until("revoked", || place.ask(&["lookup", API, "--key", KEY]).code == 1);
    place.until("all on the disk again", || safe(&place));
    let before = status(&place);
    assert!(before["image"]["journal_bytes"].as_u64().unwrap() > 0, "{before}");
    let shown = place.ask(&["status"]).out;
    assert!(shown.contains("known as the newest"), "{shown}");

    let mut killed = place.node.take().unwrap();
    killed.kill().unwrap();
    wait(&mut killed);
    let verified = finish(command().arg("verify").arg("--image").arg(&image));
    assert_eq!(verified.code, 0, "{}", verified.err);
    assert!(verified.out.contains("all agrees"), "{}", verified.out);

    // No repository, and the store of another process went with that.
    let mut alone = command();
    alone.arg("run").arg("--socket").arg(place.socket());
    alone.args(["--zone", "harbour", "--node", "edge-1", "-D", "zonesync.store=memory"]);
    place.node = Some(spawn(&mut alone));
    place.until("ready", || place.ask(&["status"]).code == 0);
    let after = status(&place);
    assert_eq!((&after["stale"], &after["in_sync"]), (&true.into(), &false.into()));
    assert_eq!((&after["digest"], &after["position"]), (&before["digest"], &before["position"]));
    assert_eq!(place.ask(&["lookup", API, "--key", KEY]).code, 1, "revoked before the kill");
    assert_eq!(place.ask(&["get", "API", API]).code, 0);
    assert_eq!(place.ask(&["verify"]).code, 0);

    // Another node finds the folder in use, and runs without.
    let second = place.folder.join("second.sock");
    let mut other = command();
    other.arg("run").arg("--socket").arg(&second);
    other.args(["--zone", "harbour", "--node", "edge-2", "-D", "zonesync.store=memory"]);
    let mut other = spawn(&mut other);
    let asked = || finish(command().arg("--socket").arg(&second).args(["status", "--json"]));
    place.until("an error of the second", || asked().out.contains("another node uses"));
    assert_eq!(asked().code, 1);
    other.kill().unwrap();
    wait(&mut other);
    assert_eq!(place.terminate().code(), Some(0));
}

#[test]
fn two_nodes_never_share_a_socket() {
    let mut place = Place::new();
    place.start();
    let second = finish(&mut place.run());
    assert_eq!(second.code, 4, "{}", second.err);
    assert!(second.err.contains("another node answers"), "{}", second.err);
    assert_eq!(place.ask(&["status"]).code, 0, "the first is not disturbed");
}

#[test]
fn a_bad_configuration_gives_2_and_all_its_problems() {
    let place = Place::new();
    let path = place.folder.join("gravitee.yml");
    let text =
        "management:\n  type: directory\nzonesync:\n  zone: not a name\n  poll: never\n  pol: 1s\n";
    fs::write(&path, text).unwrap();
    let run = finish(command().arg("run").arg("--config").arg(&path));
    assert_eq!(run.code, 2, "{}", run.err);
    for problem in ["management.directory.path", "zonesync.zone", "zonesync.poll", "zonesync.pol "]
    {
        assert!(run.err.contains(problem), "{problem} in\n{}", run.err);
    }
    assert!(run.err.contains("gravitee.yml:5"), "says where: {}", run.err);
    let nothing = finish(command().arg("run").arg("--config").arg(place.folder.join("none.yml")));
    assert_eq!(nothing.code, 2, "{}", nothing.err);
}

#[test]
fn the_demo_shows_what_it_promises() {
    let demo = finish(command().args(["demo", "--fast", "--directory"]).arg(demo()));
    assert_eq!(demo.code, 0, "{}\n{}", demo.out, demo.err);
    assert!(demo.out.contains("nothing is lost"), "{}", demo.out);
    let none = finish(command().args(["demo", "--directory", "/nowhere"]));
    assert_ne!(none.code, 0);
    assert!(none.err.contains("/nowhere"), "{}", none.err);
}
