//! UpdateTimeToLive and DescribeTimeToLive: what they answer and refuse, and what comes of it.

use std::sync::Arc;

use zenobe_model::operation::*;
use zenobe_storage::memory::{Call, FaultScript, MemoryEngine, MemoryOptions};
use zenobe_storage::{Engine, EngineError};

use super::support::*;

fn description(status: TimeToLiveStatus, attribute: Option<&str>) -> TimeToLiveDescription {
    TimeToLiveDescription { status, attribute_name: attribute.map(str::to_owned) }
}

#[tokio::test]
async fn it_is_enabled_and_disabled() {
    let engine = engine().await;
    let db = open(&engine).await;
    create_table(&db, create("Music", "pk:S", "H:pk")).await.unwrap();
    let disabled = description(TimeToLiveStatus::Disabled, None);
    assert_eq!(describe_ttl(&db, "Music").await.unwrap(), disabled);

    let answer = update_ttl(&db, "Music", true, "t").await.unwrap();
    assert_eq!(answer, TimeToLiveSpecification { enabled: true, attribute_name: "t".to_owned() });
    let enabling = description(TimeToLiveStatus::Enabling, Some("t"));
    assert_eq!(describe_ttl(&db, "Music").await.unwrap(), enabling);
    assert_eq!(describe(&db, "Music").await.unwrap().table_status, ResourceStatus::Active);
    db.run_background_until_idle().await.unwrap();
    let enabled = description(TimeToLiveStatus::Enabled, Some("t"));
    assert_eq!(describe_ttl(&db, "Music").await.unwrap(), enabled);
    assert_eq!(table_spaces(&engine).await, 2);

    let answer = update_ttl(&db, "Music", false, "t").await.unwrap();
    assert_eq!(answer, TimeToLiveSpecification { enabled: false, attribute_name: "t".to_owned() });
    let disabling = description(TimeToLiveStatus::Disabling, Some("t"));
    assert_eq!(describe_ttl(&db, "Music").await.unwrap(), disabling);
    db.run_background_until_idle().await.unwrap();
    assert_eq!(describe_ttl(&db, "Music").await.unwrap(), disabled);
    assert_eq!(table_spaces(&engine).await, 1);
}

#[tokio::test]
async fn what_does_not_fit_is_refused_with_the_service_s_texts() {
    let db = open(&engine().await).await;
    let missing = "Requested resource not found: Table: Music not found";
    assert_eq!(message(update_ttl(&db, "Music", true, "t").await), missing);
    assert_eq!(message(update_ttl(&db, "Music", false, "t").await), missing);
    assert_eq!(message(describe_ttl(&db, "Music").await), missing);

    create_table(&db, create("Music", "pk:S", "H:pk")).await.unwrap();
    let disabled = "TimeToLive is already disabled";
    assert_eq!(message(update_ttl(&db, "Music", false, "t").await), disabled);
    update_ttl(&db, "Music", true, "t").await.unwrap();
    let elsewhere = "TimeToLive is active on a different AttributeName: current AttributeName is t";
    for _ in 0..2 {
        let enabled = "TimeToLive is already enabled";
        assert_eq!(message(update_ttl(&db, "Music", true, "t").await), enabled);
        assert_eq!(message(update_ttl(&db, "Music", true, "u").await), elsewhere);
        assert_eq!(message(update_ttl(&db, "Music", false, "u").await), elsewhere);
        // Once while it is being enabled, once when it is.
        db.run_background_until_idle().await.unwrap();
    }
    update_ttl(&db, "Music", false, "t").await.unwrap();
    assert_eq!(message(update_ttl(&db, "Music", false, "t").await), disabled);
    assert_eq!(message(update_ttl(&db, "Music", false, "u").await), disabled);
}

#[tokio::test]
async fn the_attribute_can_be_changed_at_once_and_be_a_key() {
    let engine = engine().await;
    let db = open(&engine).await;
    expiring_table(&db, create("Music", "pk:S t:N", "H:pk R:t")).await;
    let now_s = START_MS / 1000;
    put_item(&db, "Music", expiring("pk=1", now_s - 1)).await.unwrap();
    update_ttl(&db, "Music", false, "t").await.unwrap();
    update_ttl(&db, "Music", true, "u").await.unwrap();
    db.run_background_until_idle().await.unwrap();
    assert_eq!(db.delete_expired().await.unwrap(), 0);
    update_ttl(&db, "Music", false, "u").await.unwrap();
    update_ttl(&db, "Music", true, "t").await.unwrap();
    db.run_background_until_idle().await.unwrap();
    assert_eq!(db.delete_expired().await.unwrap(), 1);
    assert_eq!(table_spaces(&engine).await, 2);
}

#[tokio::test]
async fn switching_without_a_pause_ends_somewhere() {
    let db = open(&engine().await).await;
    create_table(&db, create("Music", "pk:S", "H:pk")).await.unwrap();
    let mut refused = None;
    for _ in 0..20 {
        if let Err(error) = update_ttl(&db, "Music", true, "t").await {
            refused = Some(error.message);
            break;
        }
        update_ttl(&db, "Music", false, "t").await.unwrap();
    }
    let expected = "Time to live has been modified multiple times within a fixed interval";
    assert_eq!(refused.as_deref(), Some(expected));
    db.run_background_until_idle().await.unwrap();
    update_ttl(&db, "Music", true, "t").await.unwrap();
}

#[tokio::test]
async fn it_survives_restarts_and_goes_with_its_table() {
    let faults = Arc::new(FaultScript::new());
    let engine: Arc<dyn Engine> = Arc::new(MemoryEngine::new(MemoryOptions {
        faults: Some(faults.clone()),
        ..MemoryOptions::default()
    }));
    let db = open(&engine).await;
    create_table(&db, create("Music", "pk:S", "H:pk")).await.unwrap();
    for pk in 0..500 {
        put_item(&db, "Music", expiring(&format!("pk={pk}"), START_MS / 1000 - 1)).await.unwrap();
    }
    update_ttl(&db, "Music", true, "t").await.unwrap();
    // Filling the index begins, and the process ends: some pages are done, others not.
    let unavailable = EngineError::Unavailable("injected".to_owned());
    faults.at_call(Call::Scan, faults.call_count(Call::Scan) + 1, unavailable);
    db.run_background_until_idle().await.unwrap_err();
    let space = engine.spaces().await.unwrap().last().copied().unwrap();
    assert_eq!(expiry_entries(&engine, space).await.len(), 200);
    end(db).await;
    let db = open(&engine).await;
    assert_eq!(describe_ttl(&db, "Music").await.unwrap().status, TimeToLiveStatus::Enabling);
    assert_eq!(db.delete_expired().await.unwrap(), 0);
    db.run_background_until_idle().await.unwrap();
    assert_eq!(describe_ttl(&db, "Music").await.unwrap().status, TimeToLiveStatus::Enabled);
    assert_eq!(db.delete_expired().await.unwrap(), 500);

    delete_table(&db, "Music").await.unwrap();
    db.run_background_until_idle().await.unwrap();
    assert_eq!(table_spaces(&engine).await, 0);
}
