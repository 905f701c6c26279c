//! Reading rows member by member, and writing payloads, without rewriting what is not ours.
//!
//! Members are kept as the text they were: a payload must not change because a parser and a printer
//! disagree about spaces or the order of members. Reading is as lenient as the gateway itself:
//! unknown members are skipped, null is the same as absent, dates may be numbers or ISO text.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use zonesync_core::id::ID_MAX;
use zonesync_core::time::WallTime;

/// The most levels of arrays and objects in one document.
pub(crate) const DEPTH_MAX: usize = 100;

/// One JSON object, in the order it was written, with its members as text.
pub(crate) struct Object<'a> {
    members: Vec<(Cow<'a, str>, &'a RawValue)>,
}

impl<'a> Object<'a> {
    /// Reads the object in `text`. The error says the line and column.
    pub(crate) fn parse(text: &'a str) -> Result<Self, String> {
        serde_json::from_str(text).map_err(|e| without_type_names(&e.to_string()))
    }

    /// Goes through the members in order.
    pub(crate) fn members(&self) -> impl Iterator<Item = (&str, &'a RawValue)> {
        self.members.iter().map(|(name, value)| (name.as_ref(), *value))
    }

    /// Gives a member's text, or none if it is absent or null. Of two, the last counts.
    pub(crate) fn raw(&self, name: &str) -> Option<&'a str> {
        let found = self.members.iter().rev().find(|(n, _)| n == name)?;
        Some(found.1.get()).filter(|text| *text != "null")
    }

    /// Gives a member that is text; numbers and booleans are taken as they are spelt.
    pub(crate) fn text(&self, name: &str) -> Result<Option<Cow<'a, str>>, String> {
        self.raw(name).map(|raw| text_of(raw).ok_or_else(|| wrong(name, "text", raw))).transpose()
    }

    /// Gives a member that is text, in a box.
    pub(crate) fn boxed(&self, name: &str) -> Result<Option<Box<str>>, String> {
        Ok(self.text(name)?.map(|text| text.into_owned().into_boxed_str()))
    }

    /// Gives a member that names something: not empty, at most [`ID_MAX`] bytes.
    pub(crate) fn id(&self, name: &str) -> Result<Option<Box<str>>, String> {
        let id = self.boxed(name)?.filter(|id| !id.is_empty());
        if id.as_ref().is_some_and(|id| id.len() > ID_MAX) {
            return Err(format!("`{name}` is longer than {ID_MAX} bytes"));
        }
        Ok(id)
    }

    /// Gives a member that is true or false; the texts "true" and "false" will do.
    pub(crate) fn flag(&self, name: &str) -> Result<Option<bool>, String> {
        let Some(raw) = self.raw(name) else { return Ok(None) };
        match text_of(raw).as_deref() {
            Some(text) if text.eq_ignore_ascii_case("true") => Ok(Some(true)),
            Some(text) if text.eq_ignore_ascii_case("false") => Ok(Some(false)),
            _ => Err(wrong(name, "true or false", raw)),
        }
    }

    /// Gives a member that is a date: milliseconds since 1970, or ISO text.
    pub(crate) fn date(&self, name: &str) -> Result<Option<WallTime>, String> {
        let Some(raw) = self.raw(name) else { return Ok(None) };
        let date = text_of(raw).and_then(|text| date_of(&text));
        date.map(Some).ok_or_else(|| wrong(name, "a date (milliseconds or ISO text)", raw))
    }

    /// Gives the items of a member that is an array.
    pub(crate) fn array(&self, name: &str) -> Result<Option<Vec<&'a RawValue>>, String> {
        let Some(raw) = self.raw(name) else { return Ok(None) };
        serde_json::from_str(raw).map(Some).map_err(|_| wrong(name, "an array", raw))
    }

    /// Gives a member that is an array of texts; null items are skipped, absent is empty.
    pub(crate) fn texts(&self, name: &str) -> Result<Box<[Box<str>]>, String> {
        let items = self.array(name)?.unwrap_or_default();
        let mut texts = Vec::with_capacity(items.len());
        for item in items.iter().filter(|item| item.get() != "null") {
            let text = text_of(item.get());
            let text = text.ok_or_else(|| wrong(name, "an array of texts", item.get()))?;
            texts.push(text.into_owned().into_boxed_str());
        }
        Ok(texts.into_boxed_slice())
    }

    /// Gives names and values of a member that is an object of texts, without those that are null.
    pub(crate) fn map(&self, name: &str) -> Result<Vec<[Box<str>; 2]>, String> {
        let Some(raw) = self.raw(name) else { return Ok(Vec::new()) };
        let inner = Object::parse(raw).map_err(|_| wrong(name, "an object of texts", raw))?;
        let mut map = Vec::with_capacity(inner.members.len());
        for (key, value) in inner.members().filter(|(_, value)| value.get() != "null") {
            let text = text_of(value.get());
            let text = text.ok_or_else(|| wrong(name, "an object of texts", value.get()))?;
            map.push([key.into(), text.into_owned().into_boxed_str()]);
        }
        Ok(map)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Object<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;

        impl<'de> Visitor<'de> for Members {
            type Value = Object<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some((name, value)) = map.next_entry::<Name<'de>, &'de RawValue>()? {
                    members.push((name.0, value));
                }
                Ok(Object { members })
            }
        }

        deserializer.deserialize_map(Members)
    }
}

/// A member's name, borrowed unless it holds escapes.
#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

/// Says what was expected and what stands there.
fn wrong(name: &str, expected: &str, raw: &str) -> String {
    format!("`{name}` should be {expected}, found {}", excerpt(raw))
}

/// Cuts a value short for a message. Texts are not shown: they may be secrets.
fn excerpt(raw: &str) -> String {
    match raw.as_bytes().first() {
        Some(b'"') => "a text".into(),
        Some(b'{') => "an object".into(),
        Some(b'[') => "an array".into(),
        _ => raw.chars().take(24).collect(),
    }
}

/// Drops what serde says of our own types, which nobody outside knows.
fn without_type_names(error: &str) -> String {
    error.replace("invalid type: ", "").replace("struct Object", "an object")
}

/// Gives the text of a JSON text, number or boolean; none for null, arrays and objects.
pub(crate) fn text_of(raw: &str) -> Option<Cow<'_, str>> {
    match raw.as_bytes().first()? {
        b'"' => serde_json::from_str::<Name<'_>>(raw).ok().map(|name| name.0),
        b'{' | b'[' | b'n' => None,
        _ => Some(Cow::Borrowed(raw)),
    }
}

/// Reads a date: whole or broken milliseconds, or ISO text such as `2024-11-08T10:22:17.487Z`.
pub(crate) fn date_of(text: &str) -> Option<WallTime> {
    if let Ok(millis) = text.parse::<i64>() {
        return Some(WallTime::from_millis(millis));
    }
    if let Ok(millis) = text.parse::<f64>() {
        return (millis.abs() < 9e15).then(|| WallTime::from_millis(millis as i64));
    }
    iso_date(text).map(WallTime::from_millis)
}

/// Reads `YYYY-MM-DD[THH:MM[:SS[.fraction]]][Z|+HH:MM|+HHMM]`; without a zone it is UTC.
fn iso_date(text: &str) -> Option<i64> {
    let number = |from: usize, to: usize| text.get(from..to)?.parse::<i64>().ok();
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let separated = text.get(4..5)? == "-" && text.get(7..8)? == "-";
    if !separated || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let (mut seconds, mut millis, mut rest) = (0, 0, text.get(10..)?);
    if let Some(time) = rest.strip_prefix(['T', 't', ' ']) {
        let two = |at: usize| time.get(at..at + 2)?.parse::<i64>().ok().filter(|n| *n < 61);
        seconds = two(0)? * 3600 + two(3)? * 60;
        rest = time.get(5..)?;
        if let Some(more) = rest.strip_prefix(':') {
            seconds += more.get(..2)?.parse::<i64>().ok()?;
            rest = more.get(2..)?;
            if let Some(fraction) = rest.strip_prefix('.') {
                let digits = fraction.bytes().take_while(u8::is_ascii_digit).count();
                let padded = format!("{:0<3}", fraction.get(..digits)?);
                millis = padded.get(..3)?.parse().ok()?;
                rest = fraction.get(digits..)?;
            }
        }
    }
    let offset = match rest {
        "" | "Z" | "z" => 0,
        zone => {
            let sign = if zone.starts_with('-') { -1 } else { 1 };
            let digits: String = zone.strip_prefix(['+', '-'])?.replace(':', "");
            let number = |at: usize| digits.get(at..at + 2)?.parse::<i64>().ok();
            sign * (number(0)? * 3600 + number(2).unwrap_or(0) * 60)
        }
    };
    // Days since 1970-01-01, counting years from March so that a leap day comes last.
    let (y, m) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let era_days = 365 * y + y.div_euclid(4) - y.div_euclid(100) + y.div_euclid(400);
    let days = era_days + (153 * m + 2) / 5 + day - 1 - 719_468;
    Some((days * 86_400 + seconds - offset) * 1000 + millis)
}

/// Says whether `text` nests deeper than [`DEPTH_MAX`], without recursion.
pub(crate) fn is_too_deep(text: &str) -> bool {
    let (mut depth, mut quoted, mut escaped) = (0usize, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'{' | b'[' if !quoted => {
                depth += 1;
                if depth > DEPTH_MAX {
                    return true;
                }
            }
            b'}' | b']' if !quoted => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    false
}

/// Writes one JSON object.
pub(crate) struct Writer(String);

impl Writer {
    /// Begins an object.
    pub(crate) fn new() -> Self {
        // Most payloads fit: those of subscriptions and keys.
        let mut text = String::with_capacity(512);
        text.push('{');
        Self(text)
    }

    /// Writes a member whose value is JSON already.
    pub(crate) fn raw(&mut self, name: &str, json: &str) {
        self.name(name);
        self.0.push_str(json);
    }

    fn name(&mut self, name: &str) {
        if self.0.len() > 1 {
            self.0.push(',');
        }
        quote(name, &mut self.0);
        self.0.push(':');
    }

    /// Writes a member if it is there.
    pub(crate) fn raw_if(&mut self, name: &str, json: Option<&str>) {
        if let Some(json) = json {
            self.raw(name, json);
        }
    }

    /// Writes a text.
    pub(crate) fn text(&mut self, name: &str, text: &str) {
        self.name(name);
        quote(text, &mut self.0);
    }

    /// Writes a text if it is there.
    pub(crate) fn text_if(&mut self, name: &str, text: Option<&str>) {
        if let Some(text) = text {
            self.text(name, text);
        }
    }

    /// Writes a date if it is there.
    pub(crate) fn date_if(&mut self, name: &str, date: Option<WallTime>) {
        if let Some(date) = date {
            self.raw(name, &date.as_millis().to_string());
        }
    }

    /// Writes true or false.
    pub(crate) fn flag(&mut self, name: &str, flag: bool) {
        self.raw(name, if flag { "true" } else { "false" });
    }

    /// Writes an object of texts.
    pub(crate) fn map(&mut self, name: &str, map: &[[Box<str>; 2]]) {
        let mut inner = Self::new();
        map.iter().for_each(|[key, value]| inner.text(key, value));
        self.raw(name, &inner.end());
    }

    /// Ends the object.
    pub(crate) fn end(mut self) -> String {
        self.0.push('}');
        self.0
    }
}

/// Writes a JSON text.
pub(crate) fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    quote(text, &mut out);
    out
}

/// Writes a JSON text at the end of another.
fn quote(text: &str, out: &mut String) {
    if text.bytes().any(|byte| byte < b' ' || byte == b'"' || byte == b'\\') {
        out.push_str(&serde_json::Value::from(text).to_string());
    } else {
        // Nearly all texts hold nothing that must be escaped.
        out.push('"');
        out.push_str(text);
        out.push('"');
    }
}

/// Writes a JSON array of items that are JSON already.
pub(crate) fn array<'a>(items: impl IntoIterator<Item = &'a str>) -> String {
    format!("[{}]", items.into_iter().collect::<Vec<_>>().join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_numbers_or_iso_text() {
        let millis = |text: &str| date_of(text).map(WallTime::as_millis);
        assert_eq!(millis("1755000000000"), Some(1_755_000_000_000));
        assert_eq!(millis("1970-01-01"), Some(0));
        assert_eq!(millis("2024-11-08T10:22:17.487Z"), Some(1_731_061_337_487));
        assert_eq!(millis("2024-02-29T23:30:00+01:00"), Some(1_709_245_800_000));
        assert_eq!(millis("2024-02-29T23:30-0100"), Some(1_709_253_000_000));
        for bad in ["", "soon", "2024-13-01", "2024/11/08", "2024-11-08T", "NaN", "1e300", "ä-1"] {
            assert_eq!(millis(bad), None, "{bad}");
        }
    }

    #[test]
    fn members_are_read_leniently_and_kept_as_text() {
        let text = r#"{"a": {"x" : 1.0}, "n": null, "f": "TRUE", "t": 5, "a\u0062": "é", "l": [1, null, "b"]}"#;
        let object = Object::parse(text).unwrap();
        assert_eq!(object.raw("a"), Some(r#"{"x" : 1.0}"#));
        assert_eq!(object.raw("n"), None);
        assert_eq!(object.flag("f"), Ok(Some(true)));
        assert_eq!(object.text("t").unwrap().as_deref(), Some("5"));
        assert_eq!(object.text("ab").unwrap().as_deref(), Some("é"));
        assert_eq!(object.texts("l").unwrap().concat(), "1b");
        let error = object.date("a").unwrap_err();
        assert_eq!(error, "`a` should be a date (milliseconds or ISO text), found an object");
        assert!(Object::parse("[1]").is_err());
    }

    #[test]
    fn texts_are_written_as_they_were_always_written() {
        for text in
            ["", "plain", "é 😀 \u{7f}", "a\"b", "a\\b", "tab\t", "\u{0}\u{1f}", "</script>"]
        {
            assert_eq!(quoted(text), serde_json::Value::from(text).to_string());
        }
    }

    #[test]
    fn depth_is_counted_outside_texts_only() {
        assert!(!is_too_deep(&format!("\"{}\"", "[".repeat(1000))));
        assert!(!is_too_deep(&"[".repeat(DEPTH_MAX)));
        assert!(is_too_deep(&"[".repeat(DEPTH_MAX + 1)));
    }
}
