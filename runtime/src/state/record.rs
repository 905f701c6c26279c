//! The records of a state: what is kept of each entity besides its payload.

use std::sync::Arc;

use zonesync_core::id::EntityKeyBuf;
use zonesync_core::time::WallTime;

use super::access::Entry;
use super::certificate::THUMBPRINT;
use super::facts::{self, Credential, Dictionary, KeyFacts, SubscriptionFacts};
use super::hash::Seed;
use super::payload::{Block, Payload, Text};

/// A subscription and a key side by side, in one line of the processor's cache.
///
/// A key has the number of its subscription if it is the first, so that a lookup finds both in one
/// place. Further keys of a subscription take numbers whose subscription stays free.
#[derive(Clone, Default)]
pub(super) struct Pair {
    pub(super) subscription: SubscriptionRecord,
    pub(super) key: KeyRecord,
}

impl Pair {
    /// Gives what `access` knows of the key, if it has this number.
    pub(super) fn entry(&self, number: u32) -> Entry {
        let (subscription, key) = (&self.subscription, &self.key);
        if key.subscription != number || !subscription.is_usable() {
            return Entry { number, plan: 0, window: Window::NEVER };
        }
        let window = Window::new(subscription.from, subscription.until, key.expiry);
        Entry { number, plan: subscription.plan(), window }
    }
}

/// A subscription: a usable one, or one that is awaited since keys name it, or a free place.
#[derive(Clone, Default)]
pub(super) struct SubscriptionRecord {
    /// None in a free place.
    pub(super) payload: Option<Payload>,
    /// The name of the API or product it belongs to.
    pub(super) scope: u32,
    pub(super) terms: Terms,
    pub(super) id: Text,
    /// A client id, or thumbprints without a gap, as the form says.
    pub(super) credential: Text,
    pub(super) from: Second,
    pub(super) until: Second,
}

/// What a [`SubscriptionRecord`] holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Form {
    #[default]
    Free,
    /// Only scope and id: keys name it, and it may come.
    Awaited,
    /// Found by its id only.
    Plain,
    /// Found by a client id, too.
    Client,
    /// Found by certificates, too.
    Certificates,
}

/// The name of a plan and a [`Form`], in four bytes.
#[derive(Clone, Copy, Default)]
pub(super) struct Terms(u32);

impl Terms {
    const PLAN_BITS: u32 = 29;

    pub(super) fn new(plan: u32, form: Form) -> Self {
        assert!(plan >> Self::PLAN_BITS == 0, "fewer than 2^29 names");
        Self((form as u32) << Self::PLAN_BITS | plan)
    }
}

impl SubscriptionRecord {
    /// Makes the record of a usable subscription with a copy of its payload. `facts` are what was
    /// read from it.
    pub(super) fn new(
        id: &str,
        payload: &[u8],
        facts: &SubscriptionFacts<'_>,
        scope: u32,
        plan: u32,
    ) -> Self {
        let mut block = Block::new(payload);
        // The id stands in the payload, so it takes no room of its own.
        let id = if facts.id == id { &facts.id } else { id };
        let id = block.text(id.as_bytes());
        let (form, credential) = match &facts.credential {
            Credential::None => (Form::Plain, Default::default()),
            Credential::Client(client) => (Form::Client, block.text(client.as_bytes())),
            Credential::Certificates(all) => (Form::Certificates, block.text(all.as_bytes())),
        };
        let until = facts.ending.map_or(Second::LAST, Second::new);
        Self {
            payload: Some(block.finish()),
            scope,
            terms: Terms::new(plan, form),
            id,
            credential,
            from: facts.starting.map_or(Second::FIRST, Second::new),
            until: if facts.accepted { until } else { Second::FIRST },
        }
    }

    /// Makes the record of a subscription that keys name.
    pub(super) fn awaited(scope: u32, id: &[u8]) -> Self {
        let mut block = Block::new(b"");
        let id = block.text(id);
        let payload = Some(block.finish());
        Self { payload, scope, id, terms: Terms::new(0, Form::Awaited), ..Self::default() }
    }

    /// Hashes each credential.
    pub(super) fn credential_hashes(&self, seed: &Seed) -> impl Iterator<Item = u64> + use<> {
        let (scope, text) = (self.scope, self.credential());
        let client = (self.form() == Form::Client).then(|| seed.client(scope, text));
        let prints = if self.form() == Form::Certificates { text } else { &[] };
        let prints = prints.chunks(THUMBPRINT).map(|print| seed.certificate(scope, print));
        // Nearly all have no certificate, and an empty list takes no memory.
        client.into_iter().chain(prints.collect::<Vec<_>>())
    }

    /// Whether the entity is here and can be used.
    #[inline]
    pub(super) fn is_usable(&self) -> bool {
        !matches!(self.form(), Form::Free | Form::Awaited)
    }

    /// Whether it opens anything at `at`.
    #[inline]
    pub(super) fn is_valid(&self, at: At) -> bool {
        let dates = || facts::dates(self.payload.as_ref()?.bytes());
        let starting = || dates().and_then(|dates| dates.0).unwrap_or(i64::MAX);
        let ending = || dates().and_then(|dates| dates.1).unwrap_or(i64::MIN);
        self.is_usable() && !self.from.is_after(at, starting) && self.until.is_after(at, ending)
    }

    #[inline]
    pub(super) fn plan(&self) -> u32 {
        self.terms.0 & ((1 << Terms::PLAN_BITS) - 1)
    }

    #[inline]
    pub(super) fn form(&self) -> Form {
        let all = [Form::Free, Form::Awaited, Form::Plain, Form::Client, Form::Certificates];
        all[(self.terms.0 >> Terms::PLAN_BITS) as usize]
    }

    pub(super) fn id(&self) -> &[u8] {
        self.payload.as_ref().map_or(&[], |payload| payload.text(self.id))
    }

    pub(super) fn credential(&self) -> &[u8] {
        self.payload.as_ref().map_or(&[], |payload| payload.text(self.credential))
    }
}

/// An API key: a usable one, or a free place.
#[derive(Clone, Default)]
pub(super) struct KeyRecord {
    /// None in a free place.
    pub(super) payload: Option<Payload>,
    /// The number of its subscription, which says the scope as well.
    pub(super) subscription: u32,
    pub(super) id: Text,
    pub(super) key: Text,
    /// The first moment if the key opens nothing at all.
    pub(super) expiry: Second,
}

impl KeyRecord {
    /// Makes the record of a usable key with a copy of its payload. `facts` are what was read from it.
    pub(super) fn new(id: &str, payload: &[u8], facts: &KeyFacts<'_>, subscription: u32) -> Self {
        let mut block = Block::new(payload);
        let id = if facts.id == id { &facts.id } else { id };
        let id = block.text(id.as_bytes());
        let key = block.text(facts.key.as_bytes());
        let expiry = facts.expires.map_or(Second::LAST, Second::new);
        Self {
            payload: Some(block.finish()),
            subscription,
            id,
            key,
            expiry: if facts.active { expiry } else { Second::FIRST },
        }
    }

    pub(super) fn id(&self) -> &[u8] {
        self.payload.as_ref().map_or(&[], |payload| payload.text(self.id))
    }

    #[inline]
    pub(super) fn key(&self) -> &[u8] {
        self.payload.as_ref().map_or(&[], |payload| payload.text(self.key))
    }

    /// Whether the key itself opens anything at `at`.
    #[inline]
    pub(super) fn is_valid(&self, at: At) -> bool {
        let expires = || facts::expiry(self.payload.as_ref()?.bytes());
        self.expiry.is_after(at, || expires().unwrap_or(i64::MIN))
    }
}

/// Any other entity, or one that cannot be used.
pub(super) struct OtherRecord {
    pub(super) key: EntityKeyBuf,
    pub(super) payload: Payload,
    /// Why it cannot be used, if so.
    pub(super) reason: Option<Arc<str>>,
    pub(super) facts: OtherFacts,
}

/// What lookups need of an [`OtherRecord`].
pub(super) enum OtherFacts {
    /// Nothing.
    None,
    /// The environment of an API; empty if it is not known.
    Api(Box<str>),
    Product {
        environment: Box<str>,
        /// Names of the APIs it holds.
        apis: Box<[u32]>,
        /// The name of the product itself.
        name: u32,
    },
    Dictionary(Dictionary),
}

/// A time in four bytes: one more than its second, or a special code.
///
/// Within that very second, and past the year 2105, the payload must be asked.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Second(u32);

impl Second {
    /// Before all times of lookups.
    pub(super) const FIRST: Self = Self(0);
    /// After all of them.
    pub(super) const LAST: Self = Self(u32::MAX);
    const FAR: Self = Self(u32::MAX - 1);

    pub(super) fn new(millis: i64) -> Self {
        let second = |millis| u32::try_from(millis / 1000 + 1).map_or(Self::FAR, Self);
        if millis <= 0 { Self::FIRST } else { second(millis).min(Self::FAR) }
    }

    /// Whether `at` comes before it. `exact` gives the milliseconds if they must be asked.
    #[inline]
    fn is_after(self, at: At, exact: impl FnOnce() -> i64) -> bool {
        match self {
            Self::FIRST => false,
            Self::LAST => true,
            _ if self != Self::FAR && self != at.second => at.second < self,
            _ => at.millis < exact(),
        }
    }
}

/// A stretch of time in four bytes, in units of about 18 hours (2^16 seconds), rounded to the inside.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Window {
    from: u16,
    until: u16,
}

impl Window {
    const UNIT_MS: i64 = 1_000 << 16;

    /// Holds at no time.
    pub(super) const NEVER: Self = Self { from: 0, until: 0 };

    fn new(from: Second, until: Second, expiry: Second) -> Self {
        let unit = |millis: i64| u16::try_from(millis / Self::UNIT_MS).unwrap_or(u16::MAX);
        let until = until.min(expiry);
        if until == Second::FIRST {
            return Self::NEVER;
        }
        Self {
            from: unit(i64::from(from.0) * 1_000 + Self::UNIT_MS - 1),
            until: unit(i64::from(until.0 - 1) * 1_000),
        }
    }

    /// Whether `at` is surely within. If not, the exact times must be asked.
    #[inline]
    pub(super) fn holds(self, at: WallTime) -> bool {
        let (from, until) = (i64::from(self.from), i64::from(self.until));
        from * Self::UNIT_MS <= at.as_millis() && at.as_millis() < until * Self::UNIT_MS
    }
}

/// The time of a lookup, made ready for comparing. Times before 1970 count as its first moment.
#[derive(Clone, Copy)]
pub(super) struct At {
    second: Second,
    millis: i64,
}

impl From<WallTime> for At {
    #[inline]
    fn from(at: WallTime) -> Self {
        let millis = at.as_millis().max(0);
        // The very first second counts as one, too.
        Self { second: Second::new(millis.max(1)), millis }
    }
}

impl From<At> for i64 {
    fn from(at: At) -> Self {
        at.millis
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_as_small_as_the_memory_figure_needs() {
        assert_eq!((size_of::<SubscriptionRecord>(), size_of::<KeyRecord>()), (32, 24));
    }

    #[test]
    fn a_key_expires_to_the_millisecond() {
        for expires in [1, 999, 1_000, 1_790_000_000_123, 9_000_000_000_000] {
            let payload = format!(r#"{{"expireAt":{expires}}}"#);
            let key = KeyRecord {
                payload: Some(Block::new(payload.as_bytes()).finish()),
                expiry: Second::new(expires),
                ..KeyRecord::default()
            };
            let valid = |millis| key.is_valid(WallTime::from_millis(millis).into());
            assert!(valid(0) && valid(expires - 1));
            assert!(!valid(expires) && !valid(expires + 1) && !valid(i64::MAX));
        }
        assert!(!KeyRecord::default().is_valid(WallTime::from_millis(0).into()));
    }

    #[test]
    fn a_subscription_is_valid_to_the_millisecond() {
        let times = [1, 999, 1_000, 1_001, 1_790_000_000_123, 9_000_000_000_000, 9_000_000_000_999];
        for (from, until) in times.iter().flat_map(|from| times.map(|until| (*from, until))) {
            let payload = format!(r#"{{"startingAt":{from},"endingAt":{until}}}"#);
            let record = SubscriptionRecord {
                payload: Some(Block::new(payload.as_bytes()).finish()),
                terms: Terms::new(0, Form::Plain),
                from: Second::new(from),
                until: Second::new(until),
                ..SubscriptionRecord::default()
            };
            for at in times.iter().flat_map(|time| [time - 1, *time, time + 1]) {
                let valid = record.is_valid(WallTime::from_millis(at).into());
                assert_eq!(valid, from <= at && at < until, "{from} {until} {at}");
            }
        }
    }

    #[test]
    fn terms_keep_plan_and_form() {
        use Form::{Awaited, Certificates, Client, Free, Plain};
        for form in [Free, Awaited, Plain, Client, Certificates] {
            let terms = Terms::new((1 << 29) - 1, form);
            let record = SubscriptionRecord { terms, ..Default::default() };
            assert_eq!((record.plan(), record.form()), ((1 << 29) - 1, form));
        }
    }

    #[test]
    fn a_window_holds_only_while_all_times_do() {
        let unit = Window::UNIT_MS;
        let times = [0, 1, unit - 1, unit, 3 * unit + 5, 30_000 * unit, 9_000_000_000_000];
        for (from, until, expires) in [(0, 1, 2), (1, 3, 2), (2, 5, 5), (0, 6, 6), (3, 6, 5)] {
            let (from, until, expires) = (times[from], times[until], times[expires]);
            let window = Window::new(Second::new(from), Second::new(until), Second::new(expires));
            for at in times.iter().flat_map(|t| [t - 1, *t, t + 1, t + unit]) {
                let holds = from <= at && at < until && at < expires;
                assert!(holds || !window.holds(WallTime::from_millis(at)), "{from} {until} {at}");
            }
        }
        let always = Window::new(Second::FIRST, Second::LAST, Second::LAST);
        assert!(always.holds(WallTime::from_millis(1_760_000_000_000)));
        assert!(!always.holds(WallTime::from_millis(i64::MAX)));
    }
}
