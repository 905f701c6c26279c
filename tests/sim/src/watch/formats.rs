//! What nodes of several versions are handed, and who of them leads.
//!
//! Known are the formats that each node reads, and what the store showed it: the reports of others,
//! and heads. A node that has seen of another that it reads less writes nothing for it that it
//! cannot read; and one that has seen a head which it cannot read asks for no lease.

use std::collections::BTreeMap;

use zonesync_core::format::{FormatRange, Head};
use zonesync_core::id::Position;

use super::{Call, Executed, Outcome, Promise, Watch};
use crate::executor::{HostId, Time};

/// What is under way when a node hears of something goes on for a moment.
const GRACE: Time = 50_000_000;

/// What a node was shown, and when it first was.
#[derive(Clone, Copy, Debug)]
struct Heard {
    since: Time,
    format: u16,
}

/// What is known of each node.
#[derive(Debug, Default)]
pub struct Formats {
    reads: BTreeMap<HostId, FormatRange>,
    /// The least that the live reports spoke of which it was shown last.
    least: BTreeMap<HostId, Heard>,
    /// The format of the head that it was shown last, if it cannot read that.
    unreadable: BTreeMap<HostId, Heard>,
    /// The batch that it sent last: sent again, it stays as it was.
    sent: BTreeMap<HostId, Position>,
    /// The snapshot that it began last, and the newest format that its chunks may have: by what it
    /// knew as it began.
    chunks: BTreeMap<HostId, (Position, u16)>,
}

impl Formats {
    /// Takes in that a node starts.
    pub fn start(&mut self, host: HostId, reads: FormatRange) {
        self.reads.insert(host, reads);
    }

    /// Takes in what an answer shows, as it reaches its node. That of a read without a head shows
    /// a store that has none.
    pub fn answered(
        &mut self,
        (at, host): (Time, HostId),
        of_read: bool,
        least: Option<u16>,
        head: Option<u16>,
    ) {
        if let Some(format) = least {
            let known = self.least.get(&host).filter(|heard| heard.format == format);
            let since = known.map_or(at, |heard| heard.since);
            self.least.insert(host, Heard { since, format });
        }
        let reads = self.reads.get(&host).copied().unwrap_or_default();
        match head {
            Some(format) if !reads.reads(format) => {
                self.unreadable.entry(host).or_insert(Heard { since: at, format });
            }
            Some(_) => drop(self.unreadable.remove(&host)),
            None if of_read => drop(self.unreadable.remove(&host)),
            None => {}
        }
    }

    fn allowed(&self, at: Time, host: HostId) -> u16 {
        let heard = self.least.get(&host).filter(|heard| at >= heard.since + GRACE);
        heard.map_or(u16::MAX, |heard| heard.format)
    }
}

impl Watch {
    /// Checks what a node sends. One that stood still just now sends what it was about to send.
    pub(super) fn see_format(&mut self, at: Time, host: HostId, call: &Call, resumed: bool) {
        let allowed = if resumed { u16::MAX } else { self.formats.allowed(at, host) };
        match call {
            Call::Acquire { .. } => {
                let heard = self.formats.unreadable.get(&host).copied();
                let heard = heard.filter(|heard| !resumed && at >= heard.since + GRACE);
                self.check(at, Promise::Readable, heard.is_none(), || {
                    let format = heard.map_or(0, |heard| heard.format);
                    format!("node {host} stands, and cannot read format {format} of the head")
                });
            }
            Call::Publish { meta, bytes, .. } => {
                let again = self.formats.sent.insert(host, meta.position) == Some(meta.position);
                let format = format_of(bytes);
                self.check(at, Promise::Readable, again || format <= allowed, || {
                    format!("node {host} publishes in format {format} for one that reads {allowed}")
                });
            }
            // Begun again after a failure, it stays as it was.
            Call::Begin(_, position) => {
                let begun = self.formats.chunks.entry(host).or_insert((*position, allowed));
                if begun.0 != *position {
                    *begun = (*position, allowed);
                }
            }
            Call::Chunk { bytes, .. } => {
                let begun = self.formats.chunks.get(&host);
                let allowed = begun.map_or(u16::MAX, |(_, allowed)| *allowed);
                let format = format_of(bytes);
                self.check(at, Promise::Readable, format <= allowed, || {
                    format!("node {host} packs in format {format} for one that reads {allowed}")
                });
            }
            _ => {}
        }
    }

    /// Checks what a server took: the head speaks for what is behind it.
    pub(super) fn see_head_format(&mut self, done: &Executed<'_>) {
        let Executed { at, host, call, before, after, outcome: Outcome::Done, .. } = done else {
            return;
        };
        let Some(head) = after.1.as_deref() else { return };
        // A late copy of a batch that stands is answered as before, and puts nothing there.
        let moves = before.1.as_ref().is_none_or(|before| before.position() != head.position());
        if let Call::Publish { bytes, .. } = call
            && moves
        {
            let format = format_of(bytes);
            self.check(*at, Promise::Readable, format <= head.format, || {
                format!("node {host} puts an entry of format {format} behind {}", told(head))
            });
        }
    }
}

/// Gives the format of a record: the two bytes behind the first.
fn format_of(bytes: &[u8]) -> u16 {
    bytes.get(1..3).map_or(0, |two| u16::from_le_bytes([two[0], two[1]]))
}

fn told(head: &Head) -> String {
    format!("a head of format {} at {}", head.format, head.position())
}
