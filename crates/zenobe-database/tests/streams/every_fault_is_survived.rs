//! A life of a stream in which one call of the engine goes wrong: whoever tries again gets where they
//! want, and the stream has every change once and in order, before and after a restart.

use std::sync::Arc;

use zenobe_database::Database;
use zenobe_model::ServiceError;
use zenobe_model::operation::*;
use zenobe_storage::memory::{Call, CommitFault, FaultScript, MemoryEngine, MemoryOptions};
use zenobe_storage::{Engine, EngineError};

use super::reading::*;
use super::support::*;

/// How often anything is tried again. One fault needs few.
const TRIES: usize = 5;

fn unavailable() -> EngineError {
    EngineError::Unavailable("injected".to_owned())
}

async fn insist<T>(
    what: &str,
    done_already: &str,
    mut attempt: impl AsyncFnMut() -> Result<T, ServiceError>,
) {
    for _ in 0..TRIES {
        match attempt().await {
            Ok(_) => return,
            Err(error) if error.message.contains(done_already) => return,
            Err(_) => {}
        }
    }
    panic!("{what} does not get done");
}

async fn reopen(engine: &Arc<dyn Engine>, environment: &Arc<TestEnvironment>) -> Database {
    for _ in 0..TRIES {
        let config = zenobe_database::DatabaseConfig::default();
        let opened = Database::open(Arc::clone(engine), environment.clone(), config).await;
        if let Ok(db) = opened {
            return db;
        }
    }
    panic!("the database does not open");
}

async fn settled(db: &Database) {
    for _ in 0..TRIES {
        if db.run_background_until_idle().await.is_ok() {
            return;
        }
    }
    panic!("background work does not get done");
}

async fn live(engine: &Arc<dyn Engine>) {
    let environment = TestEnvironment::new();
    let db = reopen(engine, &environment).await;
    insist("CreateTable", "already exists", async || {
        create_table(&db, with_stream("Music", StreamViewType::NewAndOldImages)).await
    })
    .await;
    settled(&db).await;
    let mut expected = Vec::new();
    for n in 0..4 {
        let item = format!("pk=1 sk={n}");
        insist("PutItem", "never", async || put(&db, "Music", &item).await).await;
        expected.push(format!("INSERT {item}: - -> {item}"));
        environment.advance(4 * HOUR_MS);
        insist("upkeep", "never", async || db.maintain_streams().await).await;
    }
    let arn = describe(&db, "Music").await.unwrap().latest_stream_arn.unwrap();
    as_expected(&db, &arn, &expected).await;
    as_expected(&reopen(engine, &environment).await, &arn, &expected).await;
    let db = reopen(engine, &environment).await;
    insist("PutItem", "never", async || put(&db, "Music", "pk=1 sk=9").await).await;
    expected.push("INSERT pk=1 sk=9: - -> pk=1 sk=9".to_owned());
    insist("no stream", "no stream to disable", async || {
        update_table(&db, set_stream("Music", None)).await
    })
    .await;
    settled(&db).await;
    as_expected(&db, &arn, &expected).await;
    insist("DeleteTable", "not found", async || delete_table(&db, "Music").await).await;
    settled(&db).await;
    as_expected(&db, &arn, &expected).await;
    as_expected(&reopen(engine, &environment).await, &arn, &expected).await;
}

async fn as_expected(db: &Database, arn: &str, expected: &[String]) {
    let found: Vec<String> = read_all(db, arn).await.iter().map(text).collect();
    assert_eq!(found, expected);
}

async fn live_with(plan: impl Fn(&FaultScript)) -> Arc<FaultScript> {
    let faults = Arc::new(FaultScript::new());
    plan(&faults);
    let engine: Arc<dyn Engine> = Arc::new(MemoryEngine::new(MemoryOptions {
        faults: Some(faults.clone()),
        ..MemoryOptions::default()
    }));
    live(&engine).await;
    faults
}

#[tokio::test]
async fn any_commit() {
    let commits = live_with(|_| ()).await.commit_count();
    assert!(commits > 10);
    for ordinal in 0..commits {
        for fault in CommitFault::each(unavailable()) {
            // Shown when the test fails.
            println!("commit {ordinal}: {fault:?}");
            live_with(|faults| faults.at_commit(ordinal, fault.clone())).await;
        }
    }
}

#[tokio::test]
async fn any_other_call_that_changes_something() {
    let all = live_with(|_| ()).await;
    for call in [Call::Durable, Call::CreateSpace, Call::DropSpace, Call::LogTrim] {
        for ordinal in 0..all.call_count(call) {
            live_with(|faults| faults.at_call(call, ordinal, unavailable())).await;
        }
    }
}
