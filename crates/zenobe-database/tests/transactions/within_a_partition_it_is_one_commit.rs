//! On an engine that commits within a partition a transaction of one partition is one commit, unless a token's
//! record goes with it or one commit cannot hold it.

use std::collections::BTreeMap;
use std::sync::Arc;

use zenobe_model::ErrorCode;
use zenobe_model::capacity::HalfUnits;
use zenobe_model::operation::{TransactWriteItem, TransactWriteItemsResponse};
use zenobe_storage::Engine;
use zenobe_storage::memory::{Call, FaultScript, MemoryEngine, MemoryOptions};

use super::support::*;

/// The reads and commits of a transaction.
async fn calls(faults: &FaultScript, run: impl Future<Output = ()>) -> [u64; 3] {
    let count = || [Call::Get, Call::MultiGet, Call::Commit].map(|call| faults.call_count(call));
    let before = count();
    run.await;
    let after = count();
    std::array::from_fn(|call| after[call] - before[call])
}

#[tokio::test]
async fn one_read_and_one_commit() {
    let faults = Arc::new(FaultScript::new());
    let engine = faulty_engine(false, faults.clone());
    let environment = process(1);
    let db = open(&engine, &environment).await;
    found(&db).await;
    let run = async |actions: Vec<TransactWriteItem>, token: Option<&str>| {
        calls(&faults, async { drop(transact_with(&db, actions, token).await.unwrap()) }).await
    };
    assert_eq!(run(vec![add("a", 1)], None).await, [0, 1, 1]);
    assert_eq!(run(vec![add("c", 1), check("d", 100)], None).await, [0, 1, 1]);
    // The partitions of two tables are two, whatever their keys.
    assert_eq!(run(vec![add("a", 1), add("c", 1)], None).await[2], 7);
    assert_eq!(run(vec![add("a", 1)], Some("token")).await[2], 4);
    let read = async { drop(read_together(&db, &["a"]).await.unwrap()) };
    // The intent and the item.
    assert_eq!(calls(&faults, read).await, [1, 1, 0]);
    assert_eq!(read_together(&db, &ACCOUNTS).await.unwrap(), [103, 100, 102, 100].map(Some));
    clear(&db, &engine, &environment).await;
}

#[tokio::test]
async fn it_costs_and_counts_as_in_two_phases() {
    let run = async |token: Option<&str>| {
        let engine = engine(false).await;
        let environment = process(1);
        let db = open(&engine, &environment).await;
        found(&db).await;
        let actions = vec![add("c", 1), add("d", 10)];
        let response = transact_with(&db, actions, token).await.unwrap();
        let extra = |name: &str| BTreeMap::from([("c", 1), ("d", 10)]).remove(name).unwrap_or(0);
        audit(&db, &[], extra).await;
        clear(&db, &engine, &environment).await;
        response
    };
    let (one, two) = (run(None).await, run(Some("token")).await);
    assert_eq!(one.consumed_capacity, two.consumed_capacity);
    let metrics = |of: &TransactWriteItemsResponse| format!("{:?}", of.item_collection_metrics);
    assert_eq!(metrics(&one), metrics(&two));
    let consumed = one.consumed_capacity.unwrap();
    assert_eq!(consumed[0].detail.as_ref().unwrap().table, HalfUnits(8));
    assert_eq!(one.item_collection_metrics.unwrap()["Shared"].len(), 2);
}

/// What one commit cannot hold goes in two phases, in which each item has a commit of its own.
#[tokio::test]
async fn what_is_too_large_for_one_commit_is_made_all_the_same() {
    let engine: Arc<dyn Engine> = Arc::new(MemoryEngine::new(MemoryOptions {
        global_commit: false,
        snapshot_read: false,
        commit_bytes_max: 2_500,
        ..MemoryOptions::default()
    }));
    let environment = process(1);
    let db = open(&engine, &environment).await;
    found(&db).await;
    let large = |name: &str| {
        let mut action = set(name, 7);
        action.update_expression = Some("SET n = :n, filler = :f".to_owned());
        let filler = Ok(s(&"f".repeat(700)));
        action.expression_attribute_values.as_mut().unwrap().insert(":f".to_owned(), filler);
        action
    };
    // Each item is in the table and in its index.
    transact(&db, vec![large("c"), large("d")]).await.unwrap();
    assert_eq!(read_together(&db, &["c", "d"]).await.unwrap(), [Some(7), Some(7)]);
    audit(&db, &[], |name| if ["c", "d"].contains(&name) { -93 } else { 0 }).await;
    clear(&db, &engine, &environment).await;
}

#[tokio::test]
async fn every_action_has_its_reason() {
    let engine = engine(false).await;
    let db = open(&engine, &process(1)).await;
    found(&db).await;
    let error = transact(&db, vec![add("d", 1), check("c", 1)]).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::TransactionCanceled);
    assert_eq!(codes(&error), ["None", "ConditionalCheckFailed"]);
    assert_eq!(read_together(&db, &ACCOUNTS).await.unwrap(), [Some(100); 4]);
}
