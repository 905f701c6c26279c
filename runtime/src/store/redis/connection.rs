//! Connections to a Redis: plain TCP to one server, one connection for each lane.

use std::io;
use std::net::TcpStream;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use async_io::Async;
use futures_lite::{AsyncRead as _, AsyncWrite as _};
use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::{AsyncConnectionConfig, Cmd, RedisConnectionInfo, RedisError, Value};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use zonesync_core::time::Duration;

use super::{RedisOptions, Topology};
use crate::runtime::Runtime;
use crate::store::StoreError;

/// Which connection a command takes, so that none waits behind what is slow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lane {
    /// The lease and what is as short.
    Lease,
    /// Batches, chunks, reads.
    Data,
    /// Reads that block.
    Watch,
}

/// A script and what it is called.
#[derive(Debug)]
pub(super) struct Script {
    name: &'static str,
    source: &'static str,
}

impl Script {
    pub(super) const fn new(name: &'static str, source: &'static str) -> Self {
        Self { name, source }
    }
}

/// The server of a zone.
#[derive(Clone)]
pub(super) struct Server(Arc<Shared>);

struct Shared {
    options: RedisOptions,
    runtime: Arc<dyn Runtime>,
    lanes: [async_lock::Mutex<Option<MultiplexedConnection>>; 3],
}

impl Server {
    pub(super) fn new(options: RedisOptions, runtime: Arc<dyn Runtime>, _slot_key: String) -> Self {
        Self(Arc::new(Shared { options, runtime, lanes: Default::default() }))
    }

    pub(super) async fn run(
        &self,
        lane: Lane,
        script: &Script,
        keys: &[&str],
        args: &[&[u8]],
    ) -> Result<Value, StoreError> {
        let limit = match lane {
            Lane::Data => self.0.options.bulk_timeout,
            _ => self.0.options.command_timeout,
        };
        let mut eval = redis::cmd("EVAL");
        eval.arg(script.source).arg(keys.len()).arg(keys);
        for arg in args {
            eval.arg(*arg);
        }
        self.call(lane, &eval, limit)
            .await
            .inspect_err(|error| tracing::debug!(script = script.name, %error, "redis"))
    }

    pub(super) async fn call(
        &self,
        lane: Lane,
        command: &Cmd,
        limit: Duration,
    ) -> Result<Value, StoreError> {
        let mut slot = self.0.lanes[lane as usize].lock().await;
        if slot.is_none() {
            *slot = Some(self.connect().await.map_err(error_of)?);
        }
        let mut connection = slot.clone().expect("it was just set");
        drop(slot);
        let late = async {
            self.0.runtime.sleep(limit).await;
            Err(StoreError::Unavailable(format!("no answer within {limit:?}")))
        };
        let answer = async { connection.req_packed_command(command).await.map_err(error_of) };
        let answer = futures_lite::future::or(answer, late).await;
        if matches!(answer, Err(StoreError::Unavailable(_))) {
            *self.0.lanes[lane as usize].lock().await = None;
        }
        match answer? {
            Value::ServerError(error) => Err(error_of(error.into())),
            value => Ok(value),
        }
    }

    async fn connect(&self) -> Result<MultiplexedConnection, RedisError> {
        let Topology::Standalone(address) = &self.0.options.topology else {
            return Err((redis::ErrorKind::Client, "not built yet").into());
        };
        let stream = async_net::TcpStream::connect((&*address.host, address.port)).await?;
        stream.set_nodelay(true)?;
        let stream = Stream(stream.into());
        let config = AsyncConnectionConfig::new().set_response_timeout(None);
        let info = RedisConnectionInfo::default();
        let (connection, driver) =
            MultiplexedConnection::new_with_config(&info, stream, config).await?;
        self.0.runtime.spawn(Box::pin(driver));
        Ok(connection)
    }
}

fn error_of(error: RedisError) -> StoreError {
    let text = error.to_string();
    match error.code() {
        Some("OOM") => StoreError::Full,
        Some("NOPERM" | "NOAUTH" | "WRONGPASS") => StoreError::Denied(text),
        _ if text.contains("command not allowed when used memory > 'maxmemory'") => StoreError::Full,
        _ => StoreError::Unavailable(text),
    }
}

/// A socket of async-io behind the traits of tokio.
struct Stream(Arc<Async<TcpStream>>);

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut &*self.0).poll_read(context, buffer.initialize_unfilled()).map_ok(|read| buffer.advance(read))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut &*self.0).poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut &*self.0).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut &*self.0).poll_close(context)
    }
}
