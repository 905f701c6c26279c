//! The reader and writer below all records.
//!
//! Numbers are of fixed width and little endian: records are compressed as a whole where that
//! counts, and fixed places are simple to check. A [`Reader`] only ever gives what it has; a length
//! is compared with what is left before anything else happens.

use core::fmt;

use crate::id::NUMBER_MAX;

/// Why bytes are no record. Offsets count from the start of the record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DecodeError {
    /// The first byte is not that of this record.
    Magic(&'static str),
    /// The record is of a newer format than its reader knows.
    NewerFormat(u16),
    /// The record is of an older format than its reader knows.
    OlderFormat(u16),
    /// The checksum does not match: bytes were lost or changed.
    Checksum,
    /// The bytes end inside a part.
    Short {
        /// The part.
        what: &'static str,
        /// Where it begins.
        at: usize,
    },
    /// A part holds more than any writer puts there.
    TooMuch {
        /// The part.
        what: &'static str,
        /// Where it begins.
        at: usize,
    },
    /// A part holds what no writer puts there.
    Value {
        /// The part.
        what: &'static str,
        /// Where it begins.
        at: usize,
    },
    /// A field that every record of this sort has is not there.
    Missing(&'static str),
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Magic(record) => write!(f, "not a {record}: wrong first byte"),
            Self::NewerFormat(format) => {
                write!(f, "format {format} is newer than this version reads")
            }
            Self::OlderFormat(format) => {
                write!(f, "format {format} is older than this version reads")
            }
            Self::Checksum => f.write_str("checksum does not match"),
            Self::Short { what, at } => write!(f, "bytes end inside {what} at {at}"),
            Self::TooMuch { what, at } => write!(f, "{what} at {at} is larger than allowed"),
            Self::Value { what, at } => write!(f, "{what} at {at} has a value that none can have"),
            Self::Missing(what) => write!(f, "{what} is missing"),
        }
    }
}

impl core::error::Error for DecodeError {}

/// Takes a record apart, front to back.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    left: &'a [u8],
    at: usize,
}

macro_rules! read_numbers {
    ($($name:ident: $number:ty),*) => {
        $(
            #[doc = concat!("Takes one `", stringify!($number), "`.")]
            pub fn $name(&mut self, what: &'static str) -> Result<$number, DecodeError> {
                self.array(what).map(<$number>::from_le_bytes)
            }
        )*
    };
}

impl<'a> Reader<'a> {
    /// Reads `bytes`, whose first one stands at offset `at` of the record.
    pub const fn new(bytes: &'a [u8], at: usize) -> Self {
        Self { left: bytes, at }
    }

    /// Says whether all was taken.
    pub const fn is_empty(&self) -> bool {
        self.left.is_empty()
    }

    /// Gives the offset of the next byte.
    pub const fn offset(&self) -> usize {
        self.at
    }

    /// Takes `len` bytes, or none if there are fewer.
    pub fn take(&mut self, len: usize, what: &'static str) -> Result<&'a [u8], DecodeError> {
        let short = DecodeError::Short { what, at: self.at };
        let (taken, left) = self.left.split_at_checked(len).ok_or(short)?;
        self.left = left;
        self.at += len;
        Ok(taken)
    }

    /// Takes a length of four bytes, then a part of that length as a reader of its own.
    pub fn part(&mut self, what: &'static str) -> Result<Self, DecodeError> {
        let len = self.u32(what)?;
        let at = self.at;
        // A length beyond `usize` is beyond what is left, too.
        let bytes = self.take(usize::try_from(len).unwrap_or(usize::MAX), what)?;
        Ok(Self { left: bytes, at })
    }

    /// Takes all that is left.
    pub fn rest(&mut self) -> Self {
        let rest = self.clone();
        self.at += self.left.len();
        self.left = &[];
        rest
    }

    read_numbers!(u8: u8, u16: u16, u32: u32, u64: u64, u128: u128, i64: i64);

    /// Takes an epoch, a sequence or a count: at most [`NUMBER_MAX`].
    pub fn number(&mut self, what: &'static str) -> Result<u64, DecodeError> {
        let at = self.at;
        let number = self.u64(what)?;
        if number <= NUMBER_MAX { Ok(number) } else { Err(DecodeError::Value { what, at }) }
    }

    fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], DecodeError> {
        let short = DecodeError::Short { what, at: self.at };
        let (taken, left) = self.left.split_first_chunk().ok_or(short)?;
        self.left = left;
        self.at += N;
        Ok(*taken)
    }
}

#[cfg(feature = "alloc")]
mod writer {
    use alloc::vec::Vec;

    /// Puts a record together, front to back.
    #[derive(Clone, Debug, Default)]
    pub struct Writer {
        bytes: Vec<u8>,
    }

    macro_rules! write_numbers {
        ($($name:ident: $number:ty),*) => {
            $(
                #[doc = concat!("Puts one `", stringify!($number), "`.")]
                pub fn $name(&mut self, number: $number) {
                    self.put(&number.to_le_bytes());
                }
            )*
        };
    }

    impl Writer {
        /// Starts without bytes.
        pub const fn new() -> Self {
            Self { bytes: Vec::new() }
        }

        /// Starts without bytes, but with room for `bytes` of them.
        pub fn with_capacity(bytes: usize) -> Self {
            Self { bytes: Vec::with_capacity(bytes) }
        }

        /// Gives what was put so far.
        pub fn bytes(&self) -> &[u8] {
            &self.bytes
        }

        /// Gives what was put.
        pub fn into_bytes(self) -> Vec<u8> {
            self.bytes
        }

        /// Puts bytes as they are.
        pub fn put(&mut self, bytes: &[u8]) {
            self.bytes.extend_from_slice(bytes);
        }

        write_numbers!(u8: u8, u16: u16, u32: u32, u64: u64, u128: u128, i64: i64);

        /// Puts what `fill` puts, with its length as four bytes before it.
        pub fn part(&mut self, fill: impl FnOnce(&mut Self)) {
            let start = self.bytes.len();
            self.u32(0);
            fill(self);
            let len = u32::try_from(self.bytes.len() - start - 4).expect("a part is below 4 GiB");
            self.bytes[start..start + 4].copy_from_slice(&len.to_le_bytes());
        }
    }
}

#[cfg(feature = "alloc")]
pub use writer::Writer;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_gives_what_a_writer_put() {
        let mut writer = Writer::new();
        writer.u16(7);
        writer.part(|w| w.put(b"part"));
        writer.i64(-1);
        let mut reader = Reader::new(writer.bytes(), 0);
        assert_eq!(reader.u16("number"), Ok(7));
        assert_eq!(reader.part("part").and_then(|mut p| p.take(4, "text")), Ok(&b"part"[..]));
        assert_eq!(reader.i64("number"), Ok(-1));
        assert!(reader.is_empty());
    }

    #[test]
    fn a_length_is_not_trusted() {
        let mut reader = Reader::new(&[0xff, 0xff, 0xff, 0xff, 1], 10);
        assert_eq!(reader.part("part").err(), Some(DecodeError::Short { what: "part", at: 14 }));
        assert_eq!(reader.take(1, "byte"), Ok(&[1][..]), "what is left stays");
        assert_eq!(reader.u8("byte"), Err(DecodeError::Short { what: "byte", at: 15 }));
    }

    #[test]
    fn numbers_stay_where_scripts_can_count() {
        let past = (NUMBER_MAX + 1).to_le_bytes();
        let value = DecodeError::Value { what: "epoch", at: 0 };
        assert_eq!(Reader::new(&past, 0).number("epoch"), Err(value));
    }
}
