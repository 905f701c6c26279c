//! What befalls a master under sentinels.

use super::Ended;
use crate::nodes::until;
use crate::trial::Trial;

/// Waits until the other server is the master.
fn failed_over(trial: &Trial) -> Result<(), String> {
    let watched = trial.watched();
    until("the replica becomes the master", || watched.is_master(1).then_some(()))
}

pub(super) fn lost_tail(trial: &mut Trial) -> Result<(), Ended> {
    trial.work(200)?;
    // The replica keeps what it has and hears no more.
    trial.redis().ask(&["ACL", "SETUSER", "default", "-psync", "-sync"]);
    trial.redis().ask(&["CLIENT", "KILL", "TYPE", "replica"]);
    trial.work(200)?;
    trial.log.forget();
    trial.redis().kill();
    failed_over(trial)?;
    trial.log.forget();
    trial.work(200)?;
    Ok(())
}

pub(super) fn old_master(trial: &mut Trial) -> Result<(), Ended> {
    trial.work(200)?;
    trial.watched().servers[0].signal("STOP");
    let failed = failed_over(trial);
    trial.log.forget();
    let worked = failed.and_then(|()| trial.work(200));
    trial.watched().servers[0].signal("CONT");
    worked?;
    until("the old master follows", || (!trial.watched().is_master(0)).then_some(()))?;
    trial.work(200)?;
    Ok(())
}
