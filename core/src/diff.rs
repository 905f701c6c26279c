//! The difference of two sorted states.
