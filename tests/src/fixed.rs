//! A zone on real Redis whose repository never changes: what bulk paths are measured with.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use zonesync::core::entity::Kind;
use zonesync::core::format::Source;
use zonesync::core::id::{EntityKey, EntityKeyBuf, ZoneName};
use zonesync::core::time::WallTime;
use zonesync::entity::Entity;
use zonesync::repository::{Found, ManagementRepository, Read, Reading, Reply};
use zonesync::runtime::{Runtime, Smol};
use zonesync::store::redis::{Address, RedisOptions, RedisStore, Topology};
use zonesync::{Options, Parts, ZoneSync};

use crate::data::{Data, NOW_MS};

/// Entities that stay as they are.
#[derive(Clone, Debug)]
pub struct Fixed(Arc<Vec<Entity>>);

impl Fixed {
    /// Makes subscriptions and APIs: the same for the same numbers.
    pub fn new(subscriptions: usize, apis: usize) -> Self {
        let data = Data::new(subscriptions, 1);
        let pairs = data.pairs.iter().map(|pair| data.subscription(pair, 0));
        let mut entities: Vec<Entity> = pairs.map(entity).collect();
        entities.extend((0..apis).map(|number| entity(api(number))));
        entities.sort_by(|a, b| a.key.cmp(&b.key));
        Self(Arc::new(entities))
    }

    /// Gives the entities, sorted by key.
    pub fn entities(&self) -> &[Entity] {
        &self.0
    }

    /// Gives the bytes of all payloads.
    pub fn bytes(&self) -> usize {
        self.0.iter().map(|entity| entity.payload.len()).sum()
    }
}

fn entity((key, payload): (EntityKeyBuf, String)) -> Entity {
    Entity::new(key.as_ref(), payload.into_bytes())
}

fn api(number: usize) -> (EntityKeyBuf, String) {
    let mut random = crate::data::Random(number as u64);
    let id = random.uuid();
    let payload = format!(
        "{{\"id\":\"{id}\",\"name\":\"{} {} {number}\",\"definitionVersion\":\"V4\",\"type\":\"PROXY\",\
         \"environmentId\":\"DEFAULT\",\"organizationId\":\"DEFAULT\",\"deployedAt\":{NOW_MS},\
         \"listeners\":[{{\"type\":\"HTTP\",\"paths\":[{{\"path\":\"/{}-{number}\"}}]}}],\
         \"endpointGroups\":[{{\"name\":\"main\",\"type\":\"http-proxy\",\"endpoints\":[{{\"name\":\"one\",\
         \"configuration\":{{\"target\":\"https://{}.example.org\"}}}}]}}]}}",
        random.word(),
        random.word(),
        random.word(),
        random.word(),
    );
    (EntityKey::new(Kind::API, &id).into(), payload)
}

impl ManagementRepository for Fixed {
    fn read(&self, _: Read) -> Reply<'_, Reading> {
        Box::pin(async move {
            let mut source = Source::default();
            source.advance(Kind::SUBSCRIPTION, WallTime::from_millis(NOW_MS));
            source.advance(Kind::API, WallTime::from_millis(NOW_MS));
            let (entities, rows) = (self.0.to_vec(), self.0.len() as u64);
            Ok(Reading { full: true, entities, rows, source, ..Reading::default() })
        })
    }

    fn find(&self, keys: Vec<EntityKeyBuf>) -> Reply<'_, Vec<Found>> {
        Box::pin(async move { Ok(keys.iter().map(|_| Found::Present).collect()) })
    }

    fn changed(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(std::future::pending())
    }
}

/// The zone of these benches.
pub const ZONE: &str = "bench";

/// Opens the zone's store in the Redis at a port of this machine, with a runtime of its own.
pub fn store(port: u16) -> (Arc<dyn Runtime>, RedisStore) {
    let runtime: Arc<dyn Runtime> = Arc::new(Smol::new(2).expect("threads can be started"));
    let zone: ZoneName = ZONE.parse().expect("a good name");
    let address = Address { host: "127.0.0.1".into(), port };
    let options = RedisOptions::new(Topology::Standalone(address));
    let store = RedisStore::new(zone, options, Arc::clone(&runtime));
    (runtime, store)
}

/// Starts a node there. Without a repository it only follows.
pub fn start(port: u16, name: &str, repository: Option<Fixed>) -> ZoneSync {
    let (runtime, store) = store(port);
    ZoneSync::start_with(Parts {
        zone: ZONE.parse().expect("a good name"),
        node: name.parse().expect("a good name"),
        runtime,
        store: Arc::new(store),
        repository: repository.map(|fixed| Arc::new(fixed) as Arc<dyn ManagementRepository>),
        image: None,
        options: Options::default(),
    })
}
