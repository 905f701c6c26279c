//! What is to be known of a certificate beyond what WebPKI tells: its common name, its version, and
//! why WebPKI will not have it.

use rustls_pki_types::{CertificateDer, UnixTime};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate, X509Version};
use x509_parser::public_key::PublicKey;

/// The fewest bits of an RSA key that ring takes.
const RSA_BITS_MIN: usize = 2048;
/// The longest chain that is put together.
const CHAIN_MAX: usize = 10;

const P256: &str = "1.2.840.10045.3.1.7";
const P384: &str = "1.3.132.0.34";
const P521: &str = "1.3.132.0.35";
const ED25519: &str = "1.3.101.112";
/// SHA-1 with RSA, DSA and ECDSA; MD5 with RSA.
const WEAK: [(&str, &str); 4] = [
    ("1.2.840.113549.1.1.5", "SHA-1"),
    ("1.2.840.10040.4.3", "SHA-1"),
    ("1.2.840.10045.4.1", "SHA-1"),
    ("1.2.840.113549.1.1.4", "MD5"),
];

/// A certificate, taken apart.
pub(super) struct Facts<'a>(X509Certificate<'a>);

impl<'a> Facts<'a> {
    /// Takes a certificate apart; none if it is no X.509.
    pub(super) fn of(der: &'a CertificateDer<'_>) -> Option<Self> {
        let (rest, certificate) = X509Certificate::from_der(der).ok()?;
        rest.is_empty().then_some(Self(certificate))
    }

    /// Tells whether it is of version 1, which WebPKI refuses.
    pub(super) fn is_v1(&self) -> bool {
        self.0.version() == X509Version::V1
    }

    /// Gives the public key as it stands there, a SubjectPublicKeyInfo.
    pub(super) fn public_key(&self) -> &[u8] {
        self.0.tbs_certificate.subject_pki.raw
    }

    /// Gives the bits of the public key alone.
    pub(super) fn key_bits(&self) -> &[u8] {
        &self.0.tbs_certificate.subject_pki.subject_public_key.data
    }

    /// Gives its issuer's name as it stands there.
    pub(super) fn issuer(&self) -> &[u8] {
        self.0.issuer().as_raw()
    }

    /// Tells whether its dates hold `now`.
    pub(super) fn is_in_time(&self, now: UnixTime) -> bool {
        let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
        let validity = self.0.validity();
        validity.not_before.timestamp() <= now && now <= validity.not_after.timestamp()
    }

    /// Tells whether it is a certificate for `host` by its common name. That counts only where it
    /// names no hosts otherwise, as on a JVM.
    pub(super) fn is_called(&self, host: &str) -> bool {
        let named = self.0.subject_alternative_name().map(|names| {
            let names = names.iter().flat_map(|extension| &extension.value.general_names);
            names.into_iter().any(|name| matches!(name, GeneralName::DNSName(_)))
        });
        let common = self.0.subject().iter_common_name().last().and_then(|cn| cn.as_str().ok());
        // What cannot be read might name hosts.
        matches!(named, Ok(false)) && common.is_some_and(|pattern| matches_host(pattern, host))
    }

    /// Says why its key cannot be used, if so.
    pub(super) fn unusable_key(&self) -> Option<String> {
        let info = &self.0.tbs_certificate.subject_pki;
        match info.parsed() {
            Ok(PublicKey::RSA(key)) if key.key_size() < RSA_BITS_MIN => Some(format!(
                "its RSA key has {} bits, and at least {RSA_BITS_MIN} are needed",
                key.key_size()
            )),
            Ok(PublicKey::RSA(_)) => None,
            Ok(PublicKey::EC(_)) => {
                let curve = info.algorithm.parameters.as_ref().and_then(|any| any.as_oid().ok());
                match curve.map(|oid| oid.to_id_string()).as_deref() {
                    Some(P256 | P384) => None,
                    Some(P521) => Some(
                        "its key is on the curve P-521: P-256 and P-384 are \
                                        supported"
                            .to_owned(),
                    ),
                    _ => Some("its key is on a curve other than P-256 and P-384".to_owned()),
                }
            }
            _ if info.algorithm.algorithm.to_id_string() == ED25519 => None,
            _ => Some("its key is neither RSA nor on a supported curve".to_owned()),
        }
    }

    /// Says why its signature cannot be used, if so.
    pub(super) fn unusable_signature(&self) -> Option<String> {
        let algorithm = self.0.signature_algorithm.algorithm.to_id_string();
        let (_, name) = WEAK.iter().find(|(id, _)| *id == algorithm)?;
        Some(format!("it is signed with {name}, which is no longer taken"))
    }

    fn is_issued_by(&self, other: &Self) -> bool {
        self.issuer() == other.0.subject().as_raw()
    }

    fn is_self_issued(&self) -> bool {
        self.is_issued_by(self)
    }
}

/// Puts a chain together from `leaf` upwards, by names.
pub(super) fn chain(
    leaf: &CertificateDer<'static>,
    others: &[CertificateDer<'static>],
) -> Vec<CertificateDer<'static>> {
    let mut chain = vec![leaf.clone()];
    while chain.len() < CHAIN_MAX {
        let last = chain.last().expect("the leaf is there");
        let Some(facts) = Facts::of(last).filter(|facts| !facts.is_self_issued()) else { break };
        let issuer = others.iter().find(|other| {
            !chain.contains(other)
                && Facts::of(other).is_some_and(|other| facts.is_issued_by(&other))
        });
        match issuer.cloned() {
            Some(issuer) => chain.push(issuer),
            None => break,
        }
    }
    chain
}

/// Compares a host with a name that may begin with `*.` for one label.
fn matches_host(pattern: &str, host: &str) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host);
    let pattern = pattern.strip_suffix('.').unwrap_or(pattern);
    match pattern.strip_prefix("*.") {
        Some(rest) => host.split_once('.').is_some_and(|(label, tail)| {
            !label.is_empty() && rest.contains('.') && tail.eq_ignore_ascii_case(rest)
        }),
        None => !pattern.is_empty() && pattern.eq_ignore_ascii_case(host),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rustls_pki_types::pem::PemObject;

    use super::*;

    /// Signed by itself, on P-256, for ten years from November 2026, CN=redis.example, no other names.
    const PEM: &str = "\
-----BEGIN CERTIFICATE-----
MIIBhDCCASugAwIBAgIUJOHvOEhJy3CQAQrOdeyCDog2TDAwCgYIKoZIzj0EAwIw
GDEWMBQGA1UEAwwNcmVkaXMuZXhhbXBsZTAeFw0yNjExMjQxNTI1MDRaFw0zNjEx
MjExNTI1MDRaMBgxFjAUBgNVBAMMDXJlZGlzLmV4YW1wbGUwWTATBgcqhkjOPQIB
BggqhkjOPQMBBwNCAASOL1At9z0E0FzzCmBXiHO86d37RxJTCsaupCffYQVDuoKE
SPpld0kqBGcG6d/js+8ocXTSnxsoNynyhCODTXEto1MwUTAdBgNVHQ4EFgQUfn3f
MuPhjDdSG3PYhx5JIphn1gMwHwYDVR0jBBgwFoAUfn3fMuPhjDdSG3PYhx5JIphn
1gMwDwYDVR0TAQH/BAUwAwEB/zAKBggqhkjOPQQDAgNHADBEAiB7o5QWUOmlxiyW
XOG06VdrrwjpEOcqk5/jcSBAqSQ4NAIgBD4iJIAMBYvjd6irTF6scBwFnlo9Xlhk
5G74OLzK2us=
-----END CERTIFICATE-----
";

    #[test]
    fn a_certificate_tells_its_dates_and_what_it_is_called() {
        let der = CertificateDer::from_pem_slice(PEM.as_bytes()).unwrap();
        let facts = Facts::of(&der).unwrap();
        let year =
            |year: u64| UnixTime::since_unix_epoch(Duration::from_secs((year - 1970) * 31_556_952));
        assert!(facts.is_in_time(year(2030)));
        assert!(!facts.is_in_time(year(2020)) && !facts.is_in_time(year(2040)));
        assert!(facts.is_called("Redis.Example") && !facts.is_called("example"));
        assert!(!facts.is_v1() && facts.unusable_key().is_none());
        assert!(facts.unusable_signature().is_none());
        let mut longer = der.to_vec();
        longer.push(0);
        assert!(Facts::of(&longer.into()).is_none(), "nothing may follow it");
    }

    #[test]
    fn a_star_stands_for_one_label() {
        assert!(matches_host("Localhost", "localhost"));
        assert!(matches_host("*.example.com", "a.EXAMPLE.com."));
        for (pattern, host) in [
            ("*.example.com", "a.b.example.com"),
            ("*.example.com", "example.com"),
            ("*.com", "example.com"),
            ("*", "localhost"),
            ("a*.example.com", "ab.example.com"),
            ("", ""),
        ] {
            assert!(!matches_host(pattern, host), "{pattern} {host}");
        }
    }
}
