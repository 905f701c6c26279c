//! Waits for the signals that ask a process to stop.
//!
//! They are blocked before any thread starts, which all threads inherit, and then taken one at a
//! time. So no handler runs, and there is no window in which one is lost.

use std::io;
use std::mem::MaybeUninit;

/// SIGINT and SIGTERM, held back until somebody waits for them.
pub(crate) struct Signals(libc::sigset_t);

impl Signals {
    /// Holds them back. Call it before the first thread is started.
    pub(crate) fn hold() -> io::Result<Self> {
        let mut set = MaybeUninit::uninit();
        // SAFETY: sigemptyset makes a set of the memory given, and the others then read and write
        // that set alone; the numbers are valid signals.
        let (set, error) = unsafe {
            libc::sigemptyset(set.as_mut_ptr());
            libc::sigaddset(set.as_mut_ptr(), libc::SIGINT);
            libc::sigaddset(set.as_mut_ptr(), libc::SIGTERM);
            let set = set.assume_init();
            (set, libc::pthread_sigmask(libc::SIG_BLOCK, &set, std::ptr::null_mut()))
        };
        if error == 0 { Ok(Self(set)) } else { Err(io::Error::from_raw_os_error(error)) }
    }

    /// Waits for one of them and gives its name.
    pub(crate) fn wait(&self) -> &'static str {
        let mut signal = 0;
        // SAFETY: the set is complete, and the number is written to a place of ours.
        while unsafe { libc::sigwait(&self.0, &mut signal) } != 0 {}
        if signal == libc::SIGINT { "SIGINT" } else { "SIGTERM" }
    }

    /// Lets the next one end the process at once: for somebody who does not want to wait.
    pub(crate) fn let_through(&self) {
        // SAFETY: the set is complete and only read.
        unsafe { libc::pthread_sigmask(libc::SIG_UNBLOCK, &self.0, std::ptr::null_mut()) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_that_came_before_the_wait_is_not_lost() {
        let signals = Signals::hold().unwrap();
        for (number, name) in [(libc::SIGTERM, "SIGTERM"), (libc::SIGINT, "SIGINT")] {
            // SAFETY: raise signals this thread alone, which has just blocked both signals.
            assert_eq!(unsafe { libc::raise(number) }, 0);
            assert_eq!(signals.wait(), name);
        }
    }
}
