//! A Redis server, and a bare client to prepare and inspect it.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::{Folder, free_port};

/// How long a server may take to answer after it was started.
const START_MAX: Duration = Duration::from_secs(20);

/// A running server, killed when it goes.
#[derive(Debug)]
pub struct RedisServer {
    child: Child,
    binary: PathBuf,
    args: Vec<String>,
    variables: Vec<(String, String)>,
    port: u16,
    folder: Folder,
}

impl RedisServer {
    /// Starts the server that `ZONESYNC_TEST_REDIS` names, else `redis-server` of the system, with
    /// `args` behind those that every test wants. Where there is none, says so and gives none: the
    /// calling test then ends early.
    pub fn start(args: &[&str]) -> Option<Self> {
        let binary = std::env::var_os("ZONESYNC_TEST_REDIS")
            .map_or_else(|| PathBuf::from("redis-server"), PathBuf::from);
        Self::start_binary(&binary, args)
    }

    /// Starts the server at `binary`.
    pub fn start_binary(binary: &Path, args: &[&str]) -> Option<Self> {
        let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
        Self::start_in(binary, &|_| args.clone())
    }

    /// Starts the server at `binary` with `text` in a file of settings, which it may change.
    pub fn start_configured(binary: &Path, text: &str) -> Option<Self> {
        Self::start_in(binary, &|folder| {
            folder.write("conf", text);
            vec![folder.path().join("conf").display().to_string()]
        })
    }

    fn start_in(binary: &Path, args: &dyn Fn(&Folder) -> Vec<String>) -> Option<Self> {
        for _ in 0..5 {
            let folder = Folder::new("redis");
            let args = args(&folder);
            let port = free_port();
            let child = match launch(binary, &args, &[], port, &folder) {
                Ok(child) => child,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    eprintln!("skipped: there is no {}", binary.display());
                    return None;
                }
                Err(error) => panic!("{} does not start: {error}", binary.display()),
            };
            let binary = binary.to_owned();
            let variables = Vec::new();
            let mut server = Self { child, binary, args, variables, port, folder };
            if server.wait() {
                return Some(server);
            }
        }
        panic!("{} does not come up", binary.display());
    }

    /// Gives its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Gives its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Gives the folder with its data and its log.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Opens a bare connection.
    pub fn client(&self) -> Client {
        Client::connect(self.port).expect("the server listens")
    }

    /// Sends one command, which must not fail.
    pub fn ask(&self, command: &[&str]) -> Answer {
        let answer = self.client().ask(command).expect("the server answers");
        assert!(!matches!(answer, Answer::Error(_)), "{command:?}: {answer:?}");
        answer
    }

    /// Kills it at once, as a crash would.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Starts it again on the same port and folder after [`kill`](Self::kill).
    pub fn restart(&mut self) {
        self.kill();
        let (args, variables) = (&self.args, &self.variables);
        let started = launch(&self.binary, args, variables, self.port, &self.folder);
        self.child = started.expect("it starts");
        assert!(self.wait(), "the server comes up again");
    }

    /// Sets variables of its environment, from its next start on.
    pub fn set_variables(&mut self, variables: &[(String, String)]) {
        self.variables = variables.to_vec();
    }

    /// Sends it a signal by name: `STOP`, `CONT`.
    pub fn signal(&self, name: &str) {
        let pid = self.pid().to_string();
        let status = Command::new("kill").args([&format!("-{name}"), &pid]).status();
        assert!(status.expect("there is kill").success());
    }

    /// Waits until it answers; false if it ended instead.
    fn wait(&mut self) -> bool {
        let until = Instant::now() + START_MAX;
        while Instant::now() < until {
            if self.child.try_wait().expect("the child is ours").is_some() {
                return false;
            }
            if let Ok(mut client) = Client::connect(self.port)
                && client.ask(&["PING"]).is_ok()
            {
                return true;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        false
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.kill();
    }
}

fn launch(
    binary: &Path,
    args: &[String],
    variables: &[(String, String)],
    port: u16,
    folder: &Folder,
) -> io::Result<Child> {
    let log = std::fs::File::create(folder.path().join("log"))?;
    let mut command = Command::new(binary);
    // A file of settings has to come first. Such a server, a sentinel, keeps nothing to begin with.
    let (file, args) = match args.split_first() {
        Some((file, args)) if !file.starts_with('-') => (Some(file), args),
        _ => (None, args),
    };
    command.args(file).args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--dir"]);
    command.arg(folder.path());
    if file.is_none() {
        command.args(["--save", "", "--appendonly", "no"]);
    }
    command.envs(variables.iter().map(|(name, value)| (name, value)));
    command.args(args).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).spawn()
}

/// What a server answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Nothing there.
    Nil,
    /// A number.
    Number(i64),
    /// Text or bytes.
    Bytes(Vec<u8>),
    /// Several answers.
    List(Vec<Answer>),
    /// A refusal.
    Error(String),
}

impl Answer {
    /// Reads it as text; empty for what is no text.
    pub fn text(&self) -> String {
        match self {
            Self::Bytes(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            Self::Number(number) => number.to_string(),
            _ => String::new(),
        }
    }
}

/// A bare connection that sends a command and reads its answer.
#[derive(Debug)]
pub struct Client(BufReader<TcpStream>);

impl Client {
    /// Connects to a port of this machine.
    pub fn connect(port: u16) -> io::Result<Self> {
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let stream = TcpStream::connect_timeout(&address, Duration::from_secs(5))?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        stream.set_nodelay(true)?;
        Ok(Self(BufReader::new(stream)))
    }

    /// Sends `command` and reads the answer.
    pub fn ask<T: AsRef<[u8]>>(&mut self, command: &[T]) -> io::Result<Answer> {
        let mut bytes = format!("*{}\r\n", command.len()).into_bytes();
        for part in command {
            let part = part.as_ref();
            bytes.extend_from_slice(format!("${}\r\n", part.len()).as_bytes());
            bytes.extend_from_slice(part);
            bytes.extend_from_slice(b"\r\n");
        }
        self.0.get_mut().write_all(&bytes)?;
        self.read()
    }

    fn read(&mut self) -> io::Result<Answer> {
        let mut line = String::new();
        if self.0.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let strange = || io::Error::other(format!("strange answer: {line:?}"));
        let (kind, rest) = line.trim_end().split_at_checked(1).ok_or_else(strange)?;
        let number = || rest.parse::<i64>().map_err(|_| strange());
        Ok(match kind {
            "+" => Answer::Bytes(rest.as_bytes().to_vec()),
            "-" => Answer::Error(rest.to_owned()),
            ":" => Answer::Number(number()?),
            "$" => match usize::try_from(number()?) {
                Ok(length) => {
                    let mut bytes = vec![0; length + 2];
                    self.0.read_exact(&mut bytes)?;
                    bytes.truncate(length);
                    Answer::Bytes(bytes)
                }
                Err(_) => Answer::Nil,
            },
            "*" => match usize::try_from(number()?) {
                Ok(length) => {
                    Answer::List((0..length).map(|_| self.read()).collect::<io::Result<_>>()?)
                }
                Err(_) => Answer::Nil,
            },
            _ => return Err(strange()),
        })
    }
}
