//! Work that pays to be done on several threads at once, and needs nothing of an executor.
//!
//! Threads come and go with each call. Where the system gives none, the caller does it all.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::{panic, thread};

/// The most threads that one call uses: what is done here soon waits for memory.
const THREADS_MAX: usize = 4;

/// Does two things, beside each other if that is worth it.
pub(crate) fn both<A: Send, B>(
    beside: bool,
    one: impl FnOnce() -> A + Send,
    other: impl FnOnce() -> B,
) -> (A, B) {
    if !beside {
        return (one(), other());
    }
    let one = Mutex::new(Some(one));
    let take = || one.lock().unwrap_or_else(PoisonError::into_inner).take();
    thread::scope(|scope| {
        let running = named().spawn_scoped(scope, || take().map(|one| one()));
        let other = other();
        let done = match running {
            Ok(running) => running.join().unwrap_or_else(|panic| panic::resume_unwind(panic)),
            Err(_) => take().map(|one| one()),
        };
        (done.expect("it is taken once"), other)
    })
}

/// Does the same with each piece. Gives what came of them, in order.
pub(crate) fn map<T: Sync, R: Send>(pieces: &[T], each: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let threads = cores.min(THREADS_MAX).min(pieces.len());
    if threads < 2 {
        return pieces.iter().map(each).collect();
    }
    let next = AtomicUsize::new(0);
    let work = || {
        let mut done = Vec::new();
        while let at = next.fetch_add(1, Ordering::Relaxed)
            && let Some(piece) = pieces.get(at)
        {
            done.push((at, each(piece)));
        }
        done
    };
    let mut done = thread::scope(|scope| {
        let others = (1..threads).map_while(|_| named().spawn_scoped(scope, work).ok());
        let others: Vec<_> = others.collect();
        let mut done = work();
        for other in others {
            done.extend(other.join().unwrap_or_else(|panic| panic::resume_unwind(panic)));
        }
        done
    });
    done.sort_unstable_by_key(|(at, _)| *at);
    done.into_iter().map(|(_, done)| done).collect()
}

fn named() -> thread::Builder {
    thread::Builder::new().name("zonesync-bulk".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_come_back_in_order() {
        for count in [0, 1, 2, 3, 1_000] {
            let pieces: Vec<usize> = (0..count).collect();
            assert_eq!(
                map(&pieces, |piece| piece * 2),
                (0..count).map(|n| n * 2).collect::<Vec<_>>()
            );
        }
    }

    #[test]
    fn both_are_done_wherever_that_is() {
        for beside in [true, false] {
            assert_eq!(both(beside, || 1, || "two"), (1, "two"));
        }
    }

    #[test]
    fn a_panic_on_another_thread_is_one_here() {
        let panics = panic::catch_unwind(|| map(&[1, 2, 3, 4], |piece| assert_ne!(*piece, 3)));
        assert!(panics.is_err());
        assert!(panic::catch_unwind(|| both(true, || panic!("here"), || ())).is_err());
    }
}
