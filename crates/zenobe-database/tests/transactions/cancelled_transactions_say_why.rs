//! The reasons of a cancelled transaction: one per action, in their order.

use zenobe_model::ErrorCode;
use zenobe_model::error::Detail;
use zenobe_model::operation::*;

use super::support::*;

#[tokio::test]
async fn every_action_has_its_reason_and_nothing_happens() {
    for &global in reaches() {
        let engine = engine(global).await;
        let db = open(&engine, &process(1)).await;
        found(&db).await;
        let mut wants_item = check("c", 1);
        wants_item.return_values_on_condition_check_failure =
            ReturnValuesOnConditionCheckFailure::AllOld;
        let mut wrong_type = set("d", 0);
        wrong_type.update_expression = Some("SET l = if_not_exists(absent, :n)".to_owned());
        let actions = vec![add("a", 1), wants_item, take("b", 101), wrong_type];
        let error = transact(&db, actions).await.unwrap_err();
        assert_eq!(error.code, ErrorCode::TransactionCanceled);
        assert_eq!(
            error.message,
            "Transaction cancelled, please refer cancellation reasons for specific reasons [None, ConditionalCheckFailed, ConditionalCheckFailed, ValidationError]"
        );
        assert_eq!(
            codes(&error),
            ["None", "ConditionalCheckFailed", "ConditionalCheckFailed", "ValidationError"]
        );
        let Detail::Reasons(reasons) = &error.detail else { panic!("{error}") };
        let item = reasons[1].item.as_ref().unwrap().to_item();
        assert_eq!(item.get("n"), Some(&n(100)));
        assert_eq!(reasons[2].item, None);
        let text = &reasons[3].error.as_ref().unwrap().1;
        assert_eq!(
            text,
            "The update expression attempted to update the secondary index key to unsupported type"
        );
        assert_eq!(read_together(&db, &ACCOUNTS).await.unwrap(), [Some(100); 4]);
    }
}

#[tokio::test]
async fn keys_that_do_not_fit_cancel_before_conditions_are_looked_at() {
    let engine = engine(true).await;
    let db = open(&engine, &process(1)).await;
    found(&db).await;
    let wrong_key = |name: &str| {
        let mut action = delete(name);
        action.item = Ok([("pk".to_owned(), n(1))].into());
        action
    };
    let actions = vec![check("a", 0), wrong_key("a"), wrong_key("b")];
    let error = transact(&db, actions).await.unwrap_err();
    assert_eq!(codes(&error), ["None", "ValidationError", "None"]);

    // An empty key refuses the request as a whole, and so do two actions on one item.
    let mut empty = make("x");
    empty.item = Ok([("pk".to_owned(), s(""))].into());
    let error = transact(&db, vec![wrong_key("a"), empty]).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::Validation);
    let error = transact(&db, vec![wrong_key("a"), add("b", 1), check("b", 1)]).await.unwrap_err();
    assert_eq!(error.message, "Transaction request cannot include multiple operations on one item");
    let mut unknown = add("a", 1);
    unknown.table_name = "Nowhere".to_owned();
    let error = transact(&db, vec![check("a", 0), unknown]).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::ResourceNotFound);
}

#[tokio::test]
async fn items_of_more_than_four_megabytes_together_are_not_written() {
    for &global in reaches() {
        let engine = engine(global).await;
        let db = open(&engine, &process(1)).await;
        create_tables(&db).await;
        let names: Vec<String> = (0..11).map(|number| format!("long {number}")).collect();
        for name in &names {
            let (table, mut item) = place(name);
            item.insert("n".to_owned(), n(1));
            item.insert("text".to_owned(), s(&"x".repeat(390 << 10)));
            let request = PutItemRequest {
                table_name: table.to_owned(),
                item: Ok(item.into()),
                options: WriteOptions::default(),
            };
            db.execute(Request::PutItem(Box::new(request))).await.unwrap();
        }
        let error = transact(&db, names.iter().map(|name| add(name, 1)).collect()).await;
        let error = error.unwrap_err();
        assert_eq!(error.code, ErrorCode::Validation);
        assert_eq!(
            error.message,
            "Transaction payload size cannot exceed 4MB. Payload Size: 4393126"
        );
        // What is only checked is not written.
        let mut actions: Vec<_> = names.iter().take(10).map(|name| add(name, 1)).collect();
        actions.push(check("long 10", 1));
        transact(&db, actions).await.unwrap();
        for name in &names {
            let wanted = if name == "long 10" { 1 } else { 2 };
            assert_eq!(read(&db, name).await.unwrap(), Some(wanted));
        }
    }
}
