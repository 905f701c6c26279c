//! `image-start`: from the call that starts a node to its first lookup, out of the local image of
//! 1,000,000 subscriptions with one key each, in the page cache and unencrypted, while the store does
//! not answer. Milliseconds, the median of five starts.
//!
//! Left out: loading the program; a cold disk.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_lite::future::block_on;
use zonesync::core::format::{FORMAT, Filter, Head, Source};
use zonesync::core::history::{Claims, TermList};
use zonesync::core::removal::GuardData;
use zonesync::core::time::WallTime;
use zonesync::image::{self, Disk, FileDisk, Identity};
use zonesync::runtime::{Runtime, Smol, wall_now};
use zonesync::state::State;
use zonesync::store::memory::{MemoryOptions, MemoryStore};
use zonesync::{Options, Parts, ZoneSync};
use zonesync_tests::Folder;
use zonesync_tests::data::{Data, NOW_MS};
use zonesync_tests::faults::Faulty;
use zonesync_tests::figure::{self, Goal, median};

const ROUNDS: usize = 5;

fn main() {
    let folder = Folder::new("image-start");
    let path = folder.path().join("image-of-node");
    let options = Options::default();
    let own = Identity {
        zone: "bench".parse().expect("a good name"),
        digest_key: options.digest_key,
        filter: options.filter,
        formats: options.formats,
    };
    let count = figure::size(1_000_000, 20_000);
    let (api, key) = write(&path, &own, count);
    let bytes = std::fs::metadata(path.join("image")).expect("it was written").len();
    println!("raw image-start {} entities, {bytes} bytes", 2 * count);

    print_parts(&path, &own);
    let mut times = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS {
        let runtime: Arc<dyn Runtime> = Arc::new(Smol::new(2).expect("threads can be started"));
        let memory = MemoryOptions::default();
        let store = MemoryStore::new(own.zone.clone(), runtime.clone(), memory);
        let store = Faulty::new(Arc::new(store), 1);
        store.tell(|faults| faults.down = true);
        let begun = Instant::now();
        let node = ZoneSync::start_with(Parts {
            zone: own.zone.clone(),
            node: "node".parse().expect("a good name"),
            runtime,
            store: Arc::new(store),
            repository: None,
            image: Some(Arc::new(FileDisk::new(&path)) as Arc<dyn Disk>),
            options: options.clone(),
        });
        assert!(node.wait_ready(Duration::from_secs(300)), "{:#?}", node.status());
        let now = WallTime::from_millis(NOW_MS);
        let found = node.state().by_key(&api, &key, None, now, |found| found.is_valid(now));
        times.push(begun.elapsed().as_secs_f64() * 1e3);
        assert_eq!(found, Some(true), "what was put in is found");
        assert!(node.status().stale, "it is served alone");
    }
    println!("raw image-start {times:.1?} ms");
    figure::print("image-start", median(&times), "ms", Goal::AtMost, 300.0);
}

/// Prints what reading and checking the bytes take by themselves. The rest goes into the indexes.
fn print_parts(path: &std::path::Path, own: &Identity) {
    let begun = Instant::now();
    let bytes = FileDisk::peek(path).expect("it can be read").expect("it is there");
    let read = begun.elapsed();
    let begun = Instant::now();
    let chunks = image::decode(&bytes, Some(own)).expect("it is sound").chunks.len();
    println!("raw image-start read {read:.0?}, checked {:.0?}, {chunks} chunks", begun.elapsed());
}

/// Writes the image. Gives an API and a key that opens it.
fn write(path: &std::path::Path, own: &Identity, count: usize) -> (String, String) {
    let data = Data::new(count, 1);
    let (state, mut writer) = State::with_feed(own.digest_key, 0);
    let begun = Instant::now();
    data.load(&mut writer);
    println!("raw image-start the state made in {:.0?}", begun.elapsed());
    let view = state.view();
    let mut list = TermList::new();
    list.advance(view.position());
    let head = Head {
        incarnation: 1,
        format: FORMAT,
        list,
        claims: Claims::new(),
        snapshot: None,
        digest: view.digest().clone(),
        source: Source::default(),
        filter: Filter::default(),
        guard: GuardData::new(),
    };
    let begun = Instant::now();
    let disk = FileDisk::new(path);
    block_on(image::write(&disk, own, &view, head, wall_now())).expect("it can be written");
    println!("raw image-start the image written and synced in {:.0?}", begun.elapsed());
    let pair = &data.pairs[count / 2];
    (data.api(pair).to_owned(), pair.key.clone())
}
