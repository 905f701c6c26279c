//! (see format)
