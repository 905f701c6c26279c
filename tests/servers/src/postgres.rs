//! A PostgreSQL server with a cluster of its own, and `psql` to prepare and inspect it.

use std::io::Write;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::process::as_account;
use crate::{Folder, free_port};

/// How long a server may take to answer after it was started.
const START_MAX: Duration = Duration::from_secs(60);

/// The account that has all rights; everybody on this machine may use it.
pub const USER: &str = "postgres";

/// A running server, stopped when it goes.
#[derive(Debug)]
pub struct PostgresServer {
    child: Child,
    binaries: PathBuf,
    port: u16,
    folder: Folder,
}

impl PostgresServer {
    /// Makes a cluster and starts its server. Where PostgreSQL is not installed, says so and gives
    /// none: the calling test then ends early.
    ///
    /// Its programs are looked for in the folder that `ZONESYNC_TEST_POSTGRES` names, else where
    /// Debian puts them.
    pub fn start() -> Option<Self> {
        let Some(binaries) = binaries() else {
            eprintln!("skipped: PostgreSQL is not installed (Debian: postgresql)");
            return None;
        };
        let folder = Folder::new("postgres");
        let mut init = Command::new(binaries.join("initdb"));
        init.args(["--auth=trust", "--no-sync", "--encoding=UTF8", "--locale=C.UTF-8"]).args([
            "--username",
            USER,
            "-D",
            "data",
        ]);
        as_account(&mut init, "postgres", folder.path()).expect("the account postgres");
        let made = init.output().expect("initdb runs");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let port = free_port();
        let child = launch(&binaries, port, folder.path());
        let mut server = Self { child, binaries, port, folder };
        for _ in 0..5 {
            if server.wait() {
                return Some(server);
            }
            // Another process may have taken the port.
            server.port = free_port();
            server.child = launch(&server.binaries, server.port, server.folder.path());
        }
        let log = std::fs::read_to_string(server.folder.path().join("log"));
        panic!("PostgreSQL does not come up: {log:?}");
    }

    /// Gives its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Runs SQL in a database, as `psql` does; any error fails the test. Gives what it printed,
    /// columns apart by `|`.
    pub fn sql(&self, database: &str, text: &str) -> String {
        let mut psql = Command::new(self.binaries.join("psql"))
            .args(["-h", "127.0.0.1", "-p", &self.port.to_string(), "-U", USER, "-d", database])
            .args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-f", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("psql runs");
        let mut input = psql.stdin.take().expect("it was asked for");
        let text = text.to_owned();
        let writer = std::thread::spawn(move || input.write_all(text.as_bytes()));
        let output = psql.wait_with_output().expect("psql ends");
        let _ = writer.join();
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "psql: {errors}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Makes a database.
    pub fn create(&self, database: &str) {
        self.sql("postgres", &format!("create database \"{database}\""));
    }

    /// Loads a file that `COPY` wrote as CSV with a header into a table.
    pub fn load(&self, database: &str, table: &str, file: &Path) {
        let head = std::fs::read_to_string(file).expect("the file can be read");
        let columns = head.lines().next().unwrap_or_default();
        let columns: Vec<_> = columns.split(',').map(|name| format!("\"{name}\"")).collect();
        let (columns, file) = (columns.join(","), file.display());
        self.sql(database, &format!("\\copy \"{table}\" ({columns}) from '{file}' csv header\n"));
    }

    /// Kills it at once, as a crash would.
    pub fn kill(&mut self) {
        self.signal("QUIT");
        let _ = self.child.wait();
    }

    /// Starts it again on the same port and data.
    pub fn restart(&mut self) {
        self.kill();
        self.child = launch(&self.binaries, self.port, self.folder.path());
        assert!(self.wait(), "the server comes up again");
    }

    /// Sends its first process a signal by name.
    pub fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let _ =
            Command::new("kill").args([&format!("-{name}"), &pid]).stderr(Stdio::null()).status();
    }

    fn wait(&mut self) -> bool {
        let until = Instant::now() + START_MAX;
        while Instant::now() < until {
            if self.child.try_wait().expect("the child is ours").is_some() {
                return false;
            }
            // It listens before it is ready: ask it something.
            if TcpStream::connect(("127.0.0.1", self.port)).is_ok() && self.answers() {
                return true;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        false
    }

    fn answers(&self) -> bool {
        let status = Command::new(self.binaries.join("psql"))
            .args(["-h", "127.0.0.1", "-p", &self.port.to_string(), "-U", USER, "-d", "postgres"])
            .args(["-X", "-q", "-c", "select 1"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        status.is_ok_and(|status| status.success())
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        self.kill();
    }
}

fn binaries() -> Option<PathBuf> {
    if let Some(path) = std::env::var_os("ZONESYNC_TEST_POSTGRES") {
        return Some(PathBuf::from(path));
    }
    let versions = std::fs::read_dir("/usr/lib/postgresql").ok()?;
    let mut found: Vec<_> = versions
        .filter_map(|version| Some(version.ok()?.path().join("bin")))
        .filter(|path| path.join("postgres").exists() && path.join("initdb").exists())
        .collect();
    found.sort();
    found.pop()
}

fn launch(binaries: &Path, port: u16, folder: &Path) -> Child {
    let log = std::fs::File::create(folder.join("log")).expect("a file can be made");
    let mut server = Command::new(binaries.join("postgres"));
    server.args(["-D", "data", "-p", &port.to_string(), "-c", "listen_addresses=127.0.0.1"]);
    server.args([
        "-c",
        "unix_socket_directories=",
        "-c",
        "fsync=off",
        "-c",
        "full_page_writes=off",
    ]);
    server.args(["-c", "shared_buffers=256MB"]);
    server.args(["-c", "max_wal_size=4GB"]);
    as_account(&mut server, "postgres", folder).expect("the account postgres");
    server.stdout(log.try_clone().expect("cloned")).stderr(log).spawn().expect("postgres runs")
}
