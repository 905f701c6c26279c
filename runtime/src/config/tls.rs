//! The TLS keys of `distributed-sync.redis.`, which count only where `ssl` is true.

use std::path::PathBuf;

use super::problem::Problem;
use super::reader::{Explained, Reader, problem};
use super::redis::{self, BASE};
use super::resolve::Value;
use crate::secret::Secret;
use crate::tls::{KeySource, PemPair, StoreFile, StoreKind, TlsOptions};

const TRUST_ALL: &str = "distributed-sync.redis.trustAll";
const NAMES: &str = "distributed-sync.redis.hostnameVerificationAlgorithm";
const TRUSTSTORE: &str = "distributed-sync.redis.truststore";
const KEYSTORE: &str = "distributed-sync.redis.keystore";

/// The most pairs of PEM files.
const PAIRS_MAX: usize = 100;

/// Reads what TLS is to be like; none without TLS.
pub(super) fn read(reader: &mut Reader<'_>, strict: bool) -> Option<TlsOptions> {
    let ssl = reader.bool("distributed-sync.redis.ssl");
    let single = ["trustAll", "hostnameVerificationAlgorithm", "tlsProtocols", "tlsCiphers"];
    if !ssl {
        for name in single.iter().chain(&["alpn", "openssl"]) {
            reader.skip(&format!("{BASE}.{name}"));
        }
        redis::skip(reader, TRUSTSTORE);
        redis::skip(reader, KEYSTORE);
        return None;
    }
    let trust_all = reader.bool(TRUST_ALL);
    if trust_all {
        let value = reader.properties.get(TRUST_ALL).ok().flatten();
        match strict {
            true => {
                let message = "zonesync.tls.strict refuses to take any certificate: set it to \
                               false, and name a truststore";
                reader.problem(TRUST_ALL, value.as_ref(), message);
            }
            false => {
                let message = "any certificate is taken, so whoever is on the way can read and \
                               change everything: set it to false, and name a truststore";
                reader.warning(TRUST_ALL, value.as_ref(), message);
            }
        }
    }
    let check_names = read_names(reader);
    reader.bool("distributed-sync.redis.alpn");
    if reader.bool("distributed-sync.redis.openssl") {
        let message = "has no effect: TLS is by rustls";
        reader.note("distributed-sync.redis.openssl", None, message);
    }
    let protocols = reader.list("distributed-sync.redis.tlsProtocols");
    let ciphers = reader.list("distributed-sync.redis.tlsCiphers");
    let truststore = match trust_all {
        true => {
            redis::skip(reader, TRUSTSTORE);
            None
        }
        false => read_truststore(reader),
    };
    let keystore = read_keystore(reader);
    Some(TlsOptions { trust_all, check_names, protocols, ciphers, truststore, keystore })
}

/// A blank text checks names, as on a stock gateway: to take it for unset would be weaker.
fn read_names(reader: &mut Reader<'_>) -> bool {
    let Some(value) = reader.text_or_blank(NAMES) else { return false };
    match value.text.to_ascii_uppercase().as_str() {
        "NONE" => false,
        "" | "HTTPS" | "LDAPS" => true,
        _ => {
            reader.problem(NAMES, Some(&value), "must be NONE, HTTPS or LDAPS");
            true
        }
    }
}

fn read_truststore(reader: &mut Reader<'_>) -> Option<StoreFile> {
    let kind = reader.choice("distributed-sync.redis.truststore.type");
    let set = reader.is_set("distributed-sync.redis.truststore.type");
    let store = read_store(reader, TRUSTSTORE, kind.map(|(name, _)| name));
    if store.is_none() && !set {
        untyped(reader, TRUSTSTORE, "the platform's certificates are trusted instead");
    }
    store
}

fn read_keystore(reader: &mut Reader<'_>) -> Option<KeySource> {
    let kind = reader.choice("distributed-sync.redis.keystore.type").map(|(name, _)| name);
    if kind == Some("PEM") {
        for name in ["path", "password", "alias", "keyPassword"] {
            reader.skip(&format!("{KEYSTORE}.{name}"));
        }
        return read_pairs(reader).map(KeySource::Pem);
    }
    let key_password = reader.text("distributed-sync.redis.keystore.keyPassword");
    let store = read_store(reader, KEYSTORE, kind);
    redis::skip(reader, "distributed-sync.redis.keystore");
    if store.is_none() && !reader.is_set("distributed-sync.redis.keystore.type") {
        untyped(reader, KEYSTORE, "no client certificate is shown");
    }
    let key_password = key_password.map(|value| Secret::new(value.text));
    store.map(|store| KeySource::Store(StoreFile { key_password, ..store }))
}

fn read_store(
    reader: &mut Reader<'_>,
    base: &str,
    kind: Option<&'static str>,
) -> Option<StoreFile> {
    let path_key = format!("{base}.path");
    let path = reader.text(&path_key);
    let password = reader.text(&format!("{base}.password"));
    let alias = reader.text(&format!("{base}.alias"));
    let kind = StoreKind::named(kind?).expect("the table of keys lists kinds of stores");
    let Some(path) = path else {
        let message = format!("a store of type {} needs its file", kind.name());
        reader.problem(&path_key, None, message);
        return None;
    };
    // A stock gateway uses neither for PEM, and its charts write a password all the same.
    let of_store = kind != StoreKind::Pem;
    Some(StoreFile {
        kind,
        path: PathBuf::from(path.text),
        password: password.map(|value| Secret::new(value.text)),
        key_password: None,
        alias: alias.map(|value| value.text).filter(|_| of_store),
    })
}

/// Notes a store that is named, but whose type is not.
fn untyped(reader: &mut Reader<'_>, base: &str, effect: &str) {
    let names = [format!("{base}.path"), format!("{base}.certificates[0].cert")];
    if let Some(name) = names.iter().find(|name| reader.is_set(name)) {
        let value = reader.properties.raw(name);
        let message = format!("has no effect without {base}.type: {effect}");
        let doubt = problem(name, value.as_ref(), message);
        reader.doubt(doubt);
    }
}

/// Reads pairs of PEM files. As on a stock gateway the list ends at the first without `cert`.
fn read_pairs(reader: &mut Reader<'_>) -> Option<Vec<PemPair>> {
    const LIST: &str = "distributed-sync.redis.keystore.certificates";
    let mut pairs = Vec::new();
    let mut without = Vec::new();
    for i in 0..PAIRS_MAX {
        let (cert_key, key_key) = (format!("{LIST}[{i}].cert"), format!("{LIST}[{i}].key"));
        let Some(cert) = reader.text(&cert_key) else {
            reader.explain.pop();
            break;
        };
        let key = reader.text(&key_key);
        if key.is_none() {
            reader.explain.pop();
            without.push((i, cert.clone()));
        }
        let path = |value: &Value| PathBuf::from(&value.text);
        pairs.push(PemPair { cert: path(&cert), key: key.as_ref().map(path).unwrap_or_default() });
    }
    if pairs.is_empty() {
        let message = "a keystore of type PEM needs its certificates: a list of cert and key";
        reader.problem(LIST, None, message);
        return None;
    }
    if let [(i, cert)] = without.as_slice()
        && let Some(key) = astray_key(reader, cert, *i)
    {
        pairs[*i].key = key;
        without.clear();
    }
    for (i, cert) in &without {
        let message = "this certificate needs the file with its key";
        let problem = problem(&format!("{LIST}[{i}].key"), None, message.to_owned());
        let origin = cert.origin.clone();
        reader.problems.push(Problem { origin, ..problem });
    }
    Some(pairs)
}

/// Finds the key of the documentation's sample, which stands one level too far left.
fn astray_key(reader: &mut Reader<'_>, cert: &Value, i: usize) -> Option<PathBuf> {
    let key = format!("{KEYSTORE}.key");
    let value = reader.properties.get(&key).ok().flatten();
    let value = value.filter(|value| !value.text.trim().is_empty())?;
    let message = format!(
        "is taken for the key of the certificate at {}: it belongs into that entry, beside cert, \
         and a stock gateway does not start",
        cert.origin
    );
    let doubt = problem(&key, Some(&value), message);
    reader.doubt(doubt);
    reader.astray.extend([key.clone(), format!("repositories.{key}")]);
    let explained = Explained::of(&format!("{KEYSTORE}.certificates[{i}].key"), Some(&value));
    reader.explain.push(explained);
    Some(PathBuf::from(value.text))
}
