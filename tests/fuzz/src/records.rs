//! Heads, batches and chunks, as a store or a disk gives them.

use zonesync_core::format::chunk::Chunk;
use zonesync_core::format::{Batch, Head};

use crate::seal::{self, again, at, sealed, unsealed};

/// Reads a record as it is and with the right checksum. What can be read can be written, and reads
/// as the same.
pub fn run(bytes: &[u8]) {
    for record in [bytes.to_vec(), sealed(bytes)] {
        if let Ok(head) = Head::decode(&record) {
            let written = head.encode();
            assert_eq!(Head::decode(&written).as_ref(), Ok(&head));
        }
        if let Ok(batch) = Batch::decode(&record) {
            assert_eq!(batch.changes().count(), batch.len());
            let written = again(&batch);
            let read = Batch::decode(&written).expect("it was just written");
            assert_eq!((read.meta(), read.list()), (batch.meta(), batch.list()));
        }
        if let Ok(chunk) = Chunk::decode(&record) {
            assert_eq!(chunk.entities().count(), chunk.len());
        }
    }
}

/// One of each sort, without its checksum.
pub fn seeds() -> Vec<Vec<u8>> {
    let position = at(3, 14);
    let records = [seal::head(position).encode(), seal::batch(position), seal::chunk(position)];
    records.iter().map(|record| unsealed(record).to_vec()).collect()
}
