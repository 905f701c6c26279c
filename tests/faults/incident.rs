//! The faults that a zone must stand.

mod clock;
mod network;
mod primary;
mod server;

use crate::trial::Trial;

/// Why an incident did not come to its end.
#[derive(Debug)]
pub(crate) enum Ended {
    /// The machine lacks what it needs.
    Skipped(String),
    /// A promise is broken.
    Failed(String),
}

impl From<String> for Ended {
    fn from(why: String) -> Self {
        Self::Failed(why)
    }
}

/// One fault.
#[derive(Clone, Copy)]
pub(crate) struct Incident {
    /// What it is called: `FAULT=name`.
    pub(crate) name: &'static str,
    /// What happens.
    pub(crate) what: &'static str,
    /// How many nodes take part.
    pub(crate) nodes: usize,
    /// Arguments of the server.
    pub(crate) redis: &'static [&'static str],
    /// Does it, while rows change. The zone's rest is checked afterwards.
    pub(crate) run: fn(&mut Trial) -> Result<(), Ended>,
}

/// All of them.
pub(crate) const ALL: &[Incident] = &[
    Incident {
        name: "kill-publish",
        what: "kill -9 of the primary while it publishes",
        nodes: 3,
        redis: &[],
        run: primary::kill_publish,
    },
    Incident {
        name: "kill-snapshot",
        what: "kill -9 of the primary while it writes a snapshot",
        nodes: 3,
        redis: &[],
        run: primary::kill_snapshot,
    },
    Incident {
        name: "pause",
        what: "the primary is stopped past its lease and goes on",
        nodes: 3,
        redis: &[],
        run: primary::pause,
    },
    Incident {
        name: "stop",
        what: "the primary is asked to end",
        nodes: 3,
        redis: &[],
        run: primary::stop,
    },
    Incident {
        name: "redis-empty",
        what: "Redis is killed and comes back empty",
        nodes: 3,
        redis: &[],
        run: server::empty,
    },
    Incident {
        name: "redis-old",
        what: "Redis is killed and comes back from an old copy",
        nodes: 3,
        redis: &[],
        run: server::old_copy,
    },
    Incident {
        name: "redis-stopped",
        what: "Redis stands still past the lease and goes on",
        nodes: 3,
        redis: &[],
        run: server::stopped,
    },
    Incident {
        name: "full",
        what: "Redis has no room, then it has",
        nodes: 3,
        redis: &[],
        run: server::full,
    },
    Incident {
        name: "read-only",
        what: "Redis becomes a replica, then a master again",
        nodes: 3,
        redis: &[],
        run: server::read_only,
    },
    Incident {
        name: "denied",
        what: "the ACL user may no longer write, then it may",
        nodes: 3,
        redis: &[],
        run: server::denied,
    },
    Incident {
        name: "node-clock",
        what: "the primary's wall clock jumps five minutes ahead, then back",
        nodes: 3,
        redis: &[],
        run: clock::of_primary,
    },
    Incident {
        name: "redis-clock",
        what: "the wall clock of the Redis host jumps five minutes ahead, then back",
        nodes: 3,
        redis: &[],
        run: clock::of_redis,
    },
    Incident {
        name: "partition",
        what: "the primary's network is cut, then whole again",
        nodes: 3,
        redis: &["--protected-mode", "no"],
        run: network::partition,
    },
];
