//! A YAML file, flattened to names: `a.b.c`, and `a.b[0].c` in lists.
//!
//! Parser events become a small tree, in which aliases are shared, and the tree becomes a list of
//! names. What is typed stays as it is: [`super::scalar`] gives it a meaning when a key asks.
//! Merge keys (`<<`) and the names of keys follow YAML 1.1, as stock gateways read them.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use saphyr_parser::{Event, Parser, ScalarStyle, Tag};

use super::scalar::{self, Plain, Style};

/// The most bytes of a file.
pub(super) const SIZE_MAX: usize = 3 * 1024 * 1024;
/// The deepest nesting, also after aliases are followed.
const DEPTH_MAX: usize = 50;
/// The most aliases of lists and mappings.
const ALIASES_MAX: usize = 50;
/// The most nodes visited when all aliases are followed.
const NODES_MAX: usize = 1_000_000;
/// The most bytes of all names and values when all aliases are followed.
const FLAT_MAX: usize = 16 * 1024 * 1024;

/// Why a file is not read.
#[derive(Debug)]
pub(super) struct YamlError {
    /// The line, from 1; zero when the whole file is meant.
    pub(super) line: usize,
    /// What is wrong.
    pub(super) message: String,
}

/// One flattened value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Leaf {
    pub(super) text: Rc<str>,
    pub(super) style: Style,
    pub(super) line: usize,
}

/// Flattens a file. Of several documents, later ones win, name by name.
pub(super) fn flatten(bytes: &[u8]) -> Result<BTreeMap<String, Leaf>, YamlError> {
    let text = decode(bytes)?;
    let mut reader = Reader {
        parser: Parser::new_from_str(&text),
        anchors: BTreeMap::new(),
        aliases: 0,
        nodes_left: NODES_MAX,
    };
    let mut flat = Flat { leaves: BTreeMap::new(), nodes_left: NODES_MAX, bytes_left: FLAT_MAX };
    loop {
        let (event, line) = reader.next()?;
        match event {
            Event::StreamEnd => return Ok(flat.leaves),
            Event::StreamStart | Event::DocumentEnd | Event::Nothing => {}
            Event::DocumentStart(_) => reader.anchors.clear(),
            event => {
                let node = reader.node(event, line, 0)?;
                match &node.what {
                    What::Mapping(_) => flat.put("", &node, 0)?,
                    What::Scalar(text, Style::Plain) if scalar::plain(text) == Plain::Null => {}
                    _ => return fail(line, "a configuration is a mapping of keys to values"),
                }
            }
        }
    }
}

/// Decodes UTF-8, or UTF-16 with its mark, and refuses what YAML does not allow in a file.
pub(super) fn decode(bytes: &[u8]) -> Result<String, YamlError> {
    if bytes.len() > SIZE_MAX {
        return fail(0, format!("the file is larger than {SIZE_MAX} bytes"));
    }
    let text = match bytes {
        [0xFE, 0xFF, rest @ ..] => utf16(rest, u16::from_be_bytes)?,
        [0xFF, 0xFE, rest @ ..] => utf16(rest, u16::from_le_bytes)?,
        _ => {
            let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
            match std::str::from_utf8(bytes) {
                Ok(text) => text.to_owned(),
                Err(error) => {
                    let before = &bytes[..error.valid_up_to()];
                    let line = 1 + before.iter().filter(|b| **b == b'\n').count();
                    return fail(line, "the file is not UTF-8");
                }
            }
        }
    };
    let allowed = |c: char| {
        matches!(c, '\t' | '\n' | '\r' | ' '..='~' | '\u{85}' | '\u{A0}'..='\u{FFFD}')
            || c > '\u{FFFF}'
    };
    match text.find(|c| !allowed(c)) {
        Some(at) => {
            let line = 1 + text[..at].matches('\n').count();
            fail(line, "a control character stands here, which YAML does not allow")
        }
        None => Ok(text),
    }
}

fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Result<String, YamlError> {
    let (units, rest) = bytes.as_chunks::<2>();
    let text: Result<String, _> = char::decode_utf16(units.iter().map(|b| unit(*b))).collect();
    match text {
        Ok(text) if rest.is_empty() => Ok(text),
        _ => fail(0, "the file is not UTF-16, though it begins as such"),
    }
}

fn fail<T>(line: usize, message: impl Into<String>) -> Result<T, YamlError> {
    Err(YamlError { line, message: message.into() })
}

struct Node {
    line: usize,
    what: What,
}

enum What {
    Scalar(Rc<str>, Style),
    Sequence(Vec<Rc<Node>>),
    Mapping(Vec<(Key, Rc<Node>)>),
}

/// The key of a mapping. `1` and `"1"` are two keys, `yes` and `true` are one.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Key(Rc<str>);

impl Key {
    /// Names the key as stock gateways do: what is not text stands in brackets.
    fn new(text: &str, style: Style) -> Self {
        let name = match if style == Style::Plain { scalar::plain(text) } else { Plain::Text } {
            Plain::Bool(value) => format!("[{value}]"),
            Plain::Int(Some(value)) => format!("[{value}]"),
            Plain::Int(None) | Plain::Float(_) => format!("[{text}]"),
            Plain::Null => "[]".to_owned(),
            Plain::Text => text.to_owned(),
        };
        Self(name.into())
    }
}

struct Reader<'a> {
    parser: Parser<'a, saphyr_parser::StrInput<'a>>,
    anchors: BTreeMap<usize, Rc<Node>>,
    aliases: usize,
    nodes_left: usize,
}

impl<'a> Reader<'a> {
    fn next(&mut self) -> Result<(Event<'a>, usize), YamlError> {
        match self.parser.next_event() {
            Some(Ok((event, span))) => Ok((event, span.start.line())),
            Some(Err(error)) => fail(error.marker().line(), error.info()),
            None => Ok((Event::StreamEnd, 0)),
        }
    }

    /// Reads the node that `event` begins. Recursion ends at [`DEPTH_MAX`].
    fn node(&mut self, event: Event<'a>, line: usize, depth: usize) -> Result<Rc<Node>, YamlError> {
        if depth > DEPTH_MAX {
            return fail(line, format!("nested deeper than {DEPTH_MAX} levels"));
        }
        let (anchor, what) = match event {
            Event::Alias(id) => return self.alias(id, line),
            Event::Scalar(text, style, anchor, tag) => {
                let plain = if style == ScalarStyle::Plain { Style::Plain } else { Style::Text };
                let style = tagged(tag.as_deref(), plain, line)?;
                (anchor, What::Scalar(text.as_ref().into(), style))
            }
            Event::SequenceStart(anchor, tag) => {
                tagged(tag.as_deref(), Style::Plain, line)?;
                let mut items = Vec::new();
                loop {
                    match self.next()? {
                        (Event::SequenceEnd, _) => break,
                        (event, line) => items.push(self.node(event, line, depth + 1)?),
                    }
                }
                (anchor, What::Sequence(items))
            }
            Event::MappingStart(anchor, tag) => {
                tagged(tag.as_deref(), Style::Plain, line)?;
                (anchor, What::Mapping(self.mapping(depth)?))
            }
            _ => return fail(line, "the file ends too early"),
        };
        let node = Rc::new(Node { line, what });
        if anchor > 0 {
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    fn alias(&mut self, id: usize, line: usize) -> Result<Rc<Node>, YamlError> {
        let Some(node) = self.anchors.get(&id) else {
            return fail(line, "this alias names nothing that is complete by here");
        };
        if !matches!(node.what, What::Scalar(..)) {
            self.aliases += 1;
            if self.aliases > ALIASES_MAX {
                return fail(line, format!("more than {ALIASES_MAX} aliases"));
            }
        }
        Ok(node.clone())
    }

    fn mapping(&mut self, depth: usize) -> Result<Vec<(Key, Rc<Node>)>, YamlError> {
        let mut own: Vec<(Key, Rc<Node>)> = Vec::new();
        let mut merged = Vec::new();
        let mut seen = BTreeSet::new();
        loop {
            let (event, line) = self.next()?;
            if matches!(event, Event::MappingEnd) {
                break;
            }
            let key = self.node(event, line, depth + 1)?;
            let (event, value_line) = self.next()?;
            let value = self.node(event, value_line, depth + 1)?;
            match &key.what {
                What::Scalar(text, Style::Plain) if &**text == "<<" => {
                    self.merge(&value, line, &mut merged)?;
                }
                What::Scalar(text, style) => {
                    let key = Key::new(text, *style);
                    if !seen.insert(key.clone()) {
                        return fail(line, format!("the key {:?} is here twice", &*key.0));
                    }
                    own.push((key, value));
                }
                _ => return fail(line, "a key must be a single word or text"),
            }
        }
        // What is written out wins over what is merged, and what is merged first over the rest.
        own.extend(merged.into_iter().filter(|(key, _)| seen.insert(key.clone())));
        Ok(own)
    }

    fn merge(
        &mut self,
        value: &Node,
        line: usize,
        merged: &mut Vec<(Key, Rc<Node>)>,
    ) -> Result<(), YamlError> {
        match &value.what {
            What::Mapping(entries) => {
                let Some(left) = self.nodes_left.checked_sub(entries.len()) else {
                    return fail(line, "too large once its merge keys are followed");
                };
                self.nodes_left = left;
                merged.extend(entries.iter().cloned());
                Ok(())
            }
            What::Sequence(items) if items.iter().all(|i| matches!(i.what, What::Mapping(_))) => {
                items.iter().try_for_each(|item| self.merge(item, line, merged))
            }
            _ => fail(line, "`<<` takes a mapping or a list of mappings"),
        }
    }
}

/// Applies a tag to the style of a scalar; refuses those that no configuration needs.
fn tagged(tag: Option<&Tag>, style: Style, line: usize) -> Result<Style, YamlError> {
    match tag {
        None => Ok(style),
        Some(tag) if tag.is_yaml_core_schema() => match tag.suffix.as_str() {
            "str" => Ok(Style::Text),
            "int" | "bool" | "float" | "null" => Ok(Style::Plain),
            "map" | "seq" => Ok(style),
            other => fail(line, format!("the tag !!{other} is not supported")),
        },
        Some(tag) => fail(line, format!("the tag {tag} is not supported")),
    }
}

struct Flat {
    leaves: BTreeMap<String, Leaf>,
    nodes_left: usize,
    bytes_left: usize,
}

impl Flat {
    fn put(&mut self, path: &str, node: &Node, depth: usize) -> Result<(), YamlError> {
        if depth > DEPTH_MAX {
            return fail(node.line, format!("nested deeper than {DEPTH_MAX} levels"));
        }
        let Some(left) = self.nodes_left.checked_sub(1) else {
            return fail(node.line, "too large once its aliases are followed");
        };
        self.nodes_left = left;
        match &node.what {
            What::Scalar(text, Style::Plain) if scalar::plain(text) == Plain::Null => {
                self.leaf(path, "".into(), Style::Text, node.line)
            }
            What::Scalar(text, style) => self.leaf(path, text.clone(), *style, node.line),
            What::Sequence(items) if items.is_empty() => {
                self.leaf(path, "".into(), Style::Text, node.line)
            }
            What::Sequence(items) => items
                .iter()
                .enumerate()
                .try_for_each(|(i, item)| self.put(&format!("{path}[{i}]"), item, depth + 1)),
            What::Mapping(entries) => entries.iter().try_for_each(|(Key(key), value)| {
                let name = match path {
                    "" => key.to_string(),
                    path if key.starts_with('[') => format!("{path}{key}"),
                    path => format!("{path}.{key}"),
                };
                self.put(&name, value, depth + 1)
            }),
        }
    }

    fn leaf(
        &mut self,
        name: &str,
        text: Rc<str>,
        style: Style,
        line: usize,
    ) -> Result<(), YamlError> {
        let Some(left) = self.bytes_left.checked_sub(name.len() + text.len()) else {
            return fail(line, "too large once its aliases are followed");
        };
        self.bytes_left = left;
        self.leaves.insert(name.to_owned(), Leaf { text, style, line });
        Ok(())
    }
}

#[cfg(test)]
mod tests;
