//! The tag of a key within a scope: 96 bits that stand for both texts.
//!
//! To agree in the tag *is* to be equal, so a tag decides who gets in. What it promises is proved,
//! not hoped for: whatever two different (scope, key) somebody chose who does not know the random
//! key of the state, the chance that they agree is below 2^-90. The answers to guesses give nothing
//! of the key away as long as each is the true one, so that `q` guesses at `n` keys pass with a
//! chance below `q * n / 2^90`, however each was chosen after the answers to those before.
//!
//! - *Words.* Word by word, the one text is paired with the other; the shorter one ends in zeros.
//!   The last word of a text is its last eight bytes, though some came before; what is shorter than
//!   a word is filled up with zeros. Of texts as long as each other, no two give the same words.
//! - *Sum.* The products `(a + k) * (b + l)` of all pairs, added up in 128 bits: NH of UMAC (Black,
//!   Halevi, Krawczyk, Krovetz and Rogaway, 1999), where two sums agree with a chance of 2^-64 if
//!   the words differ. The lengths times a random number are added, which gives the same chance if
//!   the lengths differ.
//! - *Squeeze.* Both halves of the sum times random numbers, added up in 128 bits; the top half
//!   counts. This is strongly universal (Lemire and Kaser, "Strongly universal string hashing is
//!   fast", 2014): what comes out is spread evenly, and two sums that differ agree in `z` bits of
//!   it with a chance of 2^-z.
//!
//! All of it is done twice under independent keys, for the high and for the low part of the tag:
//! the chances 2^-63 and 2^-31 at most multiply. Plain multiplications do not wait for each
//! other, so a processor begins the next lookup while memory is still slow to answer this one;
//! SipHash kept it busy for as long as memory took. It remains for long texts, under its own key.

use std::hash::Hasher;

use siphasher::sip128::{Hasher128, SipHasher13};

/// The bytes of a word.
const WORD: usize = 8;

/// The most words of a text that is hashed without SipHash. A UUID has five.
const WORDS: usize = 16;

/// The bytes of a UUID.
const UUID: usize = 36;

/// The random numbers that a [`TagKey`] is made of.
const NUMBERS: usize = 2 * (2 * WORDS + 7) + 2;

/// What stands for the text of (scope, key).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tag {
    high: u64,
    low: u32,
}

impl Tag {
    /// Takes 96 bits of a hash.
    #[inline]
    fn new(high: u64, low: u64) -> Self {
        // Keys that count up give hashes in even steps, which may lie close together. This takes
        // the steps away, and maps no two hashes to one.
        let high = (high ^ high >> 32).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        Self { high, low: low as u32 }
    }

    /// Takes a tag as it is.
    #[cfg(test)]
    pub(super) fn of(high: u64, low: u32) -> Self {
        Self { high, low }
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
    pairs: [[u64; 2]; WORDS],
    lengths: u64,
    terms: [u128; 3],
}

impl TagKey {
    /// Draws a key.
    pub(super) fn random() -> Self {
        let mut bytes = [[0; 8]; NUMBERS];
        getrandom::fill(bytes.as_flattened_mut()).expect("the system gives random bytes");
        Self::new(bytes.map(u64::from_ne_bytes))
    }

    fn new(numbers: [u64; NUMBERS]) -> Self {
        let mut numbers = numbers.into_iter();
        let mut draw = || numbers.next().expect("as many numbers as a key takes");
        let mut half = || Half {
            pairs: [(); WORDS].map(|()| [draw(), draw()]),
            lengths: draw(),
            terms: [(); 3].map(|()| u128::from(draw()) << 64 | u128::from(draw())),
        };
        let (high, low) = (half(), half());
        Self { high, low, long: SipHasher13::new_with_keys(draw(), draw()) }
    }

    /// Gives the tag of a key within a scope.
    #[inline]
    pub(super) fn tag(&self, scope: &str, key: &str) -> Tag {
        let (scope, key) = (scope.as_bytes(), key.as_bytes());
        // With lengths known beforehand it is done without loops, for nearly all ids and keys.
        match (scope.as_array::<UUID>(), key.as_array::<UUID>()) {
            (Some(scope), Some(key)) => self.short_tag(scope, key),
            _ => self.any_tag(scope, key),
        }
    }

    #[inline(never)]
    fn any_tag(&self, scope: &[u8], key: &[u8]) -> Tag {
        match scope.len().max(key.len()) <= WORDS * WORD {
            true => self.short_tag(scope, key),
            false => self.long_tag(scope, key),
        }
    }

    #[inline(always)]
    fn short_tag(&self, scope: &[u8], key: &[u8]) -> Tag {
        let lengths = (scope.len() as u64) << 32 | key.len() as u64;
        let (mut high, mut low) = (self.high.begin(lengths), self.low.begin(lengths));
        let count = scope.len().max(key.len()).div_ceil(WORD);
        for (at, (high_key, low_key)) in self.high.pairs.iter().zip(&self.low.pairs).enumerate() {
            if at >= count {
                break;
            }
            let (a, b) = (word(scope, at), word(key, at));
            high = high
                .wrapping_add(product(a.wrapping_add(high_key[0]), b.wrapping_add(high_key[1])));
            low = low.wrapping_add(product(a.wrapping_add(low_key[0]), b.wrapping_add(low_key[1])));
        }
        Tag::new(self.high.squeeze(high), self.low.squeeze(low))
    }

    fn long_tag(&self, scope: &[u8], key: &[u8]) -> Tag {
        let mut hasher = self.long;
        hasher.write(&(scope.len() as u64).to_le_bytes());
        hasher.write(scope);
        hasher.write(key);
        let hash = hasher.finish128();
        Tag::new(hash.h1, hash.h2)
    }
}

impl Half {
    #[inline]
    fn begin(&self, lengths: u64) -> u128 {
        product(self.lengths, lengths)
    }

    #[inline]
    fn squeeze(&self, sum: u128) -> u64 {
        let [first, a, b] = self.terms;
        let (a, b) = (a.wrapping_mul(sum & u128::from(u64::MAX)), b.wrapping_mul(sum >> 64));
        (first.wrapping_add(a).wrapping_add(b) >> 64) as u64
    }
}

#[inline]
fn product(a: u64, b: u64) -> u128 {
    u128::from(a) * u128::from(b)
}

/// Gives word `at` of a text.
#[inline(always)]
fn word(text: &[u8], at: usize) -> u64 {
    let word = match text.get(at * WORD..) {
        None | Some([]) => return 0,
        Some(rest) => rest.first_chunk().or(text.last_chunk()).copied(),
    };
    u64::from_le_bytes(word.unwrap_or_else(|| {
        let mut word = [0; WORD];
        word[..text.len()].copy_from_slice(text);
        word
    }))
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    /// The same from the definition: the words of both texts, a sum of products, then another.
    fn slow_tag(numbers: &[u64], scope: &str, key: &str) -> Tag {
        let count = scope.len().max(key.len()).div_ceil(8);
        let words = |text: &str| -> Vec<u64> {
            let byte = |at: usize| text.as_bytes().get(at).map_or(0, |byte| u64::from(*byte));
            let start = |at: usize| (at * 8).min(text.len().saturating_sub(8));
            let word = |at: usize| (0..8).map(|n| byte(start(at) + n) << (8 * n)).sum();
            (0..count).map(|at| if at * 8 < text.len() { word(at) } else { 0 }).collect()
        };
        let words: Vec<_> = words(scope).into_iter().zip(words(key)).collect();
        let half = |numbers: &[u64]| {
            let mut sum = u128::from(numbers[2 * WORDS])
                * (scope.len() as u128 * (1 << 32) + key.len() as u128);
            for ((a, b), numbers) in words.iter().zip(numbers.chunks(2)) {
                let (a, b) = (a.wrapping_add(numbers[0]), b.wrapping_add(numbers[1]));
                sum = sum.wrapping_add(u128::from(a) * u128::from(b));
            }
            let terms = numbers[2 * WORDS + 1..].chunks(2);
            let terms = terms.map(|pair| u128::from(pair[0]) << 64 | u128::from(pair[1]));
            let inputs = [1, sum % (1 << 64), sum >> 64];
            let products = terms.zip(inputs).map(|(term, input)| term.wrapping_mul(input));
            (products.fold(0, u128::wrapping_add) >> 64) as u64
        };
        let (high, low) = numbers[..NUMBERS - 2].split_at(NUMBERS / 2 - 1);
        Tag::new(half(high), half(low))
    }

    proptest! {
        #[test]
        fn a_tag_is_what_its_definition_says(
            numbers in prop::collection::vec(any::<u64>(), NUMBERS),
            scope in "[ -~]{0,128}",
            key in "[ -~]{0,128}",
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
        for length in (0..70).chain(WORD * WORDS - 10..WORD * WORDS + 10) {
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
    fn keys_that_count_up_are_spread_evenly() {
        for seed in 1..400 {
            let numbers = std::array::from_fn(|n| {
                let n = (n as u64 + seed * 1_000).wrapping_mul(0x9e37_79b9_7f4a_7c15);
                (n ^ n >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9).rotate_left(32)
            });
            let secret = TagKey::new(numbers);
            let mut pages = [0; 64];
            for number in 0..1_000 {
                let tag = secret.tag("an-api", &format!("{number:03}"));
                pages[(tag.high() >> 58) as usize] += 1;
            }
            // 16 on average.
            assert!(pages.iter().all(|count| *count < 50), "{seed}: {pages:?}");
        }
    }
}
