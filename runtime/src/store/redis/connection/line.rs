//! One connection to one server: commands in flight, and when to give it up.
//!
//! The engine matches answers to commands by their order, and drops the answer to a command whose
//! caller has left. A connection is given up when the server was silent for the whole time-out of a
//! command, for then either is gone; an answer that is merely late behind a long one leaves it as it
//! is. It is also given up when a blocking read is dropped, for nothing else could pass it.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use async_channel::{Receiver, Sender};
use futures_lite::future::or;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Cmd, ProtocolVersion, RedisConnectionInfo, Value};
use tracing::{debug, warn};
use zonesync_core::time::{Duration, Instant};

use super::bare::Bare;
use super::dial::{dial, unavailable};
use super::hello::{Facts, hello};
use super::refusal::Refusal;
use super::wire::{End, Pulse, Wire};
use super::{Common, Lane, within};
use crate::runtime::Runtime;
use crate::store::StoreError;
use crate::store::redis::options::Address;

/// The most commands that are on their way at once; further callers wait.
const IN_FLIGHT_MAX: usize = 64;
/// The most commands whose callers left before the answer came.
const ABANDONED_MAX: usize = 64;
/// A server that was heard within this time need not prove that it lives.
const HEARD: Duration = Duration::from_secs(1);

/// One connection.
pub(super) struct Line {
    lane: Lane,
    pub(super) address: Address,
    pub(super) facts: Facts,
    engine: MultiplexedConnection,
    pulse: Arc<Pulse>,
    runtime: Arc<dyn Runtime>,
    /// How long an answer to a short command may take.
    short: Duration,
    usage: Arc<Usage>,
    permits: (Sender<()>, Receiver<()>),
    abandoned: AtomicUsize,
    proved: AtomicBool,
    /// Ends the task behind the line when it goes.
    end: Sender<Infallible>,
}

#[derive(Default)]
struct Usage {
    in_flight: AtomicUsize,
    at: AtomicU64,
}

impl Line {
    /// Connects to `address` and greets it.
    pub(super) async fn open(
        common: &Common,
        lane: Lane,
        address: Address,
    ) -> Result<Self, StoreError> {
        let options = &common.options;
        let limit = options.connect_timeout;
        let greeted = async {
            let wire = dial(&common.runtime, &address, options.tls.as_ref(), limit).await?;
            let mut bare = Bare(wire);
            let facts = hello(&mut bare, &address, common.login(), Some(lane)).await;
            let facts = facts.map_err(Refusal::into_error)?;
            facts.check(&address)?;
            Ok((bare.0, facts))
        };
        let late = || {
            let hint = if options.tls.is_some() { "; does it speak TLS?" } else { "" };
            Err(unavailable(format!("{address} does not answer within {limit:?}{hint}")))
        };
        let (wire, facts) = within(&common.runtime, limit, greeted, late).await?;
        Self::start(common, lane, address, facts, wire).await
    }

    async fn start(
        common: &Common,
        lane: Lane,
        address: Address,
        facts: Facts,
        wire: Wire,
    ) -> Result<Self, StoreError> {
        let (pulse, runtime) = (Arc::clone(wire.pulse()), Arc::clone(&common.runtime));
        // The greeting is done, so the engine has nothing to say of its own.
        let info = RedisConnectionInfo::default()
            .set_protocol(ProtocolVersion::RESP2)
            .set_skip_set_lib_name();
        let config = AsyncConnectionConfig::new()
            .set_response_timeout(None)
            .set_connection_timeout(None)
            .set_pipeline_buffer_size(IN_FLIGHT_MAX);
        let (engine, driver) = MultiplexedConnection::new_with_config(&info, wire, config)
            .await
            .map_err(|error| unavailable(format!("{address}: {error}")))?;
        let (end, ended) = async_channel::bounded::<Infallible>(1);
        let usage = Arc::new(Usage::default());
        usage.touch(runtime.now());
        let idle = idle(Arc::clone(&runtime), common.options.idle_timeout, Arc::clone(&usage));
        let task = {
            // Closes the pulse even if the task is dropped, or panics.
            let tell = Tell { lane, address: address.clone(), pulse: Arc::clone(&pulse) };
            async move {
                let idle = async {
                    idle.await;
                    End::Idle
                };
                let closed = async {
                    let _ = ended.recv().await;
                    End::Unneeded
                };
                let served = async {
                    driver.await;
                    End::Closed
                };
                let end = or(closed, or(served, idle)).await;
                tell.pulse.close(end);
            }
        };
        runtime.spawn(Box::pin(task));
        let permits = async_channel::bounded(IN_FLIGHT_MAX);
        let short = common.options.command_timeout;
        let (abandoned, proved) = (AtomicUsize::new(0), AtomicBool::new(false));
        Ok(Self {
            lane,
            address,
            facts,
            engine,
            pulse,
            runtime,
            short,
            usage,
            permits,
            abandoned,
            proved,
            end,
        })
    }

    /// Says whether it can be used.
    pub(super) fn is_open(&self) -> bool {
        !self.pulse.is_closed()
    }

    /// Says whether the server has answered anything after the greeting.
    pub(super) fn is_proved(&self) -> bool {
        self.proved.load(Ordering::Relaxed)
    }

    /// Notes that the server did what it was asked.
    pub(super) fn prove(&self) {
        self.proved.store(true, Ordering::Relaxed);
    }

    /// Says why it ended.
    pub(super) fn reason(&self) -> String {
        self.pulse.end().map_or_else(String::new, |end| end.to_string())
    }

    /// Says whether it ended since the zone is on another server.
    pub(super) fn led_elsewhere(&self) -> bool {
        self.pulse.end() == Some(&End::Elsewhere)
    }

    /// Gives it up. Whoever waits for an answer learns it.
    pub(super) fn close(&self, end: End) {
        self.pulse.close(end);
        self.end.close();
    }

    /// Sends `command`, which errors call `name`, and gives its answer, which may be a refusal.
    pub(super) async fn ask(
        &self,
        name: &str,
        command: &Cmd,
        limit: Duration,
    ) -> Result<Value, StoreError> {
        let begun = self.runtime.now();
        let answer = async {
            let mut pending = self.enter().await;
            let answer = or(self.lives(limit), self.send(command)).await;
            pending.answered = true;
            Some(answer)
        };
        match within(&self.runtime, limit, answer, || None).await {
            Some(answer) => answer,
            None => {
                let now = self.runtime.now();
                let waited = now.since(begun);
                // A caller in a great hurry proves nothing.
                if self.pulse.silence(now) >= waited && waited * 2 >= self.short {
                    self.close(End::Silent);
                }
                let limit = limit.as_secs_f32();
                let why = format!("{} did not answer {name} within {limit:.2} s", self.address);
                Err(unavailable(why))
            }
        }
    }

    async fn send(&self, command: &Cmd) -> Result<Value, StoreError> {
        match self.engine.clone().send_packed_command(command).await {
            Ok(value) => {
                self.pulse.claimed();
                // Answers come in order: so did those to whoever left before.
                self.abandoned.store(0, Ordering::Relaxed);
                Ok(value)
            }
            Err(error) => {
                let end = if error.is_connection_dropped() {
                    End::Closed
                } else {
                    End::Broke(error.to_string())
                };
                self.close(end);
                Err(unavailable(format!(
                    "lost the connection to {}: {}",
                    self.address,
                    self.reason()
                )))
            }
        }
    }

    /// Fails if the server turns out to be gone while an answer may still take long: it is asked for
    /// a sign of life beforehand.
    async fn lives(&self, limit: Duration) -> Result<Value, StoreError> {
        let asked = self.runtime.now();
        if limit > self.short && self.pulse.silence(asked) > HEARD {
            let mut engine = self.engine.clone();
            let mut ping = Cmd::new();
            ping.arg("PING");
            let ping = async { Some(engine.send_packed_command(&ping).await) };
            let answer = within(&self.runtime, self.short, ping, || None).await;
            let now = self.runtime.now();
            if answer.is_none() && self.pulse.silence(now) >= now.since(asked) {
                self.close(End::Silent);
                return Err(unavailable(format!("{} gives no sign of life", self.address)));
            }
        }
        std::future::pending().await
    }

    /// Waits for room for one more command.
    async fn enter(&self) -> Pending<'_> {
        let _ = self.permits.0.send(()).await;
        self.usage.in_flight.fetch_add(1, Ordering::Relaxed);
        Pending { line: self, answered: false }
    }
}

/// A command on its way.
struct Pending<'a> {
    line: &'a Line,
    answered: bool,
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        let line = self.line;
        let _ = line.permits.1.try_recv();
        line.usage.touch(line.runtime.now());
        line.usage.in_flight.fetch_sub(1, Ordering::Relaxed);
        if self.answered {
            return;
        }
        if line.lane == Lane::Watch {
            line.close(End::Dropped);
        } else if line.abandoned.fetch_add(1, Ordering::Relaxed) >= ABANDONED_MAX {
            line.close(End::Abandoned);
        }
    }
}

impl Usage {
    fn touch(&self, now: Instant) {
        self.at.store(now.as_nanos(), Ordering::Relaxed);
    }
}

/// Ends when the connection was idle for as long as it may be.
async fn idle(runtime: Arc<dyn Runtime>, limit: Duration, usage: Arc<Usage>) {
    if limit.is_zero() {
        return std::future::pending().await;
    }
    loop {
        let since = runtime.now().since(Instant::from_nanos(usage.at.load(Ordering::Relaxed)));
        if usage.in_flight.load(Ordering::Relaxed) > 0 {
            runtime.sleep(limit).await;
        } else if since >= limit {
            return;
        } else {
            runtime.sleep(limit - since).await;
        }
    }
}

/// Tells of the end of a connection, whatever ended it.
struct Tell {
    lane: Lane,
    address: Address,
    pulse: Arc<Pulse>,
}

impl Drop for Tell {
    fn drop(&mut self) {
        let end = self.pulse.close(End::Task);
        let (lane, server) = (self.lane.name(), &self.address);
        if end.is_ordinary() {
            debug!(lane, %server, reason = %end, "connection ended");
        } else {
            warn!(lane, %server, reason = %end, "connection lost");
        }
    }
}
