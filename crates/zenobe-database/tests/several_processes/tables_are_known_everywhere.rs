//! What one process does to a table holds for all at once: no write goes to a table that is gone.

use zenobe_model::ErrorCode;
use zenobe_model::operation::ResourceStatus;

use super::processes::*;
use super::support::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_of_one_process_takes_items_of_another_at_once() {
    let store = shared_store().await;
    let one = Process::start(&store).await;
    let other = Process::start_ahead(&store, 60_000).await;
    for round in 0..times(20, 4) {
        // The same name with another key each time.
        let (made, key) = if round % 2 == 0 { ("a:S", "H:a") } else { ("b:S", "H:b") };
        create_table(&one.db, create("Music", made, key)).await.unwrap();
        let text = if round % 2 == 0 { "a=1 b=2" } else { "b=1 a=2" };
        put(&other.db, "Music", text).await.unwrap();
        assert_eq!(scan(&one.db, "Music", None).await.unwrap().len(), 1);
        assert_eq!(list(&other.db, None, None).await.table_names, ["Music"]);
        delete_table(if round % 3 == 0 { &one.db } else { &other.db }, "Music").await.unwrap();
        let late = put(&one.db, "Music", text).await;
        if let Err(error) = late {
            assert_eq!(error.code, ErrorCode::ResourceNotFound);
        }
    }
}

/// Both processes make, change and delete the same tables at the same time.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn both_change_the_same_tables_at_once() {
    let store = shared_store().await;
    let (one, other) = (Process::start(&store).await, Process::start(&store).await);
    let mut tasks = Vec::new();
    for (seed, db) in (0..4).zip([&one.db, &other.db, &one.db, &other.db]) {
        let db = db.clone();
        tasks.push(tokio::spawn(async move {
            let (mut numbers, mut done) = (Numbers(seed), 0);
            for _ in 0..times(40, 12) {
                let name = format!("T{}x", numbers.next(2));
                let result = match numbers.next(4) {
                    0 => delete_table(&db, &name).await.map(drop),
                    1 => {
                        let mut request = update(&name);
                        request.deletion_protection_enabled = Some(false);
                        request.attribute_definitions = Some(definitions("pk:S g:S"));
                        request.deletion_protection_enabled = None;
                        let index = gsi("ByG", "H:g", "ALL");
                        request.global_secondary_index_updates = Some(create_index(index));
                        update_table(&db, request).await.map(drop)
                    }
                    2 => put(&db, &name, "pk=1 g=2").await,
                    _ => create_table(&db, create(&name, "pk:S", "H:pk")).await.map(drop),
                };
                match result {
                    Ok(()) => done += 1,
                    Err(error) => assert!(
                        matches!(
                            error.code,
                            ErrorCode::ResourceInUse
                                | ErrorCode::ResourceNotFound
                                | ErrorCode::Validation
                                | ErrorCode::LimitExceeded
                        ),
                        "{error:?}"
                    ),
                }
            }
            done
        }));
    }
    let mut done = 0;
    for task in tasks {
        done += task.await.unwrap();
    }
    assert!(done > times(20, 6), "{done}");
    let names = list(&one.db, None, None).await.table_names;
    assert_eq!(list(&other.db, None, None).await.table_names, names);
    let mut spaces = 0;
    for name in &names {
        one.until_active(name).await;
        let description = describe(&other.db, name).await.unwrap();
        spaces += 1 + description.global_secondary_indexes.len();
    }
    // Nothing is left of what was given up or deleted.
    while table_spaces(one.db.engine()).await != spaces {
        tokio::task::yield_now().await;
    }
}

/// As long as another process does not follow it, a table is being created; a changed one is being updated.
#[tokio::test]
async fn a_table_is_active_when_all_follow_it() {
    let store = shared_store().await;
    let (one, mut other) = (Process::start(&store).await, Process::start(&store).await);
    let status =
        async |process: &Process| describe(&process.db, "Music").await.unwrap().table_status;
    other.halt().await;
    create_table(&one.db, create("Music", "pk:S", "H:pk")).await.unwrap();
    assert_eq!(status(&one).await, ResourceStatus::Creating);
    other.resume();
    one.until_active("Music").await;
    other.halt().await;
    let mut request = update("Music");
    request.deletion_protection_enabled = Some(true);
    update_table(&one.db, request).await.unwrap();
    assert_eq!(status(&one).await, ResourceStatus::Updating);
    other.resume();
    one.until_active("Music").await;
    other.until_active("Music").await;
}
