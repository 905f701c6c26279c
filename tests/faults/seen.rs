//! What one node told so far, held against what it told before.

use std::collections::HashMap;

use zonesync::admin::{Action, EntityText, parse_position};
use zonesync::core::id::Position;

use crate::rows::revision;

/// A row, by its kind and the number of its pair.
pub(crate) type Name = (Kind, usize);

/// The two kinds whose rows change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Kind {
    /// Subscriptions.
    Subscription,
    /// API keys.
    Key,
}

/// A revision, and whether it is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Value {
    /// Counted from one.
    pub(crate) revision: u32,
    /// It is deployed, and not taken away.
    pub(crate) on: bool,
}

/// What is wrong with a change that a node told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It brings back what is older.
    Back,
    /// It was told before, to the byte.
    Twice,
    /// Its position is below one that was told before.
    Position,
}

/// What one node told so far.
#[derive(Debug)]
pub(crate) struct Seen {
    rows: HashMap<Name, Value>,
    /// What each row said last.
    payloads: HashMap<Name, Option<String>>,
    position: Position,
}

impl Default for Seen {
    fn default() -> Self {
        Self { rows: HashMap::new(), payloads: HashMap::new(), position: Position::START }
    }
}

impl Seen {
    /// Takes in an entity of a listing, which is not held against anything.
    pub(crate) fn list(&mut self, entity: &EntityText) {
        if let Some((name, revision)) = read(entity) {
            self.rows.insert(name, Value { revision, on: true });
        }
    }

    /// Gives the revision of each row that is there.
    pub(crate) fn deployed(&self) -> HashMap<Name, u32> {
        let on = self.rows.iter().filter(|(_, value)| value.on);
        on.map(|(name, value)| (*name, value.revision)).collect()
    }

    /// Takes in the position of a listing.
    pub(crate) fn stand(&mut self, position: Position) {
        self.position = position;
    }

    /// Takes in a change, and gives what it said and what is wrong with it. None if the change is of no
    /// row that is watched.
    pub(crate) fn change(
        &mut self,
        position: &str,
        action: Action,
        entity: &EntityText,
    ) -> Option<(Name, Value, Option<Fault>)> {
        let back = match parse_position(position) {
            Some(position) if position >= self.position => {
                self.position = position;
                false
            }
            _ => true,
        };
        let name = name(entity)?;
        let held = self.rows.get(&name).copied();
        let value = match action {
            Action::Deploy => Value { revision: read(entity)?.1, on: true },
            Action::Undeploy => Value { revision: held.map_or(0, |held| held.revision), on: false },
        };
        let said = self.payloads.insert(name, entity.payload.clone());
        let again = said.is_some_and(|said| said == entity.payload);
        self.rows.insert(name, value);
        let fault = match held {
            _ if back => Some(Fault::Position),
            Some(held) if held == value && again => Some(Fault::Twice),
            // A revision that was taken away never comes back: the next one does.
            Some(held) if value.on && !held.on && value.revision <= held.revision => {
                Some(Fault::Back)
            }
            Some(held) if value.revision < held.revision => Some(Fault::Back),
            _ => None,
        };
        Some((name, value, fault))
    }
}

fn name(entity: &EntityText) -> Option<Name> {
    let number = |prefix| entity.id.strip_prefix(prefix)?.parse().ok();
    match entity.kind.as_str() {
        "SUBSCRIPTION" => Some((Kind::Subscription, number("sub-")?)),
        "API_KEY" => Some((Kind::Key, number("key-")?)),
        _ => None,
    }
}

fn read(entity: &EntityText) -> Option<(Name, u32)> {
    Some((name(entity)?, revision(entity.payload.as_deref()?)?))
}
