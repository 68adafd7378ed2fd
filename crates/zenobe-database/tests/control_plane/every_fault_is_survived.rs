//! A life of a table in which one call of the engine goes wrong: a client that tries again gets
//! where it wants, what readers see is what is stored, and nothing is left behind.

use std::sync::Arc;

use zenobe_database::{Database, DatabaseConfig};
use zenobe_model::operation::*;
use zenobe_storage::memory::{Call, CommitFault, FaultScript, MemoryEngine, MemoryOptions};
use zenobe_storage::{Engine, EngineError};

use super::support::*;

/// How often anything is tried again. One fault needs few.
const TRIES: usize = 5;

fn unavailable() -> EngineError {
    EngineError::Unavailable("injected".to_owned())
}

async fn background(db: &Database) {
    for _ in 0..TRIES {
        if db.run_background_until_idle().await.is_ok() {
            return;
        }
    }
    panic!("background work does not get done");
}

/// Tries until it works or was done already.
async fn insist<T>(
    what: &str,
    done_already: &str,
    mut attempt: impl AsyncFnMut() -> Result<T, zenobe_model::ServiceError>,
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

async fn reopen(engine: &Arc<dyn Engine>) -> Database {
    for _ in 0..TRIES {
        let config = DatabaseConfig::default();
        let opened = Database::open(Arc::clone(engine), TestEnvironment::new(), config).await;
        if let Ok(db) = opened {
            return db;
        }
    }
    panic!("the database does not open");
}

async fn live(engine: &Arc<dyn Engine>) {
    let db = reopen(engine).await;
    insist("CreateTable", "already exists", async || {
        create_table(&db, create("Music", "pk:S", "H:pk")).await
    })
    .await;
    background(&db).await;
    for pk in 0..5 {
        let item = format!("pk={pk} g=x");
        insist("PutItem", "never", async || put(&db, "Music", &item).await).await;
    }
    insist("the index", "already exists", async || {
        let request = UpdateTableRequest {
            attribute_definitions: Some(definitions("g:S")),
            global_secondary_index_updates: Some(create_index(gsi("ByG", "H:g", "ALL"))),
            ..update("Music")
        };
        update_table(&db, request).await
    })
    .await;
    background(&db).await;
    let entries = scan(&db, "Music", Some("ByG")).await.unwrap();
    assert_eq!(entries.len(), 5);
    as_stored(&db, engine).await;
    expire(&db, engine).await;

    insist("no index", "not found", async || {
        let request = UpdateTableRequest {
            global_secondary_index_updates: Some(delete_index("ByG")),
            ..update("Music")
        };
        match update_table(&db, request).await {
            Err(error) if error.message.contains("being deleted") => {
                background(&db).await;
                Err(error)
            }
            other => other,
        }
    })
    .await;
    background(&db).await;
    as_stored(&db, engine).await;
    insist("DeleteTable", "not found", async || delete_table(&db, "Music").await).await;
    background(&db).await;
    as_stored(&db, engine).await;
    assert_eq!(table_spaces(engine).await, 0, "spaces are left over");
}

/// Time to live comes, deletes what it should, and goes.
async fn expire(db: &Database, engine: &Arc<dyn Engine>) {
    for (pk, t) in [("old", START_MS / 1000 - 1), ("young", START_MS / 1000 + 1)] {
        let item = expiring(&format!("pk={pk} g=x"), t);
        insist("PutItem", "never", async || put_item(db, "Music", item.clone()).await).await;
    }
    insist("time to live", "already enabled", async || update_ttl(db, "Music", true, "t").await)
        .await;
    background(db).await;
    for _ in 0..TRIES {
        let _ = db.delete_expired().await;
    }
    assert_eq!(scan(db, "Music", None).await.unwrap().len(), 6);
    assert_eq!(scan(db, "Music", Some("ByG")).await.unwrap().len(), 6);
    let space = engine.spaces().await.unwrap().last().copied().unwrap();
    let young = vec![(START_MS / 1000 + 1, "young".to_owned())];
    assert_eq!(expiry_entries(engine, space).await, young);
    insist("no time to live", "already disabled", async || {
        update_ttl(db, "Music", false, "t").await
    })
    .await;
    background(db).await;
    as_stored(db, engine).await;
}

/// What readers see is what the next process will see.
async fn as_stored(db: &Database, engine: &Arc<dyn Engine>) {
    let stored = reopen(engine).await;
    let here = describe(db, "Music").await.map(|table| schema_of(&table));
    let there = describe(&stored, "Music").await.map(|table| schema_of(&table));
    assert_eq!(here, there);
}

fn schema_of(table: &TableDescription) -> String {
    format!(
        "{} {:?} {:?} {:?}",
        table.table_id,
        table.table_status,
        table.attribute_definitions,
        table
            .global_secondary_indexes
            .iter()
            .map(|index| (&index.index_name, index.index_status))
            .collect::<Vec<_>>()
    )
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
    for call in [Call::Durable, Call::CreateSpace, Call::DropSpace] {
        for ordinal in 0..all.call_count(call) {
            live_with(|faults| faults.at_call(call, ordinal, unavailable())).await;
        }
    }
}
