//! Finds what the demo can be shown with, in whatever definitions it is given.

use serde_json::Value;
use zonesync::core::entity::Kind;
use zonesync::core::id::EntityKey;
use zonesync::state::View;

use super::folder::Folder;
use crate::failure::Failure;

/// An API key that should open a door.
#[derive(Clone, Debug)]
pub(super) struct Key {
    /// The row's id.
    pub(super) id: String,
    /// The value that a caller sends.
    pub(super) value: String,
    /// The API that it is sent to.
    pub(super) api: String,
    /// The plan and the subscription that it should lead to.
    pub(super) plan: String,
    pub(super) subscription: String,
}

/// A client id that should open a door.
#[derive(Clone, Debug)]
pub(super) struct Client {
    pub(super) id: String,
    pub(super) api: String,
    pub(super) subscription: String,
}

/// A property of a dictionary, as it should be read.
#[derive(Clone, Debug)]
pub(super) struct Property {
    pub(super) environment: String,
    pub(super) dictionary: String,
    pub(super) name: String,
    pub(super) value: String,
}

/// What the demo is shown with.
#[derive(Clone, Debug)]
pub(super) struct Samples {
    /// A key of an API.
    pub(super) key: Key,
    /// A key of an API product, sent to one of its APIs.
    pub(super) product_key: Key,
    /// Keys that no longer open anything.
    pub(super) revoked: Vec<String>,
    /// All APIs.
    pub(super) apis: Vec<String>,
    /// A client id.
    pub(super) client: Client,
    /// A property.
    pub(super) property: Property,
}

/// Picks samples: entities are read from a state, revoked keys from the files, as no state has them.
pub(super) fn samples(view: &View, folder: &Folder) -> Result<Samples, Failure> {
    let lacks = |what: &str| {
        Failure::Usage(format!("these definitions have no {what}, which the demo shows"))
    };
    Ok(Samples {
        key: entities(view, Kind::API_KEY)
            .find_map(|row| key(view, &row, Kind::API))
            .ok_or_else(|| lacks("API key of an API"))?,
        product_key: entities(view, Kind::API_KEY)
            .find_map(|row| key(view, &row, Kind::API_PRODUCT))
            .ok_or_else(|| lacks("API key of an API product"))?,
        revoked: Some(folder.revoked_keys()?)
            .filter(|keys| !keys.is_empty())
            .ok_or_else(|| lacks("revoked API key"))?,
        apis: apis(view),
        client: entities(view, Kind::SUBSCRIPTION)
            .find_map(|row| client(view, &row))
            .ok_or_else(|| lacks("subscription with a client id"))?,
        property: entities(view, Kind::DICTIONARY)
            .find_map(|row| property(&row))
            .ok_or_else(|| lacks("dictionary"))?,
    })
}

/// Gives the ids of all APIs, sorted.
pub(super) fn apis(view: &View) -> Vec<String> {
    let apis = view.sorted().filter(|(key, _)| key.kind == Kind::API);
    apis.map(|(key, _)| key.id.to_owned()).collect()
}

/// Gives the payload of an entity.
pub(super) fn payload(view: &View, kind: Kind, id: &str) -> Option<Value> {
    serde_json::from_slice(view.get(EntityKey::new(kind, id))?).ok()
}

/// Goes through the payloads of a kind, in the order of keys, so that every run picks the same.
fn entities(view: &View, kind: Kind) -> impl Iterator<Item = Value> + '_ {
    let of_kind = view.sorted().filter(move |(key, _)| key.kind == kind);
    of_kind.filter_map(|(_, payload)| serde_json::from_slice(payload).ok())
}

fn key(view: &View, row: &Value, owner: Kind) -> Option<Key> {
    let open = row["active"] != false && row["revoked"] != true && row["expireAt"].is_null();
    let (value, scope) = (text(row, "key")?, text(row, "api")?);
    let owner_payload = payload(view, owner, &scope)?;
    let api = match owner {
        Kind::API_PRODUCT => {
            let members = owner_payload["apiIds"].as_array()?.iter().filter_map(Value::as_str);
            members.map(str::to_owned).find(|id| payload(view, Kind::API, id).is_some())?
        }
        _ => scope,
    };
    let (id, plan, subscription) =
        (text(row, "id")?, text(row, "plan")?, text(row, "subscription")?);
    open.then_some(Key { id, value, api, plan, subscription })
}

fn client(view: &View, row: &Value) -> Option<Client> {
    let open = row["status"] == "ACCEPTED" && row["endingAt"].is_null();
    // A certificate wins over a client id where there are both.
    let by_client = row["clientCertificate"].is_null();
    let (id, api, subscription) = (text(row, "clientId")?, text(row, "api")?, text(row, "id")?);
    payload(view, Kind::API, &api)?;
    (open && by_client).then_some(Client { id, api, subscription })
}

fn property(row: &Value) -> Option<Property> {
    let (name, value) = row["properties"].as_object()?.iter().next()?;
    Some(Property {
        environment: text(row, "environmentId")?,
        dictionary: text(row, "key").or_else(|| text(row, "id"))?,
        name: name.clone(),
        value: value.as_str()?.into(),
    })
}

/// Gives a member that is a text and not empty.
pub(super) fn text(row: &Value, name: &str) -> Option<String> {
    row[name].as_str().filter(|text| !text.is_empty()).map(str::to_owned)
}
