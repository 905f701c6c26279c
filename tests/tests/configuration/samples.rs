//! The configurations that people start from: a chart's, a quick start's, the documentation's and the
//! shipped file's, the last two with the mistakes that they have.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use zonesync::config::{Loaded, RedisSettings, Sources, Store, read};
use zonesync::store::redis::{Address, Topology};
use zonesync::tls::KeySource;
use zonesync::{Secret, SecretResolver};

fn sources(yaml: &str) -> Sources {
    Sources {
        text: Some(("gravitee.yml".to_owned(), yaml.to_owned())),
        overrides: vec![("management.type".to_owned(), "none".to_owned())],
        ..Sources::default()
    }
}

fn good(yaml: &str) -> Loaded {
    read(&sources(yaml)).unwrap_or_else(|error| panic!("{error}\n{yaml}"))
}

fn refused(yaml: &str) -> String {
    read(&sources(yaml)).expect_err("this is wrong").to_string()
}

fn redis(loaded: &Loaded) -> &RedisSettings {
    match &loaded.settings.store {
        Some(Store::Redis(redis)) => redis,
        other => panic!("no Redis: {other:?}"),
    }
}

fn warnings(loaded: &Loaded) -> String {
    loaded.warnings.iter().map(|warning| format!("{warning}\n")).collect()
}

fn address(host: &str, port: u16) -> Address {
    Address { host: host.to_owned(), port }
}

/// A block as the shipped file has it, behind comment signs; `deep` is how much deeper than
/// `password` the rest stands there.
fn shipped(deep: usize, blank: &str) -> String {
    let pad = " ".repeat(deep);
    format!(
        "services:\n  sync:\n    distributed:\n      enabled: true\ndistributed-sync:\n{blank}  type: redis\n  redis:\n    host: \
         localhost\n    port: 6379\n    password:\n    {pad}sentinel:\n    {pad}  master: redis-master\n    \
         {pad}  nodes:\n    {pad}    - host: sentinel-1\n    {pad}      port: 26379\n    {pad}    - \
         host: sentinel-2\n    {pad}      port: 26379\n    {pad}ssl: true\n    {pad}trustAll: false\n    \
         {pad}keystore:\n    {pad}  type: pem\n    {pad}  path: ${{gravitee.home}}/k.p12\n    {pad}  \
         password: secret\n    {pad}  keyPassword:\n    {pad}  alias:\n    {pad}  certificates:\n    \
         {pad}    - cert: ${{gravitee.home}}/c.pem\n    {pad}      key: ${{gravitee.home}}/k.pem\n"
    )
}

fn is_as_shipped(loaded: &Loaded) {
    let redis = redis(loaded);
    let nodes = vec![address("sentinel-1", 26379), address("sentinel-2", 26379)];
    let master = "redis-master".to_owned();
    assert_eq!(redis.topology, Topology::Sentinel { master, nodes, password: None });
    let tls = redis.tls.as_ref().expect("ssl is on");
    let Some(KeySource::Pem(pairs)) = &tls.keystore else { panic!("{:?}", tls.keystore) };
    let here = std::env::current_dir().unwrap();
    assert_eq!(pairs[0].key, here.join("k.pem"));
    assert!(!tls.trust_all && redis.password.is_none());
}

#[test]
fn the_shipped_block_is_read_as_it_was_meant() {
    let right = good(&shipped(0, ""));
    is_as_shipped(&right);
    assert_eq!(warnings(&right), "");

    let deep = shipped(2, "");
    let mended = good(&deep);
    is_as_shipped(&mended);
    let text = warnings(&mended);
    assert!(
        text.contains("distributed-sync.redis.password.sentinel.master (gravitee.yml:12): "),
        "{text}"
    );
    assert_eq!(text.lines().count(), 1, "{text}");
    let strict = refused(&format!("zonesync.config.strict: true\n{deep}"));
    assert!(strict.contains("indented too deep"), "{strict}");
    // What stands at the right level wins.
    let both = deep.replace("    port: 6379\n", "    port: 6379\n    trustAll: true\n");
    assert!(redis(&good(&both)).tls.as_ref().unwrap().trust_all);

    // With the comment signs alone removed, one line has a blank more than the others.
    let error = refused(&shipped(2, " "));
    assert!(error.starts_with("(gravitee.yml:"), "{error}");
    assert_eq!(error.lines().count(), 1, "{error}");
}

#[test]
fn the_documented_certificates_are_read_as_they_were_meant() {
    let head = "zonesync.store: redis\ndistributed-sync:\n  redis:\n    ssl: true\n    trustAll: false\n    \
                keystore:\n      type: pem\n      certificates:\n";
    for (list, pairs, lines) in [
        ("        - cert: A\n      key: KA\n", 1, vec![10]),
        ("        - cert: A\n      key: KA\n        - cert: B\n      key: KB\n", 2, vec![10, 12]),
        ("        - cert: A\n          key: KA\n        - cert: B\n          key: KB\n", 2, vec![]),
    ] {
        let loaded = good(&format!("{head}{list}"));
        let keystore = &redis(&loaded).tls.as_ref().unwrap().keystore;
        let Some(KeySource::Pem(read)) = keystore else { panic!("{keystore:?}") };
        let keys: Vec<_> = read.iter().map(|pair| pair.key.clone()).collect();
        assert_eq!(keys, [PathBuf::from("KA"), PathBuf::from("KB")][..pairs], "{list}");
        let text = warnings(&loaded);
        assert_eq!(text.lines().count(), lines.len(), "{text}");
        for line in &lines {
            assert!(text.contains(&format!("(gravitee.yml:{line})")), "{text}");
        }
        if !lines.is_empty() {
            let strict = refused(&format!("{head}{list}zonesync.config.strict: true\n"));
            assert!(strict.contains("(gravitee.yml:10)"), "{strict}");
        }
    }
    let lost = refused(&format!("{head}        - cert: A\n        - cert: B\n"));
    assert_eq!(lost.lines().count(), 2, "{lost}");
    assert!(lost.contains("keystore.certificates[1].key (gravitee.yml:10)"), "{lost}");
}

#[test]
fn a_chart_s_block_is_read() {
    let loaded = good(
        "services: {sync: {distributed: {enabled: true}}}
distributed-sync:
  type: redis
  redis:
    host: redis
    port: 6379
    username: gateway
    password: hush-hush
    operation:
      timeout: 10
    ssl: true
    trustAll: true
    tlsProtocols: TLSv1.2
    hostnameVerificationAlgorithm: NONE
    sentinel:
      master: redis-master
      nodes:
        - {host: sentinel1, port: 26379}
        - {host: sentinel2, port: 26379}
",
    );
    let redis = redis(&loaded);
    let word = Some(Secret::new("hush-hush"));
    let nodes = vec![address("sentinel1", 26379), address("sentinel2", 26379)];
    let master = "redis-master".to_owned();
    let password = word.clone();
    assert_eq!(redis.topology, Topology::Sentinel { master, nodes, password });
    assert_eq!((redis.username.as_deref(), &redis.password), (Some("gateway"), &word));
    let text = warnings(&loaded);
    assert!(text.contains("trustAll (gravitee.yml:12)") && text.lines().count() == 1, "{text}");
    assert!(loaded.notes.iter().any(|note| note.key.ends_with("username")), "{:?}", loaded.notes);
    assert!(!format!("{loaded:?}").contains("hush"));
    let strict =
        "zonesync.tls.strict: true\nzonesync.store: redis\ndistributed-sync.redis.ssl: true\n";
    let strict = refused(strict);
    assert!(
        strict.contains("distributed-sync.redis.trustAll (default): zonesync.tls.strict"),
        "{strict}"
    );
}

#[test]
fn a_quick_start_s_file_is_read() {
    let loaded = good(
        "management:
  type: mongodb
  mongodb: {uri: 'mongodb://me:hush-hush@mongo:27017/gravitee'}
ratelimit:
  type: redis
  redis: {host: other, port: 1}
cluster:
  type: hazelcast
  hazelcast: {config-path: '${gravitee.home}/config/hazelcast.xml'}
services: {sync: {distributed: {enabled: true}}}
distributed-sync:
  type: redis
  redis: {host: redis_stack, port: 6379, password: ''}
",
    );
    let here = redis(&loaded);
    assert_eq!(here.topology, Topology::Standalone(address("redis_stack", 6379)));
    assert_eq!((&here.password, &here.tls), (&None, &None));
    assert_eq!(here.connect_timeout, Duration::from_secs(5));
    assert_eq!(warnings(&loaded), "");
}

#[test]
fn old_and_new_names_mix_key_by_key() {
    let new = "services: {sync: {distributed: {enabled: true}}}\nrepositories:\n  distributed-sync:\n    \
               type: redis\n    redis: {host: new, port: 7, sentinel: {nodes: [{host: n0, port: 1}, {host: \
               n1, port: 2}]}}\n";
    let sentinel = format!("{new}distributed-sync.redis.sentinel.master: m\n");
    let loaded = good(&sentinel);
    let Topology::Sentinel { nodes, .. } = &redis(&loaded).topology else { panic!() };
    assert_eq!(nodes, &[address("n0", 1), address("n1", 2)]);
    let mixed =
        format!("{sentinel}distributed-sync.redis.sentinel.nodes: [{{host: o0, port: 9}}]\n");
    let loaded = good(&mixed);
    let Topology::Sentinel { nodes, .. } = &redis(&loaded).topology else { panic!() };
    assert_eq!(nodes, &[address("o0", 9), address("n1", 2)]);
    let mut with = sources(&mixed);
    with.variables = [
        ("GRAVITEE_REPOSITORIES_DISTRIBUTEDSYNC_REDIS_SENTINEL_NODES_0_PORT", "8"),
        ("GRAVITEE_DISTRIBUTEDSYNC_REDIS_SENTINEL_NODES_2_HOST", "s2"),
        ("GRAVITEE_DISTRIBUTEDSYNC_REDIS_SENTINEL_NODES_2_PORT", "3"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .to_vec();
    let loaded = read(&with).unwrap();
    let Topology::Sentinel { nodes, .. } = &redis(&loaded).topology else { panic!() };
    // The old name wins over the new one, whatever the source; a variable adds by index.
    assert_eq!(nodes, &[address("o0", 9), address("n1", 2), address("s2", 3)]);
    with.variables.push(("GRAVITEE_DISTRIBUTEDSYNC_REDIS_SENTINEL_NODES_0_HOST".into(), "".into()));
    let off = read(&with).unwrap();
    assert_eq!(redis(&off).topology, Topology::Standalone(address("new", 7)));
    assert!(warnings(&off).contains("ends the list before it begins"), "{}", warnings(&off));
}

#[test]
fn sentinels_and_master_lend_each_other_their_password() {
    let with = |lines: &str| {
        let yaml = format!(
            "zonesync.store: redis\ndistributed-sync.redis:\n  sentinel.master: m\n  sentinel.nodes: \
             [{{host: s, port: 1}}]\n{lines}"
        );
        let loaded = good(&yaml);
        let Topology::Sentinel { password, .. } = &redis(&loaded).topology else { panic!() };
        let text = |word: &Option<Secret>| word.as_ref().map(|word| word.reveal().to_owned());
        (text(&redis(&loaded).password), text(password))
    };
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(with(""), (None, None));
    assert_eq!(with("  password: p\n"), (some("p"), some("p")));
    assert_eq!(with("  sentinel.password: s\n"), (some("s"), some("s")));
    assert_eq!(with("  password: p\n  sentinel.password: s\n"), (some("p"), some("s")));
}

#[test]
fn what_would_be_ignored_silently_is_an_error() {
    let with =
        |lines: &str| refused(&format!("zonesync.store: redis\ndistributed-sync.redis:\n{lines}"));
    for (lines, says) in [
        ("  sentinel: {master: m, nodes: 's1:1,s2:2'}\n", "must be a list"),
        ("  sentinel: {master: m, nodes: [{port: 1}]}\n", "has no host"),
        ("  sentinel: {master: m}\n", "no sentinel is named"),
        ("  sentinel: {nodes: [{host: s, port: 1}]}\n", "the name of their master"),
        ("  sentinel: {master: m, nodes: [{host: s}]}\n", "needs its port"),
        ("  cluster: {nodes: [{host: c, port: }]}\n", "needs its port"),
        (
            "  cluster: {nodes: [{host: c, port: 1}]}\n  sentinel: {master: m, nodes: [{host: s, port: 1}]}\n",
            "one or the other",
        ),
        ("  host: h:1\n", "the port has a key of its own"),
        ("  host: 127.1\n", "no complete IPv4"),
        ("  port: abc\n", "from 1 to 65535, got \"abc\""),
        ("  ssl: 1\n", "must be true or false, got \"1\""),
        ("  tcp: {connectTimeout: -1}\n", "from 0"),
    ] {
        let error = with(lines);
        assert!(error.contains(says) && error.contains("gravitee.yml:"), "{lines}: {error}");
        assert_eq!(error.lines().count(), 1, "{lines}: {error}");
    }
    for (lines, port) in
        [("0x18eb", 6379), ("63_79", 6379), ("'6379'", 6379), ("'0123'", 123), ("0123", 83)]
    {
        let loaded =
            good(&format!("zonesync.store: redis\ndistributed-sync.redis.port: {lines}\n"));
        assert_eq!(redis(&loaded).topology, Topology::Standalone(address("localhost", port)));
    }
}

/// A place for secrets that can be out of reach.
struct Vault(AtomicBool);

impl SecretResolver for Vault {
    fn resolve(&self, reference: &str) -> Result<Option<Secret>, String> {
        if !self.0.load(Ordering::SeqCst) {
            return Err("the vault does not answer".to_owned());
        }
        let known = reference == "secret://vault/redis:password";
        Ok(known.then(|| Secret::new("hush-hush")))
    }
}

#[test]
fn secrets_come_from_their_resolver_or_not_at_all() {
    let yaml = "zonesync.store: redis\ndistributed-sync.redis:\n  username: u\n  password: \
                secret://vault/redis:password\n";
    let mut with = sources(yaml);
    let error = read(&with).unwrap_err().to_string();
    assert!(
        error.contains("redis.password (gravitee.yml:4): ") && error.contains("no resolver"),
        "{error}"
    );
    assert!(!error.contains("vault/redis"), "{error}");

    let vault = Arc::new(Vault(AtomicBool::new(false)));
    with.resolver = Some(vault.clone());
    let error = read(&with).unwrap_err().to_string();
    assert!(error.contains("the vault does not answer"), "{error}");
    vault.0.store(true, Ordering::SeqCst);
    let loaded = read(&with).expect("the vault answers again");
    assert_eq!(redis(&loaded).password, Some(Secret::new("hush-hush")));
    assert!(!format!("{loaded:?}").contains("hush"));

    let other = yaml.replace("redis:password\n", "redis:other\n");
    let error = read(&Sources { resolver: with.resolver.clone(), ..sources(&other) }).unwrap_err();
    assert!(error.to_string().contains("does not exist"), "{error}");
    let older = yaml.replace("secret://vault/redis:password", "kubernetes://ns/secrets/n/k");
    assert!(refused(&older).contains("no resolver"));
}

#[test]
fn keys_of_the_zone_s_encryption_are_files_with_ids() {
    let with = |keys: &str| format!("zonesync: {{store: redis, encryption: {{keys: {keys}}}}}\n");
    for keys in ["'new:/run/new.key, old:/run/old.key'", "[new:/run/new.key, old:/run/old.key]"] {
        let encryption = good(&with(keys)).settings.encryption;
        let read: Vec<(&str, &str)> = encryption
            .keys
            .iter()
            .map(|key| (key.id.as_str(), key.path.to_str().unwrap()))
            .collect();
        assert_eq!(read, [("new", "/run/new.key"), ("old", "/run/old.key")]);
        assert!(!encryption.plaintext);
    }
    for (keys, says) in [("hushhush", "id:path"), ("'a:'", "id:path"), ("'a:/x,a:/y'", "twice")] {
        let error = refused(&with(keys));
        assert!(
            error.contains("zonesync.encryption.keys (gravitee.yml:1)") && error.contains(says),
            "{error}"
        );
        assert!(!error.contains("hushhush"), "a key written here is not shown: {error}");
    }
}
