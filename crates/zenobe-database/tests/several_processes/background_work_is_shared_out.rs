//! Each piece of background work is done by one process, and goes on elsewhere when that one is gone.

use super::processes::*;
use super::support::*;

fn expired_deletions(process: &Process) -> u64 {
    let figures = process.db.figures();
    let deleted = figures.iter().find(|figure| figure.name == "expired_items_deleted_total");
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small count")]
    deleted.map_or(0, |figure| figure.value as u64)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn each_expired_item_is_deleted_once_and_by_all_processes() {
    let tables = times(12, 9);
    let items = times(40, 6);
    let store = shared_store().await;
    let mut processes = Vec::new();
    for _ in 0..3 {
        processes.push(Process::start(&store).await);
    }
    for table in 0..tables {
        let name = format!("Sessions{table}");
        let db = &processes[usize::try_from(table % 3).unwrap()].db;
        create_table(db, create(&name, "pk:S", "H:pk")).await.unwrap();
        update_ttl(db, &name, true, "t").await.unwrap();
        for pk in 0..items {
            let item = expiring(&format!("pk={pk}"), START_MS / 1000 + 60);
            put_item(&processes[usize::try_from(pk % 3).unwrap()].db, &name, item).await.unwrap();
        }
    }
    // In steps shorter than a lease; the clocks of all go on.
    for _ in 0..12 {
        for process in &processes {
            process.pass(8_000).await;
        }
    }
    let mut left = usize::MAX;
    while left > 0 {
        left = 0;
        for table in 0..tables {
            let name = format!("Sessions{table}");
            left += scan(&processes[0].db, &name, None).await.unwrap().len();
        }
        tokio::task::yield_now().await;
    }
    let deletions: Vec<u64> = processes.iter().map(expired_deletions).collect();
    assert_eq!(deletions.iter().sum::<u64>(), tables * items, "{deletions:?}");
    assert!(deletions.iter().filter(|count| **count > 0).count() > 1, "{deletions:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backfill_goes_on_where_a_process_took_leave() {
    let store = shared_store().await;
    let mut processes = Vec::new();
    for _ in 0..2 {
        processes.push(Process::start(&store).await);
    }
    create_table(&processes[0].db, create("Music", "pk:S", "H:pk")).await.unwrap();
    let many = times(1_000, 300);
    let items = (0..many).map(|pk| item(&format!("pk={pk} g={}", pk % 7)));
    put_all(&processes[0].db, "Music", items).await;
    // Whoever has the work leaves in the middle of it; the other one finishes.
    let mut request = update("Music");
    request.attribute_definitions = Some(definitions("g:S"));
    request.global_secondary_index_updates = Some(create_index(gsi("ByG", "H:g", "ALL")));
    update_table(&processes[0].db, request).await.unwrap();
    processes[1].environment.beat().await;
    processes[1].halt().await;
    processes[1].db.leave().await.unwrap();
    processes[0].until_active("Music").await;
    assert_eq!(scan(&processes[0].db, "Music", Some("ByG")).await.unwrap().len(), many);
    processes[0].db.engine().checkpoint().await.unwrap();
}
