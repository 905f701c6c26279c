//! Reads rows of the control plane over one connection: by pages, by ids, by date.
//!
//! A page begins after the last row of the one before it, by key and never by number, so that rows
//! that come or go meanwhile neither repeat nor hide another. Rows of a page are parsed as they
//! arrive; what a page holds bounds what is in memory. `select` says which rows, `many` reads those of
//! which there are many.

mod many;
mod select;

use std::collections::HashMap;
use std::sync::Arc;

use super::clock::Zone;
use super::dialect::{Cells, Dialect, Query, Session};
use super::rows::{Kept, Pairs, SqlRow};
use super::tables::{ID, Shape, columns};
use crate::repository::RepositoryError;
use crate::repository::mapping::stream::Piece;
use crate::repository::mapping::{Row, Table};
use select::{Build, filter};
pub(crate) use select::{Cursor, Which};

/// Of how many rows of one page one is an event: those carry whole API definitions.
const ROWS_PER_EVENT: usize = 20;

/// The usual number of rows of one page.
pub(crate) const ROWS_MAX: usize = 2_000;

/// The most ids in one query.
pub(crate) const IDS_MAX: usize = 900;

/// What all readers of one database share.
#[derive(Debug)]
pub(crate) struct Common {
    pub(crate) dialect: Arc<dyn Dialect>,
    pub(crate) shape: Shape,
    pub(crate) zone: Zone,
    /// How many rows a page has.
    pub(crate) page: usize,
}

/// Reads over one connection.
pub(crate) struct Reader {
    pub(crate) session: Box<dyn Session>,
    pub(crate) common: Arc<Common>,
    /// Metadata of all subscriptions, if that is not too much to hold.
    pub(crate) metadata: Option<Arc<HashMap<Box<str>, Pairs>>>,
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
}
