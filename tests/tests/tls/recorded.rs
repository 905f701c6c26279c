//! What a running stock gateway made of TLS settings, against what we do.

use std::collections::BTreeMap;

use serde_json::Value;
use zonesync_test_servers::stores::Stores;
use zonesync_test_servers::tls::TlsServer;
use zonesync_tests::fixtures;

use crate::{build, speak};

/// Differences by design: a part of a case's id, and the reason.
const BY_DESIGN: &[(&str, &str)] = &[
    (
        "F(v1 CN=localhost)",
        "X.509 v1 is taken only from the truststore itself, since WebPKI refuses it",
    ),
    ("P5", "P-521 is not in ring"),
    ("7606", "RSA keys have at least 2048 bits, with ring"),
    ("rsa1024", "the same"),
    ("7607", "no chain rests on SHA-1"),
    ("SSLv2Hello", "a protocol that is not spoken is left out of the list"),
    ("ed.pem", "Ed25519 keys are taken"),
    ("first unusable", "the pair is chosen by the authorities that the server names"),
    ("o-plain.p12", "a store without encryption is read, with its entries"),
    ("='MyKey'", "an alias counts in any case, with a warning"),
    ("='MYKEY'", "the same"),
    ("='Client'", "the same"),
    ("='TheCA'", "the same"),
    ("alias=''", "blank is unset"),
    ("keyPassword empty", "the same"),
    ("JKS as jks pw=''", "the same: a JKS truststore opens without a password"),
    ("JKS as pkcs12 pw=''", "the same"),
    ("keyPassword wrong", "a PKCS#12 has one password, so the other has no effect, with a warning"),
    ("k17.PKCS12 keyPassword only", "the same: the one that is there is it"),
    ("jks file as pem", "the first bytes tell what a store is"),
    ("pem as jks", "the same"),
];

/// The servers of the cases by their ports there, and what `openssl s_server` is told for each.
const SERVERS: &[(u64, &str)] = &[
    (7601, "-cert A.pem -key A.key"),
    (7602, "-cert B.pem -key B.key"),
    (7603, "-cert C.pem -key C.key"),
    (7604, "-cert E.pem -key E.key"),
    (7605, "-cert F.pem -key F.key"),
    (7606, "-cert W.pem -key W.key -cipher DEFAULT@SECLEVEL=0"),
    (7607, "-cert S1.pem -key S1.key -cipher DEFAULT@SECLEVEL=0"),
    (7608, "-cert P5.pem -key P5.key"),
    (7609, "-cert A.pem -key A.key -CAfile ca.pem -Verify 3 -verify_return_error"),
    (7610, "-cert A.pem -key A.key -tls1_3"),
    (7611, "-cert A.pem -key A.key -tls1_2"),
    (7612, "-cert A.pem -key A.key -tls1_2 -CAfile ca.pem -Verify 3 -verify_return_error"),
    (
        7613,
        "-cert A.pem -key A.key -CAfile ca.pem -Verify 3 -verify_return_error -cipher \
            DEFAULT@SECLEVEL=0",
    ),
];

#[test]
fn a_stock_gateway_connects_where_we_do() {
    let Some(folder) = fixtures("configuration") else { return };
    let Some(stores) = Stores::make() else { return };
    let text = std::fs::read_to_string(folder.join("tls-cases.json")).expect("cases");
    let cases: Vec<Value> = serde_json::from_str(&text).expect("cases are JSON");
    let servers: BTreeMap<u64, TlsServer> = SERVERS
        .iter()
        .map(|(port, arguments)| (*port, TlsServer::start(stores.folder(), arguments)))
        .collect();
    let (mut checked, mut elsewhere, mut differences) = (0, 0, Vec::new());
    let mut used = vec![false; BY_DESIGN.len()];
    for case in &cases {
        let id = case["id"].as_str().expect("an id");
        let given = case["keys"].as_object().expect("keys");
        // Others record what is sent: passwords, or a greeting.
        let Some(server) = servers.get(&given["port"].as_u64().expect("a port")) else {
            elsewhere += 1;
            continue;
        };
        let text = |value: &Value| match value {
            Value::String(text) => {
                text.replace("stores/", &format!("{}/", stores.folder().display()))
            }
            other => other.to_string(),
        };
        let keys: Vec<(String, String)> =
            given.iter().map(|(key, value)| (key.clone(), text(value))).collect();
        let host = given["host"].as_str().expect("a host");
        let ours = build(&keys).and_then(|built| speak(&built.tls, host, server.port()));
        let theirs = |jdk: &str| case[jdk].as_str().expect("a result").starts_with("OK");
        checked += 1;
        if ours.is_ok() == theirs("jdk17") || ours.is_ok() == theirs("jdk25") {
            continue;
        }
        match BY_DESIGN.iter().position(|(part, _)| id.contains(part)) {
            Some(at) => used[at] = true,
            None => differences.push(format!("{id}: {ours:?}, stock: {}", case["jdk17"])),
        }
    }
    println!("{checked} cases, {elsewhere} of other kinds");
    assert!(checked > 200, "only {checked} cases: they are not what they were");
    assert!(differences.is_empty(), "{} differ:\n{}", differences.len(), differences.join("\n"));
    for (used, (id, _)) in used.iter().zip(BY_DESIGN) {
        assert!(*used, "{id} is no difference any more");
    }
}
