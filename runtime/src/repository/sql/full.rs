//! A read of everything.
//!
//! Parents come first, over one connection. Subscriptions and keys, the many, are read in ranges of
//! their ids by several connections that see the same moment.

use std::sync::Arc;

use async_channel::{Receiver, Sender};

use super::Sql;
use super::reader::{Reader, Which};
use crate::repository::mapping::Table;
use crate::repository::mapping::stream::{Piece, Stream};
use crate::repository::{Reading, RepositoryError};

/// Pages that wait to be mapped; with one in the hands of each reader they bound what is in memory.
const PAGES_MAX: usize = 2;

/// Where ids are cut: most are UUIDs, whose first letters are spread evenly. Others are as well read
/// in ranges of unlike sizes: whatever the order of a database, each id lies in one range.
const CUTS: [&str; 15] =
    ["1", "2", "3", "4", "5", "6", "7", "8", "9", "a", "b", "c", "d", "e", "f"];

/// What a reader sends.
enum Sent {
    Page(Piece),
    Done(Box<Reader>),
    Failed(RepositoryError),
}

impl Sql {
    /// Reads everything.
    pub(super) async fn read_full(
        &self,
        mut reader: Reader,
        moment: Option<String>,
        stream: &mut Stream,
    ) -> Result<Reading, RepositoryError> {
        let now = self.runtime.wall_now();
        let places = reader.places().await?;
        stream.begin(true, now, places)?;
        let environments = stream.environments()?;
        let groups = reader.groups().await?;
        stream.groups(groups.iter().map(|(id, environment)| (&**id, &**environment)));
        for table in [Table::Licenses, Table::AccessPoints] {
            stream.take(&reader.small(table, None).await?)?;
        }
        self.read_events(&mut reader, stream, &Which::all(), |_| {}).await?;
        reader.hold_metadata().await?;
        let mut readers = vec![reader];
        if let Some(moment) = moment {
            self.more_readers(&mut readers, moment).await;
        }
        for table in [Table::Subscriptions, Table::Keys] {
            readers = self.read_ranges(readers, stream, table, &environments).await?;
        }
        for reader in readers {
            self.end(reader).await;
        }
        Ok(stream.end())
    }

    /// Opens more connections that see the same moment. Where there are no more to be had, those
    /// there are will do.
    async fn more_readers(&self, readers: &mut Vec<Reader>, moment: String) {
        while readers.len() < self.options.readers {
            let opened = async {
                let mut session = self.dialect.connect().await?;
                session.begin(Some(moment.clone())).await?;
                Ok::<_, RepositoryError>(session)
            };
            match opened.await {
                Ok(session) => {
                    let first = &readers[0];
                    let (common, metadata) = (Arc::clone(&first.common), first.metadata.clone());
                    readers.push(Reader { session, common, metadata });
                }
                Err(error) => {
                    tracing::debug!(%error, readers = readers.len(), "no further reader");
                    return;
                }
            }
        }
    }

    async fn read_ranges(
        &self,
        readers: Vec<Reader>,
        stream: &mut Stream,
        table: Table,
        environments: &[String],
    ) -> Result<Vec<Reader>, RepositoryError> {
        let (give, ranges) = async_channel::unbounded();
        let cuts: &[&str] = if readers.len() > 1 { &CUTS } else { &[] };
        let starts = std::iter::once(None).chain(cuts.iter().map(|cut| Some(*cut)));
        let ends = cuts.iter().map(|cut| Some(*cut)).chain(std::iter::once(None));
        for (from, below) in starts.zip(ends) {
            let (from, below) = (from.map(str::to_owned), below.map(str::to_owned));
            let range = Which::Range { from, below, environments: environments.to_vec() };
            let _ = give.try_send(range);
        }
        give.close();
        let (send, pages) = async_channel::bounded(PAGES_MAX);
        let begun = readers.len();
        for reader in readers {
            let work = read_some(reader, table, ranges.clone(), send.clone());
            self.runtime.spawn(Box::pin(work));
        }
        drop(send);
        let mut back = Vec::with_capacity(begun);
        while let Ok(sent) = pages.recv().await {
            match sent {
                Sent::Page(piece) => stream.take(&piece)?,
                Sent::Done(reader) => back.push(*reader),
                Sent::Failed(error) => return Err(error),
            }
        }
        if back.len() < begun {
            let why = "a reader was dropped by its host".into();
            return Err(RepositoryError::Unavailable(why));
        }
        Ok(back)
    }
}

/// Reads ranges until none is left. Ends early when nobody listens any more.
async fn read_some(mut reader: Reader, table: Table, ranges: Receiver<Which>, pages: Sender<Sent>) {
    while let Ok(range) = ranges.recv().await {
        let mut after = None;
        loop {
            let page = match table {
                Table::Subscriptions => reader.subscriptions(&range, after.as_ref()).await,
                _ => reader.keys(&range, after.as_ref()).await,
            };
            let (sent, failed) = match page {
                Ok((piece, next)) => {
                    after = next;
                    (Sent::Page(piece), false)
                }
                Err(error) => (Sent::Failed(error), true),
            };
            if pages.send(sent).await.is_err() || failed {
                return;
            }
            if after.is_none() {
                break;
            }
        }
    }
    let _ = pages.send(Sent::Done(Box::new(reader))).await;
}
