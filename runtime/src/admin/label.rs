//! A few words about an entity, taken from its payload, without its secrets.

use serde::Deserialize;
use zonesync_core::entity::Kind;

/// How many characters of a secret are shown.
const SHOWN: usize = 4;

/// Secrets shorter than this are not shown in part: what is left would be easy to guess.
const SHOWN_FROM: usize = 12;

/// What we look for in a payload. All of it may be missing.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Words {
    name: Option<String>,
    key: Option<String>,
    plan: Option<String>,
    application: Option<String>,
    status: Option<String>,
    revoked: Option<bool>,
    paused: Option<bool>,
    definition: Option<Definition>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Definition {
    name: Option<String>,
}

/// Says in a few words what an entity is; empty if its payload does not tell.
pub(super) fn label(kind: Kind, payload: &[u8]) -> String {
    let words: Words = serde_json::from_slice(payload).unwrap_or_default();
    let parts: Vec<String> = match kind {
        Kind::API => words.definition.and_then(|d| d.name).into_iter().collect(),
        Kind::SUBSCRIPTION => {
            let plan = words.plan.map(|plan| format!("plan {plan}"));
            let application = words.application.map(|app| format!("application {app}"));
            [plan, application, words.status].into_iter().flatten().collect()
        }
        Kind::API_KEY => {
            let plan = words.plan.map(|plan| format!("plan {plan}"));
            let revoked = words.revoked.unwrap_or(false).then(|| "revoked".into());
            let paused = words.paused.unwrap_or(false).then(|| "paused".into());
            let key = words.key.map(|key| format!("key {}", mask(&key)));
            [key, plan, revoked, paused].into_iter().flatten().collect()
        }
        Kind::DICTIONARY => words.key.or(words.name).into_iter().collect(),
        _ => words.name.into_iter().collect(),
    };
    parts.join(", ")
}

/// Gives the application that a subscription's payload names.
pub(super) fn application(payload: &[u8]) -> Option<String> {
    serde_json::from_slice::<Words>(payload).ok()?.application
}

/// Shows the beginning of a secret.
fn mask(secret: &str) -> String {
    let shown = if secret.chars().count() < SHOWN_FROM { 0 } else { SHOWN };
    secret.chars().take(shown).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_masked() {
        let payload = br#"{"id":"k-33","key":"0f6d2b9a-47aa-4f0e","plan":"pl-1","revoked":true}"#;
        assert_eq!(label(Kind::API_KEY, payload), "key 0f6d…, plan pl-1, revoked");
        assert_eq!(label(Kind::API_KEY, br#"{"key":"short"}"#), "key …");
    }

    #[test]
    fn each_kind_says_what_a_person_looks_for() {
        let api = br#"{"definition":{"name":"Orders","id":"7c1d"},"enabled":true}"#;
        assert_eq!(label(Kind::API, api), "Orders");
        let subscription = br#"{"plan":"pl-1","application":"app-4","status":"ACCEPTED"}"#;
        assert_eq!(
            label(Kind::SUBSCRIPTION, subscription),
            "plan pl-1, application app-4, ACCEPTED"
        );
        assert_eq!(application(subscription).as_deref(), Some("app-4"));
        assert_eq!(label(Kind::ORGANIZATION, br#"{"name":"Acme"}"#), "Acme");
    }

    #[test]
    fn bytes_that_are_no_json_have_no_label() {
        assert_eq!(label(Kind::LICENSE, b"bGljZW5jZQ=="), "");
        assert_eq!(label(Kind::API, &[0xff, 0]), "");
    }
}
