//! A MariaDB server with data of its own, and `mariadb` to prepare and inspect it.

use std::io::Write;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::process::as_account;
use crate::{Folder, free_port};

/// How long a server may take to answer after it was started.
const START_MAX: Duration = Duration::from_secs(60);

/// An account with all rights, and its password.
pub const USER: &str = "zonesync";
/// The password of [`USER`].
pub const PASSWORD: &str = "for tests";

/// A running server, stopped when it goes.
#[derive(Debug)]
pub struct MariaDbServer {
    child: Child,
    args: Vec<String>,
    port: u16,
    folder: Folder,
}

impl MariaDbServer {
    /// Starts a server with `args` behind those that every test wants. Where MariaDB is not
    /// installed, says so and gives none: the calling test then ends early.
    pub fn start(args: &[&str]) -> Option<Self> {
        let folder = Folder::new("mariadb");
        let mut init = Command::new("mariadb-install-db");
        init.args(["--no-defaults", "--auth-root-authentication-method=normal", "--skip-test-db"])
            .arg(format!("--datadir={}", folder.path().join("data").display()));
        let made = as_account(&mut init, "mysql", folder.path()).and_then(|()| init.output());
        let Ok(made) = made else {
            eprintln!("skipped: MariaDB is not installed (Debian: mariadb-server)");
            return None;
        };
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
        let port = free_port();
        let child = launch(port, &folder, &args);
        let mut server = Self { child, args, port, folder };
        for _ in 0..5 {
            if server.wait() {
                let grant = format!(
                    "create user '{USER}'@'%' identified by '{PASSWORD}'; \
                     grant all on *.* to '{USER}'@'%'"
                );
                server.sql("mysql", &grant);
                return Some(server);
            }
            // Another process may have taken the port.
            server.port = free_port();
            server.child = launch(server.port, &server.folder, &server.args);
        }
        let log = std::fs::read_to_string(server.folder.path().join("log"));
        panic!("MariaDB does not come up: {log:?}");
    }

    /// Gives its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Runs SQL in a database; any error fails the test. Gives what it printed, columns apart by
    /// tabs.
    pub fn sql(&self, database: &str, text: &str) -> String {
        let mut client = self.client(database);
        let mut client = client.stdin(Stdio::piped()).spawn().expect("mariadb runs");
        let mut input = client.stdin.take().expect("it was asked for");
        let text = text.to_owned();
        let writer = std::thread::spawn(move || input.write_all(text.as_bytes()));
        let output = client.wait_with_output().expect("mariadb ends");
        let _ = writer.join();
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "mariadb: {errors}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Makes a database.
    pub fn create(&self, database: &str) {
        self.sql("mysql", &format!("create database `{database}`"));
    }

    /// Kills it at once, as a crash would.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Starts it again on the same port and data.
    pub fn restart(&mut self) {
        self.kill();
        self.child = launch(self.port, &self.folder, &self.args);
        assert!(self.wait(), "the server comes up again");
    }

    fn client(&self, database: &str) -> Command {
        let mut client = Command::new("mariadb");
        client
            .args(["--no-defaults", "--protocol=socket", "--user=root", "--batch"])
            .args(["--skip-column-names", "--default-character-set=utf8mb4"])
            .arg(format!("--socket={}", self.folder.path().join("socket").display()))
            .arg(database)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        client
    }

    fn wait(&mut self) -> bool {
        let until = Instant::now() + START_MAX;
        while Instant::now() < until {
            if self.child.try_wait().expect("the child is ours").is_some() {
                return false;
            }
            let mut client = self.client("mysql");
            let answer = client.args(["-e", "select 1"]).stdin(Stdio::null()).output();
            if answer.is_ok_and(|answer| answer.status.success()) {
                return true;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        false
    }
}

impl Drop for MariaDbServer {
    fn drop(&mut self) {
        self.kill();
    }
}

fn launch(port: u16, folder: &Folder, args: &[String]) -> Child {
    let log = std::fs::File::create(folder.path().join("log")).expect("a file can be made");
    let path = |name: &str| folder.path().join(name).display().to_string();
    let mut server = Command::new("mariadbd");
    server
        .args(["--no-defaults", "--bind-address=127.0.0.1", "--innodb-buffer-pool-size=256M"])
        .args(["--innodb-flush-log-at-trx-commit=2", "--skip-log-bin"])
        .arg(format!("--port={port}"))
        .arg(format!("--datadir={}", path("data")))
        .arg(format!("--socket={}", path("socket")))
        .arg(format!("--pid-file={}", path("pid")))
        .args(args);
    as_account(&mut server, "mysql", folder.path()).expect("the account mysql");
    server.stdout(log.try_clone().expect("cloned")).stderr(log).spawn().expect("mariadbd runs")
}
