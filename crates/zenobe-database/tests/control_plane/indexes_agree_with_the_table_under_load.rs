//! Indexes that come and go on several threads while others write: whenever the writers rest, an
//! index holds exactly what follows from the table.

use std::sync::Arc;

use zenobe_database::Database;
use zenobe_model::operation::*;

use super::support::*;

const ROUNDS: u64 = 8;
const WRITERS: u64 = 4;
const WRITES: u64 = 150;
const KEYS: u64 = 40;

/// Numbers that look random and are the same in every run.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.0 >> 33) % below
    }
}

async fn write(db: Database, seed: u64) {
    let mut numbers = Numbers(seed);
    for _ in 0..times(WRITES, 50) {
        let pk = numbers.next(KEYS);
        match numbers.next(5) {
            0 => delete(&db, "Music", &format!("pk={pk}")).await.unwrap(),
            1 => put(&db, "Music", &format!("pk={pk} other=x")).await.unwrap(),
            group => put(&db, "Music", &format!("pk={pk} g={group}")).await.unwrap(),
        }
        tokio::task::yield_now().await;
    }
}

async fn under_load(db: &Database, round: u64, change: UpdateTableRequest) {
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| tokio::spawn(write(db.clone(), round * WRITERS + writer)))
        .collect();
    tokio::task::yield_now().await;
    update_table(db, change).await.unwrap();
    db.run_background_until_idle().await.unwrap();
    for writer in writers {
        writer.await.unwrap();
    }
    db.run_background_until_idle().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn whatever_the_threads_do() {
    let engine = engine().await;
    let db = open(&engine).await;
    create_table(&db, create("Music", "pk:S", "H:pk")).await.unwrap();
    for round in 0..times(ROUNDS, 2) {
        let add = UpdateTableRequest {
            attribute_definitions: Some(definitions("g:S")),
            global_secondary_index_updates: Some(create_index(gsi("ByG", "H:g", "ALL"))),
            ..update("Music")
        };
        under_load(&db, 2 * round, add).await;
        until_derived(&engine).await;
        let table = scan(&db, "Music", None).await.unwrap();
        let expected: Vec<String> =
            table.iter().filter(|item| item.starts_with("g=")).cloned().collect();
        assert_eq!(scan(&db, "Music", Some("ByG")).await.unwrap(), expected);
        let figures = describe(&db, "Music").await.unwrap();
        assert_eq!(figures.item_count, table.len() as u64);
        // Where others may write, too, it is about right.
        if !engine.capabilities().shared {
            let index = figures.global_secondary_indexes.first().unwrap();
            assert_eq!(index.item_count, expected.len() as u64);
        }

        let remove = UpdateTableRequest {
            global_secondary_index_updates: Some(delete_index("ByG")),
            ..update("Music")
        };
        under_load(&db, 2 * round + 1, remove).await;
        assert!(describe(&db, "Music").await.unwrap().global_secondary_indexes.is_empty());
        assert_eq!(table_spaces(&engine).await, 1);
    }
    assert_eq!(Arc::strong_count(&engine), 2);
}
