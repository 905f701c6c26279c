//! Scalars, and what they mean to a key of a given type.
//!
//! A plain scalar of a file follows YAML 1.1, as stock gateways read it (`yes`, `30_000`, `0x10`);
//! text (quoted, or from a variable) follows Spring's conversions. A text key takes what was typed.

use std::time::Duration;

/// How a value was written, which decides what it may mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    /// An unquoted scalar of a file.
    Plain,
    /// Quoted, or from a variable or a property.
    Text,
    /// Taken whole from another value by a placeholder: either rule will do.
    Through,
}

/// What YAML 1.1 makes of a plain scalar.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Plain {
    /// `~`, `null` or nothing.
    Null,
    /// `yes`, `off`, ...
    Bool(bool),
    /// A number without a point; none if it fits no 64 bits.
    Int(Option<i64>),
    /// A number with a point or an exponent.
    Float(f64),
    /// Anything else.
    Text,
}

/// Resolves a plain scalar as YAML 1.1 does.
pub(super) fn plain(text: &str) -> Plain {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Plain::Null,
        "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => {
            return Plain::Bool(true);
        }
        "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            return Plain::Bool(false);
        }
        _ => {}
    }
    if let Some(int) = plain_int(text) {
        return Plain::Int(int);
    }
    plain_float(text).map_or(Plain::Text, Plain::Float)
}

/// Reads a bool.
pub(super) fn bool(text: &str, style: Style) -> Option<bool> {
    let by_yaml = || match plain(text) {
        Plain::Bool(value) => Some(value),
        Plain::Text => spring_bool(text),
        _ => None,
    };
    match style {
        Style::Plain => by_yaml(),
        Style::Text => spring_bool(text),
        Style::Through => by_yaml().or_else(|| spring_bool(text)),
    }
}

/// Reads a whole number. A plain number with a point is cut, as stock gateways do.
pub(super) fn int(text: &str, style: Style) -> Option<i64> {
    let by_yaml = || match plain(text) {
        Plain::Int(value) => value,
        Plain::Float(value) => Some(value as i64),
        Plain::Text => spring_int(text),
        Plain::Null | Plain::Bool(_) => None,
    };
    match (style, plain(text)) {
        (Style::Plain, _) => by_yaml(),
        // What came through as text is no longer cut.
        (Style::Through, Plain::Int(Some(value))) => Some(value),
        (Style::Text | Style::Through, _) => spring_int(text),
    }
}

/// Reads a time: a number with `ms`, `s`, `m`, `h` or `d`; a bare number is milliseconds.
pub(super) fn duration(text: &str, style: Style) -> Option<Duration> {
    let (number, unit) = with_unit(text, style)?;
    let millis = match unit.as_str() {
        "" | "ms" => 1,
        "s" => 1_000,
        "m" | "min" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    number.checked_mul(millis).map(Duration::from_millis)
}

/// Reads a size: a number with `KiB`, `MiB`, `GiB`, `kB`, `MB` or `GB`; a bare number is bytes.
pub(super) fn size(text: &str, style: Style) -> Option<u64> {
    let (number, unit) = with_unit(text, style)?;
    let bytes = match unit.as_str() {
        "" | "b" => 1,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "kib" => 1 << 10,
        "mib" => 1 << 20,
        "gib" => 1 << 30,
        _ => return None,
    };
    number.checked_mul(bytes)
}

/// Splits a number from its unit, which comes in lower case. A negative number is none.
fn with_unit(text: &str, style: Style) -> Option<(u64, String)> {
    if let Some(number) = int(text, style) {
        return Some((u64::try_from(number).ok()?, String::new()));
    }
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '_').unwrap_or(text.len());
    let number = text[..digits].replace('_', "").parse().ok()?;
    Some((number, text[digits..].trim().to_ascii_lowercase()))
}

fn spring_bool(text: &str) -> Option<bool> {
    match text.trim().to_ascii_lowercase().as_str() {
        "true" | "on" | "yes" | "1" => Some(true),
        "false" | "off" | "no" | "0" => Some(false),
        _ => None,
    }
}

fn spring_int(text: &str) -> Option<i64> {
    let text: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    let (negative, rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.as_str()),
    };
    let hex = ["0x", "0X", "#"].iter().find_map(|prefix| rest.strip_prefix(prefix));
    match hex {
        Some(digits) => signed(negative, digits, 16),
        None if negative => signed(true, rest, 10),
        None => signed(false, rest.strip_prefix('+').unwrap_or(rest), 10),
    }
}

/// Reads a plain scalar as a whole number of YAML 1.1; the inner none is one too large.
fn plain_int(text: &str) -> Option<Option<i64>> {
    let negative = text.starts_with('-');
    let body = text.strip_prefix(['-', '+']).unwrap_or(text);
    let all = |digits: &str, allowed: fn(u8) -> bool| {
        digits.bytes().any(allowed) && digits.bytes().all(|b| b == b'_' || allowed(b))
    };
    let read = |digits: &str, radix| Some(signed(negative, &digits.replace('_', ""), radix));
    if let Some(digits) = body.strip_prefix("0b") {
        return if all(digits, |b| matches!(b, b'0' | b'1')) { read(digits, 2) } else { None };
    }
    if let Some(digits) = body.strip_prefix("0x") {
        return if all(digits, |b| b.is_ascii_hexdigit()) { read(digits, 16) } else { None };
    }
    if body == "0" {
        return Some(Some(0));
    }
    if let Some(digits) = body.strip_prefix('0') {
        return if all(digits, |b| matches!(b, b'0'..=b'7')) { read(digits, 8) } else { None };
    }
    let first = body.bytes().next()?;
    if !first.is_ascii_digit() {
        return None;
    }
    let mut parts = body.split(':');
    let head = parts.next()?;
    if !all(head, |b| b.is_ascii_digit()) {
        return None;
    }
    let mut sum = signed(negative, &head.replace('_', ""), 10);
    for part in parts {
        let digits = part.len() == 1 || (part.len() == 2 && part.as_bytes()[0] <= b'5');
        if !digits || !part.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        let value = signed(negative, part, 10)?;
        sum = sum.and_then(|sum| sum.checked_mul(60)?.checked_add(value));
    }
    Some(sum)
}

fn plain_float(text: &str) -> Option<f64> {
    let negative = text.starts_with('-');
    let body = text.strip_prefix(['-', '+']).unwrap_or(text);
    match body {
        ".inf" | ".Inf" | ".INF" => {
            return Some(if negative { f64::NEG_INFINITY } else { f64::INFINITY });
        }
        ".nan" | ".NaN" | ".NAN" if body.len() == text.len() => return Some(f64::NAN),
        _ => {}
    }
    let digits_only = |part: &str| part.bytes().all(|b| b.is_ascii_digit() || b == b'_');
    let (mantissa, exponent) = match body.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (body, None),
    };
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    if exponent.is_some_and(|e| !digits(e.strip_prefix(['-', '+']).unwrap_or(e))) {
        return None;
    }
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (mantissa, None),
    };
    let starts = |part: &str| part.bytes().next().is_some_and(|b| b.is_ascii_digit());
    let shaped = match fraction {
        None => exponent.is_some() && starts(whole),
        Some(fraction) => starts(whole) || (whole.is_empty() && starts(fraction)),
    };
    if !shaped || !digits_only(whole) || !digits_only(fraction.unwrap_or("")) {
        return None;
    }
    text.replace('_', "").parse().ok()
}

fn signed(negative: bool, digits: &str, radix: u32) -> Option<i64> {
    if !digits.bytes().next()?.is_ascii_alphanumeric() {
        return None;
    }
    let value = i128::from_str_radix(digits, radix).ok()?;
    i64::try_from(if negative { -value } else { value }).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn plain_scalars_follow_yaml_1_1() {
        let cases = [
            ("no", Plain::Bool(false)),
            ("ON", Plain::Bool(true)),
            ("tRUE", Plain::Text),
            ("y", Plain::Text),
            ("~", Plain::Null),
            ("30_000", Plain::Int(Some(30_000))),
            ("0123", Plain::Int(Some(83))),
            ("089", Plain::Text),
            ("0o17", Plain::Text),
            ("+0x1F", Plain::Int(Some(31))),
            ("0X1F", Plain::Text),
            ("0b101", Plain::Int(Some(5))),
            ("0b2", Plain::Text),
            ("20:30", Plain::Int(Some(1230))),
            ("1_", Plain::Int(Some(1))),
            ("1e3", Plain::Float(1000.0)),
            ("+.5", Plain::Float(0.5)),
            ("5.", Plain::Float(5.0)),
            (".", Plain::Text),
            ("1.2.3", Plain::Text),
            ("1,000", Plain::Text),
            ("--", Plain::Text),
            ("99999999999999999999999", Plain::Int(None)),
        ];
        for (text, meaning) in cases {
            assert_eq!(plain(text), meaning, "{text:?}");
        }
    }

    #[test]
    fn the_style_decides_between_yaml_and_spring() {
        assert_eq!(int("30_000", Style::Plain), Some(30_000));
        assert_eq!(int("30_000", Style::Text), None);
        assert_eq!(int("30_000", Style::Through), Some(30_000));
        assert_eq!(int("6379.7", Style::Through), None);
        assert_eq!(int("0123", Style::Plain), Some(83));
        assert_eq!(int("0123", Style::Text), Some(123));
        assert_eq!(int("6379.7", Style::Plain), Some(6379));
        assert_eq!(int("6379.7", Style::Text), None);
        assert_eq!(int(" 6 379 ", Style::Text), Some(6379));
        assert_eq!(int("#18eb", Style::Text), Some(0x18eb));
        assert_eq!(int("-0x1", Style::Text), Some(-1));
        assert_eq!(int("0x", Style::Text), None);
        assert_eq!(int("--5", Style::Text), None);
        assert_eq!(bool("1", Style::Plain), None);
        assert_eq!(bool("1", Style::Text), Some(true));
        assert_eq!(bool("1", Style::Through), Some(true));
        assert_eq!(bool("yEs", Style::Plain), Some(true));
        assert_eq!(bool("n", Style::Text), None);
    }

    #[test]
    fn times_and_sizes_have_units() {
        let millis = |text| duration(text, Style::Plain).map(|d| d.as_millis());
        assert_eq!(millis("3s"), Some(3_000));
        assert_eq!(millis("500 ms"), Some(500));
        assert_eq!(millis("1_500"), Some(1_500));
        assert_eq!(millis("1h"), Some(3_600_000));
        assert_eq!(millis("-1"), None);
        assert_eq!(millis("1.5s"), None);
        assert_eq!(millis("s"), None);
        assert_eq!(millis("18446744073709551615d"), None);
        assert_eq!(size("2MiB", Style::Text), Some(2 << 20));
        assert_eq!(size("2 kB", Style::Text), Some(2_000));
        assert_eq!(size("2 lightyears", Style::Text), None);
    }

    proptest! {
        #[test]
        fn no_scalar_panics(text in "\\PC*|[-+0-9a-fxob_:.eE#]{0,40}") {
            for style in [Style::Plain, Style::Text, Style::Through] {
                let _ = (bool(&text, style), int(&text, style));
                let _ = (duration(&text, style), size(&text, style));
            }
        }
    }
}
