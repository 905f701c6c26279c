//! From an address to a socket: names, TCP, TLS.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use async_net::TcpStream;
use futures_rustls::TlsConnector;
use rustls::AlertDescription;
use rustls_pki_types::ServerName;
use socket2::{SockRef, TcpKeepalive};
use zonesync_core::time::Duration;

use super::wire::{Socket, Wire};
use super::within;
use crate::runtime::Runtime;
use crate::store::StoreError;
use crate::store::redis::options::Address;
use crate::tls::{self, Tls};

/// The system looks after a silent peer: first after this long, and then this often.
const KEEP_ALIVE: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(5));
/// How long sent bytes may go unconfirmed before the system gives a connection up.
const UNCONFIRMED_MAX: Duration = Duration::from_secs(10);
/// The most addresses of one name that are tried.
const ADDRESSES_MAX: usize = 8;

/// Connects to `address`. The caller limits the time of the whole; no single one of several
/// addresses takes more than its share of `limit`.
pub(super) async fn dial(
    runtime: &Arc<dyn Runtime>,
    address: &Address,
    tls: Option<&Tls>,
    limit: Duration,
) -> Result<Wire, StoreError> {
    let name = (address.host.as_str(), address.port);
    let mut found: Vec<SocketAddr> = async_net::resolve(name)
        .await
        .map_err(|error| unavailable(format!("the name of {address} is not known: {error}")))?;
    found.truncate(ADDRESSES_MAX);
    let share = limit / u32::try_from(found.len().max(1)).unwrap_or(u32::MAX);
    let mut refused = unavailable(format!("the name of {address} has no address"));
    for peer in found {
        let connect = async { Some(TcpStream::connect(peer).await) };
        match within(runtime, share, connect, || None).await {
            Some(Ok(stream)) => {
                ready(&stream).map_err(|error| unavailable(format!("{address}: {error}")))?;
                let socket = match tls {
                    Some(tls) => secure(stream, address, tls).await?,
                    None => Socket::Plain(stream),
                };
                return Ok(Wire::new(socket, Arc::clone(runtime)));
            }
            Some(Err(error)) => {
                refused = unavailable(format!("{address} cannot be reached: {error}"));
            }
            None => refused = unavailable(format!("{address} does not answer")),
        }
    }
    Err(refused)
}

/// Sets up a fresh stream: nothing waits to be sent, and a peer that is gone is noticed.
fn ready(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    let (after, every) = KEEP_ALIVE;
    let keep_alive = TcpKeepalive::new().with_time(after).with_interval(every).with_retries(3);
    socket.set_tcp_keepalive(&keep_alive)?;
    #[cfg(any(target_os = "linux", target_os = "android"))]
    socket.set_tcp_user_timeout(Some(UNCONFIRMED_MAX))?;
    Ok(())
}

async fn secure(stream: TcpStream, address: &Address, tls: &Tls) -> Result<Socket, StoreError> {
    let name = ServerName::try_from(address.host.clone())
        .map_err(|_| StoreError::Denied(format!("{address} has no name that TLS can check")))?;
    match TlsConnector::from(Arc::clone(tls.config())).connect(name, stream).await {
        Ok(stream) => Ok(Socket::Tls(Box::new(stream))),
        Err(error) => Err(told(&error, address)),
    }
}

/// Reads an error of a socket that may speak TLS.
///
/// A server that misses our certificate says so in the handshake under TLS 1.2, but on the first read
/// under TLS 1.3: both become the same.
pub(super) fn told(error: &io::Error, address: &Address) -> StoreError {
    use AlertDescription as Alert;
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match inner {
        Some(rustls::Error::AlertReceived(
            alert @ (Alert::CertificateRequired
            | Alert::BadCertificate
            | Alert::CertificateUnknown
            | Alert::CertificateExpired
            | Alert::UnknownCA
            | Alert::HandshakeFailure),
        )) => StoreError::Denied(format!(
            "TLS: {address} refuses our certificate, or misses one (alert {alert:?}): see \
             `distributed-sync.redis.keystore`"
        )),
        Some(rustls::Error::InvalidCertificate(why)) => StoreError::Denied(format!(
            "TLS: the certificate of {address} is not accepted ({}): see \
             `distributed-sync.redis.truststore`",
            tls::words(why)
        )),
        Some(rustls::Error::InvalidMessage(_)) => StoreError::Denied(format!(
            "{address} does not speak TLS: see `distributed-sync.redis.ssl`"
        )),
        Some(error) => StoreError::Denied(format!("TLS with {address} fails: {error}")),
        None if error.kind() == io::ErrorKind::UnexpectedEof => {
            unavailable(format!("{address} closed the connection"))
        }
        None => unavailable(format!("the connection to {address} broke: {error}")),
    }
}

pub(super) fn unavailable(why: String) -> StoreError {
    StoreError::Unavailable(why)
}
