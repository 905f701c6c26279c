//! One question after another on a fresh socket: for greetings, sentinels and maps of a cluster.

use std::io;
use std::pin::Pin;

use redis::Value;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use zeroize::Zeroizing;

use super::wire::Wire;

/// The longest answer that is read here, in bytes: the map of a very large cluster.
const ANSWER_MAX: usize = 4 << 20;

/// A fresh socket.
pub(super) struct Bare(pub(super) Wire);

impl Bare {
    /// Sends a command and reads its answer. A refusal is an answer, too.
    pub(super) async fn ask(&mut self, parts: &[&[u8]]) -> io::Result<Value> {
        self.send(&packed(parts)).await?;
        let mut answer = Vec::new();
        loop {
            self.read(&mut answer).await?;
            match redis::parse_redis_value(&answer) {
                Ok(value) => return Ok(value),
                Err(error) if error.is_io_error() && answer.len() < ANSWER_MAX => {}
                // How an alert of TLS begins.
                Err(_) if answer[0] == 0x15 => {
                    return Err(io::Error::other(
                        "it speaks TLS: see `distributed-sync.redis.ssl`",
                    ));
                }
                Err(_) => return Err(io::Error::other("its answer makes no sense")),
            }
        }
    }

    async fn send(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let sent =
                std::future::poll_fn(|context| Pin::new(&mut self.0).poll_write(context, bytes))
                    .await?;
            if sent == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            bytes = &bytes[sent..];
        }
        std::future::poll_fn(|context| Pin::new(&mut self.0).poll_flush(context)).await
    }

    async fn read(&mut self, answer: &mut Vec<u8>) -> io::Result<()> {
        let mut room = [0; 4096];
        let mut buffer = ReadBuf::new(&mut room);
        std::future::poll_fn(|context| Pin::new(&mut self.0).poll_read(context, &mut buffer))
            .await?;
        if buffer.filled().is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        answer.extend_from_slice(buffer.filled());
        Ok(())
    }
}

/// Packs a command. It may hold a password: so its bytes are wiped, and never moved.
fn packed(parts: &[&[u8]]) -> Zeroizing<Vec<u8>> {
    let size = parts.iter().map(|part| part.len() + 32).sum::<usize>() + 32;
    let mut bytes = Zeroizing::new(Vec::with_capacity(size));
    bytes.extend_from_slice(format!("*{}\r\n", parts.len()).as_bytes());
    for part in parts {
        bytes.extend_from_slice(format!("${}\r\n", part.len()).as_bytes());
        bytes.extend_from_slice(part);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes
}
