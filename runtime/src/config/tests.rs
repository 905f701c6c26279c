use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

/// Enough to start: the cases below add to it.
const BASE: &str = "zonesync.store: memory\n";

fn sources(yaml: &str) -> Sources {
    Sources { text: Some(("g.yml".into(), yaml.into())), ..Sources::default() }
}

fn with_variables(yaml: &str, variables: &[(&str, &str)]) -> Sources {
    let variables = variables.iter().map(|(a, b)| ((*a).into(), (*b).into())).collect();
    Sources { variables, ..sources(yaml) }
}

fn good(yaml: &str) -> Loaded {
    load(&sources(yaml)).unwrap_or_else(|error| panic!("{error}"))
}

fn problems(yaml: &str) -> String {
    load(&sources(yaml)).expect_err("this configuration is wrong").to_string()
}

fn lines(problems: &[Problem]) -> String {
    problems.iter().map(|problem| format!("{problem}\n")).collect()
}

#[test]
fn the_defaults_are_those_of_the_table() {
    let Loaded { settings, warnings, explain, .. } = good(BASE);
    assert_eq!(settings.zone.as_str(), "default");
    assert_eq!(settings.store, Some(Store::Memory { max: 1 << 30 }));
    assert_eq!(settings.options(), crate::Options { candidate: false, ..Default::default() });
    assert_eq!(settings.repository_pause, std::time::Duration::from_secs(5));
    assert!(settings.enabled && settings.filter.legacy_hrids && !settings.decrypt_properties);
    assert_eq!(warnings, []);
    let node = explain.iter().find(|line| line.key == "zonesync.node").unwrap();
    assert_eq!(node.value.as_deref(), Some(settings.node.as_str()));
}

#[test]
fn every_key_of_the_table_is_read_and_no_other() {
    let table: Vec<&str> = KEYS.iter().map(|key| key.name).collect();
    let single: Vec<&str> = table.iter().copied().filter(|name| !name.contains("[]")).collect();
    assert!(table.is_sorted(), "the table is sorted by name");
    for yaml in [BASE, "zonesync.store: redis\n"] {
        let explain = good(yaml).explain;
        let read: Vec<&str> = explain.iter().map(|line| line.key.as_str()).collect();
        assert_eq!(read, single, "each key of the table is read once");
    }
    // Lists are read as far as they go, whatever they are for.
    let lists = "zonesync.store: redis
distributed-sync.redis:
  ssl: true
  sentinel: {master: m, nodes: [{host: s, port: 1}]}
  keystore: {type: pem, certificates: [{cert: c, key: k}]}
";
    let node = "distributed-sync.redis.cluster.nodes: [{host: c, port: 2}]\n";
    let cluster = format!("zonesync.store: redis\n{node}");
    for (yaml, base) in
        [(lists, "keystore.certificates"), (lists, "sentinel.nodes"), (&cluster, "cluster.nodes")]
    {
        let explain = read(&sources(yaml)).unwrap_or_else(|error| panic!("{error}")).explain;
        let listed = explain.iter().map(|line| line.key.as_str()).filter(|key| key.contains(base));
        let listed: Vec<String> = listed.map(keys::without_indices).collect();
        let wanted: Vec<&str> = table.iter().copied().filter(|key| key.contains(base)).collect();
        assert_eq!(listed, wanted);
    }
}

#[test]
fn the_documentation_shows_the_table() {
    let page = include_str!("../../../docs/configuration.md");
    let shown: BTreeSet<&str> = page.lines().filter(|line| line.starts_with("| `")).collect();
    let row = |key: &Key| {
        let kind = match key.kind {
            Kind::Text => "text".to_owned(),
            Kind::Path => "path".to_owned(),
            Kind::Bool => "bool".to_owned(),
            Kind::Count => "number".to_owned(),
            Kind::Duration => "time".to_owned(),
            Kind::Size => "size".to_owned(),
            Kind::List => "comma list".to_owned(),
            Kind::Choice(words) => {
                words.iter().map(|w| format!("`{w}`")).collect::<Vec<_>>().join(", ")
            }
        };
        let default = match key.default {
            "" => "none".to_owned(),
            text if text.starts_with('[') => text[1..text.len() - 1].to_owned(),
            text => format!("`{text}`"),
        };
        format!("| `{}` | {kind} | {default} | {} |", key.name, key.meaning)
    };
    let rows: Vec<String> = KEYS.iter().map(row).collect();
    let table: BTreeSet<&str> = rows.iter().map(String::as_str).collect();
    assert_eq!(shown, table, "docs/configuration.md must read:\n{}", rows.join("\n"));
    let (own, stock) = page.split_once("## Gravitee").expect("stock keys have a section");
    for key in KEYS {
        let section = if key.is_own() { own } else { stock };
        assert!(section.contains(&format!("| `{}` |", key.name)), "{} stands apart", key.name);
    }
}

#[test]
fn a_full_configuration_is_understood() {
    let yaml = "
management: {type: directory, directory: {path: /srv/repository}}
tags: a, !b
services.sync: {delay: 2, unit: SECONDS, distributed: {enabled: yes}}
zonesync:
  zone: orders-eu
  node: n1
  store: memory
  memory.max: 64MiB
  election: {source: lease, ttl: 1500ms}
  poll: 2_000
  full-read: 10m
  feed.max: 0x10
  admin.socket: /run/zs.sock
  cluster-id: 0123
";
    let settings = good(yaml).settings;
    let path = PathBuf::from("/srv/repository");
    assert_eq!(settings.repository, Some(Repository::Directory { path }));
    assert_eq!(settings.filter.tags, ["a", "!b"]);
    assert_eq!(settings.store, Some(Store::Memory { max: 64 << 20 }));
    let millis = [settings.ttl, settings.poll, settings.full_read, settings.repository_pause]
        .map(|time| time.as_millis());
    assert_eq!(millis, [1_500, 2_000, 600_000, 2_000]);
    assert_eq!(settings.feed_max, 16);
    assert_eq!(settings.cluster_id.as_deref(), Some("0123"), "text stays as it was typed");
    assert_eq!(settings.admin_socket, PathBuf::from("/run/zs.sock"));
    assert!(settings.options().candidate);
}

#[test]
fn all_problems_come_at_once_with_their_places() {
    let yaml = "
zonesync:
  zone: a b
  election: {source: dice, ttl: 1ms}
  poll: soon
  layout: gravitee
  mirror: gravitee
  store: disk
  feed: {max: 0}
";
    let variables = [("GRAVITEE_ZONESYNC_FULLREAD", "never")];
    let error = load(&with_variables(yaml, &variables)).unwrap_err();
    let text = error.to_string();
    let expected = [
        "zonesync.zone (g.yml:3): ",
        "zonesync.election.source (g.yml:4): must be lease or external or none, got \"dice\"",
        "zonesync.election.ttl (g.yml:4): ",
        "zonesync.poll (g.yml:5): must be a time such as 3s",
        "zonesync.layout (g.yml:6): the gravitee layout is not supported yet",
        "zonesync.mirror (g.yml:7): the gravitee layout is not supported yet",
        "zonesync.store (g.yml:8): must be memory or redis, got \"disk\"",
        "zonesync.feed.max (g.yml:9): ",
        "zonesync.full-read (variable GRAVITEE_ZONESYNC_FULLREAD): ",
    ];
    for part in expected {
        assert!(text.contains(part), "{part} is missing in\n{text}");
    }
    assert_eq!(error.problems.len(), expected.len(), "{text}");
    assert_eq!(text.lines().count(), expected.len());
}

#[test]
fn a_zone_starts_only_when_asked_for() {
    let directory = "management: {type: directory, directory: {path: /r}}\n";
    let alone = good(directory);
    assert_eq!(alone.settings.store, None);
    assert!(lines(&alone.warnings).contains("no zone"), "{:?}", alone.warnings);

    let idle = good(&format!("{directory}distributed-sync.type: redis\n"));
    assert_eq!(idle.settings.store, None);

    let on = format!("{directory}services.sync.distributed.enabled: true\n");
    assert!(problems(&on).contains("a store is needed"));
    let redis = good(&format!("{on}distributed-sync.type: redis\n"));
    assert!(matches!(redis.settings.store, Some(Store::Redis(_))));
    let unknown = problems(&format!("{on}distributed-sync.type: floppy\n"));
    assert!(unknown.contains("distributed-sync.type (g.yml:3): must be redis"), "{unknown}");
    assert_eq!(unknown.lines().count(), 1, "{unknown}");
    let both = good(&format!("{on}distributed-sync.type: redis\nzonesync.store: memory\n"));
    assert!(both.settings.store.is_some());

    assert!(problems("x: y\n").contains("neither a zone nor a repository"));
}

#[test]
fn the_repository_is_one_of_those_that_are_read() {
    let yaml = |kind: &str| format!("{BASE}management.type: {kind}\n");
    assert!(problems(&yaml("directory")).contains("needs a folder"));
    assert!(problems(&yaml("mongodb")).contains("does not read this repository yet"));
    assert!(problems(&yaml("floppy")).contains("or mysql or mariadb or none, got \"floppy\""));
    assert_eq!(good(&yaml("none")).settings.repository, None);
}

#[test]
fn unknown_keys_of_ours_are_problems() {
    let text = problems(&format!("{BASE}zonesync.fullread: 1h\nzonesync.poll.x: 1\n"));
    assert!(
        text.contains("zonesync.fullread (g.yml:2): unknown key: did you mean zonesync.full-read?")
    );
    assert!(text.contains("zonesync.poll.x (g.yml:3): unknown key"), "{text}");
    let property =
        Sources { properties: vec![("zonesync.zoo".into(), "z".into())], ..sources(BASE) };
    let error = load(&property).unwrap_err().to_string();
    assert!(error.contains("zonesync.zoo (property zonesync.zoo): unknown key"), "{error}");
    assert_eq!(good(&format!("{BASE}zonesync.election:\n")).warnings, [], "an empty block");
}

#[test]
fn unknown_keys_of_the_shared_store_are_doubts() {
    let yaml = format!(
        "{BASE}distributed-sync.redis: {{hots: h, trustall: x}}\n\
         distributed-sync.redis.sentinel: {{nodes: [{{host: h, prt: 1}}]}}\n\
         repositories.distributed-sync.redis.port: 1\n"
    );
    let text = lines(&good(&yaml).warnings);
    assert!(text.contains("did you mean distributed-sync.redis.host?"), "{text}");
    assert!(text.contains("did you mean distributed-sync.redis.trustAll?"), "{text}");
    assert!(text.contains("did you mean distributed-sync.redis.sentinel.nodes[].port?"), "{text}");
    assert_eq!(text.lines().count(), 3, "{text}");
}

#[test]
fn natural_spellings_of_variables_are_noticed() {
    let wrong = [
        ("GRAVITEE_ZONESYNC_FULL_READ", "GRAVITEE_ZONESYNC_FULLREAD"),
        ("GRAVITEE_DISTRIBUTED_SYNC_REDIS_HOST", "GRAVITEE_DISTRIBUTEDSYNC_REDIS_HOST"),
        (
            "GRAVITEE_DISTRIBUTED_SYNC_REDIS_SENTINEL_NODES_1_HOST",
            "GRAVITEE_DISTRIBUTEDSYNC_REDIS_SENTINEL_NODES_1_HOST",
        ),
        ("Gravitee_Zonesync_Zone", "GRAVITEE_ZONESYNC_ZONE"),
        ("GRAVITEE_DISTRIBUTED_SYNC_TURBO", "GRAVITEE_DISTRIBUTEDSYNC_"),
    ];
    for (wrong, right) in wrong {
        let loaded = load(&with_variables(BASE, &[(wrong, "1h")])).unwrap();
        let text = lines(&loaded.warnings);
        assert!(text.contains(&format!("variable {wrong}")) && text.contains(right), "{text}");
        let silent = load(&with_variables(BASE, &[(right, "1h")])).unwrap();
        assert_eq!(silent.warnings.len(), usize::from(right.ends_with('_')), "{right}");
    }
    let error = load(&with_variables(BASE, &[("GRAVITEE_ZONESYNC_ZOME", "z")])).unwrap_err();
    assert!(error.to_string().contains("did you mean GRAVITEE_ZONESYNC_ZONE?"), "{error}");
}

#[test]
fn comma_lists_may_be_lists() {
    let loaded = good(&format!("{BASE}tags: [a, '!b']\nenvironments: x,y\n"));
    assert_eq!(loaded.settings.filter.tags, ["a", "!b"]);
    assert_eq!(loaded.settings.filter.environments, ["x", "y"]);
    let text = lines(&loaded.warnings);
    assert!(text.contains("tags (g.yml:2): a stock gateway ignores this list"), "{text}");
    assert_eq!(text.lines().count(), 1);
    let variable = with_variables(&format!("{BASE}tags: [a]\n"), &[("GRAVITEE_TAGS", "")]);
    assert!(load(&variable).unwrap().settings.filter.tags.is_empty(), "the variable wins");
}

#[test]
fn strict_turns_what_is_written_doubtfully_into_problems() {
    let yaml = format!("{BASE}zonesync.config.strict: true\n");
    assert!(load(&sources(&yaml)).is_ok());
    assert!(problems(&format!("{yaml}tags: [a]\n")).contains("tags (g.yml:3)"));
    let directory = "zonesync.config.strict: true\n\
                     management: {type: directory, directory: {path: /r}}\n";
    assert!(load(&sources(directory)).is_ok(), "having no zone is no mistake");
    let off = good(&format!("{yaml}services.sync.enabled: false\n"));
    assert!(!off.settings.enabled);
    assert!(
        lines(&off.warnings).contains("services.sync.enabled (g.yml:3): synchronisation is off")
    );
}

#[test]
fn blank_means_unset() {
    let yaml = "zonesync: {store: memory, zone: '', poll: , node: ' '}\ntags: ''\n";
    let settings = good(yaml).settings;
    assert_eq!(settings.zone.as_str(), "default");
    assert_eq!(settings.poll.as_millis(), 1_000);
    assert!(settings.filter.tags.is_empty());
}

#[test]
fn secrets_are_never_shown() {
    let yaml = format!(
        "{BASE}api.properties.encryption.secret: hush-hush\n\
         zonesync.zone: ${{api.properties.encryption.secret}}!\n\
         zonesync.poll: ${{my.password}}\nmy.password: hush-hush\n"
    );
    let error = load(&sources(&yaml)).unwrap_err();
    let all = format!("{error} {error:?} {:?}", sources(&yaml));
    assert!(error.problems.len() == 2 && !all.contains("hush"), "{all}");
    assert!(all.contains("got ***"), "{all}");

    let loaded = good(&format!("{BASE}api.properties.encryption.secret: hush-hush\n"));
    assert_eq!(loaded.settings.properties_secret.as_ref().unwrap().reveal(), "hush-hush");
    assert!(!format!("{loaded:?}").contains("hush"));

    let reference = problems(&format!("{BASE}zonesync.node: secret://vault/a:b\n"));
    assert!(reference.contains("no resolver") && !reference.contains("vault"), "{reference}");
}

#[test]
fn decryption_needs_its_secret() {
    let text = problems(&format!("{BASE}zonesync.properties.decrypt: true\n"));
    assert!(text.contains("api.properties.encryption.secret is needed"));
}

#[test]
fn files_are_read_in_order_and_reported_alone() {
    let folder = std::env::temp_dir().join(format!("zonesync-config-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.join(name);
        std::fs::write(&path, text).unwrap();
        path.to_string_lossy().into_owned()
    };
    let first = file("a.yml", "zonesync: {store: memory, zone: a, node: a}\n");
    let second = file("b.yml", "zonesync.zone: b\n");
    let broken = file("c.yml", "a: 1\na: 2\n");

    let list = format!("{first}, {second},");
    let conf = vec![(CONF.to_owned(), list)];
    let loaded = load(&Sources { properties: conf, ..Sources::default() }).unwrap();
    assert_eq!(loaded.settings.zone.as_str(), "b");
    assert_eq!(loaded.settings.node.as_str(), "a");
    let zone = loaded.explain.iter().find(|line| line.key == "zonesync.zone").unwrap();
    assert_eq!(zone.origin.to_string(), format!("{second}:1"));

    let missing = folder.join("none.yml");
    let files = vec![PathBuf::from(&broken), missing.clone()];
    let error = load(&Sources { files, ..Sources::default() }).unwrap_err().to_string();
    std::fs::remove_dir_all(&folder).unwrap();
    assert!(error.contains(&format!("({broken}:2): the key \"a\" is here twice")), "{error}");
    assert!(error.contains(&format!("({}): cannot be read", missing.display())), "{error}");
    assert_eq!(error.lines().count(), 2);
}

#[test]
fn what_comes_from_outside_the_files_is_noted_where_it_matters() {
    let yaml = "zonesync.store: redis\ndistributed-sync.redis: {host: h, port: 1}\n\
                services.sync.cron: x\n";
    let variables = [
        ("DISTRIBUTED_SYNC_REDIS_HOST", "elsewhere"),
        ("GRAVITEE_DISTRIBUTEDSYNC_REDIS_PASSWORD", "hush"),
        ("GRAVITEE_ZONESYNC_POLL", "1s"),
    ];
    let text = lines(&load(&with_variables(yaml, &variables)).unwrap().notes);
    let host = "redis.host (variable DISTRIBUTED_SYNC_REDIS_HOST): set from outside the files";
    assert!(text.contains(host) && text.contains("redis.password (variable"), "{text}");
    assert!(text.contains("services.sync.cron (g.yml:3): has no effect"), "{text}");
    assert!(text.lines().count() == 3 && !text.contains("hush"), "{text}");
}

#[test]
fn any_key_can_be_looked_up() {
    let sources = with_variables("a.b: x${c:y}\nd.password: p\n", &[("GRAVITEE_C", "z")]);
    let found = lookup(&sources, "a.b").unwrap().unwrap();
    assert_eq!(found.to_string(), "a.b = xz (g.yml:1)");
    assert_eq!(lookup(&sources, "nothing").unwrap(), None);
    let number = |yaml: &str| {
        let found = lookup_as(
            &super::Sources { text: Some(("g".into(), yaml.into())), ..Sources::default() },
            "n",
            Kind::Count,
        );
        found.map(|found| found.and_then(|line| line.value))
    };
    assert_eq!(number("n: 0x10").unwrap().as_deref(), Some("16"));
    assert_eq!(number("n: ''").unwrap(), None);
    assert!(number("n: 99999999999").is_err() && number("n: x").is_err());
    let written = written(&sources).unwrap();
    let lines: Vec<String> = written.iter().map(ToString::to_string).collect();
    assert_eq!(lines, ["a.b = x${c:y} (g.yml:1)", "d.password = *** (g.yml:2)"]);
}

proptest! {
    #[test]
    fn arbitrary_values_never_panic(key in prop::sample::select(KEYS), value in "\\PC{0,40}") {
        let properties = vec![(key.name.to_owned(), value.clone())];
        let _ = load(&Sources { properties, ..sources(BASE) });
        let variables = vec![(variables::customary(key.name), value)];
        let _ = load(&Sources { variables, ..sources(BASE) });
    }

    #[test]
    fn arbitrary_keys_never_panic(key in "\\PC{0,30}", tail in "[a-zA-Z0-9_.\\[\\]-]{0,20}") {
        for name in [key, format!("zonesync.{tail}"), format!("distributed-sync{tail}")] {
            let variables = vec![(format!("GRAVITEE_{name}"), "v".to_owned())];
            let properties = vec![(name, "v".to_owned())];
            let _ = load(&Sources { properties, variables, ..sources(BASE) });
        }
    }
}
