//! API definitions and their plans.
//!
//! A definition stays the bytes it was. Only when plans are left out or properties decrypted is it
//! put together again, and then only those two members are new.

use std::collections::BTreeSet;

use super::MappingOptions;
use super::json::{Object, Writer, array, quoted};
use super::rows::ApiPayload;
use super::secrets;

/// A definition, ready to be served.
pub(super) struct Definition {
    pub(super) id: Box<str>,
    pub(super) json: String,
    pub(super) tags: Box<[Box<str>]>,
    pub(super) plans: Plans,
}

/// What became of the plans of an API or a product.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Plans {
    /// Served here.
    pub(super) served: BTreeSet<Box<str>>,
    /// Left out because the plan itself says that it is not open.
    pub(super) closed: BTreeSet<Box<str>>,
    /// Left out by our tags.
    pub(super) filtered: BTreeSet<Box<str>>,
    /// There is no member `plans`.
    pub(super) absent: bool,
}

/// Reads a definition and leaves out what is not served here. The error says what is wrong.
pub(super) fn definition(api: &ApiPayload, options: &MappingOptions) -> Result<Definition, String> {
    let object = Object::parse(&api.definition).map_err(|e| format!("definition: {e}"))?;
    let id = object.id("id")?.ok_or("the definition has no `id`: give the API a unique one")?;
    object.text("name")?.filter(|name| !name.is_empty()).ok_or("the definition has no `name`")?;
    let v4 = check_version(api, &object)?;
    let tags = object.texts("tags")?;
    let (plans, kept) = plans(&object, api.plain, v4, options)?;
    let properties = if options.decrypt { decrypted(&object, &options.secret)? } else { None };
    let json = match (&kept, &properties) {
        (None, None) => api.definition.clone().into_string(),
        _ => {
            let mut writer = Writer::new();
            for (name, value) in object.members() {
                let new = match name {
                    "plans" => kept.as_deref(),
                    "properties" => properties.as_deref(),
                    _ => None,
                };
                writer.raw(name, new.unwrap_or(value.get()));
            }
            writer.end()
        }
    };
    Ok(Definition { id, json, tags, plans })
}

/// Refuses what no gateway of today serves; says whether it is a v4 definition.
fn check_version(api: &ApiPayload, object: &Object<'_>) -> Result<bool, String> {
    if api.version.as_deref() == Some("4.0.0") {
        let kind = api.api_type.as_deref().map(str::to_ascii_lowercase);
        let known = ["proxy", "message", "native", "edge", "llm-proxy", "mcp-proxy", "a2a-proxy"];
        return match kind {
            Some(kind) if known.contains(&&*kind) || kind == "authz" => Ok(true),
            Some(kind) => Err(format!("`type` {kind} is none of {}", known.join(", "))),
            None => Err(format!("a 4.0.0 API needs a `type`, one of {}", known.join(", "))),
        };
    }
    match object.text("gravitee")?.as_deref() {
        None | Some("2.0.0") => {}
        Some(old) => {
            return Err(format!("definition version {old} is not served: 2.0.0 or 4.0.0 would be"));
        }
    }
    let proxy = object.raw("proxy").ok_or("a v2 definition needs a `proxy`")?;
    let proxy = Object::parse(proxy).map_err(|_| "`proxy` should be an object")?;
    let hosts = proxy.array("virtual_hosts")?.is_some_and(|hosts| !hosts.is_empty());
    if !hosts && proxy.raw("context_path").is_none() {
        return Err("`proxy` needs `virtual_hosts` or `context_path`".into());
    }
    Ok(false)
}

/// Sorts plans into served and not, and gives the member anew if it changes.
pub(super) fn plans(
    object: &Object<'_>,
    plain: bool,
    v4: bool,
    options: &MappingOptions,
) -> Result<(Plans, Option<String>), String> {
    let mut plans = Plans::default();
    let Some(raw) = object.raw("plans") else {
        plans.absent = true;
        return Ok((plans, None));
    };
    let items = match object.array("plans") {
        Ok(items) => items.unwrap_or_default(),
        // Old v2 definitions have an object from plan id to plan.
        Err(e) if v4 => return Err(e),
        Err(e) => Object::parse(raw).map_err(|_| e)?.members().map(|(_, value)| value).collect(),
    };
    let (mut kept, mut changed) = (Vec::new(), !raw.starts_with('['));
    for item in items {
        let plan = Object::parse(item.get()).map_err(|e| format!("`plans`: {e}"))?;
        let id = plan.id("id")?.unwrap_or_default();
        let status = plan.text("status")?;
        let open = match status.as_deref() {
            Some(status) => is_open(status),
            // A file's author leaves out what only a console sets.
            None => plain,
        };
        let tags = plan.texts("tags")?;
        let here = tags.is_empty() || options.tags.matches(tags.iter().map(|tag| &**tag));
        let fate = match (open, here) {
            (true, true) => &mut plans.served,
            (false, _) => &mut plans.closed,
            (true, false) => &mut plans.filtered,
        };
        if v4 && !id.is_empty() && fate.contains(&id) {
            return Err(format!("two plans have the id `{id}`"));
        }
        fate.insert(id);
        if !(open && here) {
            changed = true;
        } else if status.is_none() {
            // Gateways leave out a plan without a status, so it is written down.
            let mut writer = Writer::new();
            let members = plan.members().filter(|(name, _)| *name != "status");
            members.for_each(|(name, value)| writer.raw(name, value.get()));
            writer.text("status", if v4 { "published" } else { "PUBLISHED" });
            kept.push(writer.end());
            changed = true;
        } else {
            kept.push(item.get().to_owned());
        }
    }
    Ok((plans, changed.then(|| array(kept.iter().map(String::as_str)))))
}

fn is_open(status: &str) -> bool {
    status.eq_ignore_ascii_case("published") || status.eq_ignore_ascii_case("deprecated")
}

/// Gives the member `properties` with its encrypted values in clear, if there are any.
///
/// A value that cannot be decrypted stays as it is.
fn decrypted(object: &Object<'_>, secret: &str) -> Result<Option<String>, String> {
    // The older form, an object from name to value, knows no encryption.
    let Ok(Some(items)) = object.array("properties") else { return Ok(None) };
    let (mut written, mut changed) = (Vec::with_capacity(items.len()), false);
    for item in items {
        let property = Object::parse(item.get()).map_err(|e| format!("`properties`: {e}"))?;
        let value = match property.flag("encrypted")? {
            Some(true) => property.text("value")?.and_then(|v| secrets::decrypt(secret, &v)),
            _ => None,
        };
        let Some(value) = value.map(|value| quoted(&value)) else {
            written.push(item.get().to_owned());
            continue;
        };
        changed = true;
        let mut writer = Writer::new();
        for (name, old) in property.members() {
            match name {
                "value" => writer.raw(name, &value),
                "encrypted" => writer.flag(name, false),
                _ => writer.raw(name, old.get()),
            }
        }
        written.push(writer.end());
    }
    Ok(changed.then(|| array(written.iter().map(String::as_str))))
}
