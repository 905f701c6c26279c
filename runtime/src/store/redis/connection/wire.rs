//! A socket, plain or under TLS, as the protocol engine wants it; and what is seen of it.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};

use async_net::TcpStream;
use futures_lite::io::{AsyncRead, AsyncWrite};
use futures_rustls::client::TlsStream;
use tokio::io::ReadBuf;
use zonesync_core::time::{Duration, Instant};

use crate::runtime::Runtime;

/// The most bytes that replies may bring before any caller has got his. What is asked for at once is
/// far below: so this stops a server that has gone mad, before memory does.
pub(super) const UNCLAIMED_MAX: u64 = 256 << 20;

/// The fewest and the most bytes that one read asks for.
const READ: std::ops::RangeInclusive<usize> = (8 << 10)..=(256 << 10);

/// A socket to a server.
pub(super) enum Socket {
    /// TCP.
    Plain(TcpStream),
    /// TLS over TCP.
    Tls(Box<TlsStream<TcpStream>>),
}

/// Why a connection ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// Nobody holds it any more.
    Unneeded,
    /// It was idle for as long as it may be.
    Idle,
    /// A blocking read was dropped.
    Dropped,
    /// Too many callers left before their answers came.
    Abandoned,
    /// The server did not answer in time.
    Silent,
    /// The server closed it.
    Closed,
    /// It broke.
    Broke(String),
    /// The server is not, or no longer, the one for the zone.
    Elsewhere,
    /// The task behind it was ended.
    Task,
}

impl End {
    /// Says whether that is nothing to worry about.
    pub(super) fn is_ordinary(&self) -> bool {
        matches!(self, Self::Unneeded | Self::Idle | Self::Dropped)
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unneeded => "it is not needed any more",
            Self::Idle => "it was idle",
            Self::Dropped => "a blocking read was dropped",
            Self::Abandoned => "too many callers left before their answers came",
            Self::Silent => "the server is silent",
            Self::Closed => "the server closed it",
            Self::Broke(why) => why,
            Self::Elsewhere => "the zone is on another server now",
            Self::Task => "its task was ended",
        })
    }
}

/// What is seen of a connection from outside: whether it lives, and when it last did.
#[derive(Debug, Default)]
pub(super) struct Pulse {
    end: OnceLock<End>,
    closed: AtomicBool,
    read_at: AtomicU64,
    unclaimed: AtomicU64,
    /// How much to ask for next, by what the last read brought.
    read_size: AtomicUsize,
}

impl Pulse {
    /// Says whether the connection is over.
    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Ends it for those who look, and says why it ended: the first reason stays.
    pub(super) fn close(&self, end: End) -> &End {
        let end = self.end.get_or_init(|| end);
        self.closed.store(true, Ordering::Release);
        end
    }

    /// Says why it ended, or is about to.
    pub(super) fn end(&self) -> Option<&End> {
        self.end.get()
    }

    /// Says for how long the server has been silent.
    pub(super) fn silence(&self, now: Instant) -> Duration {
        now.since(Instant::from_nanos(self.read_at.load(Ordering::Relaxed)))
    }

    /// Notes that a caller has got his reply.
    pub(super) fn claimed(&self) {
        self.unclaimed.store(0, Ordering::Relaxed);
    }

    fn read(&self, now: Instant, bytes: usize) -> io::Result<()> {
        self.read_at.store(now.as_nanos(), Ordering::Relaxed);
        let size = (bytes * 2).clamp(*READ.start(), *READ.end());
        self.read_size.store(size, Ordering::Relaxed);
        let bytes = bytes as u64;
        if self.unclaimed.fetch_add(bytes, Ordering::Relaxed) + bytes > UNCLAIMED_MAX {
            let why = "its answer is longer than any that was asked for".to_owned();
            self.end.get_or_init(|| End::Broke(why));
            return Err(io::ErrorKind::InvalidData.into());
        }
        Ok(())
    }
}

/// A socket whose pulse is felt.
pub(super) struct Wire {
    socket: Socket,
    pulse: Arc<Pulse>,
    runtime: Arc<dyn Runtime>,
}

impl Wire {
    pub(super) fn new(socket: Socket, runtime: Arc<dyn Runtime>) -> Self {
        let pulse = Arc::new(Pulse::default());
        pulse.read_at.store(runtime.now().as_nanos(), Ordering::Relaxed);
        Self { socket, pulse, runtime }
    }

    pub(super) fn pulse(&self) -> &Arc<Pulse> {
        &self.pulse
    }
}

impl tokio::io::AsyncRead for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        // All room that a read is offered must be zeroed first. So it is offered about what came the
        // last time: the buffer behind has megabytes of room when a chunk is under way.
        let size = this.pulse.read_size.load(Ordering::Relaxed).max(*READ.start());
        let room = buffer.initialize_unfilled_to(size.min(buffer.remaining()));
        let bytes = ready!(match &mut this.socket {
            Socket::Plain(stream) => Pin::new(stream).poll_read(context, room),
            Socket::Tls(stream) => Pin::new(stream).poll_read(context, room),
        })?;
        buffer.advance(bytes);
        if bytes > 0 {
            this.pulse.read(this.runtime.now(), bytes)?;
        }
        Poll::Ready(Ok(()))
    }
}

impl tokio::io::AsyncWrite for Wire {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().socket {
            Socket::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Socket::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().socket {
            Socket::Plain(stream) => Pin::new(stream).poll_flush(context),
            Socket::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().socket {
            Socket::Plain(stream) => Pin::new(stream).poll_close(context),
            Socket::Tls(stream) => Pin::new(stream).poll_close(context),
        }
    }
}
