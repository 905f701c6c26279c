//! A bare client of Redis, as rival in benches: one connection, commands in flight, answers parsed and
//! dropped.

use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::net::TcpStream;
use std::sync::mpsc::{TrySendError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use zonesync::core::id::EntityKeyBuf;

use crate::servers::redis::{Answer, Client};

/// How many commands are in flight.
const IN_FLIGHT: usize = 512;

/// Gives the name of the hash that holds an entity, as a zone without packed chunks has it.
pub fn hash_name(key: &EntityKeyBuf) -> String {
    let key = key.as_ref();
    match key.scope.is_empty() {
        true => format!("distributed_event:zone-a:{}:{}", key.kind, key.id),
        false => format!("distributed_event:zone-a:API:{}:{}:{}", key.scope, key.kind, key.id),
    }
}

/// Writes one hash for each entity: six fields, one of them the payload. Gives the time it took.
pub fn hset_all<'a>(
    port: u16,
    entities: impl Iterator<Item = (&'a EntityKeyBuf, &'a [u8])> + Send,
) -> Duration {
    run(port, entities, |(key, payload), out| {
        let name = hash_name(key);
        let key = key.as_ref();
        let kind = key.kind.to_string();
        let parts: [&[u8]; 14] = [
            b"HSET",
            name.as_bytes(),
            b"id",
            key.id.as_bytes(),
            b"type",
            kind.as_bytes(),
            b"syncAction",
            b"DEPLOY",
            b"refId",
            key.scope.as_bytes(),
            b"updatedAt",
            b"1760000000000",
            b"payload",
            payload,
        ];
        write_command(out, &parts)
    })
}

/// Reads one hash for each name. Gives the time it took.
pub fn hgetall_all<'a>(port: u16, names: impl Iterator<Item = &'a str> + Send) -> Duration {
    run(port, names, |name, out| write_command(out, &[b"HGETALL", name.as_bytes()]))
}

/// Makes the index that stock gateways search.
pub fn create_index(port: u16) -> io::Result<bool> {
    let command = "FT.CREATE distributed_event_idx ON HASH PREFIX 1 distributed_event: SCHEMA \
                   type TEXT syncAction TEXT refId TEXT updatedAt NUMERIC SORTABLE";
    let command: Vec<&str> = command.split_whitespace().collect();
    Ok(!matches!(Client::connect(port)?.ask(&command)?, Answer::Error(_)))
}

/// Drains all hashes through the index, a thousand to a page. Gives how many came, and the time.
pub fn drain(port: u16) -> io::Result<(usize, Duration)> {
    let mut client = Client::connect(port)?;
    let command = "FT.AGGREGATE distributed_event_idx * LOAD 5 @id @type @syncAction @refId \
                   @payload WITHCURSOR COUNT 1000 TIMEOUT 60000";
    let begun = Instant::now();
    let mut answer = client.ask(&command.split_whitespace().collect::<Vec<_>>())?;
    let mut rows = 0;
    loop {
        let Answer::List(parts) = &answer else {
            return Err(io::Error::other(format!("no page: {answer:?}")));
        };
        let (Some(Answer::List(page)), Some(cursor)) = (parts.first(), parts.get(1)) else {
            return Err(io::Error::other("a page has rows and a cursor"));
        };
        rows += page.len().saturating_sub(1);
        let cursor = cursor.text();
        if cursor == "0" {
            return Ok((rows, begun.elapsed()));
        }
        answer = client.ask(&["FT.CURSOR", "READ", "distributed_event_idx", &cursor])?;
    }
}

/// Sends a command for each item, so many in flight, and reads all answers.
fn run<T: Send>(
    port: u16,
    items: impl Iterator<Item = T> + Send,
    write: impl Fn(T, &mut BufWriter<TcpStream>) -> io::Result<()> + Send,
) -> Duration {
    let stream = TcpStream::connect(("127.0.0.1", port)).expect("the server listens");
    stream.set_nodelay(true).expect("it is TCP");
    let mut answers = BufReader::with_capacity(256 << 10, stream.try_clone().expect("cloned"));
    let (sender, receiver) = sync_channel::<()>(IN_FLIGHT);
    let begun = Instant::now();
    thread::scope(|scope| {
        scope.spawn(move || {
            let mut out = BufWriter::with_capacity(64 << 10, stream);
            for item in items {
                if let Err(TrySendError::Full(())) = sender.try_send(()) {
                    out.flush().expect("the server reads");
                    sender.send(()).expect("somebody reads answers");
                }
                write(item, &mut out).expect("the server reads");
            }
            out.flush().expect("the server reads");
        });
        let mut line = Vec::new();
        // A token stands for a command that was, or is about to be, sent.
        while receiver.recv().is_ok() {
            skip_answer(&mut answers, &mut line).expect("the server answers");
        }
    });
    begun.elapsed()
}

fn write_command(out: &mut impl Write, parts: &[&[u8]]) -> io::Result<()> {
    write!(out, "*{}\r\n", parts.len())?;
    for part in parts {
        write!(out, "${}\r\n", part.len())?;
        out.write_all(part)?;
        out.write_all(b"\r\n")?;
    }
    Ok(())
}

/// Reads one answer in full.
fn skip_answer(answers: &mut BufReader<TcpStream>, line: &mut Vec<u8>) -> io::Result<()> {
    let mut left = 1_u64;
    while left > 0 {
        left -= 1;
        line.clear();
        answers.read_until(b'\n', line)?;
        let Some((kind, rest)) = line.split_first() else {
            return Err(io::ErrorKind::UnexpectedEof.into());
        };
        let number = || std::str::from_utf8(rest).ok()?.trim().parse::<u64>().ok();
        match kind {
            b'*' => left += number().unwrap_or(0),
            b'$' => {
                if let Some(size) = number() {
                    io::copy(&mut answers.by_ref().take(size + 2), &mut io::sink())?;
                }
            }
            b'-' => return Err(io::Error::other(String::from_utf8_lossy(rest).into_owned())),
            _ => {}
        }
    }
    Ok(())
}
