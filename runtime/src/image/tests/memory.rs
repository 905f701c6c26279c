//! A disk in memory, which a test spoils.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

use async_channel::Receiver;

use super::super::disk::{Contents, Disk, Reply};

/// Clones are the same disk.
#[derive(Clone, Debug, Default)]
pub(super) struct Memory(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
pub(super) struct Inner {
    pub(super) stands: Option<Vec<u8>>,
    pub(super) under_way: Option<Vec<u8>>,
    pub(super) aside: Vec<Vec<u8>>,
    /// Every write fails.
    pub(super) down: bool,
    /// Nothing is set aside.
    pub(super) full_of_bad: bool,
    /// Each write waits for a message.
    pub(super) gate: Option<Receiver<()>>,
    pub(super) appends: usize,
    pub(super) commits: usize,
}

impl Memory {
    pub(super) fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap()
    }

    fn write(
        &self,
        work: impl FnOnce(&mut Inner) -> io::Result<()> + Send + 'static,
    ) -> Reply<'_, ()> {
        Box::pin(async move {
            let gate = self.inner().gate.clone();
            if let Some(gate) = gate {
                let _ = gate.recv().await;
            }
            let mut inner = self.inner();
            if inner.down { Err(io::Error::other("the disk is full")) } else { work(&mut inner) }
        })
    }
}

impl Disk for Memory {
    fn place(&self) -> String {
        "memory".into()
    }

    fn read(&self) -> Reply<'_, Option<Contents>> {
        let stands = self.inner().stands.clone();
        Box::pin(async { Ok(stands.map(|bytes| Arc::new(bytes) as Contents)) })
    }

    fn append(&self, at: u64, bytes: Vec<u8>) -> Reply<'_, ()> {
        self.write(move |inner| {
            inner.appends += 1;
            let stands = inner.stands.as_mut().expect("an image stands");
            assert!(stands.len() >= at as usize, "no hole");
            stands.truncate(at as usize);
            stands.extend(bytes);
            Ok(())
        })
    }

    fn begin(&self) -> Reply<'_, ()> {
        self.write(|inner| {
            inner.under_way = Some(Vec::new());
            Ok(())
        })
    }

    fn put(&self, bytes: Vec<u8>) -> Reply<'_, ()> {
        self.write(move |inner| {
            inner.under_way.as_mut().expect("one is under way").extend(bytes);
            Ok(())
        })
    }

    fn commit(&self) -> Reply<'_, ()> {
        self.write(|inner| {
            inner.commits += 1;
            inner.stands = Some(inner.under_way.take().expect("one is under way"));
            Ok(())
        })
    }

    fn set_aside(&self) -> Reply<'_, String> {
        let mut inner = self.inner();
        let aside = if inner.full_of_bad {
            Err(io::Error::other("no room for another bad one"))
        } else {
            let bad = inner.stands.take().expect("an image stands");
            inner.aside.push(bad);
            Ok("aside".to_owned())
        };
        Box::pin(async { aside })
    }
}
