//! The tag of a key within a scope: 96 bits that stand for both texts.
//!
//! To agree in the tag *is* to be equal, so a tag decides who gets in. What it promises is proved,
//! not hoped for: whatever two different (scope, key) somebody chose who does not know the random
//! key of the state, the chance that they agree is below 2^-90. The answers to guesses give nothing
//! of the key away as long as each is the true one, so that `q` guesses at `n` keys pass with a
//! chance below `q * n / 2^90`, however each was chosen after the answers to those before.
//!
//! - *Words.* Each text is read in pairs of 64-bit words. The last 16 bytes are read as they stand,
//!   though some came before; a text below 16 bytes is filled up with zeros. Of two texts of one
//!   length, no two give the same words.
//! - *Sum.* NH of UMAC (Black, Halevi, Krawczyk, Krovetz and Rogaway, 1999): the products
//!   `(a + k) * (b + l)` of all pairs, added up in 128 bits. Of equally long texts that differ, two
//!   sums agree with a chance of 2^-64.
//! - *Squeeze.* Sum and lengths times random numbers, added up in 128 bits; the top half counts.
//!   This is strongly universal (Lemire and Kaser, "Strongly universal string hashing is fast",
//!   2014): what comes out is spread evenly, and two inputs agree in `z` bits of it with a chance
//!   of 2^-z. The lengths tell apart what the sum alone would not.
//!
//! All of it is done twice under independent keys, for the high and for the low part of the tag:
//! the chances 3 * 2^-64 and 2^-31 at most multiply. Plain multiplications do not wait for each
//! other, so a processor begins the next lookup while memory is still slow to answer this one;
//! SipHash kept it busy for as long as memory took. It remains for long texts, under its own key.

use std::hash::Hasher;

use siphasher::sip128::{Hasher128, SipHasher13};

/// How many bytes are read at once: two words.
const PAIR: usize = 16;

/// The most pairs that two texts may take, to be hashed without SipHash. Two UUIDs take six.
const PAIRS: usize = 16;

/// The random numbers that a [`TagKey`] is made of.
const WORDS: usize = 2 * (2 * PAIRS + 2 * 4) + 2;

/// What stands for the text of (scope, key).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tag {
    high: u64,
    low: u32,
}

impl Tag {
    /// Takes 96 bits of a hash.
    #[inline]
    pub(super) fn new(high: u64, low: u64) -> Self {
        // Zero is for free slots.
        Self { high: high.max(1), low: low as u32 }
    }

    /// Gives the part that no two slots have in common.
    #[inline]
    pub(super) fn high(self) -> u64 {
        self.high
    }

    /// Gives the rest.
    #[inline]
    pub(super) fn low(self) -> u32 {
        self.low
    }
}

/// The secret that tags are made with.
pub(super) struct TagKey {
    high: Half,
    low: Half,
    long: SipHasher13,
}

/// The key of one half of a tag.
struct Half {
    pairs: [[u64; 2]; PAIRS],
    terms: [u128; 4],
}

impl TagKey {
    /// Draws a key.
    pub(super) fn random() -> Self {
        let mut bytes = [[0; 8]; WORDS];
        getrandom::fill(bytes.as_flattened_mut()).expect("the system gives random bytes");
        Self::new(bytes.map(u64::from_ne_bytes))
    }

    fn new(words: [u64; WORDS]) -> Self {
        let mut words = words.into_iter();
        let mut word = || words.next().expect("as many numbers as a key takes");
        let mut half = || Half {
            pairs: [(); PAIRS].map(|()| [word(), word()]),
            terms: [(); 4].map(|()| u128::from(word()) << 64 | u128::from(word())),
        };
        let (high, low) = (half(), half());
        Self { high, low, long: SipHasher13::new_with_keys(word(), word()) }
    }

    /// Gives the tag of a key within a scope.
    #[inline]
    pub(super) fn tag(&self, scope: &str, key: &str) -> Tag {
        if scope.len().div_ceil(PAIR) + key.len().div_ceil(PAIR) > PAIRS {
            return self.long_tag(scope, key);
        }
        let (mut high, mut low, mut at) = (0_u128, 0_u128, 0);
        let mut add = |pair: [u8; PAIR]| {
            high = high.wrapping_add(self.high.product(at, pair));
            low = low.wrapping_add(self.low.product(at, pair));
            at += 1;
        };
        for text in [scope.as_bytes(), key.as_bytes()] {
            let (pairs, rest) = text.as_chunks();
            pairs.iter().for_each(|pair| add(*pair));
            if !rest.is_empty() {
                add(text.last_chunk().copied().unwrap_or_else(|| filled_up(rest)));
            }
        }
        let lengths = (scope.len() as u64) << 32 | key.len() as u64;
        Tag::new(self.high.squeeze(high, lengths), self.low.squeeze(low, lengths))
    }

    #[cold]
    fn long_tag(&self, scope: &str, key: &str) -> Tag {
        let mut hasher = self.long;
        hasher.write(&(scope.len() as u64).to_le_bytes());
        hasher.write(scope.as_bytes());
        hasher.write(key.as_bytes());
        let hash = hasher.finish128();
        Tag::new(hash.h1, hash.h2)
    }
}

impl Half {
    // Inlined by force: a call for each pair costs more than what it does.
    #[inline(always)]
    fn product(&self, at: usize, pair: [u8; PAIR]) -> u128 {
        let pair = u128::from_le_bytes(pair);
        let [k, l] = self.pairs[at];
        u128::from(k.wrapping_add(pair as u64)) * u128::from(l.wrapping_add((pair >> 64) as u64))
    }

    #[inline(always)]
    fn squeeze(&self, sum: u128, lengths: u64) -> u64 {
        let [first, a, b, c] = self.terms;
        let times = |term: u128, word: u64| term.wrapping_mul(word.into());
        let (low, high) = (times(a, sum as u64), times(b, (sum >> 64) as u64));
        let all = first.wrapping_add(low).wrapping_add(high).wrapping_add(times(c, lengths));
        (all >> 64) as u64
    }
}

fn filled_up(rest: &[u8]) -> [u8; PAIR] {
    let mut pair = [0; PAIR];
    pair[..rest.len()].copy_from_slice(rest);
    pair
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    /// The same from the definition: words of both texts, then one sum of products, then another.
    fn slow_tag(numbers: &[u64], scope: &str, key: &str) -> Tag {
        let mut words = Vec::new();
        for text in [scope, key].map(str::as_bytes) {
            let mut at = 0;
            while at < text.len() {
                let from = if text.len() < 16 { 0 } else { at.min(text.len() - 16) };
                let byte = |at: usize| u64::from(*text.get(from + at).unwrap_or(&0));
                words.extend([0, 8].map(|w| (0..8).map(|n| byte(w + n) << (8 * n)).sum::<u64>()));
                at += 16;
            }
        }
        let half = |numbers: &[u64]| {
            let (pairs, terms) = numbers.split_at(2 * PAIRS);
            let plus: Vec<_> =
                words.iter().zip(pairs).map(|(w, k)| u128::from(w.wrapping_add(*k))).collect();
            let sum = plus.chunks(2).fold(0, |sum: u128, pair| sum.wrapping_add(pair[0] * pair[1]));
            let lengths = scope.len() as u128 * (1 << 32) + key.len() as u128;
            let inputs = [1, sum % (1 << 64), sum >> 64, lengths];
            let terms = terms.chunks(2).map(|pair| u128::from(pair[0]) << 64 | u128::from(pair[1]));
            let products = terms.zip(inputs).map(|(term, input)| term.wrapping_mul(input));
            (products.fold(0, u128::wrapping_add) >> 64) as u64
        };
        let (high, low) = numbers[..WORDS - 2].split_at(WORDS / 2 - 1);
        Tag::new(half(high), half(low))
    }

    proptest! {
        #[test]
        fn a_tag_is_what_its_definition_says(
            numbers in prop::collection::vec(any::<u64>(), WORDS),
            scope in "[ -~]{0,120}",
            key in "[ -~]{0,120}",
        ) {
            let made = TagKey::new(numbers[..].try_into().unwrap()).tag(&scope, &key);
            prop_assert_eq!(made, slow_tag(&numbers, &scope, &key));
        }
    }

    #[test]
    fn each_byte_and_each_length_counts() {
        let secret = TagKey::random();
        let mut seen = HashMap::new();
        let mut check = |scope: &str, key: &str| {
            let tag = secret.tag(scope, key);
            let texts = (scope.to_owned(), key.to_owned());
            let known = seen.entry((tag.high(), tag.low())).or_insert_with(|| texts.clone());
            assert_eq!(*known, texts);
        };
        for length in (0..70).chain(PAIR * PAIRS - 40..PAIR * PAIRS + 40) {
            let text = "\0".repeat(length);
            check(&text, "");
            check("", &text);
            for at in 0..length {
                check(&text[..at], &text[at..]);
                let changed = format!("{}x{}", &text[..at], &text[at + 1..]);
                check(&changed, "");
                check("", &changed);
            }
        }
    }

    #[test]
    fn both_parts_of_a_tag_are_spread_evenly() {
        let numbers = std::array::from_fn(|n| (n as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let secret =
            TagKey::new(numbers.map(|n| (n ^ n >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9)));
        let (mut high, mut low) = ([0; 64], [0; 32]);
        for number in 0..4_000 {
            let tag = secret.tag("an-api", &format!("key-{number:06}"));
            high.iter_mut().enumerate().for_each(|(bit, count)| *count += tag.high() >> bit & 1);
            low.iter_mut().enumerate().for_each(|(bit, count)| *count += tag.low() >> bit & 1);
        }
        assert!(high.iter().all(|count| (1_000..3_000).contains(count)), "{high:?}");
        assert!(low.iter().all(|count| (1_000..3_000).contains(count)), "{low:?}");
    }
}
