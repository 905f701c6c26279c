//! What readers see: a state at one position, and a subscription in it.

use std::fmt;
use std::sync::Arc;

use zonesync_core::digest::{Digest, DigestKey};
use zonesync_core::entity::{Kind, Version};
use zonesync_core::id::{EntityKey, EntityKeyBuf, Position};
use zonesync_core::time::WallTime;

use super::record::SubscriptionRecord;
use super::root::{Root, utf8};

/// A state at one position. Holding a view never delays the writer; it holds the memory of what was
/// replaced since.
///
/// Lookups with a plan give only a subscription to that plan. They take the time as an argument: a
/// subscription matches if it is accepted and `startingAt <= at < endingAt`, a key if it is neither
/// revoked, paused nor inactive and `at < expireAt`. Both must match.
///
/// An API's own keys and subscriptions come first, then those of each API product that holds it, by
/// product id. A product holds the APIs it lists, if it has a published or deprecated plan and is
/// not said to be of another environment than the API. Of several that match in one scope, the one
/// with the lowest subscription id is given.
#[derive(Clone)]
pub struct View {
    pub(super) root: Arc<Root>,
}

/// A subscription that matched, borrowed from a [`View`].
#[derive(Clone, Copy)]
pub struct Subscription<'a> {
    root: &'a Root,
    number: u32,
}

impl<'a> Subscription<'a> {
    #[inline]
    pub(super) fn new(root: &'a Root, number: u32) -> Self {
        Self { root, number }
    }

    fn record(&self) -> &'a SubscriptionRecord {
        self.root.subscription(self.number)
    }

    /// Gives its id.
    pub fn id(&self) -> &'a str {
        utf8(self.record().id())
    }

    /// Gives the API or API product it belongs to.
    pub fn scope(&self) -> &'a str {
        self.root.names.text(self.record().scope)
    }

    /// Gives the plan it subscribes to.
    pub fn plan(&self) -> &'a str {
        self.root.names.text(self.record().plan())
    }

    /// Gives its payload, byte for byte as published.
    pub fn payload(&self) -> &'a [u8] {
        self.record().payload.as_ref().map_or(&[], |payload| payload.bytes())
    }

    /// Says whether it is accepted, has started and has not ended at `at`.
    pub fn is_valid(&self, at: WallTime) -> bool {
        self.record().is_valid(at.into())
    }
}

impl fmt::Debug for Subscription<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Subscription({} {})", self.scope(), self.id())
    }
}

/// The entities that cannot be used: their payloads cannot be read, or the host rejected them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unusable {
    /// Some of them with the reason, the lowest keys: at most [`Unusable::LISTED_MAX`].
    pub listed: Vec<(EntityKeyBuf, Arc<str>)>,
    /// How many there are in all.
    pub total: usize,
}

impl Unusable {
    /// The most that are listed.
    pub const LISTED_MAX: usize = 100;
}

impl View {
    pub(super) fn new(root: Arc<Root>) -> Self {
        Self { root }
    }

    /// Gives the position.
    pub fn position(&self) -> Position {
        self.root.position
    }

    /// Gives counts and sums.
    pub fn digest(&self) -> &Digest {
        &self.root.digest
    }

    /// Gives the payload of an entity, byte for byte as published, whether it can be used or not.
    pub fn get(&self, key: EntityKey<'_>) -> Option<&[u8]> {
        Some(self.root.payload(self.root.place(key)?).bytes())
    }

    /// Finds a subscription by its id, whatever its dates and status.
    pub fn subscription(&self, id: &str) -> Option<Subscription<'_>> {
        self.found(self.root.by_id(id))
    }

    /// Finds the subscription of `client` to `api`, or to a product that holds it; with a plan, only
    /// on that plan. A subscription with a certificate is not found by its client.
    pub fn by_client(
        &self,
        api: &str,
        client: &str,
        plan: Option<&str>,
        at: WallTime,
    ) -> Option<Subscription<'_>> {
        self.found(self.root.by_client(api, client, plan, at.into()))
    }

    /// Finds the subscription that an API key opens on `api`, or on a product that holds it.
    ///
    /// It is the one that the key names, in the key's own scope; if that has none, in the API's or
    /// in that of a product that holds it.
    #[inline]
    pub fn by_key(
        &self,
        api: &str,
        key: &str,
        plan: Option<&str>,
        at: WallTime,
    ) -> Option<Subscription<'_>> {
        self.found(self.root.by_key(api, key, plan, at))
    }

    /// The same, by the lower-case hex MD5 of the key.
    pub fn by_md5(
        &self,
        api: &str,
        md5: &str,
        plan: Option<&str>,
        at: WallTime,
    ) -> Option<Subscription<'_>> {
        self.found(self.root.by_md5(api, md5, plan, at.into()))
    }

    /// Finds the subscription of a client certificate by its thumbprint: base64url without padding
    /// of the SHA-256 of its DER.
    ///
    /// Certificates are read from PEM and from base64 of PEM, each of a bundle. Those in PKCS#7 are
    /// not read: their subscription is found by its id only.
    pub fn by_certificate(
        &self,
        api: &str,
        thumbprint: &str,
        plan: Option<&str>,
        at: WallTime,
    ) -> Option<Subscription<'_>> {
        self.found(self.root.by_certificate(api, thumbprint, plan, at.into()))
    }

    /// Gives a property of the dictionary that `environment` knows under `dictionary` (its key, or
    /// its id).
    ///
    /// Where two dictionaries of an environment have the same key, the one with the lowest id
    /// counts. A key comes before an id.
    pub fn dictionary_property(
        &self,
        environment: &str,
        dictionary: &str,
        property: &str,
    ) -> Option<&str> {
        self.root.property(environment, dictionary, property)
    }

    /// Goes through the entities of a kind, in no particular order.
    pub fn entities(&self, kind: Kind) -> Box<dyn Iterator<Item = (EntityKey<'_>, &[u8])> + '_> {
        Box::new(self.root.entities(kind))
    }

    /// Goes through all entities, sorted by key. Payloads are not copied.
    pub fn sorted(&self) -> Box<dyn Iterator<Item = (EntityKey<'_>, &[u8])> + '_> {
        Box::new(self.root.sorted())
    }

    /// Hands `changed` what a reader must change to come from `known`, its own list of keys and
    /// versions sorted by key, to this view: new and differing entities with their payload, gone
    /// ones with none.
    ///
    /// `digest_key` is the one that the reader's versions were made with. A list that is not sorted
    /// gives needless changes.
    pub fn difference<'k>(
        &self,
        digest_key: &DigestKey,
        known: &mut dyn Iterator<Item = (EntityKey<'k>, Version)>,
        changed: &mut dyn FnMut(EntityKey<'_>, Option<&[u8]>),
    ) {
        self.root.difference(digest_key, known, changed);
    }

    /// Tells which entities cannot be used, and why.
    pub fn unusable(&self) -> &Unusable {
        &self.root.unusable
    }

    fn found(&self, number: Option<u32>) -> Option<Subscription<'_>> {
        number.map(|number| Subscription::new(&self.root, number))
    }
}

impl fmt::Debug for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("View")
            .field("position", &self.position())
            .field("digest", self.digest())
            .finish_non_exhaustive()
    }
}
