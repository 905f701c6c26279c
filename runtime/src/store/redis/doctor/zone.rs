//! Judges what a zone holds, and who is there.

use zonesync_core::election::Report;
use zonesync_core::format::{FormatRange, Head};
use zonesync_core::id::Position;

use super::Finding;
use crate::store::redis::RedisStore;
use crate::store::{Log, Look, StoreError, ZoneStore};

/// How many nodes are named one by one.
const NAMED_MAX: usize = 10;

/// Looks at the zone as a node would.
pub(super) async fn look(store: &RedisStore) -> Vec<Finding> {
    let name = store.name();
    let look = match store.look(None).await {
        Ok(look) => look,
        Err(error) => return vec![failed(&error)],
    };
    // At the head there is no entry to bring along.
    let mut findings = match store.read(look.head.unwrap_or(Position::START), 1).await {
        Ok(log) => head(name.as_str(), &look, &log),
        Err(error) => vec![failed(&error)],
    };
    findings.extend(nodes(&look));
    findings
}

fn failed(error: &StoreError) -> Finding {
    let finding = Finding::bad("zone", error.to_string());
    match error {
        StoreError::Format(_) => finding.advise("use a newer zonesync here"),
        StoreError::Corrupt(_) => {
            finding.advise("see that no other program writes to these keys, and that the zone's keys of \
                            encryption are those that wrote it")
        }
        _ => finding,
    }
}

/// Judges the head.
fn head(zone: &str, look: &Look, log: &Log) -> Vec<Finding> {
    let Some(head) = &log.head else {
        let finding = match look.live.is_empty() && look.lease.is_none() {
            true => Finding::note("zone", format!("`{zone}` is empty: no node has written to it"))
                .advise("if nodes run, see that they name the same zone and the same Redis"),
            false => Finding::doubtful("zone", format!("`{zone}` holds nothing yet"))
                .advise("see with `zonesync status` what the primary waits for"),
        };
        return vec![finding];
    };
    let at = head.position();
    let mut findings = vec![match &head.snapshot {
        Some(snapshot) => Finding::good(
            "zone",
            format!(
                "`{zone}` is complete at {at}: {} entities; snapshot at {} in {} chunks, log of {} KiB",
                head.digest.count(),
                snapshot.position,
                snapshot.chunks,
                log.bytes.div_ceil(1024),
            ),
        ),
        None => Finding::doubtful(
            "zone",
            format!("`{zone}` is at {at}, not complete: its first load goes on, or was cut off"),
        )
        .advise("no node is ready before it ends: see `zonesync status` of the primary"),
    }];
    findings.push(format(head, &look.live));
    findings.push(digests(head, &look.live));
    let open = head.claims.open().count();
    if open > 0 {
        let told = format!("{open} positions that the store lost are not settled yet");
        findings.push(
            Finding::doubtful("claims", told)
                .advise("the next full read of the repository settles them, if nothing is held back"),
        );
    }
    for (kind, held) in head.guard.held() {
        let told = format!("{} removals of {kind} are held back", held.count);
        let advice = format!("if they are meant: zonesync confirm-removal {}", held.token);
        findings.push(Finding::doubtful("removals", told).advise(advice));
    }
    findings
}

fn format(head: &Head, live: &[Report]) -> Finding {
    let format = head.format;
    let behind = named(live.iter().filter(|report| report.format < format));
    if behind.is_empty() {
        let FormatRange { oldest, newest } = FormatRange::KNOWN;
        let told = format!("{format}; this version reads {oldest} to {newest}");
        return Finding::good("format", told);
    }
    Finding::bad("format", format!("{format}, which is not read by {behind}"))
        .advise("give those nodes a newer version")
}

/// Judges whether nodes at the head hold what it announces.
fn digests(head: &Head, live: &[Report]) -> Finding {
    let (at, fingerprint) = (head.position(), head.digest.fingerprint());
    let there: Vec<_> = live.iter().filter(|report| report.position == at).collect();
    let apart = there.iter().copied().filter(|report| report.fingerprint != fingerprint);
    let apart = named(apart);
    if apart.is_empty() {
        let told = format!("{} of {} live nodes are at the head and agree", there.len(), live.len());
        return Finding::good("digests", told);
    }
    Finding::bad("digests", format!("not what the head announces is held by {apart}"))
        .advise("`zonesync verify` there shows the kinds; a restart without image loads anew")
}

/// Judges who leads and who is there.
fn nodes(look: &Look) -> Vec<Finding> {
    let live = &look.live;
    let leader = match &look.lease {
        Some(lease) => Finding::good("leader", format!("{} with {}", lease.node, lease.term.epoch)),
        None if live.iter().any(|report| report.can_stand) => {
            Finding::doubtful("leader", "none, though a node that may lead is there")
                .advise("look again after the TTL of a lease; then see the logs of the candidates")
        }
        None if live.is_empty() => Finding::note("leader", "none: no node is there"),
        None => Finding::doubtful("leader", "none, and no node that is there may lead")
            .advise("start a node that has a management repository"),
    };
    let nodes = match live.is_empty() {
        true => Finding::note("nodes", "none has reported within two TTLs"),
        false => Finding::good("nodes", format!("{} live: {}", live.len(), named(live))),
    };
    vec![leader, nodes]
}

fn named<'a>(reports: impl IntoIterator<Item = &'a Report>) -> String {
    let mut names: Vec<String> =
        reports.into_iter().map(|report| report.node.to_string()).collect();
    names.sort();
    let more = names.len().saturating_sub(NAMED_MAX);
    names.truncate(NAMED_MAX);
    if more > 0 {
        names.push(format!("{more} more"));
    }
    names.join(", ")
}
