//! What lookups need to know of a payload.
//!
//! Only the members named here are read; all others are skipped, but must be JSON. What an entity
//! is called and where it belongs is said by its key, so the same members of the payload are not
//! looked at.
//!
//! A reason never repeats the payload, which may hold keys.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::certificate;
use super::json::{Flag, Str, Time};
use super::scan::{self, Once};

/// The longest API key or client id that can be looked up.
const CREDENTIAL_MAX: usize = 64 << 10;

/// Why a payload cannot be used, for people.
pub(super) type Reason = Cow<'static, str>;

/// What a subscription is found by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Credential<'a> {
    /// Its id only.
    None,
    /// The id of a client.
    Client(Cow<'a, str>),
    /// Thumbprints of certificates, without a gap.
    Certificates(String),
}

/// What lookups need of a subscription.
#[derive(Debug)]
pub(super) struct SubscriptionFacts<'a> {
    pub(super) id: Cow<'a, str>,
    pub(super) plan: Cow<'a, str>,
    pub(super) credential: Credential<'a>,
    pub(super) accepted: bool,
    pub(super) starting: Option<i64>,
    pub(super) ending: Option<i64>,
}

/// What lookups need of an API key.
#[derive(Debug)]
pub(super) struct KeyFacts<'a> {
    pub(super) id: Cow<'a, str>,
    pub(super) key: Cow<'a, str>,
    pub(super) active: bool,
    pub(super) expires: Option<i64>,
}

/// What lookups need of an API product.
#[derive(Debug)]
pub(super) struct ProductFacts<'a> {
    pub(super) apis: Vec<Cow<'a, str>>,
    pub(super) environment: Cow<'a, str>,
    /// Whether it has a published or deprecated plan.
    pub(super) served: bool,
}

/// A dictionary as lookups see it.
#[derive(Debug)]
pub(super) struct Dictionary {
    pub(super) environment: Box<str>,
    /// The name at run time: its key, or its id if it has none.
    pub(super) name: Box<str>,
    /// Sorted by name.
    properties: Box<[(Box<str>, Box<str>)]>,
}

impl Dictionary {
    /// Gives the value of a property.
    pub(super) fn property(&self, name: &str) -> Option<&str> {
        let at = self.properties.binary_search_by(|(known, _)| (**known).cmp(name)).ok()?;
        Some(&self.properties[at].1)
    }
}

/// The members of a subscription that count.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct SubscriptionJson<'a> {
    #[serde(borrow)]
    id: Option<Str<'a>>,
    #[serde(borrow)]
    plan: Option<Str<'a>>,
    #[serde(borrow)]
    client_id: Option<Str<'a>>,
    #[serde(borrow)]
    client_certificate: Option<Str<'a>>,
    #[serde(borrow)]
    status: Option<Str<'a>>,
    starting_at: Option<Time>,
    ending_at: Option<Time>,
}

impl<'a> SubscriptionJson<'a> {
    /// Reads a payload as plain as nearly all are.
    fn scan(payload: &'a [u8]) -> Option<Self> {
        let (mut json, mut once) = (Self::default(), Once::default());
        scan::members(payload, |name, value| {
            let (number, text) = match name {
                b"id" => (0, &mut json.id),
                b"plan" => (1, &mut json.plan),
                b"clientId" => (2, &mut json.client_id),
                b"clientCertificate" => (3, &mut json.client_certificate),
                b"status" => (4, &mut json.status),
                b"startingAt" => {
                    json.starting_at = value.whole()?.map(Time);
                    return once.see(5);
                }
                b"endingAt" => {
                    json.ending_at = value.whole()?.map(Time);
                    return once.see(6);
                }
                _ => return Some(()),
            };
            *text = value.text()?.map(Str::plain);
            once.see(number)
        })?;
        Some(json)
    }
}

/// Reads a subscription.
pub(super) fn subscription(payload: &[u8]) -> Result<SubscriptionFacts<'_>, Reason> {
    let json = SubscriptionJson::scan(payload).map_or_else(|| parse(payload), Ok)?;
    let plan = text(json.plan).ok_or("the subscription names no plan")?;
    let status = text(json.status).ok_or("the subscription has no status")?;
    let credential = match (text(json.client_certificate), text(json.client_id)) {
        (Some(certificate), _) => match certificate::thumbprints(&certificate) {
            none if none.is_empty() => Credential::None,
            prints => Credential::Certificates(prints),
        },
        (None, Some(client)) => Credential::Client(bounded(client)?),
        (None, None) => Credential::None,
    };
    Ok(SubscriptionFacts {
        id: text(json.id).unwrap_or_default(),
        plan: bounded(plan)?,
        credential,
        accepted: status == "ACCEPTED",
        starting: json.starting_at.map(|time| time.0),
        ending: json.ending_at.map(|time| time.0),
    })
}

/// The members of an API key that count.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct KeyJson<'a> {
    #[serde(borrow)]
    id: Option<Str<'a>>,
    #[serde(borrow)]
    key: Option<Str<'a>>,
    #[serde(default)]
    revoked: Flag,
    #[serde(default)]
    paused: Flag,
    #[serde(default = "Flag::yes")]
    active: Flag,
    expire_at: Option<Time>,
}

impl<'a> KeyJson<'a> {
    /// Reads a payload as plain as nearly all are.
    fn scan(payload: &'a [u8]) -> Option<Self> {
        let (revoked, paused) = (Flag::default(), Flag::default());
        let mut json =
            Self { id: None, key: None, revoked, paused, active: Flag::yes(), expire_at: None };
        let mut once = Once::default();
        scan::members(payload, |name, value| {
            let number = match name {
                b"id" => {
                    json.id = value.text()?.map(Str::plain);
                    0
                }
                b"key" => {
                    json.key = value.text()?.map(Str::plain);
                    1
                }
                b"revoked" => {
                    json.revoked = Flag(value.truth()?);
                    2
                }
                b"paused" => {
                    json.paused = Flag(value.truth()?);
                    3
                }
                b"active" => {
                    json.active = Flag(value.truth()?);
                    4
                }
                b"expireAt" => {
                    json.expire_at = value.whole()?.map(Time);
                    5
                }
                _ => return Some(()),
            };
            once.see(number)
        })?;
        Some(json)
    }
}

/// Reads an API key.
///
/// A missing `active` leaves it to `revoked` and `paused`; null reads as false, as elsewhere.
pub(super) fn api_key(payload: &[u8]) -> Result<KeyFacts<'_>, Reason> {
    let json = KeyJson::scan(payload).map_or_else(|| parse(payload), Ok)?;
    Ok(KeyFacts {
        id: text(json.id).unwrap_or_default(),
        key: bounded(text(json.key).ok_or("the API key has no key")?)?,
        active: json.active.0 && !json.revoked.0 && !json.paused.0,
        expires: json.expire_at.map(|time| time.0),
    })
}

/// Reads again when a subscription that could be read starts and ends.
pub(super) fn dates(payload: &[u8]) -> Option<(Option<i64>, Option<i64>)> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Json {
        starting_at: Option<Time>,
        ending_at: Option<Time>,
    }
    let json = parse::<Json>(payload).ok()?;
    Some((json.starting_at.map(|time| time.0), json.ending_at.map(|time| time.0)))
}

/// Reads again when an API key that could be read expires.
pub(super) fn expiry(payload: &[u8]) -> Option<i64> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Json {
        expire_at: Option<Time>,
    }
    Some(parse::<Json>(payload).ok()?.expire_at?.0)
}

/// Reads an API product.
pub(super) fn product(payload: &[u8]) -> Result<ProductFacts<'_>, Reason> {
    #[derive(Deserialize)]
    struct Plan<'a> {
        #[serde(borrow)]
        status: Option<Str<'a>>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Json<'a> {
        #[serde(borrow)]
        api_ids: Option<Vec<Str<'a>>>,
        #[serde(borrow)]
        environment_id: Option<Str<'a>>,
        #[serde(borrow)]
        plans: Option<Vec<Plan<'a>>>,
    }
    let json: Json<'_> = parse(payload)?;
    let served = |plan: &Plan<'_>| {
        let is = |wanted| matches!(&plan.status, Some(s) if s.0.eq_ignore_ascii_case(wanted));
        is("published") || is("deprecated")
    };
    Ok(ProductFacts {
        apis: json.api_ids.unwrap_or_default().into_iter().map(|api| api.0).collect(),
        environment: text(json.environment_id).unwrap_or_default(),
        served: json.plans.unwrap_or_default().iter().any(served),
    })
}

/// Reads the environment of an API; empty if the payload names none.
pub(super) fn api_environment(payload: &[u8]) -> Result<Cow<'_, str>, Reason> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Json<'a> {
        #[serde(borrow)]
        environment_id: Option<Str<'a>>,
    }
    let json: Json<'_> = parse(payload)?;
    Ok(text(json.environment_id).unwrap_or_default())
}

/// Reads the dictionary with this id. Properties that are null are left out; numbers and truth
/// values become text.
pub(super) fn dictionary(id: &str, payload: &[u8]) -> Result<Dictionary, Reason> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Json<'a> {
        #[serde(borrow)]
        key: Option<Str<'a>>,
        #[serde(borrow)]
        environment_id: Option<Str<'a>>,
        #[serde(borrow)]
        properties: Option<std::collections::BTreeMap<String, &'a RawValue>>,
    }
    let json: Json<'_> = parse(payload)?;
    let mut properties = Vec::new();
    for (name, value) in json.properties.unwrap_or_default() {
        let value = match value.get().as_bytes().first() {
            Some(b'"') => serde_json::from_str(value.get()).map_err(|_| "a property is no text")?,
            Some(b'{' | b'[') => return Err("a property is neither text nor number".into()),
            Some(b'n') => continue,
            _ => value.get().to_owned(),
        };
        properties.push((name.into_boxed_str(), value.into_boxed_str()));
    }
    Ok(Dictionary {
        environment: text(json.environment_id).unwrap_or_default().into(),
        name: text(json.key).unwrap_or(id.into()).into(),
        properties: properties.into(),
    })
}

fn parse<'a, T: Deserialize<'a>>(payload: &'a [u8]) -> Result<T, Reason> {
    serde_json::from_slice(payload).map_err(|error| {
        let what = if error.is_data() { "a member has the wrong type" } else { "not JSON" };
        format!("{what}, at line {} column {}", error.line(), error.column()).into()
    })
}

/// An empty text counts as none.
fn text(text: Option<Str<'_>>) -> Option<Cow<'_, str>> {
    text.map(|text| text.0).filter(|text| !text.is_empty())
}

fn bounded(text: Cow<'_, str>) -> Result<Cow<'_, str>, Reason> {
    if text.len() > CREDENTIAL_MAX { Err("a text is longer than 64 KiB".into()) } else { Ok(text) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_subscription_of_a_stock_gateway_is_read() {
        let payload = br#"{"id":"s-901","api":"7c1d","plan":"pl-1","clientId":"mobile-client",
            "status":"ACCEPTED","startingAt":1759000000000,"metadata":{},"forceDispatch":false}"#;
        let facts = subscription(payload).unwrap();
        assert_eq!((&*facts.id, &*facts.plan, facts.accepted), ("s-901", "pl-1", true));
        assert_eq!(facts.credential, Credential::Client("mobile-client".into()));
        assert!(matches!(facts.credential, Credential::Client(Cow::Borrowed(_))));
        assert_eq!((facts.starting, facts.ending), (Some(1_759_000_000_000), None));
    }

    #[test]
    fn a_certificate_wins_over_a_client() {
        let payload = br#"{"plan":"p","status":"ACCEPTED","clientId":"c","clientCertificate":"?"}"#;
        assert_eq!(subscription(payload).unwrap().credential, Credential::None);
    }

    #[test]
    fn what_takes_a_key_away_is_seen_however_it_is_written() {
        let active = |members: &str| {
            api_key(format!(r#"{{"key":"k"{members}}}"#).as_bytes()).unwrap().active
        };
        assert!(active(""));
        assert!(active(r#","active":true,"revoked":null,"paused":false"#));
        assert!(active(r#","active":"true""#));
        for off in
            [r#","active":false"#, r#","active":null"#, r#","revoked":"true""#, r#","paused":true"#]
        {
            assert!(!active(off), "{off}");
        }
    }

    #[test]
    fn what_cannot_be_read_says_where_and_never_what() {
        for bad in
            ["", "{", "[]", r#"{"key":"secret""#, r#"{"key":7}"#, r#"{"key":"secret","revoked":9}"#]
        {
            let reason = api_key(bad.as_bytes()).unwrap_err();
            assert!(!reason.contains("secret") && !reason.contains('9'), "{reason}");
        }
        assert_eq!(api_key(b"{}").unwrap_err(), "the API key has no key");
        assert_eq!(
            subscription(br#"{"status":"ACCEPTED"}"#).unwrap_err(),
            "the subscription names no plan"
        );
    }

    proptest! {
        #[test]
        fn a_plain_payload_is_read_as_any_other(
            members in prop::collection::vec((
                prop::sample::select(&[
                    "id", "plan", "clientId", "clientCertificate", "status", "startingAt",
                    "endingAt", "key", "revoked", "paused", "active", "expireAt", "other",
                ][..]),
                prop::sample::select(&[
                    "null", "\"x\"", "\"\"", "\"\\u0041\"", "true", "false", "\"true\"", "7", "-3", "1.5",
                    "1e3", "99999999999999999999", "[7]", "{\"id\":1}", "\"2025-10-09\"",
                ][..]),
            ), 0..6),
        ) {
            let members = members.iter().map(|(name, value)| format!("\"{name}\":{value}"));
            let payload = format!("{{{}}}", members.collect::<Vec<_>>().join(","));
            let payload = payload.as_bytes();
            let millis = |time: &Option<Time>| time.as_ref().map(|time| time.0);
            if let Some(json) = SubscriptionJson::scan(payload) {
                let read = |json: SubscriptionJson<'_>| {
                    let times = (millis(&json.starting_at), millis(&json.ending_at));
                    let texts = [
                        json.id, json.plan, json.client_id, json.client_certificate, json.status,
                    ];
                    (times, texts.map(|text| text.map(|text| text.0.into_owned())))
                };
                prop_assert_eq!(read(json), read(parse(payload).unwrap()));
            }
            if let Some(json) = KeyJson::scan(payload) {
                let read = |json: KeyJson<'_>| {
                    let flags = [json.revoked, json.paused, json.active].map(|flag| flag.0);
                    let texts = [json.id, json.key].map(|text| text.map(|text| text.0.into_owned()));
                    (millis(&json.expire_at), flags, texts)
                };
                prop_assert_eq!(read(json), read(parse(payload).unwrap()));
            }
        }
    }

    #[test]
    fn properties_become_text() {
        let payload =
            br#"{"environmentId":"E","properties":{"a":"x\ny","b":1.50,"c":true,"d":null}}"#;
        let dictionary = dictionary("id", payload).unwrap();
        assert_eq!((&*dictionary.environment, &*dictionary.name), ("E", "id"));
        let get = |name| dictionary.property(name);
        assert_eq!(
            (get("a"), get("b"), get("c"), get("d")),
            (Some("x\ny"), Some("1.50"), Some("true"), None)
        );
    }
}
