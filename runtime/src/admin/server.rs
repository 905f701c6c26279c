//! Opens the socket and hands each connection to a task of its own, a bounded number of them.

use std::fmt;
use std::io::{self, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_channel::{Receiver, Sender};
use async_io::Async;
use futures_lite::future;
use zonesync_core::time::Duration;

use super::Admin;
use super::connection::Connection;
use super::protocol::{Answer, ErrorCode, REQUEST_MAX};
use super::socket::{self, Listening};
use crate::runtime::Runtime;

/// How many connections may be open at once.
pub const CONNECTIONS_MAX: usize = 16;

/// How long to rest when the system gives no more connections, as when files run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What one client may cost. Tests take less.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// How many connections may be open at once.
    pub(super) connections: usize,
    /// The most bytes of a request.
    pub(super) request: usize,
    /// How long a connection may be silent between requests.
    pub(super) idle: Duration,
    /// How long a request may take from its first byte to its last.
    pub(super) line: Duration,
    /// How long a client may take to take in what it asked for.
    pub(super) write: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: CONNECTIONS_MAX,
            request: REQUEST_MAX,
            idle: Duration::from_secs(60),
            line: Duration::from_secs(5),
            write: Duration::from_secs(10),
        }
    }
}

/// A socket that answers. Dropping it closes all connections and takes the file away.
///
/// It shares the node with its tasks, which end soon after; stop the node by name if it is to stop
/// at a certain moment.
pub struct AdminServer {
    listening: Listening,
    stop: Sender<()>,
}

impl AdminServer {
    /// Gives the path of the socket.
    pub fn path(&self) -> &Path {
        self.listening.path()
    }
}

impl fmt::Debug for AdminServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AdminServer").field(&self.path()).finish()
    }
}

impl Drop for AdminServer {
    fn drop(&mut self) {
        self.stop.close();
    }
}

/// Answers requests about `node` on a Unix socket at `path`.
///
/// The folder is made 0700 if it is missing, the socket 0600. A socket that a dead process left is
/// replaced; one that answers, or a file that is no socket, gives an error. Links are not followed.
pub fn serve(
    node: Arc<dyn Admin>,
    path: &Path,
    runtime: Arc<dyn Runtime>,
) -> io::Result<AdminServer> {
    serve_within(Limits::default(), node, path, runtime)
}

pub(super) fn serve_within(
    limits: Limits,
    node: Arc<dyn Admin>,
    path: &Path,
    runtime: Arc<dyn Runtime>,
) -> io::Result<AdminServer> {
    let (listening, listener) = socket::listen(path)?;
    let (stop, stopped) = async_channel::bounded(1);
    let open = Arc::new(AtomicUsize::new(0));
    runtime.clone().spawn(Box::pin(async move {
        let accepting = accept(listener, limits, node, runtime, open, stopped.clone());
        future::or(accepting, wait(&stopped)).await;
    }));
    Ok(AdminServer { listening, stop })
}

async fn accept(
    listener: Async<UnixListener>,
    limits: Limits,
    node: Arc<dyn Admin>,
    runtime: Arc<dyn Runtime>,
    open: Arc<AtomicUsize>,
    stopped: Receiver<()>,
) {
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "the admin socket takes no connection; trying again");
                runtime.sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let Some(place) = Place::take(&open, limits.connections) else {
            turn_away(&stream, limits.connections);
            continue;
        };
        let connection = Connection::new(stream, limits, node.clone(), runtime.clone());
        let stopped = stopped.clone();
        runtime.spawn(Box::pin(async move {
            future::or(connection.run(), wait(&stopped)).await;
            drop(place);
        }));
    }
}

/// Waits until the server is dropped.
async fn wait(stopped: &Receiver<()>) {
    let _ = stopped.recv().await;
}

/// Says why a connection is closed, as far as the system takes it at once: nothing waits here.
fn turn_away(stream: &Async<UnixStream>, connections: usize) {
    let message = format!("{connections} connections are open, which is the most; try again later");
    let answer = Answer::Error { code: ErrorCode::Busy, message };
    if let Ok(mut line) = serde_json::to_vec(&answer) {
        line.push(b'\n');
        let _ = stream.get_ref().write(&line);
    }
}

/// One of the connections that may be open; free again when dropped.
struct Place(Arc<AtomicUsize>);

impl Place {
    fn take(open: &Arc<AtomicUsize>, most: usize) -> Option<Self> {
        let more = |now| (now < most).then_some(now + 1);
        let taken = open.fetch_update(Ordering::AcqRel, Ordering::Acquire, more);
        taken.ok().map(|_| Self(open.clone()))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}
