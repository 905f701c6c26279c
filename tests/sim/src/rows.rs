//! The entities of the world: names, payloads, and what can be read back from them.

use zonesync_core::entity::Kind;
use zonesync_core::id::{EntityKey, EntityKeyBuf};

/// How many APIs there are.
pub const APIS: u64 = 12;

/// How many dictionaries there are.
pub const DICTIONARIES: u64 = 4;

/// Subscriptions, and their keys, are numbered below this.
pub const SUBSCRIPTIONS: u64 = 40;

/// How many API products there are.
pub const PRODUCTS: u64 = 2;

/// Subscriptions from [`SUBSCRIPTIONS`] up to this are to API products, and so are their keys.
pub const SUBSCRIPTIONS_ALL: u64 = SUBSCRIPTIONS + 2 * PRODUCTS;

/// How many rows there can be.
pub const ROWS: usize = (APIS + DICTIONARIES + 2 * SUBSCRIPTIONS_ALL + PRODUCTS) as usize;

/// Numbers the entities that there can be, from zero.
pub fn index(key: EntityKey<'_>) -> usize {
    let before = match key.kind {
        Kind::API => 0,
        Kind::DICTIONARY => APIS,
        Kind::SUBSCRIPTION => APIS + DICTIONARIES,
        Kind::API_KEY => APIS + DICTIONARIES + SUBSCRIPTIONS_ALL,
        _ => APIS + DICTIONARIES + 2 * SUBSCRIPTIONS_ALL,
    };
    (before + number(key)) as usize
}

/// Gives the entity of a number.
pub fn of_index(index: usize) -> EntityKeyBuf {
    let index = index as u64;
    let first = APIS + DICTIONARIES;
    let (second, third) = (first + SUBSCRIPTIONS_ALL, first + 2 * SUBSCRIPTIONS_ALL);
    match index {
        _ if index < APIS => api(index),
        _ if index < first => dictionary(index - APIS),
        _ if index < second => subscription(index - first),
        _ if index < third => key(index - second),
        _ => product(index - third),
    }
}

/// Gives the name of an API.
pub fn api(number: u64) -> EntityKeyBuf {
    EntityKey::new(Kind::API, &format!("api-{number}")).into()
}

/// Gives the name of a dictionary.
pub fn dictionary(number: u64) -> EntityKeyBuf {
    EntityKey::new(Kind::DICTIONARY, &format!("dictionary-{number}")).into()
}

/// Gives the name of an API product.
pub fn product(number: u64) -> EntityKeyBuf {
    EntityKey::new(Kind::API_PRODUCT, &format!("product-{number}")).into()
}

/// Lists the APIs that a product sells as one.
pub fn apis_of(product: u64) -> [u64; 2] {
    [2 * product, 2 * product + 1]
}

/// Gives the API or product of a subscription: those of one follow each other by their number.
fn scope(number: u64) -> String {
    match number {
        SUBSCRIPTIONS.. => format!("product-{}", number % PRODUCTS),
        _ => format!("api-{}", number % APIS),
    }
}

/// Gives the name of a subscription.
pub fn subscription(number: u64) -> EntityKeyBuf {
    let (scope, id) = (scope(number), format!("sub-{number}"));
    EntityKey::subscription(&scope, &id).into()
}

/// Gives the name of the key of a subscription.
pub fn key(number: u64) -> EntityKeyBuf {
    let (scope, sub) = (scope(number), format!("sub-{number}"));
    EntityKey::api_key(&scope, &format!("key-{number}"), &sub).into()
}

/// Gives the number in a name.
pub fn number(key: EntityKey<'_>) -> u64 {
    let digits = key.id.rsplit('-').next().and_then(|digits| digits.parse().ok());
    digits.expect("ids end in a number")
}

/// Gives API and secret with which the key of a subscription is looked up.
pub fn secret(number: u64) -> (String, String) {
    let api = if number < SUBSCRIPTIONS { number % APIS } else { apis_of(number % PRODUCTS)[0] };
    (format!("api-{api}"), format!("secret-{number}"))
}

/// Every seventh subscription has a tag that some nodes' filter leaves out, and so has its key.
pub fn is_tagged(key: &EntityKeyBuf) -> bool {
    let key = key.as_ref();
    matches!(key.kind, Kind::SUBSCRIPTION | Kind::API_KEY) && number(key) % 7 == 3
}

/// Makes the payload of a row; `weight` makes it longer by so many bytes.
pub fn payload(key: EntityKey<'_>, revision: u64, weight: usize) -> Vec<u8> {
    let id = key.id;
    let pad = match weight {
        0 => String::new(),
        _ => format!(r#","pad":"{}""#, "x".repeat(weight)),
    };
    let rest = match key.kind {
        Kind::SUBSCRIPTION => {
            format!(r#""api":"{}","plan":"p","status":"ACCEPTED","forceDispatch":true"#, key.scope)
        }
        Kind::API_KEY => format!(
            r#""key":"secret-{}","api":"{}","plan":"p","subscription":"{}","active":true"#,
            number(key),
            key.scope,
            key.subscription,
        ),
        Kind::API_PRODUCT => {
            let [first, second] = apis_of(number(key));
            format!(r#""apiIds":["api-{first}","api-{second}"],"plans":[{{"status":"PUBLISHED"}}]"#)
        }
        _ => r#""name":"n""#.to_owned(),
    };
    format!(r#"{{"id":"{id}",{rest}{pad},"revision":{revision}}}"#).into_bytes()
}

/// Reads the revision from a payload.
pub fn revision(payload: &[u8]) -> u64 {
    let digits = payload.iter().rev().skip(1).take_while(|byte| byte.is_ascii_digit());
    digits.zip(0..).map(|(digit, at)| u64::from(digit - b'0') * 10_u64.pow(at)).sum()
}

/// Spreads names evenly (FNV-1a, then a mix).
pub fn hash(key: &EntityKeyBuf, seed: u64) -> u64 {
    let key = key.as_ref();
    let bytes = [key.scope, key.id].map(str::bytes).into_iter().flatten();
    let start = 0xcbf2_9ce4_8422_2325 ^ seed ^ u64::from(key.kind.code());
    let hash =
        bytes.fold(start, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    (hash ^ hash >> 32).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_entity_has_a_number() {
        for index_in in 0..ROWS {
            assert_eq!(index(of_index(index_in).as_ref()), index_in);
        }
    }

    #[test]
    fn a_revision_is_read_back() {
        for revision_in in [1, 9, 10, 12_345] {
            for name in [api(3), subscription(40), key(41), dictionary(2), product(1)] {
                assert_eq!(revision(&payload(name.as_ref(), revision_in, 7)), revision_in);
            }
        }
    }
}
