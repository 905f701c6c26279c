//! Sorting by hash, for indexes that are made at once.

/// How many of what is sorted go into a bucket, on average.
const BUCKET: usize = 128;

/// The most buckets, as bits of a hash.
const BITS_MAX: u32 = 14;

/// Sorts by a hash, whose bits must be spread evenly for it to be fast: first into buckets by the
/// top bits, then each bucket, which is small enough for the processor's cache.
pub(super) fn sort_by_hash<T: Copy>(mut all: Vec<T>, hash: impl Fn(&T) -> u64) -> Vec<T> {
    let bits = (all.len() / BUCKET).checked_ilog2().unwrap_or(0).min(BITS_MAX);
    if bits == 0 {
        all.sort_unstable_by_key(hash);
        return all;
    }
    let bucket = |one: &T| (hash(one) >> (64 - bits)) as usize;
    let mut ends = vec![0; 1 << bits];
    all.iter().for_each(|one| ends[bucket(one)] += 1);
    let mut sum = 0;
    for end in &mut ends {
        // Where the bucket begins, until it is filled.
        sum += std::mem::replace(end, sum);
    }
    let mut sorted = all.clone();
    for one in all {
        let at = &mut ends[bucket(&one)];
        sorted[*at] = one;
        *at += 1;
    }
    let mut begin = 0;
    for end in ends {
        sorted[begin..end].sort_unstable_by_key(&hash);
        begin = end;
    }
    sorted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_sorted_however_they_are_spread() {
        for count in [0, 1, 100, 300, 5_000, 40_000] {
            for spread in [0, 1, 0x9e37_79b9_7f4a_7c15] {
                let all: Vec<_> = (0..count).map(|n: u64| n.wrapping_mul(spread)).collect();
                let sorted = sort_by_hash(all.clone(), |hash| *hash);
                let mut wanted = all;
                wanted.sort_unstable();
                assert_eq!(sorted, wanted);
            }
        }
    }
}
