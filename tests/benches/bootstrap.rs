//! `bootstrap`: a cold secondary of a zone in Redis, from its start until it is ready, with 500,000
//! subscriptions and 5,000 APIs. Entities a second, the median of five starts.
//!
//! `bootstrap-vs-hgetall`: its time as part of what a bare client takes to read one hash for each
//! entity, 512 in flight. `bootstrap-vs-search`: as part of what a bare client takes to drain the hashes
//! through RediSearch, where there is a server with that module. In turns, the median of five ratios.
//!
//! Left out: loading the program; a network.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use futures_lite::future::block_on;
use zonesync::core::id::Position;
use zonesync::store::ZoneStore;
use zonesync_tests::bare;
use zonesync_tests::figure::{self, Goal, median};
use zonesync_tests::fixed::{Fixed, start, store};
use zonesync_tests::servers::redis::RedisServer;

const ROUNDS: usize = 5;
const PATIENCE: Duration = Duration::from_secs(120);

fn main() {
    let Some(server) = RedisServer::start(&[]) else {
        figure::skip("bootstrap", "there is no redis-server");
        return;
    };
    let fixed = Fixed::new(figure::size(500_000, 20_000), figure::size(5_000, 200));
    let count = fixed.entities().len();
    println!("raw bootstrap {count} entities, {} bytes of payloads", fixed.bytes());
    let primary = start(server.port(), "primary", Some(fixed.clone()));
    assert!(primary.wait_ready(PATIENCE), "{:#?}", primary.status());
    print_parts(server.port());

    let rival = RedisServer::start(&[]).expect("there was one");
    let pairs = || fixed.entities().iter().map(|entity| (&entity.key, &*entity.payload));
    bare::hset_all(rival.port(), pairs());
    let names: Vec<String> = pairs().map(|(key, _)| bare::hash_name(key)).collect();
    let (mut ours, mut hashes) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        ours.push(bootstrap(server.port(), count).as_secs_f64());
        let read = bare::hgetall_all(rival.port(), names.iter().map(String::as_str));
        hashes.push(read.as_secs_f64());
    }
    drop(rival);
    println!("raw bootstrap {ours:.3?} s, hgetall {hashes:.3?} s");
    figure::print("bootstrap", count as f64 / median(&ours), "entities/s", Goal::AtLeast, 1e6);
    let ratios = |theirs: &[f64]| {
        let ratios: Vec<f64> = ours.iter().zip(theirs).map(|(our, their)| our / their).collect();
        median(&ratios)
    };
    figure::print("bootstrap-vs-hgetall", ratios(&hashes), "of its time", Goal::AtMost, 0.5);
    match search(&fixed) {
        Ok(times) => {
            println!("raw bootstrap search {times:.3?} s");
            figure::print("bootstrap-vs-search", ratios(&times), "of its time", Goal::AtMost, 0.2);
        }
        Err(why) => figure::skip("bootstrap-vs-search", why),
    }
    primary.stop();
}

/// Starts a cold secondary, and waits until it is ready.
fn bootstrap(port: u16, count: usize) -> Duration {
    let begun = Instant::now();
    let node = start(port, "secondary", None);
    assert!(node.wait_ready(PATIENCE), "{:#?}", node.status());
    let took = begun.elapsed();
    let held: u64 = node.status().counts.iter().map(|kind| kind.count).sum();
    assert_eq!(held, count as u64, "it holds all of it");
    node.stop();
    took
}

/// Prints what reading the chunks takes by itself, decompressed and checked.
fn print_parts(port: u16) {
    let (_runtime, store) = store(port);
    let log = block_on(store.read(Position::START, 1)).expect("the store answers");
    let snapshot = log.head.as_ref().and_then(|head| head.snapshot).expect("it is complete");
    let begun = Instant::now();
    let mut bytes = 0;
    for number in 0..snapshot.chunks {
        let chunk = block_on(store.chunk(snapshot.position, number)).expect("it answers");
        bytes += chunk.expect("the chunk is there").len();
    }
    println!(
        "raw bootstrap {} chunks, {bytes} bytes; one after another {:.3} s",
        snapshot.chunks,
        begun.elapsed().as_secs_f64()
    );
}

/// Drains the same entities through RediSearch, as often.
fn search(fixed: &Fixed) -> Result<Vec<f64>, String> {
    let server = std::env::var_os("ZONESYNC_TEST_REDISEARCH").map(PathBuf::from);
    let server = server.ok_or("ZONESYNC_TEST_REDISEARCH names no server with RediSearch")?;
    let server = RedisServer::start_binary(&server, &[]).ok_or("it does not start")?;
    let made = bare::create_index(server.port()).map_err(|error| error.to_string())?;
    if !made {
        return Err("the server has no RediSearch".into());
    }
    let entities = fixed.entities();
    bare::hset_all(server.port(), entities.iter().map(|entity| (&entity.key, &*entity.payload)));
    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        let (rows, took) = bare::drain(server.port()).map_err(|error| error.to_string())?;
        if rows != entities.len() {
            return Err(format!("the drain gave {rows} of {} rows", entities.len()));
        }
        times.push(took.as_secs_f64());
    }
    Ok(times)
}
