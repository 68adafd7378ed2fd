//! A bank in which one call of the engine goes wrong: no money is lost or made, what was acknowledged
//! has happened, a client that tries again gets where it wants, and nothing is left behind.

use std::pin::{Pin, pin};
use std::sync::Arc;

use zenobe_database::Database;
use zenobe_model::{ErrorCode, ServiceError};
use zenobe_storage::memory::{Call, CommitFault, FaultScript};
use zenobe_storage::{Engine, EngineError};

use super::stepwise::{Steps, Stepwise};
use super::support::*;

const TRANSFERS: [(&str, &str, i64); 5] =
    [("a", "b", 10), ("c", "d", 20), ("b", "c", 30), ("d", "a", 5), ("a", "d", 7)];
/// How often anything is tried again. One fault needs few.
const TRIES: usize = 4;

fn unavailable() -> EngineError {
    EngineError::Unavailable("injected".to_owned())
}

/// Tries until it works. What is in the way of a dead transaction is not for ever.
async fn insist<T>(
    environment: &TestEnvironment,
    mut attempt: impl AsyncFnMut() -> Result<T, ServiceError>,
) -> T {
    let mut last = None;
    for _ in 0..TRIES {
        match attempt().await {
            Ok(done) => return done,
            Err(error) => last = Some(error),
        }
        environment.advance(6_000);
    }
    panic!("does not get done: {last:?}");
}

/// Tries a transfer until it has happened, as a client without a token does: its note tells whether
/// it has.
async fn pay(db: &Database, environment: &TestEnvironment, id: usize) {
    let (from, to, amount) = TRANSFERS[id];
    for _ in 0..TRIES {
        match transact(db, transfer(from, to, amount, id)).await {
            Ok(_) => return,
            Err(error) if error.code == ErrorCode::TransactionCanceled => {
                let there = insist(environment, async || read(db, &format!("transfer {id}")).await);
                if there.await.is_some() {
                    return;
                }
            }
            Err(_) => {}
        }
        environment.advance(6_000);
    }
    panic!("transfer {id} does not get done");
}

/// How many commits it took until all transfers were made.
async fn live(global: bool, faults: &Arc<FaultScript>, plan: impl Fn(&FaultScript)) -> u64 {
    let engine = faulty_engine(global, faults.clone());
    let environment = process(1);
    let mine = open(&engine, &environment).await;
    found(&mine).await;
    // Another process over the same engine, which takes no latch of the first.
    let theirs = open(&engine, &process(2)).await;
    faults.reset();
    plan(faults);
    let mut done = Vec::new();
    for (id, (from, to, amount)) in TRANSFERS.into_iter().enumerate() {
        let result = transact(&mine, transfer(from, to, amount, id)).await;
        done.push(result.is_ok());
        if id == 1 {
            // Somebody else is in the way, and pays no heed to what went wrong.
            let seen = insist(&environment, async || read(&theirs, "d").await).await;
            assert!(seen.is_some());
        }
        if id == 2 {
            environment.advance(6_000);
            insist(&environment, async || read_together(&theirs, &ACCOUNTS).await).await;
        }
    }
    let happened = {
        let reader = open_after(&engine, &environment).await;
        audit_when_quiet(&reader, &environment).await
    };
    for (id, (done, happened)) in done.into_iter().zip(happened).enumerate() {
        assert!(happened || !done, "transfer {id} was acknowledged and did not happen");
    }
    for id in 0..TRANSFERS.len() {
        pay(&mine, &environment, id).await;
    }
    let commits = faults.commit_count();
    faults.reset();
    let happened = audit(&theirs, &TRANSFERS, |_| 0).await;
    assert_eq!(happened, [true; TRANSFERS.len()]);
    let reader = open_after(&engine, &environment).await;
    clear(&reader, &engine, &environment).await;
    commits
}

/// A process that starts when the others are done: nothing is in its memory.
async fn open_after(engine: &Arc<dyn Engine>, environment: &Arc<TestEnvironment>) -> Database {
    for _ in 0..TRIES {
        let config = zenobe_database::DatabaseConfig::default();
        let opened = Database::open(Arc::clone(engine), environment.clone(), config).await;
        if let Ok(db) = opened {
            return db;
        }
    }
    panic!("the database does not open");
}

async fn audit_when_quiet(db: &Database, environment: &TestEnvironment) -> Vec<bool> {
    // The one fault may still be to come: a read that fails is read again.
    insist(environment, async || read_together(db, &ACCOUNTS).await).await;
    insist(environment, async || read(db, "a").await).await;
    audit(db, &TRANSFERS, |_| 0).await
}

async fn any_commit(global: bool) {
    let faults = Arc::new(FaultScript::new());
    let commits = live(global, &faults, |_| ()).await;
    assert!(commits >= TRANSFERS.len() as u64);
    for ordinal in 0..commits {
        for fault in CommitFault::each(unavailable()) {
            // Shown when the test fails.
            println!("commit {ordinal}: {fault:?}");
            live(global, &faults, |faults| faults.at_commit(ordinal, fault.clone())).await;
        }
    }
}

#[tokio::test]
async fn any_commit_in_two_phases() {
    any_commit(false).await;
}

#[tokio::test]
async fn any_commit_at_once() {
    any_commit(true).await;
}

/// Transfers only: a fault in the audit is no fault of a transaction.
async fn any_other_call(global: bool) {
    let faults = Arc::new(FaultScript::new());
    let engine_of = |faults: &Arc<FaultScript>| faulty_engine(global, faults.clone());
    for call in [Call::Get, Call::MultiGet, Call::Durable, Call::Commit, Call::Snapshot] {
        for ordinal in 0.. {
            let engine = engine_of(&faults);
            let environment = process(1);
            let db = open(&engine, &environment).await;
            found(&db).await;
            faults.reset();
            faults.at_call(call, ordinal, unavailable());
            let mut done = Vec::new();
            for (id, (from, to, amount)) in TRANSFERS.into_iter().enumerate() {
                done.push(transact(&db, transfer(from, to, amount, id)).await.is_ok());
                done.push(read_together(&db, &["a", "d"]).await.is_ok());
                environment.advance(6_000);
            }
            let met = faults.call_count(call) > ordinal;
            faults.reset();
            println!("{call:?} {ordinal}: {done:?}");
            let happened = audit(&open(&engine, &environment).await, &TRANSFERS, |_| 0).await;
            for (done, happened) in done.iter().step_by(2).zip(happened) {
                assert!(happened || !done);
            }
            clear(&db, &engine, &environment).await;
            if !met {
                break;
            }
        }
    }
}

#[tokio::test]
async fn any_other_call_in_two_phases() {
    any_other_call(false).await;
}

#[tokio::test]
async fn any_other_call_at_once() {
    any_other_call(true).await;
}

/// A write of one commit that arrives late happens once, be it a transaction or not.
#[tokio::test]
async fn a_late_single_commit_happens_once() {
    for global in [true, false] {
        let faults = Arc::new(FaultScript::new());
        let engine = faulty_engine(global, faults.clone());
        let environment = process(1);
        let db = open(&engine, &environment).await;
        found(&db).await;
        for fault in [
            CommitFault::UnknownDelayed,
            CommitFault::UnknownCommitted,
            CommitFault::UnknownNotCommitted,
        ] {
            let before = read_together(&db, &["a", "c", "d"]).await.unwrap();
            faults.at_next_commit(fault.clone());
            let alone = add_alone(&db, "a", 1).await.unwrap();
            assert_eq!(Some(alone), before[0].map(|a| a + 1));
            faults.at_next_commit(fault.clone());
            transact(&db, vec![add("a", 1)]).await.unwrap();
            faults.at_next_commit(fault.clone());
            transact(&db, vec![add("c", 1), add("d", -1)]).await.unwrap();
            let after = read_together(&db, &["a", "c", "d"]).await.unwrap();
            let changes =
                before.iter().zip(after).map(|(before, after)| after.unwrap() - before.unwrap());
            assert_eq!(changes.collect::<Vec<_>>(), [2, 1, -1], "{fault:?}");
        }
    }
}

/// Runs a future up to behind its first commit, which does not happen, and of which nobody knows that.
async fn run_to_unknown<T>(
    faults: &FaultScript,
    steps: &Steps,
    mut future: Pin<&mut impl Future<Output = T>>,
) {
    let before = faults.commit_count();
    faults.at_next_commit(CommitFault::UnknownNotCommitted);
    while faults.commit_count() == before {
        assert!(steps.run(future.as_mut(), 1).await.is_none());
    }
    steps.free();
}

/// Two processes that have done the same add the same at the same time: what one made is not taken for the other's.
#[tokio::test]
async fn a_write_by_others_is_not_taken_for_ones_own() {
    for global in [true, false] {
        let faults = Arc::new(FaultScript::new());
        let engine = faulty_engine(global, faults.clone());
        found(&open(&engine, &process(1)).await).await;
        let theirs = open(&engine, &process(2)).await;
        let (stepwise, steps) = Stepwise::over(&engine);
        let stepwise = open(&stepwise, &process(3)).await;
        let mut mine = pin!(add_alone(&stepwise, "a", 5));
        run_to_unknown(&faults, &steps, mine.as_mut()).await;
        assert_eq!(add_alone(&theirs, "a", 5).await.unwrap(), 105);
        assert_eq!(mine.await.unwrap_err().code, ErrorCode::InternalServer);
        assert_eq!(read(&theirs, "a").await.unwrap(), Some(105));
    }
}

/// Nobody can tell by whom an item was deleted: of a transaction that did more, that is not taken for its own.
#[tokio::test]
async fn a_deletion_by_others_is_not_taken_for_ones_own() {
    for global in [true, false] {
        let faults = Arc::new(FaultScript::new());
        let engine = faulty_engine(global, faults.clone());
        let db = open(&engine, &process(1)).await;
        found(&db).await;
        let theirs = open(&engine, &process(2)).await;
        let (stepwise, steps) = Stepwise::over(&engine);
        let stepwise = open(&stepwise, &process(3)).await;
        let mut mine = pin!(transact(&stepwise, vec![check("c", 100), delete("d")]));
        run_to_unknown(&faults, &steps, mine.as_mut()).await;
        transact(&theirs, vec![add("c", 1), delete("d")]).await.unwrap();
        assert_eq!(mine.await.unwrap_err().code, ErrorCode::InternalServer);
    }
}

/// Whoever is told that the service was too busy can rely on it that nothing happened.
async fn what_may_have_happened_is_not_called_refused(global: bool) {
    let faults = Arc::new(FaultScript::new());
    let engine = faulty_engine(global, faults.clone());
    let environment = process(1);
    let db = open(&engine, &environment).await;
    found(&db).await;
    let overloaded = EngineError::Overloaded("busy".to_owned());
    let mut doubtful = 0;
    for (call, ordinal) in [Call::Get, Call::MultiGet, Call::Commit]
        .into_iter()
        .flat_map(|call| (0..8).map(move |ordinal| (call, ordinal)))
    {
        for (commit, fault) in (0..6).flat_map(|commit| {
            [CommitFault::UnknownCommitted, CommitFault::UnknownDelayed]
                .map(|fault| (commit, fault))
        }) {
            for alone in [true, false] {
                let before = read(&db, "a").await.unwrap();
                faults.reset();
                faults.at_commit(commit, fault.clone());
                faults.at_call(call, ordinal, overloaded.clone());
                let error = if alone {
                    add_alone(&db, "a", 1).await.err()
                } else {
                    transact(&db, vec![add("a", 1), add("c", 1)]).await.err()
                };
                faults.reset();
                environment.advance(6_000);
                // What is late arrives before the next commit.
                insist(&environment, async || add_alone(&db, "d", 1).await).await;
                let after = insist(&environment, async || read(&db, "a").await).await;
                if let Some(error) = error
                    && after != before
                {
                    assert_eq!(
                        error.code,
                        ErrorCode::InternalServer,
                        "{call:?} {ordinal}, {fault:?} {commit}"
                    );
                    doubtful += 1;
                }
            }
        }
    }
    assert!(doubtful > 0);
}

#[tokio::test]
async fn what_may_have_happened_at_once_is_not_called_refused() {
    what_may_have_happened_is_not_called_refused(true).await;
}

#[tokio::test]
async fn what_may_have_happened_in_two_phases_is_not_called_refused() {
    what_may_have_happened_is_not_called_refused(false).await;
}
