//! Reads rows of the control plane over one connection: by pages, by ids, by date.
//!
//! A page begins after the last row of the one before it, by key and never by number, so that rows
//! that come or go meanwhile neither repeat nor hide another. Rows of a page are parsed as they
//! arrive; what a page holds bounds what is in memory.

use std::collections::HashMap;
use std::sync::Arc;

use super::clock::{Zone, written};
use super::dialect::{Arg, Cells, Dialect, Query, Session};
use super::rows::{Kept, Pairs, SqlRow};
use super::tables::{ID, SUBSCRIPTIONS, Shape, UPDATED_AT, columns};
use crate::repository::RepositoryError;
use crate::repository::mapping::stream::Piece;
use crate::repository::mapping::{BadRow, Row, Table};

/// Of how many rows of one page one is an event: those carry whole API definitions.
const ROWS_PER_EVENT: usize = 20;

/// The usual number of rows of one page.
pub(crate) const ROWS_MAX: usize = 2_000;

/// The most ids in one query.
pub(crate) const IDS_MAX: usize = 900;

/// The most bytes of metadata of all subscriptions that are held while these are read.
const METADATA_MAX: usize = 16 << 20;

/// What all readers of one database share.
#[derive(Debug)]
pub(crate) struct Common {
    pub(crate) dialect: Arc<dyn Dialect>,
    pub(crate) shape: Shape,
    pub(crate) zone: Zone,
    /// How many rows a page has.
    pub(crate) page: usize,
}

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
    id: String,
    clock: i64,
}

/// Reads over one connection.
pub(crate) struct Reader {
    pub(crate) session: Box<dyn Session>,
    pub(crate) common: Arc<Common>,
    /// Metadata of all subscriptions, if that is not too much to hold.
    pub(crate) metadata: Option<Arc<HashMap<Box<str>, Pairs>>>,
}

/// Builds a query with its values.
struct Build<'a> {
    dialect: &'a dyn Dialect,
    query: Query,
    conditions: Vec<String>,
    /// Subscriptions have `reference_type` and `reference_id`.
    references: bool,
}

impl<'a> Build<'a> {
    fn new(common: &'a Common) -> Self {
        let references = common.shape.has("subscriptions", "reference_id");
        let (query, conditions) = (Query::default(), Vec::new());
        Self { dialect: &*common.dialect, query, conditions, references }
    }

    fn text(&mut self, text: &str) -> String {
        self.query.args.push(Arg::Text(text.to_owned()));
        self.dialect.place(self.query.args.len())
    }

    fn date(&mut self, clock: i64) -> String {
        self.query.args.push(Arg::Text(written(clock)));
        self.dialect.date_place(self.query.args.len())
    }

    fn count(&mut self, count: usize) -> String {
        self.query.args.push(Arg::Count(count as i64));
        self.dialect.place(self.query.args.len())
    }

    fn any(&mut self, column: &str, texts: &[String]) -> String {
        self.dialect.any(column, texts.to_vec(), &mut self.query.args)
    }

    fn and(&mut self, condition: String) {
        self.conditions.push(condition);
    }

    fn conditions(&self) -> String {
        match self.conditions.is_empty() {
            true => String::new(),
            false => format!(" where {}", self.conditions.join(" and ")),
        }
    }

    fn end(mut self, text: String) -> Query {
        self.query.text = text;
        self.query
    }
}

fn unclear(why: String) -> RepositoryError {
    RepositoryError::Unavailable(format!("a row cannot be read: {why}"))
}

fn text_at(cells: &dyn Cells, at: usize) -> Result<Box<str>, RepositoryError> {
    Ok(cells.text(at).map_err(unclear)?.unwrap_or_default().into())
}

impl Reader {
    async fn each(
        &mut self,
        query: Query,
        mut sink: impl FnMut(&dyn Cells) -> Result<(), RepositoryError> + Send,
    ) -> Result<(), RepositoryError> {
        self.session.query(query, &mut sink).await
    }

    /// Reads environments and organizations with their names, and the installation.
    pub(crate) async fn places(&mut self) -> Result<Piece, RepositoryError> {
        let common = Arc::clone(&self.common);
        let mut piece = Piece::default();
        for (table, one) in
            [(Table::Environments, "environment"), (Table::Organizations, "organization")]
        {
            let mut hrids: HashMap<Box<str>, Vec<Box<str>>> = HashMap::new();
            let names = common.shape.known(&format!("{one}_hrids"));
            let text = format!("select {one}_id, hrid from {names} order by {one}_id, pos, hrid");
            self.each(Query { text, args: Vec::new() }, |cells| {
                hrids.entry(text_at(cells, 0)?).or_default().push(text_at(cells, 1)?);
                Ok(())
            })
            .await?;
            let organization =
                if table == Table::Environments { "organization_id" } else { "null" };
            let name = common.shape.known(table.name());
            let text = format!("select id, {organization} from {name} order by id");
            let source: Arc<str> = table.name().into();
            self.each(Query { text, args: Vec::new() }, |cells| {
                let id = text_at(cells, 0)?;
                let organization = cells.text(1).map_err(unclear)?.map(Box::from);
                let hrids = hrids.remove(&id).unwrap_or_default();
                piece.put(Ok(Row::place(table, id, hrids.into(), organization)), &source);
                Ok(())
            })
            .await?;
        }
        if let Some(name) = common.shape.name("installation") {
            let text = format!("select id from {name} order by id");
            let source: Arc<str> = "installation".into();
            self.each(Query { text, args: Vec::new() }, |cells| {
                piece.put(Ok(Row::installation(text_at(cells, 0)?)), &source);
                Ok(())
            })
            .await?;
        }
        Ok(piece)
    }

    /// Reads the ids of shared policy groups with their environments.
    pub(crate) async fn groups(&mut self) -> Result<Vec<(Box<str>, Box<str>)>, RepositoryError> {
        let common = Arc::clone(&self.common);
        let properties = common.shape.known("events_latest_properties");
        let environments = common.shape.known("events_latest_environments");
        let events = common.shape.known("events_latest");
        let text = format!(
            "select p.property_value, p.event_id, e.environment_id \
             from {properties} p join {events} l on l.id = p.event_id \
             left join {environments} e on e.event_id = p.event_id \
             where p.property_key = 'shared_policy_group_id' \
             order by p.event_id, e.environment_id"
        );
        let (mut groups, mut last) = (Vec::new(), Box::<str>::default());
        self.each(Query { text, args: Vec::new() }, |cells| {
            let event = text_at(cells, 1)?;
            // Of several environments the first is the group's.
            if event != last {
                groups.push((text_at(cells, 0)?, text_at(cells, 2)?));
                last = event;
            }
            Ok(())
        })
        .await?;
        Ok(groups)
    }

    /// Reads licences or access points, all or those dated at or after.
    pub(crate) async fn small(
        &mut self,
        table: Table,
        from: Option<i64>,
    ) -> Result<Piece, RepositoryError> {
        let common = Arc::clone(&self.common);
        let Some(name) = common.shape.name(table.name()) else { return Ok(Piece::default()) };
        let mut build = Build::new(&common);
        if table == Table::Licenses {
            build.and("t.reference_type = 'ORGANIZATION'".into());
        } else {
            build.and("t.reference_type = 'ENVIRONMENT'".into());
        }
        if let Some(from) = from {
            let place = build.date(from);
            build.and(format!("t.updated_at >= {place}"));
        }
        let select = common.shape.select(&*common.dialect, table, "t");
        let query = format!("select {select} from {name} t{}", build.conditions());
        self.rows(table, build.end(query)).await
    }

    async fn rows(&mut self, table: Table, query: Query) -> Result<Piece, RepositoryError> {
        let common = Arc::clone(&self.common);
        let (mut piece, source) = (Piece::default(), Arc::<str>::from(table.name()));
        self.each(query, |cells| {
            let row = SqlRow {
                columns: columns(table),
                cells,
                zone: &common.zone,
                list: ("", &[]),
                pairs: &[],
            };
            piece.put(Row::from_members(table, &row), &source);
            Ok(())
        })
        .await?;
        Ok(piece)
    }

    /// Reads a page of events of some types. Without a cursor there is no next page.
    pub(crate) async fn events(
        &mut self,
        types: &[&str],
        which: &Which,
        after: Option<&Cursor>,
    ) -> Result<(Piece, Option<Cursor>), RepositoryError> {
        let common = Arc::clone(&self.common);
        let table = Table::EventsLatest;
        let mut build = Build::new(&common);
        let listed: Vec<_> = types.iter().map(|word| format!("'{word}'")).collect();
        build.and(format!("t.type in ({})", listed.join(", ")));
        let order = filter(&mut build, which, after);
        let select = common.shape.select(&*common.dialect, table, "t");
        let page = (common.page / ROWS_PER_EVENT).max(1);
        let limit = build.count(page);
        let query = format!(
            "select {select} from {} t{} order by {order} limit {limit}",
            common.shape.known("events_latest"),
            build.conditions()
        );
        let (mut kept, mut last) = (Vec::<(Box<str>, Kept)>::new(), Cursor::default());
        self.each(build.end(query), |cells| {
            last = Cursor {
                id: text_at(cells, ID)?.into_string(),
                clock: cells.clock(4).map_err(unclear)?.unwrap_or(i64::MIN),
            };
            kept.push((last.id.as_str().into(), Kept::copy(columns(table), cells)));
            Ok(())
        })
        .await?;
        let ids: Vec<String> = kept.iter().map(|(id, _)| id.to_string()).collect();
        let more = kept.len() == page;
        let mut properties = self
            .pairs("events_latest_properties", ["event_id", "property_key", "property_value"], &ids)
            .await?;
        let mut environments = self.environments(&ids).await?;
        let (mut piece, source) = (Piece::default(), Arc::<str>::from(table.name()));
        for (id, cells) in kept {
            let row = SqlRow {
                columns: columns(table),
                cells: &cells,
                zone: &common.zone,
                list: ("environments", &environments.remove(&id).unwrap_or_default()),
                pairs: &properties.remove(&id).unwrap_or_default(),
            };
            piece.put(Row::from_members(table, &row), &source);
        }
        Ok((piece, more.then_some(last)))
    }

    async fn pairs(
        &mut self,
        table: &str,
        [id, key, value]: [&str; 3],
        ids: &[String],
    ) -> Result<HashMap<Box<str>, Pairs>, RepositoryError> {
        let common = Arc::clone(&self.common);
        let mut pairs: HashMap<Box<str>, Pairs> = HashMap::new();
        for ids in ids.chunks(IDS_MAX) {
            let mut build = Build::new(&common);
            let any = build.any(id, ids);
            let name = common.shape.known(table);
            let query =
                format!("select {id}, {key}, {value} from {name} where {any} order by {id}, {key}");
            self.each(build.end(query), |cells| {
                // A value that is null is no value.
                if let Some(value) = cells.text(2).map_err(unclear)? {
                    let pair = [text_at(cells, 1)?, value.into()];
                    pairs.entry(text_at(cells, 0)?).or_default().push(pair);
                }
                Ok(())
            })
            .await?;
        }
        Ok(pairs)
    }

    async fn environments(
        &mut self,
        ids: &[String],
    ) -> Result<HashMap<Box<str>, Vec<Box<str>>>, RepositoryError> {
        let common = Arc::clone(&self.common);
        let mut found: HashMap<Box<str>, Vec<Box<str>>> = HashMap::new();
        for ids in ids.chunks(IDS_MAX) {
            let mut build = Build::new(&common);
            let any = build.any("event_id", ids);
            let name = common.shape.known("events_latest_environments");
            let query = format!(
                "select event_id, environment_id from {name} where {any} \
                 order by event_id, environment_id"
            );
            self.each(build.end(query), |cells| {
                found.entry(text_at(cells, 0)?).or_default().push(text_at(cells, 1)?);
                Ok(())
            })
            .await?;
        }
        Ok(found)
    }

    /// Reads the metadata of all subscriptions, if that is little enough to be held.
    ///
    /// The table has no index by subscription: to ask for it page by page reads it whole each time.
    pub(crate) async fn hold_metadata(&mut self) -> Result<(), RepositoryError> {
        let common = Arc::clone(&self.common);
        let name = common.shape.known("subscriptions_metadata");
        let (mut held, mut bytes) = (HashMap::<Box<str>, Pairs>::new(), 0usize);
        let mut build = Build::new(&common);
        // A row has some 60 bytes at the least, so more rows than this do not fit.
        let limit = build.count(METADATA_MAX / 64);
        let query = format!("select subscription_id, k, v from {name} limit {limit}");
        self.each(build.end(query), |cells| {
            let row = [text_at(cells, 0)?, text_at(cells, 1)?, text_at(cells, 2)?];
            bytes += 64 + row.iter().map(|text| text.len()).sum::<usize>();
            if bytes <= METADATA_MAX {
                let [id, key, value] = row;
                held.entry(id).or_default().push([key, value]);
            } else {
                held = HashMap::new();
            }
            Ok(())
        })
        .await?;
        held.values_mut().for_each(|pairs| pairs.sort());
        self.metadata = (bytes <= METADATA_MAX).then(|| Arc::new(held));
        Ok(())
    }

    /// Reads a page of subscriptions.
    pub(crate) async fn subscriptions(
        &mut self,
        which: &Which,
        after: Option<&Cursor>,
    ) -> Result<(Piece, Option<Cursor>), RepositoryError> {
        let common = Arc::clone(&self.common);
        let table = Table::Subscriptions;
        let mut build = Build::new(&common);
        if matches!(which, Which::Range { .. }) {
            // What is off already is not worth the way; the few that went off are looked up by id.
            build.and("t.status = 'ACCEPTED'".into());
        }
        let order = filter(&mut build, which, after);
        let select = common.shape.select(&*common.dialect, table, "t");
        let limit = build.count(common.page);
        let query = format!(
            "select {select} from {} t{} order by {order} limit {limit}",
            common.shape.known("subscriptions"),
            build.conditions()
        );
        let held = self.metadata.clone();
        let mut rows = Vec::with_capacity(common.page.min(ROWS_MAX));
        let mut last = Cursor::default();
        self.each(build.end(query), |cells| {
            note(&mut last, cells)?;
            let pairs = held.as_ref().and_then(|held| held.get(last.id.as_str()));
            let row = SqlRow {
                columns: SUBSCRIPTIONS,
                cells,
                zone: &common.zone,
                list: ("", &[]),
                pairs: pairs.map_or(&[], Vec::as_slice),
            };
            rows.push(Row::from_members(table, &row));
            Ok(())
        })
        .await?;
        let more = rows.len() == common.page;
        if held.is_none() && !rows.is_empty() {
            let ids: Vec<String> =
                rows.iter().filter_map(|row| Some(row.as_ref().ok()?.id.to_string())).collect();
            let mut pairs =
                self.pairs("subscriptions_metadata", ["subscription_id", "k", "v"], &ids).await?;
            for row in rows.iter_mut().flatten() {
                if let Some(pairs) = pairs.remove(&row.id) {
                    row.set_metadata(pairs);
                }
            }
        }
        let (mut piece, source) = (Piece::default(), Arc::<str>::from(table.name()));
        rows.into_iter().for_each(|row| piece.put(row, &source));
        Ok((piece, more.then_some(last)))
    }

    /// Reads a page of keys, each with the subscriptions that it opens.
    pub(crate) async fn keys(
        &mut self,
        which: &Which,
        after: Option<&Cursor>,
    ) -> Result<(Piece, Option<Cursor>), RepositoryError> {
        let common = Arc::clone(&self.common);
        let table = Table::Keys;
        let (keys, opens) = (common.shape.known("keys"), common.shape.known("key_subscriptions"));
        let mut build = Build::new(&common);
        if matches!(which, Which::Range { .. }) {
            build.and("t.revoked = false".into());
        }
        let order = match which {
            Which::Subscriptions(ids) => {
                let any = build.any("o.subscription_id", ids);
                build.and(format!("t.id in (select o.key_id from {opens} o where {any})"));
                filter_after(&mut build, after)
            }
            which => filter(&mut build, which, after),
        };
        let inner = common.shape.select(&*common.dialect, table, "t");
        let limit = build.count(common.page);
        let named: Vec<_> = (0..columns(table).len()).map(|n| format!("c{n}")).collect();
        let inner: Vec<_> = inner
            .split(", ")
            .zip(&named)
            .map(|(column, name)| format!("{column} as {name}"))
            .collect();
        let outer: Vec<_> = named.iter().map(|name| format!("k.{name}")).collect();
        let sort = if order.contains("updated_at") { "k.c1, k.c0" } else { "k.c0" };
        let query = format!(
            "select {}, o.subscription_id from \
             (select {} from {keys} t{} order by {order} limit {limit}) k \
             left join {opens} o on o.key_id = k.c0 order by {sort}",
            outer.join(", "),
            inner.join(", "),
            build.conditions()
        );
        let place = columns(table).len();
        let mut rows: Vec<Result<Row, BadRow>> = Vec::with_capacity(common.page.min(ROWS_MAX));
        let mut opened: Vec<Box<str>> = Vec::new();
        let mut last = Cursor::default();
        self.each(build.end(query), |cells| {
            let id = cells.text(ID).map_err(unclear)?.unwrap_or_default();
            // A key that opens several subscriptions comes once for each.
            if rows.is_empty() || id != last.id {
                close(rows.last_mut(), &mut opened);
                note(&mut last, cells)?;
                let row = SqlRow {
                    columns: columns(table),
                    cells,
                    zone: &common.zone,
                    list: ("", &[]),
                    pairs: &[],
                };
                rows.push(Row::from_members(table, &row));
            }
            opened.extend(cells.text(place).map_err(unclear)?.map(Box::from));
            Ok(())
        })
        .await?;
        close(rows.last_mut(), &mut opened);
        let more = rows.len() == common.page;
        let (mut piece, source) = (Piece::default(), Arc::<str>::from(table.name()));
        rows.into_iter().for_each(|row| piece.put(row, &source));
        Ok((piece, more.then_some(last)))
    }
}

fn close(row: Option<&mut Result<Row, BadRow>>, opened: &mut Vec<Box<str>>) {
    opened.sort();
    let opened = std::mem::take(opened);
    if let Some(Ok(row)) = row {
        row.set_subscriptions(opened.into());
    }
}

/// Notes where a page of subscriptions or keys has come.
fn note(last: &mut Cursor, cells: &dyn Cells) -> Result<(), RepositoryError> {
    last.id.clear();
    last.id.push_str(cells.text(ID).map_err(unclear)?.unwrap_or_default());
    last.clock = cells.clock(UPDATED_AT).map_err(unclear)?.unwrap_or(i64::MIN);
    Ok(())
}

/// Adds the conditions of `which`, after the last row seen; gives the order.
fn filter(build: &mut Build<'_>, which: &Which, after: Option<&Cursor>) -> String {
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

fn filter_after(build: &mut Build<'_>, after: Option<&Cursor>) -> String {
    if let Some(after) = after {
        let place = build.text(&after.id);
        build.and(format!("t.id > {place}"));
    }
    "t.id".into()
}
