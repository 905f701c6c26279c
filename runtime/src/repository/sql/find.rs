//! Looks rows up by id: was an entity taken away, or was it only not read?

use std::collections::BTreeSet;

use zonesync_core::entity::Kind;
use zonesync_core::id::{EntityKey, EntityKeyBuf};

use super::Sql;
use super::reader::{IDS_MAX, Reader, Which};
use super::since::take_keys;
use crate::repository::mapping::Table;
use crate::repository::mapping::stream::Stream;
use crate::repository::{Found, RepositoryError};

impl Sql {
    pub(super) async fn look_up(
        &self,
        reader: &mut Reader,
        stream: &mut Stream,
        keys: &[EntityKeyBuf],
    ) -> Result<Vec<Found>, RepositoryError> {
        let places = reader.places().await?;
        stream.begin(false, self.runtime.wall_now(), places)?;
        let of = |wanted: &dyn Fn(Kind) -> bool| -> Vec<String> {
            let keys = keys.iter().map(EntityKeyBuf::as_ref).filter(|key| wanted(key.kind));
            keys.map(|key| key.id.to_owned()).collect::<BTreeSet<_>>().into_iter().collect()
        };
        let asked = |kind: Kind| keys.iter().any(|key| key.as_ref().kind == kind);
        // What there is a row for, whatever it says.
        let mut rows = BTreeSet::new();
        for (table, kind) in
            [(Table::Licenses, Kind::LICENSE), (Table::AccessPoints, Kind::ACCESS_POINT)]
        {
            if asked(kind) {
                let piece = reader.small(table, None).await?;
                rows.extend(piece.keys());
                stream.take(&piece)?;
            }
        }
        // Groups are known by another id than that of their row.
        let groups = asked(Kind::SHARED_POLICY_GROUP);
        if groups || !stream.is_grounded() {
            let groups = reader.groups().await?;
            stream.groups(groups.iter().map(|(id, environment)| (&**id, &**environment)));
            let all = Which::all();
            self.read_events(reader, stream, &all, |piece| rows.extend(piece.keys())).await?;
        } else {
            let by_event = |kind: Kind| {
                [Kind::ORGANIZATION, Kind::DICTIONARY, Kind::API_PRODUCT, Kind::API].contains(&kind)
            };
            for ids in of(&by_event).chunks(IDS_MAX) {
                let which = Which::Ids(ids.to_vec());
                self.read_events(reader, stream, &which, |piece| rows.extend(piece.keys())).await?;
            }
        }
        for ids in of(&|kind| kind == Kind::SUBSCRIPTION).chunks(IDS_MAX) {
            let which = Which::Ids(ids.to_vec());
            let mut after = None;
            loop {
                let (piece, next) = reader.subscriptions(&which, after.as_ref()).await?;
                rows.extend(piece.keys());
                stream.take(&piece)?;
                after = next;
                if after.is_none() {
                    break;
                }
            }
        }
        let mut opened = BTreeSet::new();
        for ids in of(&|kind| kind == Kind::API_KEY).chunks(IDS_MAX) {
            let which = Which::Ids(ids.to_vec());
            let mut after = None;
            loop {
                let (piece, next) = reader.keys(&which, after.as_ref()).await?;
                opened.extend(piece.openings());
                take_keys(reader, stream, &piece).await?;
                after = next;
                if after.is_none() {
                    break;
                }
            }
        }
        let has_row = |key: EntityKey<'_>| match key.kind {
            Kind::NODE_METADATA => true,
            // A key that no longer names the subscription has no row for this entity.
            Kind::API_KEY => opened.contains(&(key.id.into(), key.subscription.into())),
            Kind::SHARED_POLICY_GROUP => {
                rows.contains(&EntityKeyBuf::from(EntityKey::new(key.kind, key.id)))
            }
            _ => rows.contains(&EntityKeyBuf::from(key)),
        };
        Ok(stream.found(keys, has_row))
    }
}
