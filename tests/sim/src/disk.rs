//! A node's disk: it keeps what was answered, tears what was not, and may fail.

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

use zonesync::image::{Contents, Disk, Reply};

use crate::executor::{Executor, Time};
use crate::random::Random;

/// How long the disk takes at most.
const SLOW: Time = 8_000_000;

/// One disk. Clones are handles to the same one.
#[derive(Clone)]
pub struct SimDisk(Arc<Mutex<Inner>>);

struct Inner {
    executor: Executor,
    random: Random,
    stands: Option<Vec<u8>>,
    /// Up to here, what stands is safe from a crash.
    safe: usize,
    under_way: Vec<u8>,
    /// What is under way is being made to stand.
    committing: bool,
    fails: bool,
    aside: u64,
}

impl SimDisk {
    /// Makes an empty disk.
    pub fn new(executor: Executor, random: Random) -> Self {
        Self(Arc::new(Mutex::new(Inner {
            executor,
            random,
            stands: None,
            safe: 0,
            under_way: Vec::new(),
            committing: false,
            fails: false,
            aside: 0,
        })))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().expect("one thread")
    }

    /// The machine dies: what was not answered is there in any part, or not.
    pub fn crash(&self) {
        let mut inner = self.lock();
        if inner.committing && inner.random.percent(50) {
            inner.stands = Some(std::mem::take(&mut inner.under_way));
            inner.safe = inner.stands.as_ref().map_or(0, Vec::len);
        }
        inner.committing = false;
        inner.under_way.clear();
        let length = inner.stands.as_ref().map_or(0, Vec::len);
        if length > inner.safe {
            let at_risk = (length - inner.safe) as u64;
            let torn = inner.safe + inner.random.below(at_risk + 1) as usize;
            if let Some(stands) = &mut inner.stands {
                stands.truncate(torn);
            }
        }
        inner.safe = inner.stands.as_ref().map_or(0, Vec::len);
    }

    /// Another, empty disk takes its place.
    pub fn lose(&self) {
        let mut inner = self.lock();
        (inner.stands, inner.safe) = (None, 0);
        inner.under_way.clear();
    }

    /// Has each call fail from now on, or no more.
    pub fn fail(&self, fails: bool) {
        self.lock().fails = fails;
    }

    async fn take_time(&self) -> io::Result<()> {
        let (executor, time, fails) = {
            let mut inner = self.lock();
            (inner.executor.clone(), inner.random.below(SLOW), inner.fails)
        };
        executor.sleep(time).await;
        if fails { Err(io::Error::other("the disk fails")) } else { Ok(()) }
    }
}

impl Disk for SimDisk {
    fn place(&self) -> String {
        "the simulated disk".into()
    }

    fn read(&self) -> Reply<'_, Option<Contents>> {
        Box::pin(async move {
            self.take_time().await?;
            Ok(self.lock().stands.clone().map(|bytes| Arc::new(bytes) as Contents))
        })
    }

    fn append(&self, at: u64, bytes: Vec<u8>) -> Reply<'_, ()> {
        Box::pin(async move {
            {
                let mut inner = self.lock();
                if inner.fails {
                    return Err(io::Error::other("the disk fails"));
                }
                let at = usize::try_from(at).map_err(io::Error::other)?;
                inner.safe = inner.safe.min(at);
                let stands = inner.stands.get_or_insert_default();
                stands.truncate(at);
                stands.extend(bytes);
            }
            self.take_time().await?;
            let mut inner = self.lock();
            inner.safe = inner.stands.as_ref().map_or(0, Vec::len);
            Ok(())
        })
    }

    fn begin(&self) -> Reply<'_, ()> {
        Box::pin(async move {
            self.take_time().await?;
            self.lock().under_way.clear();
            Ok(())
        })
    }

    fn put(&self, bytes: Vec<u8>) -> Reply<'_, ()> {
        Box::pin(async move {
            self.take_time().await?;
            self.lock().under_way.extend(bytes);
            Ok(())
        })
    }

    fn commit(&self) -> Reply<'_, ()> {
        Box::pin(async move {
            self.lock().committing = true;
            let taken = self.take_time().await;
            let mut inner = self.lock();
            inner.committing = false;
            taken?;
            inner.stands = Some(std::mem::take(&mut inner.under_way));
            inner.safe = inner.stands.as_ref().map_or(0, Vec::len);
            Ok(())
        })
    }

    fn set_aside(&self) -> Reply<'_, String> {
        Box::pin(async move {
            self.take_time().await?;
            let mut inner = self.lock();
            inner.stands = None;
            inner.safe = 0;
            inner.aside += 1;
            Ok(format!("aside {}", inner.aside))
        })
    }
}

impl fmt::Debug for SimDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SimDisk")
    }
}
