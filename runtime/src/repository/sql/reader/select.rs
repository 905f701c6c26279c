//! Which rows of a table, after which row: said once for all tables.

use super::super::clock::written;
use super::super::dialect::{Arg, Dialect, Query};
use super::Common;

/// Which rows of a table.
#[derive(Clone, Debug)]
pub(crate) enum Which {
    /// Those with ids from one (or the least) to below another (or the greatest), live ones only.
    Range { from: Option<String>, below: Option<String>, environments: Vec<String> },
    /// Those dated at or after, in microseconds on the database's clock; of one environment, or of
    /// none. Without a date all.
    Since { environment: Option<Option<String>>, from: Option<i64> },
    /// Those with these ids.
    Ids(Vec<String>),
    /// Subscriptions to an API or a product: `reference_type`, id. Without a type, those of the
    /// older form, that name an API.
    Scope(Option<&'static str>, String),
    /// Keys of these subscriptions.
    Subscriptions(Vec<String>),
}

impl Which {
    /// Everything.
    pub(crate) fn all() -> Self {
        Self::Range { from: None, below: None, environments: Vec::new() }
    }

    /// What is dated at or after.
    pub(crate) fn dated(environment: Option<Option<String>>, from: Option<i64>) -> Self {
        Self::Since { environment, from }
    }
}

/// The last row of a page.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cursor {
    pub(super) id: String,
    pub(super) clock: i64,
}
/// Builds a query with its values.
pub(super) struct Build<'a> {
    dialect: &'a dyn Dialect,
    query: Query,
    conditions: Vec<String>,
    /// Subscriptions have `reference_type` and `reference_id`.
    references: bool,
}

impl<'a> Build<'a> {
    pub(super) fn new(common: &'a Common) -> Self {
        let references = common.shape.has("subscriptions", "reference_id");
        let (query, conditions) = (Query::default(), Vec::new());
        Self { dialect: &*common.dialect, query, conditions, references }
    }

    pub(super) fn text(&mut self, text: &str) -> String {
        self.query.args.push(Arg::Text(text.to_owned()));
        self.dialect.place(self.query.args.len())
    }

    pub(super) fn date(&mut self, clock: i64) -> String {
        self.query.args.push(Arg::Text(written(clock)));
        self.dialect.date_place(self.query.args.len())
    }

    pub(super) fn count(&mut self, count: usize) -> String {
        self.query.args.push(Arg::Count(count as i64));
        self.dialect.place(self.query.args.len())
    }

    pub(super) fn any(&mut self, column: &str, texts: &[String]) -> String {
        self.dialect.any(column, texts.to_vec(), &mut self.query.args)
    }

    pub(super) fn and(&mut self, condition: String) {
        self.conditions.push(condition);
    }

    pub(super) fn conditions(&self) -> String {
        match self.conditions.is_empty() {
            true => String::new(),
            false => format!(" where {}", self.conditions.join(" and ")),
        }
    }

    pub(super) fn end(mut self, text: String) -> Query {
        self.query.text = text;
        self.query
    }
}

/// Adds the conditions of `which`, after the last row seen; gives the order.
pub(super) fn filter(build: &mut Build<'_>, which: &Which, after: Option<&Cursor>) -> String {
    match which {
        Which::Since { environment, from } => {
            if let Some(environment) = environment {
                match environment {
                    Some(id) => {
                        let place = build.text(id);
                        build.and(format!("t.environment_id = {place}"));
                    }
                    None => build.and("t.environment_id is null".into()),
                }
            }
            match after {
                None => {
                    if let Some(from) = from {
                        let place = build.date(*from);
                        build.and(format!("t.updated_at >= {place}"));
                    }
                }
                Some(Cursor { id, clock }) => {
                    // Said by itself, too: with this the index on the date alone will do.
                    let least = build.date(*clock);
                    build.and(format!("t.updated_at >= {least}"));
                    let (date, id) = (build.date(*clock), build.text(id));
                    let both = build.dialect.after(["t.updated_at", "t.id"], [&date, &id]);
                    build.and(both);
                }
            }
            return "t.updated_at, t.id".into();
        }
        Which::Range { from, below, environments } => {
            if let Some(from) = from.as_ref().filter(|_| after.is_none()) {
                let place = build.text(from);
                build.and(format!("t.id >= {place}"));
            }
            if let Some(below) = below {
                let place = build.text(below);
                build.and(format!("t.id < {place}"));
            }
            if !environments.is_empty() {
                let any = build.any("t.environment_id", environments);
                build.and(any);
            }
        }
        Which::Ids(ids) => {
            let any = build.any("t.id", ids);
            build.and(any);
        }
        Which::Scope(Some(kind), id) => {
            let (kind, id) = (build.text(kind), build.text(id));
            build.and(format!("t.reference_type = {kind} and t.reference_id = {id}"));
        }
        Which::Scope(None, id) => {
            let id = build.text(id);
            build.and(format!("t.api = {id}"));
            if build.references {
                // The index on both finds the few rows that have neither.
                build.and("t.reference_type is null and t.reference_id is null".into());
            }
        }
        Which::Subscriptions(_) => {}
    }
    filter_after(build, after)
}

pub(super) fn filter_after(build: &mut Build<'_>, after: Option<&Cursor>) -> String {
    if let Some(after) = after {
        let place = build.text(&after.id);
        build.and(format!("t.id > {place}"));
    }
    "t.id".into()
}
