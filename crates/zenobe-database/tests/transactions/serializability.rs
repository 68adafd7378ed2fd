//! Histories of operations on a few numbers, and a checker of their strict serializability.
//!
//! It searches for an order of the operations in which each does what it reports, and in which no
//! operation comes before one that had returned when it was called. The search is as long as the history and as
//! wide as what ran at the same time; so of operations of unknown outcome, which never end, there may be few.

use std::collections::HashSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// What the registers hold.
pub(crate) type State = Vec<i64>;

/// What an operation does to a register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Add(i64),
    Set(i64),
}

/// What an operation did, as its caller was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Found these registers so, at one time.
    Read(Vec<(usize, i64)>),
    /// Found these registers so, and changed some.
    Write { found: Vec<(usize, i64)>, change: Vec<(usize, Change)> },
    /// Wanted these registers so; those named by `wrong` were not.
    Refused { wanted: Vec<(usize, i64)>, wrong: Vec<usize> },
}

/// What became of an operation.
#[derive(Debug)]
pub(crate) enum Fate {
    Told(Action),
    /// It has not happened: nothing to explain.
    Nothing,
    /// It may have happened so.
    Unknown(Action),
}

/// An operation of a history.
#[derive(Clone, Debug)]
pub(crate) struct Operation {
    pub(crate) called: u64,
    /// `None` when nobody knows whether it happened.
    pub(crate) returned: Option<u64>,
    pub(crate) action: Action,
}

/// A history while it is made, by many clients.
#[derive(Default)]
pub(crate) struct Recorder {
    clock: AtomicU64,
    operations: Mutex<Vec<Operation>>,
}

impl Recorder {
    /// The time at which an operation is called.
    pub(crate) fn call(&self) -> u64 {
        self.clock.fetch_add(1, Ordering::SeqCst)
    }

    /// Takes down what became of an operation.
    pub(crate) fn told(&self, called: u64, fate: Fate) {
        let now = self.clock.fetch_add(1, Ordering::SeqCst);
        let (action, returned) = match fate {
            Fate::Told(action) => (action, Some(now)),
            Fate::Unknown(action) => (action, None),
            Fate::Nothing => return,
        };
        self.operations.lock().unwrap().push(Operation { called, returned, action });
    }

    /// The history so far.
    pub(crate) fn history(&self) -> Vec<Operation> {
        self.operations.lock().unwrap().clone()
    }
}

/// Small numbers from a seed; the same every time.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap() % sides
    }

    /// Two different numbers.
    pub(crate) fn two(&mut self, sides: usize) -> (usize, usize) {
        let first = self.roll(sides);
        (first, (first + 1 + self.roll(sides - 1)) % sides)
    }
}

impl Action {
    /// The state afterwards, if the action can happen in this one.
    fn apply(&self, state: &State) -> Option<State> {
        let holds = |facts: &[(usize, i64)]| facts.iter().all(|(at, value)| state[*at] == *value);
        match self {
            Self::Read(found) => holds(found).then(|| state.clone()),
            Self::Write { found, change } => holds(found).then(|| {
                let mut state = state.clone();
                for (at, change) in change {
                    match change {
                        Change::Add(amount) => state[*at] += amount,
                        Change::Set(value) => state[*at] = *value,
                    }
                }
                state
            }),
            Self::Refused { wanted, wrong } => {
                let is_wrong = |(at, value): &(usize, i64)| state[*at] != *value;
                let as_told = |fact: &(usize, i64)| is_wrong(fact) == wrong.contains(&fact.0);
                wanted.iter().all(as_told).then(|| state.clone())
            }
        }
    }
}

/// The operations that an order has so far, by their places among those that ended and those that did not.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
struct Placed {
    /// All before this one.
    ended: usize,
    /// And these, in ascending order.
    more: Vec<usize>,
    unknown: u64,
}

impl Placed {
    fn has(&self, ended: usize) -> bool {
        ended < self.ended || self.more.binary_search(&ended).is_ok()
    }

    fn with_ended(&self, added: usize) -> Self {
        let mut placed = self.clone();
        if let Err(at) = placed.more.binary_search(&added) {
            placed.more.insert(at, added);
        }
        while placed.more.first() == Some(&placed.ended) {
            placed.more.remove(0);
            placed.ended += 1;
        }
        placed
    }

    fn with_unknown(&self, added: usize) -> Self {
        Self { unknown: self.unknown | 1 << added, ..self.clone() }
    }
}

/// Whether some order explains the history. At most 64 operations of unknown outcome.
pub(crate) fn is_serializable(initial: &State, history: &[Operation]) -> bool {
    let (mut ended, unknown): (Vec<_>, Vec<_>) =
        history.iter().partition(|operation| operation.returned.is_some());
    assert!(unknown.len() <= 64);
    ended.sort_by_key(|operation| operation.called);
    let mut seen = HashSet::new();
    let mut open = vec![(Placed::default(), initial.clone())];
    while let Some((placed, state)) = open.pop() {
        if placed.ended == ended.len() {
            return true;
        }
        if !seen.insert((placed.clone(), state.clone())) {
            continue;
        }
        // Whatever is next was called before any that is still to come had returned.
        let mut next = Vec::new();
        let mut earliest = u64::MAX;
        for (at, operation) in ended.iter().enumerate().skip(placed.ended) {
            if operation.called > earliest {
                break;
            }
            if !placed.has(at) {
                earliest = earliest.min(operation.returned.unwrap_or(u64::MAX));
                next.push(at);
            }
        }
        let is_next = |at: &usize| unknown[*at].called < earliest && placed.unknown >> *at & 1 == 0;
        for at in (0..unknown.len()).filter(is_next) {
            let after = unknown[at].action.apply(&state);
            open.extend(after.map(|after| (placed.with_unknown(at), after)));
        }
        for at in next.into_iter().filter(|at| ended[*at].called < earliest).rev() {
            let after = ended[at].action.apply(&state);
            open.extend(after.map(|after| (placed.with_ended(at), after)));
        }
    }
    false
}
