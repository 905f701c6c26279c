//! Key stores and trust stores: PEM, PKCS#12 and JKS, told apart by their first bytes.
//!
//! A JVM opens a PKCS#12 file that is declared JKS, and the reverse; keytool itself writes PKCS#12
//! into files called `.jks`. So what a store is said to be decides nothing here.

mod jks;
mod pem;
mod pkcs12;

use std::fs::File;
use std::io::Read;
use std::path::Path;

use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use super::Findings;
use super::options::{Part, StoreFile, StoreKind};

/// The most bytes of a file: real ones have some thousands.
const FILE_MAX: u64 = 1 << 20;

/// One entry of a store.
struct Entry {
    /// What it is called; unnamed ones are numbered, as a JVM does.
    alias: String,
    what: What,
}

enum What {
    /// A certificate to trust. Some stores only have it beside; then it is not `marked`.
    Trusted { certificate: CertificateDer<'static>, marked: bool },
    /// A key that is ready to use, with its chain.
    Key { key: PrivateKeyDer<'static>, chain: Vec<CertificateDer<'static>> },
    /// A key of a JKS, which has a password of its own.
    Sealed { sealed: Vec<u8>, chain: Vec<CertificateDer<'static>> },
}

/// Why a store cannot be opened. The texts hold no secret.
enum Failure {
    /// The file is not what it should be.
    File(String),
    /// The password is not the right one, or is missing.
    Password(String),
}

/// A key and its chain, leaf first. The chain of a PEM file may be empty.
pub(super) struct Pair {
    pub(super) key: PrivateKeyDer<'static>,
    pub(super) chain: Vec<CertificateDer<'static>>,
}

/// Which settings findings of a store belong to.
struct Parts {
    file: Part,
    password: Part,
    alias: Part,
}

const TRUST: Parts = Parts {
    file: Part::Truststore,
    password: Part::TruststorePassword,
    alias: Part::TruststoreAlias,
};

const KEYS: Parts =
    Parts { file: Part::Keystore, password: Part::KeystorePassword, alias: Part::KeystoreAlias };

/// Reads whom to trust. None, with a problem, if that is nobody.
pub(super) fn trusted(
    file: &StoreFile,
    findings: &mut Findings,
) -> Option<Vec<CertificateDer<'static>>> {
    let entries = open(file, &TRUST, findings)?;
    let mut unmarked = 0;
    let mut certificates = Vec::new();
    for entry in entries {
        match entry.what {
            What::Trusted { certificate, marked } => {
                unmarked += usize::from(!marked);
                certificates.push(certificate);
            }
            // A JVM trusts the certificate of one's own key, too.
            What::Key { chain, .. } | What::Sealed { chain, .. } => {
                certificates.extend(chain.into_iter().next());
            }
        }
    }
    if unmarked > 0 {
        let message = "its certificates are not marked as trusted, so that a stock gateway finds \
                       none: import them with keytool";
        findings.doubt(Part::Truststore, message);
    }
    if certificates.is_empty() {
        findings.problem(Part::Truststore, "this store holds no certificate to trust");
        return None;
    }
    Some(certificates)
}

/// Reads keys with their chains. None, with a problem, if there is none.
pub(super) fn pairs(file: &StoreFile, findings: &mut Findings) -> Option<Vec<Pair>> {
    let entries = open(file, &KEYS, findings)?;
    let (named, password) = match (&file.key_password, &file.password) {
        (Some(password), _) => (true, Some(password)),
        (None, password) => (false, password.as_ref()),
    };
    let mut pairs = Vec::new();
    for entry in entries {
        match entry.what {
            What::Trusted { .. } => {}
            What::Key { key, chain } => pairs.push(Pair { key, chain }),
            What::Sealed { sealed, chain } => {
                let Some(password) = password else {
                    findings.problem(Part::KeystorePassword, "a key store needs its password");
                    return None;
                };
                match jks::unseal(&sealed, password) {
                    Ok(key) => pairs.push(Pair { key, chain }),
                    Err(why) => {
                        let part = if named { Part::KeyPassword } else { Part::KeystorePassword };
                        findings.problem(part, format!("the key {:?}: {why}", entry.alias));
                        return None;
                    }
                }
            }
        }
    }
    if pairs.is_empty() {
        let part = if file.alias.is_some() { Part::KeystoreAlias } else { Part::Keystore };
        findings.problem(part, "there is no key with its certificate here");
        return None;
    }
    Some(pairs)
}

/// Reads the certificates of a PEM file, leaf first.
pub(super) fn pem_chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    pem::certificates(&read(path)?)
}

/// Reads the key of a PEM file.
pub(super) fn pem_key(path: &Path) -> Result<PrivateKeyDer<'static>, String> {
    pem::key(&read(path)?)
}

/// Opens a store, and keeps the one entry that an alias names.
fn open(file: &StoreFile, parts: &Parts, findings: &mut Findings) -> Option<Vec<Entry>> {
    let bytes = match read(&file.path) {
        Ok(bytes) => bytes,
        Err(why) => {
            findings.problem(parts.file, why);
            return None;
        }
    };
    let (kind, opened) = match bytes.as_slice() {
        [0xFE, 0xED, 0xFE, 0xED, ..] => {
            (StoreKind::Jks, jks::entries(&bytes, file.password.as_ref()))
        }
        [0xCE, 0xCE, 0xCE, 0xCE, ..] => {
            let message = "this is a JCEKS, which is not read, nor does a stock gateway";
            findings.problem(parts.file, message);
            return None;
        }
        [0x30, ..] => (StoreKind::Pkcs12, pkcs12::entries(&bytes, file, parts.file, findings)),
        _ => (StoreKind::Pem, pem::entries(&bytes)),
    };
    let entries = match opened {
        Ok(entries) => entries,
        Err(Failure::File(why)) => {
            findings.problem(parts.file, why);
            return None;
        }
        Err(Failure::Password(why)) => {
            findings.problem(parts.password, why);
            return None;
        }
    };
    if (kind == StoreKind::Pem) != (file.kind == StoreKind::Pem) {
        let message = format!(
            "this is {}, and not {}: it is read all the same, and a stock gateway refuses it",
            kind.name(),
            file.kind.name()
        );
        findings.doubt(parts.file, message);
    }
    match &file.alias {
        Some(alias) if kind != StoreKind::Pem => only(entries, alias, parts, findings),
        _ => Some(entries),
    }
}

/// Keeps the entry with this alias, whatever its case.
fn only(
    entries: Vec<Entry>,
    alias: &str,
    parts: &Parts,
    findings: &mut Findings,
) -> Option<Vec<Entry>> {
    let same = |entry: &Entry| entry.alias.to_lowercase() == alias.to_lowercase();
    if !entries.iter().any(same) {
        let names: Vec<&str> = entries.iter().map(|entry| entry.alias.as_str()).take(10).collect();
        findings.problem(parts.alias, format!("no entry is called so; there are {names:?}"));
        return None;
    }
    if alias != alias.to_lowercase() {
        let message = "write it in lower case: a stock gateway finds no entry otherwise";
        findings.doubt(parts.alias, message);
    }
    Some(entries.into_iter().filter(same).collect())
}

/// Reads a file of bounded size.
fn read(path: &Path) -> Result<Vec<u8>, String> {
    let failed = |error: std::io::Error| format!("cannot be read: {error}");
    let file = File::open(path).map_err(failed)?;
    if file.metadata().map_err(failed)?.is_dir() {
        return Err("cannot be read: it is a folder".to_owned());
    }
    let mut bytes = Vec::new();
    file.take(FILE_MAX + 1).read_to_end(&mut bytes).map_err(failed)?;
    match bytes.len() as u64 {
        0 => Err("the file is empty".to_owned()),
        len if len > FILE_MAX => Err(format!("the file is larger than {FILE_MAX} bytes")),
        _ => Ok(bytes),
    }
}

#[cfg(test)]
mod tests;
