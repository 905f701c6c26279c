//! What a configuration asks of TLS, before anything of it is read or tried.

use std::path::PathBuf;

use crate::secret::Secret;

/// What a configuration asks of TLS. [`Tls::build`](super::Tls::build) reads the stores it names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsOptions {
    /// Whether any chain of certificates is taken.
    pub trust_all: bool,
    /// Whether the server's name or address has to stand in its certificate.
    pub check_names: bool,
    /// Protocols by their names in Java, such as `TLSv1.3`. Empty: all there are.
    pub protocols: Vec<String>,
    /// Cipher suites by their names in Java. Empty: all there are.
    pub ciphers: Vec<String>,
    /// Whom to trust, unless all are. Without one: whom the platform trusts.
    pub truststore: Option<StoreFile>,
    /// What to show a server that asks who we are.
    pub keystore: Option<KeySource>,
}

/// Where the client's certificates and keys are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySource {
    /// Pairs of PEM files.
    Pem(Vec<PemPair>),
    /// A store.
    Store(StoreFile),
}

/// A chain of certificates, leaf first, and the key of the leaf.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PemPair {
    /// The file with the chain.
    pub cert: PathBuf,
    /// The file with the key; both may be one.
    pub key: PathBuf,
}

/// A store: PKCS#12, JKS, or PEM. Its first bytes tell which; the type that was named for it decides
/// only what is warned about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreFile {
    /// What it was said to be.
    pub kind: StoreKind,
    /// The file.
    pub path: PathBuf,
    /// What opens it.
    pub password: Option<Secret>,
    /// What opens a key in it, if that is something else.
    pub key_password: Option<Secret>,
    /// The one entry to use.
    pub alias: Option<String>,
}

/// What a store can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreKind {
    /// Certificates, and perhaps a key, as text.
    Pem,
    /// PKCS#12, whatever the end of its name.
    Pkcs12,
    /// Java's own.
    Jks,
}

impl StoreKind {
    /// Finds what a configuration calls so, in any case.
    pub fn named(name: &str) -> Option<Self> {
        [Self::Pem, Self::Pkcs12, Self::Jks]
            .into_iter()
            .find(|kind| kind.name().eq_ignore_ascii_case(name))
    }

    /// Gives the name that a configuration uses.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pem => "PEM",
            Self::Pkcs12 => "PKCS12",
            Self::Jks => "JKS",
        }
    }
}

/// What a finding is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// All of it.
    Whole,
    /// The protocols.
    Protocols,
    /// The cipher suites.
    Ciphers,
    /// The truststore's file.
    Truststore,
    /// The truststore's password.
    TruststorePassword,
    /// The truststore's alias.
    TruststoreAlias,
    /// The keystore's file.
    Keystore,
    /// The keystore's password.
    KeystorePassword,
    /// The password of a key in the keystore.
    KeyPassword,
    /// The keystore's alias.
    KeystoreAlias,
    /// The certificates of the pair with this number.
    PairCert(usize),
    /// The key of the pair with this number.
    PairKey(usize),
}

/// Something wrong with TLS options, or doubtful about them. Its text holds no secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What it is about.
    pub part: Part,
    /// What is wrong, and what would be right.
    pub message: String,
}

impl Finding {
    pub(super) fn new(part: Part, message: impl Into<String>) -> Self {
        Self { part, message: message.into() }
    }
}
