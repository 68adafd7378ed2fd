//! What many clients of two processes see of transactions and single operations fits one order, with
//! either kind of engine, and while commits go wrong.

use std::sync::Arc;

use zenobe_database::Database;
use zenobe_model::error::Detail;
use zenobe_model::{ErrorCode, ServiceError};
use zenobe_storage::memory::{CommitFault, FaultScript};

use super::serializability::{Action, Change, Dice, Fate, Operation, Recorder, is_serializable};
use super::stepwise::Stepwise;
use super::support::*;

const CLIENTS: u64 = 6;
const OPERATIONS_PER_CLIENT: u64 = 8;
/// The accounts that share a partition.
const SHARED: (usize, usize) = (2, 3);

/// The registers that a cancelled transaction names as wrong; `None` if it met another transaction.
fn wrong(error: &ServiceError, registers: &[usize]) -> Option<Vec<usize>> {
    let Detail::Reasons(reasons) = &error.detail else { return None };
    let failed = |code| code == ErrorCode::ConditionalCheckFailed;
    let mut wrong = Vec::new();
    for (register, reason) in registers.iter().zip(reasons) {
        match &reason.error {
            None => {}
            Some((code, _)) if failed(*code) => wrong.push(*register),
            Some(_) => return None,
        }
    }
    Some(wrong)
}

/// Adds to registers in a transaction.
async fn add_together(db: &Database, add: Vec<(usize, i64)>) -> Fate {
    let action =
        |(register, amount): &(usize, i64)| super::support::add(ACCOUNTS[*register], *amount);
    let change = add.iter().map(|(register, amount)| (*register, Change::Add(*amount))).collect();
    let written = Action::Write { found: vec![], change };
    match transact(db, add.iter().map(action).collect()).await {
        Ok(_) => Fate::Told(written),
        Err(error) if error.code == ErrorCode::TransactionCanceled => Fate::Nothing,
        Err(_) => Fate::Unknown(written),
    }
}

async fn operate(db: &Database, dice: &mut Dice, known: &mut [i64; 4]) -> Fate {
    let (x, y) = dice.two(ACCOUNTS.len());
    // Two of the four share a partition: with them a transaction is one commit on any engine.
    let (x, y) = if dice.roll(3) == 0 { SHARED } else { (x, y) };
    let amount = i64::try_from(dice.roll(5)).unwrap() + 1;
    let change = vec![(x, Change::Add(amount))];
    match dice.roll(7) {
        0 => match read(db, ACCOUNTS[x]).await {
            Ok(found) => {
                known[x] = found.unwrap();
                Fate::Told(Action::Read(vec![(x, known[x])]))
            }
            Err(_) => Fate::Nothing,
        },
        1 => match read_together(db, &[ACCOUNTS[x], ACCOUNTS[y]]).await {
            Ok(found) => {
                (known[x], known[y]) = (found[0].unwrap(), found[1].unwrap());
                Fate::Told(Action::Read(vec![(x, known[x]), (y, known[y])]))
            }
            Err(_) => Fate::Nothing,
        },
        2 => match add_alone(db, ACCOUNTS[x], amount).await {
            Ok(now) => {
                known[x] = now;
                let found = vec![(x, now - amount)];
                Fate::Told(Action::Write { found, change })
            }
            Err(error) if error.code == ErrorCode::TransactionConflict => Fate::Nothing,
            Err(_) => Fate::Unknown(Action::Write { found: vec![], change }),
        },
        3 => match read_together(db, &[ACCOUNTS[x]]).await {
            Ok(found) => {
                known[x] = found[0].unwrap();
                Fate::Told(Action::Read(vec![(x, known[x])]))
            }
            Err(_) => Fate::Nothing,
        },
        4 => add_together(db, vec![(x, amount)]).await,
        5 => add_together(db, vec![(x, -amount), (y, amount)]).await,
        _ => {
            // Changes one register if another is what it was when it was last seen.
            let wanted = vec![(y, known[y])];
            let actions =
                vec![check(ACCOUNTS[y], known[y]), super::support::add(ACCOUNTS[x], amount)];
            match transact(db, actions).await {
                Ok(_) => Fate::Told(Action::Write { found: wanted, change }),
                Err(error) if error.code == ErrorCode::TransactionCanceled => {
                    match wrong(&error, &[y, x]) {
                        Some(wrong) => Fate::Told(Action::Refused { wanted, wrong }),
                        None => Fate::Nothing,
                    }
                }
                Err(_) => Fate::Unknown(Action::Write { found: wanted, change }),
            }
        }
    }
}

async fn history(global: bool, seed: u64, faulty: bool) -> Vec<Operation> {
    let faults = Arc::new(FaultScript::new());
    let engine = if faulty { faulty_engine(global, faults.clone()) } else { engine(global).await };
    let environment = process(1);
    // Clients change places at every call of the engine.
    let (first, _) = Stepwise::over(&engine);
    let first = open(&first, &environment).await;
    found(&first).await;
    let (second, _) = Stepwise::over(&engine);
    let second = open(&second, &process(2)).await;
    faults.reset();
    if faulty {
        let mut dice = Dice::new(seed.wrapping_mul(77));
        for _ in 0..4 {
            let fault = match dice.roll(4) {
                0 => CommitFault::UnknownCommitted,
                1 => CommitFault::UnknownNotCommitted,
                2 => CommitFault::UnknownDelayed,
                _ => CommitFault::HideCurrent,
            };
            faults.at_commit(dice.roll(60) as u64, fault);
        }
    }
    let recorder = Arc::new(Recorder::default());
    let mut clients = Vec::new();
    for client in 0..CLIENTS {
        let db = if client % 2 == 0 { first.clone() } else { second.clone() };
        let recorder = recorder.clone();
        clients.push(tokio::spawn(async move {
            let mut dice = Dice::new(seed * CLIENTS + client);
            let mut known = [BALANCE; 4];
            for _ in 0..OPERATIONS_PER_CLIENT {
                let called = recorder.call();
                recorder.told(called, operate(&db, &mut dice, &mut known).await);
                tokio::task::yield_now().await;
            }
        }));
    }
    for client in clients {
        client.await.unwrap();
    }
    // What the accounts hold in the end belongs to the history.
    environment.advance(6_000);
    faults.reset();
    let called = recorder.call();
    let end = read_together(&first, &ACCOUNTS).await.unwrap();
    let found = end.into_iter().map(Option::unwrap).enumerate().collect();
    recorder.told(called, Fate::Told(Action::Read(found)));
    recorder.history()
}

async fn check_many(global: bool, faulty: bool) {
    let mut told = 0;
    // Commits go wrong in memory only.
    let seeds = if faulty { 60 } else { times(60, 5) };
    for seed in 0..seeds {
        let history = history(global, seed, faulty).await;
        told += history.len();
        assert!(is_serializable(&vec![BALANCE; 4], &history), "seed {seed}: {history:#?}");
    }
    // Conflicts may not be all that there is.
    assert!(told > usize::try_from(seeds).unwrap() * 20, "{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn with_a_global_commit() {
    check_many(true, false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn in_two_phases() {
    check_many(false, false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn with_a_global_commit_while_commits_go_wrong() {
    check_many(true, true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn in_two_phases_while_commits_go_wrong() {
    check_many(false, true).await;
}
