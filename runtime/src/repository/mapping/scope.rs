//! Which environments and organizations a node reads, and what is known of each.

use std::collections::{BTreeMap, BTreeSet};

use super::json::Writer;
use super::rows::{Body, Place, Row};
use super::{MappingOptions, Rows, Table};

/// The environments and organizations read; an empty set means all.
pub(super) struct Scope<'a> {
    environments: BTreeSet<&'a str>,
    organizations: BTreeSet<&'a str>,
    places: BTreeMap<(Table, &'a str), &'a Place>,
    /// Organizations to name in the node metadata.
    pub(super) named: Option<BTreeSet<&'a str>>,
}

impl<'a> Scope<'a> {
    /// Resolves what the options ask for. The error says what is not there.
    ///
    /// The gateway reads everything if none of the names exists. That would hand a node the state
    /// of strangers for a misspelt word, so here it is an error.
    pub(super) fn resolve(options: &'a MappingOptions, rows: &'a Rows) -> Result<Self, String> {
        let place = |row: &'a Row| match &row.body {
            Body::Place(place) => Some(((row.table, &*row.id), place)),
            _ => None,
        };
        let tables = [Table::Environments, Table::Organizations];
        let places = tables.iter().flat_map(|table| rows.of(*table)).filter_map(place);
        let mut scope = Self {
            environments: BTreeSet::new(),
            organizations: BTreeSet::new(),
            places: places.collect(),
            named: None,
        };
        if options.legacy_hrids {
            scope.resolve_hrids(options)?;
        } else {
            scope.environments = options.environments.iter().map(String::as_str).collect();
            if !scope.environments.is_empty() {
                scope.organizations = scope.organizations_of_environments();
                scope.named = Some(scope.organizations.clone());
            }
        }
        Ok(scope)
    }

    fn resolve_hrids(&mut self, options: &'a MappingOptions) -> Result<(), String> {
        if options.organizations.is_empty() && options.environments.is_empty() {
            return Ok(());
        }
        let wanted = |place: &Place, names: &[String]| {
            names.is_empty() || place.hrids.iter().any(|hrid| names.iter().any(|n| **n == **hrid))
        };
        if !options.organizations.is_empty() {
            let found = self.places.iter().filter(|((table, _), place)| {
                *table == Table::Organizations && wanted(place, &options.organizations)
            });
            self.organizations = found.map(|((_, id), _)| *id).collect();
            if self.organizations.is_empty() {
                return Err(format!(
                    "no organization is named {}",
                    options.organizations.join(", ")
                ));
            }
        }
        let found = self.places.iter().filter(|((table, _), place)| {
            let organization = place.organization.as_deref().unwrap_or_default();
            *table == Table::Environments
                && (self.organizations.is_empty() || self.organizations.contains(organization))
                && wanted(place, &options.environments)
        });
        self.environments = found.map(|((_, id), _)| *id).collect();
        if self.environments.is_empty() {
            return Err(match options.environments.is_empty() {
                true => "the organizations have no environment".into(),
                false => format!("no environment is named {}", options.environments.join(", ")),
            });
        }
        let more = self.organizations_of_environments();
        self.organizations.extend(more);
        Ok(())
    }

    fn organizations_of_environments(&self) -> BTreeSet<&'a str> {
        let place = |id: &&'a str| self.places.get(&(Table::Environments, *id));
        let found = self.environments.iter().filter_map(place);
        found.filter_map(|place| place.organization.as_deref()).collect()
    }

    /// Goes through the environments read; none is all.
    pub(super) fn environments(&self) -> impl Iterator<Item = &str> {
        self.environments.iter().copied()
    }

    /// Says whether an event for these environments is read; none at all means everywhere.
    pub(super) fn holds_any(&self, environments: &[Box<str>]) -> bool {
        self.environments.is_empty()
            || environments.is_empty()
            || environments.iter().any(|id| self.environments.contains(&**id))
    }

    /// Says whether a row of this environment is read; a row without one never passes a filter.
    pub(super) fn holds(&self, environment: Option<&str>) -> bool {
        self.environments.is_empty() || environment.is_some_and(|id| self.environments.contains(id))
    }

    /// Says whether a row of this organization is read.
    pub(super) fn holds_organization(&self, id: &str) -> bool {
        self.organizations.is_empty() || self.organizations.contains(id)
    }

    /// Writes what is known of an environment and its organization.
    ///
    /// Of an environment that is not there, nothing is written; `fallback` asks for its id at
    /// least, as products and groups need it.
    pub(super) fn enrich(&self, writer: &mut Writer, environment: Option<&str>, fallback: bool) {
        let Some(id) = environment else { return };
        let Some(place) = self.places.get(&(Table::Environments, id)) else {
            if fallback {
                writer.text("environmentId", id);
            }
            return;
        };
        writer.text("environmentId", id);
        writer.text_if("environmentHrid", place.hrids.first().map(|hrid| &**hrid));
        let organization = place.organization.as_deref().unwrap_or_default();
        if let Some(place) = self.places.get(&(Table::Organizations, organization)) {
            writer.text("organizationId", organization);
            writer.text_if("organizationHrid", place.hrids.first().map(|hrid| &**hrid));
        }
    }
}
