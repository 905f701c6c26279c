//! The many: subscriptions with their metadata, keys with the subscriptions that they open.

use std::collections::HashMap;
use std::sync::Arc;

use super::super::dialect::Cells;
use super::super::rows::{Pairs, SqlRow};
use super::super::tables::{ID, SUBSCRIPTIONS, UPDATED_AT, columns};
use super::select::{Build, Cursor, Which, filter, filter_after};
use super::{ROWS_MAX, Reader, text_at, unclear};
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
