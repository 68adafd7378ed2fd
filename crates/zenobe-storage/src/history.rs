//! Histories of concurrent operations on one register, and whether they are linearizable.
//!
//! A test's threads take the time before and after each operation from a [`Recorder`]; [`check`] then looks
//! for an order of all operations that respects real time (what returned before another was called comes
//! first) and in which each did what a register does. The search is Wing and Gong's, with Lowe's memory of
//! the configurations that it met, and one shortcut: an operation that only observes and fits now is taken at
//! once, for no later place suits it better.
//!
//! `stateright` has such a tester too. It keeps no memory of configurations and copies the rest of the
//! history at every step, so that a few hundred operations do not end; every thread must lock it; a thread
//! that had an unknown outcome can record nothing more; and it brings a web server.
//!
//! ```
//! use zenobe_storage::history::{Action, Recorder, check};
//!
//! let recorder = Recorder::new();
//! let called = recorder.call();
//! // ... the write happens here ...
//! recorder.returned(called, Action::Write { value: Some(1) });
//! let called = recorder.call();
//! recorder.returned(called, Action::Read { found: None });
//! assert!(check(None, &recorder.into_history()).is_err(), "a read that began after the write must see it");
//! ```

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

/// What a register holds; `None` is an absent row.
pub type Value = Option<u64>;

/// An operation on a register, with what its caller learned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// A read.
    Read {
        /// What it found.
        found: Value,
    },
    /// A write, or a deletion.
    Write {
        /// What it wrote.
        value: Value,
    },
    /// A write on condition that the register holds `expected`.
    CompareAndSet {
        /// The condition.
        expected: Value,
        /// What it wrote, or would have.
        new: Value,
        /// How it ended. For an operation of unknown outcome: [`Swap::Done`].
        swap: Swap,
    },
}

/// How a compare-and-set ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Swap {
    /// The condition held, and the new value was written.
    Done,
    /// The condition did not hold.
    Refused {
        /// What the register held instead, where the caller was told.
        found: Option<Value>,
    },
}

/// An operation in a history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operation {
    /// When it was called.
    pub called: u64,
    /// When it returned; `None` when its caller never learned whether it happened.
    pub returned: Option<u64>,
    /// What it was.
    pub action: Action,
}

/// Records the operations of many threads on one register.
#[derive(Debug, Default)]
pub struct Recorder {
    clock: AtomicU64,
    operations: Mutex<Vec<Operation>>,
}

impl Recorder {
    /// An empty history.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The time now. Take it before the operation.
    pub fn call(&self) -> u64 {
        self.clock.fetch_add(1, Ordering::SeqCst)
    }

    /// Records an operation that was called at `called` and has just returned.
    pub fn returned(&self, called: u64, action: Action) {
        let returned = Some(self.clock.fetch_add(1, Ordering::SeqCst));
        self.operations.lock().push(Operation { called, returned, action });
    }

    /// Records an operation of which nobody knows whether, or when, it happens.
    pub fn unknown(&self, called: u64, action: Action) {
        self.operations.lock().push(Operation { called, returned: None, action });
    }

    /// The operations.
    #[must_use]
    pub fn into_history(self) -> Vec<Operation> {
        self.operations.into_inner()
    }
}

/// Why a history was not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HistoryError {
    /// There is no order that explains it.
    #[error("not linearizable: after {explained} operations nothing explains any of {pending:?}")]
    NotLinearizable {
        /// The most operations that some order explains.
        explained: usize,
        /// The operations that could have come next there.
        pending: Vec<Operation>,
    },
    /// More configurations than [`CONFIGURATIONS_MAX`] were met.
    #[error("too many configurations: record fewer operations, or fewer of unknown outcome")]
    TooHard,
}

/// How many configurations a search visits before it gives up.
pub const CONFIGURATIONS_MAX: usize = 2_000_000;

/// Checks that a register that held `initial` can have behaved so.
///
/// # Errors
/// [`HistoryError`] when it cannot, or when the search became too long.
pub fn check(initial: Value, history: &[Operation]) -> Result<(), HistoryError> {
    let mut operations = history.to_vec();
    operations.sort_by_key(|operation| operation.called);
    Search::new(operations).run(initial)
}

/// What the register holds after the action, if the action can happen while it holds `value`.
fn apply(action: Action, value: Value) -> Option<Value> {
    match action {
        Action::Read { found } => (found == value).then_some(value),
        Action::Write { value } => Some(value),
        Action::CompareAndSet { expected, new, swap: Swap::Done } => {
            (expected == value).then_some(new)
        }
        Action::CompareAndSet { expected, swap: Swap::Refused { found }, .. } => {
            (expected != value && found.is_none_or(|found| found == value)).then_some(value)
        }
    }
}

/// Whether the action never changes the register.
const fn is_observation(action: Action) -> bool {
    match action {
        Action::Read { .. } | Action::CompareAndSet { swap: Swap::Refused { .. }, .. } => true,
        Action::Write { .. } | Action::CompareAndSet { swap: Swap::Done, .. } => false,
    }
}

struct Search {
    /// In the order of their calls.
    operations: Vec<Operation>,
    /// One bit per operation: whether the order found so far has it.
    placed: Vec<u64>,
    /// All before this one are placed.
    first: usize,
    /// Operations that returned and are not placed yet.
    remaining: usize,
    seen: HashSet<(Vec<u64>, Value)>,
}

/// A place in the search: the operations that may come next, and those tried already.
struct Frame {
    choices: Vec<(usize, Value)>,
    tried: usize,
    /// The operation that led here.
    placed: Option<usize>,
}

impl Search {
    fn new(operations: Vec<Operation>) -> Self {
        let placed = vec![0; operations.len().div_ceil(64)];
        let remaining = operations.iter().filter(|operation| operation.returned.is_some()).count();
        Self { operations, placed, first: 0, remaining, seen: HashSet::new() }
    }

    fn is_placed(&self, index: usize) -> bool {
        self.placed.get(index / 64).is_some_and(|word| word >> (index % 64) & 1 == 1)
    }

    fn returned(&self, index: usize) -> bool {
        self.operations.get(index).is_some_and(|operation| operation.returned.is_some())
    }

    fn flip(&mut self, index: usize) {
        if let Some(word) = self.placed.get_mut(index / 64) {
            *word ^= 1 << (index % 64);
        }
    }

    fn place(&mut self, index: usize) {
        self.flip(index);
        self.remaining -= usize::from(self.returned(index));
        while self.first < self.operations.len() && self.is_placed(self.first) {
            self.first += 1;
        }
    }

    fn take_back(&mut self, index: usize) {
        self.flip(index);
        self.remaining += usize::from(self.returned(index));
        self.first = self.first.min(index);
    }

    /// The operations not placed yet that no other one must come before.
    fn pending(&self) -> Vec<usize> {
        let mut pending = Vec::new();
        let mut earliest_return = u64::MAX;
        for (index, operation) in self.operations.iter().enumerate().skip(self.first) {
            // Whatever is called later returns later too, so this bound is final for all that come before.
            if operation.called > earliest_return {
                break;
            }
            if !self.is_placed(index) {
                earliest_return = earliest_return.min(operation.returned.unwrap_or(u64::MAX));
                pending.push(index);
            }
        }
        pending
    }

    fn choices(&self, value: Value) -> Vec<(usize, Value)> {
        let mut choices = Vec::new();
        for index in self.pending() {
            let Some(operation) = self.operations.get(index) else { continue };
            match apply(operation.action, value) {
                // A write of what is there already is no observation: its real place may be after another.
                Some(next) if is_observation(operation.action) && operation.returned.is_some() => {
                    return vec![(index, next)];
                }
                Some(next) if operation.returned.is_some() || next != value => {
                    choices.push((index, next))
                }
                // It cannot happen now, or nobody could tell that it did.
                Some(_) | None => {}
            }
        }
        choices
    }

    fn run(&mut self, initial: Value) -> Result<(), HistoryError> {
        let mut best = (usize::MAX, Vec::new());
        let mut stack = vec![Frame { choices: self.choices(initial), tried: 0, placed: None }];
        while self.remaining > 0 {
            let Some(frame) = stack.last_mut() else {
                let explained = self.operations.len() - best.0.min(self.operations.len());
                return Err(HistoryError::NotLinearizable { explained, pending: best.1 });
            };
            let Some((index, value)) = frame.choices.get(frame.tried).copied() else {
                if self.remaining < best.0 {
                    let pending = self
                        .pending()
                        .into_iter()
                        .filter_map(|index| self.operations.get(index).copied());
                    best = (self.remaining, pending.collect());
                }
                if let Some(index) = frame.placed {
                    self.take_back(index);
                }
                stack.pop();
                continue;
            };
            frame.tried += 1;
            self.place(index);
            if self.seen.len() >= CONFIGURATIONS_MAX {
                return Err(HistoryError::TooHard);
            }
            if self.seen.insert((self.placed.clone(), value)) {
                stack.push(Frame { choices: self.choices(value), tried: 0, placed: Some(index) });
            } else {
                self.take_back(index);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn op(called: u64, returned: u64, action: Action) -> Operation {
        Operation { called, returned: (returned > 0).then_some(returned), action }
    }

    const fn read(found: Value) -> Action {
        Action::Read { found }
    }

    const fn write(value: u64) -> Action {
        Action::Write { value: Some(value) }
    }

    const fn swap(expected: Value, new: u64, swap: Swap) -> Action {
        Action::CompareAndSet { expected, new: Some(new), swap }
    }

    #[test]
    fn histories_with_an_order_are_accepted() {
        let refused = Swap::Refused { found: Some(Some(1)) };
        let cases = [
            vec![],
            vec![op(0, 1, read(None)), op(2, 3, write(1)), op(4, 5, read(Some(1)))],
            // A read beside a write may see either.
            vec![op(0, 9, write(1)), op(1, 2, read(None)), op(3, 4, read(Some(1)))],
            vec![op(0, 9, write(1)), op(1, 8, write(2)), op(10, 11, read(Some(1)))],
            vec![op(0, 9, write(1)), op(1, 8, write(2)), op(10, 11, read(Some(2)))],
            vec![
                op(0, 5, swap(None, 1, Swap::Done)),
                op(1, 6, swap(None, 2, refused)),
                op(7, 8, read(Some(1))),
            ],
            // A deletion that could come first, where it changes nothing, but must come second.
            vec![
                op(0, 9, Action::Write { value: None }),
                op(1, 2, write(1)),
                op(10, 11, read(None)),
            ],
            // An unknown outcome: never, at once, or long after.
            vec![op(0, 0, write(1)), op(1, 2, read(None))],
            vec![op(0, 0, write(1)), op(1, 2, read(Some(1)))],
            vec![
                op(0, 0, write(1)),
                op(1, 2, read(None)),
                op(3, 4, write(2)),
                op(5, 6, read(Some(1))),
            ],
        ];
        for history in cases {
            assert_eq!(check(None, &history), Ok(()), "{history:?}");
        }
        assert_eq!(check(Some(4), &[op(0, 1, read(Some(4)))]), Ok(()));
    }

    #[test]
    fn histories_without_an_order_are_refused() {
        let cases = [
            vec![op(0, 1, read(Some(1)))],
            // Stale, lost, and back in time.
            vec![op(0, 1, write(1)), op(2, 3, read(None))],
            vec![op(0, 1, write(1)), op(2, 3, write(2)), op(4, 5, read(Some(1)))],
            vec![op(0, 9, write(1)), op(1, 2, read(Some(1))), op(3, 4, read(None))],
            // Two winners of one version.
            vec![op(0, 5, swap(None, 1, Swap::Done)), op(1, 6, swap(None, 2, Swap::Done))],
            // A refusal without a cause.
            vec![op(0, 1, swap(None, 1, Swap::Refused { found: None }))],
            vec![
                op(0, 1, write(1)),
                op(2, 3, swap(None, 2, Swap::Refused { found: Some(Some(9)) })),
            ],
            // An unknown outcome happens once only.
            vec![
                op(0, 0, write(1)),
                op(1, 2, read(Some(1))),
                op(3, 4, write(2)),
                op(5, 6, read(Some(2))),
                op(7, 8, read(Some(1))),
            ],
        ];
        for history in cases {
            let found = check(None, &history);
            assert!(
                matches!(found, Err(HistoryError::NotLinearizable { .. })),
                "{history:?}: {found:?}"
            );
        }
    }

    #[test]
    fn long_histories_of_many_threads_are_decided() {
        let mut history = Vec::new();
        for round in 0..40 {
            for thread in 0..8 {
                let called = round * 100 + thread;
                history.push(op(called, round * 100 + 50 + thread, write(round * 10 + thread)));
            }
            history.push(op(
                round * 100 + 70,
                round * 100 + 71,
                read(Some(round * 10 + round % 8)),
            ));
        }
        assert_eq!(check(None, &history), Ok(()));
        history.push(op(4_000, 4_001, read(Some(77))));
        assert!(check(None, &history).is_err());
    }

    /// Tries all orders.
    fn explained_by_some_order(value: Value, rest: &[Operation]) -> bool {
        rest.iter().all(|operation| operation.returned.is_none())
            || rest.iter().enumerate().any(|(index, operation)| {
                let others = [&rest[..index], &rest[index + 1..]].concat();
                let first = others
                    .iter()
                    .all(|other| other.returned.is_none_or(|end| end > operation.called));
                let next = apply(operation.action, value);
                first && next.is_some_and(|next| explained_by_some_order(next, &others))
            })
    }

    fn any_action() -> impl Strategy<Value = Action> {
        let value = || proptest::option::of(0..2_u64);
        let refused = prop_oneof![Just(None), value().prop_map(Some)]
            .prop_map(|found| Swap::Refused { found });
        prop_oneof![
            3 => value().prop_map(|found| Action::Read { found }),
            2 => value().prop_map(|value| Action::Write { value }),
            2 => (value(), value(), prop_oneof![Just(Swap::Done), refused])
                .prop_map(|(expected, new, swap)| Action::CompareAndSet { expected, new, swap }),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn the_search_agrees_with_trying_all_orders(
            raw in proptest::collection::vec((0..20_u64, 1..12_u64, 0..6_u8, any_action()), 0..7),
        ) {
            // Distinct times, as a recorder gives them.
            let history: Vec<_> = raw.into_iter().zip(0_u64..).map(|((called, length, fate, action), index)| {
                let returned = (fate > 0).then_some((called + length) * 100 + 50 + index);
                Operation { called: called * 100 + index, returned, action }
            }).collect();
            prop_assert_eq!(check(None, &history).is_ok(), explained_by_some_order(None, &history));
        }
    }
}
