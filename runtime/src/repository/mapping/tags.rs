//! Sharding tags: which APIs, plans and flows belong to this gateway.
//!
//! The gateway compares tags by a collation that skips case, accents, spaces and hyphens. Here two
//! tags are equal if their folded texts are.

use std::collections::BTreeSet;

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

/// The tags that a gateway is configured with. None at all match everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tags {
    include: BTreeSet<String>,
    exclude: BTreeSet<String>,
}

impl Tags {
    /// Reads a comma separated list; a tag that begins with `!` excludes. Empty text is no tags.
    pub fn parse(text: &str) -> Self {
        if text.is_empty() { Self::default() } else { Self::from_items(text.split(',')) }
    }

    /// Takes the tags of a list, each as it would stand between two commas.
    pub fn from_items<'a>(items: impl IntoIterator<Item = &'a str>) -> Self {
        let mut tags = Self::default();
        for item in items {
            match item.trim().strip_prefix('!') {
                Some(excluded) => tags.exclude.insert(fold(excluded)),
                None => tags.include.insert(fold(item)),
            };
        }
        // The gateway takes a list of nothing but commas as no tags at all.
        if tags.exclude.is_empty() && tags.include.iter().all(String::is_empty) {
            tags.include.clear();
        }
        tags
    }

    /// Says whether no tags are configured.
    pub fn is_empty(&self) -> bool {
        self.include.is_empty() && self.exclude.is_empty()
    }

    /// Says whether something that carries `tags` belongs here.
    pub fn matches<'a>(&self, tags: impl IntoIterator<Item = &'a str>) -> bool {
        let tags: BTreeSet<String> = tags.into_iter().map(fold).collect();
        (self.include.is_empty() || !self.include.is_disjoint(&tags))
            && self.exclude.is_disjoint(&tags)
    }

    /// Gives the folded tags in order, excluded ones with a `!`.
    pub(crate) fn folded(&self) -> impl Iterator<Item = String> + '_ {
        let exclude = self.exclude.iter().map(|tag| format!("!{tag}"));
        self.include.iter().cloned().chain(exclude)
    }
}

/// Folds a tag: no case, no accents, no spaces, no dashes, `ß` as `ss`, `æ` as `ae`.
fn fold(tag: &str) -> String {
    let mut folded = String::with_capacity(tag.len());
    for c in tag.nfkd().filter(|c| !is_combining_mark(*c)).flat_map(char::to_lowercase) {
        match c {
            'ß' => folded.push_str("ss"),
            'æ' => folded.push_str("ae"),
            '-' | '\u{ad}' | '\u{2010}'..='\u{2015}' | '\u{2212}' => {}
            c if c.is_whitespace() => {}
            c => folded.push(c),
        }
    }
    folded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_match_by_their_folded_text() {
        let tags = Tags::parse("my-tag, É , !Straße");
        assert!(tags.matches(["My Tag"]));
        assert!(tags.matches(["other", "e"]));
        assert!(!tags.matches(["my_tag"]));
        assert!(!tags.matches(["mytag", "STRASSE"]));
        assert!(!tags.matches([]));
    }

    #[test]
    fn only_exclusions_let_the_untagged_pass() {
        let tags = Tags::parse("! legacy");
        assert!(tags.matches([]));
        assert!(tags.matches(["public"]));
        assert!(!tags.matches(["Legacy"]));
        assert!(Tags::parse("").matches(["anything"]));
        assert!(Tags::parse(",").matches([]));
    }

    #[test]
    fn an_empty_item_asks_for_a_blank_tag() {
        let tags = Tags::parse(",eu");
        assert!(tags.matches(["-"]));
        assert!(!tags.matches([]));
    }
}
