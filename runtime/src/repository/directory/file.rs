//! What a file holds, told by its content.
//!
//! - an API definition: an object with `proxy`, `listeners`, `gravitee`, `definitionVersion`, or a
//!   `type` beside `plans`, `flows` or `endpointGroups`;
//! - a published API: an object whose `definition` is an object or JSON text;
//! - an export of the management console: an object with an object `api`;
//! - rows: an object of collections, each an array of rows; or an array of rows in a file named
//!   after its collection.

use std::sync::Arc;

use sha2::{Digest, Sha256};
use zonesync_core::time::WallTime;

use super::{Fault, export, yaml};
use crate::repository::mapping::json::{DEPTH_MAX, Object, Writer, is_too_deep, quoted, text_of};
use crate::repository::mapping::{ApiPayload, BadRow, Row, Table, api_payload};

/// The most rows of one file.
pub(super) const ROWS_MAX: usize = 1_000_000;

/// A row and the line at which it begins.
pub(super) struct Placed {
    pub(super) line: u32,
    pub(super) row: Result<Arc<Row>, BadRow>,
}

/// A collection of rows, by the names that people and databases give it.
#[derive(Clone, Copy)]
enum Collection {
    Rows(Table),
    Dictionaries,
    Products,
    Groups,
}

fn collection(name: &str) -> Option<Collection> {
    let plain: String = name.chars().filter(|c| !matches!(c, '_' | '-')).collect();
    let plain = plain.to_ascii_lowercase();
    Some(match plain.as_str() {
        "environments" => Collection::Rows(Table::Environments),
        "organizations" => Collection::Rows(Table::Organizations),
        "installation" | "installations" => Collection::Rows(Table::Installation),
        "licenses" | "licences" => Collection::Rows(Table::Licenses),
        "accesspoints" => Collection::Rows(Table::AccessPoints),
        "eventslatest" | "events" => Collection::Rows(Table::EventsLatest),
        "subscriptions" => Collection::Rows(Table::Subscriptions),
        "keys" | "apikeys" => Collection::Rows(Table::Keys),
        "dictionaries" => Collection::Dictionaries,
        "apiproducts" => Collection::Products,
        "sharedpolicygroups" => Collection::Groups,
        _ => return None,
    })
}

/// Reads a file. `stem` is its name without ending; `modified` dates a definition without a date.
pub(super) fn read(
    text: &str,
    is_yaml: bool,
    stem: &str,
    modified: WallTime,
) -> Result<Vec<Placed>, Fault> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut rows = Rows { modified, rows: Vec::new() };
    if is_yaml {
        rows.yaml(text, stem)?;
    } else {
        rows.json(text, stem)?;
    }
    Ok(rows.rows)
}

struct Rows {
    modified: WallTime,
    rows: Vec<Placed>,
}

impl Rows {
    fn json(&mut self, text: &str, stem: &str) -> Result<(), Fault> {
        if let Err(e) = serde_json::from_str::<&serde_json::value::RawValue>(text) {
            let reason = e.to_string();
            let reason = reason.split(" at line").next().unwrap_or(&reason);
            return Err(Fault::at(e.line(), format!("{reason} (column {})", e.column())));
        }
        let mut lines = Lines { text, offset: 0, line: 1 };
        let trimmed = text.trim();
        if trimmed.starts_with('[') {
            let found = named(stem)?;
            return self.array(found, trimmed, &mut lines);
        }
        let object = Object::parse(trimmed).map_err(|reason| Fault::at(1, reason))?;
        if !is_rows(object.members().map(|(name, value)| (name, value.get().starts_with('[')))) {
            return self.definition(trimmed, &object);
        }
        for (name, value) in object.members() {
            let line = lines.of(value.get());
            let found = collection(name).ok_or_else(|| unknown(name, line))?;
            self.array(found, value.get(), &mut lines)?;
        }
        Ok(())
    }

    fn array(&mut self, found: Collection, raw: &str, lines: &mut Lines<'_>) -> Result<(), Fault> {
        let items: Vec<&serde_json::value::RawValue> = serde_json::from_str(raw)
            .map_err(|_| Fault::at(lines.of(raw) as usize, "should be an array of rows"))?;
        for item in items {
            let line = lines.of(item.get());
            self.row(found, item.get(), line)?;
        }
        Ok(())
    }

    fn yaml(&mut self, text: &str, stem: &str) -> Result<(), Fault> {
        let root = yaml::parse(text)?;
        let members = match &root.value {
            yaml::Value::List(items) => return self.nodes(named(stem)?, items),
            yaml::Value::Map(members) => members,
            yaml::Value::Scalar(_) => return Err(Fault::at(1, "should be an object or an array")),
        };
        let is_list = |node: &yaml::Node| matches!(node.value, yaml::Value::List(_));
        if !is_rows(members.iter().map(|(name, node)| (name.as_str(), is_list(node)))) {
            let json = root.json()?;
            let object = Object::parse(&json).map_err(|reason| Fault::at(1, reason))?;
            return self.definition(&json, &object);
        }
        for (name, node) in members {
            let found = collection(name).ok_or_else(|| unknown(name, node.line))?;
            let yaml::Value::List(items) = &node.value else {
                return Err(Fault::at(node.line as usize, "should be an array of rows"));
            };
            self.nodes(found, items)?;
        }
        Ok(())
    }

    fn nodes(&mut self, found: Collection, items: &[std::rc::Rc<yaml::Node>]) -> Result<(), Fault> {
        items.iter().try_for_each(|node| self.row(found, &node.json()?, node.line))
    }

    fn row(&mut self, found: Collection, text: &str, line: u32) -> Result<(), Fault> {
        if self.rows.len() >= ROWS_MAX {
            return Err(Fault::at(line as usize, format!("more than {ROWS_MAX} rows in one file")));
        }
        let mut push = |row: Result<Row, BadRow>| {
            self.rows.push(Placed { line, row: row.map(Arc::new) });
        };
        let as_event = |on: &str, off: &str, property: &str| match event(text, on, off, property) {
            Ok(event) => Row::parse(Table::EventsLatest, &event),
            Err(reason) => {
                Row::parse(Table::EventsLatest, text).map_err(|bad| BadRow { reason, ..bad })
            }
        };
        match found {
            Collection::Rows(table) => {
                push(Row::parse(table, text));
                // An organization with flows needs no event of its own.
                let flows = Object::parse(text).is_ok_and(|row| row.raw("flows").is_some());
                if table == Table::Organizations && flows {
                    push(as_event("PUBLISH_ORGANIZATION", "", "organization_id"));
                }
            }
            Collection::Dictionaries => {
                push(as_event("PUBLISH_DICTIONARY", "UNPUBLISH_DICTIONARY", "dictionary_id"));
            }
            Collection::Products => {
                push(as_event("DEPLOY_API_PRODUCT", "UNDEPLOY_API_PRODUCT", "api_product_id"));
            }
            Collection::Groups => push(as_event(
                "DEPLOY_SHARED_POLICY_GROUP",
                "UNDEPLOY_SHARED_POLICY_GROUP",
                "shared_policy_group_id",
            )),
        }
        Ok(())
    }

    fn definition(&mut self, text: &str, object: &Object<'_>) -> Result<(), Fault> {
        let fault = |reason: String| Fault::at(1, reason);
        if is_too_deep(text) {
            return Err(fault(format!("nested deeper than {DEPTH_MAX} levels")));
        }
        let mut payload = if object.raw("api").is_some_and(|api| api.starts_with('{')) {
            export::payload(object).map_err(fault)?
        } else if object.raw("definition").is_some() {
            let mut payload = api_payload(text).map_err(fault)?;
            payload.started |= object.raw("lifecycleState").is_none();
            payload
        } else if is_definition(object) {
            plain(text, object).map_err(fault)?
        } else {
            let reason = "neither an API definition nor an object of collections such as \
                          `subscriptions` and `keys`";
            return Err(fault(reason.into()));
        };
        payload.plain = true;
        let body = payload.definition.clone();
        let definition =
            Object::parse(&body).map_err(|reason| fault(format!("`definition`: {reason}")))?;
        let id = definition.id("id").map_err(fault)?.ok_or_else(|| {
            fault("the definition has no `id`: give the API an id that no other has".into())
        })?;
        // A gateway takes an update only with a later date and another revision. The content gives
        // the revision; the date it names itself, else that of the file, which the caller keeps for
        // as long as the content stays: saving a file again must publish nothing.
        let exported = object.raw("api").and_then(|api| Object::parse(api).ok());
        let mut dates = [Some(object), exported.as_ref(), Some(&definition)]
            .into_iter()
            .flatten()
            .flat_map(|o| ["deployedAt", "updatedAt"].map(|name| o.date(name).ok().flatten()));
        let deployed_at = dates.find_map(|date| date).unwrap_or(self.modified);
        let hash = Sha256::digest(body.as_bytes());
        let revision = hash[..8].iter().map(|byte| format!("{byte:02x}")).collect();
        let row = Row::plain_api(&id, revision, deployed_at, payload);
        self.rows.push(Placed { line: 1, row: Ok(Arc::new(row)) });
        Ok(())
    }
}

/// Counts lines forward: what is asked for lies behind what was asked for before.
struct Lines<'a> {
    text: &'a str,
    offset: usize,
    line: u32,
}

impl Lines<'_> {
    fn of(&mut self, part: &str) -> u32 {
        let offset = (part.as_ptr() as usize).saturating_sub(self.text.as_ptr() as usize);
        if offset > self.offset && offset <= self.text.len() {
            let between = &self.text.as_bytes()[self.offset..offset];
            self.line += between.iter().filter(|byte| **byte == b'\n').count() as u32;
            self.offset = offset;
        }
        self.line
    }
}

fn named(stem: &str) -> Result<Collection, Fault> {
    collection(stem).ok_or_else(|| {
        Fault::at(1, "an array needs a file named after its collection, such as `keys`")
    })
}

fn unknown(name: &str, line: u32) -> Fault {
    let known = "environments, organizations, installation, licenses, access_points, \
                 events_latest, subscriptions, keys, dictionaries, api_products, \
                 shared_policy_groups";
    Fault::at(line as usize, format!("`{name}` is no collection; these are: {known}"))
}

/// Says whether an object with these members, arrays or not, is made of collections.
fn is_rows<'a>(members: impl Iterator<Item = (&'a str, bool)>) -> bool {
    let (mut any, mut all) = (false, true);
    for (name, is_array) in members {
        any |= is_array && collection(name).is_some();
        all &= is_array;
    }
    any && all
}

fn is_definition(object: &Object<'_>) -> bool {
    let has = |name: &str| object.raw(name).is_some();
    let marks = ["proxy", "listeners", "gravitee", "definitionVersion", "endpointGroups"];
    marks.iter().any(|name| has(name)) || (has("type") && (has("plans") || has("flows")))
}

/// Takes a definition that stands alone. It is on unless it says otherwise.
fn plain(text: &str, object: &Object<'_>) -> Result<ApiPayload, String> {
    let version = object.text("definitionVersion")?.or(object.text("gravitee")?);
    let is_v4 = match version.as_deref() {
        Some(version) => version == "4.0.0",
        None => object.raw("proxy").is_none(),
    };
    let state = object.text("lifecycleState")?.or(object.text("state")?);
    Ok(ApiPayload {
        environment: object.id("environmentId")?,
        version: is_v4.then(|| "4.0.0".into()),
        api_type: object.boxed("type")?,
        started: state.is_none_or(|state| state.eq_ignore_ascii_case("STARTED")),
        definition: text.into(),
        plain: true,
    })
}

/// Writes the event that would have published this row, so that people need not.
fn event(text: &str, on: &str, off: &str, property: &str) -> Result<String, String> {
    let row = Object::parse(text)?;
    let id = match property {
        "shared_policy_group_id" => row.text("crossId")?.or(row.text("id")?),
        _ => row.text("id")?,
    };
    let id = id.ok_or("no `id`")?;
    let state = row.text("lifecycleState")?.or(row.text("state")?);
    let is_off = state.as_deref().is_some_and(|state| {
        let off = ["STOPPED", "UNDEPLOYED", "UNPUBLISHED"];
        off.iter().any(|word| state.eq_ignore_ascii_case(word))
    });
    let mut properties = Writer::new();
    properties.text(property, &id);
    let environment = row.text("environmentId")?;
    let mut payload = Writer::new();
    for (name, value) in row.members() {
        match name {
            "id" => payload.text("id", &id),
            // The management side keeps a group's policies as JSON text.
            "definition" => {
                payload.raw("policies", &text_of(value.get()).unwrap_or(value.get().into()))
            }
            _ => payload.raw(name, value.get()),
        }
    }
    let mut event = Writer::new();
    event.text("id", row.text("id")?.as_deref().unwrap_or(&id));
    event.text("type", if is_off && !off.is_empty() { off } else { on });
    event.raw("properties", &properties.end());
    if let Some(environment) = environment {
        event.raw("environments", &format!("[{}]", quoted(&environment)));
    }
    let date = row.raw("deployedAt").or(row.raw("updatedAt")).or(row.raw("createdAt"));
    event.raw_if("createdAt", date);
    event.raw_if("updatedAt", row.raw("updatedAt").or(date));
    event.text("payload", &payload.end());
    Ok(event.end())
}
