//! Large answers, several on their way at once.

use super::*;

const CHUNK: usize = 1 << 20;
const CHUNKS: usize = 48;
const AHEAD: usize = 4;

#[test]
fn several_chunks_on_their_way_come_whole_and_to_the_right_caller() {
    let Some(redis) = RedisServer::start(&[]) else { return };
    let setup = connect(options(redis.port()));
    let mut chunks: Vec<(String, Vec<u8>)> = Vec::new();
    for number in 0..CHUNKS {
        let pattern = |at: usize| (at.wrapping_mul(31) ^ (at >> 8) ^ number) as u8;
        let (key, value) = (format!("{{zone}}chunk-{number}"), (0..CHUNK).map(pattern).collect());
        let mut set = command(&["SET", &key]);
        set.arg::<&Vec<u8>>(&value);
        let limit = Duration::from_secs(20);
        block(setup.server.call(Lane::Data, &set, limit)).expect("stored");
        chunks.push((key, value));
    }
    let begun = StdInstant::now();
    let (setup, chunks) = (&setup, &chunks);
    std::thread::scope(|scope| {
        for reader in 0..AHEAD {
            scope.spawn(move || {
                for (key, value) in chunks.iter().skip(reader).step_by(AHEAD) {
                    match setup.call_within(Lane::Data, &["GET", key], Duration::from_secs(20)) {
                        Ok(Value::BulkString(bytes)) => assert!(bytes == *value, "{key} is whole"),
                        other => panic!("{key}: {other:?}"),
                    }
                }
            });
        }
    });
    let gigabytes = (CHUNK * CHUNKS) as f64 / 1e9;
    let seconds = begun.elapsed().as_secs_f64();
    eprintln!("{AHEAD} x {CHUNK} bytes ahead: {:.2} GB/s", gigabytes / seconds);
    assert_eq!(clients(&redis, "zonesync-data"), 1);
}
