//! Which numbers of records are free; a writer's matter.

/// Hands out the lowest numbers it can without searching.
pub(super) struct Slots {
    free: Vec<u32>,
    end: u32,
}

impl Slots {
    /// Starts with all numbers free.
    pub(super) fn new() -> Self {
        Self { free: Vec::new(), end: 0 }
    }

    /// Starts with the numbers below `end` taken.
    pub(super) fn below(end: u32) -> Self {
        Self { free: Vec::new(), end }
    }

    /// Takes a free number.
    pub(super) fn take(&mut self) -> u32 {
        self.free.pop().unwrap_or_else(|| {
            self.end = self.end.checked_add(1).expect("fewer than 2^32 records");
            self.end - 1
        })
    }

    /// Gives a number back.
    pub(super) fn give(&mut self, number: u32) {
        self.free.push(number);
    }

    /// One more than the highest number ever taken.
    pub(super) fn end(&self) -> u32 {
        self.end
    }
}
