//! Rows of a repository, as JSON, and what is mapped of them.
//!
//! The first byte chooses options. Then each line is a row: a digit for its table, and its text.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::json;
use zonesync::repository::mapping::{Mapper, MappingOptions, Origin, Row, Table, Tags};
use zonesync_core::id::EntityKeyBuf;
use zonesync_core::time::WallTime;

use crate::payloads::serve;

/// Maps rows, whatever their order, and serves what they say.
pub fn run(bytes: &[u8]) {
    let Some((choice, text)) = bytes.split_first() else { return };
    let text = String::from_utf8_lossy(text);
    let lines: Vec<(Table, &str)> = text.lines().filter_map(row).collect();
    let Some(entities) = map(*choice, lines.iter().copied()) else { return };
    // Of two rows of one id the last one counts.
    let ids = lines.iter().filter_map(|(table, text)| {
        Row::parse(*table, text)
            .map_or_else(|bad| bad.id.clone(), |row| Some(row.id))
            .map(|id| (*table as u8, id))
    });
    let ids: Vec<_> = ids.collect();
    if ids.len() == ids.iter().collect::<BTreeSet<_>>().len() {
        let backwards = map(*choice, lines.iter().rev().copied());
        assert_eq!(backwards.as_ref(), Some(&entities), "another order gives another state");
    }
    serve(&entities);
}

fn row(line: &str) -> Option<(Table, &str)> {
    let number = line.chars().next()?.to_digit(10)?;
    Some((*Table::ALL.get(number as usize)?, &line[1..]))
}

fn map<'a>(
    choice: u8,
    lines: impl Iterator<Item = (Table, &'a str)>,
) -> Option<Vec<(EntityKeyBuf, Vec<u8>)>> {
    let options = MappingOptions {
        tags: Tags::parse(if choice & 1 == 0 { "" } else { "a,!b" }),
        decrypt: choice & 2 != 0,
        legacy_hrids: choice & 4 == 0,
        environments: if choice & 8 == 0 { Vec::new() } else { vec!["e".into()] },
        ..MappingOptions::default()
    };
    let mut mapper = Mapper::new(options);
    for (number, (table, text)) in (1..).zip(lines) {
        let origin = Origin { source: Arc::from("input"), line: Some(number) };
        mapper.put(Row::parse(table, text).map(Arc::new), origin);
    }
    let now = WallTime::from_millis(1_700_000_000_000);
    let reading = mapper.map(now).ok()?;
    assert!(reading.entities.is_sorted_by(|a, b| a.key < b.key), "each once, sorted");
    let keys: Vec<_> = reading.entities.iter().map(|entity| entity.key.clone()).collect();
    let found = mapper.find(&keys, now).expect("it was mapped before");
    assert_eq!(found.len(), keys.len());
    let entities = reading.entities.into_iter();
    Some(entities.map(|entity| (entity.key, entity.payload.to_vec())).collect())
}

/// Rows of all tables.
pub fn seeds() -> Vec<Vec<u8>> {
    let definition = r#"{"id":"api","name":"n","type":"proxy","tags":["a"],"plans":[{"id":"p","status":"published"}],"properties":[{"key":"k","value":"yV1RwKiUHAel7eVrBaIg8Q==","encrypted":true}]}"#;
    let payload = json!({
        "definitionVersion": "4.0.0", "type": "proxy", "definition": definition,
        "lifecycleState": "STARTED", "environmentId": "e",
    });
    let api = json!({
        "id": "api", "type": "PUBLISH_API", "payload": payload.to_string(), "environments": ["e"],
        "properties": {"api_id": "api", "deployment_number": "1"}, "createdAt": 7,
    });
    let product = r#"{"id":"b","environmentId":"e","apiIds":["api"],"plans":[{"id":"q","status":"PUBLISHED"}]}"#;
    let product = json!({
        "id": "b", "type": "DEPLOY_API_PRODUCT", "payload": product, "environments": ["e"],
        "properties": {"api_product_id": "b"}, "createdAt": 7,
    });
    let events = [format!("5{api}"), format!("5{product}")].join("\n");
    let rest = [
        r#"0{"id":"e","hrids":["e"],"organizationId":"o"}"#,
        r#"1{"id":"o","hrids":["o"]}"#,
        r#"2{"id":"i"}"#,
        r#"3{"referenceId":"o","referenceType":"ORGANIZATION","license":"bGljZW5zZQ==","updatedAt":1}"#,
        r#"4{"id":"x","referenceType":"ENVIRONMENT","referenceId":"e","target":"GATEWAY","host":"h","status":"CREATED","updatedAt":1}"#,
        r#"6{"id":"sub","api":"api","plan":"p","status":"ACCEPTED","clientId":"c","environmentId":"e","updatedAt":1}"#,
        r#"7{"id":"key","key":"secret","subscriptions":["sub"],"environmentId":"e","revoked":false,"paused":false,"expireAt":1800000000000,"updatedAt":1}"#,
    ];
    let all = [&[events.as_str()][..], &rest].concat().join("\n");
    let mapped = map(0, all.lines().filter_map(row)).expect("it is mapped");
    let keys: Vec<_> = mapped.iter().map(|(key, _)| key).collect();
    assert_eq!(keys.len(), 7, "a seed says something: {keys:?}");
    [0_u8, 3, 4, 8].map(|choice| [&[choice][..], all.as_bytes()].concat()).into()
}
