//! Encryption of what is stored: XChaCha20-Poly1305 with a nonce drawn for each record.
//!
//! An encrypted record is the length of the key's id (one byte), the id, the nonce (24 bytes), and
//! the ciphertext with its tag. Authenticated with it is where the record stands, so that no record
//! can be put in another's place. All keys read, the first one writes.

use std::fmt;
use std::sync::Arc;

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::seal::Place;
use crate::runtime::Runtime;
use crate::store::StoreError;
use crate::store::redis::options::Encryption;

const NONCE: usize = 24;

/// What goes before a key to make another of it, for marks.
const MARK: &[u8] = b"zonesync mark";

/// The keys of a zone.
pub(super) struct Cipher {
    /// By id; the first one writes.
    keys: Vec<(String, XChaCha20Poly1305)>,
    mark_key: Zeroizing<[u8; 16]>,
    plaintext: bool,
    /// Draws the nonces.
    runtime: Arc<dyn Runtime>,
}

impl Cipher {
    /// Takes the keys; the first one writes.
    pub(super) fn new(encryption: &Encryption, runtime: Arc<dyn Runtime>) -> Self {
        let all = encryption.keys().iter();
        let keys =
            all.map(|key| (key.id().to_owned(), XChaCha20Poly1305::new(key.reveal().into())));
        let mut mark = Sha256::new();
        mark.update(MARK);
        mark.update(encryption.keys()[0].reveal());
        let mut mark_key = Zeroizing::new([0; 16]);
        mark_key.copy_from_slice(&mark.finalize()[..16]);
        Self { keys: keys.collect(), mark_key, plaintext: encryption.plaintext, runtime }
    }

    /// Names the key that writes.
    pub(super) fn key(&self) -> &str {
        &self.keys[0].0
    }

    /// Says whether records are read that are not encrypted.
    pub(super) fn takes_plaintext(&self) -> bool {
        self.plaintext
    }

    /// Gives the key of the hash by which a record is known again.
    pub(super) fn mark_key(&self) -> [u8; 16] {
        *self.mark_key
    }

    /// Encrypts `inner` and `data` behind `codec`.
    pub(super) fn encrypt(&self, codec: u8, context: &[u8], inner: &[u8], data: &[u8]) -> Vec<u8> {
        let (id, cipher) = &self.keys[0];
        let mut nonce = [0; NONCE];
        nonce[..16].copy_from_slice(&self.runtime.random().to_le_bytes());
        nonce[16..].copy_from_slice(&self.runtime.random().to_le_bytes()[..8]);
        let message = Zeroizing::new([inner, data].concat());
        let payload = Payload { msg: &message, aad: context };
        let sealed = cipher
            .encrypt(&XNonce::from(nonce), payload)
            .expect("a record is far below the 256 GiB that the cipher takes");
        // An id has at most 64 bytes.
        [&[codec, id.len() as u8], id.as_bytes(), &nonce, &sealed].concat()
    }

    /// Decrypts what stands behind the codec.
    pub(super) fn decrypt(
        &self,
        place: Place,
        context: &[u8],
        sealed: &[u8],
    ) -> Result<Vec<u8>, StoreError> {
        let corrupt = || StoreError::Corrupt(format!("{place}: it does not decrypt"));
        let (len, rest) = sealed.split_first().ok_or_else(corrupt)?;
        let (id, rest) = rest.split_at_checked(usize::from(*len)).ok_or_else(corrupt)?;
        let (nonce, data) = rest.split_first_chunk::<NONCE>().ok_or_else(corrupt)?;
        let Some((_, cipher)) = self.keys.iter().find(|(known, _)| known.as_bytes() == id) else {
            return Err(StoreError::Denied(format!(
                "{place} is encrypted with a key that this node does not have: {:?}",
                String::from_utf8_lossy(id)
            )));
        };
        let payload = Payload { msg: data, aad: context };
        cipher.decrypt(&XNonce::from(*nonce), payload).map_err(|_| corrupt())
    }
}

impl fmt::Debug for Cipher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cipher").field("key", &self.key()).finish_non_exhaustive()
    }
}
