//! A machine in the world: its clocks, its tasks, its dice.

use std::fmt;
use std::sync::Mutex;

use zonesync::runtime::{Runtime, Sleep, Task};
use zonesync_core::time::{Duration, Instant, WallTime};

use crate::executor::{Executor, HostId, Time};
use crate::random::Random;

/// The calendar at the world's beginning: 2026-01-01.
pub const WALL_START_MS: i64 = 1_767_225_600_000;

const MILLION: i128 = 1_000_000;

/// One machine.
pub struct Host {
    executor: Executor,
    /// Which one.
    pub id: HostId,
    state: Mutex<State>,
}

struct State {
    /// When the clock was set to `local`, from which it runs on at `ppm` beside the world's.
    set: Time,
    local: u64,
    ppm: i64,
    /// What the calendar is ahead of the world's, in milliseconds.
    ahead: i64,
    random: Random,
}

impl Host {
    /// Starts a machine whose clock is `ppm` millionths fast.
    pub fn new(executor: Executor, id: HostId, ppm: i64, mut random: Random) -> Self {
        let set = executor.now();
        // No two machines count from the same moment.
        let local = random.below(1 << 40);
        let state = State { set, local, ppm, ahead: 0, random };
        Self { executor, id, state: Mutex::new(state) }
    }

    /// Moves the calendar.
    pub fn jump_wall(&self, millis: i64) {
        self.state.lock().expect("one thread").ahead += millis;
    }

    /// Moves the monotonic clock ahead, or back: only a store's clock does that.
    pub fn jump(&self, millis: i64) {
        let mut state = self.state.lock().expect("one thread");
        state.local = state.now(self.executor.now());
        state.set = self.executor.now();
        state.local = state.local.saturating_add_signed(millis * 1_000_000);
    }

    /// Has the clock run at another rate from now on.
    pub fn drift(&self, ppm: i64) {
        let mut state = self.state.lock().expect("one thread");
        state.local = state.now(self.executor.now());
        state.set = self.executor.now();
        state.ppm = ppm;
    }
}

impl State {
    fn now(&self, world: Time) -> u64 {
        let passed = i128::from(world - self.set) * (MILLION + i128::from(self.ppm)) / MILLION;
        self.local.saturating_add(u64::try_from(passed).unwrap_or(0))
    }
}

/// Gives the world's calendar.
pub fn wall(now: Time) -> WallTime {
    WallTime::from_millis(WALL_START_MS + (now / 1_000_000) as i64)
}

impl Runtime for Host {
    fn spawn(&self, task: Task) {
        self.executor.spawn(self.id, task);
    }

    fn now(&self) -> Instant {
        let world = self.executor.now();
        Instant::from_nanos(self.state.lock().expect("one thread").now(world))
    }

    fn wall_now(&self) -> WallTime {
        let ahead = self.state.lock().expect("one thread").ahead;
        WallTime::from_millis(wall(self.executor.now()).as_millis() + ahead)
    }

    fn random(&self) -> u128 {
        let random = &mut self.state.lock().expect("one thread").random;
        u128::from(random.next()) << 64 | u128::from(random.next())
    }

    fn sleep(&self, duration: Duration) -> Sleep {
        let ppm = i128::from(self.state.lock().expect("one thread").ppm);
        let nanos = i128::try_from(duration.as_nanos()).unwrap_or(i128::MAX / MILLION);
        let world = nanos.saturating_mul(MILLION) / (MILLION + ppm);
        // A hair later, so that the clock has surely come there.
        let world = Time::try_from(world).unwrap_or(Time::MAX / 2).saturating_add(1_000);
        Box::pin(self.executor.sleep(world))
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Host({})", self.id)
    }
}
