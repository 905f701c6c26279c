//! JKS, the format of Java's own key stores: a list of entries, then a SHA-1 over the password and all
//! of it. A key is hidden by a stream of SHA-1 over its password.
//!
//! Lengths are the file's, but nothing is set aside for them: each must lie within the bytes at hand.

use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use sha1::{Digest, Sha1};
use zeroize::Zeroizing;

use super::{Entry, Failure, What};
use crate::secret::Secret;
use crate::tls::der;

/// What the checksum begins with, besides the password.
const PHRASE: &[u8] = b"Mighty Aphrodite";
/// The length of a SHA-1.
const HASH: usize = 20;
/// The object identifier of how keys are hidden, 1.3.6.1.4.1.42.2.17.1.1.
const HIDDEN: [u8; 10] = [0x2B, 0x06, 0x01, 0x04, 0x01, 0x2A, 0x02, 0x11, 0x01, 0x01];
/// The tag of an object identifier.
const OBJECT: u8 = 0x06;

/// Reads all entries. Without a password their integrity is not checked, as on a JVM.
pub(super) fn entries(bytes: &[u8], password: Option<&Secret>) -> Result<Vec<Entry>, Failure> {
    let damaged = || Failure::File("is no proper JKS, or is damaged".to_owned());
    let (body, hash) = bytes.split_last_chunk::<HASH>().ok_or_else(damaged)?;
    if let Some(password) = password {
        let sum = Sha1::new().chain_update(&*utf16(password)).chain_update(PHRASE);
        if sum.chain_update(body).finalize()[..] != hash[..] {
            let message = "is not the password of this store, or the store is damaged";
            return Err(Failure::Password(message.to_owned()));
        }
    }
    parse(body).ok_or_else(damaged)
}

/// Gives a key from its hiding. The error says why it cannot.
pub(super) fn unseal(sealed: &[u8], password: &Secret) -> Result<PrivateKeyDer<'static>, String> {
    let damaged = || "is hidden in an unknown way".to_owned();
    let mut outer = der::Reader::new(sealed);
    let mut info = der::Reader::new(outer.take(der::SEQUENCE).ok_or_else(damaged)?);
    let mut algorithm = der::Reader::new(info.take(der::SEQUENCE).ok_or_else(damaged)?);
    let hidden = info.take(der::OCTETS).ok_or_else(damaged)?;
    if algorithm.take(OBJECT) != Some(&HIDDEN[..]) {
        return Err(damaged());
    }
    let (salt, rest) = hidden.split_first_chunk::<HASH>().ok_or_else(damaged)?;
    let (text, check) = rest.split_last_chunk::<HASH>().ok_or_else(damaged)?;
    let password = utf16(password);
    let mut key = Zeroizing::new(text.to_vec());
    let mut mask: [u8; HASH] = *salt;
    for part in key.chunks_mut(HASH) {
        mask = Sha1::new().chain_update(&*password).chain_update(mask).finalize().into();
        part.iter_mut().zip(mask).for_each(|(byte, mask)| *byte ^= mask);
    }
    if Sha1::new().chain_update(&*password).chain_update(&*key).finalize()[..] != check[..] {
        return Err("this is not its password".to_owned());
    }
    Ok(PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.to_vec())))
}

/// A password as Java hashes it.
fn utf16(password: &Secret) -> Zeroizing<Vec<u8>> {
    Zeroizing::new(password.reveal().encode_utf16().flat_map(u16::to_be_bytes).collect())
}

/// Reads magic, version, count and entries. None if anything is amiss.
fn parse(body: &[u8]) -> Option<Vec<Entry>> {
    let mut bytes = Bytes(body.get(4..)?);
    let version = bytes.u32()?;
    if !(1..=2).contains(&version) {
        return None;
    }
    let count = bytes.u32()?;
    let mut entries = Vec::new();
    for _ in 0..count {
        let tag = bytes.u32()?;
        let alias = bytes.text()?;
        bytes.take(8)?; // when it was made
        let what = match tag {
            1 => {
                let len = bytes.u32()?;
                let sealed = bytes.take(len as usize)?.to_vec();
                let mut chain = Vec::new();
                for _ in 0..bytes.u32()? {
                    chain.push(bytes.certificate(version)?);
                }
                What::Sealed { sealed, chain }
            }
            2 => What::Trusted { certificate: bytes.certificate(version)?, marked: true },
            _ => return None,
        };
        entries.push(Entry { alias, what });
    }
    bytes.0.is_empty().then_some(entries)
}

/// What is left to read.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    fn u32(&mut self) -> Option<u32> {
        Some(u32::from_be_bytes(self.take(4)?.try_into().ok()?))
    }

    /// Java's text: two bytes of length, then something close to UTF-8.
    fn text(&mut self) -> Option<String> {
        let len = u16::from_be_bytes(self.take(2)?.try_into().ok()?);
        Some(String::from_utf8_lossy(self.take(usize::from(len))?).into_owned())
    }

    fn certificate(&mut self, version: u32) -> Option<CertificateDer<'static>> {
        if version == 2 && !matches!(self.text()?.as_str(), "X.509" | "X509") {
            return None;
        }
        let len = self.u32()?;
        Some(CertificateDer::from(self.take(len as usize)?.to_vec()))
    }
}
