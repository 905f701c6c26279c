//! Which removals may pass, and which wait for a person.

/// What the guard must not forget.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GuardData;
