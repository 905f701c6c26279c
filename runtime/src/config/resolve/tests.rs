use super::super::yaml;
use super::*;

fn properties(yaml: &str, variables: &[(&str, &str)], host: &[(&str, &str)]) -> Properties {
    let owned = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
        pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect()
    };
    let leaves = yaml::flatten(yaml.as_bytes()).expect("the test's own YAML is sound");
    Properties {
        variables: Variables::new(&owned(variables)),
        host: owned(host).into_iter().collect(),
        files: leaves.into_iter().map(|(key, leaf)| (key, ("f".into(), leaf))).collect(),
        home: "/home".to_owned(),
        ..Properties::default()
    }
}

fn text(properties: &Properties, key: &str) -> Option<String> {
    properties.get(key).unwrap_or_else(|e| panic!("{key}: {}", e.message)).map(|v| v.text)
}

fn message(properties: &Properties, key: &str) -> String {
    match properties.get(key) {
        Err(unresolved) => unresolved.message,
        Ok(value) => panic!("{key} resolved to {:?}", value.map(|v| v.text)),
    }
}

#[test]
fn sources_stand_in_order() {
    let yaml = "a-b:\n  c: file\n";
    let all = [("GRAVITEE_AB_C", "prefixed"), ("A_B_C", "plain")];
    let host = [("a-b.c", "host")];
    let of = |variables, host| text(&properties(yaml, variables, host), "a-b.c").unwrap();
    assert_eq!(of(&all, &host), "prefixed");
    assert_eq!(of(&all[1..], &host), "host");
    assert_eq!(of(&all[1..], &[]), "plain");
    assert_eq!(of(&[], &[]), "file");
}

#[test]
fn for_tags_the_property_of_the_host_wins() {
    let set = properties("x: 1\n", &[("GRAVITEE_TAGS", "v")], &[("tags", "")]);
    assert_eq!(text(&set, "tags").as_deref(), Some(""));
}

#[test]
fn the_old_name_wins_over_the_one_under_repositories() {
    let yaml = "distributed-sync: {redis: {host: old}}\n\
                repositories: {distributed-sync: {redis: {host: new, port: 1}}}\n";
    let new = [("GRAVITEE_REPOSITORIES_DISTRIBUTEDSYNC_REDIS_HOST", "variable")];
    let set = properties(yaml, &new, &[]);
    assert_eq!(text(&set, "distributed-sync.redis.host").as_deref(), Some("old"));
    assert_eq!(text(&set, "distributed-sync.redis.port").as_deref(), Some("1"));
    let other = properties("repositories: {zonesync: {zone: z}}\n", &[], &[]);
    assert_eq!(text(&other, "zonesync.zone"), None);
}

#[test]
fn placeholders_are_replaced() {
    let yaml = r"
home: ${gravitee.home}/x
default: ${nope:redis://h:1}
empty: ${nope:}
nested: ${a.${which}}
which: b
a.b: deep
lazy: ${which:${nope}}
chain: ${nope:${nope2:${which}}}
escaped: pa\${ss}word
colon: ${n\:x:y}
unclosed: ${which
dollar: $which
anonymous: ${:x}
blank: ${ which :none}
braces: ${nope:{x}}
both: ${which}-${which}
";
    let set = properties(yaml, &[], &[]);
    let cases = [
        ("home", "/home/x"),
        ("default", "redis://h:1"),
        ("empty", ""),
        ("nested", "deep"),
        ("lazy", "b"),
        ("chain", "b"),
        ("escaped", "pa${ss}word"),
        ("colon", "y"),
        ("unclosed", "${which"),
        ("dollar", "$which"),
        ("anonymous", "x"),
        ("blank", "none"),
        ("braces", "{x}"),
        ("both", "b-b"),
    ];
    for (key, value) in cases {
        assert_eq!(text(&set, key).as_deref(), Some(value), "{key}");
    }
}

#[test]
fn placeholders_that_lead_nowhere_are_errors() {
    let set = properties("a: ${b}\nb: ${a:x}\nc: ${nope}\nd: ${}\ne: ${e}\n", &[], &[]);
    assert!(message(&set, "a").contains("back to itself"));
    assert!(message(&set, "e").contains("back to itself"));
    assert!(message(&set, "c").contains("${nope} has no value"));
    assert!(message(&set, "d").contains("has no value"));
}

#[test]
fn placeholders_are_bounded() {
    let mut doubling = String::from("a0: xxxxxxxxxxxxxxxx\n");
    for i in 1..40 {
        doubling.push_str(&format!("a{i}: ${{a{0}}}${{a{0}}}\n", i - 1));
    }
    let set = properties(&doubling, &[], &[]);
    assert!(message(&set, "a39").contains("leads to more than"));
    let nested = format!("a: {}x{}\n", "${".repeat(5_000), "}".repeat(5_000));
    assert!(message(&properties(&nested, &[], &[]), "a").contains("lead on"));
    let defaults = format!("a: {}x{}\n", "${n:".repeat(5_000), "}".repeat(5_000));
    assert!(message(&properties(&defaults, &[], &[]), "a").contains("lead on"));
}

#[test]
fn a_placeholder_that_has_not_begun_stays_as_it_is() {
    for begun in ["${", "${a", "$", "a${"] {
        assert_eq!(
            text(&properties(&format!("x: '{begun}'"), &[], &[]), "x").as_deref(),
            Some(begun)
        );
    }
}

#[test]
fn a_whole_placeholder_keeps_what_the_value_may_mean() {
    let set = properties("n: 30_000\nwhole: ${n}\npart: x${n}\n", &[], &[]);
    assert_eq!(set.get("whole").ok().flatten().unwrap().style, Style::Through);
    assert_eq!(set.get("part").ok().flatten().unwrap().text, "x30_000");
}

#[test]
fn a_value_that_takes_in_a_secret_is_one() {
    let set = properties("p.password: hush\na: x${p.password}\nb: ${a}\nc: y\n", &[], &[]);
    let secret = |key: &str| set.get(key).ok().flatten().unwrap().secret;
    assert!(secret("a") && secret("b") && secret("p.password"));
    assert!(!secret("c"));
}

#[test]
fn references_to_secrets_are_errors_without_a_resolver() {
    let yaml = "a: secret://vault/x:y\nb: kubernetes://ns/secrets/n/k\nc: ${a}\nd: x${a}y\n";
    let set = properties(yaml, &[], &[]);
    for key in ["a", "b", "c", "d"] {
        assert!(message(&set, key).contains("no resolver"), "{key}");
    }
}

#[test]
fn the_home_folder_is_absolute() {
    let here = std::env::current_dir().unwrap();
    let relative = properties("path: ${gravitee.home}/x\n", &[("GRAVITEE_HOME", "gw")], &[]);
    assert_eq!(text(&relative, "path").unwrap(), here.join("gw/x").to_string_lossy());
    let absolute = properties("path: ${gravitee.home}/x\n", &[], &[(HOME, "/opt/gw")]);
    assert_eq!(text(&absolute, "path").unwrap(), "/opt/gw/x");
}
