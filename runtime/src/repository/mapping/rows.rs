//! Rows of the control plane, as far as a gateway needs them.
//!
//! A row is read once, when it arrives, and kept small. What is wrong with it is found here, and
//! what its own status says (off, closed, revoked) is read before anything that could be wrong.

use zonesync_core::entity::Kind;
use zonesync_core::id::{EntityKey, EntityKeyBuf};
use zonesync_core::time::WallTime;

use super::json::Object;
use super::members::Members;

/// A table or collection of the control plane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Table {
    /// Environments: names and organization.
    Environments,
    /// Organizations: names.
    Organizations,
    /// The installation, of which there is one.
    Installation,
    /// Licences of organizations.
    Licenses,
    /// Host names of environments.
    AccessPoints,
    /// The newest event of each item that is deployed by events: APIs, dictionaries and so on.
    EventsLatest,
    /// Subscriptions.
    Subscriptions,
    /// API keys.
    Keys,
}

impl Table {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Environments,
        Self::Organizations,
        Self::Installation,
        Self::Licenses,
        Self::AccessPoints,
        Self::EventsLatest,
        Self::Subscriptions,
        Self::Keys,
    ];

    /// Gives the name, as in the database.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Environments => "environments",
            Self::Organizations => "organizations",
            Self::Installation => "installation",
            Self::Licenses => "licenses",
            Self::AccessPoints => "access_points",
            Self::EventsLatest => "events_latest",
            Self::Subscriptions => "subscriptions",
            Self::Keys => "keys",
        }
    }
}

/// One row.
#[derive(Clone, Debug)]
pub struct Row {
    /// Its table.
    pub table: Table,
    /// Its id there.
    pub id: Box<str>,
    /// What it says.
    pub(crate) body: Body,
}

/// What a row says, by table.
#[derive(Clone, Debug)]
pub(crate) enum Body {
    Place(Place),
    Installation,
    License(License),
    AccessPoint(AccessPoint),
    Event(Event),
    Subscription(Box<Subscription>),
    Key(Box<Key>),
}

/// An environment or an organization.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) hrids: Box<[Box<str>]>,
    /// The organization of an environment.
    pub(crate) organization: Option<Box<str>>,
}

#[derive(Clone, Debug)]
pub(crate) struct License {
    pub(crate) of_organization: bool,
    pub(crate) organization: Box<str>,
    pub(crate) text: Option<Box<str>>,
    pub(crate) updated_at: Option<WallTime>,
}

#[derive(Clone, Debug)]
pub(crate) struct AccessPoint {
    pub(crate) of_environment: bool,
    pub(crate) environment: Option<Box<str>>,
    pub(crate) host: Option<Box<str>>,
    pub(crate) target: Box<str>,
    pub(crate) deleted: bool,
    pub(crate) updated_at: Option<WallTime>,
}

/// The newest event of an item that is deployed by events.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    /// What it is about, or none for events that a gateway does not read.
    pub(crate) kind: Option<Kind>,
    /// The id of the item.
    pub(crate) entity: Box<str>,
    pub(crate) off: bool,
    pub(crate) environments: Box<[Box<str>]>,
    pub(crate) created_at: Option<WallTime>,
    pub(crate) updated_at: Option<WallTime>,
    pub(crate) revision: Option<Box<str>>,
    pub(crate) payload: Payload,
}

#[derive(Clone, Debug)]
pub(crate) enum Payload {
    None,
    /// JSON text, as stored.
    Text(Box<str>),
    /// An API, its definition taken out of the text around it.
    Api(ApiPayload),
}

#[derive(Clone, Debug)]
pub(crate) struct ApiPayload {
    pub(crate) environment: Option<Box<str>>,
    pub(crate) version: Option<Box<str>>,
    pub(crate) api_type: Option<Box<str>>,
    pub(crate) started: bool,
    pub(crate) definition: Box<str>,
    /// A definition from a file, without the management side around it.
    pub(crate) plain: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct Subscription {
    pub(crate) api: Option<Box<str>>,
    pub(crate) product: Option<Box<str>>,
    pub(crate) environment: Option<Box<str>>,
    pub(crate) plan: Box<str>,
    pub(crate) application: Option<Box<str>>,
    pub(crate) application_name: Option<Box<str>>,
    pub(crate) client_id: Option<Box<str>>,
    pub(crate) client_certificate: Option<Box<str>>,
    pub(crate) status: Box<str>,
    pub(crate) consumer_status: Option<Box<str>>,
    pub(crate) push: bool,
    pub(crate) configuration: Option<Box<str>>,
    pub(crate) metadata: Vec<[Box<str>; 2]>,
    pub(crate) starting_at: Option<WallTime>,
    pub(crate) ending_at: Option<WallTime>,
    pub(crate) updated_at: Option<WallTime>,
}

impl Subscription {
    /// Gives the API or product that it belongs to.
    pub(crate) fn scope(&self) -> &str {
        self.product.as_deref().or(self.api.as_deref()).unwrap_or_default()
    }

    pub(crate) fn is_accepted(&self) -> bool {
        self.status.eq_ignore_ascii_case("ACCEPTED")
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Key {
    pub(crate) key: Box<str>,
    pub(crate) subscriptions: Box<[Box<str>]>,
    pub(crate) environment: Option<Box<str>>,
    pub(crate) application: Option<Box<str>>,
    pub(crate) expire_at: Option<WallTime>,
    pub(crate) revoked: bool,
    pub(crate) paused: bool,
    pub(crate) federated: bool,
    pub(crate) updated_at: Option<WallTime>,
}

/// A row that cannot be read, with what is known of it all the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadRow {
    /// Its table.
    pub table: Table,
    /// Its id there, if that much can be read.
    pub id: Option<Box<str>>,
    /// The kind of its entity.
    pub kind: Option<Kind>,
    /// The entity that it would have been.
    pub key: Option<EntityKeyBuf>,
    /// The row says itself that it is off: whatever else is wrong, its entity goes.
    pub off: bool,
    /// What is wrong and what would be right.
    pub reason: String,
}

/// Gives the types of events about an item of one of these kinds.
#[cfg(any(feature = "mysql", feature = "postgres"))]
pub(crate) fn event_types(wanted: impl Fn(Kind) -> bool) -> Vec<&'static str> {
    EVENTS.iter().filter(|event| wanted(event.2)).map(|event| event.0).collect()
}

/// The types of events that a gateway reads: type, property with the id, kind, off.
const EVENTS: [(&str, &str, Kind, bool); 11] = [
    ("PUBLISH_API", "api_id", Kind::API, false),
    ("START_API", "api_id", Kind::API, false),
    ("UNPUBLISH_API", "api_id", Kind::API, true),
    ("STOP_API", "api_id", Kind::API, true),
    ("PUBLISH_DICTIONARY", "dictionary_id", Kind::DICTIONARY, false),
    ("UNPUBLISH_DICTIONARY", "dictionary_id", Kind::DICTIONARY, true),
    ("PUBLISH_ORGANIZATION", "organization_id", Kind::ORGANIZATION, false),
    ("DEPLOY_SHARED_POLICY_GROUP", "shared_policy_group_id", Kind::SHARED_POLICY_GROUP, false),
    ("UNDEPLOY_SHARED_POLICY_GROUP", "shared_policy_group_id", Kind::SHARED_POLICY_GROUP, true),
    ("DEPLOY_API_PRODUCT", "api_product_id", Kind::API_PRODUCT, false),
    ("UNDEPLOY_API_PRODUCT", "api_product_id", Kind::API_PRODUCT, true),
];

impl Row {
    /// Reads a row from a JSON object with the members that the table has.
    pub fn parse(table: Table, text: &str) -> Result<Self, BadRow> {
        let mut bad =
            BadRow { table, id: None, kind: None, key: None, off: false, reason: String::new() };
        Self::read(table, text, &mut bad).map_err(|reason| BadRow { reason, ..bad })
    }

    /// Makes the row of an API whose definition stands alone.
    pub(crate) fn plain_api(
        id: &str,
        revision: String,
        deployed_at: WallTime,
        payload: ApiPayload,
    ) -> Self {
        let environments = payload.environment.iter().cloned().collect();
        let event = Event {
            kind: Some(Kind::API),
            entity: id.into(),
            off: !payload.started,
            environments,
            created_at: Some(deployed_at),
            updated_at: Some(deployed_at),
            revision: Some(revision.into_boxed_str()),
            payload: Payload::Api(payload),
        };
        Self { table: Table::EventsLatest, id: id.into(), body: Body::Event(event) }
    }

    /// Makes the row of an environment or an organization.
    #[cfg(any(feature = "mysql", feature = "postgres"))]
    pub(crate) fn place(
        table: Table,
        id: Box<str>,
        hrids: Box<[Box<str>]>,
        organization: Option<Box<str>>,
    ) -> Self {
        Self { table, id, body: Body::Place(Place { hrids, organization }) }
    }

    /// Makes the row of an installation.
    #[cfg(any(feature = "mysql", feature = "postgres"))]
    pub(crate) fn installation(id: Box<str>) -> Self {
        Self { table: Table::Installation, id, body: Body::Installation }
    }

    /// Adds the metadata of a subscription, read apart.
    #[cfg(any(feature = "mysql", feature = "postgres"))]
    pub(crate) fn set_metadata(&mut self, metadata: Vec<[Box<str>; 2]>) {
        if let Body::Subscription(row) = &mut self.body {
            row.metadata = metadata;
        }
    }

    /// Adds the subscriptions that a key opens, read apart.
    #[cfg(any(feature = "mysql", feature = "postgres"))]
    pub(crate) fn set_subscriptions(&mut self, subscriptions: Box<[Box<str>]>) {
        if let Body::Key(row) = &mut self.body {
            row.subscriptions = subscriptions;
        }
    }

    /// Gives the entity that this row is about, if that is one.
    pub(crate) fn key(&self) -> Option<EntityKeyBuf> {
        Some(match &self.body {
            Body::License(row) => EntityKey::new(Kind::LICENSE, &row.organization).into(),
            Body::AccessPoint(_) => EntityKey::new(Kind::ACCESS_POINT, &self.id).into(),
            Body::Event(row) => EntityKey::new(row.kind?, &row.entity).into(),
            Body::Subscription(row) => EntityKey::subscription(row.scope(), &self.id).into(),
            // A key is one entity per subscription.
            Body::Key(_) | Body::Place(_) | Body::Installation => return None,
        })
    }

    /// Gives the row's date.
    pub(crate) fn dated(&self) -> Option<(Kind, WallTime)> {
        match &self.body {
            Body::License(row) => Some((Kind::LICENSE, row.updated_at?)),
            Body::AccessPoint(row) => Some((Kind::ACCESS_POINT, row.updated_at?)),
            Body::Event(row) => Some((row.kind?, row.updated_at?)),
            Body::Subscription(row) => Some((Kind::SUBSCRIPTION, row.updated_at?)),
            Body::Key(row) => Some((Kind::API_KEY, row.updated_at?)),
            Body::Place(_) | Body::Installation => None,
        }
    }

    fn read(table: Table, text: &str, bad: &mut BadRow) -> Result<Self, String> {
        if super::json::is_too_deep(text) {
            return Err(format!("nested deeper than {} levels", super::json::DEPTH_MAX));
        }
        Self::read_members(table, &Object::parse(text)?, bad)
    }

    /// Reads a row from members of any source.
    pub(crate) fn from_members(table: Table, row: &impl Members) -> Result<Self, BadRow> {
        let mut bad =
            BadRow { table, id: None, kind: None, key: None, off: false, reason: String::new() };
        Self::read_members(table, row, &mut bad).map_err(|reason| BadRow { reason, ..bad })
    }

    fn read_members(table: Table, row: &impl Members, bad: &mut BadRow) -> Result<Self, String> {
        let id = match row.id("id")? {
            Some(id) => id,
            None if table == Table::Licenses => row.id("referenceId")?.ok_or("no `referenceId`")?,
            None => row.id("_id")?.ok_or("no `id`")?,
        };
        bad.id = Some(id.clone());
        let body = match table {
            Table::Environments | Table::Organizations => Body::Place(Place {
                hrids: row.texts("hrids")?,
                organization: row.id("organizationId")?,
            }),
            Table::Installation => Body::Installation,
            Table::Licenses => Body::License(license(row, bad)?),
            Table::AccessPoints => Body::AccessPoint(access_point(row, &id, bad)?),
            Table::EventsLatest => Body::Event(event(row, &id, bad)?),
            Table::Subscriptions => Body::Subscription(Box::new(subscription(row, &id, bad)?)),
            Table::Keys => Body::Key(Box::new(key(row, bad)?)),
        };
        Ok(Self { table, id, body })
    }
}

fn license(row: &impl Members, bad: &mut BadRow) -> Result<License, String> {
    bad.kind = Some(Kind::LICENSE);
    let organization = row.id("referenceId")?.ok_or("no `referenceId`")?;
    bad.key = Some(EntityKey::new(Kind::LICENSE, &organization).into());
    let of = row.text("referenceType")?.ok_or("no `referenceType`")?;
    Ok(License {
        of_organization: of.eq_ignore_ascii_case("ORGANIZATION"),
        organization,
        text: row.boxed("license")?,
        updated_at: row.date("updatedAt")?,
    })
}

fn access_point(row: &impl Members, id: &str, bad: &mut BadRow) -> Result<AccessPoint, String> {
    bad.kind = Some(Kind::ACCESS_POINT);
    bad.key = Some(EntityKey::new(Kind::ACCESS_POINT, id).into());
    let status = row.text("status")?;
    bad.off = status.as_deref().is_some_and(|status| status.eq_ignore_ascii_case("DELETED"));
    let of = row.text("referenceType")?.ok_or("no `referenceType`")?;
    Ok(AccessPoint {
        of_environment: of.eq_ignore_ascii_case("ENVIRONMENT"),
        environment: row.id("referenceId")?,
        host: row.boxed("host")?,
        target: row.boxed("target")?.ok_or("no `target`")?.to_ascii_uppercase().into(),
        deleted: bad.off,
        updated_at: row.date("updatedAt")?,
    })
}

fn event(row: &impl Members, id: &str, bad: &mut BadRow) -> Result<Event, String> {
    let spelt = row.text("type")?.ok_or("no `type`")?;
    let known = EVENTS.iter().find(|known| spelt.eq_ignore_ascii_case(known.0));
    let Some((_, property, kind, off)) = known else {
        return Ok(Event {
            kind: None,
            entity: id.into(),
            off: false,
            environments: Box::default(),
            created_at: None,
            updated_at: None,
            revision: None,
            payload: Payload::None,
        });
    };
    (bad.kind, bad.off) = (Some(*kind), *off);
    let entity = row.property_id(property)?;
    let payload = row.text("payload");
    // A dictionary's id is in its payload, also when it is taken away.
    let entity = match (&payload, *kind) {
        (Ok(Some(text)), Kind::DICTIONARY) if entity.is_none() => Object::parse(text)?.id("id")?,
        _ => entity,
    };
    let entity = entity.ok_or_else(|| format!("no property `{property}`"))?;
    bad.key = Some(EntityKey::new(*kind, &entity).into());
    let payload = match payload?.filter(|text| text.trim() != "null") {
        _ if *off => Payload::None,
        None => return Err("no `payload`".into()),
        Some(text) if super::json::is_too_deep(&text) => {
            return Err(format!(
                "`payload` is nested deeper than {} levels",
                super::json::DEPTH_MAX
            ));
        }
        Some(text) if *kind == Kind::API => Payload::Api(api_payload(&text)?),
        Some(text) => Payload::Text(text.into_owned().into_boxed_str()),
    };
    Ok(Event {
        kind: Some(*kind),
        entity,
        off: *off || matches!(&payload, Payload::Api(api) if !api.started),
        environments: row.texts("environments")?,
        created_at: row.date("createdAt")?,
        updated_at: row.date("updatedAt")?,
        revision: row.property("deployment_number")?,
        payload,
    })
}

/// Reads what a published API event says around the definition.
pub(crate) fn api_payload(text: &str) -> Result<ApiPayload, String> {
    let payload = Object::parse(text).map_err(|e| format!("`payload`: {e}"))?;
    let definition = payload.raw("definition").ok_or("no `definition` in the payload")?;
    // Stored as JSON text inside JSON; in a file it may as well be an object.
    let definition = match super::json::text_of(definition) {
        Some(text) => text.into_owned(),
        None => definition.to_owned(),
    };
    let state = payload.text("lifecycleState")?;
    Ok(ApiPayload {
        environment: payload.id("environmentId")?,
        version: payload.boxed("definitionVersion")?,
        api_type: payload.boxed("type")?,
        started: state.is_some_and(|state| state.eq_ignore_ascii_case("STARTED")),
        definition: definition.into_boxed_str(),
        plain: false,
    })
}

fn subscription(row: &impl Members, id: &str, bad: &mut BadRow) -> Result<Subscription, String> {
    bad.kind = Some(Kind::SUBSCRIPTION);
    let status = row.boxed("status");
    bad.off = matches!(&status, Ok(Some(s)) if !s.eq_ignore_ascii_case("ACCEPTED"));
    let reference = row.id("referenceId")?;
    let of_product = row
        .text("referenceType")?
        .is_some_and(|reference| reference.eq_ignore_ascii_case("API_PRODUCT"));
    let (api, product) = match of_product {
        true => (None, Some(reference.ok_or("no `referenceId`, the id of the API product")?)),
        false => (reference.or(row.id("api")?), None),
    };
    let scope = product.as_deref().or(api.as_deref());
    let scope = scope.ok_or("neither `referenceId` nor `api`: which API is it for")?;
    bad.key = Some(EntityKey::subscription(scope, id).into());
    let kind = row.text("type")?;
    // An unreadable configuration is left out, as the gateway does.
    let configuration = row.json("configuration");
    Ok(Subscription {
        plan: row.id("plan")?.ok_or("no `plan`")?,
        environment: row.id("environmentId")?,
        application: row.boxed("application")?,
        application_name: row.boxed("applicationName")?,
        client_id: row.boxed("clientId")?,
        client_certificate: row.boxed("clientCertificate")?,
        status: status?.ok_or("no `status`")?.to_ascii_uppercase().into(),
        consumer_status: consumer_status(row)?,
        push: match kind.as_deref() {
            None => false,
            Some(kind) if kind.eq_ignore_ascii_case("STANDARD") => false,
            Some(kind) if kind.eq_ignore_ascii_case("PUSH") => true,
            Some(_) => return Err("`type` should be STANDARD or PUSH".into()),
        },
        configuration,
        metadata: row.map("metadata")?,
        starting_at: row.date("startingAt")?,
        ending_at: row.date("endingAt")?,
        updated_at: row.date("updatedAt")?,
        api,
        product,
    })
}

fn consumer_status(row: &impl Members) -> Result<Option<Box<str>>, String> {
    let Some(status) = row.text("consumerStatus")? else { return Ok(None) };
    let status = status.to_ascii_uppercase();
    match status.as_str() {
        "STARTED" | "STOPPED" | "FAILURE" => Ok(Some(status.into())),
        _ => Err("`consumerStatus` should be STARTED, STOPPED or FAILURE".into()),
    }
}

fn key(row: &impl Members, bad: &mut BadRow) -> Result<Key, String> {
    bad.kind = Some(Kind::API_KEY);
    let (revoked, paused) = (row.flag("revoked"), row.flag("paused"));
    bad.off = matches!((&revoked, &paused), (Ok(Some(true)), _) | (_, Ok(Some(true))));
    let subscriptions = row.texts("subscriptions")?;
    if subscriptions.iter().any(|id| id.len() > zonesync_core::id::ID_MAX) {
        return Err("an id in `subscriptions` is too long".into());
    }
    // A key that is off needs no more than the subscriptions it no longer opens: whatever else is
    // wrong with the row must not keep it alive.
    let off = bad.off;
    let key =
        row.boxed("key").and_then(|key| key.filter(|k| !k.is_empty()).ok_or("no `key`".into()));
    let expire_at = row.date("expireAt");
    Ok(Key {
        key: if off { key.unwrap_or_default() } else { key? },
        subscriptions,
        environment: row.id("environmentId")?,
        application: row.boxed("application")?,
        expire_at: if off { None } else { expire_at? },
        revoked: if off { revoked.ok().flatten() } else { revoked? }.unwrap_or(false),
        paused: if off { paused.ok().flatten() } else { paused? }.unwrap_or(false),
        federated: row.flag("federated")?.unwrap_or(false),
        updated_at: row.date("updatedAt")?,
    })
}
