//! A process that dies holds up changes of tables for half a minute, and no longer; one that was only held up may
//! not commit what it planned before.

use zenobe_model::ErrorCode;
use zenobe_model::operation::*;

use super::processes::*;
use super::support::*;

fn add_index() -> UpdateTableRequest {
    UpdateTableRequest {
        attribute_definitions: Some(definitions("g:S")),
        global_secondary_index_updates: Some(create_index(gsi("ByG", "H:g", "ALL"))),
        ..update("Music")
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_waits_for_the_dead_and_goes_on() {
    let store = shared_store().await;
    let one = Process::start(&store).await;
    let mut other = Process::start(&store).await;
    create_table(&one.db, create("Music", "pk:S", "H:pk")).await.unwrap();
    put(&other.db, "Music", "pk=1 g=x").await.unwrap();
    one.until_active("Music").await;
    other.halt().await;

    update_table(&one.db, add_index()).await.unwrap();
    for _ in 0..5 {
        one.environment.beat().await;
    }
    let waiting = describe(&one.db, "Music").await.unwrap();
    let index = &waiting.global_secondary_indexes[0];
    assert_eq!((index.index_status, index.backfilling), (ResourceStatus::Creating, Some(false)));

    // The other one still may write, as it knows the table; then it may not any more.
    put(&other.db, "Music", "pk=2 g=x").await.unwrap();
    other.environment.pass(11_000);
    let refused = put(&other.db, "Music", "pk=3 g=x").await.unwrap_err();
    assert_eq!(refused.code, ErrorCode::ServiceUnavailable);

    // Each step of time is shorter than this process's own lease.
    one.pass(9_000).await;
    for _ in 0..4 {
        one.pass(6_000).await;
    }
    one.until_active("Music").await;
    assert_eq!(scan(&one.db, "Music", Some("ByG")).await.unwrap().len(), 2);

    // It was held up only: it joins anew and knows the index.
    other.resume();
    loop {
        match put(&other.db, "Music", "pk=3 g=x").await {
            Ok(()) => break,
            Err(error) => assert_eq!(error.code, ErrorCode::ServiceUnavailable),
        }
        tokio::task::yield_now().await;
    }
    assert_eq!(scan(&other.db, "Music", Some("ByG")).await.unwrap().len(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_takes_leave_is_not_waited_for() {
    let store = shared_store().await;
    let one = Process::start(&store).await;
    let mut other = Process::start(&store).await;
    create_table(&other.db, create("Music", "pk:S", "H:pk")).await.unwrap();
    other.halt().await;
    other.db.leave().await.unwrap();
    update_table(&one.db, add_index()).await.unwrap();
    one.until_active("Music").await;
    let refused = put(&other.db, "Music", "pk=1").await.unwrap_err();
    assert_eq!(refused.code, ErrorCode::ServiceUnavailable);
}
