//! `idle`: what a quiet zone of three nodes asks of Redis, in commands a second as clients send them,
//! and what each node takes of a core, in percent. Over 60 seconds; with `SIZE=small` over five.
//!
//! Commands that scripts run inside the server are not counted: no client sent them.

use std::io::{self, BufRead, BufReader, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use zonesync_tests::figure::{self, Goal};
use zonesync_tests::fixed::{Fixed, start};
use zonesync_tests::process;
use zonesync_tests::servers::redis::RedisServer;

const NODES: usize = 3;

fn main() {
    let Some(server) = RedisServer::start(&[]) else {
        figure::skip("idle", "there is no redis-server");
        return;
    };
    let fixed = Fixed::new(1_000, 10);
    let names = ["a", "b", "c"];
    let nodes = names.map(|name| start(server.port(), name, Some(fixed.clone())));
    let patience = Duration::from_secs(60);
    assert!(nodes.iter().all(|node| node.wait_ready(patience)), "all are ready");
    // Past the first snapshot's trim, and all that follows a start.
    thread::sleep(Duration::from_secs(figure::size(10, 4)));
    let length = Duration::from_secs(figure::size(60, 5));
    let (cpu, begun) = (process::cpu_seconds(), Instant::now());
    let (commands, names) = watch(server.port(), length).expect("the server tells its commands");
    let seconds = begun.elapsed().as_secs_f64();
    let cpu = (process::cpu_seconds() - cpu) / seconds / NODES as f64 * 100.0;
    println!("raw idle {commands} commands in {seconds:.1} s: {names}");
    figure::print("idle", commands as f64 / seconds, "commands/s", Goal::AtMost, 2.0);
    figure::print("idle-cpu", cpu, "% of a core per node", Goal::AtMost, 0.1);
    nodes.iter().for_each(|node| node.stop());
}

/// Counts what clients send, by name, as the server tells it.
fn watch(port: u16, length: Duration) -> io::Result<(u64, String)> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.write_all(b"MONITOR\r\n")?;
    stream.set_read_timeout(Some(Duration::from_millis(200)))?;
    let mut lines = BufReader::new(stream);
    let mut counts = std::collections::BTreeMap::<String, u64>::new();
    let (begun, mut line) = (Instant::now(), String::new());
    while begun.elapsed() < length {
        match lines.read_line(&mut line) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(_) => {
                // A line reads: +<time> [<db> <client>] "COMMAND" "argument" ..
                let inside = line.contains(" lua] ");
                if let Some(name) = line.split('"').nth(1).filter(|_| !inside) {
                    *counts.entry(name.to_ascii_uppercase()).or_default() += 1;
                }
                line.clear();
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    let names: Vec<_> = counts.iter().map(|(name, count)| format!("{name} {count}")).collect();
    Ok((counts.values().sum(), names.join(", ")))
}
