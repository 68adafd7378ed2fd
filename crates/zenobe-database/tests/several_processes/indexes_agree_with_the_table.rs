//! Indexes that come and go in one process while others write: whenever the writers rest and everything is relayed,
//! an index holds exactly what follows from the table.

use zenobe_database::Database;
use zenobe_model::operation::*;
use zenobe_storage::memory::MemoryOptions;

use super::processes::*;
use super::support::*;

const ROUNDS: u64 = 6;
const WRITES: u64 = 120;
const KEYS: u64 = 30;

async fn write(db: Database, seed: u64) {
    let mut numbers = Numbers(seed);
    for _ in 0..times(WRITES, 30) {
        let pk = numbers.next(KEYS);
        match numbers.next(5) {
            0 => delete(&db, "Music", &format!("pk={pk}")).await.unwrap(),
            1 => put(&db, "Music", &format!("pk={pk} other=x")).await.unwrap(),
            group => put(&db, "Music", &format!("pk={pk} g={group}")).await.unwrap(),
        }
        tokio::task::yield_now().await;
    }
}

async fn under_load(processes: &[Process], round: u64, change: UpdateTableRequest) {
    let mut writers = Vec::new();
    for (number, process) in (0..).zip(processes) {
        for writer in 0..2 {
            let seed = (round * 16 + number) * 2 + writer;
            writers.push(tokio::spawn(write(process.db.clone(), seed)));
        }
    }
    tokio::task::yield_now().await;
    let changer = &processes[usize::try_from(round).unwrap() % processes.len()];
    update_table(&changer.db, change).await.unwrap();
    for writer in writers {
        writer.await.unwrap();
    }
    for process in processes {
        process.until_active("Music").await;
    }
}

async fn check(late_derived: bool) {
    let store = Store::new(MemoryOptions { late_derived, ..shared_options() }).await;
    let mut processes = Vec::new();
    for number in 0..3 {
        processes.push(Process::start_ahead(&store, number * 45_000).await);
    }
    create_table(&processes[0].db, create("Music", "pk:S", "H:pk")).await.unwrap();
    for round in 0..times(ROUNDS, 2) {
        let add = UpdateTableRequest {
            attribute_definitions: Some(definitions("g:S")),
            global_secondary_index_updates: Some(create_index(gsi("ByG", "H:g", "ALL"))),
            ..update("Music")
        };
        under_load(&processes, 2 * round, add).await;
        if let Store::Memory(engine) = &store {
            engine.relay();
        }
        for process in &processes {
            until_derived(process.db.engine()).await;
        }
        let table = scan(&processes[1].db, "Music", None).await.unwrap();
        let expected: Vec<String> =
            table.iter().filter(|item| item.starts_with("g=")).cloned().collect();
        for process in &processes {
            assert_eq!(scan(&process.db, "Music", Some("ByG")).await.unwrap(), expected);
        }
        let remove = UpdateTableRequest {
            global_secondary_index_updates: Some(delete_index("ByG")),
            ..update("Music")
        };
        under_load(&processes, 2 * round + 1, remove).await;
        while !describe(&processes[2].db, "Music")
            .await
            .unwrap()
            .global_secondary_indexes
            .is_empty()
        {
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn whatever_the_processes_do() {
    check(false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn even_if_entries_come_late_and_in_the_wrong_order() {
    check(true).await;
}
