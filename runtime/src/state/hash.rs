//! How texts are hashed for the indexes: seeded for each state.

use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;

use super::tag::{Tag, TagKey};
use foldhash::quality::RandomState;
use md5::{Digest, Md5};

/// The seed of all indexes of a state, and the key of its tags.
#[derive(Clone)]
pub(super) struct Seed(RandomState, Arc<TagKey>);

impl Seed {
    /// Draws a seed.
    pub(super) fn random() -> Self {
        Self(RandomState::default(), Arc::new(TagKey::random()))
    }

    /// Gives the tag of a key within a scope.
    #[inline]
    pub(super) fn tag(&self, scope: &str, key: &str) -> Tag {
        self.1.tag(scope, key)
    }

    /// Hashes a text within `scope`, a number of the caller's choice.
    #[inline]
    pub(super) fn hash(&self, scope: u32, text: &[u8]) -> u64 {
        let mut hasher = self.0.build_hasher();
        hasher.write_u32(scope);
        hasher.write(text);
        hasher.finish()
    }

    /// Hashes the id of a client within a scope.
    pub(super) fn client(&self, scope: u32, client: &[u8]) -> u64 {
        self.hash(scope, client)
    }

    /// Hashes a thumbprint within a scope, in another part of the same index as clients.
    pub(super) fn certificate(&self, scope: u32, thumbprint: &[u8]) -> u64 {
        self.hash(!scope, thumbprint)
    }

    /// Hashes several texts, each told from the next.
    pub(super) fn hash_all(&self, scope: u32, texts: &[&str]) -> u64 {
        let mut hasher = self.0.build_hasher();
        hasher.write_u32(scope);
        for text in texts {
            hasher.write_u32(text.len() as u32);
            hasher.write(text.as_bytes());
        }
        hasher.finish()
    }
}

/// Gives the MD5 of an API key, by which some plans ask for it.
pub(super) fn md5(key: &[u8]) -> [u8; 16] {
    Md5::digest(key).into()
}

/// Reads 32 lower-case hex digits.
pub(super) fn md5_from_hex(text: &str) -> Option<[u8; 16]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let text: &[u8; 32] = text.as_bytes().try_into().ok()?;
    let mut md5 = [0; 16];
    for (byte, pair) in md5.iter_mut().zip(text.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(md5)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_md5_is_read_as_lower_case_hex_only() {
        assert_eq!(md5_from_hex("5eb63bbbe01eeed093cb22bb8f5acdc3"), Some(md5(b"hello world")));
        for bad in ["5EB63BBBE01EEED093CB22BB8F5ACDC3", "", "5eb63bbbe01eeed093cb22bb8f5acdc3a"] {
            assert_eq!(md5_from_hex(bad), None, "{bad}");
        }
    }
}
