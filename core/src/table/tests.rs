use proptest::prelude::*;
use std::collections::BTreeMap;
use std::string::String as Text;

use super::*;

const ROWS: usize = 8;
const IDS: [&str; 4] = ["a", "b", "c", "d"];

fn at(millis: i64) -> WallTime {
    WallTime::from_millis(millis)
}

/// Kind, API, id, subscription; what it says of itself, or none to remove it.
type Step = (bool, usize, usize, usize, Option<(usize, usize, Option<i64>, Option<i64>)>);

fn steps() -> impl Strategy<Value = Step> {
    let time = || prop::option::of(0..4_i64);
    let access = prop::option::weighted(0.7, (0..3_usize, 0..2_usize, time(), time()));
    (any::<bool>(), 0..2_usize, 0..3_usize, 0..3_usize, access)
}

fn key((keyed, api, id, subscription, _): &Step) -> EntityKey<'static> {
    let (api, id) = (IDS[*api], IDS[*id]);
    if *keyed {
        EntityKey::api_key(api, id, IDS[*subscription])
    } else {
        EntityKey::subscription(api, id)
    }
}

fn access((keyed, .., access): &Step) -> Option<Access<'static>> {
    let (credential, plan, starts, ends) = (*access)?;
    let text = IDS[credential];
    let credential = if *keyed { Credential::ApiKey(text) } else { Credential::Client(text) };
    let (starts, ends) = (starts.map(at), ends.map(at));
    let plan = if *keyed { "" } else { IDS[plan] };
    Some(Access { credential: Some(credential), plan, starts, ends })
}

fn open(access: &Access<'_>, now: WallTime) -> bool {
    access.starts.is_none_or(|s| s <= now) && access.ends.is_none_or(|e| now < e)
}

/// Looks at every row, by the words of the rule.
fn model<'a>(
    rows: &BTreeMap<EntityKey<'a>, Access<'a>>,
    api: &str,
    credential: Credential<'_>,
    plan: Option<&str>,
    now: WallTime,
) -> Option<Grant<'a>> {
    let grant = |(key, access): (&EntityKey<'a>, &Access<'a>)| {
        let id = if key.kind == Kind::API_KEY { key.subscription } else { key.id };
        let parent = rows.get(&EntityKey::subscription(key.scope, id))?;
        let fits = key.scope == api && access.credential == Some(credential);
        let opens = open(access, now) && open(parent, now) && plan.is_none_or(|p| p == parent.plan);
        (fits && opens).then_some(Grant { subscription: id, plan: parent.plan })
    };
    rows.iter().filter_map(grant).min_by_key(|grant| grant.subscription)
}

proptest! {
    #[test]
    fn a_table_answers_as_a_map_does(steps in prop::collection::vec(steps(), 0..60)) {
        let mut table = Table::<ROWS>::new([7; 16]);
        let mut rows = BTreeMap::new();
        for step in &steps {
            match access(step) {
                Some(access) if rows.len() < ROWS || rows.contains_key(&key(step)) => {
                    prop_assert_eq!(table.insert(key(step), &access), Ok(()));
                    rows.insert(key(step), access);
                }
                Some(access) => {
                    prop_assert_eq!(table.insert(key(step), &access), Err(InsertError::Full));
                }
                None => prop_assert_eq!(table.remove(key(step)), rows.remove(&key(step)).is_some()),
            }
            prop_assert_eq!(table.len(), rows.len());
            for (api, id, now) in (0..18).map(|n| (IDS[n % 2], IDS[n / 2 % 3], at(n as i64 / 6))) {
                for credential in [Credential::ApiKey(id), Credential::Client(id)] {
                    for plan in [None, Some("a"), Some("b")] {
                        let found = table.lookup(api, credential, plan, now);
                        prop_assert_eq!(found, model(&rows, api, credential, plan, now));
                    }
                }
            }
        }
    }
}

const OPEN: Access<'_> = Access {
    credential: Some(Credential::Client("client")),
    plan: "plan",
    starts: None,
    ends: None,
};

#[test]
fn what_does_not_fit_changes_nothing() {
    let mut table = Table::<1>::new([0; 16]);
    assert_eq!(table.insert(EntityKey::subscription("api", "s"), &OPEN), Ok(()));
    let other = EntityKey::subscription("api", "t");
    assert_eq!(table.insert(other, &OPEN), Err(InsertError::Full));
    let api = EntityKey::new(Kind::API, "api");
    assert_eq!(table.insert(api, &OPEN), Err(InsertError::Kind(Kind::API)));
    let long: Text = "x".repeat(TABLE_ID_MAX + 1);
    let wide = Access { plan: &long, ..OPEN };
    let own = EntityKey::subscription("api", "s");
    assert_eq!(table.insert(own, &wide), Err(InsertError::TooLong));
    let grant = table.lookup("api", Credential::Client("client"), Some("plan"), at(0));
    assert_eq!(grant, Some(Grant { subscription: "s", plan: "plan" }));
}

#[test]
fn a_subscription_without_a_credential_opens_nothing_by_itself() {
    let mut table = Table::<2>::new([0; 16]);
    let closed = Access { credential: None, ..OPEN };
    assert_eq!(table.insert(EntityKey::subscription("api", "s"), &closed), Ok(()));
    assert_eq!(table.lookup("api", Credential::Client(""), None, at(0)), None);
}
