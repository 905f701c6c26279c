//! YAML as JSON with line numbers.
//!
//! Scalars follow the core schema as far as JSON can say it: null, true, false and numbers that
//! are spelt as JSON spells them; everything else is text, dates and `yes` too. Depth, nodes and
//! the size of the result are bounded, so neither nesting nor aliases can exhaust memory.

use std::collections::{BTreeMap, HashSet};
use std::rc::Rc;

use saphyr_parser::{Event, Parser, ScalarStyle};

use super::Fault;
use crate::repository::mapping::json::{DEPTH_MAX, quoted};

/// The most nodes of one document, as written.
const NODES_MAX: usize = 2_000_000;

/// The most bytes of JSON that one document becomes, aliases spelt out.
const JSON_MAX: usize = 16 << 20;

/// A value and where it stands.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) line: u32,
    pub(super) value: Value,
    /// How many levels of arrays and objects it has, aliases spelt out.
    depth: usize,
}

#[derive(Debug)]
pub(super) enum Value {
    /// A JSON scalar.
    Scalar(String),
    List(Vec<Rc<Node>>),
    /// In the order written. Names are plain text.
    Map(Vec<(String, Rc<Node>)>),
}

/// An array or object that is not yet at its end.
struct Open {
    line: u32,
    anchor: usize,
    value: Value,
    /// A member's name that still waits for its value.
    name: Option<String>,
    /// The names of the members so far.
    names: HashSet<String>,
    /// The depth of the deepest value inside.
    below: usize,
}

/// Reads the one document in `text`.
pub(super) fn parse(text: &str) -> Result<Rc<Node>, Fault> {
    let mut reader = Reader { anchors: BTreeMap::new(), open: Vec::new(), root: None, nodes: 0 };
    for step in Parser::new_from_str(text) {
        let (event, span) = step.map_err(|e| {
            Fault::at(e.marker().line(), format!("{} (column {})", e.info(), e.marker().col() + 1))
        })?;
        let line = span.start.line();
        reader.take(event, line).map_err(|reason| Fault::at(line, reason))?;
    }
    reader.root.ok_or_else(|| Fault::at(1, "the file is empty"))
}

struct Reader {
    /// Anchored nodes by the number that the parser gives them.
    anchors: BTreeMap<usize, Rc<Node>>,
    open: Vec<Open>,
    root: Option<Rc<Node>>,
    nodes: usize,
}

impl Reader {
    fn take(&mut self, event: Event<'_>, line: usize) -> Result<(), String> {
        let line = u32::try_from(line).unwrap_or(u32::MAX);
        self.nodes += 1;
        if self.nodes > NODES_MAX {
            return Err(format!("more than {NODES_MAX} values in one file"));
        }
        match event {
            Event::DocumentStart(_) if self.root.is_some() => {
                Err("a second document: one file holds one".into())
            }
            Event::Scalar(text, style, anchor, tag) => {
                let as_text = tag.is_some_and(|tag| tag.suffix == "str");
                let plain = style == ScalarStyle::Plain && !as_text;
                let is_name = self
                    .open
                    .last()
                    .is_some_and(|open| matches!(open.value, Value::Map(_)) && open.name.is_none());
                if is_name {
                    return self.name(text.into_owned());
                }
                let value = if plain { scalar(&text)? } else { quoted(&text) };
                self.add(Node { line, value: Value::Scalar(value), depth: 0 }.into(), anchor)
            }
            Event::SequenceStart(anchor, _) => self.begin(line, anchor, Value::List(Vec::new())),
            Event::MappingStart(anchor, _) => self.begin(line, anchor, Value::Map(Vec::new())),
            Event::SequenceEnd | Event::MappingEnd => {
                let open = self.open.pop().ok_or("unbalanced")?;
                // Aliases may make it deeper than it was written.
                let depth = open.below + 1;
                if depth > DEPTH_MAX {
                    return Err(format!("nested deeper than {DEPTH_MAX} levels"));
                }
                self.add(Node { line: open.line, value: open.value, depth }.into(), open.anchor)
            }
            Event::Alias(anchor) => {
                let node = self.anchors.get(&anchor).map(Rc::clone);
                self.add(node.ok_or("an alias to a value that is not yet at its end")?, 0)
            }
            _ => Ok(()),
        }
    }

    fn begin(&mut self, line: u32, anchor: usize, value: Value) -> Result<(), String> {
        if self.open.len() >= DEPTH_MAX {
            return Err(format!("nested deeper than {DEPTH_MAX} levels"));
        }
        let waits = self.open.last();
        if waits.is_some_and(|o| matches!(o.value, Value::Map(_)) && o.name.is_none()) {
            return Err("the name of a member should be text".into());
        }
        self.open.push(Open { line, anchor, value, name: None, names: HashSet::new(), below: 0 });
        Ok(())
    }

    fn name(&mut self, name: String) -> Result<(), String> {
        let open = self.open.last_mut().expect("only an open map waits for a name");
        if name != "<<" && !open.names.insert(name.clone()) {
            return Err(format!("`{name}` stands here twice"));
        }
        open.name = Some(name);
        Ok(())
    }

    fn add(&mut self, node: Rc<Node>, anchor: usize) -> Result<(), String> {
        if anchor != 0 {
            self.anchors.insert(anchor, Rc::clone(&node));
        }
        if let Some(open) = self.open.last_mut() {
            open.below = open.below.max(node.depth);
        }
        match self.open.last_mut() {
            None => self.root = Some(node),
            Some(Open { value: Value::List(items), .. }) => items.push(node),
            Some(Open { value: Value::Map(members), name, names, .. }) => match name.take() {
                Some(name) if name == "<<" => merge(members, names, &node, &mut self.nodes)?,
                Some(name) => members.push((name, node)),
                None => return Err("the name of a member should be text".into()),
            },
            Some(Open { value: Value::Scalar(_), .. }) => unreachable!("a scalar is never open"),
        }
        Ok(())
    }
}

/// Takes in the members of other maps that are not there already. Each one counts as a value.
fn merge(
    members: &mut Vec<(String, Rc<Node>)>,
    names: &mut HashSet<String>,
    node: &Node,
    nodes: &mut usize,
) -> Result<(), String> {
    match &node.value {
        Value::Map(others) => {
            *nodes += others.len();
            if *nodes > NODES_MAX {
                return Err(format!("more than {NODES_MAX} values in one file"));
            }
            for (name, value) in others {
                if names.insert(name.clone()) {
                    members.push((name.clone(), Rc::clone(value)));
                }
            }
            Ok(())
        }
        Value::List(list) if list.iter().all(|n| matches!(n.value, Value::Map(_))) => {
            list.iter().try_for_each(|node| merge(members, names, node, nodes))
        }
        _ => Err("`<<` should be a map, or a list of maps".into()),
    }
}

/// Gives the JSON of a scalar without quotes.
fn scalar(text: &str) -> Result<String, String> {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Ok("null".into()),
        "true" | "True" | "TRUE" => Ok("true".into()),
        "false" | "False" | "FALSE" => Ok("false".into()),
        ".nan" | ".NaN" | ".NAN" | ".inf" | "-.inf" | "+.inf" | ".Inf" | "-.Inf" => {
            Err(format!("`{text}` is no number that JSON knows; quote it if it is meant as text"))
        }
        // The full spelling counts, so that no digit is lost.
        text if serde_json::from_str::<serde_json::Number>(text).is_ok() => Ok(text.into()),
        text => Ok(quoted(text)),
    }
}

impl Node {
    /// Writes the node as JSON.
    pub(super) fn json(&self) -> Result<String, Fault> {
        let mut out = String::new();
        self.write(&mut out).map_err(|()| {
            Fault::at(
                self.line as usize,
                format!("more than {JSON_MAX} bytes with aliases spelt out"),
            )
        })?;
        Ok(out)
    }

    // Recursion is bounded by `DEPTH_MAX`: every node's depth was checked as it was closed.
    fn write(&self, out: &mut String) -> Result<(), ()> {
        if out.len() > JSON_MAX {
            return Err(());
        }
        match &self.value {
            Value::Scalar(json) => out.push_str(json),
            Value::List(items) => {
                out.push('[');
                for (n, item) in items.iter().enumerate() {
                    if n > 0 {
                        out.push(',');
                    }
                    item.write(out)?;
                }
                out.push(']');
            }
            Value::Map(members) => {
                out.push('{');
                for (n, (name, value)) in members.iter().enumerate() {
                    if n > 0 {
                        out.push(',');
                    }
                    out.push_str(&quoted(name));
                    out.push(':');
                    value.write(out)?;
                }
                out.push('}');
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(text: &str) -> Result<String, Fault> {
        parse(text)?.json()
    }

    #[test]
    fn scalars_are_what_json_spells_and_text_otherwise() {
        let text =
            "a: 1.50\nb: yes\nc: 010\nd: ~\ne: \"5\"\nf: 2024-01-01\ng: !!str 7\nh: |\n  x\n";
        let expected =
            r#"{"a":1.50,"b":"yes","c":"010","d":null,"e":"5","f":"2024-01-01","g":"7","h":"x\n"}"#;
        assert_eq!(json(text).unwrap(), expected);
    }

    #[test]
    fn anchors_and_merges_are_spelt_out() {
        let text = "a: &a {x: 1, y: 2}\nb:\n  <<: *a\n  z: 3\nc: [*a]\n";
        let expected = r#"{"a":{"x":1,"y":2},"b":{"x":1,"y":2,"z":3},"c":[{"x":1,"y":2}]}"#;
        assert_eq!(json(text).unwrap(), expected);
    }

    #[test]
    fn what_a_map_says_itself_counts_before_what_it_merges() {
        let expected = r#"{"a":{"x":1,"y":2},"b":{"x":9,"y":2}}"#;
        assert_eq!(json("a: &a {x: 1, y: 2}\nb: {x: 9, <<: *a}\n").unwrap(), expected);
    }

    #[test]
    fn faults_name_their_line() {
        let line = |text: &str| json(text).unwrap_err().line;
        assert_eq!(line("a: 1\nb: 2\na: 3\n"), 3);
        assert_eq!(line("a: 1\n\nb: .nan\n"), 3);
        assert_eq!(line("a: 1\nb: [1, 2\nc: 3\n"), 3);
        assert!(json("a: 1\n---\nb: 2\n").unwrap_err().reason.contains("second document"));
        assert!(json("a: &a [*a]\n").is_err());
        assert!(json("[a]: 1\n").is_err());
    }

    #[test]
    fn depth_and_aliases_are_bounded() {
        // Nesting within a line has a bound of the scanner's own.
        let deep = json(&"[".repeat(100_000)).unwrap_err();
        assert!(deep.reason.contains("recursion limit"), "{deep:?}");
        let lines = (0..200).map(|n| format!("{}a:\n", " ".repeat(n)));
        let deep = json(&lines.collect::<String>()).unwrap_err();
        assert!(deep.reason.contains("nested deeper") && deep.line == 101, "{deep:?}");
        let mut bomb = String::from("a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol]\n");
        for n in 1..12 {
            let aliases = vec![format!("*a{}", n - 1); 8].join(", ");
            bomb += &format!("a{n}: &a{n} [{aliases}]\n");
        }
        assert!(json(&bomb).unwrap_err().reason.contains("aliases"));
        // Each line is shallow; aliases of aliases are not.
        let chain = (1..100_000).map(|n| format!("a{n}: &a{n} [[*a{}]]\n", n - 1));
        let chain = String::from("a0: &a0 [x]\n") + &chain.collect::<String>();
        let deep = json(&chain).unwrap_err();
        assert!(deep.reason.contains("nested deeper") && deep.line < 60, "{deep:?}");
    }
}
