//! UpdateTable: what changes, what is answered, what is refused.

use super::support::*;
use zenobe_database::Database;
use zenobe_model::operation::*;

const PREFIX: &str = "One or more parameter values were invalid: ";

async fn provisioned(db: &Database) {
    let mut index = gsi("Idx", "H:a", "ALL");
    index.provisioned_throughput = Some(units(2, 2));
    let request = CreateTableRequest {
        billing_mode: None,
        provisioned_throughput: Some(units(5, 5)),
        global_secondary_indexes: Some(vec![index]),
        ..create("Music", "pk:S a:S", "H:pk")
    };
    create_table(db, request).await.unwrap();
}

async fn on_demand(db: &Database) {
    let request = CreateTableRequest {
        global_secondary_indexes: Some(vec![gsi("Idx", "H:a", "ALL")]),
        ..create("Music", "pk:S a:S", "H:pk")
    };
    create_table(db, request).await.unwrap();
}

fn update_index(change: impl Fn(&mut UpdateGlobalSecondaryIndex)) -> UpdateTableRequest {
    let mut index =
        UpdateGlobalSecondaryIndex { index_name: "Idx".to_owned(), ..Default::default() };
    change(&mut index);
    UpdateTableRequest {
        global_secondary_index_updates: Some(vec![GlobalSecondaryIndexUpdate {
            update: Some(index),
            ..Default::default()
        }]),
        ..update("Music")
    }
}

#[tokio::test]
async fn throughput() {
    let environment = TestEnvironment::new();
    let db = open_at(&engine().await, environment.clone()).await;
    provisioned(&db).await;
    let change = |read, write| UpdateTableRequest {
        provisioned_throughput: Some(units(read, write)),
        ..update("Music")
    };
    assert_eq!(
        message(update_table(&db, change(5, 5)).await),
        "The provisioned throughput for the table will not change. The requested value equals the current value. Current ReadCapacityUnits provisioned for the table: 5. Requested ReadCapacityUnits: 5. Current WriteCapacityUnits provisioned for the table: 5. Requested WriteCapacityUnits: 5. Refer to the Amazon DynamoDB Developer Guide for current limits and how to request higher limits."
    );
    environment.advance(1000);
    let answer = update_table(&db, change(10, 4)).await.unwrap();
    assert_eq!(answer.table_status, ResourceStatus::Updating);
    assert_eq!(answer.provisioned_throughput.read_capacity_units, 5);
    let table = describe(&db, "Music").await.unwrap();
    assert_eq!(table.table_status, ResourceStatus::Active);
    let now = Some(START_MS + 1000);
    assert_eq!(
        table.provisioned_throughput,
        ProvisionedThroughputDescription {
            last_increase_ms: now,
            last_decrease_ms: now,
            number_of_decreases_today: 1,
            read_capacity_units: 10,
            write_capacity_units: 4,
        }
    );
    // Warm throughput is a high-water mark.
    let warm = table.warm_throughput.unwrap();
    assert_eq!((warm.read_units_per_second, warm.write_units_per_second), (10, 5));

    let same = update_index(|index| index.provisioned_throughput = Some(units(2, 2)));
    let text = message(update_table(&db, same).await);
    assert!(text.starts_with("The provisioned throughput for the index Idx will not change."));
    let more = update_index(|index| index.provisioned_throughput = Some(units(3, 2)));
    let answer = update_table(&db, more).await.unwrap();
    let index = &answer.global_secondary_indexes[0];
    assert_eq!(answer.table_status, ResourceStatus::Active);
    assert_eq!(index.index_status, ResourceStatus::Updating);
    assert_eq!(index.provisioned_throughput.read_capacity_units, 2);
    let index = describe(&db, "Music").await.unwrap().global_secondary_indexes.remove(0);
    assert_eq!(index.provisioned_throughput.read_capacity_units, 3);
}

#[tokio::test]
async fn billing_mode() {
    let environment = TestEnvironment::new();
    let db = open_at(&engine().await, environment.clone()).await;
    on_demand(&db).await;
    let to_provisioned = UpdateTableRequest {
        billing_mode: Some(BillingMode::Provisioned),
        provisioned_throughput: Some(units(50, 50)),
        ..update("Music")
    };
    assert_eq!(
        message(update_table(&db, to_provisioned.clone()).await),
        format!("{PREFIX}ProvisionedThroughput must be specified for index: Idx")
    );
    let beyond = UpdateTableRequest {
        provisioned_throughput: Some(units(40_001, 50)),
        ..to_provisioned.clone()
    };
    assert_eq!(
        message(update_table(&db, beyond).await),
        "The requested ReadCapacityUnits, 40001, is above the per table maximum for the account in us-east-1. Per table maximum: 40000. Refer to the Amazon DynamoDB Developer Guide for current limits and how to request higher limits."
    );
    let index = update_index(|index| index.provisioned_throughput = Some(units(20, 20)));
    let both = UpdateTableRequest {
        global_secondary_index_updates: index.global_secondary_index_updates,
        ..to_provisioned
    };
    let answer = update_table(&db, both).await.unwrap();
    assert_eq!(answer.table_status, ResourceStatus::Updating);
    assert_eq!(answer.provisioned_throughput.read_capacity_units, 50);
    let table = describe(&db, "Music").await.unwrap();
    let summary = table.billing_mode_summary.unwrap();
    assert_eq!(summary.billing_mode, BillingMode::Provisioned);
    assert_eq!(summary.last_update_to_pay_per_request_ms, Some(START_MS));
    let index = &table.global_secondary_indexes[0];
    assert_eq!(index.provisioned_throughput.read_capacity_units, 20);

    environment.advance(5);
    let back =
        UpdateTableRequest { billing_mode: Some(BillingMode::PayPerRequest), ..update("Music") };
    let answer = update_table(&db, back.clone()).await.unwrap();
    assert_eq!(answer.provisioned_throughput.read_capacity_units, 0);
    let table = describe(&db, "Music").await.unwrap();
    let summary = table.billing_mode_summary.unwrap();
    assert_eq!(summary.last_update_to_pay_per_request_ms, Some(START_MS + 5));
    // The same again changes nothing and is accepted.
    update_table(&db, back).await.unwrap();
}

#[tokio::test]
async fn streams() {
    let db = open(&engine().await).await;
    on_demand(&db).await;
    let stream = |enabled, view| UpdateTableRequest {
        stream_specification: Some(StreamSpecification {
            stream_enabled: enabled,
            stream_view_type: view,
        }),
        ..update("Music")
    };
    let view = Some(StreamViewType::KeysOnly);
    let check = async |request, expected: &str| {
        assert_eq!(message(update_table(&db, request).await), expected);
    };
    check(stream(false, None), "Table has no stream to disable: TableName: Music").await;
    check(
        stream(true, None),
        &format!("{PREFIX}If stream is being enabled then UpdateViewType is required"),
    )
    .await;
    let answer = update_table(&db, stream(true, view)).await.unwrap();
    assert_eq!(answer.table_status, ResourceStatus::Updating);
    check(stream(true, view), "Table already has an enabled stream: TableName: Music").await;
    check(
        stream(false, view),
        &format!("{PREFIX}If stream is being disabled, then UpdateViewType must not be specified"),
    )
    .await;
    update_table(&db, stream(false, None)).await.unwrap();
    let table = describe(&db, "Music").await.unwrap();
    assert_eq!(table.stream_specification, None);
    assert!(table.latest_stream_arn.is_some());
}

#[tokio::test]
async fn on_demand_maxima() {
    let db = open(&engine().await).await;
    on_demand(&db).await;
    let maxima = |read, write| OnDemandThroughput {
        max_read_request_units: read,
        max_write_request_units: write,
    };
    let change =
        |given| UpdateTableRequest { on_demand_throughput: Some(given), ..update("Music") };
    update_table(&db, change(maxima(Some(10), None))).await.unwrap();
    update_table(&db, change(maxima(None, Some(5)))).await.unwrap();
    let table = describe(&db, "Music").await.unwrap();
    assert_eq!(table.on_demand_throughput, Some(maxima(Some(10), Some(5))));
    let answer = update_table(&db, change(maxima(Some(-1), None))).await.unwrap();
    assert_eq!(answer.on_demand_throughput, Some(maxima(Some(-1), Some(5))));
    let table = describe(&db, "Music").await.unwrap();
    assert_eq!(table.on_demand_throughput, Some(maxima(None, Some(5))));
    assert_eq!(
        message(update_table(&db, change(maxima(Some(-2), None))).await),
        format!(
            "{PREFIX}Requested MaxReadRequestUnits for OnDemandThroughput for table is outside of valid range"
        )
    );
}

#[tokio::test]
async fn what_is_refused() {
    let db = open(&engine().await).await;
    on_demand(&db).await;
    let check = async |request: UpdateTableRequest, expected: &str| {
        let found = message(update_table(&db, request).await);
        assert_eq!(found, expected.replace('…', PREFIX));
    };
    check(
        update("Music"),
        "At least one of ProvisionedThroughput, BillingMode, UpdateStreamEnabled, GlobalSecondaryIndexUpdates, SSESpecification, ReplicaUpdates, MultiAccountReplicaReady, ReplicaTransitRoleArn, MultiRegionConsistency, DeletionProtectionEnabled, OnDemandThroughput, WarmThroughput or TableClass is required",
    )
    .await;
    let protect =
        |request| UpdateTableRequest { deletion_protection_enabled: Some(true), ..request };
    check(
        UpdateTableRequest {
            global_secondary_index_updates: Some(vec![]),
            ..protect(update("Music"))
        },
        "…List of GlobalSecondaryIndexUpdates is empty",
    )
    .await;
    check(
        UpdateTableRequest {
            global_secondary_index_updates: Some(delete_index("Idx")),
            ..protect(update("Music"))
        },
        "…DeletionProtection modification must be the only operation in the request",
    )
    .await;
    check(
        UpdateTableRequest {
            provisioned_throughput: Some(units(1, 1)),
            ..update("Music")
        },
        "…Neither ReadCapacityUnits nor WriteCapacityUnits can be specified when BillingMode is PAY_PER_REQUEST",
    )
    .await;
    check(
        UpdateTableRequest { billing_mode: Some(BillingMode::Provisioned), ..update("Music") },
        "…ProvisionedThroughput must be specified when BillingMode is PROVISIONED",
    )
    .await;
    check(
        update_index(|index| index.provisioned_throughput = Some(units(1, 1))),
        "…The only Updates for index: Idx when TableThroughputMode is PAY_PER_REQUEST can be to OnDemandThroughput, WarmThroughput",
    )
    .await;
    check(
        UpdateTableRequest {
            global_secondary_index_updates: Some(vec![GlobalSecondaryIndexUpdate::default()]),
            ..update("Music")
        },
        "…One of GlobalSecondaryIndexUpdate.Update, GlobalSecondaryIndexUpdate.Create, GlobalSecondaryIndexUpdate.Delete must not be null",
    )
    .await;
    check(
        UpdateTableRequest {
            global_secondary_index_updates: Some(
                [delete_index("Idx"), delete_index("Idx")].concat(),
            ),
            ..update("Music")
        },
        "…Only one global secondary index update per index is allowed simultaneously. Index: Idx",
    )
    .await;
    check(protect(update("Missing")), "Requested resource not found: Table: Missing not found")
        .await;
}
