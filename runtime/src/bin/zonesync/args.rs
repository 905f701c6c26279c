//! What can be written on the command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use zonesync::core::entity::Kind;
use zonesync::core::id::{NodeId, ZoneName};

use crate::failure::EXIT_CODES;

/// The heading of the options that every command takes.
const EVERYWHERE: &str = "Options of all commands";

/// What `run --help` ends with.
const RUN_EXAMPLES: &str = "\
Examples:
  zonesync run --directory demo
  zonesync run --config gravitee.yml --zone orders
  zonesync run --directory demo -D zonesync.store=memory -D zonesync.poll=200ms";

/// Zone sync for API gateways: one primary reads, all others follow.
#[derive(Debug, Parser)]
#[command(name = "zonesync", version, after_help = EXIT_CODES, max_term_width = 100)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What every command takes.
#[derive(Debug, Args)]
pub(crate) struct Common {
    /// The socket to ask a node at [default: the only one that answers in the usual folder]; for
    /// `run`, the socket to answer at
    #[arg(long, global = true, value_name = "PATH", help_heading = EVERYWHERE)]
    pub(crate) socket: Option<PathBuf>,
    /// Print one JSON document, or one a line where there are several
    #[arg(long, global = true, help_heading = EVERYWHERE)]
    pub(crate) json: bool,
    /// Use colour: auto (on a terminal, unless NO_COLOR is set), always, never
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto",
          hide_possible_values = true, help_heading = EVERYWHERE)]
    pub(crate) color: When,
}

/// When to use colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum When {
    /// On a terminal, unless NO_COLOR is set
    Auto,
    /// Whatever the output is
    Always,
    /// Not at all
    Never,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Start a node from a configuration and run it until SIGINT or SIGTERM
    #[command(after_help = RUN_EXAMPLES)]
    Run(Configured),
    /// Show what a configuration comes to and where each value comes from, secrets masked; exit 2
    /// with all its problems if it has any
    Config(Config),
    /// Examine the Redis of the zone that a configuration names: what is good, what is doubtful, and
    /// what to do; exit 1 if something is bad, 3 if Redis is not reached
    Doctor(Configured),
    /// Show a zone of three nodes at work, with timings
    Demo(Demo),
    /// Work out anew what a state sums up to and compare it with what was announced; exit 1 if
    /// they differ
    Verify(Verify),
    #[command(flatten)]
    Ask(Ask),
}

/// Where the configuration of a node comes from.
#[derive(Debug, Args)]
pub(crate) struct Configured {
    /// A gravitee.yml; may be given several times, later ones override earlier ones
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Vec<PathBuf>,
    /// Read API definitions from this folder instead of a management database
    #[arg(long, value_name = "DIR")]
    pub(crate) directory: Option<PathBuf>,
    /// The zone's name
    #[arg(long, value_name = "NAME")]
    pub(crate) zone: Option<ZoneName>,
    /// This node's name
    #[arg(long, value_name = "NAME")]
    pub(crate) node: Option<NodeId>,
    /// Set one key of the configuration, over files and environment; may be given several times
    #[arg(short = 'D', value_name = "KEY=VALUE", value_parser = property)]
    pub(crate) define: Vec<(String, String)>,
}

#[derive(Debug, Args)]
pub(crate) struct Config {
    #[command(flatten)]
    pub(crate) configured: Configured,
    /// Leave out what nobody set
    #[arg(long)]
    pub(crate) set: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// The definitions to show it with; they are copied and stay as they are
    /// [default: demo, here or in the source tree]
    #[arg(long, value_name = "DIR")]
    pub(crate) directory: Option<PathBuf>,
    /// Shorter leases and fewer lookups
    #[arg(long)]
    pub(crate) fast: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// The image in this folder or file, in place of a running node
    #[arg(long, value_name = "PATH", conflicts_with = "socket")]
    pub(crate) image: Option<PathBuf>,
}

/// The commands that ask a running node.
#[derive(Debug, Subcommand)]
pub(crate) enum Ask {
    /// Tell how the node is; exit 1 if it is not ready
    Status {
        /// Tell it again every second
        #[arg(long)]
        watch: bool,
        /// Tell of all live nodes of the zone, as they last reported to its store
        #[arg(long, conflicts_with = "watch")]
        zone: bool,
    },
    /// List entities of a kind
    List {
        /// The kind, such as API, SUBSCRIPTION or API_KEY
        kind: Kind,
        /// How many at most
        #[arg(long, default_value_t = 100, value_name = "N", conflicts_with = "all")]
        limit: usize,
        /// All of them
        #[arg(long)]
        all: bool,
        #[command(flatten)]
        show: Show,
    },
    /// Show the entities of a kind that have this id; exit 1 if there are none
    Get {
        /// The kind, such as API, SUBSCRIPTION or API_KEY
        kind: Kind,
        /// The id
        id: String,
        /// Only in this API or API product
        #[arg(long, value_name = "ID")]
        scope: Option<String>,
        /// Only the API key for this subscription
        #[arg(long, value_name = "ID")]
        subscription: Option<String>,
        #[command(flatten)]
        show: Show,
    },
    /// Find the subscription that a caller would use; exit 1 if there is none
    Lookup {
        /// The id of the API that is called
        api: String,
        #[command(flatten)]
        credential: Shown,
        /// Only on this plan
        #[arg(long, value_name = "ID")]
        plan: Option<String>,
        #[command(flatten)]
        show: Show,
    },
    /// Tell changes as they come
    Watch {
        /// Begin behind this position, as --json or an earlier watch printed it
        #[arg(long, value_name = "POSITION")]
        since: Option<String>,
        #[command(flatten)]
        show: Show,
    },
    /// Let removals pass that are held back; exit 1 if none has this token
    ConfirmRemoval {
        /// The token that `status` shows with them
        token: String,
    },
    /// Leave the zone to another primary for now; exit 1 if the node is not primary
    StepDown,
}

#[derive(Debug, Args)]
pub(crate) struct Show {
    /// Show payloads as they are, with the API keys in them
    #[arg(long)]
    pub(crate) payload: bool,
}

/// What a caller of an API shows. `-` reads it from standard input, out of sight of `ps`.
#[derive(Args)]
#[group(required = true, multiple = false)]
pub(crate) struct Shown {
    /// An API key; `-` reads it from standard input, where `ps` does not show it
    #[arg(long, value_name = "KEY")]
    pub(crate) key: Option<String>,
    /// The hex MD5 of an API key
    #[arg(long, value_name = "HEX")]
    pub(crate) md5: Option<String>,
    /// A client id
    #[arg(long, value_name = "ID")]
    pub(crate) client: Option<String>,
    /// A certificate's thumbprint: base64url without padding of the SHA-256 of its DER
    #[arg(long, value_name = "THUMBPRINT")]
    pub(crate) certificate: Option<String>,
}

impl std::fmt::Debug for Shown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Shown(..)")
    }
}

fn property(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.trim().is_empty() => Ok((key.trim().into(), value.into())),
        _ => Err("a property reads KEY=VALUE".into()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn a_property_may_hold_an_equals_sign() {
        assert_eq!(property("a.b=c=d"), Ok(("a.b".into(), "c=d".into())));
        assert_eq!(property("a="), Ok(("a".into(), String::new())));
        assert!(property("=b").is_err() && property("a").is_err());
    }
}
