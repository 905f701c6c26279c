//! Judges what a zone holds, and who is there.

use zonesync_core::election::Report;
use zonesync_core::format::{FormatRange, Head};
use zonesync_core::id::Position;

use super::{Finding, why};
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
    let finding = Finding::bad("zone", why(error));
    match error {
        StoreError::Corrupt(_) => finding.advise(
            "see that no other program writes to these keys, and that the zone's keys of \
                            encryption are those that wrote it",
        ),
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
                "`{zone}` is complete at {at}: {} entities, with a snapshot at {}",
                head.digest.count(),
                snapshot.position,
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
            Finding::doubtful("claims", told).advise(
                "the next full read of the repository settles them, if nothing is held back",
            ),
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
    if !FormatRange::KNOWN.reads(format) {
        return Finding::bad("format", format!("{format}, which this version does not read"))
            .advise("use a newer zonesync here");
    }
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
        let told =
            format!("{} of {} live nodes are at the head and agree", there.len(), live.len());
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

#[cfg(test)]
mod tests {
    use zonesync_core::digest::{Digest, Fingerprint};
    use zonesync_core::election::{Lease, LeaseStamp, Role};
    use zonesync_core::entity::{Kind, Version};
    use zonesync_core::format::{FORMAT, Filter, Snapshot, Source};
    use zonesync_core::history::{Claims, TermList};
    use zonesync_core::id::{Epoch, InstanceId, Sequence, Term, TermId};
    use zonesync_core::removal::{GuardData, Token};
    use zonesync_core::time::Duration;

    use super::*;
    use crate::store::redis::doctor::Level;

    fn at(sequence: u64) -> Position {
        let term = Term { epoch: Epoch(7), id: TermId(1) };
        Position { term, sequence: Sequence(sequence) }
    }

    fn sound() -> Head {
        let mut list = TermList::new();
        list.advance(at(42));
        let mut digest = Digest::EMPTY;
        digest.add(Kind::API, Version(5));
        Head {
            incarnation: 1,
            format: FORMAT,
            list,
            claims: Claims::new(),
            snapshot: Some(Snapshot { position: at(40), chunks: 1, bytes: 1, hash: 0 }),
            digest,
            source: Source::default(),
            filter: Filter::default(),
            guard: GuardData::new(),
        }
    }

    fn report(node: &str, head: &Head) -> Report {
        Report {
            node: node.parse().unwrap(),
            instance: InstanceId(1),
            role: Role::Secondary,
            position: head.position(),
            seen: Epoch(7),
            fingerprint: head.digest.fingerprint(),
            count: 1,
            can_stand: true,
            format: FORMAT,
            filter: Filter::default(),
            reading: None,
        }
    }

    fn lease() -> Lease {
        Lease {
            node: "edge-1".parse().unwrap(),
            instance: InstanceId(1),
            term: at(1).term,
            stamp: LeaseStamp(1),
            remaining: Duration::from_secs(1),
        }
    }

    /// Judges a head and the nodes at it, with `change` made to both.
    fn judged(change: impl Fn(&mut Head, &mut Vec<Report>)) -> Vec<(&'static str, Level, String)> {
        let mut it = sound();
        let mut live = vec![report("edge-1", &it), report("edge-2", &it)];
        change(&mut it, &mut live);
        let look = Look { live, lease: Some(lease()), ..Look::default() };
        let findings = head("z", &look, &Log { head: Some(it.into()), ..Log::default() });
        findings.into_iter().map(|found| (found.what, found.level, found.told)).collect()
    }

    fn told(findings: &[(&'static str, Level, String)], what: &str) -> (Level, String) {
        let mut of = findings.iter().filter(|(about, ..)| *about == what);
        let (_, level, told) = of.next().unwrap_or_else(|| panic!("{what}: {findings:?}"));
        (*level, told.clone())
    }

    #[test]
    fn a_sound_zone_is_good() {
        let findings = judged(|_, _| {});
        assert!(findings.iter().all(|(_, level, _)| *level == Level::Good), "{findings:?}");
        let text = "`z` is complete at e7-s42: 1 entities, with a snapshot at e7-s40";
        assert_eq!(told(&findings, "zone").1, text);
        assert_eq!(told(&findings, "digests").1, "2 of 2 live nodes are at the head and agree");
    }

    #[test]
    fn what_is_wrong_with_a_head_is_found() {
        let findings = judged(|head, _| head.snapshot = None);
        assert_eq!(told(&findings, "zone").0, Level::Doubtful);
        let findings = judged(|_, live| live[1].fingerprint = Fingerprint(9));
        let text = "not what the head announces is held by edge-2";
        assert_eq!(told(&findings, "digests"), (Level::Bad, text.to_owned()));
        // Elsewhere another digest is right.
        let findings = judged(|_, live| {
            live[1].fingerprint = Fingerprint(9);
            live[1].position = at(41);
        });
        let text = "1 of 2 live nodes are at the head and agree";
        assert_eq!(told(&findings, "digests"), (Level::Good, text.to_owned()));
        let findings = judged(|_, live| live[0].format = FORMAT - 1);
        let text = format!("{FORMAT}, which is not read by edge-1");
        assert_eq!(told(&findings, "format"), (Level::Bad, text));
        let findings = judged(|head, _| head.format = FORMAT + 1);
        assert_eq!(told(&findings, "format").0, Level::Bad);
        let findings = judged(|head, _| assert!(head.claims.add(at(50))));
        let text = "1 positions that the store lost are not settled yet";
        assert_eq!(told(&findings, "claims"), (Level::Doubtful, text.to_owned()));
        let findings = judged(|head, _| head.guard.hold(Kind::API, 3, Token(10)));
        let text = "3 removals of API are held back";
        assert_eq!(told(&findings, "removals"), (Level::Doubtful, text.to_owned()));
    }

    #[test]
    fn an_empty_zone_is_told_from_one_that_begins() {
        let level = |look: &Look| head("z", look, &Log::default())[0].level;
        assert_eq!(level(&Look::default()), Level::Note);
        assert_eq!(level(&Look { lease: Some(lease()), ..Look::default() }), Level::Doubtful);
    }

    #[test]
    fn a_zone_without_a_leader_is_doubtful_once_nodes_are_there() {
        let leader = |look: &Look| nodes(look)[0].clone();
        let (mut look, live) = (Look::default(), report("edge-1", &sound()));
        assert_eq!(leader(&look).level, Level::Note);
        look.live = vec![Report { can_stand: false, ..live.clone() }];
        assert_eq!(leader(&look).level, Level::Doubtful);
        assert!(leader(&look).advice.unwrap().contains("management repository"));
        look.live.push(live);
        assert_eq!(leader(&look).level, Level::Doubtful);
        assert!(leader(&look).advice.unwrap().contains("TTL"));
        look.lease = Some(lease());
        assert_eq!(leader(&look), Finding::good("leader", "edge-1 with e7"));
        assert_eq!(nodes(&look)[1].told, "2 live: edge-1, edge-1");
    }
}
