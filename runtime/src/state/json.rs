//! Members of a payload, read as leniently as stock gateways read them.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, Visitor};

/// A text, borrowed from the payload if it stands there without escapes.
pub(super) struct Str<'a>(pub(super) Cow<'a, str>);

impl<'a> Str<'a> {
    /// Takes a text that stands in the payload as it is.
    pub(super) fn plain(text: &'a str) -> Self {
        Self(Cow::Borrowed(text))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Str<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Text;
        impl<'de> Visitor<'de> for Text {
            type Value = Cow<'de, str>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text")
            }

            fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Cow::Borrowed(text))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Cow::Owned(text.to_owned()))
            }
        }
        from.deserialize_str(Text).map(Str)
    }
}

/// A truth value; the texts `true` and `false` count, and null is false.
#[derive(Default)]
pub(super) struct Flag(pub(super) bool);

impl Flag {
    /// The default of a member that is true when missing.
    pub(super) fn yes() -> Self {
        Self(true)
    }
}

impl<'de> Deserialize<'de> for Flag {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Truth;
        impl Visitor<'_> for Truth {
            type Value = Flag;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("true or false")
            }

            fn visit_bool<E: Error>(self, truth: bool) -> Result<Flag, E> {
                Ok(Flag(truth))
            }

            fn visit_unit<E: Error>(self) -> Result<Flag, E> {
                Ok(Flag(false))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Flag, E> {
                match text {
                    _ if text.eq_ignore_ascii_case("true") => Ok(Flag(true)),
                    _ if text.eq_ignore_ascii_case("false") => Ok(Flag(false)),
                    _ => Err(E::custom("neither true nor false")),
                }
            }
        }
        from.deserialize_any(Truth)
    }
}

/// Milliseconds since 1970, written as a number or as ISO 8601.
pub(super) struct Time(pub(super) i64);

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Millis;
        impl Visitor<'_> for Millis {
            type Value = Time;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a time")
            }

            fn visit_i64<E: Error>(self, millis: i64) -> Result<Time, E> {
                Ok(Time(millis))
            }

            fn visit_u64<E: Error>(self, millis: u64) -> Result<Time, E> {
                Ok(Time(i64::try_from(millis).unwrap_or(i64::MAX)))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Time, E> {
                iso_millis(text).map(Time).ok_or_else(|| E::custom("no time"))
            }
        }
        from.deserialize_any(Millis)
    }
}

/// Reads `2026-01-31T10:20:30[.123][Z|+01:00|+0100]`; without a zone it is UTC.
fn iso_millis(text: &str) -> Option<i64> {
    let (date, clock) = text.split_once(['T', ' ']).unwrap_or((text, "00:00:00"));
    let mut date = date.splitn(3, '-').map(|part| digits(part, i64::MAX));
    let (year, month, day) = (date.next()??, date.next()??, date.next()??);
    if year > 9999 || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let zone_at = clock.find(['Z', '+', '-']).unwrap_or(clock.len());
    let (clock, zone) = clock.split_at(zone_at);
    let offset = match zone.as_bytes() {
        [] | [b'Z'] => 0,
        [sign, ..] => {
            let zone: String = zone[1..].chars().filter(|c| *c != ':').collect();
            let (hours, minutes) = zone.split_at_checked(2)?;
            let minutes = if minutes.is_empty() { 0 } else { digits(minutes, 59)? };
            let minutes = digits(hours, 23)? * 60 + minutes;
            if *sign == b'-' { -minutes } else { minutes }
        }
    };
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, ""));
    let mut clock = clock.splitn(3, ':');
    let (hour, minute) = (digits(clock.next()?, 23)?, digits(clock.next()?, 59)?);
    let second = clock.next().map_or(Some(0), |second| digits(second, 60))?;
    let millis = match fraction.len() {
        0 => 0,
        _ => digits(format!("{fraction:0<3}").get(..3)?, 999)?,
    };
    // Days since 1970 in the Gregorian calendar, with years that begin in March.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = year * 365 + year.div_euclid(4) - year.div_euclid(100)
        + year.div_euclid(400)
        + (month * 153 + 2) / 5
        + day
        - 1
        - 719_468;
    Some((((days * 24 + hour) * 60 + minute - offset) * 60 + second) * 1000 + millis)
}

fn digits(text: &str, max: i64) -> Option<i64> {
    let all = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|number| all && *number <= max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn iso_times_are_read() {
        for (text, millis) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2025-10-09T08:53:20Z", 1_760_000_000_000),
            ("2025-10-09T10:53:20.007+02:00", 1_760_000_000_007),
            ("2025-10-09T08:53:20.5+0000", 1_760_000_000_500),
            ("2024-02-29", 1_709_164_800_000),
        ] {
            assert_eq!(iso_millis(text), Some(millis), "{text}");
        }
        for bad in ["", "x", "2025-13-01", "2025-10-09T25:00:00Z", "2025-10-09T08:53:20Zebra+1é"] {
            assert_eq!(iso_millis(bad), None, "{bad}");
        }
    }
}
