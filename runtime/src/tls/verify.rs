//! Whether a server is whom we want to speak with.
//!
//! WebPKI judges chains and names. Around it stand the ways in which a JVM is more lenient and real
//! installations rely on it: a server's own certificate in the truststore, a host in the common name,
//! certificates of version 1; and words for what neither can be done with.

use std::fmt;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, OtherError, RootCertStore};
use rustls::{PeerMisbehaved, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use super::certificate::Facts;
use super::options::{Part, TlsOptions};
use super::{Findings, store};

/// Judges servers.
#[derive(Debug)]
pub(super) struct Verifier {
    trust: Trust,
    check_names: bool,
    algorithms: WebPkiSupportedAlgorithms,
}

#[derive(Debug)]
enum Trust {
    /// Whoever holds the key of the certificate it shows.
    All,
    Some {
        roots: Arc<RootCertStore>,
        /// What the truststore holds, to the byte: a server may show that itself.
        pinned: Vec<CertificateDer<'static>>,
    },
}

/// Why a certificate is refused.
struct Reason(String);

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Reason {}

fn refused(why: impl Into<String>) -> Error {
    let reason = OtherError(Arc::new(Reason(why.into())));
    Error::InvalidCertificate(CertificateError::Other(reason))
}

impl Verifier {
    /// Reads whom to trust; none, with a problem, if nobody is left.
    pub(super) fn new(
        options: &TlsOptions,
        provider: &CryptoProvider,
        findings: &mut Findings,
    ) -> Option<Self> {
        let trust = match &options.truststore {
            _ if options.trust_all => Trust::All,
            Some(file) => {
                let certificates = store::trusted(file, findings)?;
                let mut roots = RootCertStore::empty();
                // What cannot be an anchor can still be the server's own.
                roots.add_parsable_certificates(certificates.iter().cloned());
                Trust::Some { roots: Arc::new(roots), pinned: certificates }
            }
            None => Trust::Some { roots: platform(findings)?, pinned: Vec::new() },
        };
        let algorithms = provider.signature_verification_algorithms;
        Some(Self { trust, check_names: options.check_names, algorithms })
    }

    fn check_chain(
        &self,
        certificate: &CertificateDer<'_>,
        facts: &Facts<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), Error> {
        let Trust::Some { roots, pinned } = &self.trust else { return Ok(()) };
        if pinned.iter().any(|pinned| pinned == certificate) {
            return match facts.is_in_time(now) {
                true => Ok(()),
                false => Err(refused("it stands in the truststore, but its dates do not hold now")),
            };
        }
        if facts.is_v1() {
            let why = "it is an X.509 certificate of version 1, which is taken only if it stands in \
                       the truststore itself";
            return Err(refused(why));
        }
        let parsed = ParsedCertificate::try_from(certificate)?;
        verify_server_cert_signed_by_trust_anchor(
            &parsed,
            roots,
            intermediates,
            now,
            self.algorithms.all,
        )
        .map_err(|error| {
            let above: Vec<Facts<'_>> = intermediates.iter().filter_map(Facts::of).collect();
            let weak = facts.unusable_signature();
            let above = above.iter().find_map(|facts| {
                let why = facts.unusable_key().or_else(|| facts.unusable_signature())?;
                Some(format!("of a certificate in its chain: {why}"))
            });
            match weak.or(above) {
                Some(why) => refused(why),
                None if format!("{error:?}").contains("CaUsedAsEndEntity") => refused(
                    "it is one of a certificate authority, which is taken only if it stands in the \
                     truststore itself",
                ),
                None => error,
            }
        })
    }

    fn check_name(
        &self,
        certificate: &CertificateDer<'_>,
        facts: &Facts<'_>,
        name: &ServerName<'_>,
    ) -> Result<(), Error> {
        if !self.check_names {
            return Ok(());
        }
        let by_webpki = ParsedCertificate::try_from(certificate)
            .and_then(|parsed| verify_server_name(&parsed, name));
        match (by_webpki, name) {
            (Ok(()), _) => Ok(()),
            (Err(_), ServerName::DnsName(host)) if facts.is_called(host.as_ref()) => Ok(()),
            (Err(_), _) if facts.is_v1() => {
                Err(refused(format!("it is not one for {}", name.to_str())))
            }
            (Err(error), _) => Err(error),
        }
    }

    /// Checks a signature by the key of a certificate that WebPKI does not read.
    fn check_v1(
        &self,
        message: &[u8],
        facts: &Facts<'_>,
        signed: &DigitallySignedStruct,
        tries: usize,
    ) -> Result<HandshakeSignatureValid, Error> {
        let mut info = super::der::Reader::new(facts.public_key());
        let mut info = super::der::Reader::new(info.take(super::der::SEQUENCE).unwrap_or_default());
        let algorithm = info.take(super::der::SEQUENCE).unwrap_or_default();
        let offered = self.algorithms.mapping.iter().find(|(scheme, _)| *scheme == signed.scheme);
        let Some((_, offered)) = offered else {
            return Err(PeerMisbehaved::SignedHandshakeWithUnadvertisedSigScheme.into());
        };
        let valid = offered.iter().take(tries).any(|offered| {
            offered.public_key_alg_id().as_ref() == algorithm
                && offered.verify_signature(facts.key_bits(), message, signed.signature()).is_ok()
        });
        match valid {
            true => Ok(HandshakeSignatureValid::assertion()),
            false => Err(CertificateError::BadSignature.into()),
        }
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let facts = Facts::of(end_entity).ok_or(CertificateError::BadEncoding)?;
        if let Some(why) = facts.unusable_key() {
            return Err(refused(why));
        }
        self.check_chain(end_entity, &facts, intermediates, now)?;
        self.check_name(end_entity, &facts, server_name)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        match Facts::of(certificate).filter(Facts::is_v1) {
            Some(facts) => self.check_v1(message, &facts, signed, usize::MAX),
            None => verify_tls12_signature(message, certificate, signed, &self.algorithms),
        }
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        match Facts::of(certificate).filter(Facts::is_v1) {
            Some(_) if is_pkcs1(signed.scheme) => {
                Err(PeerMisbehaved::SignedHandshakeWithUnadvertisedSigScheme.into())
            }
            // In TLS 1.3 a scheme means one algorithm: the first.
            Some(facts) => self.check_v1(message, &facts, signed, 1),
            None => verify_tls13_signature(message, certificate, signed, &self.algorithms),
        }
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// Tells whether a scheme is one that TLS 1.3 has dropped.
fn is_pkcs1(scheme: SignatureScheme) -> bool {
    use SignatureScheme as S;
    matches!(
        scheme,
        S::RSA_PKCS1_SHA1 | S::RSA_PKCS1_SHA256 | S::RSA_PKCS1_SHA384 | S::RSA_PKCS1_SHA512
    )
}

/// Trusts whom the platform trusts. A file of it that cannot be read spoils nothing.
fn platform(findings: &mut Findings) -> Option<Arc<RootCertStore>> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        let why = found.errors.first().map(|error| format!(": {error}")).unwrap_or_default();
        let message = format!(
            "trustAll is false and there is no truststore, and the platform has no certificates{why}"
        );
        findings.problem(Part::Truststore, message);
        return None;
    }
    Some(Arc::new(roots))
}
