//! A script that the server runs as one step.

use std::sync::OnceLock;

use redis::Cmd;

use super::hello::Facts;

/// A script, known to servers by its hash.
pub(super) struct Hashed {
    source: String,
    hash: String,
}

/// A script that the server runs as one step.
pub(in super::super) struct Script {
    /// What errors call it.
    pub(in super::super) name: &'static str,
    /// The Lua text, without a `#!` line.
    pub(in super::super) source: &'static str,
    when_full: bool,
    bare: OnceLock<Hashed>,
    flagged: OnceLock<Hashed>,
}

impl Script {
    /// Names a script.
    pub(in super::super) const fn new(name: &'static str, source: &'static str) -> Self {
        Self { name, source, when_full: false, bare: OnceLock::new(), flagged: OnceLock::new() }
    }

    /// Lets it write in a server that is full, where the server knows how to: from Redis 7 on.
    pub(in super::super) const fn allow_oom(mut self) -> Self {
        self.when_full = true;
        self
    }

    /// Gives text and hash for such a server.
    pub(super) fn on(&self, facts: &Facts) -> &Hashed {
        if self.when_full && facts.knows_script_flags() {
            let flagged = || format!("#!lua flags=allow-oom\n{}", self.source);
            self.flagged.get_or_init(|| Hashed::new(flagged()))
        } else {
            self.bare.get_or_init(|| Hashed::new(self.source.to_owned()))
        }
    }
}

impl Hashed {
    fn new(source: String) -> Self {
        let hash = redis::Script::new(&source).get_hash().to_owned();
        Self { source, hash }
    }

    /// Makes the command that runs it by its hash.
    pub(super) fn by_hash(&self, keys: &[&str], args: &[&[u8]]) -> Cmd {
        command("EVALSHA", &self.hash, keys, args)
    }

    /// Makes the command that runs it by its text, which the server then keeps.
    pub(super) fn by_text(&self, keys: &[&str], args: &[&[u8]]) -> Cmd {
        command("EVAL", &self.source, keys, args)
    }
}

fn command(name: &str, script: &str, keys: &[&str], args: &[&[u8]]) -> Cmd {
    let bytes = keys.iter().map(|key| key.len()).sum::<usize>()
        + args.iter().map(|arg| arg.len()).sum::<usize>();
    let mut command = Cmd::with_capacity(3 + keys.len() + args.len(), bytes + script.len() + 16);
    command.arg(name).arg(script).arg(keys.len());
    for key in keys {
        command.arg(*key);
    }
    for arg in args {
        command.arg(*arg);
    }
    command
}
