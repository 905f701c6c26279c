//! How texts are hashed for the indexes: seeded for each state.

use std::hash::{BuildHasher, Hasher};

use foldhash::quality::RandomState;
use md5::{Digest, Md5};

use super::access::Tag;

/// The seed of all indexes of a state, and the key of its tags.
#[derive(Clone)]
pub(super) struct Seed(RandomState, Sip);

impl Seed {
    /// Draws a seed.
    pub(super) fn random() -> Self {
        let mut key = [0; 16];
        getrandom::fill(&mut key).expect("the system gives random bytes");
        Self(RandomState::default(), Sip::new(key))
    }

    /// Gives the tag of a key within a scope.
    #[inline]
    pub(super) fn tag(&self, scope: &str, key: &str) -> Tag {
        let (high, low) = self.1.hash(scope.as_bytes(), key.as_bytes());
        Tag::new(high, low)
    }

    /// Hashes a text within `scope`, a number of the caller's choice.
    #[inline]
    pub(super) fn hash(&self, scope: u32, text: &[u8]) -> u64 {
        let mut hasher = self.0.build_hasher();
        hasher.write_u32(scope);
        hasher.write(text);
        hasher.finish()
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

/// SipHash-1-3 with 128 bits of output (Aumasson and Bernstein, 2012), of two texts.
///
/// What is hashed is made of whole words: both lengths, then each text. A text that does not fill
/// its last word ends with its last eight bytes once more, a short one with zeros. That spares the
/// steps for parts of words, which on two UUIDs were a good part of a lookup.
#[derive(Clone, Copy)]
struct Sip([u64; 4]);

impl Sip {
    fn new(key: [u8; 16]) -> Self {
        let key = u128::from_le_bytes(key);
        let (a, b) = (key as u64, (key >> 64) as u64);
        Self([
            a ^ 0x736f_6d65_7073_6575,
            b ^ 0x646f_7261_6e64_6f6d ^ 0xee,
            a ^ 0x6c79_6765_6e65_7261,
            b ^ 0x7465_6462_7974_6573,
        ])
    }

    #[inline]
    fn hash(mut self, first: &[u8], second: &[u8]) -> (u64, u64) {
        let lengths = first.len() as u64 | (second.len() as u64) << 32;
        self.word(lengths);
        let words = 1 + self.text(first) + self.text(second);
        // The standard ends with the count of bytes in the top byte.
        self.word((words as u64) << 59);
        self.0[2] ^= 0xee;
        let high = self.squeeze();
        self.0[1] ^= 0xdd;
        (high, self.squeeze())
    }

    /// Takes a text in. Gives the number of its words.
    #[inline]
    fn text(&mut self, text: &[u8]) -> usize {
        let (words, rest) = text.as_chunks();
        words.iter().for_each(|word| self.word(u64::from_le_bytes(*word)));
        if rest.is_empty() {
            return words.len();
        }
        let last = text.last_chunk().copied().unwrap_or_else(|| {
            let mut short = [0; 8];
            short[..rest.len()].copy_from_slice(rest);
            short
        });
        self.word(u64::from_le_bytes(last));
        words.len() + 1
    }

    #[inline]
    fn word(&mut self, word: u64) {
        self.0[3] ^= word;
        self.round();
        self.0[0] ^= word;
    }

    #[inline]
    fn squeeze(&mut self) -> u64 {
        (0..3).for_each(|_| self.round());
        let [a, b, c, d] = self.0;
        a ^ b ^ c ^ d
    }

    #[inline]
    fn round(&mut self) {
        let [mut a, mut b, mut c, mut d] = self.0;
        a = a.wrapping_add(b);
        c = c.wrapping_add(d);
        b = b.rotate_left(13) ^ a;
        d = d.rotate_left(16) ^ c;
        a = a.rotate_left(32).wrapping_add(d);
        c = c.wrapping_add(b);
        d = d.rotate_left(21) ^ a;
        b = b.rotate_left(17) ^ c;
        c = c.rotate_left(32);
        self.0 = [a, b, c, d];
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
    use siphasher::sip128::SipHasher13;

    use super::*;

    #[test]
    fn the_hash_is_that_of_the_standard() {
        let key = *b"0123456789abcdef";
        let texts = ["", "a", "1234567", "12345678", "a text of 36 bytes, as of an UUID, is"];
        let words = |text: &str| {
            let mut bytes = text.as_bytes().to_vec();
            match text.len() {
                length if length % 8 == 0 => {}
                length if length > 8 => {
                    bytes.truncate(length / 8 * 8);
                    bytes.extend_from_slice(&text.as_bytes()[length - 8..]);
                }
                _ => bytes.resize(8, 0),
            }
            bytes
        };
        for (first, second) in texts.iter().flat_map(|a| texts.map(|b| (*a, b))) {
            let mut bytes = (first.len() as u32).to_le_bytes().to_vec();
            bytes.extend((second.len() as u32).to_le_bytes());
            bytes.extend(words(first));
            bytes.extend(words(second));
            let hash = SipHasher13::new_with_key(&key).hash(&bytes);
            let ours = Sip::new(key).hash(first.as_bytes(), second.as_bytes());
            assert_eq!(ours, (hash.h1, hash.h2), "{first} {second}");
        }
    }

    #[test]
    fn an_md5_is_read_as_lower_case_hex_only() {
        assert_eq!(md5_from_hex("5eb63bbbe01eeed093cb22bb8f5acdc3"), Some(md5(b"hello world")));
        for bad in ["5EB63BBBE01EEED093CB22BB8F5ACDC3", "", "5eb63bbbe01eeed093cb22bb8f5acdc3a"] {
            assert_eq!(md5_from_hex(bad), None, "{bad}");
        }
    }
}
