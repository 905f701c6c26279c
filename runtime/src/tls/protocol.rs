//! Protocols and cipher suites, by the names that Java has for them.

use rustls::crypto::CryptoProvider;
use rustls::{SupportedCipherSuite, SupportedProtocolVersion, version};

use super::Findings;
use super::options::{Part, TlsOptions};

/// Protocols that Java knows and rustls does not speak.
const OLD: [&str; 4] = ["SSLv2Hello", "SSLv3", "TLSv1", "TLSv1.1"];

/// Not a suite but a signal, which rustls always gives.
const SIGNAL: &str = "TLS_EMPTY_RENEGOTIATION_INFO_SCSV";

/// How Java names key exchanges. With these and [`CIPHERS`] a name is one of a real suite.
const EXCHANGES: [&str; 17] = [
    "RSA",
    "DHE_RSA",
    "DHE_DSS",
    "DH_RSA",
    "DH_DSS",
    "DH_anon",
    "ECDH_RSA",
    "ECDH_ECDSA",
    "ECDH_anon",
    "ECDHE_RSA",
    "ECDHE_ECDSA",
    "KRB5",
    "KRB5_EXPORT",
    "RSA_EXPORT",
    "DHE_RSA_EXPORT",
    "DHE_DSS_EXPORT",
    "DH_anon_EXPORT",
];

/// How Java names ciphers.
const CIPHERS: [&str; 29] = [
    "AES_128_CBC_SHA",
    "AES_256_CBC_SHA",
    "AES_128_CBC_SHA256",
    "AES_256_CBC_SHA256",
    "AES_256_CBC_SHA384",
    "AES_128_GCM_SHA256",
    "AES_256_GCM_SHA384",
    "AES_128_CCM",
    "AES_256_CCM",
    "AES_128_CCM_8",
    "AES_256_CCM_8",
    "CHACHA20_POLY1305_SHA256",
    "CAMELLIA_128_CBC_SHA",
    "CAMELLIA_256_CBC_SHA",
    "3DES_EDE_CBC_SHA",
    "3DES_EDE_CBC_MD5",
    "DES_CBC_SHA",
    "DES_CBC_MD5",
    "DES40_CBC_SHA",
    "DES_CBC_40_SHA",
    "DES_CBC_40_MD5",
    "RC4_128_SHA",
    "RC4_128_MD5",
    "RC4_40_SHA",
    "RC4_40_MD5",
    "RC2_CBC_40_MD5",
    "NULL_SHA",
    "NULL_SHA256",
    "NULL_MD5",
];

/// What a connection may use. Neither list is empty, and each protocol has a suite.
pub(super) struct Chosen {
    pub(super) versions: Vec<&'static SupportedProtocolVersion>,
    pub(super) suites: Vec<SupportedCipherSuite>,
}

/// Chooses what was asked for and exists; none, with a problem, if nothing is left.
pub(super) fn choose(
    options: &TlsOptions,
    provider: &CryptoProvider,
    findings: &mut Findings,
) -> Option<Chosen> {
    let versions = versions(&options.protocols, findings);
    let suites = suites(&options.ciphers, provider, findings);
    let (versions, suites) = (versions?, suites?);
    // A list of suites is all that is enabled, so a protocol without any is off, and the reverse.
    let suites: Vec<_> =
        suites.into_iter().filter(|suite| versions.contains(&suite.version())).collect();
    let versions: Vec<_> = versions
        .into_iter()
        .filter(|version| suites.iter().any(|suite| suite.version() == *version))
        .collect();
    if versions.is_empty() {
        findings.problem(Part::Ciphers, "none of these belongs to a protocol of tlsProtocols");
        return None;
    }
    Some(Chosen { versions, suites })
}

fn versions(
    names: &[String],
    findings: &mut Findings,
) -> Option<Vec<&'static SupportedProtocolVersion>> {
    if names.is_empty() {
        return Some(vec![&version::TLS13, &version::TLS12]);
    }
    let mut found = Vec::new();
    for name in names {
        // As on a stock gateway: blanks do not count even inside a name, and case does.
        let name: String = name.chars().filter(|c| !c.is_whitespace()).collect();
        match name.as_str() {
            "TLSv1.2" => found.push(&version::TLS12),
            "TLSv1.3" => found.push(&version::TLS13),
            "" => {}
            old if OLD.contains(&old) => {
                findings.doubt(Part::Protocols, format!("{old} is not spoken, and left out"));
            }
            other => {
                let shown: String = other.chars().take(40).collect();
                findings.doubt(Part::Protocols, format!("{shown:?} is no protocol, and left out"));
            }
        }
    }
    if found.is_empty() {
        findings.problem(Part::Protocols, "no protocol is left: TLSv1.2 and TLSv1.3 are spoken");
        return None;
    }
    Some(found)
}

fn suites(
    names: &[String],
    provider: &CryptoProvider,
    findings: &mut Findings,
) -> Option<Vec<SupportedCipherSuite>> {
    if names.is_empty() {
        return Some(provider.cipher_suites.clone());
    }
    let mut wanted = Vec::new();
    let mut sound = true;
    for name in names {
        let name = name.trim();
        if let Some(suite) = provider.cipher_suites.iter().find(|suite| java_name(suite) == name) {
            wanted.push(suite.suite());
        } else if is_known(name) {
            findings.doubt(Part::Ciphers, format!("{name} is not supported, and left out"));
        } else if name.is_empty() {
            findings.problem(Part::Ciphers, "an item of the list is empty");
            sound = false;
        } else if name != SIGNAL {
            let shown: String = name.chars().take(80).collect();
            findings.problem(Part::Ciphers, format!("{shown:?} is no cipher suite"));
            sound = false;
        }
    }
    if sound && wanted.is_empty() {
        let all: Vec<String> = provider.cipher_suites.iter().map(java_name).collect();
        let message = format!("no cipher suite is left; supported are {}", all.join(", "));
        findings.problem(Part::Ciphers, message);
        sound = false;
    }
    // The order is the provider's: a stock gateway loses that of the list, too.
    let kept = provider.cipher_suites.iter().filter(|suite| wanted.contains(&suite.suite()));
    sound.then(|| kept.copied().collect())
}

/// Gives Java's name of a suite: rustls writes `TLS13_` where Java has `TLS_`.
fn java_name(suite: &SupportedCipherSuite) -> String {
    let name = format!("{:?}", suite.suite());
    match name.strip_prefix("TLS13_") {
        Some(rest) => format!("TLS_{rest}"),
        None => name,
    }
}

/// Tells whether a name is one of a real suite that rustls lacks on purpose.
fn is_known(name: &str) -> bool {
    let rest = name.strip_prefix("TLS_").or_else(|| name.strip_prefix("SSL_"));
    let parts = rest.and_then(|rest| rest.split_once("_WITH_"));
    let newer = ["TLS_AES_128_CCM_SHA256", "TLS_AES_128_CCM_8_SHA256"];
    newer.contains(&name)
        || parts.is_some_and(|(exchange, cipher)| {
            EXCHANGES.contains(&exchange) && CIPHERS.contains(&cipher)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(protocols: &str, ciphers: &str) -> (Option<Chosen>, Findings) {
        let list = |text: &str| match text {
            "" => Vec::new(),
            text => text.split(',').map(str::to_owned).collect(),
        };
        let options = TlsOptions {
            protocols: list(protocols),
            ciphers: list(ciphers),
            ..TlsOptions::default()
        };
        let mut findings = Findings::default();
        let provider = rustls::crypto::ring::default_provider();
        (choose(&options, &provider, &mut findings), findings)
    }

    #[test]
    fn all_nine_suites_have_their_java_names() {
        let names: Vec<String> =
            rustls::crypto::ring::default_provider().cipher_suites.iter().map(java_name).collect();
        assert_eq!(names.len(), 9);
        let (all, findings) = chosen("", &names.join(","));
        assert_eq!(all.unwrap().suites.len(), 9);
        assert!(findings.doubts.is_empty());
    }

    #[test]
    fn protocols_are_what_is_left_of_the_list() {
        let count = |list: &str| chosen(list, "").0.map_or(0, |chosen| chosen.versions.len());
        assert_eq!(count(""), 2);
        assert_eq!(count("TLSv1.2"), 1);
        assert_eq!(count("TLSv1.3,TLSv1.2,TLSv1.1,SSLv2Hello"), 2);
        assert_eq!(count(" TLS v1.2 ,,TLSv1.3"), 2);
        for nothing in ["TLSv9", ",", "tlsv1.2", "TLSv1", "TLSv1.1"] {
            let (chosen, findings) = chosen(nothing, "");
            assert!(chosen.is_none(), "{nothing}");
            assert_eq!(findings.problems[0].part, Part::Protocols);
        }
        assert_eq!(chosen("SSLv3,TLSv9,TLSv1.3", "").1.doubts.len(), 2);
    }

    #[test]
    fn suites_that_rustls_lacks_are_left_out_and_unknown_ones_refused() {
        // The documentation's sample.
        let sample = "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, \
                      TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384, \
                      TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA384, TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA384";
        let (kept, findings) = chosen("", sample);
        let kept = kept.unwrap();
        assert_eq!((kept.suites.len(), findings.doubts.len()), (2, 2));
        assert_eq!(kept.versions, [&version::TLS12], "no suite of TLS 1.3 is in the list");

        let older = "TLS_AES_256_GCM_SHA384,TLS_EMPTY_RENEGOTIATION_INFO_SCSV";
        assert_eq!(chosen("", older).0.unwrap().versions, [&version::TLS13]);

        for bad in [
            "FOO",
            "FOO,TLS_AES_256_GCM_SHA384",
            "TLS_AES_256_GCM_SHA384,",
            ",",
            "tls_aes_256_gcm_sha384",
            "ECDHE-RSA-AES256-GCM-SHA384",
            "TLS_RSA_WITH_AES_128_CBC_SHA",
            "SSL_RSA_WITH_3DES_EDE_CBC_SHA",
            "TLS13_AES_256_GCM_SHA384",
        ] {
            let (none, findings) = chosen("", bad);
            assert!(none.is_none(), "{bad}");
            assert_eq!(findings.problems[0].part, Part::Ciphers, "{bad}");
        }
        let apart = chosen("TLSv1.3", "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384");
        assert!(apart.0.is_none() && apart.1.problems[0].message.contains("tlsProtocols"));
    }

    #[test]
    fn every_suite_of_java_is_known() {
        // What JDK 17 and 25 support beyond those of rustls.
        for exchange in ["DHE_DSS", "DHE_RSA", "RSA", "ECDHE_RSA", "ECDHE_ECDSA"] {
            for cipher in [
                "AES_128_CBC_SHA",
                "AES_256_CBC_SHA",
                "AES_128_CBC_SHA256",
                "AES_256_CBC_SHA384",
                "AES_128_GCM_SHA256",
            ] {
                assert!(is_known(&format!("TLS_{exchange}_WITH_{cipher}")));
            }
        }
        assert!(is_known("TLS_DHE_RSA_WITH_CHACHA20_POLY1305_SHA256"));
        assert!(!is_known("TLS_FOO_WITH_AES_128_CBC_SHA") && !is_known("TLS_RSA_WITH_"));
    }
}
