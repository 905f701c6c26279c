//! The repository gives what its trait promises.

use futures_lite::future::{block_on, poll_once};

use super::*;

fn since(reader: &Reader, source: Source) -> Reading {
    block_on(reader.read(Read::Since(Box::new(source)))).unwrap()
}

#[test]
fn a_full_read_gives_all_sorted_and_names_what_it_gives() {
    let stream = Stream::new(500, 1);
    let reading = block_on(stream.reader().read(Read::Full)).unwrap();
    assert!(reading.full && reading.entities.len() == 1_000 && reading.rows == 1_000);
    assert!(reading.entities.is_sorted_by(|a, b| a.key < b.key));
    let mut bytes = 0;
    for entity in &reading.entities {
        assert!(number(entity.key.as_ref().id).unwrap() < 500);
        assert_eq!(revision(&entity.payload), Some(1));
        bytes += entity.payload.len();
    }
    assert!((450..490).contains(&(bytes / 1_000)), "{} bytes a payload", bytes / 1_000);
}

#[test]
fn a_later_read_gives_only_what_changed() {
    let stream = Stream::new(500, 1);
    let reader = stream.reader();
    block_on(reader.read(Read::Full)).unwrap();
    assert!(block_on(poll_once(reader.changed())).is_none());
    let revision = stream.change_key(7);
    assert!(block_on(poll_once(reader.changed())).is_some());
    let reading = since(&reader, Source::default());
    assert!(!reading.full && reading.entities.len() == 1);
    let (_, text) = stream.key(7, revision);
    let payload = String::from_utf8(reading.entities[0].payload.to_vec()).unwrap();
    assert!(payload.contains(&text));
    assert!(since(&reader, Source::default()).entities.is_empty());
}

#[test]
fn another_reader_starts_from_the_dates_and_nothing_is_left_out() {
    let stream = Stream::new(50, 1);
    let first = stream.reader();
    let reading = block_on(first.read(Read::Full)).unwrap();
    for _ in 0..1_000 {
        stream.change(stream.numbers());
    }
    // All is newer than 30 s before these dates, so all of it is read.
    let reading = since(&stream.reader(), reading.source);
    assert!(reading.full && reading.rows == 100);
    let pairs = stream.pairs();
    let on = pairs.iter().filter(|pair| pair.key_on).count();
    assert_eq!((reading.entities.len(), reading.off.len()), (50 + on, 50 - on));
    for entity in &reading.entities {
        let key = entity.key.as_ref();
        let pair = pairs[number(key.id).unwrap() as usize];
        let newest = if key.kind == Kind::API_KEY { pair.key } else { pair.subscription };
        assert_eq!(revision(&entity.payload), Some(newest));
    }
}
