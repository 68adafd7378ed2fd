//! Many threads at once: nothing lost, nothing torn, one order.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

use super::EngineFactory;
use super::fixture::{Store, absent, at, bytes, commit_of, delete, key, key_in, on_threads, put};
use crate::history::{Action, Recorder, Swap, Value, check};
use crate::{Key, Lane, Outcome, Precondition, Read, Row, Version};

const THREADS: u64 = 6;

/// Random enough, and the same in every run as far as threads allow.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}

const fn dice(seed: u64) -> Dice {
    Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
}

fn number(row: Option<&Row>) -> Value {
    row.map(|row| u64::from_be_bytes(row.value.as_ref().try_into().unwrap()))
}

fn expectation(key: &Key, row: Option<&Row>) -> Precondition {
    match row {
        Some(row) => at(key.clone(), row.version),
        None => absent(key.clone()),
    }
}

/// Threads that add one to the same rows, each on the version that it read, lose nothing, and a version is
/// replaced once only.
pub async fn counters_lose_no_increment(factory: &dyn EngineFactory) {
    const INCREMENTS: u64 = 150;
    let store = Store::new(factory, "counters_lose_no_increment").await;
    let keys: Vec<Key> = (0..3_u8).map(|index| key([index % 2, 1], [index])).collect();
    let won: Mutex<HashSet<(Key, Option<Version>)>> = Mutex::default();
    on_threads(THREADS, |thread| {
        factory.block_on(Box::pin(async {
            let mut dice = dice(thread + 1);
            for _ in 0..INCREMENTS {
                let key = &keys[usize::try_from(dice.roll(3)).unwrap()];
                let mut row = store.engine.get(key.clone(), Read::Latest).await.unwrap();
                loop {
                    let next = number(row.as_ref()).unwrap_or(0) + 1;
                    let mutations = vec![put(key.clone(), next.to_be_bytes())];
                    let commit = commit_of(vec![expectation(key, row.as_ref())], mutations);
                    match store.try_commit(commit).await.unwrap() {
                        Outcome::Committed { .. } => break,
                        Outcome::Conflict { current: Some(current), .. } => row = current,
                        Outcome::Conflict { current: None, .. } => {
                            row = store.get(key.clone()).await
                        }
                        outcome @ (Outcome::Closed { .. } | Outcome::Unknown) => {
                            panic!("{outcome:?} without a reason")
                        }
                    }
                }
                assert!(
                    won.lock().insert((key.clone(), row.map(|row| row.version))),
                    "two commits on one version"
                );
            }
        }));
    });
    let mut sum = 0;
    for key in keys {
        sum += number(store.get(key).await.as_ref()).unwrap();
    }
    assert_eq!(sum, THREADS * INCREMENTS);
}

/// While one thread writes, what others read is whole, and strong reads never show an older row than before.
pub async fn reads_never_go_back(factory: &dyn EngineFactory) {
    const ROUNDS: u64 = 300;
    let store = Store::new(factory, "reads_never_go_back").await;
    let row = key("p", "s");
    let done = AtomicBool::new(false);
    let whole = |row: &Row| {
        let words: HashSet<&[u8]> = row.value.chunks(8).collect();
        assert_eq!((row.value.len(), words.len()), (800, 1), "a torn row");
        u64::from_be_bytes(row.value[..8].try_into().unwrap())
    };
    on_threads(4, |thread| {
        factory.block_on(Box::pin(async {
            if thread == 0 {
                for round in 0..ROUNDS {
                    store.put(row.clone(), round.to_be_bytes().repeat(100)).await;
                }
                done.store(true, Ordering::SeqCst);
                return;
            }
            let read = [Read::Latest, Read::Strong, Read::Eventual]
                [usize::try_from(thread - 1).unwrap()]
            .clone();
            let mut last = None;
            loop {
                let finished = done.load(Ordering::SeqCst);
                let found = store.engine.get(row.clone(), read.clone()).await.unwrap();
                let found = found.as_ref().map(|row| (row.version, whole(row)));
                if !matches!(read, Read::Eventual) {
                    assert!(found >= last, "{found:?} after {last:?}");
                    last = found;
                }
                if finished {
                    break;
                }
            }
            if !matches!(read, Read::Eventual) {
                assert_eq!(last.map(|(_, round)| round), Some(ROUNDS - 1));
            }
        }));
    });
}

/// Rows that are always written together are never seen apart in a snapshot.
pub async fn a_snapshot_never_shows_half_of_a_commit(factory: &dyn EngineFactory) {
    const ROUNDS: u64 = 150;
    let store = Store::new(factory, "a_snapshot_never_shows_half_of_a_commit").await;
    let capabilities = store.engine.capabilities();
    let rows: Vec<Key> = if capabilities.global_commit {
        (0..5_u8).map(|index| key([index, 1], "s")).collect()
    } else {
        (0..5_u8).map(|index| key_in(Lane(index), "p", "s")).collect()
    };
    let write = |value: &[u8]| {
        commit_of(Vec::new(), rows.iter().map(|key| put(key.clone(), value)).collect())
    };
    let (position, _) = store.commit(write(b"start")).await;
    store.engine.durable(position).await.unwrap();
    let writing = std::sync::atomic::AtomicU64::new(2);
    on_threads(4, |thread| {
        factory.block_on(Box::pin(async {
            if thread < 2 {
                for round in 0..ROUNDS {
                    store
                        .commit(write(&[thread.to_be_bytes(), round.to_be_bytes()].concat()))
                        .await;
                }
                writing.fetch_sub(1, Ordering::SeqCst);
                return;
            }
            let mut last = None;
            while capabilities.snapshot_read && writing.load(Ordering::SeqCst) > 0 {
                let snapshot = store.engine.snapshot().await.unwrap();
                assert!(last <= Some(snapshot.position()));
                last = Some(snapshot.position());
                let read = Read::Snapshot(Arc::clone(&snapshot));
                let found = store.engine.multi_get(rows.clone(), read.clone()).await.unwrap();
                assert!(
                    found.iter().all(|row| row.is_some() && *row == found[0]),
                    "half of a commit: {found:?}"
                );
                let again = store.engine.get(rows[4].clone(), read).await.unwrap();
                assert_eq!(again, found[4], "a snapshot that moved");
            }
        }));
    });
    let found = store.engine.multi_get(rows, Read::Strong).await.unwrap();
    assert!(
        found.iter().all(|row| row.is_some() && *row == found[0]),
        "two commits mixed: {found:?}"
    );
    assert_ne!(found[0].as_ref().map(|row| row.value.clone()), Some(bytes("start")));
}

/// One random operation, recorded.
async fn operate(store: &Store, key: &Key, recorder: &Recorder, dice: &mut Dice, value: u64) {
    let called = recorder.call();
    let kind = dice.roll(8);
    if kind < 3 {
        let row = store.get(key.clone()).await;
        recorder.returned(called, Action::Read { found: number(row.as_ref()) });
        return;
    }
    if kind < 5 {
        let (mutation, value) = match dice.roll(3) {
            0 => (delete(key.clone()), None),
            _ => (put(key.clone(), value.to_be_bytes()), Some(value)),
        };
        store.commit(commit_of(Vec::new(), vec![mutation])).await;
        recorder.returned(called, Action::Write { value });
        return;
    }
    let row = store.engine.get(key.clone(), Read::Latest).await.unwrap();
    recorder.returned(called, Action::Read { found: number(row.as_ref()) });
    let expected = number(row.as_ref());
    let commit = commit_of(
        vec![expectation(key, row.as_ref())],
        vec![put(key.clone(), value.to_be_bytes())],
    );
    let called = recorder.call();
    let outcome = store.try_commit(commit).await.unwrap();
    let action = |swap| Action::CompareAndSet { expected, new: Some(value), swap };
    match outcome {
        Outcome::Committed { .. } => recorder.returned(called, action(Swap::Done)),
        Outcome::Conflict { current, .. } => {
            let found = current.map(|row| number(row.as_ref()));
            recorder.returned(called, action(Swap::Refused { found }));
        }
        Outcome::Closed { .. } => panic!("a commit without records met a closed shard"),
        Outcome::Unknown => recorder.unknown(called, action(Swap::Done)),
    }
}

/// Reads, writes, deletions and compare-and-sets of many threads have an order that explains what each saw.
pub async fn registers_are_linearizable(factory: &dyn EngineFactory) {
    const OPERATIONS: u64 = 250;
    let store = Store::new(factory, "registers_are_linearizable").await;
    let registers: Vec<(Key, Recorder)> =
        (0..3_u8).map(|index| (key([index % 2, 1], [index]), Recorder::new())).collect();
    on_threads(THREADS, |thread| {
        factory.block_on(Box::pin(async {
            let mut dice = dice(thread + 100);
            for index in 0..OPERATIONS {
                let (key, recorder) = &registers[usize::try_from(dice.roll(3)).unwrap()];
                operate(&store, key, recorder, &mut dice, (thread << 32) + index).await;
            }
        }));
    });
    for (key, recorder) in registers {
        if let Err(error) = check(None, &recorder.into_history()) {
            panic!("{key:?}: {error}");
        }
    }
}
