//! What we show a server that asks who we are.

use std::sync::Arc;

use rustls::client::ResolvesClientCert;
use rustls::crypto::CryptoProvider;
use rustls::sign::CertifiedKey;
use rustls::{Error, SignatureScheme};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

use super::certificate::Facts;
use super::options::{KeySource, Part, PemPair};
use super::store::{self, Pair};
use super::{Findings, der};

/// Certificates with their keys, in the order of the configuration.
#[derive(Debug, Default)]
pub(super) struct Identity {
    keys: Vec<Arc<CertifiedKey>>,
}

/// Where findings about a pair belong.
struct Parts {
    cert: Part,
    key: Part,
}

impl Identity {
    /// Reads what `source` names, with a problem for each pair that cannot be used.
    pub(super) fn read(
        source: &KeySource,
        provider: &CryptoProvider,
        findings: &mut Findings,
    ) -> Self {
        let mut identity = Self::default();
        match source {
            KeySource::Pem(pairs) => {
                for (i, pair) in pairs.iter().enumerate() {
                    let parts = Parts { cert: Part::PairCert(i), key: Part::PairKey(i) };
                    if let Some(pair) = read_pem(pair, &parts, findings) {
                        identity.add(pair, &parts, provider, findings);
                    }
                }
            }
            KeySource::Store(file) => {
                let parts = Parts { cert: Part::Keystore, key: Part::Keystore };
                for pair in store::pairs(file, findings).unwrap_or_default() {
                    identity.add(pair, &parts, provider, findings);
                }
            }
        }
        identity
    }

    fn add(
        &mut self,
        pair: Pair,
        parts: &Parts,
        provider: &CryptoProvider,
        findings: &mut Findings,
    ) {
        let Some(leaf) = pair.chain.first() else {
            findings.problem(parts.cert, "there is no certificate for the key");
            return;
        };
        let Some(facts) = Facts::of(leaf) else {
            findings.problem(parts.cert, "the certificate is no X.509");
            return;
        };
        if facts.is_v1() {
            findings
                .doubt(parts.cert, "an X.509 certificate of version 1, which servers may refuse");
        }
        let key = with_public_half(pair.key, &facts);
        let key = match provider.key_provider.load_private_key(key) {
            Ok(key) => key,
            Err(error) => {
                let why = facts.unusable_key().unwrap_or_else(|| words(&error));
                findings.problem(parts.key, format!("the key cannot be used: {why}"));
                return;
            }
        };
        // Not left to rustls, which reads no certificates of version 1.
        if key.public_key().is_some_and(|public| public.as_ref() != facts.public_key()) {
            let message = "this is not the key of the first certificate, which must be one's own, \
                           with those of authorities behind it";
            findings.problem(parts.key, message);
            return;
        }
        self.keys.push(Arc::new(CertifiedKey::new(pair.chain, key)));
    }
}

impl ResolvesClientCert for Identity {
    /// Picks the first key that can sign as the server wants, and comes from whom it names; if none
    /// does, the first that can sign, for servers are not always exact about the names.
    fn resolve(&self, issuers: &[&[u8]], schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        let able = |key: &&Arc<CertifiedKey>| key.key.choose_scheme(schemes).is_some();
        let named = |key: &&Arc<CertifiedKey>| is_issued_by_any(&key.cert, issuers);
        let first = self.keys.iter().filter(able).find(named);
        first.or_else(|| self.keys.iter().find(able)).cloned()
    }

    fn has_certs(&self) -> bool {
        !self.keys.is_empty()
    }
}

/// Tells whether any certificate of a chain is issued by one of these.
fn is_issued_by_any(chain: &[CertificateDer<'_>], issuers: &[&[u8]]) -> bool {
    let issued =
        |certificate| Facts::of(certificate).is_some_and(|facts| issuers.contains(&facts.issuer()));
    chain.iter().any(issued)
}

fn read_pem(pair: &PemPair, parts: &Parts, findings: &mut Findings) -> Option<Pair> {
    let chain = store::pem_chain(&pair.cert);
    let key = store::pem_key(&pair.key);
    if let Err(why) = &chain {
        findings.problem(parts.cert, why);
    }
    if let Err(why) = &key {
        findings.problem(parts.key, why);
    }
    Some(Pair { key: key.ok()?, chain: chain.ok()? })
}

/// Says what rustls says, without its frame.
fn words(error: &Error) -> String {
    match error {
        Error::General(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Adds the public half to a key on a curve that lacks it: Java writes such keys, and ring wants both.
fn with_public_half(key: PrivateKeyDer<'static>, facts: &Facts<'_>) -> PrivateKeyDer<'static> {
    let PrivateKeyDer::Pkcs8(pkcs8) = &key else { return key };
    match completed(pkcs8.secret_pkcs8_der(), facts.key_bits()) {
        Some(der) => PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(der)),
        None => key,
    }
}

/// Rebuilds a PKCS#8 key on a curve with its public half; none if it is no such key, or has it.
fn completed(pkcs8: &[u8], public: &[u8]) -> Option<Vec<u8>> {
    /// id-ecPublicKey.
    const ON_CURVE: [u8; 9] = [0x06, 0x07, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x02, 0x01];
    let mut info = der::Reader::new(der::Reader::new(pkcs8).take(der::SEQUENCE)?);
    let version = info.take(der::INTEGER)?;
    let algorithm = info.take(der::SEQUENCE)?;
    let inner = info.take(der::OCTETS)?;
    if !algorithm.starts_with(&ON_CURVE) {
        return None;
    }
    let mut inner = der::Reader::new(der::Reader::new(inner).take(der::SEQUENCE)?);
    let one = inner.take(der::INTEGER)?;
    let private = inner.take(der::OCTETS)?;
    inner.take(der::CONTEXT_0);
    if inner.take(der::CONTEXT_1).is_some() {
        return None;
    }
    // A point is 4, x, y; ring wants the number at full length.
    let length = public.len().checked_sub(1)? / 2;
    let padding = vec![0; length.checked_sub(private.len())?];
    let bits = der::element(der::BITS, &[&[0], public]);
    let key = der::element(
        der::SEQUENCE,
        &[
            &der::element(der::INTEGER, &[one]),
            &der::element(der::OCTETS, &[&padding, private]),
            &der::element(der::CONTEXT_1, &[&bits]),
        ],
    );
    Some(der::element(
        der::SEQUENCE,
        &[
            &der::element(der::INTEGER, &[version]),
            &der::element(der::SEQUENCE, &[algorithm]),
            &der::element(der::OCTETS, &[&key]),
        ],
    ))
}
