//! A read of what changed.
//!
//! The window begins 30 s before the newest row that was seen, as rows may be committed late and
//! clocks differ. What rests on a changed row is read again by id, however old it is: the APIs of a
//! product, the subscriptions of an API or product whose plans changed, the keys of a subscription,
//! the subscriptions of a key.

use std::collections::BTreeSet;

use zonesync_core::entity::Kind;
use zonesync_core::format::Source;
use zonesync_core::id::EntityKeyBuf;
use zonesync_core::time::WallTime;

use super::Sql;
use super::probe::Newest;
use super::reader::{IDS_MAX, Reader, Which};
use crate::repository::mapping::stream::{Piece, Stream};
use crate::repository::mapping::{Table, event_types};
use crate::repository::{Reading, RepositoryError};

/// How far before the newest row seen a window begins, in milliseconds.
const SLACK: i64 = 30_000;

/// The kinds that events are about.
const OF_EVENTS: [Kind; 5] =
    [Kind::ORGANIZATION, Kind::DICTIONARY, Kind::SHARED_POLICY_GROUP, Kind::API_PRODUCT, Kind::API];

impl Sql {
    /// Reads what changed since the last read, or since `source` if there was none. None means that
    /// only a read of everything can tell.
    pub(super) async fn read_since(
        &self,
        reader: &mut Reader,
        stream: &mut Stream,
        source: &Source,
        newest: &Newest,
    ) -> Result<Option<Reading>, RepositoryError> {
        let now = self.runtime.wall_now();
        let grounded = stream.is_grounded();
        let marks = if grounded { stream.marks() } else { *source };
        let from = |kinds: &[Kind]| self.window(&marks, kinds);
        let places = reader.places().await?;
        stream.begin(false, now, places)?;
        let environments = stream.environments()?;
        let groups = reader.groups().await?;
        let groups = groups.iter().map(|(id, environment)| (&**id, &**environment));
        if stream.groups(groups) && grounded {
            return Ok(None);
        }
        for (table, kind) in
            [(Table::Licenses, Kind::LICENSE), (Table::AccessPoints, Kind::ACCESS_POINT)]
        {
            stream.take(&reader.small(table, from(&[kind])).await?)?;
        }
        let mut due = BTreeSet::new();
        let window = Which::dated(None, from(&OF_EVENTS));
        if grounded {
            self.read_events(reader, stream, &window, |_| {}).await?;
        } else {
            self.read_events(reader, stream, &Which::all(), |_| {}).await?;
            stream.touched();
            self.read_events(reader, stream, &window, |piece| due.extend(piece.parents())).await?;
            stream.only_changed(&due);
        }
        let resold = stream.resold();
        if grounded && !resold.is_empty() {
            let ids = Which::Ids(resold.into_iter().map(String::from).collect());
            self.read_events(reader, stream, &ids, |_| {}).await?;
        }
        due.extend(stream.touched());
        if stream.left() && grounded {
            return Ok(None);
        }
        for parent in &due {
            self.read_children(reader, stream, parent).await?;
        }
        for table in [Table::Subscriptions, Table::Keys] {
            let kind = if table == Table::Keys { Kind::API_KEY } else { Kind::SUBSCRIPTION };
            let from = from(&[kind]);
            let mut changed: Vec<_> =
                newest.environments(table, from).into_iter().map(Some).collect();
            if environments.is_empty() {
                // An older row may belong to no environment.
                changed.push(None);
            } else {
                changed.retain(|id| id.as_ref().is_some_and(|id| environments.contains(id)));
            }
            for environment in changed {
                // A table without environments is one.
                let environment = Some(environment).filter(|id| id.as_deref() != Some(""));
                let window = Which::dated(environment, from);
                self.read_pages(reader, stream, table, &window).await?;
            }
        }
        Ok(Some(stream.end()))
    }

    /// Gives where the window of some kinds begins, on the database's clock.
    fn window(&self, marks: &Source, kinds: &[Kind]) -> Option<i64> {
        let newest = kinds.iter().filter_map(|kind| marks.newest(*kind)).max()?;
        let from = WallTime::from_millis(newest.as_millis().saturating_sub(SLACK));
        Some(self.zone.clock_from(from))
    }

    /// Reads the subscriptions of an API or product, and their keys.
    async fn read_children(
        &self,
        reader: &mut Reader,
        stream: &mut Stream,
        parent: &EntityKeyBuf,
    ) -> Result<(), RepositoryError> {
        let parent = parent.as_ref();
        let word = if parent.kind == Kind::API { "API" } else { "API_PRODUCT" };
        let mut all = vec![Which::Scope(Some(word), parent.id.to_owned())];
        if parent.kind == Kind::API {
            // Older rows name their API in a column of its own.
            all.push(Which::Scope(None, parent.id.to_owned()));
        }
        for which in all {
            self.read_pages(reader, stream, Table::Subscriptions, &which).await?;
        }
        Ok(())
    }

    /// Reads subscriptions with the keys that open them, or keys with the subscriptions they open.
    pub(super) async fn read_pages(
        &self,
        reader: &mut Reader,
        stream: &mut Stream,
        table: Table,
        which: &Which,
    ) -> Result<(), RepositoryError> {
        let mut after = None;
        loop {
            if table == Table::Keys {
                let (piece, next) = reader.keys(which, after.as_ref()).await?;
                take_keys(reader, stream, &piece).await?;
                after = next;
            } else {
                let (piece, next) = reader.subscriptions(which, after.as_ref()).await?;
                stream.take(&piece)?;
                let ids: Vec<String> = piece.ids(Table::Subscriptions).map(String::from).collect();
                for ids in ids.chunks(IDS_MAX) {
                    let keys = Which::Subscriptions(ids.to_vec());
                    let mut after = None;
                    loop {
                        let (piece, next) = reader.keys(&keys, after.as_ref()).await?;
                        take_keys(reader, stream, &piece).await?;
                        after = next;
                        if after.is_none() {
                            break;
                        }
                    }
                }
                after = next;
            }
            if after.is_none() {
                return Ok(());
            }
        }
    }

    /// Reads events: products first, as APIs rest on them.
    pub(super) async fn read_events(
        &self,
        reader: &mut Reader,
        stream: &mut Stream,
        which: &Which,
        mut seen: impl FnMut(&Piece),
    ) -> Result<(), RepositoryError> {
        for products in [true, false] {
            let types = event_types(|kind| (kind == Kind::API_PRODUCT) == products);
            let mut after = None;
            loop {
                let (piece, next) = reader.events(&types, which, after.as_ref()).await?;
                stream.take(&piece)?;
                seen(&piece);
                after = next;
                if after.is_none() {
                    break;
                }
            }
        }
        Ok(())
    }
}

/// Maps keys, after the subscriptions that they open.
pub(super) async fn take_keys(
    reader: &mut Reader,
    stream: &mut Stream,
    keys: &Piece,
) -> Result<(), RepositoryError> {
    let unknown: BTreeSet<&str> =
        keys.subscriptions_of_keys().filter(|id| !stream.knows_subscription(id)).collect();
    let unknown: Vec<String> = unknown.into_iter().map(String::from).collect();
    for ids in unknown.chunks(IDS_MAX) {
        let which = Which::Ids(ids.to_vec());
        let mut after = None;
        loop {
            let (piece, next) = reader.subscriptions(&which, after.as_ref()).await?;
            stream.take(&piece)?;
            after = next;
            if after.is_none() {
                break;
            }
        }
    }
    stream.take(keys)
}
