//! The keeper and its task, from batches to bytes.

use std::sync::Arc;

use futures_lite::future::{block_on, poll_once};
use zonesync_core::time::{Duration, Instant};

use super::super::{Keeper, Kept, decode};
use super::memory::Memory;
use super::*;
use crate::driver::Board;
use crate::runtime::{Runtime, Sleep, Task};
use crate::state::{State, Writer};

/// A host whose tasks run only when a test says so, and whose clock stands still.
#[derive(Debug)]
struct Host {
    executor: async_executor::Executor<'static>,
    wall: std::sync::atomic::AtomicI64,
}

impl Host {
    fn new() -> Arc<Self> {
        Arc::new(Self { executor: async_executor::Executor::new(), wall: 5000.into() })
    }

    fn run(&self) {
        while self.executor.try_tick() {}
    }
}

impl Runtime for Host {
    fn spawn(&self, task: Task) {
        self.executor.spawn(task).detach();
    }

    fn now(&self) -> Instant {
        Instant::default()
    }

    fn wall_now(&self) -> WallTime {
        WallTime::from_millis(self.wall.load(std::sync::atomic::Ordering::Relaxed))
    }

    fn sleep(&self, time: Duration) -> Sleep {
        // Short rests are over at once, long ones never.
        match time < Duration::from_secs(30) {
            true => Box::pin(futures_lite::future::yield_now()),
            false => Box::pin(std::future::pending()),
        }
    }
}

/// A node's state and its image, without the node.
struct Desk {
    host: Arc<Host>,
    disk: Memory,
    board: Arc<Board>,
    keeper: Keeper,
    state: State,
    writer: Writer,
    head: Head,
    kept: Vec<Kept>,
}

impl Desk {
    fn open(disk: &Memory) -> Self {
        let (host, board) = (Host::new(), Arc::new(Board::new()));
        let (state, mut writer) = State::with_feed(own().digest_key, 0);
        let mut keeper = Keeper::new(Arc::new(disk.clone()), own(), host.clone(), board.clone());
        let loaded = block_on(keeper.load(&mut writer));
        let head = loaded.map_or_else(head, |loaded| loaded.head);
        let disk = disk.clone();
        Self { host, disk, board, keeper, state, writer, head, kept: Vec::new() }
    }

    /// Deploys an API, as a batch of the log would.
    fn deploy(&mut self, id: &str, payload: &str) {
        self.deploy_in(1, id, payload);
    }

    fn deploy_in(&mut self, format: u16, id: &str, payload: &str) {
        let view = self.state.view();
        let version = |payload: &[u8]| own().digest_key.version(key(id), payload);
        let (previous, before) = (self.head.position(), view.digest().fingerprint());
        let change = Change {
            key: key(id),
            action: Action::Deploy { payload: payload.as_bytes() },
            replaces: view.get(key(id)).map(version),
            version: Some(version(payload.as_bytes())),
        };
        let position = at(self.head.position().sequence.0 + 1);
        self.writer.apply(position, &mut [change].into_iter());
        self.head.list.advance(position);
        self.head.digest = self.state.view().digest().clone();
        let after = self.head.digest.fingerprint();
        let mut batch = BatchWriter::in_format(format);
        let _ = batch.push(&change).unwrap();
        let meta = BatchMeta { position, previous, before, after };
        self.kept.push(Kept::Batch(meta, batch.finish(meta, None).into()));
    }

    fn keep(&mut self) {
        self.keeper.keep(&self.writer, &mut self.kept, Box::new(self.head.clone()), true);
    }

    /// Lets the whole state come into the image.
    fn begin(&mut self) {
        self.writer.move_to(self.head.position());
        self.kept.push(Kept::Anew);
        self.keep();
        self.host.run();
    }

    fn deploy_and_keep(&mut self, id: &str) {
        self.deploy(id, "p");
        self.keep();
    }

    /// What the disk holds: position and ids.
    fn stands(&self) -> (Position, String) {
        let bytes = self.disk.inner().stands.clone().expect("an image stands");
        let image = decode(&bytes, Some(&own())).unwrap();
        let (_, writer) = super::super::load::build(&image, own().digest_key).unwrap();
        let view = writer.view();
        (view.position(), view.sorted().map(|(key, _)| key.id).collect())
    }

    fn error(&self) -> Option<String> {
        self.board.facts().image.as_ref().unwrap().error.clone()
    }
}

#[test]
fn batches_reach_the_disk_in_order_and_a_new_start_finds_them() {
    let disk = Memory::default();
    let mut desk = Desk::open(&disk);
    desk.deploy("a", "p");
    desk.begin();
    assert_eq!(desk.stands(), (at(2), "a".into()));
    desk.deploy_and_keep("b");
    desk.deploy_and_keep("c");
    assert_eq!(desk.stands(), (at(2), "a".into()), "the driver waits for no disk");
    desk.host.run();
    assert_eq!(desk.stands(), (at(4), "abc".into()));
    assert_eq!(disk.inner().appends, 1, "what waits goes as one frame");
    assert_eq!(desk.board.facts().image.as_ref().unwrap().position, Some(at(4)));
    drop(desk);
    let mut desk = Desk::open(&disk);
    assert_eq!((desk.head.position(), desk.state.position()), (at(4), at(4)));
    desk.deploy_and_keep("d");
    desk.host.run();
    assert_eq!(desk.stands(), (at(5), "abcd".into()));
    assert_eq!(disk.inner().commits, 1, "it goes on with what stands");
}

/// A batch of a newer format is kept in the oldest.
#[test]
fn a_node_of_the_version_before_finds_what_this_one_kept() {
    let disk = Memory::default();
    let mut desk = Desk::open(&disk);
    desk.begin();
    desk.deploy_in(2, "a", "p");
    desk.keep();
    desk.host.run();
    let bytes = disk.inner().stands.clone().expect("an image stands");
    let before = Identity { formats: FormatRange::up_to(1), ..own() };
    let image = decode(&bytes, Some(&before)).unwrap();
    assert_eq!(image.journal_len(), 1);
    assert_eq!(desk.stands(), (at(2), "a".into()));
}

/// One that a node cannot read is refused, and says why.
#[test]
fn an_image_of_a_newer_format_is_refused() {
    let maker = Maker::whole(&own());
    let later = Identity { formats: FormatRange { oldest: 2, newest: 2 }, ..own() };
    let error = decode(&maker.bytes, Some(&later)).unwrap_err();
    assert!(error.to_string().contains("format 1 is older than this version reads"), "{error}");
    assert!(error.is_of_file());
}

#[test]
fn what_moves_without_a_batch_is_told_too() {
    let disk = Memory::default();
    let mut desk = Desk::open(&disk);
    desk.begin();
    desk.head.list.advance(at(9));
    desk.head.source.advance(Kind::API, WallTime::from_millis(44));
    desk.writer.move_to(at(9));
    desk.keep();
    desk.keep();
    desk.host.run();
    drop(desk);
    let desk = Desk::open(&disk);
    assert_eq!(desk.head.position(), at(9));
    assert_eq!(desk.head.source.newest(Kind::API), Some(WallTime::from_millis(44)));
    let bytes = disk.inner().stands.clone().unwrap();
    assert_eq!(decode(&bytes, None).unwrap().journal_len(), 1, "what did not move is not told");
}

#[test]
fn a_state_that_does_not_follow_comes_into_a_new_image() {
    let disk = Memory::default();
    let mut desk = Desk::open(&disk);
    desk.begin();
    desk.deploy("a", "p");
    desk.kept.clear();
    desk.deploy_and_keep("b");
    desk.host.run();
    assert_eq!(disk.inner().appends, 0);
    assert_eq!(disk.inner().commits, 2);
    assert_eq!(desk.stands(), (at(3), "ab".into()));
}

#[test]
fn a_state_anew_while_it_packs_is_what_stands_in_the_end() {
    let disk = Memory::default();
    let mut desk = Desk::open(&disk);
    desk.begin();
    let (open, gate) = async_channel::unbounded();
    disk.inner().gate = Some(gate);
    for id in ["a", "b", "c"] {
        desk.deploy(id, "p");
        desk.kept.push(Kept::Anew);
        desk.keep();
        desk.host.run();
        desk.deploy_and_keep(&id.repeat(2));
    }
    (0..50).for_each(|_| open.try_send(()).unwrap());
    desk.host.run();
    assert_eq!(desk.stands(), (desk.head.position(), "aaabbbccc".into()));
}

#[test]
fn a_quiet_image_is_told_now_and_then_that_it_is_the_newest() {
    let disk = Memory::default();
    let mut desk = Desk::open(&disk);
    desk.begin();
    let told = |desk: &mut Desk, millis: i64, in_sync: bool| {
        desk.host.wall.store(millis, std::sync::atomic::Ordering::Relaxed);
        desk.keeper.keep(&desk.writer, &mut desk.kept, Box::new(desk.head.clone()), in_sync);
        desk.host.run();
        decode(desk.disk.inner().stands.as_ref().unwrap(), None).unwrap().at.as_millis()
    };
    assert_eq!(told(&mut desk, 6_000, true), 5_000);
    assert_eq!(told(&mut desk, 90_000, true), 90_000);
    assert_eq!(told(&mut desk, 990_000, false), 90_000, "nobody knows that it is");
    desk.deploy("a", "p");
    assert_eq!(told(&mut desk, 990_001, false), 90_000, "a batch by itself says nothing of that");
}

#[test]
fn a_long_journal_is_folded_into_a_new_snapshot() {
    let disk = Memory::default();
    let mut desk = Desk::open(&disk);
    desk.begin();
    for round in 0..40 {
        desk.deploy("a", &format!("{round}").repeat(30_000));
        desk.keep();
        desk.host.run();
    }
    desk.keep();
    desk.host.run();
    assert!(disk.inner().commits >= 2, "{}", disk.inner().commits);
    assert!(disk.inner().stands.as_ref().unwrap().len() < 2 << 20);
    assert_eq!(desk.stands(), (desk.head.position(), "a".into()));
}

#[test]
fn what_comes_while_it_packs_is_in_the_old_image_and_in_the_new_one() {
    let disk = Memory::default();
    let mut desk = Desk::open(&disk);
    for id in ["a", "b", "c"] {
        // Each makes a chunk of its own.
        desk.deploy(id, &"x".repeat(700_000));
    }
    desk.begin();
    let (open, gate) = async_channel::unbounded();
    disk.inner().gate = Some(gate);
    // The journal grows past its bound; the next call asks for a snapshot.
    for id in ["d", "e"] {
        desk.deploy(id, &"y".repeat(800_000));
    }
    desk.keep();
    open.try_send(()).unwrap();
    desk.host.run();
    desk.keep();
    // Begun, the first bytes, the first chunk.
    (0..3).for_each(|_| open.try_send(()).unwrap());
    desk.host.run();
    assert!(disk.inner().under_way.as_ref().is_some_and(|bytes| bytes.len() > 700_000));
    desk.deploy_and_keep("f");
    (0..2).for_each(|_| open.try_send(()).unwrap());
    desk.host.run();
    assert_eq!(disk.inner().commits, 1, "it still packs");
    assert_eq!(desk.stands().1, "abcdef", "a crash now loses nothing");
    (0..50).for_each(|_| open.try_send(()).unwrap());
    desk.host.run();
    assert_eq!(disk.inner().commits, 2);
    assert_eq!(desk.stands(), (desk.head.position(), "abcdef".into()));
}

#[test]
fn a_crash_while_it_packs_leaves_the_old_image() {
    let disk = Memory::default();
    let mut desk = Desk::open(&disk);
    desk.deploy("a", "p");
    desk.begin();
    let (open, gate) = async_channel::unbounded();
    disk.inner().gate = Some(gate);
    desk.deploy("b", "p");
    desk.kept.push(Kept::Anew);
    desk.keep();
    (0..3).for_each(|_| open.try_send(()).unwrap());
    desk.host.run();
    assert!(disk.inner().under_way.is_some());
    let host = desk.host.clone();
    drop(desk);
    drop(open);
    host.run();
    disk.inner().gate = None;
    assert_eq!(disk.inner().commits, 1, "a killed node writes nothing more");
    assert_eq!(Desk::open(&disk).head.position(), at(2));
}

#[test]
fn after_an_error_nothing_is_appended_until_a_new_snapshot_stands() {
    let disk = Memory::default();
    let mut desk = Desk::open(&disk);
    desk.begin();
    disk.inner().down = true;
    desk.deploy_and_keep("a");
    desk.host.run();
    assert!(desk.error().unwrap().contains("the disk is full"));
    disk.inner().down = false;
    assert_eq!(desk.stands(), (at(1), "".into()), "an older state, and whole");
    desk.deploy_and_keep("b");
    desk.host.run();
    assert_eq!(desk.stands(), (at(3), "ab".into()));
    assert_eq!(desk.error(), None);
}

#[test]
fn a_bad_image_is_set_aside_and_never_written_over() {
    let disk = Memory::default();
    let bad = b"no image at all".to_vec();
    disk.inner().stands = Some(bad.clone());
    let mut desk = Desk::open(&disk);
    assert!(desk.error().unwrap().contains("no image"));
    assert_eq!(desk.state.position(), Position::START);
    desk.begin();
    assert_eq!(disk.inner().aside, std::slice::from_ref(&bad));
    assert_eq!(desk.stands().0, at(1));

    disk.inner().stands = Some(bad.clone());
    disk.inner().full_of_bad = true;
    let mut desk = Desk::open(&disk);
    desk.begin();
    assert_eq!(disk.inner().stands, Some(bad), "it stays where it is");
    assert!(desk.error().unwrap().contains("no room"));
    disk.inner().full_of_bad = false;
    desk.keep();
    desk.host.run();
    assert_eq!(desk.stands().0, at(1), "tried again");
}

#[test]
fn an_image_whose_entities_do_not_sum_up_leaves_an_empty_state() {
    let disk = Memory::default();
    let mut maker = Maker::snapshot(&own());
    maker.undeploy(&own(), "nobody", 2);
    disk.inner().stands = Some(maker.bytes);
    let desk = Desk::open(&disk);
    assert!(desk.error().unwrap().contains("sum up"));
    assert_eq!(desk.state.view().sorted().count(), 0);
    assert_eq!(disk.inner().aside.len(), 1);
}

#[test]
fn a_clean_end_waits_for_the_disk() {
    let disk = Memory::default();
    let mut desk = Desk::open(&disk);
    desk.begin();
    let (open, gate) = async_channel::unbounded();
    disk.inner().gate = Some(gate);
    desk.deploy_and_keep("a");
    let host = desk.host.clone();
    {
        let mut close = std::pin::pin!(desk.keeper.close());
        host.run();
        assert_eq!(block_on(poll_once(close.as_mut())), None);
        open.try_send(()).unwrap();
        host.run();
        assert_eq!(block_on(poll_once(close.as_mut())), Some(()));
    }
    assert_eq!(desk.stands(), (at(2), "a".into()));
}
