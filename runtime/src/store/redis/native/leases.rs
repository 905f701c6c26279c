//! Who may write: looking, the lease, and the raise that fences it.

use zonesync_core::election::{Lease, LeaseStamp, Report, Role};
use zonesync_core::history::RAISE_MAX;
use zonesync_core::id::{Epoch, InstanceId, Position, Term};
use zonesync_core::time::Duration;

use super::reply::{Parts, bad, written};
use super::{Inner, report, scripts, text};
use crate::store::redis::connection::Lane;
use crate::store::{
    Acquire, Acquired, Look, Raise, RaiseAnswer, Renew, Renewed, Seen, StoreError, Written,
};

impl Inner {
    pub(super) async fn look(&self, report: Option<Report>) -> Result<Look, StoreError> {
        let keys = &self.keys;
        let mut args = Vec::new();
        if let Some(report) = report {
            args = vec![text::id(report.instance.0).into_bytes(), report::encode(&report)];
            if report.role == Role::Observer {
                // Its user may have leave to write no other key, or none at all.
                match self.run(Lane::Lease, &scripts::REPORT, &[&keys.nodes], &args).await {
                    Ok(_) | Err(StoreError::Denied(_)) => args.clear(),
                    Err(error) => return Err(error),
                }
            }
        }
        let keys = [&keys.lease, &keys.term, &keys.head, &keys.nodes, &keys.wake];
        let answer =
            self.run(Lane::Lease, &scripts::LOOK, &keys.map(String::as_str), &args).await?;
        let mut parts = Parts::of(answer)?;
        let lease = read_lease(parts.parts("a lease")?)?;
        let term = read_term(&parts.text("a term")?)?;
        let head = match parts.text("a position")?.as_str() {
            "" => None,
            position => Some(text::read_position(position)?),
        };
        let seen = Seen {
            head: head.unwrap_or(Position::START),
            lease: lease.as_ref().map(|lease| lease.term).unwrap_or_default(),
        };
        self.watch.know(seen, &parts.text("a wake")?);
        let live = report::read_all(parts.parts("reports")?)?;
        Ok(Look { lease, term, head, live })
    }

    pub(super) async fn acquire(&self, request: Acquire) -> Result<Acquired, StoreError> {
        let keys = &self.keys;
        let stamp = request.still.map(|stamp| stamp.0.to_string()).unwrap_or_default();
        let args = [
            request.node.as_str().to_owned(),
            text::id(request.instance.0),
            text::id(request.id.0),
            request.known.0.to_string(),
            stamp,
            millis(request.ttl),
            RAISE_MAX.to_string(),
        ];
        let keys = [&*keys.lease, &keys.term, &keys.nodes, &keys.wake];
        let answer = self.run(Lane::Lease, &scripts::ACQUIRE, &keys, &args).await?;
        let mut parts = Parts::of(answer)?;
        let answer = parts.text("an answer")?;
        match answer.as_str() {
            "granted" => Ok(Acquired::Granted(text::read_term(&parts.text("a term")?)?)),
            "held" => Ok(Acquired::Held),
            "stale" => Ok(Acquired::Stale(Epoch(text::read_number(&parts.text("an epoch")?)?))),
            "far" => Err(StoreError::Denied(format!(
                "{} is too far above the stored e{}",
                request.known,
                parts.text("an epoch")?
            ))),
            _ => Err(bad("an answer of another script").into()),
        }
    }

    pub(super) async fn renew(&self, request: Renew) -> Result<Renewed, StoreError> {
        let keys = &self.keys;
        let args = [
            text::term(request.term).into_bytes(),
            text::position(request.acknowledged).into(),
            millis(request.ttl).into(),
            text::id(request.report.instance.0).into(),
            report::encode(&request.report),
        ];
        let keys = [&*keys.lease, &keys.term, &keys.head, &keys.nodes];
        let answer = self.run(Lane::Lease, &scripts::RENEW, &keys, &args).await?;
        let (written, mut parts) = written(answer)?;
        match written {
            Written::Fenced => Ok(Renewed::Fenced),
            Written::Behind => Ok(Renewed::Behind),
            Written::Ahead => Err(bad("an answer of another script").into()),
            Written::Done => {
                let (mut open, mut claims) = (parts.parts("claims")?, Vec::new());
                while !open.is_empty() {
                    claims.push(text::read_position(&open.text("a claim")?)?);
                }
                Ok(Renewed::Done { claims, live: report::read_all(parts.parts("reports")?)? })
            }
        }
    }

    pub(super) async fn release(&self, term: Term) -> Result<(), StoreError> {
        if self.replicas.are_missing() {
            // Who comes next may find another master.
            self.await_replicas().await;
        }
        let keys = [&*self.keys.lease, &self.keys.wake];
        self.run(Lane::Lease, &scripts::RELEASE, &keys, &[text::term(term)]).await?;
        Ok(())
    }

    pub(super) async fn raise(&self, request: Raise) -> Result<RaiseAnswer, StoreError> {
        let keys = [&*self.keys.term, &self.keys.head, &self.keys.wake];
        let args = [
            request.seen.0.to_string(),
            request.position.map(text::position).unwrap_or_default(),
            text::id(self.runtime.random()),
            RAISE_MAX.to_string(),
        ];
        let answer = self.run(Lane::Lease, &scripts::RAISE, &keys, &args).await?;
        let mut parts = Parts::of(answer)?;
        match parts.text("an answer")?.as_str() {
            "done" => Ok(RaiseAnswer::Done(Epoch(text::read_number(&parts.text("an epoch")?)?))),
            "far" => Ok(RaiseAnswer::TooFar),
            _ => Err(bad("an answer of another script").into()),
        }
    }
}

/// Reads node, instance, term, stamp and the milliseconds left.
fn read_lease(mut parts: Parts) -> Result<Option<Lease>, StoreError> {
    if parts.is_empty() {
        return Ok(None);
    }
    let node = parts.text("the node of a lease")?;
    let node = node.parse().map_err(|_| bad("the node of a lease"))?;
    let instance = InstanceId(text::read_id(&parts.text("the instance of a lease")?)?);
    let term = text::read_term(&parts.text("the term of a lease")?)?;
    let stamp = LeaseStamp(text::read_number(&parts.text("the stamp of a lease")?)?);
    let left = text::read_number(&parts.text("the rest of a lease")?)?;
    Ok(Some(Lease { node, instance, term, stamp, remaining: Duration::from_millis(left) }))
}

/// Reads the newest term given; nothing if none was.
pub(super) fn read_term(text: &str) -> Result<Term, StoreError> {
    if text.is_empty() { Ok(Term::default()) } else { Ok(text::read_term(text)?) }
}

/// Writes a TTL, which is at least a millisecond.
fn millis(ttl: Duration) -> String {
    ttl.as_millis().max(1).to_string()
}
