//! `publish-vs-hset`: the first full publish of a zone in Redis, 500,000 subscriptions and 5,000 APIs,
//! from the primary's start until the head names a complete snapshot; as part of the time that a bare
//! client takes to write one hash for each entity, 512 in flight, without an index.
//! `publish-vs-search`: the same with the index present, where there is a server with RediSearch.
//!
//! In turns, the median of five ratios. Left out: reading the repository, which holds ready entities.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use zonesync_tests::bare;
use zonesync_tests::figure::{self, Goal, median};
use zonesync_tests::fixed::{Fixed, start};
use zonesync_tests::servers::redis::RedisServer;

const ROUNDS: usize = 5;
const PATIENCE: Duration = Duration::from_secs(120);

fn main() {
    let (Some(server), Some(rival)) = (RedisServer::start(&[]), RedisServer::start(&[])) else {
        figure::skip("publish-vs-hset", "there is no redis-server");
        return;
    };
    let fixed = Fixed::new(figure::size(500_000, 20_000), figure::size(5_000, 200));
    println!("raw publish {} entities, {} bytes", fixed.entities().len(), fixed.bytes());
    let (mut ours, mut hashes) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        server.ask(&["FLUSHALL"]);
        rival.ask(&["FLUSHALL"]);
        ours.push(publish(&server, &fixed).as_secs_f64());
        hashes.push(write_hashes(&rival, &fixed).as_secs_f64());
    }
    println!("raw publish {ours:.3?} s, hset {hashes:.3?} s");
    let ratios = |theirs: &[f64]| {
        let ratios: Vec<f64> = ours.iter().zip(theirs).map(|(our, their)| our / their).collect();
        median(&ratios)
    };
    figure::print("publish-vs-hset", ratios(&hashes), "of its time", Goal::AtMost, 0.25);
    match search(&fixed) {
        Ok(times) => {
            println!("raw publish with index {times:.3?} s");
            figure::print("publish-vs-search", ratios(&times), "of its time", Goal::AtMost, 0.1);
        }
        Err(why) => figure::skip("publish-vs-search", why),
    }
}

/// Has a primary publish everything to an empty zone.
fn publish(server: &RedisServer, fixed: &Fixed) -> Duration {
    let begun = Instant::now();
    let node = start(server.port(), "primary", Some(fixed.clone()));
    // A primary is ready once the store has acknowledged its first snapshot.
    assert!(node.wait_ready(PATIENCE), "{:#?}", node.status());
    let took = begun.elapsed();
    node.stop();
    took
}

fn write_hashes(server: &RedisServer, fixed: &Fixed) -> Duration {
    let entities = fixed.entities().iter();
    bare::hset_all(server.port(), entities.map(|entity| (&entity.key, &*entity.payload)))
}

/// Writes the hashes where the index is present, as often.
fn search(fixed: &Fixed) -> Result<Vec<f64>, String> {
    let server = std::env::var_os("ZONESYNC_TEST_REDISEARCH").map(PathBuf::from);
    let server = server.ok_or("ZONESYNC_TEST_REDISEARCH names no server with RediSearch")?;
    let server = RedisServer::start_binary(&server, &[]).ok_or("it does not start")?;
    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        server.ask(&["FLUSHALL"]);
        let made = bare::create_index(server.port()).map_err(|error| error.to_string())?;
        if !made {
            return Err("the server has no RediSearch".into());
        }
        times.push(write_hashes(&server, fixed).as_secs_f64());
    }
    Ok(times)
}
