//! The other end of the admin socket, for the command line and for hosts.
//!
//! Blocking and small: one request at a time, answers as they come.

use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use zonesync_core::time::Duration;

use super::socket::{default_folder, is_private};
use super::{Answer, Request};

/// The most bytes of one answer: a payload of 16 MiB in which every byte is escaped, and the rest.
const ANSWER_MAX: u64 = 100 << 20;

/// How long an answer may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// A connection to a running node.
#[derive(Debug)]
pub struct Client {
    stream: BufReader<UnixStream>,
}

impl Client {
    /// Connects to the node that answers at `path`.
    pub fn connect(path: &Path) -> io::Result<Self> {
        let stream = UnixStream::connect(path)?;
        stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
        stream.set_write_timeout(Some(ANSWER_TIMEOUT))?;
        Ok(Self { stream: BufReader::new(stream) })
    }

    /// Finds the sockets at which nodes answer in the default folder, sorted.
    ///
    /// Nothing is found in a folder that others can write to: a stranger's socket would be told
    /// the keys that we ask about.
    pub fn find() -> Vec<PathBuf> {
        let folder = default_folder();
        if !fs::symlink_metadata(&folder).is_ok_and(|meta| is_private(&meta)) {
            return Vec::new();
        }
        let files = fs::read_dir(&folder).into_iter().flatten().flatten();
        let mut found: Vec<_> = files
            .filter(|file| file.file_type().is_ok_and(|kind| kind.is_socket()))
            .map(|file| file.path())
            .filter(|path| UnixStream::connect(path).is_ok())
            .collect();
        found.sort();
        found
    }

    /// Sends a request. Read its answers with [`Self::answer`] before sending another.
    pub fn ask(&mut self, request: &Request) -> io::Result<()> {
        let patience = match request {
            Request::Watch { .. } => None,
            _ => Some(ANSWER_TIMEOUT),
        };
        self.stream.get_ref().set_read_timeout(patience)?;
        let mut line = serde_json::to_vec(request)?;
        line.push(b'\n');
        match self.stream.get_mut().write_all(&line) {
            // The node has hung up on us; it said why before it did.
            Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            other => other,
        }
    }

    /// Gives the next answer, or none if the node has closed the connection.
    pub fn answer(&mut self) -> io::Result<Option<Answer>> {
        let mut line = Vec::new();
        let read = match self.stream.by_ref().take(ANSWER_MAX).read_until(b'\n', &mut line) {
            Err(e) if e.kind() == io::ErrorKind::ConnectionReset => 0,
            other => other?,
        };
        if read == 0 {
            return Ok(None);
        }
        serde_json::from_slice(&line).map(Some).map_err(io::Error::from)
    }
}
