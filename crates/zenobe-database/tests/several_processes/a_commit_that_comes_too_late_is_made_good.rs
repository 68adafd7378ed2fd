//! A process is stopped in the middle of a commit, others take it for dead and make an index; when it goes on, the
//! commit happens after all. The index has the item's entry by the time at which the client is answered.

use super::processes::*;
use super::support::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 6)]
async fn the_entry_is_there_when_the_client_is_answered() {
    let (store, faults) = HoldUp::over_store(b"heldup");
    faults.begin();
    let one = Process::start(&store).await;
    let mut other = Process::start(&store).await;
    create_table(&one.db, create("Music", "pk:S", "H:pk")).await.unwrap();
    put(&other.db, "Music", "pk=1 g=old").await.unwrap();
    one.until_active("Music").await;

    other.halt().await;
    let db = other.db.clone();
    let late = tokio::spawn(async move { put(&db, "Music", "pk=1 g=new word=heldup").await });
    faults.until_waiting().await;
    let mut request = update("Music");
    request.attribute_definitions = Some(definitions("g:S"));
    request.global_secondary_index_updates = Some(create_index(gsi("ByG", "H:g", "KEYS_ONLY")));
    update_table(&one.db, request).await.unwrap();
    other.environment.pass(60_000);
    for _ in 0..8 {
        one.pass(6_000).await;
    }
    one.until_active("Music").await;
    assert_eq!(scan(&one.db, "Music", Some("ByG")).await.unwrap(), ["g=old pk=1"]);

    faults.let_go();
    late.await.unwrap().unwrap();
    assert_eq!(scan(&one.db, "Music", Some("ByG")).await.unwrap(), ["g=new pk=1"]);
    assert_eq!(scan(&one.db, "Music", None).await.unwrap(), ["g=new pk=1 word=heldup"]);
}
