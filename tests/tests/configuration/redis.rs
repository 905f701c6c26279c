//! What the Redis client was told, key by key.

use std::collections::BTreeMap;

use serde_json::Value;
use zonesync::config::{RedisSettings, Store};
use zonesync::store::redis::Topology;
use zonesync::tls::{KeySource, StoreFile};

use crate::{Case, Compared, cases, settings};

const BY_DESIGN: &[(&str, &str, &str)] = &[
    ("list-proto", "*", "a list in the place of commas is read, with a warning"),
    ("secret-alias-missing", "", "a secret that does not exist is an error, never unset"),
    ("r-pwoct", "password", "text stays as it was typed"),
    ("r-pwbool", "password", "the same"),
    ("r-hostipv6", "", "an IPv6 address needs no brackets"),
    ("r-host_us", "", "a host may have an underscore"),
    ("r-port0", "", "nobody listens on port 0"),
    ("r-sslempty", "", "blank is unset"),
    ("r-trustallempty", "", "the same"),
    ("r-opensslempty", "", "the same"),
    ("r-tcpempty", "", "the same"),
    ("r-tcp0", "connectTimeout", "a connect always has a limit"),
    ("r-sent-hole", "", "sentinels that would be ignored silently are an error"),
    ("r-sent-blank", "", "the same"),
    ("r-sent-string", "", "the same"),
    ("r-hvfoo", "", "an unknown algorithm is told at once, not at each handshake"),
    ("r-hvspace", "", "the same"),
    ("r-hvbool", "", "the same"),
    ("r-ks-type-p12", "", "an unknown type of store is an error, not the same as none"),
    ("r-ks-type-JCEKS", "", "the same"),
    ("r-ts-type-JCEKS", "", "the same"),
    ("r-ks-type-_pem", "", "a type may have blanks around it"),
    ("doc-1cert", "", "the documentation's sample is read as it was meant, with a warning"),
    ("shipped-hand", "*", "what stands below password is taken for what stands beside it"),
];

#[test]
fn redis_is_reached_as_a_stock_gateway_reaches_it() {
    let Some(cases) = cases() else { return };
    let mut compared = Compared::new(BY_DESIGN);
    for case in &cases {
        match &case.recorded["redis"] {
            Value::String(error) => {
                let read = settings(&case.sources).is_ok();
                compared.note(&case.id, "", read.then(|| format!("is read, stock: {error}")));
            }
            Value::Object(recorded) => compare(case, &recorded["plugin_options"], &mut compared),
            _ => {}
        }
    }
    compared.finish(500);
}

fn compare(case: &Case, theirs: &Value, compared: &mut Compared) {
    let settings = match settings(&case.sources) {
        Ok(settings) => settings,
        Err(error) => return compared.note(&case.id, "", Some(format!("is refused: {error}"))),
    };
    let Some(Store::Redis(redis)) = settings.store else { panic!("the store is Redis") };
    let (ours, theirs) = (ours(&redis), flat(theirs));
    for (name, ours) in &ours {
        let theirs = theirs.get(name).map_or("", String::as_str);
        let what = (ours != theirs).then(|| format!("{ours:?}, stock {theirs:?}"));
        compared.note(&case.id, name, what);
    }
}

/// Lists what we were told, under the names of the record; what is not set is empty.
fn ours(redis: &RedisSettings) -> BTreeMap<&'static str, String> {
    let mut out = BTreeMap::new();
    let nodes = |nodes: &[zonesync::store::redis::Address]| {
        nodes.iter().map(|node| format!("{}:{} ", node.host, node.port)).collect::<String>()
    };
    match &redis.topology {
        Topology::Standalone(address) => {
            out.insert("host", address.host.clone());
            out.insert("port", address.port.to_string());
            out.insert("sentinel.nodes", String::new());
            out.insert("cluster.nodes", String::new());
        }
        Topology::Sentinel { master, nodes: list, .. } => {
            out.insert("sentinel.masterId", master.clone());
            out.insert("sentinel.nodes", nodes(list));
        }
        Topology::Cluster { nodes: list } => {
            out.insert("cluster.nodes", nodes(list));
        }
    }
    out.insert("username", redis.username.clone().unwrap_or_default());
    out.insert("password", redis.password.as_ref().map_or("", |word| word.reveal()).to_owned());
    out.insert("useSsl", redis.tls.is_some().to_string());
    out.insert("connectTimeout", redis.connect_timeout.as_millis().to_string());
    out.insert("idleTimeout", redis.idle_timeout.as_millis().to_string());
    let Some(tls) = &redis.tls else { return out };
    out.insert("ssl.trustAll", tls.trust_all.to_string());
    out.insert("names", tls.check_names.to_string());
    out.insert("ssl.tlsProtocols", tidy(&tls.protocols.join(",")));
    out.insert("ssl.tlsCiphers", tidy(&tls.ciphers.join(",")));
    let path = |store: &StoreFile| store.path.display().to_string();
    let word =
        |word: &Option<zonesync::Secret>| word.as_ref().map_or("", |word| word.reveal()).to_owned();
    if let Some(store) = &tls.truststore {
        out.insert("ssl.trustStore.path", path(store));
        out.insert("ssl.trustStore.alias", store.alias.clone().unwrap_or_default());
    }
    match &tls.keystore {
        Some(KeySource::Store(store)) => {
            out.insert("ssl.keyStore.type", store.kind.name().to_owned());
            out.insert("ssl.keyStore.path", path(store));
            out.insert("ssl.keyStore.alias", store.alias.clone().unwrap_or_default());
            out.insert("ssl.keyStore.password", word(&store.password));
            out.insert("ssl.keyStore.keyPassword", word(&store.key_password));
        }
        Some(KeySource::Pem(pairs)) => {
            out.insert("ssl.keyStore.type", "PEM".to_owned());
            let all = |path: fn(&zonesync::tls::PemPair) -> &std::path::Path| {
                pairs.iter().map(|pair| format!("{} ", path(pair).display())).collect::<String>()
            };
            out.insert("certs", all(|pair| &pair.cert));
            out.insert("keys", all(|pair| &pair.key));
        }
        None => {
            out.insert("ssl.keyStore.type", "NONE".to_owned());
        }
    }
    out
}

/// Lists what the record says under the same names.
fn flat(recorded: &Value) -> BTreeMap<&'static str, String> {
    let mut out = BTreeMap::new();
    let text = |value: &Value| match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(items) => {
            items.iter().map(|item| item.as_str().unwrap_or_default()).collect::<Vec<_>>().join(",")
        }
        other => other.to_string(),
    };
    for (name, at) in [
        ("host", "/host"),
        ("port", "/port"),
        ("username", "/username"),
        ("password", "/password"),
        ("useSsl", "/useSsl"),
        ("connectTimeout", "/connectTimeout"),
        ("idleTimeout", "/idleTimeout"),
        ("sentinel.masterId", "/sentinel/masterId"),
        ("ssl.trustAll", "/ssl/trustAll"),
        ("ssl.tlsProtocols", "/ssl/tlsProtocols"),
        ("ssl.tlsCiphers", "/ssl/tlsCiphers"),
        ("ssl.trustStore.path", "/ssl/trustStore/path"),
        ("ssl.trustStore.alias", "/ssl/trustStore/alias"),
        ("ssl.keyStore.type", "/ssl/keyStore/type"),
        ("ssl.keyStore.path", "/ssl/keyStore/path"),
        ("ssl.keyStore.alias", "/ssl/keyStore/alias"),
        ("ssl.keyStore.password", "/ssl/keyStore/password"),
        ("ssl.keyStore.keyPassword", "/ssl/keyStore/keyPassword"),
    ] {
        out.insert(name, recorded.pointer(at).map(text).unwrap_or_default());
    }
    for (name, at) in [("sentinel.nodes", "/sentinel/nodes"), ("cluster.nodes", "/cluster/nodes")] {
        let nodes = recorded.pointer(at).and_then(Value::as_array).cloned().unwrap_or_default();
        let node = |node: &Value| format!("{}:{} ", text(&node["host"]), text(&node["port"]));
        out.insert(name, nodes.iter().map(node).collect());
    }
    for name in ["ssl.tlsProtocols", "ssl.tlsCiphers"] {
        let text = tidy(&out[name]);
        out.insert(name, text);
    }
    let algorithm = recorded.pointer("/ssl/hostnameVerificationAlgorithm").map(text);
    let checks = algorithm.is_some_and(|name| !name.eq_ignore_ascii_case("NONE"));
    out.insert("names", checks.to_string());
    let store = &recorded["ssl"]["keyStore"];
    for (name, one, many) in [("certs", "certPath", "certPaths"), ("keys", "keyPath", "keyPaths")] {
        let several = store[many].as_array().cloned().unwrap_or_default();
        let all = several.iter().chain([&store[one]]).filter(|path| path.is_string());
        out.insert(name, all.map(|path| format!("{} ", text(path))).collect());
    }
    // With sentinels their password counts for the master where it has none.
    if out["password"].is_empty() {
        let of_sentinels = recorded.pointer("/sentinel/password").map(text);
        out.insert("password", of_sentinels.unwrap_or_default());
    }
    out
}

/// Writes a list without blanks, empty items and what it has twice.
fn tidy(list: &str) -> String {
    let mut items: Vec<&str> = Vec::new();
    for item in list.split(',').map(str::trim).filter(|item| !item.is_empty()) {
        if !items.contains(&item) {
            items.push(item);
        }
    }
    items.join(",")
}
