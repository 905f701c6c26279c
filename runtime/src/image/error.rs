//! Why an image cannot be used.

use std::fmt;
use std::io;

use zonesync_core::format::DecodeError;

/// Why an image cannot be used. The text does not name the file; whoever read it knows that.
#[derive(Debug)]
#[non_exhaustive]
pub enum ImageError {
    /// The file is no image.
    NotAnImage,
    /// It is of a format that this version does not know.
    NewerFormat(u16),
    /// It is an image of something else.
    Foreign {
        /// What differs.
        what: &'static str,
        /// What the image has.
        image: String,
        /// What this node has.
        own: String,
    },
    /// Bytes were lost or changed.
    Damaged {
        /// The offset of the part that does not fit.
        at: u64,
        /// What is wrong there.
        what: String,
    },
    /// What its entities sum up to is not what it says of itself.
    Digest,
    /// It could not be read.
    Disk(io::Error),
}

impl ImageError {
    pub(super) fn damaged(at: usize, what: impl Into<String>) -> Self {
        Self::Damaged { at: at as u64, what: what.into() }
    }

    pub(super) fn record(at: usize, error: DecodeError) -> Self {
        Self::damaged(at, error.to_string())
    }

    /// Says whether the file itself is at fault, rather than the way to it.
    pub(crate) fn is_of_file(&self) -> bool {
        !matches!(self, Self::Disk(_))
    }
}

impl fmt::Display for ImageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAnImage => f.write_str("this is no image"),
            Self::NewerFormat(format) => {
                write!(f, "format {format} is newer than {}, the newest known", super::FORMAT)
            }
            Self::Foreign { what, image, own } => {
                write!(f, "this is an image with another {what}: {image}, not {own}")
            }
            Self::Damaged { at, what } => write!(f, "damaged at byte {at}: {what}"),
            Self::Digest => f.write_str("the entities do not sum up to what the image says"),
            Self::Disk(error) => write!(f, "cannot be read: {error}"),
        }
    }
}

impl std::error::Error for ImageError {}
