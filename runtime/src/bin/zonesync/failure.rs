//! Why a command did not do what it was asked, and the exit code that says so to a script.

use std::io;
use std::process::ExitCode;

use crate::screen::{Screen, Style};

/// What `--help` says about exit codes.
pub(crate) const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  what was asked for is not there, the node is not ready, or a check found a difference or
     something bad
  2  the command line or the configuration is wrong
  3  no node answers at the socket, or Redis is not reached
  4  the node refused, or it or the command failed";

/// Why a command did not do what it was asked. Texts say what to do about it.
#[derive(Debug)]
pub(crate) enum Failure {
    /// What was asked for is not there, not ready, or not as it should be.
    NotThere(String),
    /// The command line or the configuration is wrong.
    Usage(String),
    /// No node answers, or no Redis.
    NoAnswer(String),
    /// The node refused, or something failed.
    Refused(String),
    /// Whoever reads our output has gone, which is no fault: `zonesync list API | head`.
    Unread,
}

impl Failure {
    /// Says why on standard error, and gives the exit code.
    pub(crate) fn report(self, screen: &Screen) -> ExitCode {
        let (code, text) = match self {
            Self::NotThere(text) => (1, text),
            Self::Usage(text) => (2, text),
            Self::NoAnswer(text) => (3, text),
            Self::Refused(text) => (4, text),
            Self::Unread => return ExitCode::SUCCESS,
        };
        if !text.is_empty() {
            eprintln!("{} {text}", screen.paint_error("zonesync:", Style::Bad));
        }
        ExitCode::from(code)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::Unread,
            _ => Self::Refused(error.to_string()),
        }
    }
}
