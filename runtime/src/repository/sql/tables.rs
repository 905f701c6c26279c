//! Which tables and columns are read, and how they are called in this database.
//!
//! Older versions of the control plane have fewer columns. What a database has is asked once, when
//! the first connection is made; a column that is not there reads as null.

use std::collections::BTreeMap;

use super::dialect::{Dialect, Session};
use crate::repository::RepositoryError;
use crate::repository::mapping::Table;

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Holds {
    Text,
    Flag,
    Date,
}

/// A column: the member that it is, its name, what it holds, and whether rows mean nothing without.
pub(crate) type Column = (&'static str, &'static str, Holds, bool);

use Holds::{Date, Flag, Text};

pub(crate) const LICENSES: &[Column] = &[
    ("referenceId", "reference_id", Text, true),
    ("referenceType", "reference_type", Text, true),
    ("license", "license", Text, true),
    ("updatedAt", "updated_at", Date, true),
];

pub(crate) const ACCESS_POINTS: &[Column] = &[
    ("id", "id", Text, true),
    ("referenceType", "reference_type", Text, true),
    ("referenceId", "reference_id", Text, true),
    ("target", "target", Text, true),
    ("host", "host", Text, true),
    ("status", "status", Text, false),
    ("updatedAt", "updated_at", Date, true),
];

pub(crate) const EVENTS: &[Column] = &[
    ("id", "id", Text, true),
    ("type", "type", Text, true),
    ("payload", "payload", Text, true),
    ("createdAt", "created_at", Date, true),
    ("updatedAt", "updated_at", Date, true),
];

pub(crate) const SUBSCRIPTIONS: &[Column] = &[
    ("id", "id", Text, true),
    ("updatedAt", "updated_at", Date, true),
    ("referenceType", "reference_type", Text, false),
    ("referenceId", "reference_id", Text, false),
    ("api", "api", Text, true),
    ("plan", "plan", Text, true),
    ("status", "status", Text, true),
    ("environmentId", "environment_id", Text, false),
    ("application", "application", Text, true),
    ("applicationName", "application_name", Text, false),
    ("clientId", "client_id", Text, false),
    ("clientCertificate", "client_certificate", Text, false),
    ("consumerStatus", "consumer_status", Text, false),
    ("type", "type", Text, false),
    ("configuration", "configuration", Text, false),
    ("startingAt", "starting_at", Date, true),
    ("endingAt", "ending_at", Date, true),
];

pub(crate) const KEYS: &[Column] = &[
    ("id", "id", Text, true),
    ("updatedAt", "updated_at", Date, true),
    ("key", "key", Text, true),
    ("application", "application", Text, false),
    ("environmentId", "environment_id", Text, false),
    ("expireAt", "expire_at", Date, true),
    ("revoked", "revoked", Flag, true),
    ("paused", "paused", Flag, false),
    ("federated", "federated", Flag, false),
];

/// Where columns of `SUBSCRIPTIONS`, `KEYS` and `EVENTS` stand that the reader itself looks at.
pub(crate) const ID: usize = 0;
/// The date, in `SUBSCRIPTIONS` and `KEYS`.
pub(crate) const UPDATED_AT: usize = 1;

/// The tables beside those of rows: name, columns.
const SIDE: &[(&str, &[&str])] = &[
    ("environments", &["id", "organization_id"]),
    ("environment_hrids", &["environment_id", "hrid", "pos"]),
    ("organizations", &["id"]),
    ("organization_hrids", &["organization_id", "hrid", "pos"]),
    ("installation", &["id"]),
    ("events_latest_properties", &["event_id", "property_key", "property_value"]),
    ("events_latest_environments", &["event_id", "environment_id"]),
    ("subscriptions_metadata", &["subscription_id", "k", "v"]),
    ("key_subscriptions", &["key_id", "subscription_id"]),
];

/// Gives the columns of a table of rows.
pub(crate) fn columns(table: Table) -> &'static [Column] {
    match table {
        Table::Licenses => LICENSES,
        Table::AccessPoints => ACCESS_POINTS,
        Table::EventsLatest => EVENTS,
        Table::Subscriptions => SUBSCRIPTIONS,
        Table::Keys => KEYS,
        Table::Environments | Table::Organizations | Table::Installation => &[],
    }
}

/// The tables of one database, by the names that they have without a prefix.
#[derive(Debug)]
pub(crate) struct Shape {
    tables: BTreeMap<String, Found>,
}

#[derive(Debug)]
struct Found {
    /// The name, quoted, with its schema.
    name: String,
    columns: Vec<String>,
}

impl Shape {
    /// Asks the database what it has. The error names what is missing.
    pub(crate) async fn ask(
        session: &mut dyn Session,
        dialect: &dyn Dialect,
        prefix: &str,
    ) -> Result<Self, RepositoryError> {
        let mut tables: BTreeMap<String, Found> = BTreeMap::new();
        let prefix = prefix.to_lowercase();
        let unclear = |what| RepositoryError::Unavailable(format!("list of columns: {what}"));
        let mut sink = |cells: &dyn super::dialect::Cells| {
            let text = |at| cells.text(at).map_err(unclear).map(Option::unwrap_or_default);
            let (schema, table, column) = (text(0)?, text(1)?, text(2)?);
            // A database may have kept the letters of a prefix or not.
            let lower = table.to_lowercase();
            let Some(plain) = lower.strip_prefix(&prefix) else { return Ok(()) };
            let name = || format!("{}.{}", dialect.quote(schema), dialect.quote(table));
            let found = tables
                .entry(plain.to_owned())
                .or_insert_with(|| Found { name: name(), columns: Vec::new() });
            // The first schema on the path wins.
            if found.name == name() {
                found.columns.push(column.to_lowercase());
            }
            Ok(())
        };
        session.query(dialect.schemas(), &mut sink).await?;
        let shape = Self { tables };
        shape.check(&prefix)?;
        Ok(shape)
    }

    fn check(&self, prefix: &str) -> Result<(), RepositoryError> {
        let rows = Table::ALL.iter().filter(|table| !columns(**table).is_empty());
        let rows = rows.map(|table| {
            let needed = columns(*table).iter().filter(|column| column.3);
            (table.name(), needed.map(|column| column.1).collect::<Vec<_>>())
        });
        let side = SIDE.iter().map(|(name, columns)| (*name, columns.to_vec()));
        // Access points and licences came late, and a database without them has none.
        let optional = |table: &str| ["access_points", "licenses", "installation"].contains(&table);
        for (table, columns) in rows.chain(side) {
            let Some(found) = self.tables.get(table) else {
                if optional(table) {
                    continue;
                }
                return Err(RepositoryError::Denied(format!(
                    "there is no table {prefix}{table} that this account may read: \
                     check database, management.jdbc.schema, management.jdbc.prefix and grants"
                )));
            };
            let has = |column: &&str| found.columns.iter().any(|found| found == column);
            if let Some(missing) = columns.iter().find(|column| !has(column)) {
                return Err(RepositoryError::Denied(format!(
                    "table {prefix}{table} has no column {missing} that this account may read"
                )));
            }
        }
        Ok(())
    }

    /// Gives a table's name, or none if there is no such table.
    pub(crate) fn name(&self, table: &str) -> Option<&str> {
        self.tables.get(table).map(|found| found.name.as_str())
    }

    /// Gives the name of a table that was checked to be there.
    pub(crate) fn known(&self, table: &str) -> &str {
        self.name(table).expect("tables are checked when they are asked for")
    }

    /// Says whether a table has a column.
    pub(crate) fn has(&self, table: &str, column: &str) -> bool {
        let found = self.tables.get(table);
        found.is_some_and(|found| found.columns.iter().any(|name| name == column))
    }

    /// Writes the columns to select of a table of rows; `of` is what stands before the dot.
    pub(crate) fn select(&self, dialect: &dyn Dialect, table: Table, of: &str) -> String {
        let column = |column: &Column| match self.has(table.name(), column.1) {
            true => format!("{of}.{}", dialect.quote(column.1)),
            false => "null".to_owned(),
        };
        columns(table).iter().map(column).collect::<Vec<_>>().join(", ")
    }
}
