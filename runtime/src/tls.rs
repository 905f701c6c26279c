//! TLS by rustls, as a gateway's configuration asks for it.
//!
//! [`TlsOptions`] say what is asked for, in Java's words; [`Tls::build`] reads the stores and lists
//! everything that is wrong with them. Inside: `protocol` knows protocols and cipher suites, `store`
//! opens PEM, PKCS#12 and JKS, `identity` picks what a server is shown, `verify` judges what it shows,
//! `certificate` reads what the two need to know of one.
//!
//! The provider is always ring, and always named: a process may have others.

mod certificate;
mod der;
mod identity;
mod options;
mod protocol;
mod store;
mod verify;

use std::fmt;
use std::sync::Arc;

use rustls::{CertificateError, ClientConfig};

pub use options::{Finding, KeySource, Part, PemPair, StoreFile, StoreKind, TlsOptions};

use identity::Identity;
use verify::Verifier;

/// How a client speaks TLS. Built once from a configuration; clones share it, and the sessions that
/// it resumes.
#[derive(Clone)]
pub struct Tls {
    config: Arc<ClientConfig>,
    trusts_all: bool,
}

impl Tls {
    /// Takes a finished configuration of rustls.
    pub fn from_config(config: Arc<ClientConfig>) -> Self {
        Self { config, trusts_all: false }
    }

    /// Reads the stores that `options` name, and gives what they make, with what is doubtful.
    ///
    /// The error lists everything that is wrong.
    pub fn build(options: &TlsOptions) -> Result<(Self, Vec<Finding>), Vec<Finding>> {
        let mut findings = Findings::default();
        let provider = rustls::crypto::ring::default_provider();
        let chosen = protocol::choose(options, &provider, &mut findings);
        let verifier = Verifier::new(options, &provider, &mut findings);
        let identity = options.keystore.as_ref().map(|keystore| {
            let identity = Identity::read(keystore, &provider, &mut findings);
            Arc::new(identity)
        });
        let (Some(chosen), Some(verifier)) = (chosen, verifier) else {
            return Err(findings.problems);
        };
        let provider = rustls::crypto::CryptoProvider { cipher_suites: chosen.suites, ..provider };
        let builder = ClientConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(&chosen.versions);
        let builder = match builder {
            Ok(builder) => builder,
            Err(error) => {
                findings.problem(Part::Ciphers, error.to_string());
                return Err(findings.problems);
            }
        };
        if !findings.problems.is_empty() {
            return Err(findings.problems);
        }
        let builder = builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier));
        let config = match identity {
            Some(identity) => builder.with_client_cert_resolver(identity),
            None => builder.with_no_client_auth(),
        };
        let tls = Self { config: Arc::new(config), trusts_all: options.trust_all };
        Ok((tls, findings.doubts))
    }

    /// Gives what rustls needs.
    pub fn config(&self) -> &Arc<ClientConfig> {
        &self.config
    }

    /// Says whether it was built to take any certificate. Not known, and so false, of a finished
    /// configuration.
    pub fn trusts_all(&self) -> bool {
        self.trusts_all
    }
}

/// Says why a server's certificate is refused.
pub(crate) fn words(why: &CertificateError) -> String {
    match why {
        CertificateError::Other(why) => why.to_string(),
        why => why.to_string(),
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tls")
    }
}

/// What was found while building.
#[derive(Default)]
struct Findings {
    problems: Vec<Finding>,
    doubts: Vec<Finding>,
}

impl Findings {
    fn problem(&mut self, part: Part, message: impl Into<String>) {
        self.problems.push(Finding::new(part, message));
    }

    fn doubt(&mut self, part: Part, message: impl Into<String>) {
        self.doubts.push(Finding::new(part, message));
    }
}
