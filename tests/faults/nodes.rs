//! The processes of a zone.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use zonesync::admin::{Answer, Client, Request};
use zonesync_tests::Folder;

/// How long anything may take that only a stuck node does not do.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// How many lines of a node's log are shown.
const LOG_LINES: usize = 12;

/// How processes are started.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// The command line.
    pub(crate) binary: PathBuf,
    /// The rows.
    pub(crate) rows: PathBuf,
    /// How the store is reached: settings as `key=value`.
    pub(crate) store: Vec<String>,
    /// The lease.
    pub(crate) ttl: Duration,
}

/// One node, run as a process.
#[derive(Debug)]
pub(crate) struct Node {
    /// Its name.
    pub(crate) name: String,
    child: Child,
    socket: PathBuf,
}

impl Node {
    fn ask(&self, request: &Request) -> Option<Answer> {
        ask(&self.socket, request)
    }

    /// Gives its status, if it answers.
    pub(crate) fn status(&self) -> Option<Value> {
        match self.ask(&Request::Status)? {
            Answer::Status { status } => Some(status),
            _ => None,
        }
    }

    /// Says whether it calls itself primary.
    pub(crate) fn is_primary(&self) -> bool {
        self.status().is_some_and(|status| status["role"] == "primary")
    }

    /// Asks it to give up the lease.
    pub(crate) fn step_down(&self) {
        self.ask(&Request::StepDown);
    }

    /// Gives the socket at which it answers.
    pub(crate) fn socket(&self) -> &Path {
        &self.socket
    }

    /// Gives its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal by name: `STOP`, `CONT`, `TERM`.
    pub(crate) fn signal(&self, name: &str) {
        let arguments = [format!("-{name}"), self.pid().to_string()];
        let status = Command::new("kill").args(arguments).status();
        assert!(status.expect("there is kill").success(), "{} takes {name}", self.name);
    }
}

/// Asks the node that answers at `socket`. None if nobody does.
pub(crate) fn ask(socket: &Path, request: &Request) -> Option<Answer> {
    let mut client = Client::connect(socket).ok()?;
    client.ask(request).ok()?;
    client.answer().ok()?
}

/// All nodes of a zone, by place. A place whose process ended is empty until it is started again.
#[derive(Debug)]
pub(crate) struct Nodes {
    plan: Plan,
    folder: Folder,
    places: Vec<Option<Node>>,
    /// Settings of one place beside the plan's, and variables of its environment.
    own: Vec<Own>,
    starts: usize,
}

/// What one node has for itself.
#[derive(Clone, Debug, Default)]
pub(crate) struct Own {
    /// Settings as `key=value`, which come last.
    pub(crate) settings: Vec<String>,
    /// Variables of its environment.
    pub(crate) variables: Vec<(String, String)>,
    /// A command that runs the node, such as one that puts it into a network of its own.
    pub(crate) through: Vec<String>,
}

impl Nodes {
    /// Starts `count` nodes.
    pub(crate) fn start(plan: Plan, count: usize) -> Self {
        let places = (0..count).map(|_| None).collect();
        let own = vec![Own::default(); count];
        let mut nodes = Self { plan, folder: Folder::new("fault-zone"), places, own, starts: 0 };
        (0..count).for_each(|place| nodes.start_one(place));
        nodes
    }

    /// Gives a node that runs.
    pub(crate) fn get(&self, place: usize) -> &Node {
        self.places[place].as_ref().expect("this node runs")
    }

    /// Gives those that run, with their places.
    pub(crate) fn all(&self) -> impl Iterator<Item = (usize, &Node)> {
        self.places.iter().enumerate().filter_map(|(place, node)| Some((place, node.as_ref()?)))
    }

    /// Gives what a node has for itself, from its next start on.
    pub(crate) fn own(&mut self, place: usize) -> &mut Own {
        &mut self.own[place]
    }

    /// Starts the node of a place that is empty.
    pub(crate) fn start_one(&mut self, place: usize) {
        assert!(self.places[place].is_none(), "one process for a place");
        self.starts += 1;
        let name = format!("node-{place}");
        let socket = self.folder.path().join(format!("{name}-{}.sock", self.starts));
        let log = File::options().create(true).append(true).open(self.log(place));
        let log = log.expect("a log can be written");
        let mut command = match self.own[place].through.split_first() {
            Some((program, rest)) => {
                let mut command = Command::new(program);
                command.args(rest).arg(&self.plan.binary);
                command
            }
            None => Command::new(&self.plan.binary),
        };
        command.arg("run").arg("--socket").arg(&socket);
        command.arg("--directory").arg(&self.plan.rows);
        command.args(["--zone", "faults", "--node", &name]);
        let ttl = format!("zonesync.election.ttl={}ms", self.plan.ttl.as_millis());
        for setting in [&ttl].into_iter().chain(&self.plan.store).chain(&self.own[place].settings) {
            command.arg("-D").arg(setting);
        }
        command.env("RUST_LOG", "info").envs(self.own[place].variables.iter().cloned());
        command.stdin(Stdio::null()).stdout(log.try_clone().expect("cloned")).stderr(log);
        let child = command.spawn().expect("the command line can be started");
        self.places[place] = Some(Node { name, child, socket });
    }

    /// Gives the file with what a node said.
    pub(crate) fn log(&self, place: usize) -> PathBuf {
        self.folder.path().join(format!("node-{place}.log"))
    }

    /// Prints the last that each node said.
    pub(crate) fn tell_logs(&self) {
        for place in 0..self.places.len() {
            let log = std::fs::read_to_string(self.log(place)).unwrap_or_default();
            let lines: Vec<_> = log.lines().rev().take(LOG_LINES).collect();
            println!("  node-{place} said last:");
            lines.iter().rev().for_each(|line| println!("    {line}"));
        }
    }

    /// Kills a node, as a crash would.
    pub(crate) fn kill(&mut self, place: usize) {
        let mut node = self.places[place].take().expect("this node runs");
        let _ = node.child.kill();
        let _ = node.child.wait();
    }

    /// Asks a node to end, and waits until it did.
    pub(crate) fn stop(&mut self, place: usize) {
        let mut node = self.places[place].take().expect("this node runs");
        node.signal("TERM");
        let _ = node.child.wait();
    }

    /// Finds the primary, and waits for one if there is none.
    pub(crate) fn primary(&self) -> Result<usize, String> {
        self.primary_but(usize::MAX)
    }

    /// Finds a primary in another place than `but`, and waits for one if there is none.
    pub(crate) fn primary_but(&self, but: usize) -> Result<usize, String> {
        let find = || self.all().find(|(place, node)| *place != but && node.is_primary());
        until("there is a primary", || find().map(|(place, _)| place))
    }

    /// Waits until all that run say that they are ready.
    pub(crate) fn await_ready(&self) -> Result<(), String> {
        let ready = |node: &Node| node.status().is_some_and(|status| status["ready"] == true);
        until("all nodes are ready", || self.all().all(|(_, node)| ready(node)).then_some(()))
    }
}

impl Drop for Nodes {
    fn drop(&mut self) {
        for node in self.places.iter_mut().flatten() {
            let _ = node.child.kill();
            let _ = node.child.wait();
        }
    }
}

/// Waits until something is so, and says what was waited for in vain.
pub(crate) fn until<T>(what: &str, so: impl FnMut() -> Option<T>) -> Result<T, String> {
    until_within(PATIENCE, what, so)
}

/// Waits until something is so, but no longer than `patience`.
pub(crate) fn until_within<T>(
    patience: Duration,
    what: &str,
    mut so: impl FnMut() -> Option<T>,
) -> Result<T, String> {
    let begun = Instant::now();
    loop {
        if let Some(found) = so() {
            return Ok(found);
        }
        if begun.elapsed() > patience {
            return Err(format!("after {patience:?} it was not so that {what}"));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}
