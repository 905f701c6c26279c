//! The many: subscriptions with their metadata, keys with the subscriptions that they open.

use std::collections::HashMap;
use std::sync::Arc;

use super::super::dialect::Cells;
use super::super::rows::{Pairs, SqlRow};
use super::super::tables::{ID, SUBSCRIPTIONS, UPDATED_AT, columns};
use super::select::{Build, Cursor, Which, filter, filter_after};
use super::{IDS_MAX, ROWS_MAX, Reader, text_at, unclear};
use crate::repository::RepositoryError;
use crate::repository::mapping::stream::Piece;
use crate::repository::mapping::{BadRow, Row, Table};

/// The most bytes of metadata of all subscriptions that are held while these are read.
const METADATA_MAX: usize = 16 << 20;

impl Reader {
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
        let mut build = Build::new(&common);
        let is_range = matches!(which, Which::Range { .. });
        if is_range {
            build.and("t.revoked = false".into());
        }
        let order = match which {
            Which::Subscriptions(ids) => {
                let opens = common.shape.known("key_subscriptions");
                let any = build.any("o.subscription_id", ids);
                build.and(format!("t.id in (select o.key_id from {opens} o where {any})"));
                filter_after(&mut build, after)
            }
            which => filter(&mut build, which, after),
        };
        let select = common.shape.select(&*common.dialect, table, "t");
        let limit = build.count(common.page);
        let query = format!(
            "select {select} from {} t{} order by {order} limit {limit}",
            common.shape.known("keys"),
            build.conditions()
        );
        let mut rows: Vec<Result<Row, BadRow>> = Vec::with_capacity(common.page.min(ROWS_MAX));
        let (mut first, mut last) = (String::new(), Cursor::default());
        self.each(build.end(query), |cells| {
            note(&mut last, cells)?;
            if rows.is_empty() {
                first.clone_from(&last.id);
            }
            let row = SqlRow {
                columns: columns(table),
                cells,
                zone: &common.zone,
                list: ("", &[]),
                pairs: &[],
            };
            rows.push(Row::from_members(table, &row));
            Ok(())
        })
        .await?;
        let more = rows.len() == common.page;
        let mut opened = match rows.is_empty() {
            true => HashMap::new(),
            // Rows in the order of their ids have their subscriptions side by side in an index.
            false if is_range => self.opened(&rows, Some([&first, &last.id])).await?,
            false => self.opened(&rows, None).await?,
        };
        for row in rows.iter_mut().flatten() {
            let mut opened = opened.remove(&row.id).unwrap_or_default();
            opened.sort();
            row.set_subscriptions(opened.into());
        }
        let (mut piece, source) = (Piece::default(), Arc::<str>::from(table.name()));
        rows.into_iter().for_each(|row| piece.put(row, &source));
        Ok((piece, more.then_some(last)))
    }

    /// Reads which subscriptions these keys open: those from one id to another, or one by one.
    async fn opened(
        &mut self,
        rows: &[Result<Row, BadRow>],
        bounds: Option<[&str; 2]>,
    ) -> Result<HashMap<Box<str>, Vec<Box<str>>>, RepositoryError> {
        let common = Arc::clone(&self.common);
        let name = common.shape.known("key_subscriptions");
        let ids: Vec<&Box<str>> = rows.iter().flatten().map(|row| &row.id).collect();
        let mut opened: HashMap<Box<str>, Vec<Box<str>>> =
            ids.iter().map(|id| ((*id).clone(), Vec::new())).collect();
        let chunks = if bounds.is_some() { ids.len().max(1) } else { IDS_MAX };
        for ids in ids.chunks(chunks) {
            let mut build = Build::new(&common);
            if let Some([first, last]) = bounds {
                let (first, last) = (build.text(first), build.text(last));
                build.and(format!("o.key_id >= {first} and o.key_id <= {last}"));
            } else {
                let ids: Vec<String> = ids.iter().map(|id| id.to_string()).collect();
                let any = build.any("o.key_id", &ids);
                build.and(any);
            }
            let query =
                format!("select o.key_id, o.subscription_id from {name} o{}", build.conditions());
            self.each(build.end(query), |cells| {
                // Between two keys that are read may lie others that are not.
                let id = cells.text(0).map_err(unclear)?.unwrap_or_default();
                if let Some(opened) = opened.get_mut(id) {
                    opened.push(text_at(cells, 1)?);
                }
                Ok(())
            })
            .await?;
        }
        Ok(opened)
    }
}

/// Notes where a page of subscriptions or keys has come.
fn note(last: &mut Cursor, cells: &dyn Cells) -> Result<(), RepositoryError> {
    last.id.clear();
    last.id.push_str(cells.text(ID).map_err(unclear)?.unwrap_or_default());
    last.clock = cells.clock(UPDATED_AT).map_err(unclear)?.unwrap_or(i64::MIN);
    Ok(())
}
