//! What must hold for every make of database.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_lite::future::block_on;
use zonesync::ZoneSync;
use zonesync::config::{self, Sources};
use zonesync::repository::mapping::MappingOptions;
use zonesync::repository::sql::SqlOptions;
use zonesync::repository::{Found, Read, Reading, RepositoryError};
use zonesync::runtime::{Runtime, Smol, wall_now};
use zonesync_core::entity::Kind;
use zonesync_core::format::Source;
use zonesync_core::id::{EntityKey, EntityKeyBuf};

use crate::common::{
    Composed, Database, Fixed, apply, assert_alike, assert_same, eventually, read, recorded, state,
};

fn smol() -> Arc<dyn Runtime> {
    Arc::new(Smol::new(2).unwrap())
}

fn since(source: Source) -> Read {
    Read::Since(Box::new(source))
}

/// Reads the composed zone, in full and what changed; all as a folder gives it, to the byte.
pub(crate) fn composed(database: &dyn Database) {
    let Some(composed) = Composed::load() else { return };
    let (Some(initial), Some(changed)) =
        (recorded("postgresql/zone-initial"), recorded("postgresql/zone-changed"))
    else {
        return;
    };
    database.load(&initial);
    let runtime = Fixed::at(composed.now);
    let open = |page: usize| {
        let options = SqlOptions { page, ..SqlOptions::new(composed.mapping.clone()) };
        database.open(options, runtime.clone())
    };
    let repository = open(2000);
    let first = read(&*repository, Read::Full);
    assert!(first.full && !first.incomplete);
    assert_same(&state(&first), &state(&composed.first));
    assert_eq!(first.source, composed.first.source);
    let told = |reading: &Reading| {
        reading.quarantined.iter().map(|row| row.key.clone()).collect::<Vec<_>>()
    };
    assert_eq!(told(&first), told(&composed.first));
    // Pages of a single row: every row lies at a border.
    for page in [1, 2, 3] {
        let small = read(&*open(page), Read::Full);
        assert_same(&state(&small), &state(&first));
        assert_eq!((small.rows, small.source), (first.rows, first.source), "pages of {page}");
    }
    // What was missing is looked up by id, and says what a folder says at once.
    let off = composed.first.off.clone();
    let found = block_on(repository.find(off.clone())).unwrap();
    for (key, found) in off.iter().zip(found) {
        assert_eq!(found, Found::Off, "{key}");
    }
    let keys: Vec<EntityKeyBuf> = first.entities.iter().map(|e| e.key.clone()).collect();
    let found = block_on(repository.find(keys.clone())).unwrap();
    for (key, found) in keys.iter().zip(found) {
        let wanted = match key.as_ref().kind {
            Kind::NODE_METADATA => Found::Filtered,
            _ => Found::Present,
        };
        assert_eq!(found, wanted, "{key}");
    }
    let others: Vec<EntityKeyBuf> = vec![
        EntityKey::new(Kind::API, "nowhere").into(),
        EntityKey::new(Kind::API, "api-other-env").into(),
        EntityKey::subscription("api-v4-proxy", "nowhere").into(),
        EntityKey::subscription("nowhere", "sub-gold").into(),
        EntityKey::api_key("api-v4-proxy", "key-gold", "nowhere").into(),
    ];
    let found = block_on(repository.find(others)).unwrap();
    use Found::{Filtered, Missing};
    assert_eq!(found, [Missing, Filtered, Missing, Missing, Missing]);

    let unlike = open(1);
    read(&*unlike, Read::Full);
    database.load(&changed);
    for repository in [repository, unlike] {
        let second = read(&*repository, since(first.source));
        assert!(!second.full && !second.incomplete);
        let mut held = state(&first);
        apply(&mut held, &second);
        assert_same(&held, &state(&composed.second));
        // What was read stays read: the same window again changes nothing.
        let again = read(&*repository, since(first.source));
        apply(&mut held, &again);
        assert_same(&held, &state(&composed.second));
    }
    // Another process, that has read nothing yet, comes to the same from the dates alone.
    let other = open(2000);
    let mut held = state(&first);
    apply(&mut held, &read(&*other, since(first.source)));
    assert_alike(&held, &state(&composed.second));
    // And a full read finds nothing that differs but for the date and the dispatch.
    let before = held.clone();
    apply(&mut held, &read(&*other, Read::Full));
    assert_same(&held, &before);
}

/// Reads rows that share dates at every border of pages: each once, none missed.
pub(crate) fn pages(database: &dyn Database) {
    let Some(rows) = recorded("postgresql/paging") else { return };
    database.load(&rows);
    let runtime = Fixed::at(1_755_600_000_000);
    let counts = |page: usize| {
        let options = SqlOptions { page, ..SqlOptions::new(MappingOptions::default()) };
        let repository = database.open(options, runtime.clone());
        let full = read(&*repository, Read::Full);
        // Nothing was seen before, so the window is without a beginning: all rows, by date.
        let other = SqlOptions { page, ..SqlOptions::new(MappingOptions::default()) };
        let other = database.open(other, runtime.clone());
        let dated = read(&*other, since(Source::default()));
        let what = |reading: &Reading| (reading.source, reading.quarantined.len());
        // By date, what rests on a row is read with it: how often depends on the pages.
        (full.rows, what(&full), what(&dated))
    };
    let whole = counts(1000);
    let of = |table: &str| -> u64 {
        database.sql(&format!("select count(*) from {table}")).trim().parse().unwrap()
    };
    // Each row of a table that is read counts once; a result of a publication is no such row.
    let events = of("events_latest") - 1;
    let places = of("environments") + of("organizations") + of("installation");
    let accepted = of("subscriptions where status = 'ACCEPTED'");
    let keys = of(&format!("{} where revoked = false", database.name("keys")));
    let small = of("licenses where reference_type = 'ORGANIZATION'") + of("access_points");
    assert_eq!(whole.1, whole.2);
    assert_eq!(whole.0, places + small + events + accepted + keys);
    for page in 1..8 {
        assert_eq!(counts(page), whole, "pages of {page}");
    }
}

/// Dates of writers in another zone, the hour that comes twice included.
pub(crate) fn time_zones(database: &dyn Database) {
    database.sql(&format!(
        "delete from subscriptions; delete from {keys}; delete from events_latest; {api}",
        keys = database.name("keys"),
        api = publish(database, "a", "p", "2025-01-01 00:00:00", "published")
    ));
    let dates = [
        ("s-0", "2025-08-12 14:00:00.123", "2025-08-12T12:00:00.123Z"),
        ("s-1", "2025-10-26 02:30:00", "2025-10-26T01:30:00Z"),
        ("s-2", "2025-03-30 03:30:00", "2025-03-30T01:30:00Z"),
    ];
    for (id, date, _) in dates {
        database.sql(&subscribe(id, "a", "p", date));
    }
    let read_in = |zone: &str| {
        let time_zone = zone.to_owned();
        let options = SqlOptions { time_zone, ..SqlOptions::new(MappingOptions::default()) };
        read(&*database.open(options, Fixed::at(1_775_600_000_000)), Read::Full)
    };
    let paris = read_in("Europe/Paris");
    for (id, _, instant) in dates {
        let key = EntityKeyBuf::from(EntityKey::subscription("a", id));
        let payload = String::from_utf8(state(&paris)[&key].to_vec()).unwrap();
        let instant = instant.parse::<jiff::Timestamp>().unwrap().as_millisecond();
        assert!(payload.contains(&format!("\"startingAt\":{instant},")), "{id}: {payload}");
    }
    let last = "2025-10-26T01:30:00Z".parse::<jiff::Timestamp>().unwrap().as_millisecond();
    let newest = |reading: &Reading| reading.source.newest(Kind::SUBSCRIPTION).unwrap().as_millis();
    assert_eq!(newest(&paris), last);
    assert_eq!(newest(&read_in("UTC")), last + 3_600_000);
    // A row written in the first of two such hours is in the window of a read before it.
    let time_zone = "Europe/Paris".to_owned();
    let options = SqlOptions { time_zone, ..SqlOptions::new(MappingOptions::default()) };
    let repository = database.open(options, Fixed::at(1_775_600_000_000));
    let mut source = Source::default();
    let before = "2025-10-26T00:45:00Z".parse::<jiff::Timestamp>().unwrap().as_millisecond();
    for kind in [Kind::SUBSCRIPTION, Kind::API] {
        source.advance(kind, zonesync_core::time::WallTime::from_millis(before));
    }
    let late = read(&*repository, since(source));
    assert!(late.entities.iter().any(|e| e.key.as_ref().id == "s-1"), "02:30 after 02:45");
}

fn publish(database: &dyn Database, id: &str, plans: &str, date: &str, status: &str) -> String {
    let plans: Vec<_> = plans
        .split(',')
        .map(|plan| serde_json::json!({"id": plan, "status": status, "security": {"type": "API_KEY"}}))
        .collect();
    let definition = serde_json::json!({
        "id": id, "name": id, "type": "proxy", "definitionVersion": "4.0.0", "plans": plans,
    });
    let payload = serde_json::json!({
        "id": id, "definitionVersion": "4.0.0", "type": "proxy", "lifecycleState": "STARTED",
        "definition": definition.to_string(), "environmentId": "E",
    });
    event(database, id, "PUBLISH_API", "api_id", &payload.to_string(), date)
}

fn event(
    database: &dyn Database,
    id: &str,
    kind: &str,
    property: &str,
    payload: &str,
    date: &str,
) -> String {
    let payload = database.literal(payload);
    format!(
        "delete from events_latest where id = '{id}';
         delete from events_latest_properties where event_id = '{id}';
         delete from events_latest_environments where event_id = '{id}';
         insert into events_latest (id, type, payload, created_at, updated_at)
             values ('{id}', '{kind}', {payload}, '{date}', '{date}');
         insert into events_latest_properties values ('{id}', '{property}', '{id}');
         insert into events_latest_environments values ('{id}', 'E');\n"
    )
}

fn subscribe(id: &str, api: &str, plan: &str, date: &str) -> String {
    let kind = if api.starts_with("product") { "API_PRODUCT" } else { "API" };
    format!(
        "insert into subscriptions (id, plan, application, application_name, status, environment_id, \
         reference_type, reference_id, starting_at, updated_at) values \
         ('{id}', '{plan}', 'app', 'app', 'ACCEPTED', 'E', '{kind}', '{api}', '{date}', '{date}');\n"
    )
}

fn key(database: &dyn Database, id: &str, subscriptions: &[&str], date: &str) -> String {
    let (keys, key) = (database.name("keys"), database.name("key"));
    let mut sql = format!(
        "insert into {keys} (id, {key}, revoked, paused, federated, environment_id, updated_at) \
         values ('{id}', 'secret {id}', false, false, false, 'E', '{date}');\n"
    );
    for subscription in subscriptions {
        sql.push_str(&format!(
            "insert into key_subscriptions values ('{id}', '{subscription}');\n"
        ));
    }
    sql
}

fn clear(database: &dyn Database) {
    for table in [
        "events_latest",
        "events_latest_properties",
        "events_latest_environments",
        "subscriptions",
        "keys",
        "key_subscriptions",
        "subscriptions_metadata",
        "access_points",
        "licenses",
    ] {
        database.sql(&format!("delete from {}", database.name(table)));
    }
}

const OLD: &str = "2025-01-01 00:00:00";

/// What rests on a changed row is decided again, however old it is itself.
pub(crate) fn decisions(database: &dyn Database) {
    clear(database);
    let options = SqlOptions::new(MappingOptions::default());
    let repository = database.open(options, Fixed::at(1_775_600_000_000));
    // An API published long ago, so that there is a date to read on from.
    database.sql(&publish(database, "first", "p0", OLD, "published"));
    let old = [
        subscribe("s-a", "a", "p", OLD),
        subscribe("s-p", "product", "q", OLD),
        key(database, "k-a", &["s-a"], OLD),
        key(database, "k-both", &["s-a", "s-p"], OLD),
        // Newer ones, so that the others lie before every window.
        subscribe("first-s", "first", "p0", "2025-05-01 00:00:00"),
        key(database, "first-k", &["first-s"], "2025-05-01 00:00:00"),
    ];
    database.sql(&old.concat());
    let mut held = state(&read(&*repository, Read::Full));
    let source = read(&*repository, Read::Full).source;
    let mut minute = 0;
    let mut step = |sql: &dyn Fn(&str) -> String, wanted: &[&str]| {
        minute += 5;
        let date = format!("2025-06-01 {:02}:{:02}:00", minute / 60, minute % 60);
        database.sql(&sql(&date));
        let reading = read(&*repository, since(source));
        let full = reading.full;
        apply(&mut held, &reading);
        let mut found: Vec<String> = held.keys().map(ToString::to_string).collect();
        found.retain(|key| !key.starts_with("NODE_METADATA") && !key.contains("first"));
        assert_eq!(found, wanted, "after {}", sql(&date));
        full
    };
    // The API comes last of all, and brings what was there already.
    step(
        &|date| publish(database, "a", "p,r", date, "published"),
        &["API a", "SUBSCRIPTION a s-a", "API_KEY a k-a s-a", "API_KEY a k-both s-a"],
    );
    // The product likewise; the key that both share has an entity for each.
    let product = |plan: &str| {
        serde_json::json!({"id": "product", "name": "P", "environmentId": "E", "apiIds": ["a"],
            "plans": [{"id": plan, "status": "published"}]})
        .to_string()
    };
    step(
        &|date| {
            event(database, "product", "DEPLOY_API_PRODUCT", "api_product_id", &product("q"), date)
        },
        &[
            "API_PRODUCT product",
            "API a",
            "SUBSCRIPTION a s-a",
            "SUBSCRIPTION product s-p",
            "API_KEY a k-a s-a",
            "API_KEY a k-both s-a",
            "API_KEY product k-both s-p",
        ],
    );
    // A plan is closed: its subscription and keys go, though their rows never changed.
    step(
        &|date| publish(database, "a", "r", date, "published"),
        &[
            "API_PRODUCT product",
            "API a",
            "SUBSCRIPTION a s-a",
            "SUBSCRIPTION product s-p",
            "API_KEY a k-a s-a",
            "API_KEY a k-both s-a",
            "API_KEY product k-both s-p",
        ],
    );
    step(
        &|date| publish(database, "a", "p,r", date, "closed"),
        &["API_PRODUCT product", "API a", "SUBSCRIPTION product s-p", "API_KEY product k-both s-p"],
    );
    step(
        &|date| publish(database, "a", "p", date, "published"),
        &[
            "API_PRODUCT product",
            "API a",
            "SUBSCRIPTION a s-a",
            "SUBSCRIPTION product s-p",
            "API_KEY a k-a s-a",
            "API_KEY a k-both s-a",
            "API_KEY product k-both s-p",
        ],
    );
    // A subscription is closed, and its keys with it; nobody touched them.
    step(
        &|date| {
            format!(
                "update subscriptions set status = 'CLOSED', updated_at = '{date}' where id = 's-a';"
            )
        },
        &["API_PRODUCT product", "API a", "SUBSCRIPTION product s-p", "API_KEY product k-both s-p"],
    );
    step(
        &|date| {
            format!(
                "update subscriptions set status = 'ACCEPTED', updated_at = '{date}' where id = 's-a';"
            )
        },
        &[
            "API_PRODUCT product",
            "API a",
            "SUBSCRIPTION a s-a",
            "SUBSCRIPTION product s-p",
            "API_KEY a k-a s-a",
            "API_KEY a k-both s-a",
            "API_KEY product k-both s-p",
        ],
    );
    let keys = database.name("keys");
    step(
        &|date| {
            format!("update {keys} set revoked = true, updated_at = '{date}' where id = 'k-both';")
        },
        &[
            "API_PRODUCT product",
            "API a",
            "SUBSCRIPTION a s-a",
            "SUBSCRIPTION product s-p",
            "API_KEY a k-a s-a",
        ],
    );
    // An API goes, and what is below it with it.
    step(
        &|date| event(database, "a", "UNPUBLISH_API", "api_id", "null", date),
        &["API_PRODUCT product", "SUBSCRIPTION product s-p"],
    );
    // The newest row vanishes: that shows no date, so all is read.
    assert!(step(
        &|_| "delete from events_latest where id = 'a';".into(),
        &["API_PRODUCT product", "SUBSCRIPTION product s-p",]
    ));
}

/// A database that is stopped, locked, emptied: an error, and never a state that is not there.
pub(crate) fn faults(database: &mut dyn Database, lock: &str) {
    clear(database);
    database.sql(&publish(database, "a", "p", OLD, "published"));
    database.sql(&subscribe("s", "a", "p", OLD));
    let timeout = Duration::from_millis(700);
    let options = SqlOptions { timeout, ..SqlOptions::new(MappingOptions::default()) };
    let repository = database.open(options, smol());
    let first = read(&*repository, Read::Full);
    assert_eq!(first.entities.len(), 3);
    database.kill();
    for request in [Read::Full, since(first.source)] {
        let error = block_on(repository.read(request)).unwrap_err();
        assert!(matches!(error, RepositoryError::Unavailable(_)), "{error}");
    }
    let error = block_on(repository.find(vec![first.entities[0].key.clone()])).unwrap_err();
    assert!(matches!(error, RepositoryError::Unavailable(_)), "{error}");
    database.restart();
    assert_alike(&state(&read(&*repository, Read::Full)), &state(&first));

    // Somebody holds a table: the read ends in time, with an error, and the next one is whole.
    std::thread::scope(|scope| {
        let (database, repository) = (&*database, &repository);
        let holder = scope.spawn(move || database.sql(lock));
        let mut refused = None;
        eventually("the lock is felt", || {
            let begun = Instant::now();
            refused = block_on(repository.read(Read::Full)).err();
            assert!(begun.elapsed() < Duration::from_secs(10));
            refused.is_some()
        });
        let refused = refused.unwrap();
        assert!(matches!(refused, RepositoryError::Unavailable(_)), "{refused}");
        holder.join().unwrap();
    });
    let mut after = read(&*repository, Read::Full);
    assert_alike(&state(&after), &state(&first));

    // Emptied: a full read that says what is there. What follows from it is for the guard to say.
    clear(database);
    after = read(&*repository, since(first.source));
    assert!(after.full, "dates went back, so all is read");
    assert_eq!(after.entities.len(), 1, "the node's metadata alone");
    assert!(after.off.is_empty(), "nothing says that anything is off");
}

/// Asks whether anything changed without reading a large table whole; the read after it, too.
pub(crate) fn probes(database: &dyn Database, fill: &str) {
    clear(database);
    database.sql(&publish(database, "a", "p", OLD, "published"));
    database.sql(fill);
    let pause = Duration::from_secs(600);
    let probe = Duration::from_millis(10);
    let options = SqlOptions { pause, probe, ..SqlOptions::new(MappingOptions::default()) };
    let repository = database.open(options, smol());
    let first = read(&*repository, Read::Full);
    assert!(first.entities.len() > 20_000, "{}", first.entities.len());
    let before = database.scans();
    let held = std::thread::scope(|scope| {
        let changed = scope.spawn(|| {
            block_on(repository.changed());
            Instant::now()
        });
        // Long enough for some probes, all of which must have said no.
        std::thread::sleep(Duration::from_millis(300));
        assert!(!changed.is_finished(), "nothing changed, and yet it says so");
        let begun = Instant::now();
        let date = "2025-06-01 00:00:00";
        database.sql(&format!(
            "update subscriptions set updated_at = '{date}', status = 'CLOSED' where id = 'sub-7'"
        ));
        changed.join().unwrap().duration_since(begun)
    });
    println!("noticed after {held:?}");
    let second = read(&*repository, since(first.source));
    let closed = EntityKeyBuf::from(EntityKey::subscription("a", "sub-7"));
    assert!(!second.full && second.off.contains(&closed), "{:?}", second.off);
    assert!(second.rows < 1000, "{} rows for one change", second.rows);
    let scans = database.scans() - before;
    assert_eq!(scans, 0, "a large table was read whole");
}

/// A whole node from a configuration: starts, answers, follows a change, outlives the database.
pub(crate) fn node(database: &mut dyn Database) {
    clear(database);
    database.sql(&publish(database, "a", "p", OLD, "published"));
    database.sql(&subscribe("s", "a", "p", OLD));
    database.sql(&key(database, "k", &["s"], OLD));
    let yaml = format!(
        "management:\n  type: jdbc\n  jdbc:\n    url: {}\n\
         zonesync: {{ zone: harbour, store: memory, repository: {{ probe: 20ms, timeout: 2s }} }}\n",
        database.url()
    );
    let sources = Sources { text: Some(("inline".into(), yaml)), ..Sources::default() };
    let node = ZoneSync::start(&config::load(&sources).unwrap().settings).unwrap();
    assert!(node.wait_ready(Duration::from_secs(30)), "{:?}", node.status());
    let opens = || node.state().view().by_key("a", "secret k", None, wall_now()).is_some();
    assert!(opens());
    let keys = database.name("keys");
    let set = |revoked: bool, date: &str| {
        format!("update {keys} set revoked = {revoked}, updated_at = '{date}' where id = 'k'")
    };
    database.sql(&set(true, "2025-06-01 00:00:00"));
    eventually("the key is revoked", || !opens());
    database.sql(&set(false, "2025-06-01 00:01:00"));
    eventually("the key is good again", opens);
    database.kill();
    std::thread::sleep(Duration::from_millis(100));
    assert!(opens(), "what is held is served while the database is away");
    database.restart();
    database.sql(&set(true, "2025-06-01 00:02:00"));
    eventually("the key is revoked after the database came back", || !opens());
    node.stop();
}
