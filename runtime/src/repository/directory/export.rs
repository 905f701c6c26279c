//! Exports of the management console, turned into the definitions that gateways read.
//!
//! An export spells enums as the console's API does (`HTTP`, `KEY_LESS`); a gateway reads some of
//! them only as its own definitions spell them (`http`, `key-less`) and silently drops others.

use serde_json::{Map, Value};

use crate::repository::mapping::ApiPayload;
use crate::repository::mapping::json::Object;

/// The members of an API that belong to its definition.
const MEMBERS: [&str; 20] = [
    "id",
    "name",
    "type",
    "apiVersion",
    "tags",
    "properties",
    "resources",
    "listeners",
    "endpointGroups",
    "analytics",
    "failover",
    "flowExecution",
    "flows",
    "responseTemplates",
    "services",
    "allowedInApiProducts",
    "description",
    "gatewayUrl",
    "reactorUrl",
    "shadowAi",
];

/// The members whose values are spelt in lower case with dashes, wherever they stand.
const ENUMS: [&str; 4] = ["qos", "mode", "status", "type"];

/// Reads an export: an object with an object `api`, and `plans` beside it.
pub(super) fn payload(object: &Object<'_>) -> Result<ApiPayload, String> {
    let api: Map<String, Value> = serde_json::from_str(object.raw("api").unwrap_or("{}"))
        .map_err(|_| "`api` should be an object")?;
    let text = |name: &str| api.get(name).and_then(Value::as_str);
    match text("definitionVersion") {
        Some("V4" | "4.0.0") => {}
        _ => return Err("only exports of v4 APIs are read; put in the definition itself".into()),
    }
    let mut definition = Map::new();
    for name in MEMBERS {
        if let Some(value) = api.get(name).filter(|value| !value.is_null()) {
            definition.insert(name.into(), value.clone());
        }
    }
    definition.insert("definitionVersion".into(), "4.0.0".into());
    let api_type = text("type").map(lower);
    if let Some(api_type) = &api_type {
        definition.insert("type".into(), api_type.as_str().into());
    }
    for name in ["listeners", "flowExecution"] {
        definition.get_mut(name).into_iter().for_each(respell);
    }
    for group in items(definition.get_mut("endpointGroups")) {
        group.get_mut("loadBalancer").into_iter().for_each(respell);
    }
    items(definition.get_mut("flows")).for_each(flow);
    if let Some(plans) = object.raw("plans") {
        let plans: Vec<Value> =
            serde_json::from_str(plans).map_err(|_| "`plans` should be an array")?;
        definition.insert("plans".into(), plans.into_iter().map(plan).collect());
    }
    let state = text("state");
    Ok(ApiPayload {
        environment: text("environmentId").map(Into::into),
        version: Some("4.0.0".into()),
        api_type: api_type.map(String::into_boxed_str),
        started: state.is_none_or(|state| state.eq_ignore_ascii_case("STARTED")),
        definition: Value::Object(definition).to_string().into_boxed_str(),
        plain: true,
    })
}

fn lower(text: &str) -> String {
    text.to_ascii_lowercase().replace('_', "-")
}

fn items(value: Option<&mut Value>) -> impl Iterator<Item = &mut Value> {
    value.and_then(Value::as_array_mut).into_iter().flatten()
}

/// Spells enums as definitions do, everywhere below but in the configuration of plugins.
fn respell(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(respell),
        Value::Object(members) => {
            for (name, value) in members.iter_mut().filter(|(name, _)| *name != "configuration") {
                match value {
                    Value::String(text) if ENUMS.contains(&name.as_str()) => *text = lower(text),
                    value => respell(value),
                }
            }
        }
        _ => {}
    }
}

/// A flow's steps are plugins; only the types of its selectors are spelt anew.
fn flow(flow: &mut Value) {
    for selector in items(flow.get_mut("selectors")) {
        if let Some(Value::String(text)) = selector.get_mut("type") {
            *text = lower(text);
        }
    }
}

fn plan(mut plan: Value) -> Value {
    let known = [
        "id",
        "name",
        "security",
        "mode",
        "selectionRule",
        "tags",
        "status",
        "flows",
        "bootstrapPort",
        "brokerRangeStart",
        "brokerRangeEnd",
    ];
    if let Some(members) = plan.as_object_mut() {
        members.retain(|name, value| known.contains(&name.as_str()) && !value.is_null());
        for name in ["mode", "status"] {
            if let Some(Value::String(text)) = members.get_mut(name) {
                *text = lower(text);
            }
        }
        members.get_mut("security").into_iter().for_each(respell);
        items(members.get_mut("flows")).for_each(flow);
    }
    plan
}
