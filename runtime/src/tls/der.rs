//! As much of DER as keys need: one element after the other, and the same backwards.

/// A SEQUENCE.
pub(super) const SEQUENCE: u8 = 0x30;
/// An INTEGER.
pub(super) const INTEGER: u8 = 0x02;
/// An OCTET STRING.
pub(super) const OCTETS: u8 = 0x04;
/// A BIT STRING.
pub(super) const BITS: u8 = 0x03;
/// The first optional element of a key on a curve.
pub(super) const CONTEXT_0: u8 = 0xA0;
/// The second: its public half.
pub(super) const CONTEXT_1: u8 = 0xA1;

/// Reads elements.
pub(super) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Takes the content of the next element, if it has this tag.
    pub(super) fn take(&mut self, tag: u8) -> Option<&'a [u8]> {
        let (found, rest) = self.0.split_first()?;
        let (first, rest) = rest.split_first()?;
        let (len, rest) = match first {
            0..=0x7F => (usize::from(*first), rest),
            0x81..=0x83 => {
                let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7F))?;
                (bytes.iter().fold(0, |len, byte| len << 8 | usize::from(*byte)), rest)
            }
            _ => return None,
        };
        let (content, rest) = rest.split_at_checked(len)?;
        (*found == tag).then(|| {
            self.0 = rest;
            content
        })
    }
}

/// Writes an element of at most 16 MiB.
pub(super) fn element(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let len: usize = parts.iter().map(|part| part.len()).sum();
    assert!(len < 1 << 24, "keys and certificates are small");
    let [_, a, b, c] = (len as u32).to_be_bytes();
    let mut out = vec![tag];
    match len {
        0..=0x7F => out.push(c),
        0x80..=0xFF => out.extend([0x81, c]),
        0x100..=0xFFFF => out.extend([0x82, b, c]),
        _ => out.extend([0x83, a, b, c]),
    }
    parts.iter().for_each(|part| out.extend_from_slice(part));
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_written_can_be_read() {
        for len in [0, 1, 127, 128, 255, 256, 65_535, 65_536] {
            let content = vec![7; len];
            let bytes = element(OCTETS, &[&content, &[8]]);
            let mut reader = Reader::new(&bytes);
            assert_eq!(reader.take(INTEGER), None, "another tag leaves it there");
            assert_eq!(reader.take(OCTETS).unwrap().len(), len + 1);
            assert!(reader.0.is_empty());
        }
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes: Vec<u8>) {
            let mut reader = Reader::new(&bytes);
            while bytes.first().is_some_and(|tag| reader.take(*tag).is_some()) {}
        }
    }
}
