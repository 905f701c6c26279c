//! What the rows of a stream are called, and their payloads.

use zonesync::core::id::{EntityKey, EntityKeyBuf};
use zonesync::entity::Entity;

use super::Row;
use crate::data::{APIS, Random};

/// When subscriptions began, in milliseconds since 1970: long ago.
const BEGAN_MS: u64 = 1_700_000_000_000;

/// Reads the number of a pair from the id of its subscription or key.
pub fn number(id: &str) -> Option<u32> {
    u32::from_str_radix(id.get(24..)?, 16).ok()
}

/// Reads the revision of a row from its payload.
pub fn revision(payload: &[u8]) -> Option<u32> {
    let end = payload.iter().rposition(|byte| byte.is_ascii_hexdigit())? + 1;
    let text = std::str::from_utf8(payload.get(end.checked_sub(8)?..end)?).ok()?;
    u32::from_str_radix(text, 16).ok()
}

/// All names, from a seed.
pub(super) struct Names {
    seed: u64,
    apis: Vec<String>,
    plans: Vec<String>,
    /// All rows, sorted by the keys of their entities.
    sorted: Vec<Row>,
}

impl Names {
    pub(super) fn new(count: usize, seed: u64) -> Self {
        let mut random = Random(seed);
        let apis: Vec<_> = (0..APIS).map(|_| random.uuid()).collect();
        let plans = (0..APIS).map(|_| random.uuid()).collect();
        let mut names = Self { seed, apis, plans, sorted: Vec::new() };
        let numbers = || 0..u32::try_from(count).expect("fewer than 2^32 subscriptions");
        let subscriptions = numbers().map(|n| (names.key_of_subscription(n), Row::Subscription(n)));
        let keys = numbers().map(|n| (names.key_of_api_key(n), Row::Key(n)));
        let mut all: Vec<_> = subscriptions.chain(keys).collect();
        all.sort();
        names.sorted = all.into_iter().map(|(_, row)| row).collect();
        names
    }

    pub(super) fn count(&self) -> u32 {
        (self.sorted.len() / 2) as u32
    }

    pub(super) fn sorted(&self) -> impl Iterator<Item = Row> {
        self.sorted.iter().copied()
    }

    pub(super) fn api(&self, number: u32) -> &str {
        &self.apis[number as usize % APIS]
    }

    fn plan(&self, number: u32) -> &str {
        &self.plans[number as usize % APIS]
    }

    /// Starts the numbers that one text is drawn from.
    fn random(&self, number: u32, what: u64, revision: u32) -> Random {
        let mut random = Random(self.seed ^ u64::from(number) << 32 ^ u64::from(revision));
        Random(random.draw() ^ what)
    }

    fn subscription_id(&self, number: u32) -> String {
        self.random(number, 1, 0).uuid_ending(u64::from(number))
    }

    fn key_id(&self, number: u32) -> String {
        self.random(number, 2, 0).uuid_ending(u64::from(number))
    }

    pub(super) fn key_text(&self, number: u32, revision: u32) -> String {
        self.random(number, 3, revision).uuid()
    }

    fn key_of_subscription(&self, number: u32) -> EntityKeyBuf {
        EntityKey::subscription(self.api(number), &self.subscription_id(number)).into()
    }

    pub(super) fn key_of_api_key(&self, number: u32) -> EntityKeyBuf {
        let (id, subscription) = (self.key_id(number), self.subscription_id(number));
        EntityKey::api_key(self.api(number), &id, &subscription).into()
    }

    pub(super) fn subscription(&self, number: u32, revision: u32) -> Entity {
        let (id, api) = (self.subscription_id(number), self.api(number));
        let mut fixed = self.random(number, 4, 0);
        let (application, client) = (fixed.uuid(), fixed.uuid());
        let mut random = self.random(number, 5, revision);
        let name = format!("{} {} {}", random.word(), random.word(), random.below(10_000));
        let payload = format!(
            "{{\"id\":\"{id}\",\"api\":\"{api}\",\"plan\":\"{}\",\"application\":\"{application}\",\
             \"applicationName\":\"{name}\",\"clientId\":\"{client}\",\"status\":\"ACCEPTED\",\
             \"consumerStatus\":\"STARTED\",\"startingAt\":{},\"type\":\"STANDARD\",\
             \"forceDispatch\":false,\"environmentId\":\"DEFAULT\",\"metadata\":{{\
             \"contact\":\"{}@example.org\",\"revision\":\"{revision:08x}\"}}}}",
            self.plan(number),
            BEGAN_MS + random.below(50_000_000_000) as u64,
            random.word(),
        );
        Entity::new(EntityKey::subscription(api, &id), payload.into_bytes())
    }

    pub(super) fn api_key(&self, number: u32, revision: u32) -> Entity {
        let (id, subscription) = (self.key_id(number), self.subscription_id(number));
        let (api, key) = (self.api(number), self.key_text(number, revision));
        let mut random = self.random(number, 6, revision);
        let payload = format!(
            "{{\"id\":\"{id}\",\"key\":\"{key}\",\"api\":\"{api}\",\"plan\":\"{}\",\
             \"subscription\":\"{subscription}\",\"application\":\"{}\",\"environmentId\":\"{}\",\
             \"createdAt\":{},\"revoked\":false,\"paused\":false,\"active\":true,\
             \"federated\":false,\"revision\":\"{revision:08x}\"}}",
            self.plan(number),
            random.uuid(),
            random.uuid(),
            BEGAN_MS + random.below(50_000_000_000) as u64,
        );
        Entity::new(EntityKey::api_key(api, &id, &subscription), payload.into_bytes())
    }
}
