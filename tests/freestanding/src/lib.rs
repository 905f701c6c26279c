//! Goes through the rules on bare metal: no std, no allocator, no operating system.
//!
//! `tests/freestanding.rs` links this with a start routine and nothing else, and runs it.
#![no_std]

use core::panic::PanicInfo;

use zonesync_core::diff::{self, Difference};
use zonesync_core::digest::{Digest, DigestKey};
use zonesync_core::election::{Answer, Command, Config, Elector, Event};
use zonesync_core::entity::{Kind, Version};
use zonesync_core::format::{Batch, DecodeError};
use zonesync_core::history::{Claims, Standing, TermList, standing};
use zonesync_core::id::{EntityKey, Epoch, InstanceId, Position, Sequence, Term, TermId};
use zonesync_core::removal::{Evidence, GuardData, HeldSet, Verdict};
use zonesync_core::table::{Access, Credential, Table};
use zonesync_core::time::{Duration, Instant, WallTime};

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    loop {
        core::hint::spin_loop();
    }
}

/// Uses each rule once. Gives 0 if all came out as they should, else the number of the first that
/// did not. `now` keeps the compiler from working it all out beforehand.
#[unsafe(no_mangle)]
pub extern "C" fn zone_sync_rules(now: i64) -> u32 {
    let now = WallTime::from_millis(now);
    // One line per rule; further ones belong here.
    let rules: [fn(WallTime) -> bool; 7] = [
        digest_adds_up,
        history_covers,
        diff_finds,
        guard_holds,
        table_opens,
        format_reads,
        election_elects,
    ];
    let failed = rules.iter().position(|rule| !rule(now));
    failed.map_or(0, |index| index as u32 + 1)
}

fn digest_adds_up(now: WallTime) -> bool {
    let payload = now.as_millis().to_le_bytes();
    let version = DigestKey::default().version(EntityKey::new(Kind::API, "api"), &payload);
    let mut digest = Digest::EMPTY;
    digest.add(Kind::API, version);
    let counted = digest.count() == 1;
    digest.remove(Kind::API, version);
    counted && digest == Digest::EMPTY
}

fn history_covers(now: WallTime) -> bool {
    let at = |epoch, sequence| Position {
        term: Term { epoch: Epoch(epoch), id: TermId(now.as_millis() as u128) },
        sequence: Sequence(sequence),
    };
    let (mut list, mut claims) = (TermList::new(), Claims::new());
    list.advance(at(1, 5));
    list.advance(at(2, 9));
    claims.add(at(1, 6));
    standing(at(1, 5), &list, &claims) == Standing::Covered
        && standing(at(1, 6), &list, &claims) == Standing::Claimed
}

fn diff_finds(now: WallTime) -> bool {
    let item = |id, version| (EntityKey::new(Kind::API, id), Version(version));
    let changed = now.as_millis() as u128 + 2;
    let old = [item("a", 1), item("b", 1)];
    let new = [item("a", changed), item("c", 1)];
    let mut walk = diff::merge(old, new);
    matches!(walk.next(), Some(Ok(Difference::Changed(..))))
        && matches!(walk.next(), Some(Ok(Difference::Removed(_))))
        && matches!(walk.next(), Some(Ok(Difference::Added(_))))
        && walk.next().is_none()
}

fn guard_holds(now: WallTime) -> bool {
    let (guard, mut set) = (GuardData::new(), HeldSet::new());
    for id in ["a", "b", "c"] {
        if !set.add(EntityKey::new(Kind::API, id), Evidence::Absent) {
            return false;
        }
    }
    let judge = |token| guard.judge_set(now, Kind::API, 3, &set, token);
    judge(None) == Verdict::Hold && judge(Some(set.token())) == Verdict::Pass
}

fn table_opens(now: WallTime) -> bool {
    let mut table = Table::<4>::new([7; 16]);
    let credential = Credential::ApiKey("secret");
    let access = |credential, plan| Access { credential, plan, starts: None, ends: None };
    let key = EntityKey::api_key("api", "key", "subscription");
    let parent = EntityKey::subscription("api", "subscription");
    table.insert(key, &access(Some(credential), "")).is_ok()
        && table.insert(parent, &access(None, "plan")).is_ok()
        && table.lookup("api", credential, Some("plan"), now).is_some()
        && table.remove(parent)
        && table.lookup("api", credential, None, now).is_none()
}

fn format_reads(now: WallTime) -> bool {
    let garbage = [b'B', 1, 0, now.as_millis() as u8, 0, 0, 0, 0, 0, 0, 0, 0];
    matches!(Batch::decode(&garbage), Err(DecodeError::Checksum))
}

fn election_elects(now: WallTime) -> bool {
    let (seed, ttl) = (now.as_millis() as u64, Duration::from_secs(3));
    let config = Config { instance: InstanceId(1), ttl, candidate: true, seed };
    let begun = Instant::from_nanos(1);
    let mut elector = Elector::new(config, begun);
    elector.handle_timeout(begun);
    if elector.poll_command() != Some(Command::Look) {
        return false;
    }
    elector.handle_look(begun, None, Term::default(), &[], Position::START);
    let Some(due) = elector.poll_timeout() else { return false };
    elector.handle_timeout(due);
    let Some(Command::Acquire { id, .. }) = elector.poll_command() else { return false };
    let term = Term { epoch: Epoch(1), id };
    elector.handle_acquired(due, Answer::Granted(term));
    elector.poll_event() == Some(Event::Won(term))
        && elector.acting(due) == Some(term)
        && elector.acting(due + ttl).is_none()
}
