//! What befalls the primary.

use std::time::{Duration, Instant};

use zonesync_tests::servers::redis::Answer;

use super::Ended;
use crate::nodes::until;
use crate::trial::Trial;

/// Waits until another node leads, and says so if that took too long: a successor has to publish within
/// the lease and a second; a busy machine gets one more.
fn taken_over(trial: &Trial, from: usize, begun: Instant) -> Result<usize, String> {
    taken_over_within(trial, from, begun, trial.ttl + Duration::from_secs(2))
}

/// The same, with a bound of one's own.
pub(super) fn taken_over_within(
    trial: &Trial,
    from: usize,
    begun: Instant,
    bound: Duration,
) -> Result<usize, String> {
    let next = trial.nodes.primary_but(from)?;
    let took = begun.elapsed();
    println!("  another node leads after {:.2} s", took.as_secs_f64());
    if took > bound {
        return Err(format!("the take-over took {took:?}"));
    }
    Ok(next)
}

/// Has others step down until the node of a place leads.
pub(super) fn lead(trial: &Trial, place: usize) -> Result<(), String> {
    until("the wanted node leads", || {
        let primary = trial.nodes.primary().ok()?;
        if primary != place {
            trial.nodes.get(primary).step_down();
        }
        (primary == place).then_some(())
    })
}

/// Kills the primary, waits for a successor to work, and starts the node again.
fn kill(trial: &mut Trial) -> Result<(), Ended> {
    let primary = trial.nodes.primary()?;
    trial.nodes.kill(primary);
    taken_over(trial, primary, Instant::now())?;
    trial.work(100)?;
    trial.start_node(primary);
    Ok(())
}

pub(super) fn kill_publish(trial: &mut Trial) -> Result<(), Ended> {
    trial.work(200)?;
    kill(trial)
}

pub(super) fn kill_snapshot(trial: &mut Trial) -> Result<(), Ended> {
    trial.work(100)?;
    let mut client = trial.redis().client();
    // Chunks that no head names yet: the primary is in the middle of it.
    let mut begun = || match client.ask(&["HLEN", "zonesync:{faults}:snapshots"]) {
        Ok(Answer::Number(sets)) if sets > 1 => Some(()),
        _ => None,
    };
    until("a snapshot is under way", &mut begun)?;
    kill(trial)
}

pub(super) fn pause(trial: &mut Trial) -> Result<(), Ended> {
    trial.work(200)?;
    let primary = trial.nodes.primary()?;
    trial.nodes.get(primary).signal("STOP");
    let next = taken_over(trial, primary, Instant::now());
    if next.is_ok() {
        trial.work(100)?;
    }
    trial.nodes.get(primary).signal("CONT");
    next?;
    let follows = || (!trial.nodes.get(primary).is_primary()).then_some(());
    until("the paused primary steps down", follows)?;
    Ok(())
}

pub(super) fn stop(trial: &mut Trial) -> Result<(), Ended> {
    trial.work(200)?;
    let primary = trial.nodes.primary()?;
    let begun = Instant::now();
    trial.nodes.stop(primary);
    taken_over(trial, primary, begun)?;
    trial.work(100)?;
    trial.start_node(primary);
    Ok(())
}
