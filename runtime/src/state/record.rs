//! The records of a state: what is kept of each entity besides its payload.

use std::sync::Arc;

use zonesync_core::id::EntityKeyBuf;
use zonesync_core::time::WallTime;

use super::access::Entry;
use super::facts::{self, Dictionary};
use super::payload::{Payload, Text};

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
        Entry { number, plan: subscription.plan, window }
    }
}

/// A subscription: a usable one, or one that is awaited since keys name it, or a free place.
#[derive(Clone, Default)]
pub(super) struct SubscriptionRecord {
    /// None in a free place.
    pub(super) payload: Option<Payload>,
    /// The name of the API or product it belongs to.
    pub(super) scope: u32,
    pub(super) plan: u32,
    pub(super) id: Text,
    /// A client id, or thumbprints without a gap, as `form` says.
    pub(super) credential: Text,
    pub(super) from: Moment,
    pub(super) until: Moment,
    pub(super) form: Form,
}

/// What a [`SubscriptionRecord`] holds.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
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

impl SubscriptionRecord {
    /// Whether the entity is here and can be used.
    #[inline]
    pub(super) fn is_usable(&self) -> bool {
        !matches!(self.form, Form::Free | Form::Awaited)
    }

    /// Whether it opens anything at `at`.
    #[inline]
    pub(super) fn is_valid(&self, at: At) -> bool {
        self.is_usable() && self.from.0 <= at.moment.0 && at.moment.0 < self.until.0
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
    pub(super) expiry: Expiry,
}

impl KeyRecord {
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
        match self.expiry.0 {
            Expiry::NEVER_VALID => false,
            Expiry::NEVER_EXPIRES => true,
            code if code != Expiry::FAR && code != at.second => at.second < code,
            _ => self.expires().is_some_and(|expires| i64::from(at) < expires),
        }
    }

    #[cold]
    fn expires(&self) -> Option<i64> {
        facts::expiry(self.payload.as_ref()?.bytes())
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

/// Milliseconds since 1970 in six bytes; what lies beyond counts as the nearest.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Moment([u8; 6]);

impl Moment {
    pub(super) const FIRST: Self = Self([0; 6]);
    pub(super) const LAST: Self = Self([0xff; 6]);

    pub(super) fn new(millis: i64) -> Self {
        let millis = millis.clamp(0, (1 << 48) - 1);
        // Big endian, so that comparing bytes compares numbers.
        let [_, _, bytes @ ..] = millis.to_be_bytes();
        Self(bytes)
    }

    fn millis(self) -> i64 {
        let [a, b, c, d, e, f] = self.0;
        i64::from_be_bytes([0, 0, a, b, c, d, e, f])
    }
}

/// When a key expires, in four bytes: one more than the second in which it does, or a special code.
/// Within that very second, and past the year 2105, the payload is asked.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Expiry(u32);

impl Expiry {
    const NEVER_VALID: u32 = 0;
    const NEVER_EXPIRES: u32 = u32::MAX;
    const FAR: u32 = u32::MAX - 1;

    pub(super) fn new(active: bool, expires: Option<i64>) -> Self {
        Self(match expires {
            _ if !active => Self::NEVER_VALID,
            None => Self::NEVER_EXPIRES,
            Some(millis) if millis <= 0 => Self::NEVER_VALID,
            Some(millis) => At::second(millis),
        })
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

    fn new(from: Moment, until: Moment, expiry: Expiry) -> Self {
        let unit = |millis: i64| u16::try_from(millis / Self::UNIT_MS).unwrap_or(u16::MAX);
        let expires = match expiry.0 {
            Expiry::NEVER_VALID => return Self::NEVER,
            code => i64::from(code - 1) * 1_000,
        };
        Self {
            from: unit(from.millis() + Self::UNIT_MS - 1),
            until: unit(until.millis()).min(unit(expires)),
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
    moment: Moment,
    second: u32,
    millis: i64,
}

impl At {
    fn second(millis: i64) -> u32 {
        u32::try_from(millis / 1000 + 1).unwrap_or(Expiry::FAR).min(Expiry::FAR)
    }
}

impl From<WallTime> for At {
    #[inline]
    fn from(at: WallTime) -> Self {
        let millis = at.as_millis().clamp(0, (1 << 48) - 2);
        Self { moment: Moment::new(millis), second: Self::second(millis), millis }
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
    use crate::state::payload::Block;

    #[test]
    fn records_are_as_small_as_the_memory_figure_needs() {
        assert_eq!((size_of::<SubscriptionRecord>(), size_of::<KeyRecord>()), (40, 24));
    }

    #[test]
    fn a_key_expires_to_the_millisecond() {
        for expires in [1, 999, 1_000, 1_790_000_000_123, 9_000_000_000_000] {
            let payload = format!(r#"{{"expireAt":{expires}}}"#);
            let key = KeyRecord {
                payload: Some(Block::new(payload.as_bytes()).finish()),
                expiry: Expiry::new(true, Some(expires)),
                ..KeyRecord::default()
            };
            let valid = |millis| key.is_valid(WallTime::from_millis(millis).into());
            assert!(valid(0) && valid(expires - 1));
            assert!(!valid(expires) && !valid(expires + 1) && !valid(i64::MAX));
        }
        assert!(!KeyRecord::default().is_valid(WallTime::from_millis(0).into()));
    }

    #[test]
    fn a_window_holds_only_while_all_times_do() {
        let unit = Window::UNIT_MS;
        let times = [0, 1, unit - 1, unit, 3 * unit + 5, 30_000 * unit, 9_000_000_000_000];
        for (from, until, expires) in [(0, 1, 2), (1, 3, 2), (2, 5, 5), (0, 6, 6), (3, 6, 5)] {
            let (from, until) = (Moment::new(times[from]), Moment::new(times[until]));
            let expiry = Expiry::new(true, Some(times[expires]));
            let window = Window::new(from, until, expiry);
            for at in times.iter().flat_map(|t| [t - 1, *t, t + 1, t + unit]) {
                let time = WallTime::from_millis(at);
                let at = At::from(time);
                let holds = from <= at.moment && at.moment < until && at.millis < times[expires];
                assert!(holds || !window.holds(time));
            }
        }
        let always = Window::new(Moment::FIRST, Moment::LAST, Expiry::new(true, None));
        assert!(always.holds(WallTime::from_millis(1_760_000_000_000)));
        assert!(!always.holds(WallTime::from_millis(i64::MAX)));
    }

    #[test]
    fn moments_are_ordered_as_their_milliseconds() {
        let millis = [0, 1, 255, 256, 1_760_000_000_000, (1 << 48) - 2];
        assert!(millis.windows(2).all(|pair| Moment::new(pair[0]) < Moment::new(pair[1])));
        assert!(At::from(WallTime::from_millis(i64::MAX)).moment < Moment::LAST);
    }
}
