//! PEM: certificates and keys as text, with other text around.

use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use super::{Entry, Failure, What};

/// Reads all certificates.
pub(super) fn certificates(bytes: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(bytes).collect();
    match found {
        Ok(found) if found.is_empty() => {
            Err("there is no certificate in PEM here: -----BEGIN CERTIFICATE-----".to_owned())
        }
        Ok(found) => Ok(found),
        Err(error) => Err(format!("is no proper PEM: {error}")),
    }
}

/// Reads the first key.
pub(super) fn key(bytes: &[u8]) -> Result<PrivateKeyDer<'static>, String> {
    if is_encrypted(bytes) {
        return Err("encrypted PEM keys are not supported: write the key unencrypted, or into a \
                    PKCS#12 store"
            .to_owned());
    }
    PrivateKeyDer::from_pem_slice(bytes).map_err(|error| match error {
        rustls_pki_types::pem::Error::NoItemsFound => {
            "there is no key in PEM here: -----BEGIN PRIVATE KEY-----".to_owned()
        }
        error => format!("is no proper PEM: {error}"),
    })
}

/// Reads a file as a store.
pub(super) fn entries(bytes: &[u8]) -> Result<Vec<Entry>, Failure> {
    let certificates = certificates(bytes).map_err(|why| {
        let pem = bytes.windows(11).any(|window| window == b"-----BEGIN ");
        Failure::File(if pem { why } else { "is neither PKCS#12 nor JKS nor PEM".to_owned() })
    })?;
    if let Ok(key) = key(bytes) {
        let what = What::Key { key, chain: certificates };
        return Ok(vec![Entry { alias: "1".to_owned(), what }]);
    }
    let entry = |(i, certificate)| Entry {
        alias: format!("{}", i + 1),
        what: What::Trusted { certificate, marked: true },
    };
    Ok(certificates.into_iter().enumerate().map(entry).collect())
}

fn is_encrypted(bytes: &[u8]) -> bool {
    let marks: [&[u8]; 2] = [b"-----BEGIN ENCRYPTED PRIVATE KEY-----", b"Proc-Type: 4,ENCRYPTED"];
    marks.iter().any(|mark| bytes.windows(mark.len()).any(|window| window == *mark))
}
