//! The steps at the lease, on a lane of their own: never behind bulk data.

use zonesync_core::election::{Answer, Command, Lease, Report};
use zonesync_core::id::{InstanceId, NodeId, Position, Term};
use zonesync_core::time::Duration;

use crate::runtime::Runtime;
use crate::store::{Acquire, Acquired, Renew, Renewed, StoreError, ZoneStore};

/// What came of a step at the lease.
#[derive(Debug)]
pub(super) enum LeaseOutcome {
    Looked { lease: Option<Lease>, newest: Term, live: Vec<Report> },
    Acquired(Answer),
    Renewed { answer: Answer, claims: Vec<Position>, live: Vec<Report> },
    Released,
    Failed(StoreError),
}

/// Who asks, and with what.
#[derive(Clone, Debug)]
pub(super) struct Asker {
    pub(super) node: NodeId,
    pub(super) instance: InstanceId,
    pub(super) ttl: Duration,
}

/// Carries out one step, within half a TTL.
pub(super) async fn run(
    command: Command,
    asker: &Asker,
    report: Report,
    acknowledged: Position,
    store: &dyn ZoneStore,
    runtime: &dyn Runtime,
) -> LeaseOutcome {
    let step = async {
        ask(command, asker, report, acknowledged, store).await.unwrap_or_else(LeaseOutcome::Failed)
    };
    let late = async {
        runtime.sleep(asker.ttl / 2).await;
        let why = "no answer within half a TTL".to_owned();
        LeaseOutcome::Failed(StoreError::Unavailable(why))
    };
    futures_lite::future::or(step, late).await
}

async fn ask(
    command: Command,
    asker: &Asker,
    report: Report,
    acknowledged: Position,
    store: &dyn ZoneStore,
) -> Result<LeaseOutcome, StoreError> {
    let Asker { node, instance, ttl } = asker.clone();
    Ok(match command {
        Command::Look => {
            let look = store.look(Some(report)).await?;
            LeaseOutcome::Looked { lease: look.lease, newest: look.term, live: look.live }
        }
        Command::Acquire { id, known, still } => {
            let request = Acquire { node, instance, id, known, still, ttl };
            LeaseOutcome::Acquired(match store.acquire(request).await? {
                Acquired::Granted(term) => Answer::Granted(term),
                Acquired::Held => Answer::Refused,
                Acquired::Stale(epoch) => Answer::Stale(epoch),
            })
        }
        Command::Renew(term) => {
            match store.renew(Renew { term, acknowledged, ttl, report }).await? {
                Renewed::Done { claims, live } => {
                    LeaseOutcome::Renewed { answer: Answer::Granted(term), claims, live }
                }
                Renewed::Fenced => refused(Answer::Refused),
                Renewed::Behind => refused(Answer::Behind),
            }
        }
        Command::Release(term) => {
            store.release(term).await?;
            LeaseOutcome::Released
        }
    })
}

fn refused(answer: Answer) -> LeaseOutcome {
    LeaseOutcome::Renewed { answer, claims: Vec::new(), live: Vec::new() }
}
