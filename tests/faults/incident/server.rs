//! What befalls the one Redis server.

use std::fs;
use std::time::Duration;

use super::Ended;
use crate::nodes::until;
use crate::trial::Trial;

/// How long a store stays away: past the lease, so that the primary has to give up.
fn past_lease(trial: &Trial) -> Duration {
    trial.ttl + trial.ttl / 2
}

pub(super) fn empty(trial: &mut Trial) -> Result<(), Ended> {
    trial.work(200)?;
    trial.redis.kill();
    trial.work(100)?;
    trial.log.forget();
    trial.redis.restart();
    trial.work(200)?;
    Ok(())
}

pub(super) fn old_copy(trial: &mut Trial) -> Result<(), Ended> {
    trial.work(100)?;
    trial.redis.ask(&["SAVE"]);
    trial.work(300)?;
    let copy = trial.redis.folder().join("dump.rdb");
    let bytes = fs::read(&copy).map_err(|error| format!("no copy of the store: {error}"))?;
    trial.redis.kill();
    fs::write(&copy, bytes).map_err(|error| error.to_string())?;
    trial.log.forget();
    trial.redis.restart();
    let _ = fs::remove_file(&copy);
    trial.work(200)?;
    Ok(())
}

pub(super) fn stopped(trial: &mut Trial) -> Result<(), Ended> {
    trial.work(200)?;
    trial.redis.signal("STOP");
    std::thread::sleep(past_lease(trial));
    trial.redis.signal("CONT");
    trial.work(200)?;
    Ok(())
}

pub(super) fn full(trial: &mut Trial) -> Result<(), Ended> {
    trial.work(100)?;
    let primary = trial.nodes.primary()?;
    trial.redis.ask(&["CONFIG", "SET", "maxmemory", "1mb"]);
    let waits = || {
        let status = trial.nodes.get(primary).status()?;
        status["reason"].as_str().filter(|reason| reason.contains("full")).map(drop)
    };
    until("the primary says that the store is full", waits)?;
    std::thread::sleep(past_lease(trial));
    if !trial.nodes.get(primary).is_primary() {
        return Err(Ended::Failed("the primary of a full store lost its lease".into()));
    }
    trial.redis.ask(&["CONFIG", "SET", "maxmemory", "0"]);
    trial.work(200)?;
    Ok(())
}

pub(super) fn read_only(trial: &mut Trial) -> Result<(), Ended> {
    trial.work(100)?;
    // A replica of nobody: it keeps what it has and takes no writes.
    trial.redis.ask(&["REPLICAOF", "127.0.0.1", "1"]);
    std::thread::sleep(past_lease(trial));
    trial.redis.ask(&["REPLICAOF", "NO", "ONE"]);
    trial.work(200)?;
    Ok(())
}

pub(super) fn denied(trial: &mut Trial) -> Result<(), Ended> {
    trial.work(100)?;
    trial.redis.ask(&["ACL", "SETUSER", "default", "-@write", "-@scripting"]);
    std::thread::sleep(past_lease(trial));
    trial.redis.ask(&["ACL", "SETUSER", "default", "+@all"]);
    trial.work(200)?;
    Ok(())
}
