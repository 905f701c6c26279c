use proptest::prelude::*;

use super::*;

fn flat(text: &str) -> Vec<(String, String)> {
    let leaves = flatten(text.as_bytes()).unwrap_or_else(|e| panic!("{}: {}", e.line, e.message));
    leaves.into_iter().map(|(name, leaf)| (name, leaf.text.to_string())).collect()
}

fn is(text: &str, expected: &[(&str, &str)]) {
    let expected: Vec<_> =
        expected.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    assert_eq!(flat(text), expected, "{text}");
}

fn error(text: &str) -> YamlError {
    match flatten(text.as_bytes()) {
        Ok(leaves) => panic!("read as {leaves:?}"),
        Err(error) => error,
    }
}

#[test]
fn names_are_joined_by_dots_and_indices() {
    is(
        "a:\n  b: {c: 1}\n  l: [x, {y: z}, [p, q]]\n",
        &[
            ("a.b.c", "1"),
            ("a.l[0]", "x"),
            ("a.l[1].y", "z"),
            ("a.l[2][0]", "p"),
            ("a.l[2][1]", "q"),
        ],
    );
    is("a: ~\nb: []\nc: {}\nd:\ne: ''\n", &[("a", ""), ("b", ""), ("d", ""), ("e", "")]);
    is("nodes: {0: {host: h}}\non: x\n", &[("[true]", "x"), ("nodes[0].host", "h")]);
    is("a.b: 1\na:\n  b: 2\n", &[("a.b", "2")]);
    is("a: 1\nl: [x, y]\n---\na: 2\nl: [w]\n", &[("a", "2"), ("l[0]", "w"), ("l[1]", "y")]);
    is("", &[]);
    is("# nothing\n", &[]);
}

#[test]
fn what_was_typed_is_kept_with_its_style_and_line() {
    let leaves = flatten(b"a: 0123\nb:\n  c: \"0123\"\nd: !!str 7\n").unwrap();
    let leaf = |name: &str| (&*leaves[name].text, leaves[name].style, leaves[name].line);
    assert_eq!(leaf("a"), ("0123", Style::Plain, 1));
    assert_eq!(leaf("b.c"), ("0123", Style::Text, 3));
    assert_eq!(leaf("d"), ("7", Style::Text, 4));
}

#[test]
fn merge_keys_fill_what_is_not_written_out() {
    is(
        "a: &a {x: 1, y: 2}\nb:\n  x: 9\n  <<: *a\n",
        &[("a.x", "1"), ("a.y", "2"), ("b.x", "9"), ("b.y", "2")],
    );
    is(
        "a: &a {x: 1}\nb: &b {x: 2, y: 3}\nc:\n  <<: [*a, *b]\n",
        &[("a.x", "1"), ("b.x", "2"), ("b.y", "3"), ("c.x", "1"), ("c.y", "3")],
    );
    assert_eq!(error("a: &a 1\nb:\n  <<: *a\n").line, 3);
}

#[test]
fn a_key_that_is_there_twice_is_an_error() {
    assert_eq!(error("a: 1\nb: 2\na: 3\n").line, 3);
    assert_eq!(error("yes: 1\ntrue: 2\n").line, 2);
    is("1: a\n\"1\": b\n", &[("1", "b"), ("[1]", "a")]);
}

#[test]
fn errors_name_their_line() {
    let broken = "k:\n  certificates:\n    - cert: A\n  key: KA\n    - cert: B\n";
    assert_eq!(error(broken).line, 5);
    assert_eq!(error("a: 1\nb: *nobody\n").line, 2);
    assert_eq!(error("a: 1\nb: !mine x\n").line, 2);
    assert_eq!(error("a: 1\nb: x\u{7}\n").line, 2);
    assert_eq!(error("- a\n- b\n").line, 1);
    assert_eq!(flatten(b"a: 1\nb: caf\xE9\n").unwrap_err().line, 2);
}

#[test]
fn encodings_of_the_standard_are_read() {
    let value = |bytes: &[u8]| flatten(bytes).unwrap()["a"].text.to_string();
    assert_eq!(value(b"\xEF\xBB\xBFa: 1\r\nb: 2\r\n"), "1");
    assert_eq!(value(b"\xFE\xFF\0a\0:\0 \0\xE9"), "é");
    assert_eq!(value(b"\xFF\xFEa\0:\0 \0\xE9\0"), "é");
}

#[test]
fn everything_is_bounded() {
    let deep = |n: usize| format!("a: {}{}", "[".repeat(n), "]".repeat(n));
    assert!(flatten(deep(49).as_bytes()).is_ok());
    assert!(error(&deep(51)).message.contains("deeper"));
    error(&deep(500_000)); // the parser's own bound comes first

    let aliases = |n: usize| format!("a: &a {{k: x}}\nb: [{}]\n", "*a, ".repeat(n));
    assert!(flatten(aliases(50).as_bytes()).is_ok());
    assert!(error(&aliases(51)).message.contains("aliases"));

    let mut laughs = String::from("a0: &a0 [x]\n");
    for i in 1..=24 {
        laughs.push_str(&format!("a{i}: &a{i} [*a{0}, *a{0}]\n", i - 1));
    }
    assert!(error(&laughs).message.contains("too large"));

    let long = format!("a: &a {}\nb: [{}]\n", "x".repeat(1 << 20), "*a, ".repeat(100));
    assert!(error(&long).message.contains("too large"));

    assert!(error("a: &x\n  b: *x\n").message.contains("complete"));
    let large = vec![b'#'; SIZE_MAX + 1];
    assert!(flatten(&large).unwrap_err().message.contains("larger"));
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = flatten(&bytes);
    }

    #[test]
    fn what_looks_like_yaml_never_panics(
        parts in prop::collection::vec(prop::sample::select(PARTS), 0..80),
    ) {
        let _ = flatten(parts.concat().as_bytes());
    }
}

const PARTS: &[&str] = &[
    "a",
    ": ",
    ":",
    "- ",
    "\n",
    "\n  ",
    "\n    ",
    "[",
    "]",
    "{",
    "}",
    ", ",
    "&a ",
    "*a",
    "<<: ",
    "? ",
    "| \n",
    ">-\n",
    "'",
    "\"",
    "\\",
    "# ",
    "--- ",
    "...\n",
    "%YAML 1.1\n",
    "!!str ",
    "!x ",
    "\t",
    "\r",
    "é",
    "~",
    "0x1",
    "@",
    "`",
    "%TAG ! x\n",
    "\u{85}",
    "\u{2028}",
    "\u{1F600}",
];
