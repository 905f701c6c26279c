//! The table of keys: what each is called, what it takes, what it means.
//!
//! Nothing is read that does not stand in `table`, and `docs/configuration.md` shows it row by row.

mod table;

pub use table::KEYS;

/// What a key takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// Text, taken as it was typed.
    Text,
    /// A path in the file system.
    Path,
    /// `true`, `false` and their like.
    Bool,
    /// A whole number.
    Count,
    /// A time, such as `3s`; a bare number is milliseconds.
    Duration,
    /// A size, such as `64MiB`; a bare number is bytes.
    Size,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// Items with commas between them.
    List,
}

/// One key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    /// The full name.
    pub name: &'static str,
    /// What it takes.
    pub kind: Kind,
    /// The default, as one would write it. It stands in brackets where it is worked out, and is
    /// empty where there is none.
    pub default: &'static str,
    /// What it means.
    pub meaning: &'static str,
}

impl Key {
    /// Tells whether the key is zonesync's own; a stock gateway knows the others.
    pub fn is_own(&self) -> bool {
        self.name.starts_with("zonesync.") || self.name.starts_with("management.directory.")
    }
}

/// Lists what a stock gateway reads under `distributed-sync.`.
pub(super) fn distributed() -> impl Iterator<Item = &'static str> {
    KEYS.iter().map(|key| key.name).filter(|name| name.starts_with("distributed-sync."))
}

/// Replaces each `[3]` by `[]`.
pub(super) fn without_indices(key: &str) -> String {
    let mut out = String::new();
    let mut inside = false;
    for c in key.chars() {
        inside = (inside || c == '[') && c != ']';
        if !inside || !c.is_ascii_digit() {
            out.push(c);
        }
    }
    out
}

/// Finds a key in the table. Panics if it is not there: the table is the contract.
pub(super) fn named(name: &str) -> &'static Key {
    let template = without_indices(name);
    let found = KEYS.iter().find(|key| key.name == template);
    found.unwrap_or_else(|| panic!("{name} is read but does not stand in the table of keys"))
}

/// Finds the known name nearest to a wrong one, if any is near.
pub(super) fn nearest<'a>(
    wrong: &str,
    known: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let scored = known.into_iter().map(|name| (distance(wrong, name), name));
    let (distance, name) = scored.min()?;
    (distance <= name.len() / 3).then_some(name)
}

/// Counts the edits from one name to another. Names past 200 bytes are cut: none of ours is.
fn distance(a: &str, b: &str) -> usize {
    let bytes = |s: &str| s.bytes().take(200).collect::<Vec<u8>>();
    let (a, b) = (bytes(a), bytes(b));
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = i;
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let changed = diagonal + usize::from(!x.eq_ignore_ascii_case(y));
            diagonal = row[j + 1];
            row[j + 1] = changed.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}
