//! The checker of histories accepts those that some order explains, and no others.

use super::serializability::{Action, Change, Operation, is_serializable};

fn op(called: u64, returned: u64, action: Action) -> Operation {
    Operation { called, returned: (returned > 0).then_some(returned), action }
}

fn read(found: &[(usize, i64)]) -> Action {
    Action::Read(found.to_vec())
}

fn write(found: &[(usize, i64)], add: &[(usize, i64)]) -> Action {
    let change = add.iter().map(|(at, amount)| (*at, Change::Add(*amount))).collect();
    Action::Write { found: found.to_vec(), change }
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

/// A long history of several clients, in which every write says what it found; then with one value from the future.
#[test]
fn long_histories_are_checked() {
    let (mut history, mut at) = (Vec::new(), 0);
    let mut last = [0, 0];
    for number in 1..2_000 {
        let register = usize::from(number % 3 == 0);
        let found = vec![(register, last[register])];
        last[register] = number;
        let change = vec![(register, Change::Set(number))];
        // Five at a time overlap.
        let action = Action::Write { found, change };
        history.push(Operation { called: at, returned: Some(at + 50), action });
        at += 10;
    }
    for called in [100, 5_000, 9_000] {
        let change = vec![(0, Change::Set(-1))];
        let action = Action::Write { found: Vec::new(), change };
        history.push(Operation { called, returned: None, action });
    }
    assert!(is_serializable(&vec![0, 0], &history));
    history.push(op(5_001, 5_002, read(&[(0, 1_999)])));
    assert!(!is_serializable(&vec![0, 0], &history));
}
