//! Dates: wall clocks in the database, instants outside.
//!
//! The control plane writes what a clock on the wall of its zone shows, in microseconds and without
//! the zone. Where the clock is put back an hour is shown twice, and what was written in it counts
//! as the later one, as a gateway reads it.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use zonesync_core::time::WallTime;

const DAY: i64 = 86_400_000_000;

/// The zone whose clock the dates of a database show.
#[derive(Clone, Debug)]
pub(crate) struct Zone(Option<TimeZone>);

impl Zone {
    /// Finds a zone by its name, such as `UTC` or `Europe/Paris`.
    pub(crate) fn named(name: &str) -> Option<Self> {
        let utc = ["utc", "z", "gmt", "etc/utc"].iter().any(|utc| name.eq_ignore_ascii_case(utc));
        if utc || name.is_empty() {
            return Some(Self(None));
        }
        TimeZone::get(name).ok().map(|zone| Self(Some(zone)))
    }

    /// Gives the instant at which the clock showed this many microseconds since 1970.
    pub(crate) fn instant(&self, clock: i64) -> WallTime {
        let millis = clock.div_euclid(1000);
        let Some(zone) = &self.0 else { return WallTime::from_millis(millis) };
        let civil = Timestamp::from_microsecond(clock)
            .map(|shown| TimeZone::UTC.to_datetime(shown))
            .and_then(|shown| zone.to_ambiguous_timestamp(shown).later());
        civil.map_or(WallTime::from_millis(millis), |instant| {
            WallTime::from_millis(instant.as_microsecond().div_euclid(1000))
        })
    }

    /// Gives the least that the clock shows at `instant` or later, in microseconds since 1970.
    ///
    /// It is less than what the clock shows then, if it is put back soon after.
    pub(crate) fn clock_from(&self, instant: WallTime) -> i64 {
        let micros = instant.as_millis().saturating_mul(1000);
        let Some(zone) = &self.0 else { return micros };
        let Ok(at) = Timestamp::from_microsecond(micros) else { return micros };
        let mut least = shown(zone.to_datetime(at));
        // Clocks are put back by hours, never by a day: what comes later cannot show less.
        let soon = zone
            .following(at)
            .take_while(|change| change.timestamp().as_microsecond() - micros < DAY);
        for change in soon.take(4) {
            least = least.min(shown(zone.to_datetime(change.timestamp())));
        }
        least
    }
}

fn shown(clock: DateTime) -> i64 {
    TimeZone::UTC.to_timestamp(clock).map_or(i64::MIN, |at| at.as_microsecond())
}

/// Writes microseconds since 1970 as a database reads them.
pub(crate) fn written(clock: i64) -> String {
    // Before year 1 and after 9999 neither database has dates; the bounds include all that they do.
    let clock = clock.clamp(-62_135_596_800_000_000, 253_402_300_799_000_000);
    let (days, rest) = (clock.div_euclid(DAY), clock.rem_euclid(DAY));
    let (year, month, day) = date_of(days);
    let (seconds, micros) = (rest / 1_000_000, rest % 1_000_000);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}.{micros:06}")
}

/// Gives year, month and day of a day counted from 1970-01-01. Years begin in March inside.
fn date_of(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (year + era * 400 + next, month, day)
}

/// Gives the day, counted from 1970-01-01, of a date; the other way round.
#[cfg(feature = "mysql")]
pub(crate) fn day_of(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = 365 * year + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    days + (153 * month + 2) / 5 + day - 1 - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    fn micros(text: &str) -> i64 {
        text.parse::<Timestamp>().unwrap().as_microsecond()
    }

    #[test]
    fn dates_are_written_as_they_are_read() {
        for text in [
            "1970-01-01T00:00:00Z",
            "2024-02-29T23:59:59.000001Z",
            "1969-12-31T23:59:59.999999Z",
            "2000-03-01T00:00:00Z",
            "2100-12-31T12:00:00.5Z",
        ] {
            let micros = micros(text);
            let back: DateTime = written(micros).replace(' ', "T").parse().unwrap();
            assert_eq!(shown(back), micros, "{text}");
        }
        assert_eq!(written(i64::MIN), "0001-01-01 00:00:00.000000");
        assert_eq!(written(i64::MAX), "9999-12-31 23:59:59.000000");
    }

    #[test]
    fn an_hour_that_comes_twice_is_the_later_one() {
        let paris = Zone::named("Europe/Paris").unwrap();
        // 2025-10-26, 03:00 becomes 02:00.
        let clock = micros("2025-10-26T02:30:00Z");
        assert_eq!(paris.instant(clock).as_millis() * 1000, micros("2025-10-26T01:30:00Z"));
        // In spring 02:30 does not exist; one hour later it was 03:30.
        let clock = micros("2025-03-30T02:30:00Z");
        assert_eq!(paris.instant(clock).as_millis() * 1000, micros("2025-03-30T01:30:00Z"));
        let utc = Zone::named("UTC").unwrap();
        assert_eq!(utc.instant(1_999).as_millis(), 1);
        assert_eq!(utc.instant(-1).as_millis(), -1);
        assert!(Zone::named("Europe/Atlantis").is_none());
    }

    #[test]
    fn a_window_that_begins_before_the_clock_is_put_back_begins_early_enough() {
        let paris = Zone::named("Europe/Paris").unwrap();
        let at = |text: &str| WallTime::from_millis(micros(text) / 1000);
        // 02:50 in summer time; ten minutes later the clock shows 02:00 again.
        assert_eq!(paris.clock_from(at("2025-10-26T00:50:00Z")), micros("2025-10-26T02:00:00Z"));
        assert_eq!(paris.clock_from(at("2025-10-26T01:10:00Z")), micros("2025-10-26T02:10:00Z"));
        assert_eq!(paris.clock_from(at("2025-03-30T00:50:00Z")), micros("2025-03-30T01:50:00Z"));
        assert_eq!(paris.clock_from(at("2025-06-01T00:00:00Z")), micros("2025-06-01T02:00:00Z"));
    }
}
