use proptest::prelude::*;
use zonesync_core::entity::Kind;
use zonesync_core::id::EntityKey;

use super::*;

const NOW: WallTime = WallTime::from_millis(1_000_000);

fn api(tags: &str, plans: &str, created: u32) -> String {
    let definition = format!(
        r#"{{"id":"a","name":"A","type":"proxy","tags":{tags},  "plans":{plans},"properties":[{{"key":"k","value":"yV1RwKiUHAel7eVrBaIg8Q==","encrypted":true}}]}}"#
    );
    let payload = serde_json::json!({
        "definitionVersion": "4.0.0", "type": "proxy", "definition": definition,
        "lifecycleState": "STARTED", "environmentId": "e",
    });
    serde_json::json!({
        "id": "a", "type": "PUBLISH_API", "payload": payload.to_string(), "environments": ["e"],
        "properties": {"api_id": "a", "deployment_number": "1"}, "createdAt": created,
    })
    .to_string()
}

const OPEN: &str = r#"[{"id":"p","status":"published"}]"#;

fn product() -> String {
    let payload = r#"{"id":"b","environmentId":"e","apiIds":["a"],"plans":[{"id":"q","status":"PUBLISHED"}]}"#;
    serde_json::json!({
        "id": "b", "type": "DEPLOY_API_PRODUCT", "payload": payload,
        "properties": {"api_product_id": "b"}, "environments": ["e"], "createdAt": 7,
    })
    .to_string()
}

fn subscription(id: &str, more: &str) -> String {
    format!(r#"{{"id":"{id}","plan":"p","environmentId":"e","status":"ACCEPTED"{more}}}"#)
}

fn mapper(options: MappingOptions, rows: &[(Table, String)]) -> Mapper {
    let mut mapper = Mapper::new(options);
    put(&mut mapper, rows);
    mapper
}

fn put(mapper: &mut Mapper, rows: &[(Table, String)]) {
    for (table, text) in rows {
        let origin = Origin { source: table.name().into(), line: None };
        mapper.put(Row::parse(*table, text).map(Arc::new), origin);
    }
}

fn text(reading: &Reading, key: EntityKey<'_>) -> Option<String> {
    let entity = reading.entities.iter().find(|entity| entity.key.as_ref() == key)?;
    Some(String::from_utf8(entity.payload.to_vec()).unwrap())
}

fn world() -> Vec<(Table, String)> {
    let key = |id: &str, subscriptions: &str, more: &str| {
        let key = format!(
            r#"{{"id":"{id}","key":"secret {id}","environmentId":"e","subscriptions":[{subscriptions}]{more}}}"#
        );
        (Table::Keys, key)
    };
    vec![
        (Table::EventsLatest, api("[]", OPEN, 5)),
        (Table::EventsLatest, product()),
        (Table::Subscriptions, subscription("s1", r#","api":"a""#)),
        (Table::Subscriptions, subscription("s2", r#","referenceId":"a","endingAt":999999"#)),
        (
            Table::Subscriptions,
            subscription("s3", r#","plan":"q","referenceType":"api_product","referenceId":"b""#),
        ),
        (Table::Subscriptions, subscription("s4", r#","api":"a","plan":"other""#)),
        key("k1", r#""s1","s3","nowhere""#, ""),
        key("k2", r#""s1""#, r#","revoked":true"#),
        key("k3", r#""s2""#, ""),
        key("k4", r#""s4""#, r#","expireAt":5"#),
    ]
}

fn names(keys: impl IntoIterator<Item = EntityKeyBuf>) -> Vec<String> {
    keys.into_iter().map(|key| key.to_string()).collect()
}

#[test]
fn rows_become_entities_evidence_or_nothing() {
    let reading = mapper(MappingOptions::default(), &world()).map(NOW).unwrap();
    assert_eq!(reading.quarantined, []);
    let held = names(reading.entities.iter().map(|entity| entity.key.clone()));
    let expected = [
        "NODE_METADATA default",
        "API_PRODUCT b",
        "API a",
        "SUBSCRIPTION a s1",
        "SUBSCRIPTION b s3",
        "API_KEY a k1 s1",
        "API_KEY b k1 s3",
    ];
    assert_eq!(held, expected);
    assert_eq!(names(reading.off), ["SUBSCRIPTION a s2", "API_KEY a k2 s1", "API_KEY a k3 s2"]);
}

proptest! {
    #[test]
    fn every_order_of_arrival_gives_the_same(order in Just(world()).prop_shuffle(), cut in 0..10usize) {
        let whole = mapper(MappingOptions::default(), &world()).map(NOW).unwrap();
        let mut piecemeal = mapper(MappingOptions::default(), &order[..cut]);
        piecemeal.map(NOW).unwrap();
        put(&mut piecemeal, &order[cut..]);
        let reading = piecemeal.map(NOW).unwrap();
        prop_assert_eq!(&reading.off, &whole.off);
        prop_assert_eq!(reading.entities.len(), whole.entities.len());
        for (one, other) in reading.entities.iter().zip(&whole.entities) {
            prop_assert_eq!(&one.key, &other.key);
            prop_assert!(same_but_dispatch(&one.payload, &other.payload), "{}", one.key);
        }
    }
}

#[test]
fn an_untouched_definition_stays_the_bytes_it_was() {
    let key = EntityKey::new(Kind::API, "a");
    let reading = mapper(MappingOptions::default(), &world()).map(NOW).unwrap();
    assert!(text(&reading, key).unwrap().contains(r#""tags":[],  "plans":[{"id":"p","#));
    let decrypt = MappingOptions { decrypt: true, ..MappingOptions::default() };
    let clear = text(&mapper(decrypt, &world()).map(NOW).unwrap(), key).unwrap();
    assert!(clear.contains(r#""value":"s3cret","encrypted":false"#), "{clear}");
}

#[test]
fn our_tags_filter_and_closed_plans_are_evidence() {
    let options = MappingOptions { tags: Tags::parse("eu"), ..MappingOptions::default() };
    let (api_key, sub_key) = (EntityKey::new(Kind::API, "a"), EntityKey::subscription("a", "s1"));
    let found = |tags: &str, plans: &str| {
        let rows = [
            (Table::EventsLatest, api(tags, plans, 5)),
            (Table::Subscriptions, subscription("s1", r#","api":"a""#)),
        ];
        let keys = [api_key.into(), sub_key.into()];
        mapper(options.clone(), &rows).find(&keys, NOW).unwrap()
    };
    assert_eq!(found(r#"["EU"]"#, OPEN), [Found::Present; 2]);
    assert_eq!(found("[]", OPEN), [Found::Filtered; 2]);
    assert_eq!(found(r#"["eu"]"#, r#"[{"id":"p","status":"closed"}]"#), [Found::Off; 2]);
    let ours = r#"[{"id":"p","status":"published","tags":["us"]}]"#;
    assert_eq!(found(r#"["eu"]"#, ours), [Found::Filtered; 2]);
    let keys = [EntityKey::new(Kind::API, "x").into()];
    assert_eq!(mapper(options.clone(), &[]).find(&keys, NOW).unwrap(), [Found::Missing]);
}

#[test]
fn dispatch_is_forced_by_a_new_parent_and_not_by_reading_again() {
    let forced = |reading: &Reading, id: &str| {
        text(reading, EntityKey::subscription("a", id)).unwrap().contains(r#"forceDispatch":true"#)
    };
    let mut mapper = mapper(MappingOptions::default(), &world());
    let first = mapper.map(NOW).unwrap();
    assert!(forced(&first, "s1"));
    put(&mut mapper, &[(Table::Subscriptions, subscription("s9", r#","api":"a""#))]);
    // The same deployment with a later date is no change.
    put(&mut mapper, &[(Table::EventsLatest, api("[]", OPEN, 6))]);
    let second = mapper.map(NOW).unwrap();
    assert!(!forced(&second, "s9"));
    let old = first.entities.iter().filter(|entity| second.entities.contains(entity));
    assert_eq!(old.count(), first.entities.len());
    put(&mut mapper, &[(Table::EventsLatest, api(r#"["new"]"#, OPEN, 7))]);
    assert!(forced(&mapper.map(NOW).unwrap(), "s9"));
}

#[test]
fn a_poison_row_counts_as_present_and_harms_no_other() {
    let mut mapper = mapper(MappingOptions::default(), &world());
    let good = mapper.map(NOW).unwrap();
    put(&mut mapper, &[(Table::EventsLatest, api("5", OPEN, 6))]);
    let reading = mapper.map(NOW).unwrap();
    let key = EntityKeyBuf::from(EntityKey::new(Kind::API, "a"));
    assert_eq!(reading.quarantined.len(), 1);
    let told = reading.quarantined[0].to_string();
    assert_eq!(told, "events_latest a: `tags` should be an array, found 5");
    assert_eq!(reading.entities.len(), good.entities.len() - 1);
    assert_eq!(mapper.find(&[key], NOW).unwrap(), [Found::Present]);
    // Without the plans of before, nothing is known of its subscriptions: they stay too.
    let mut rows = world();
    rows[0] = (Table::EventsLatest, api("5", OPEN, 6));
    let cold = self::mapper(MappingOptions::default(), &rows).map(NOW).unwrap();
    let quarantined = names(cold.quarantined.into_iter().filter_map(|row| row.key));
    assert!(quarantined.contains(&"SUBSCRIPTION a s1".into()), "{quarantined:?}");
    assert!(quarantined.contains(&"API_KEY a k1 s1".into()), "{quarantined:?}");
}

#[test]
fn a_poison_row_that_says_off_is_off() {
    let closed = r#"{"id":"s1","api":"a","status":"CLOSED","startingAt":{}}"#;
    let revoked = r#"{"id":"k1","subscriptions":["s2"],"revoked":true,"paused":7,"expireAt":[]}"#;
    let mut rows = world();
    rows[2] = (Table::Subscriptions, closed.into());
    rows[3] = (Table::Subscriptions, subscription("s2", r#","api":"a""#));
    rows[6] = (Table::Keys, revoked.into());
    let reading = mapper(MappingOptions::default(), &rows).map(NOW).unwrap();
    assert_eq!(reading.quarantined, []);
    let off = ["SUBSCRIPTION a s1", "API_KEY a k1 s2", "API_KEY a k2 s1"];
    assert_eq!(names(reading.off), off);
}

#[test]
fn a_misspelt_environment_reads_nothing_rather_than_everything() {
    let options = MappingOptions { environments: vec!["dve".into()], ..MappingOptions::default() };
    let rows = [(Table::Environments, r#"{"id":"e","hrids":["dev"]}"#.into())];
    let error = mapper(options, &rows).map(NOW).unwrap_err();
    assert!(error.to_string().contains("dve"), "{error}");
}

#[test]
fn groups_of_two_environments_do_not_overwrite_each_other() {
    let group = |id: &str, environment: &str| {
        let payload = format!(r#"{{"id":"x","environmentId":"{environment}","deployedAt":1}}"#);
        let event = serde_json::json!({
            "id": id, "type": "DEPLOY_SHARED_POLICY_GROUP", "payload": payload,
            "properties": {"shared_policy_group_id": "x"}, "environments": [environment],
        });
        (Table::EventsLatest, event.to_string())
    };
    let mut mapper = mapper(MappingOptions::default(), &[group("1", "f"), group("2", "e")]);
    let reading = mapper.map(NOW).unwrap();
    let plain = text(&reading, EntityKey::new(Kind::SHARED_POLICY_GROUP, "x")).unwrap();
    assert!(plain.contains(r#""environmentId":"e""#), "{plain}");
    let scoped = EntityKey { scope: "f", ..EntityKey::new(Kind::SHARED_POLICY_GROUP, "x") };
    assert!(text(&reading, scoped).is_some());
}

#[test]
fn the_filter_hash_knows_no_order_and_no_spelling() {
    let of = |tags: &str, environments: &[&str]| {
        let environments = environments.iter().map(|name| name.to_string()).collect();
        let tags = Tags::parse(tags);
        MappingOptions { tags, environments, ..MappingOptions::default() }.filter()
    };
    assert_eq!(of("a,B-b,!c", &["x", "y"]), of("!C, bb, A", &["y", "x"]));
    assert_ne!(of("a", &[]), of("!a", &[]));
    assert_ne!(of("a", &["x"]), of("a", &[]));
}
