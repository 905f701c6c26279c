//! PKCS#12, as keytool and openssl write it.

use p12_keystore::error::Error;
use p12_keystore::{CertificateBag, Pkcs12Archive};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

use super::super::{Findings, certificate};
use super::{Entry, Failure, What};
use crate::tls::options::{Part, StoreFile};

/// The most certificates and keys of a store.
const BAGS_MAX: usize = 1_000;

/// Reads all entries. Without a password the empty one is tried.
pub(super) fn entries(
    bytes: &[u8],
    file: &StoreFile,
    part: Part,
    findings: &mut Findings,
) -> Result<Vec<Entry>, Failure> {
    // A PKCS#12 store has one password: a JVM needs both to be equal.
    let password = file.password.as_ref().or(file.key_password.as_ref());
    if let (Some(store), Some(key)) = (&file.password, &file.key_password)
        && store != key
    {
        let message = "has no effect on PKCS#12, whose keys have the password of the store, and a \
                       stock gateway cannot open them";
        findings.doubt(Part::KeyPassword, message);
    }
    let text = password.map_or("", |password| password.reveal());
    let archive = Pkcs12Archive::from_pkcs12(bytes, text)
        .map_err(|error| failure(&error, password.is_some()))?;
    if archive.keys.len() + archive.certs.len() > BAGS_MAX {
        return Err(Failure::File(format!("it holds more than {BAGS_MAX} entries")));
    }
    if password.is_none() {
        let message = "opens without a password, which a stock gateway does not";
        findings.doubt(part, message);
    }
    Ok(collect(archive))
}

fn failure(error: &Error, given: bool) -> Failure {
    match error {
        Error::MacError(_) | Error::Pkcs5Error(_) | Error::UnpadError if given => {
            Failure::Password("is not the password of this store, or the store is damaged".into())
        }
        Error::MacError(_) | Error::Pkcs5Error(_) | Error::UnpadError => {
            Failure::Password("this store needs its password".into())
        }
        Error::UnsupportedMacAlgorithm | Error::UnsupportedEncryptionScheme => {
            Failure::File("this PKCS#12 is protected in a way that is not supported".into())
        }
        error => Failure::File(format!("is no proper PKCS#12: {error}")),
    }
}

fn collect(archive: Pkcs12Archive) -> Vec<Entry> {
    let der = |bag: &CertificateBag| CertificateDer::from(bag.cert.as_der().to_vec());
    let all: Vec<CertificateDer<'static>> = archive.certs.iter().map(der).collect();
    let mut entries = Vec::new();
    let mut unnamed = 0;
    let mut named = |name: Option<String>| {
        name.unwrap_or_else(|| {
            unnamed += 1;
            unnamed.to_string()
        })
    };
    let mut taken = Vec::new();
    for key in archive.keys {
        let id = key.local_key_id.as_ref().map(|id| id.0.as_slice());
        let own =
            archive.certs.iter().position(|bag| id.is_some() && bag.local_key_id.as_deref() == id);
        // Without an id a lone key and a lone certificate can only belong together.
        let own = own.or((all.len() == 1).then_some(0));
        let chain = own.map(|at| certificate::chain(&all[at], &all)).unwrap_or_default();
        taken.extend(own);
        let alias = named(key.friendly_name.clone());
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.key.as_der().to_vec()));
        entries.push(Entry { alias, what: What::Key { key, chain } });
    }
    let keys = !entries.is_empty();
    for (at, bag) in archive.certs.into_iter().enumerate() {
        // Beside a key, what is not marked is part of its chain, and no entry.
        if !taken.contains(&at) && (bag.trusted || !keys) {
            let what = What::Trusted { certificate: der(&bag), marked: bag.trusted };
            entries.push(Entry { alias: named(bag.friendly_name), what });
        }
    }
    entries
}
