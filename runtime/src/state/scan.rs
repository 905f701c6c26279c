//! A quick walk over the members of a payload, for those that are as plain as nearly all are.
//!
//! It takes an object in UTF-8 without escapes, checks that all of it is JSON, and hands over each
//! member. Whatever is out of the ordinary makes it give up, and a parser that knows all of JSON
//! must say what the payload is: so this one decides nothing but how fast the answer comes.

/// How deep objects and lists may lie in each other.
const DEPTH_MAX: u32 = 16;

/// The longest whole number that is read, in digits: any such one is within 64 bits.
const DIGITS_MAX: usize = 18;

/// The value of a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Value<'a> {
    /// A text without escapes. It is UTF-8 only if it is asked for as such.
    Text(&'a [u8]),
    /// A number as it is written.
    Number(&'a [u8]),
    True,
    False,
    Null,
    /// An object or a list.
    Nested,
}

impl<'a> Value<'a> {
    /// Gives a text, or no text for null. Gives up on anything else.
    pub(super) fn text(self) -> Option<Option<&'a str>> {
        match self {
            Self::Text(text) => std::str::from_utf8(text).ok().map(Some),
            Self::Null => Some(None),
            _ => None,
        }
    }

    /// Gives a whole number, or none for null. Gives up on anything else.
    pub(super) fn whole(self) -> Option<Option<i64>> {
        let Self::Number(number) = self else {
            return (self == Self::Null).then_some(None);
        };
        let digits = number.strip_prefix(b"-").unwrap_or(number);
        if digits.len() > DIGITS_MAX || !digits.iter().all(u8::is_ascii_digit) {
            return None;
        }
        let size = digits.iter().fold(0, |sum, digit| sum * 10 + i64::from(digit - b'0'));
        Some(Some(if digits.len() < number.len() { -size } else { size }))
    }

    /// Gives a truth value, null as false. Gives up on anything else.
    pub(super) fn truth(self) -> Option<bool> {
        match self {
            Self::True => Some(true),
            Self::False | Self::Null => Some(false),
            _ => None,
        }
    }
}

/// Hands each member of an object to `member`, until that gives up. Gives nothing where either did,
/// though members were handed over by then.
pub(super) fn members<'a>(
    payload: &'a [u8],
    mut member: impl FnMut(&'a [u8], Value<'a>) -> Option<()>,
) -> Option<()> {
    let mut scan = Scan { left: payload };
    scan.space();
    scan.object(DEPTH_MAX, &mut member)?;
    scan.space();
    scan.left.is_empty().then_some(())
}

/// Members, each of which may come once.
#[derive(Default)]
pub(super) struct Once(u32);

impl Once {
    /// Gives up if the member with this number came before.
    pub(super) fn see(&mut self, number: u32) -> Option<()> {
        let bit = 1 << number;
        let first = self.0 & bit == 0;
        self.0 |= bit;
        first.then_some(())
    }
}

struct Scan<'a> {
    left: &'a [u8],
}

impl<'a> Scan<'a> {
    #[inline]
    fn space(&mut self) {
        while let [b' ' | b'\n' | b'\r' | b'\t', rest @ ..] = self.left {
            self.left = rest;
        }
    }

    #[inline]
    fn take(&mut self, wanted: u8) -> Option<()> {
        let (first, rest) = self.left.split_first()?;
        self.left = rest;
        (*first == wanted).then_some(())
    }

    fn object(
        &mut self,
        depth: u32,
        member: &mut impl FnMut(&'a [u8], Value<'a>) -> Option<()>,
    ) -> Option<()> {
        self.take(b'{')?;
        self.space();
        if self.left.first() == Some(&b'}') {
            return self.take(b'}');
        }
        loop {
            self.take(b'"')?;
            let name = self.text()?;
            self.space();
            self.take(b':')?;
            let value = self.value(depth)?;
            member(name, value)?;
            if self.is_last(b'}')? {
                return Some(());
            }
        }
    }

    fn list(&mut self, depth: u32) -> Option<()> {
        self.take(b'[')?;
        self.space();
        if self.left.first() == Some(&b']') {
            return self.take(b']');
        }
        loop {
            self.value(depth)?;
            if self.is_last(b']')? {
                return Some(());
            }
        }
    }

    /// After a value: whether what holds it ends.
    #[inline]
    fn is_last(&mut self, end: u8) -> Option<bool> {
        self.space();
        let (first, rest) = self.left.split_first()?;
        self.left = rest;
        if *first == b',' {
            self.space();
            return Some(false);
        }
        (*first == end).then_some(true)
    }

    fn value(&mut self, depth: u32) -> Option<Value<'a>> {
        self.space();
        match self.left.first()? {
            b'"' => {
                self.take(b'"')?;
                self.text().map(Value::Text)
            }
            b'{' => {
                self.object(depth.checked_sub(1)?, &mut |_, _| Some(()))?;
                Some(Value::Nested)
            }
            b'[' => {
                self.list(depth.checked_sub(1)?)?;
                Some(Value::Nested)
            }
            b't' => self.word(b"true", Value::True),
            b'f' => self.word(b"false", Value::False),
            b'n' => self.word(b"null", Value::Null),
            _ => self.number().map(Value::Number),
        }
    }

    fn word(&mut self, word: &[u8], value: Value<'a>) -> Option<Value<'a>> {
        self.left = self.left.strip_prefix(word)?;
        Some(value)
    }

    /// Takes a text up to its end, and that.
    #[inline]
    fn text(&mut self) -> Option<&'a [u8]> {
        let end = plain(self.left);
        let (text, rest) = self.left.split_at_checked(end)?;
        self.left = rest;
        self.take(b'"')?;
        Some(text)
    }

    fn number(&mut self) -> Option<&'a [u8]> {
        let all = self.left;
        let _ = self.take_if(b"-");
        match self.digits() {
            0 => return None,
            1 => {}
            // No zero stands before other digits.
            count if all[all.len() - self.left.len() - count] == b'0' => return None,
            _ => {}
        }
        if self.take_if(b".") && self.digits() == 0 {
            return None;
        }
        if self.take_if(b"eE") {
            let _ = self.take_if(b"+-");
            if self.digits() == 0 {
                return None;
            }
        }
        Some(&all[..all.len() - self.left.len()])
    }

    fn take_if(&mut self, any: &[u8]) -> bool {
        let Some((first, rest)) = self.left.split_first() else { return false };
        let is = any.contains(first);
        if is {
            self.left = rest;
        }
        is
    }

    fn digits(&mut self) -> usize {
        let count = self.left.iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.left = &self.left[count..];
        count
    }
}

/// Counts the bytes before the first quote, backslash or control character.
#[inline]
fn plain(text: &[u8]) -> usize {
    let (words, rest) = text.as_chunks::<8>();
    for (at, word) in words.iter().enumerate() {
        let special = special(u64::from_le_bytes(*word));
        if special != 0 {
            return at * 8 + (special.trailing_zeros() / 8) as usize;
        }
    }
    let is_special = |byte: &u8| *byte < 0x20 || matches!(byte, b'"' | b'\\');
    let count = rest.iter().position(is_special).unwrap_or(rest.len());
    words.len() * 8 + count
}

/// Sets the top bit of each byte that is a quote, a backslash or a control character, up to the
/// first such one. What is set beyond that means nothing.
#[inline]
fn special(word: u64) -> u64 {
    const ONES: u64 = u64::MAX / 255;
    let is_zero = |word: u64| word.wrapping_sub(ONES) & !word;
    let is = |byte: u8| is_zero(word ^ (ONES * u64::from(byte)));
    let control = word.wrapping_sub(ONES * 0x20) & !word;
    (is(b'"') | is(b'\\') | control) & (ONES << 7)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value as Json;

    use super::*;

    fn scan(payload: &[u8]) -> Option<Vec<(&[u8], Value<'_>)>> {
        let mut all = Vec::new();
        members(payload, |name, value| {
            all.push((name, value));
            Some(())
        })?;
        Some(all)
    }

    fn is_json(payload: &[u8]) -> bool {
        serde_json::from_slice::<std::collections::HashMap<Ignored, Ignored>>(payload).is_ok()
    }

    /// Anything, so that the parser checks it and no more.
    #[derive(PartialEq, Eq, Hash)]
    struct Ignored;

    impl<'de> serde::Deserialize<'de> for Ignored {
        fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
            from.deserialize_ignored_any(serde::de::IgnoredAny).map(|_| Self)
        }
    }

    #[test]
    fn plain_members_are_handed_over() {
        let payload =
            br#" { "a" : "x" , "b":-12,"c":true,"d":false,"e":null,"f":[1,{"g":[]}],"h":1.5e3 } "#;
        let all = scan(payload).unwrap();
        let names: Vec<_> = all.iter().map(|(name, _)| name[0]).collect();
        assert_eq!(names, b"abcdefh");
        let values: Vec<_> = all.iter().map(|(_, value)| *value).collect();
        assert_eq!((values[0].text(), values[1].whole()), (Some(Some("x")), Some(Some(-12))));
        assert_eq!((values[2].truth(), values[4].truth()), (Some(true), Some(false)));
        assert_eq!((values[5], values[6].whole()), (Value::Nested, None));
        assert_eq!(scan(b"{}"), Some(vec![]));
    }

    #[test]
    fn a_text_ends_at_its_quote_wherever_that_stands() {
        for length in 0..40 {
            for end in [b'"', b'\\', 0x1f, 0] {
                for fill in [b' ', b'a', 0x7f, 0x80, 0xff, b'!', b'[', b']', b'#'] {
                    let mut text = vec![fill; length];
                    text.push(end);
                    text.extend([b'"'; 9]);
                    assert_eq!(plain(&text), length, "{fill} {end}");
                }
            }
        }
    }

    #[test]
    fn what_is_out_of_the_ordinary_is_left_to_a_parser() {
        let deep = format!(r#"{{"a":{}{}}}"#, "[".repeat(17), "]".repeat(17));
        for odd in [
            "",
            "[]",
            "{",
            r#"{"a""#,
            r#"{"a":}"#,
            r#"{"a":1,}"#,
            r#"{"a":01}"#,
            r#"{"a":-}"#,
            r#"{"a":1.}"#,
            r#"{"a":1e}"#,
            r#"{"a":"\n"}"#,
            "{\"a\":\"\n\"}",
            r#"{"a":tru}"#,
            r#"{"a":1} x"#,
            r#"{"a":1]"#,
            r#"{a:1}"#,
            r#"{"a":[1,]}"#,
            &deep,
        ] {
            assert_eq!(scan(odd.as_bytes()), None, "{odd}");
        }
        assert_eq!(Value::Number(b"1234567890123456789").whole(), None);
    }

    fn json() -> impl Strategy<Value = String> {
        let leaf = prop::sample::select(
            &[
                "1",
                "-0",
                "0.5",
                "1e9",
                "true",
                "false",
                "null",
                "\"x\"",
                "\"\"",
                "\"é\\n\"",
                "[]",
                "{}",
                "00",
                "\"",
            ][..],
        );
        leaf.prop_map(str::to_owned).prop_recursive(3, 16, 4, |inner| {
            let list = prop::collection::vec(inner.clone(), 0..4);
            let object = prop::collection::vec(("[a-c]{1,2}", inner), 0..4);
            prop_oneof![
                list.prop_map(|all| format!("[{}]", all.join(" , "))),
                object.prop_map(|all| {
                    let all = all.iter().map(|(name, value)| format!("\"{name}\": {value}"));
                    format!("{{{}}}", all.collect::<Vec<_>>().join(","))
                }),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_it_takes_is_what_a_parser_takes(text in json(), cut in any::<prop::sample::Index>()) {
            let whole = text.into_bytes();
            for payload in [&whole[..], &whole[..cut.index(whole.len() + 1)]] {
                let Some(all) = scan(payload) else { continue };
                prop_assert!(is_json(payload));
                let Ok(Json::Object(known)) = serde_json::from_slice(payload) else { continue };
                for (name, value) in all {
                    let known = &known[std::str::from_utf8(name).unwrap()];
                    // Of members with one name the parser keeps the last.
                    if known.is_string() && matches!(value, Value::Text(_)) {
                        prop_assert!(value.text().flatten().is_some());
                    }
                }
            }
        }
    }
}
