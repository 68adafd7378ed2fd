//! A checker of strict serializability for small histories over a few numbers.
//!
//! It searches for an order of the operations in which each does what it reports, and in which no
//! operation comes before one that had returned when it was called.

use std::collections::HashSet;

/// What the registers hold.
pub(crate) type State = Vec<i64>;

/// What an operation did, as its caller was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Found these registers so, at one time.
    Read(Vec<(usize, i64)>),
    /// Found these registers so, and changed some.
    Write { found: Vec<(usize, i64)>, add: Vec<(usize, i64)> },
    /// Wanted these registers so; those named by `wrong` were not.
    Refused { wanted: Vec<(usize, i64)>, wrong: Vec<usize> },
}

/// An operation of a history.
#[derive(Clone, Debug)]
pub(crate) struct Operation {
    pub(crate) called: u64,
    /// `None` when nobody knows whether it happened.
    pub(crate) returned: Option<u64>,
    pub(crate) action: Action,
}

impl Action {
    /// The state afterwards, if the action can happen in this one.
    fn apply(&self, state: &State) -> Option<State> {
        let holds = |facts: &[(usize, i64)]| facts.iter().all(|(at, value)| state[*at] == *value);
        match self {
            Self::Read(found) => holds(found).then(|| state.clone()),
            Self::Write { found, add } => holds(found).then(|| {
                let mut state = state.clone();
                for (at, amount) in add {
                    state[*at] += amount;
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

/// Whether some order explains the history. At most 64 operations.
pub(crate) fn is_serializable(initial: &State, history: &[Operation]) -> bool {
    assert!(history.len() <= 64);
    search(initial, history, 0, &mut HashSet::new())
}

fn search(
    state: &State,
    history: &[Operation],
    placed: u64,
    seen: &mut HashSet<(u64, State)>,
) -> bool {
    let open = || (0..history.len()).filter(|index| placed >> index & 1 == 0);
    if open().all(|index| history[index].returned.is_none()) {
        return true;
    }
    if !seen.insert((placed, state.clone())) {
        return false;
    }
    let earliest = open().filter_map(|index| history[index].returned).min().unwrap_or(u64::MAX);
    open().filter(|index| history[*index].called < earliest).any(|index| {
        let after = history[index].action.apply(state);
        after.is_some_and(|after| search(&after, history, placed | 1 << index, seen))
    })
}

fn op(called: u64, returned: u64, action: Action) -> Operation {
    Operation { called, returned: (returned > 0).then_some(returned), action }
}

fn read(found: &[(usize, i64)]) -> Action {
    Action::Read(found.to_vec())
}

fn write(found: &[(usize, i64)], add: &[(usize, i64)]) -> Action {
    Action::Write { found: found.to_vec(), add: add.to_vec() }
}

#[test]
fn histories_with_an_order_are_accepted() {
    let refused =
        |wrong: &[usize]| Action::Refused { wanted: vec![(0, 1), (1, 1)], wrong: wrong.to_vec() };
    for history in [
        vec![],
        vec![op(1, 2, write(&[], &[(0, 1), (1, -1)])), op(3, 4, read(&[(0, 1), (1, -1)]))],
        // Beside a write, before or after it.
        vec![op(1, 9, write(&[], &[(0, 1), (1, 1)])), op(2, 3, read(&[(0, 0), (1, 0)]))],
        vec![op(1, 9, write(&[], &[(0, 1), (1, 1)])), op(2, 3, read(&[(0, 1), (1, 1)]))],
        vec![op(1, 2, refused(&[0, 1])), op(3, 4, write(&[], &[(0, 1)])), op(5, 6, refused(&[1]))],
        // Of unknown outcome: never, or later.
        vec![op(1, 0, write(&[], &[(0, 1)])), op(2, 3, read(&[(0, 0)]))],
        vec![op(1, 0, write(&[], &[(0, 1)])), op(2, 3, read(&[(0, 0)])), op(4, 5, read(&[(0, 1)]))],
    ] {
        assert!(is_serializable(&vec![0, 0], &history), "{history:?}");
    }
}

#[test]
fn histories_without_an_order_are_refused() {
    for history in [
        // Torn, stale, lost, back in time, and a write skew.
        vec![op(1, 9, write(&[], &[(0, 1), (1, 1)])), op(2, 3, read(&[(0, 1), (1, 0)]))],
        vec![op(1, 2, write(&[], &[(0, 1)])), op(3, 4, read(&[(0, 0)]))],
        vec![op(1, 8, write(&[(0, 0)], &[(0, 1)])), op(2, 9, write(&[(0, 0)], &[(0, 1)]))],
        vec![op(1, 9, write(&[], &[(0, 1)])), op(2, 3, read(&[(0, 1)])), op(4, 5, read(&[(0, 0)]))],
        vec![
            op(1, 8, write(&[(0, 0), (1, 0)], &[(0, 1)])),
            op(2, 9, write(&[(0, 0), (1, 0)], &[(1, 1)])),
        ],
        vec![op(1, 2, Action::Refused { wanted: vec![(0, 0)], wrong: vec![0] })],
        vec![op(1, 0, write(&[], &[(0, 1)])), op(2, 3, read(&[(0, 1)])), op(4, 5, read(&[(0, 0)]))],
    ] {
        assert!(!is_serializable(&vec![0, 0], &history), "{history:?}");
    }
}
