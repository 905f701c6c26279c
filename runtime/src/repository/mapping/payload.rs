//! What entities look like, but for API definitions.

use super::api::{self, Plans};
use super::ground::Serves;
use super::json::{Object, Writer, array};
use super::memory::{ALONE, DATE, FORCED};
use super::rows::{AccessPoint, Event, Key, Payload, Subscription};
use super::scope::Scope;
use super::{MappingOptions, Tags};

pub(super) fn node_metadata<'a>(
    installation: Option<&str>,
    organizations: Option<impl Iterator<Item = &'a str>>,
) -> String {
    let mut writer = Writer::new();
    if let Some(ids) = organizations {
        let ids: Vec<String> = ids.map(super::json::quoted).collect();
        writer.raw("organizationIds", &array(ids.iter().map(String::as_str)));
    }
    writer.text_if("installationId", installation);
    writer.end()
}

pub(super) fn access_point(id: &str, row: &AccessPoint) -> String {
    let mut writer = Writer::new();
    writer.text("id", id);
    writer.text_if("environmentId", row.environment.as_deref());
    writer.text_if("host", row.host.as_deref());
    writer.text("target", &row.target);
    writer.end()
}

/// Takes the payload of an event that must have one.
fn stored(event: &Event) -> Result<Object<'_>, String> {
    match &event.payload {
        Payload::Text(text) => Object::parse(text).map_err(|e| format!("`payload`: {e}")),
        _ => Err("no `payload`".into()),
    }
}

pub(super) fn organization(event: &Event, tags: &Tags) -> Result<String, String> {
    let payload = stored(event)?;
    let mut definition = Writer::new();
    definition.text("id", payload.text("id")?.as_deref().unwrap_or(&event.entity));
    for name in ["hrids", "name", "description", "domainRestrictions", "flowMode"] {
        definition.raw_if(name, payload.raw(name));
    }
    if payload.raw("flows").is_some() {
        let flows = payload.array("flows")?.unwrap_or_default();
        let mut kept = Vec::with_capacity(flows.len());
        for flow in flows {
            if tags.is_empty() || flow_is_here(flow.get(), tags)? {
                kept.push(flow.get());
            }
        }
        definition.raw("flows", &array(kept));
    }
    definition.raw_if("updatedAt", payload.raw("updatedAt"));
    let mut writer = Writer::new();
    writer.raw("definition", &definition.end());
    writer.flag("enabled", true);
    writer.date_if("deployedAt", event.created_at);
    Ok(writer.end())
}

/// Says whether an organization's flow has no consumers, or tags among them that match.
fn flow_is_here(flow: &str, tags: &Tags) -> Result<bool, String> {
    let flow = Object::parse(flow).map_err(|e| format!("`flows`: {e}"))?;
    let consumers = flow.array("consumers")?.unwrap_or_default();
    let mut ids = Vec::new();
    for consumer in &consumers {
        let consumer = Object::parse(consumer.get()).map_err(|e| format!("`consumers`: {e}"))?;
        if consumer.text("consumerType")?.is_some_and(|kind| kind.eq_ignore_ascii_case("TAG")) {
            ids.extend(consumer.boxed("consumerId")?);
        }
    }
    Ok(consumers.is_empty() || tags.matches(ids.iter().map(|id| &**id)))
}

pub(super) fn dictionary(event: &Event) -> Result<String, String> {
    let payload = stored(event)?;
    let mut writer = Writer::new();
    writer.text("id", payload.id("id")?.as_deref().unwrap_or(&event.entity));
    writer.text_if("key", payload.text("key")?.as_deref());
    writer.text_if("environmentId", payload.text("environmentId")?.as_deref());
    writer.text_if("name", payload.text("name")?.as_deref());
    // A gateway compares the date at the second deployment and fails without one.
    writer.date_if("deployedAt", payload.date("deployedAt")?.or(event.created_at));
    writer.map("properties", &payload.map("properties")?);
    Ok(writer.end())
}

/// Gives a group's payload and its environment.
pub(super) fn shared_policy_group(
    event: &Event,
    scope: &Scope<'_>,
) -> Result<(String, Option<Box<str>>), String> {
    let payload = stored(event)?;
    let environment = payload.id("environmentId")?.or(event.environments.first().cloned());
    let mut definition = Writer::new();
    for (name, value) in payload.members() {
        let known = ["id", "environmentId", "name", "version", "phase", "policies", "deployedAt"];
        if known.contains(&name) && value.get() != "null" {
            definition.raw(name, value.get());
        }
    }
    let mut writer = Writer::new();
    writer.text("id", payload.id("id")?.as_deref().unwrap_or(&event.entity));
    writer.text_if("name", payload.text("name")?.as_deref());
    writer.raw("definition", &definition.end());
    writer.date_if("deployedAt", payload.date("deployedAt")?.or(event.created_at));
    scope.enrich(&mut writer, environment.as_deref(), true);
    Ok((writer.end(), environment))
}

/// An API product, as far as other rows rest on it.
pub(super) struct Product {
    pub(super) json: String,
    pub(super) environment: Option<Box<str>>,
    pub(super) apis: Box<[Box<str>]>,
    pub(super) tags: Box<[Box<str>]>,
    pub(super) plans: Plans,
}

pub(super) fn product(
    event: &Event,
    scope: &Scope<'_>,
    options: &MappingOptions,
) -> Result<Product, String> {
    let payload = stored(event)?;
    let environment = payload.id("environmentId")?.or(event.environments.first().cloned());
    let (plans, _) = api::plans(&payload, false, true, options)?;
    // In the payload plans are left out by their status alone; each gateway looks at tags itself.
    let untagged = MappingOptions { tags: Tags::default(), ..options.clone() };
    let (_, kept) = api::plans(&payload, false, true, &untagged)?;
    let mut writer = Writer::new();
    writer.text("id", payload.id("id")?.as_deref().unwrap_or(&event.entity));
    for name in ["name", "description", "version", "apiIds", "tags"] {
        writer.raw_if(name, payload.raw(name));
    }
    writer.raw_if("plans", kept.as_deref().or(payload.raw("plans")));
    writer.raw_if("analytics", payload.raw("analytics"));
    scope.enrich(&mut writer, environment.as_deref(), true);
    Ok(Product {
        json: dated(writer, event),
        environment,
        apis: payload.texts("apiIds")?,
        tags: payload.texts("tags")?,
        plans,
    })
}

/// Writes the envelope of an API around its definition.
pub(super) fn api(
    event: &Event,
    definition: &str,
    environment: Option<&str>,
    scope: &Scope<'_>,
) -> String {
    let mut writer = Writer::new();
    writer.raw("definition", definition);
    writer.flag("enabled", true);
    writer.text_if("revision", event.revision.as_deref());
    scope.enrich(&mut writer, environment, false);
    dated(writer, event)
}

/// Ends a payload with the date of deployment, the one member that may change for no reason.
///
/// A gateway refuses an update without a date; an event that has none counts as the oldest.
fn dated(writer: Writer, event: &Event) -> String {
    let mut json = writer.end();
    json.pop();
    let date = event.created_at.or(event.updated_at).unwrap_or_default().as_millis();
    json + DATE + &date.to_string() + "}"
}

pub(super) fn subscription(id: &str, row: &Subscription, forced: bool) -> String {
    let mut writer = Writer::new();
    writer.text("id", id);
    writer.text_if("api", row.api.as_deref());
    writer.text("plan", &row.plan);
    writer.text_if("application", row.application.as_deref());
    writer.text_if("applicationName", row.application_name.as_deref());
    writer.text_if("clientId", row.client_id.as_deref());
    writer.text_if("clientCertificate", row.client_certificate.as_deref());
    writer.text("status", &row.status);
    writer.text("consumerStatus", row.consumer_status.as_deref().unwrap_or("STARTED"));
    writer.date_if("startingAt", row.starting_at);
    writer.date_if("endingAt", row.ending_at);
    writer.raw_if("configuration", row.configuration.as_deref());
    writer.map("metadata", &row.metadata);
    writer.text("type", if row.push { "PUSH" } else { "STANDARD" });
    writer.text_if("environmentId", row.environment.as_deref());
    writer.text_if("apiProductId", row.product.as_deref());
    let mut json = writer.end();
    json.pop();
    json + if forced { FORCED } else { ALONE }
}

pub(super) fn api_key(id: &str, row: &Key, subscription: &str, serves: Serves<'_>) -> String {
    let mut writer = Writer::new();
    writer.text("id", id);
    writer.text("key", &row.key);
    writer.text("api", serves.scope);
    writer.text("plan", serves.plan);
    writer.text("subscription", subscription);
    writer.text_if("application", row.application.as_deref());
    writer.date_if("expireAt", row.expire_at);
    writer.flag("revoked", row.revoked);
    writer.flag("paused", row.paused);
    writer.flag("active", !row.revoked && !row.paused);
    writer.end()
}
