//! Entities to measure with: the same for the same seed.
//!
//! Ids, keys and client ids are random UUIDs; payloads are those of a stock gateway with varied
//! texts, about 470 bytes a subscription.

use zonesync::core::entity::{Action, Change};
use zonesync::core::id::{EntityKey, EntityKeyBuf, Epoch, Position, Sequence, Term, TermId};
use zonesync::state::Writer;

/// How many APIs the subscriptions are spread over.
pub const APIS: usize = 1_000;

/// The time at which all of it is valid.
pub const NOW_MS: i64 = 1_760_000_000_000;

/// A small generator of numbers that are random enough to measure with (SplitMix64).
#[derive(Clone, Debug)]
pub struct Random(pub u64);

impl Random {
    /// Draws a number.
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Draws a number below `end`.
    pub fn below(&mut self, end: usize) -> usize {
        ((u128::from(self.draw()) * end as u128) >> 64) as usize
    }

    /// Draws a UUID.
    pub fn uuid(&mut self) -> String {
        let (a, b) = (self.draw(), self.draw());
        write_uuid(a, b >> 48, b & 0xffff_ffff_ffff)
    }

    /// Draws a UUID whose last twelve digits are given.
    pub fn uuid_ending(&mut self, last: u64) -> String {
        let (a, b) = (self.draw(), self.draw());
        write_uuid(a, b >> 48, last)
    }

    /// Puts a list in random order.
    pub fn shuffle<T>(&mut self, list: &mut [T]) {
        for end in (1..list.len()).rev() {
            list.swap(end, self.below(end + 1));
        }
    }

    /// Draws a word.
    pub fn word(&mut self) -> &'static str {
        const WORDS: [&str; 24] = [
            "mobile", "orders", "Berlin", "partner", "nightly", "stock", "invoice", "Lyon",
            "trial", "billing", "north", "gateway", "report", "claims", "fleet", "Oslo", "payroll",
            "beta", "search", "export", "archive", "retail", "sensor", "booking",
        ];
        WORDS[self.below(WORDS.len())]
    }
}

fn write_uuid(a: u64, variant: u64, last: u64) -> String {
    let (mid, low, variant) = ((a >> 16) & 0xffff, a & 0xfff, 0x8000 | variant & 0x3fff);
    format!("{:08x}-{mid:04x}-4{low:03x}-{variant:04x}-{last:012x}", a >> 32)
}

/// One subscription and its key, as names; the payloads follow from them.
#[derive(Clone, Debug)]
pub struct Pair {
    /// The API, by its number.
    pub api: u16,
    /// The id of the subscription.
    pub subscription: String,
    /// The id of the key.
    pub key_id: String,
    /// The key.
    pub key: String,
    seed: u64,
}

/// Subscriptions with one key each, spread over [`APIS`] APIs.
#[derive(Debug)]
pub struct Data {
    /// The ids of the APIs.
    pub apis: Vec<String>,
    plans: Vec<String>,
    /// The subscriptions.
    pub pairs: Vec<Pair>,
}

impl Data {
    /// Makes `count` subscriptions from a seed.
    pub fn new(count: usize, seed: u64) -> Self {
        let mut random = Random(seed);
        let apis = (0..APIS).map(|_| random.uuid()).collect();
        let plans = (0..2 * APIS).map(|_| random.uuid()).collect();
        let pairs = (0..count).map(|_| Pair {
            api: random.below(APIS) as u16,
            subscription: random.uuid(),
            key_id: random.uuid(),
            key: random.uuid(),
            seed: random.draw(),
        });
        let pairs = pairs.collect();
        Self { apis, plans, pairs }
    }

    /// Gives the id of the API of a pair.
    pub fn api(&self, pair: &Pair) -> &str {
        &self.apis[usize::from(pair.api)]
    }

    /// Makes a subscription. `round` gives its payload another text.
    pub fn subscription(&self, pair: &Pair, round: u64) -> (EntityKeyBuf, String) {
        let mut random = Random(pair.seed ^ round);
        let random = &mut random;
        let api = self.api(pair);
        let (application, client) = (random.uuid(), random.uuid());
        let name = format!("{} {} {}", random.word(), random.word(), random.below(10_000));
        let starting = NOW_MS - 1 - random.below(50_000_000_000) as i64;
        let payload = format!(
            "{{\"id\":\"{}\",\"api\":\"{api}\",\"plan\":\"{}\",\"application\":\"{application}\",\
             \"applicationName\":\"{name}\",\"clientId\":\"{client}\",\"status\":\"ACCEPTED\",\
             \"consumerStatus\":\"STARTED\",\"startingAt\":{starting},\
             \"metadata\":{{\"team\":\"{}\",\"contact\":\"{}.{}@example.org\"}},\
             \"type\":\"STANDARD\",\"forceDispatch\":false,\"environmentId\":\"DEFAULT\"}}",
            pair.subscription,
            self.plan(pair),
            random.word(),
            random.word(),
            random.word(),
        );
        (EntityKey::subscription(api, &pair.subscription).into(), payload)
    }

    /// Makes the key of a subscription.
    pub fn api_key(&self, pair: &Pair) -> (EntityKeyBuf, String) {
        let mut random = Random(pair.seed);
        let api = self.api(pair);
        let payload = format!(
            "{{\"id\":\"{}\",\"key\":\"{}\",\"api\":\"{api}\",\"plan\":\"{}\",\
             \"subscription\":\"{}\",\"application\":\"{}\",\"expireAt\":{},\
             \"revoked\":false,\"paused\":false,\"active\":true}}",
            pair.key_id,
            pair.key,
            self.plan(pair),
            pair.subscription,
            random.uuid(),
            NOW_MS + 1 + random.below(90_000_000_000) as i64,
        );
        (EntityKey::api_key(api, &pair.key_id, &pair.subscription).into(), payload)
    }

    fn plan(&self, pair: &Pair) -> &str {
        &self.plans[2 * usize::from(pair.api) + (pair.seed & 1) as usize]
    }

    /// Deploys all of it in batches of 10,000 changes. Gives the bytes of all payloads.
    pub fn load(&self, writer: &mut Writer) -> usize {
        let mut bytes = 0;
        for (number, pairs) in self.pairs.chunks(5_000).enumerate() {
            let both = pairs.iter().flat_map(|p| [self.subscription(p, 0), self.api_key(p)]);
            let batch: Vec<_> = both.collect();
            bytes += batch.iter().map(|(_, payload)| payload.len()).sum::<usize>();
            apply(writer, number as u64, &batch);
        }
        bytes
    }
}

/// Deploys entities as one batch.
pub fn apply(writer: &mut Writer, sequence: u64, batch: &[(EntityKeyBuf, String)]) {
    let mut changes = batch.iter().map(|(key, payload)| Change {
        key: key.as_ref(),
        action: Action::Deploy { payload: payload.as_bytes() },
        replaces: None,
        version: None,
    });
    let term = Term { epoch: Epoch(1), id: TermId(1) };
    writer.apply(Position { term, sequence: Sequence(sequence) }, &mut changes);
}

/// Prints how far `zstd` squeezes the payloads, if the tool is there.
pub fn print_squeeze(data: &Data) {
    use std::io::Write;
    use std::process::{Command, Stdio};
    let sample = data.pairs.iter().take(20_000);
    let text: String = sample.map(|p| data.subscription(p, 0).1 + &data.api_key(p).1).collect();
    let mut run = Command::new("zstd");
    run.args(["-3", "-c", "-q"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let Ok(mut zstd) = run.spawn() else { return };
    let mut input = zstd.stdin.take().expect("a piped input");
    let whole = text.len();
    let feeding = std::thread::spawn(move || input.write_all(text.as_bytes()));
    let Ok(output) = zstd.wait_with_output() else { return };
    if feeding.join().is_ok_and(|fed| fed.is_ok()) {
        println!(
            "raw zstd -3 squeezes the payloads to {:.2}",
            output.stdout.len() as f64 / whole as f64
        );
    }
}
