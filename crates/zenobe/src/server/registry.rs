//! All open connections: what each is doing and since when, and the sweep that ends those which
//! take too long.
//!
//! A timer per connection and phase would cost each request several insertions into a timer wheel.
//! Instead a connection notes its phase with one store, and the sweep looks at all of them ten times
//! a second.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::task::Waker;
use std::time::Duration;

use parking_lot::Mutex;

use crate::clock;
use crate::config::Limits;
use crate::metrics::Metrics;

/// What a connection is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Phase {
    /// It waits for its next request.
    Idle = 0,
    /// Part of a request's head is there.
    Head = 1,
    /// A request is being answered. Its own limits hold.
    Handling = 2,
    /// A response is being sent.
    Writing = 3,
    /// No byte of its first request is there, or of HTTP/2 not all of the preface. Whoever connects has
    /// something to ask, so this may not last as long as the wait for a next request.
    Fresh = 4,
}

/// What a connection is told to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Directive {
    /// Go on.
    Run = 0,
    /// End after the requests under way.
    Drain = 1,
    /// End now.
    Close = 2,
}

const PHASE_SHIFT: u32 = 56;

/// How long a connection that is to end and has no request under way may be silent. A client of HTTP/2 answers
/// the server's goodbye, and one of HTTP/1.1 sends the rest of a head; one that does not is not waited for.
const FAREWELL: Duration = Duration::from_secs(1);

/// How long a connection must have been idle to be closed for newcomers, in milliseconds: one that is used all the time
/// is idle, too, between two requests.
const GIVES_WAY_MS: u64 = 1000;
/// Of all connections, this part is closed for newcomers at a time.
const GIVE_WAY_PART: usize = 16;

/// The state of one connection.
#[derive(Debug, Default)]
pub(super) struct ConnectionState {
    /// The phase in the upper eight bits, the coarse time it began at in the lower ones.
    phase: AtomicU64,
    directive: AtomicU8,
    /// Requests under way; HTTP/2 may have many.
    in_flight: AtomicU32,
    /// Answers of HTTP/2 of which not everything is written to the connection.
    unsent: AtomicU32,
    /// Wakes the connection's task; the same for the task's whole life.
    waker: Mutex<Option<Waker>>,
}

impl ConnectionState {
    /// Notes that a phase begins now.
    pub(super) fn enter(&self, phase: Phase) {
        self.phase.store(Self::pack(phase, clock::coarse_ms()), Ordering::Relaxed);
    }

    /// Notes that the first byte of a request is there. The head of a first request has had its time since the
    /// client connected; that of a next one has it from now on.
    pub(super) fn enter_head(&self) {
        match Self::unpack(self.phase.load(Ordering::Relaxed)) {
            (Phase::Idle, _) => self.enter(Phase::Head),
            (Phase::Fresh, since_ms) => {
                self.phase.store(Self::pack(Phase::Head, since_ms), Ordering::Relaxed);
            }
            (Phase::Head | Phase::Handling | Phase::Writing, _) => {}
        }
    }

    /// Notes that the present phase begins anew.
    fn touch(&self) {
        let packed = self.phase.load(Ordering::Relaxed);
        let now = Self::pack(Self::unpack(packed).0, clock::coarse_ms());
        let (set, read) = (Ordering::Relaxed, Ordering::Relaxed);
        // Where this fails another phase began at this moment, which must stay.
        let _ = self.phase.compare_exchange(packed, now, set, read);
    }

    /// The phase.
    pub(super) fn phase(&self) -> Phase {
        Self::unpack(self.phase.load(Ordering::Relaxed)).0
    }

    fn pack(phase: Phase, since_ms: u64) -> u64 {
        u64::from(phase as u8) << PHASE_SHIFT | since_ms
    }

    fn unpack(packed: u64) -> (Phase, u64) {
        let phase = match packed >> PHASE_SHIFT {
            0 => Phase::Idle,
            1 => Phase::Head,
            2 => Phase::Handling,
            3 => Phase::Writing,
            _ => Phase::Fresh,
        };
        (phase, packed & ((1 << PHASE_SHIFT) - 1))
    }

    /// Notes that the present phase goes on, with bytes that came or went: while a connection is to end that
    /// shows that its client is there.
    pub(super) fn progress(&self) {
        if self.directive() == Directive::Drain {
            self.touch();
        }
    }

    /// Notes the start of a request; its end is noted when the result is dropped, and that `next` follows.
    pub(super) fn begin(self: &Arc<Self>, next: Phase) -> InFlight {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        self.enter(Phase::Handling);
        InFlight { state: self.clone(), next }
    }

    /// Notes that an answer of HTTP/2 is to be sent; that it is, when the result is dropped.
    pub(super) fn send(self: &Arc<Self>) -> Sending {
        self.unsent.fetch_add(1, Ordering::Relaxed);
        Sending { state: self.clone() }
    }

    /// What to do now.
    pub(super) fn directive(&self) -> Directive {
        match self.directive.load(Ordering::Acquire) {
            0 => Directive::Run,
            1 => Directive::Drain,
            _ => Directive::Close,
        }
    }

    /// Remembers the task, so that directives reach it.
    pub(super) fn remember(&self, waker: &Waker) {
        *self.waker.lock() = Some(waker.clone());
    }

    fn direct(&self, directive: Directive) {
        // A directive only ever becomes stricter.
        if self.directive.fetch_max(directive as u8, Ordering::AcqRel) >= directive as u8 {
            return;
        }
        if matches!(self.phase(), Phase::Idle | Phase::Head | Phase::Fresh) {
            // The farewell begins now.
            self.touch();
        }
        if let Some(waker) = &*self.waker.lock() {
            waker.wake_by_ref();
        }
    }

    /// Since when it has been idle, on the coarse clock, unless it is to end anyway.
    fn idle_since_ms(&self) -> Option<u64> {
        let (phase, since_ms) = Self::unpack(self.phase.load(Ordering::Relaxed));
        let is_idle = phase == Phase::Idle
            && self.in_flight.load(Ordering::Relaxed) == 0
            && self.unsent.load(Ordering::Relaxed) == 0
            && self.directive() == Directive::Run;
        is_idle.then_some(since_ms)
    }

    fn sweep(&self, now_ms: u64, limits: &Limits) {
        if self.in_flight.load(Ordering::Relaxed) > 0 {
            return;
        }
        let (phase, since_ms) = Self::unpack(self.phase.load(Ordering::Relaxed));
        let is_sending = self.unsent.load(Ordering::Relaxed) > 0;
        let (limit, directive) = match (phase, self.directive()) {
            (Phase::Handling, _) => return,
            (Phase::Idle, _) if is_sending => (limits.write, Directive::Close),
            // Its client may send a request at this very moment. Of HTTP/2 it is told, and that request is still
            // answered; of HTTP/1.1 the connection ends, and the client is to try again on another.
            (Phase::Idle, Directive::Run) => (limits.idle, Directive::Drain),
            (Phase::Idle, _) | (Phase::Head | Phase::Fresh, Directive::Drain) => {
                (FAREWELL, Directive::Close)
            }
            (Phase::Head | Phase::Fresh, _) => (limits.header, Directive::Close),
            (Phase::Writing, _) => (limits.write, Directive::Close),
        };
        if Duration::from_millis(now_ms.saturating_sub(since_ms)) > limit {
            self.direct(directive);
        }
    }
}

/// A request under way on a connection.
pub(super) struct InFlight {
    state: Arc<ConnectionState>,
    next: Phase,
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.state.in_flight.fetch_sub(1, Ordering::Relaxed);
        self.state.enter(self.next);
    }
}

/// An answer of HTTP/2 that is being sent. Its client may have stopped taking it without a sign on the connection,
/// where flow control is that of each stream.
pub(super) struct Sending {
    state: Arc<ConnectionState>,
}

impl Sending {
    /// Notes that some of the answer was written to the connection.
    pub(super) fn progress(&self) {
        self.state.touch();
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        self.state.touch();
        self.state.unsent.fetch_sub(1, Ordering::Relaxed);
    }
}

/// All open connections.
#[derive(Debug)]
pub(super) struct Registry {
    connections: Mutex<HashMap<u64, Arc<ConnectionState>>>,
    next: AtomicU64,
    draining: AtomicU8,
    limits: Limits,
    metrics: Arc<Metrics>,
}

/// A connection's place in the registry.
pub(super) struct Registered<'a> {
    registry: &'a Registry,
    id: u64,
    pub(super) state: Arc<ConnectionState>,
}

impl Registry {
    /// An empty registry.
    pub(super) fn new(limits: Limits, metrics: Arc<Metrics>) -> Self {
        Self {
            connections: Mutex::default(),
            next: AtomicU64::new(0),
            draining: AtomicU8::new(0),
            limits,
            metrics,
        }
    }

    /// Adds a connection, until the result is dropped.
    pub(super) fn register(&self) -> Registered<'_> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let state = Arc::new(ConnectionState::default());
        state.enter(Phase::Fresh);
        self.connections.lock().insert(id, state.clone());
        self.metrics.connection_opened();
        if self.draining.load(Ordering::SeqCst) > 0 {
            state.direct(Directive::Drain);
        }
        Registered { registry: self, id, state }
    }

    /// How many are open.
    pub(super) fn len(&self) -> usize {
        self.connections.lock().len()
    }

    /// Tells all to end after the requests under way.
    pub(super) fn drain(&self) {
        self.draining.store(1, Ordering::SeqCst);
        for state in self.connections.lock().values() {
            state.direct(Directive::Drain);
        }
    }

    /// Ends the connections that take too long.
    pub(super) fn sweep(&self, now_ms: u64) {
        for state in self.connections.lock().values() {
            state.sweep(now_ms, &self.limits);
        }
    }

    /// Ends some of those connections that have been idle longest, as the idle timeout would.
    pub(super) fn make_room(&self, now_ms: u64) {
        let connections = self.connections.lock();
        let idle = connections.values().filter_map(|state| Some((state.idle_since_ms()?, state)));
        let mut idle: Vec<_> = idle.filter(|(since, _)| since + GIVES_WAY_MS < now_ms).collect();
        idle.sort_unstable_by_key(|(since_ms, _)| *since_ms);
        for (_, state) in idle.iter().take(connections.len().div_ceil(GIVE_WAY_PART)) {
            state.direct(Directive::Drain);
        }
    }
}

impl Drop for Registered<'_> {
    fn drop(&mut self) {
        self.registry.connections.lock().remove(&self.id);
        self.registry.metrics.connection_closed();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_that_have_been_idle_longest_make_room() {
        let second = Duration::from_secs(1);
        let limits = Limits {
            connections: None,
            header: second,
            body: second,
            write: second,
            idle: second,
            shutdown: second,
        };
        let registry = Registry::new(limits, Arc::new(Metrics::new(1, 0)));
        // So many that two are a part of them.
        let opened: Vec<_> = (0..=GIVE_WAY_PART).map(|_| registry.register()).collect();
        for (since_ms, registered) in (1000..).zip(&opened) {
            let packed = ConnectionState::pack(Phase::Idle, since_ms);
            registered.state.phase.store(packed, Ordering::Relaxed);
        }
        let _request = opened[0].state.begin(Phase::Idle);
        let told_at = |now_ms| {
            registry.make_room(now_ms);
            let is_told = |place: &usize| opened[*place].state.directive() == Directive::Drain;
            (0..opened.len()).filter(is_told).collect::<Vec<_>>()
        };
        assert!(told_at(1001 + GIVES_WAY_MS).is_empty());
        assert_eq!(told_at(1 << 40), [1, 2]);
        assert_eq!(told_at(1 << 40), [1, 2, 3, 4]);
    }

    #[test]
    fn the_first_byte_does_not_give_a_first_request_more_time() {
        // Later than any clock of a test says.
        let since_ms = 1 << 40;
        let head_after = |phase| {
            let state = ConnectionState::default();
            state.phase.store(ConnectionState::pack(phase, since_ms), Ordering::Relaxed);
            state.enter_head();
            ConnectionState::unpack(state.phase.load(Ordering::Relaxed))
        };
        assert_eq!(head_after(Phase::Fresh), (Phase::Head, since_ms));
        assert_eq!(head_after(Phase::Head), (Phase::Head, since_ms));
        assert_eq!(head_after(Phase::Handling), (Phase::Handling, since_ms));
        let (phase, began_ms) = head_after(Phase::Idle);
        assert!(phase == Phase::Head && began_ms < since_ms, "{began_ms}");
    }
}
