//! A TCP proxy that misbehaves on request, to stand between a client and a server.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// A proxy on a free port of this machine. It ends, with all its connections, when it goes.
#[derive(Debug)]
pub struct Proxy {
    port: u16,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    target: u16,
    manners: Manners,
    open: HashMap<usize, (TcpStream, TcpStream)>,
    accepted: usize,
    ended: bool,
}

/// How a proxy treats what passes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Manners {
    /// Nothing passes, either way, and nothing is closed: as if the network were gone.
    pub stall: bool,
    /// Answers vanish, while the server is given what it is sent.
    pub drop_replies: bool,
    /// Answers come that much later.
    pub delay: Duration,
    /// Connections end when that many bytes of answers have passed.
    pub cut_after: Option<usize>,
    /// New connections are closed at once.
    pub refuse: bool,
}

impl Proxy {
    /// Listens, and passes connections on to a port of this machine.
    pub fn start(target: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port can be had");
        let port = listener.local_addr().expect("a listener has an address").port();
        let state = State { target, ..State::default() };
        let shared = Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new() });
        let accepting = Arc::clone(&shared);
        std::thread::spawn(move || accept(&listener, &accepting));
        Self { port, shared }
    }

    /// Gives its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Changes its manners, for connections that stand and for those to come.
    pub fn set(&self, change: impl FnOnce(&mut Manners)) {
        change(&mut self.shared.state().manners);
        self.shared.changed.notify_all();
    }

    /// Leads connections to come to another port.
    pub fn lead_to(&self, target: u16) {
        self.shared.state().target = target;
    }

    /// Closes all connections.
    pub fn cut(&self) {
        let state = self.shared.state();
        for (near, far) in state.open.values() {
            let _ = near.shutdown(Shutdown::Both);
            let _ = far.shutdown(Shutdown::Both);
        }
    }

    /// Says how many connections it has taken.
    pub fn accepted(&self) -> usize {
        self.shared.state().accepted
    }

    /// Says how many connections are open.
    pub fn open(&self) -> usize {
        self.shared.state().open.len()
    }

    /// Waits until that many connections are open. Panics after 20 s.
    pub fn wait_open(&self, count: usize) {
        let until = Instant::now() + Duration::from_secs(20);
        let mut state = self.shared.state();
        while state.open.len() != count {
            let left = until.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "{} connections are open, not {count}", state.open.len());
            state = self.shared.changed.wait_timeout(state, left).expect("not poisoned").0;
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.state().ended = true;
        self.shared.changed.notify_all();
        self.cut();
        // Wakes the thread that accepts.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("not poisoned")
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for near in listener.incoming() {
        let Ok(near) = near else { return };
        let mut state = shared.state();
        if state.ended {
            return;
        }
        state.accepted += 1;
        if state.manners.refuse {
            continue;
        }
        let Ok(far) = TcpStream::connect(("127.0.0.1", state.target)) else { continue };
        let _ = (near.set_nodelay(true), far.set_nodelay(true));
        let (Ok(a), Ok(b), Ok(c), Ok(d)) =
            (near.try_clone(), far.try_clone(), near.try_clone(), far.try_clone())
        else {
            continue;
        };
        let number = state.accepted;
        state.open.insert(number, (near, far));
        shared.changed.notify_all();
        drop(state);
        let (requests, replies) = (Arc::clone(shared), Arc::clone(shared));
        std::thread::spawn(move || pump(a, b, number, &requests, false));
        std::thread::spawn(move || pump(d, c, number, &replies, true));
    }
}

/// Passes on what comes, until either side ends; then both do.
fn pump(mut from: TcpStream, mut to: TcpStream, number: usize, shared: &Shared, replies: bool) {
    let mut buffer = vec![0; 64 << 10];
    let mut passed = 0;
    while let Ok(mut bytes @ 1..) = from.read(&mut buffer) {
        let mut state = shared.state();
        while state.manners.stall && !state.ended {
            state = shared.changed.wait(state).expect("not poisoned");
        }
        let manners = state.manners;
        drop(state);
        let mut last = false;
        if replies {
            if manners.drop_replies {
                continue;
            }
            if !manners.delay.is_zero() {
                std::thread::sleep(manners.delay);
            }
            if let Some(left) = manners.cut_after.map(|most| most.saturating_sub(passed))
                && left <= bytes
            {
                (bytes, last) = (left, true);
            }
            passed += bytes;
        }
        if to.write_all(&buffer[..bytes]).is_err() || last {
            break;
        }
    }
    let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
    shared.state().open.remove(&number);
    shared.changed.notify_all();
}
