//! Two samples that many people have copied are broken; here they are read as they were meant.
//!
//! The documentation prints the `key` of a certificate one level too far left, and the shipped file
//! indents everything behind `password` too deep. Only these patterns are mended, with a doubt each.

use std::collections::BTreeMap;

use super::problem::{Origin, Problem};
use super::resolve::Properties;
use super::yaml::{self, Leaf, YamlError};

/// What is said of a line that was moved.
pub(super) const KEY_TOO_FAR_LEFT: &str = "this key is taken for that of the certificate above: it \
     belongs into its entry, below cert, and a stock gateway does not start";

const BLOCKS: [&str; 2] = ["distributed-sync.redis", "repositories.distributed-sync.redis"];

/// Flattens a file. If it is broken by keys of certificates that stand too far left, moves these, and
/// lists their lines.
pub(super) fn flatten(bytes: &[u8]) -> Result<(BTreeMap<String, Leaf>, Vec<usize>), YamlError> {
    let error = match yaml::flatten(bytes) {
        Ok(leaves) => return Ok((leaves, Vec::new())),
        Err(error) => error,
    };
    let Ok(text) = yaml::decode(bytes) else { return Err(error) };
    let (mended, moved) = mend(&text);
    // The parser stumbles over the entry behind a key, in the same list.
    if !moved.iter().any(|line| error.line > *line) {
        return Err(error);
    }
    let leaves = yaml::flatten(mended.as_bytes()).map_err(|_| error)?;
    Ok((leaves, moved))
}

/// Moves each `key:` that directly follows a `- cert:` of a list `certificates:` below that `cert`.
fn mend(text: &str) -> (String, Vec<usize>) {
    let mut out = String::with_capacity(text.len() + 64);
    let mut moved = Vec::new();
    let mut inside = false;
    // The column of the `cert` above, while no key of its own has come.
    let mut open = None;
    for (i, line) in text.split_inclusive('\n').enumerate() {
        let bare = line.trim();
        let indent = line.len() - line.trim_start_matches(' ').len();
        if bare.is_empty() || bare.starts_with('#') {
            out.push_str(line);
            continue;
        }
        let item = bare.strip_prefix('-').map(|rest| rest.trim_start_matches(' '));
        if bare == "certificates:" {
            (inside, open) = (true, None);
        } else if let Some(item) = item.filter(|item| inside && item.starts_with("cert:")) {
            open = Some(indent + bare.len() - item.len());
        } else if inside && bare.starts_with("key:") && open.is_some() {
            let column = open.take().unwrap_or(indent);
            if column != indent {
                moved.push(i + 1);
                out.push_str(&" ".repeat(column));
                out.push_str(line.trim_start_matches(' '));
                continue;
            }
        } else {
            (inside, open) = (false, None);
        }
        out.push_str(line);
    }
    (out, moved)
}

/// Takes what stands below `redis.password` for what stands beside it. What is beside it wins.
pub(super) fn children_of_password(properties: &mut Properties) -> Vec<Problem> {
    let mut doubts = Vec::new();
    for block in BLOCKS {
        let prefix = format!("{block}.password.");
        let below: Vec<String> = properties
            .files
            .range(prefix.clone()..)
            .take_while(|(key, _)| key.starts_with(&prefix))
            .map(|(key, _)| key.clone())
            .collect();
        let mut first: Option<(String, Origin)> = None;
        for key in below {
            let Some((name, leaf)) = properties.files.remove(&key) else { continue };
            let origin = Origin::File { name: name.clone(), line: leaf.line };
            let line = |origin: &Origin| match origin {
                Origin::File { line, .. } => *line,
                _ => usize::MAX,
            };
            if first.as_ref().is_none_or(|(_, of)| line(&origin) < line(of)) {
                first = Some((key.clone(), origin));
            }
            let right = format!("{block}.{}", &key[prefix.len()..]);
            properties.files.entry(right).or_insert((name, leaf));
        }
        if let Some((key, origin)) = first {
            let message = "from here on everything is indented too deep, below password, where a \
                           stock gateway ignores it: it is taken for what stands beside password, \
                           and the password is unset";
            doubts.push(Problem { key, origin, value: None, message: message.to_owned() });
        }
    }
    doubts
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: &str = "\
keystore:
  certificates:
    - cert: A
  # the key

  key: KA
    - cert: B
  key: KB
ssl: true
";

    fn value(leaves: &BTreeMap<String, Leaf>, key: &str) -> String {
        leaves[key].text.to_string()
    }

    #[test]
    fn keys_of_certificates_are_moved_to_their_entries() {
        assert!(yaml::flatten(TWO.as_bytes()).is_err());
        let (leaves, moved) = flatten(TWO.as_bytes()).unwrap();
        assert_eq!(moved, [6, 8]);
        for (i, key) in ["KA", "KB"].into_iter().enumerate() {
            assert_eq!(value(&leaves, &format!("keystore.certificates[{i}].key")), key);
        }
        assert_eq!(value(&leaves, "ssl"), "true");
        let crlf = TWO.replace('\n', "\r\n");
        assert_eq!(flatten(crlf.as_bytes()).unwrap().1, [6, 8]);
    }

    #[test]
    fn what_is_right_or_otherwise_broken_stays() {
        let right = "certificates:\n  - cert: A\n    key: KA\n";
        assert_eq!(flatten(right.as_bytes()).unwrap().1, [0; 0]);
        // One certificate is no broken YAML: its key is found when the keystore is read.
        let one = "certificates:\n  - cert: A\nkey: KA\n";
        assert_eq!(flatten(one.as_bytes()).unwrap().1, [0; 0]);
        for broken in [
            "a: 1\na: 2\ncertificates:\n  - cert: A\nkey: KA\n",
            "certificates:\n  - cert: A\nkee: KA\n  - cert: B\n",
            "others:\n  - cert: A\nkey: KA\n  - cert: B\nkey: KB\n",
        ] {
            assert!(flatten(broken.as_bytes()).is_err(), "{broken}");
        }
        let both = format!("{TWO}ssl: false\n");
        let error = flatten(both.as_bytes()).unwrap_err();
        assert_eq!(error.line, 7, "the first error is told: {}", error.message);
    }
}
