//! What is stored about tables: it is there after a restart, and corruption is never absence.

use super::support::*;
use bytes::Bytes;
use zenobe_database::catalog::SPACE;
use zenobe_database::{DatabaseConfig, OpenError};
use zenobe_model::operation::*;
use zenobe_storage::{Commit, Direction, Lane, Mutation, PageLimit, RangeRead, Read, SortBound};

fn everything() -> CreateTableRequest {
    let mut request = create("Music", "pk:S sk:N a:B b:S", "H:pk R:sk");
    request.local_secondary_indexes = Some(vec![lsi("Local", "H:pk R:b", "INCLUDE x")]);
    request.global_secondary_indexes = Some(vec![gsi("Global", "H:a H:b R:sk", "KEYS_ONLY")]);
    request.stream_specification = Some(StreamSpecification {
        stream_enabled: true,
        stream_view_type: Some(StreamViewType::NewAndOldImages),
    });
    request.sse_specification =
        Some(SseSpecification { enabled: Some(true), ..SseSpecification::default() });
    request.table_class = Some(TableClass::StandardInfrequentAccess);
    request.deletion_protection_enabled = Some(true);
    request.on_demand_throughput = Some(OnDemandThroughput {
        max_read_request_units: Some(10),
        max_write_request_units: None,
    });
    request.warm_throughput = Some(WarmThroughput {
        read_units_per_second: Some(13_000),
        write_units_per_second: Some(5_000),
    });
    request.tags = Some(vec![GivenTag { key: Some("k".to_owned()), value: Some("v".to_owned()) }]);
    request
}

#[tokio::test]
async fn a_reopened_table_is_described_as_before() {
    let engine = engine().await;
    let db = open(&engine).await;
    create_table(&db, everything()).await.unwrap();
    create_table(&db, create("Gone", "pk:S", "H:pk")).await.unwrap();
    delete_table(&db, "Gone").await.unwrap();
    let before = describe(&db, "Music").await.unwrap();
    end(db).await;

    let db = open(&engine).await;
    let after = describe(&db, "Music").await.unwrap();
    assert_eq!(format!("{after:?}"), format!("{before:?}"));
    assert_eq!(list(&db, None, None).await.table_names, ["Music"]);
    db.run_background_until_idle().await.unwrap();
    assert_eq!(table_spaces(&engine).await, 2);

    // Space ids are never used again.
    let highest = engine.spaces().await.unwrap().last().copied().unwrap();
    create_table(&db, create("Next", "pk:S", "H:pk")).await.unwrap();
    assert!(engine.spaces().await.unwrap().last().copied().unwrap() > highest);
}

#[tokio::test]
async fn every_change_survives() {
    let engine = engine().await;
    let db = open(&engine).await;
    create_table(&db, everything()).await.unwrap();
    let mut change = update("Music");
    change.deletion_protection_enabled = Some(false);
    update_table(&db, change).await.unwrap();
    end(db).await;
    let db = open(&engine).await;
    assert!(!describe(&db, "Music").await.unwrap().deletion_protection_enabled);
    delete_table(&db, "Music").await.unwrap();
    end(db).await;
    let db = open(&engine).await;
    assert!(list(&db, None, None).await.table_names.is_empty());
}

#[tokio::test]
async fn any_flipped_byte_is_noticed() {
    let engine = engine().await;
    let db = open(&engine).await;
    create_table(&db, everything()).await.unwrap();
    end(db).await;
    let range = RangeRead {
        space: SPACE,
        partition: Bytes::from_static(b"catalog"),
        lane: Lane::ITEM,
        from: SortBound::Included(Bytes::from_static(b"t")),
        to: SortBound::Excluded(Bytes::from_static(b"u")),
        direction: Direction::Forward,
        limit: PageLimit { rows: 2, bytes: 1 << 20 },
    };
    let mut page = engine.range(range, Read::Strong).await.unwrap();
    let (place, row) = page.rows.remove(0);
    for position in (0..row.value.len()).step_by(times(1, 5)) {
        let mut bytes = row.value.to_vec();
        bytes[position] ^= 0x10;
        let key = zenobe_storage::Key {
            space: SPACE,
            partition: place.partition.clone(),
            lane: Lane::ITEM,
            sort: place.sort.clone(),
        };
        let mutations = vec![Mutation { key, value: Some(Bytes::from(bytes)) }];
        engine.commit(Commit { mutations, ..Commit::default() }).await.unwrap();
        let config = DatabaseConfig::default();
        let opened = begin(&engine, &TestEnvironment::new(), config).await;
        assert!(matches!(opened, Err(OpenError::CorruptCatalog(_))), "byte {position}");
    }
}

#[tokio::test]
async fn figures_are_saved_or_counted_again() {
    let engine = engine().await;
    let db = open(&engine).await;
    create_table(&db, create("Music", "pk:S", "H:pk")).await.unwrap();
    db.run_background_until_idle().await.unwrap();
    put(&db, "Music", "pk=1").await.unwrap();
    db.close_figures().await.unwrap();
    end(db).await;

    // Closed in order: the figures are there, and nothing is counted.
    let db = open(&engine).await;
    assert_eq!(describe(&db, "Music").await.unwrap().item_count, 1);
    db.run_background_until_idle().await.unwrap();
    put(&db, "Music", "pk=2").await.unwrap();
    end(db).await;

    // Killed: the figures are old until they were counted again. Where others may write they never are.
    let db = open(&engine).await;
    assert_eq!(describe(&db, "Music").await.unwrap().item_count, 1);
    db.run_background_until_idle().await.unwrap();
    let table = describe(&db, "Music").await.unwrap();
    let expected = if engine.capabilities().shared { (1, 3) } else { (2, 6) };
    assert_eq!((table.item_count, table.table_size_bytes), expected);
}
