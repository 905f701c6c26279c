//! Thumbprints of the certificates that a subscription brings.
//!
//! A certificate comes as PEM, or as base64 of PEM; a bundle counts with each certificate in it.
//! PKCS#7 is not read: such a subscription is reachable by its id only.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};

/// The length of a thumbprint: base64url without padding of 32 bytes.
pub(super) const THUMBPRINT: usize = 43;

/// The most certificates of one subscription that count.
const CERTIFICATES_MAX: usize = 64;

const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const END: &str = "-----END CERTIFICATE-----";

/// Gives the thumbprints of the certificates in `text`, one after the other without a gap; none if
/// it holds none that can be read.
pub(super) fn thumbprints(text: &str) -> String {
    let decoded;
    let pem = if text.contains(BEGIN) {
        text
    } else {
        decoded = decode(text).and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_default();
        &decoded
    };
    let blocks = pem.split(BEGIN).skip(1).filter_map(|block| Some(block.split_once(END)?.0));
    let certificates = blocks.filter_map(decode).filter(|der| !der.is_empty());
    let mut prints = String::new();
    for der in certificates.take(CERTIFICATES_MAX) {
        URL_SAFE_NO_PAD.encode_string(Sha256::digest(&der), &mut prints);
    }
    prints
}

fn decode(text: &str) -> Option<Vec<u8>> {
    let packed: String = text.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    STANDARD.decode(packed).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pem(der: &[u8]) -> String {
        format!("{BEGIN}\n{}\n{END}\n", STANDARD.encode(der))
    }

    #[test]
    fn pem_and_base64_of_pem_have_the_thumbprint_of_the_der() {
        // base64url of the SHA-256 of "abc", which stands for a certificate.
        let print = "ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0";
        assert_eq!(print.len(), THUMBPRINT);
        assert_eq!(thumbprints(&pem(b"abc")), print);
        assert_eq!(thumbprints(&STANDARD.encode(pem(b"abc"))), print);
        let bundle = pem(b"x") + &pem(b"abc");
        assert_eq!(thumbprints(&bundle).len(), 2 * THUMBPRINT);
        assert!(thumbprints(&bundle).ends_with(print));
    }

    #[test]
    fn what_is_no_pem_has_none() {
        let torn = format!("{BEGIN}\nYWJj\n");
        for text in ["", "abc", "MIIB", &torn, &pem(b""), &format!("{BEGIN}\n%%\n{END}")] {
            assert_eq!(thumbprints(text), "", "{text}");
        }
    }
}
