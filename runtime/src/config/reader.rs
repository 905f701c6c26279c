//! Reads keys of the table as what they take, and collects everything that is wrong on the way.

use std::fmt;
use std::time::Duration;

use super::keys::{self, Kind};
use super::problem::{Origin, Problem, shown};
use super::resolve::{Properties, Value};
use super::scalar::{self, Style};

/// How one key was understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explained {
    /// The full key.
    pub key: String,
    /// Its value, masked if it is a secret; none if it has none.
    pub value: Option<String>,
    /// Where the value came from.
    pub origin: Origin,
}

impl Explained {
    pub(super) fn of(key: &str, value: Option<&Value>) -> Self {
        Self {
            key: key.to_owned(),
            value: value.map(|value| shown(&value.text, value.secret)),
            origin: value.map_or(Origin::Default, |value| value.origin.clone()),
        }
    }
}

impl fmt::Display for Explained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.value.as_deref().unwrap_or("");
        write!(f, "{} = {} ({})", self.key, value.escape_debug(), self.origin)
    }
}

/// Reads keys, one by one, to the end: a bad one gives its default and a problem.
pub(super) struct Reader<'a> {
    pub(super) properties: &'a Properties,
    /// Whether doubts about what was written are problems.
    pub(super) strict: bool,
    pub(super) problems: Vec<Problem>,
    pub(super) warnings: Vec<Problem>,
    /// What is as it should be, but may surprise.
    pub(super) notes: Vec<Problem>,
    pub(super) explain: Vec<Explained>,
    /// Unknown keys that were understood all the same.
    pub(super) astray: Vec<String>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(properties: &'a Properties) -> Self {
        Self {
            properties,
            strict: false,
            problems: Vec::new(),
            warnings: Vec::new(),
            notes: Vec::new(),
            explain: Vec::new(),
            astray: Vec::new(),
        }
    }

    /// Reads text. Blank means unset, wherever it stands.
    pub(super) fn text(&mut self, key: &str) -> Option<Value> {
        let found = self.find(key);
        self.explain(key, found.as_ref());
        found
    }

    /// Reads text where present but blank is not the same as unset.
    pub(super) fn text_or_blank(&mut self, key: &str) -> Option<Value> {
        let found = match self.properties.get(key) {
            Ok(found) => found.or_else(|| self.default(key)),
            Err(_) => return self.text(key),
        };
        self.explain(key, found.as_ref());
        found
    }

    /// Notes what a key holds that has no effect here, so that it is not checked either.
    pub(super) fn skip(&mut self, key: &str) {
        let found = self.properties.raw(key);
        self.explain(key, found.as_ref());
    }

    /// Tells whether a key is set to anything but blanks, wherever it stands.
    pub(super) fn is_set(&self, key: &str) -> bool {
        self.properties.raw(key).is_some_and(|value| !value.text.trim().is_empty())
    }

    /// Reads a bool.
    pub(super) fn bool(&mut self, key: &str) -> bool {
        self.typed(key, scalar::bool, |_| true, "must be true or false").unwrap_or_default()
    }

    /// Reads a whole number within bounds.
    pub(super) fn count(&mut self, key: &str, low: i64, high: i64) -> i64 {
        let right = format!("must be a whole number from {low} to {high}");
        self.typed(key, scalar::int, |n| (low..=high).contains(n), &right).unwrap_or(low)
    }

    /// Reads a time within bounds.
    pub(super) fn duration(&mut self, key: &str, low: u64, high: u64) -> Duration {
        let bounds = Duration::from_millis(low)..=Duration::from_millis(high);
        let right = format!("must be a time such as 3s or 500ms, from {low} ms to {high} ms");
        self.typed(key, scalar::duration, |d| bounds.contains(d), &right).unwrap_or_default()
    }

    /// Reads a size of at least `low` bytes.
    pub(super) fn size(&mut self, key: &str, low: u64) -> u64 {
        let right = format!("must be a size such as 64MiB, at least {low} bytes");
        self.typed(key, scalar::size, |size| *size >= low, &right).unwrap_or(low)
    }

    /// Reads one word of those that the table lists for the key, in any case.
    pub(super) fn choice(&mut self, key: &str) -> Option<(&'static str, Value)> {
        let Kind::Choice(words) = keys::named(key).kind else {
            panic!("{key} is read as a choice but is none in the table of keys")
        };
        let found = self.text(key)?;
        let text = found.text.trim();
        match words.iter().find(|word| word.eq_ignore_ascii_case(text)) {
            Some(word) => Some((word, found)),
            None => {
                let right = format!("must be {}", words.join(" or "));
                self.problem(key, Some(&found), right);
                None
            }
        }
    }

    /// Reads items with commas between them. A list of the file is read too, with a warning.
    pub(super) fn list(&mut self, key: &str) -> Vec<String> {
        let split = |text: &str| text.split(',').map(|item| item.trim().to_owned()).collect();
        let own = self.properties.raw(key);
        if own.is_some() {
            let value = self.text(key);
            return value.map(|value| split(&value.text)).unwrap_or_default();
        }
        let names = self.properties.list_in_files(key);
        let mut items = Vec::new();
        let mut first: Option<Value> = None;
        for name in &names {
            if let Some(value) = self.resolve(name) {
                items.push(value.text.trim().to_owned());
                first.get_or_insert(value);
            }
        }
        if let Some(first) = &first {
            let value = Value { text: items.join(","), ..first.clone() };
            if !keys::named(key).is_own() {
                let warning = "a stock gateway ignores this list and takes everything: \
                               write one text with commas";
                self.doubt(problem(key, Some(&value), warning.to_owned()));
            }
            self.explain(key, Some(&value));
        } else {
            self.explain(key, None);
        }
        items
    }

    /// Notes a problem.
    pub(super) fn problem(&mut self, key: &str, value: Option<&Value>, message: impl Into<String>) {
        self.problems.push(problem(key, value, message.into()));
    }

    /// Notes something written doubtfully, which a strict reading refuses.
    pub(super) fn doubt(&mut self, doubt: Problem) {
        let notes = if self.strict { &mut self.problems } else { &mut self.warnings };
        notes.push(doubt);
    }

    /// Notes what a person should know, though nothing is wrong with it.
    pub(super) fn warning(&mut self, key: &str, value: Option<&Value>, message: impl Into<String>) {
        self.warnings.push(problem(key, value, message.into()));
    }

    /// Notes what was worked out for a key that nobody set.
    pub(super) fn worked_out(&mut self, key: &str, text: &str) {
        if let Some(line) = self.explain.iter_mut().find(|line| line.key == key) {
            line.value = Some(shown(text, false));
        }
    }

    fn explain(&mut self, key: &str, value: Option<&Value>) {
        self.explain.push(Explained::of(key, value));
    }

    fn typed<T>(
        &mut self,
        key: &str,
        read: fn(&str, Style) -> Option<T>,
        within: impl Fn(&T) -> bool,
        right: &str,
    ) -> Option<T> {
        let found = self.text(key)?;
        let value = read(&found.text, found.style).filter(within);
        if value.is_none() {
            self.problem(key, Some(&found), right);
        }
        value
    }

    /// Notes what is right, but may surprise.
    pub(super) fn note(&mut self, key: &str, value: Option<&Value>, message: impl Into<String>) {
        self.notes.push(problem(key, value, message.into()));
    }

    /// Gives what is set, else the default of the table.
    fn find(&mut self, key: &str) -> Option<Value> {
        self.resolve(key).or_else(|| self.default(key))
    }

    /// Gives the default of the table.
    fn default(&self, key: &str) -> Option<Value> {
        let default = keys::named(key).default;
        let plain = !default.is_empty() && !default.starts_with('[');
        plain.then(|| Value {
            text: default.to_owned(),
            style: Style::Through,
            origin: Origin::Default,
            secret: false,
        })
    }

    fn resolve(&mut self, name: &str) -> Option<Value> {
        match self.properties.get(name) {
            Ok(value) => value.filter(|value| !value.text.trim().is_empty()),
            Err(unresolved) => {
                self.problem(name, Some(&unresolved.value), unresolved.message);
                None
            }
        }
    }
}

/// Makes a problem of a value.
pub(super) fn problem(key: &str, value: Option<&Value>, message: String) -> Problem {
    Problem {
        key: key.to_owned(),
        origin: value.map_or(Origin::Default, |value| value.origin.clone()),
        value: value.map(|value| shown(&value.text, value.secret)),
        message,
    }
}
