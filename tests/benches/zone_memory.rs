//! `zone-memory`: what Redis needs for a zone of 500,000 subscriptions and 5,000 APIs at rest, as part
//! of what it needs for one hash for each entity, without an index.

use std::time::Duration;

use zonesync_tests::bare;
use zonesync_tests::figure::{self, Goal};
use zonesync_tests::fixed::{Fixed, start};
use zonesync_tests::servers::redis::RedisServer;

fn main() {
    let Some(server) = RedisServer::start(&[]) else {
        figure::skip("zone-memory", "there is no redis-server");
        return;
    };
    let fixed = Fixed::new(figure::size(500_000, 20_000), figure::size(5_000, 200));
    let empty = used_memory(&server);
    let node = start(server.port(), "primary", Some(fixed.clone()));
    assert!(node.wait_ready(Duration::from_secs(120)), "{:#?}", node.status());
    // Stopped, so that no buffer of a connection counts.
    node.stop();
    let zone = used_memory(&server) - empty;
    drop(server);
    let rival = RedisServer::start(&[]).expect("there was one");
    let empty = used_memory(&rival);
    let entities = fixed.entities().iter();
    bare::hset_all(rival.port(), entities.map(|entity| (&entity.key, &*entity.payload)));
    let hashes = used_memory(&rival) - empty;
    println!("raw zone-memory {:.1} MB, hashes {:.1} MB", zone / 1e6, hashes / 1e6);
    figure::print("zone-memory", zone / hashes, "of the hashes", Goal::AtMost, 0.2);
}

fn used_memory(server: &RedisServer) -> f64 {
    let info = server.ask(&["INFO", "memory"]).text();
    let line = info.lines().find_map(|line| line.strip_prefix("used_memory:"));
    line.and_then(|number| number.trim().parse().ok()).expect("a server tells its memory")
}
