//! Input made to break the reader: it gets an error, or an answer, but never a panic.

use proptest::prelude::*;
use zenobe_model::ErrorCode;
use zenobe_model::operation::{Operation, Request};

fn decode_all(body: &[u8]) {
    for operation in Operation::ALL {
        let _ = zenobe_wire::decode(operation, body);
    }
}

/// A value inside `depth` lists.
fn nested(depth: usize) -> String {
    let (open, close) = (r#"{"L":["#.repeat(depth), "]}".repeat(depth));
    format!(r#"{{"TableName":"abc","Item":{{"a":{open}{{"S":"x"}}{close}}}}}"#)
}

fn put_item_error(body: &str) -> Option<String> {
    match zenobe_wire::decode(Operation::PutItem, body.as_bytes()) {
        Ok(Request::PutItem(request)) => request.item.err().map(|error| error.message),
        other => panic!("{other:?}"),
    }
}

#[test]
fn values_nest_thirty_two_deep() {
    assert_eq!(put_item_error(&nested(31)), None);
    let text = "Nesting Levels have exceeded supported limits: \
                Attributes in the item have nested levels beyond supported limit";
    assert_eq!(put_item_error(&nested(32)).as_deref(), Some(text));
    assert_eq!(put_item_error(&nested(400)).as_deref(), Some(text));
}

#[test]
fn deep_brackets_are_refused() {
    for depth in [1_001, 5_000, 1_000_000] {
        for bracket in ["[", "{\"a\":"] {
            let bomb = bracket.repeat(depth);
            decode_all(bomb.as_bytes());
            for prefix in ["{\"Unknown\":", "{\"Item\":", "{\"Item\":{\"a\":{\"L\":[", "{\"Tags\":"]
            {
                decode_all(format!("{prefix}{bomb}").as_bytes());
            }
        }
        let body = nested(depth);
        let error = zenobe_wire::decode(Operation::PutItem, body.as_bytes()).unwrap_err();
        assert_eq!(error.code, ErrorCode::Serialization);
    }
}

#[test]
fn a_request_has_not_more_elements_than_any_needs() {
    let body = |begin: &str, elements: usize, end: &str| {
        format!("{begin}{}{end}", vec!["{}"; elements].join(","))
    };
    let lists = [
        (Operation::TransactWriteItems, r#"{"TransactItems":["#, "]}"),
        (Operation::CreateTable, r#"{"GlobalSecondaryIndexes":["#, "]}"),
        (Operation::Query, r#"{"QueryFilter":{"a":{"AttributeValueList":["#, "]}}}"),
        (Operation::BatchGetItem, r#"{"RequestItems":{"abc":{"Keys":["#, "]}}}"),
    ];
    for (operation, begin, end) in lists {
        let error = |elements| {
            let error = zenobe_wire::decode(operation, body(begin, elements, end).as_bytes());
            error.err().filter(|error| error.code == ErrorCode::Serialization)
        };
        assert!(error(60_000).is_none(), "{operation:?}");
        let error = error(70_000).unwrap();
        assert_eq!(error.message, "More than 65536 elements in one request");
    }
}

#[test]
fn what_an_error_repeats_is_cut() {
    let long = "a".repeat(4 << 20);
    let puts = [r#"{"PutRequest":{}}"#; 12].join(",");
    let duplicates = format!(r#""{long}","{long}""#);
    let bodies = [
        (Operation::BatchWriteItem, format!(r#"{{"RequestItems":{{"{long}":[{puts}]}}}}"#)),
        (Operation::BatchGetItem, format!(r#"{{"RequestItems":{{"{long}":{{"Keys":[]}}}}}}"#)),
        (Operation::DescribeTable, format!(r#"{{"TableName":"{long}"}}"#)),
        (
            Operation::BatchWriteItem,
            format!(
                r#"{{"RequestItems":{{"abc":[{{"PutRequest":{{"Item":{{"a":{{"SS":[{duplicates}]}}}}}}}}]}}}}"#
            ),
        ),
    ];
    for (operation, body) in bodies {
        let message = match zenobe_wire::decode(operation, body.as_bytes()) {
            Err(error) => error.message,
            Ok(Request::BatchWriteItem(request)) => format!("{request:?}"),
            Ok(other) => panic!("{other:?}"),
        };
        assert!(message.len() < 4 << 20, "{operation:?}: {} bytes", message.len());
    }
}

#[test]
fn bytes_that_are_not_text_are_refused() {
    for body in [
        &b"{\"TableName\":\"a\xff\"}"[..],
        b"{\"TableName\":\"\xed\xa0\x80\"}",
        b"\xef\xbb\xbf{}",
        b"{\"a\x00\":1}",
        b"{\"TableName\":\"abc\"}\x00",
    ] {
        let error = zenobe_wire::decode(Operation::DescribeTable, body).unwrap_err();
        assert_eq!(error.code, ErrorCode::Serialization);
    }
}

#[test]
fn numbers_out_of_any_range_are_clamped() {
    for (digits, limit) in [("1e400", i32::MAX), ("99999999999999999999", i32::MAX), ("2.99", 2)] {
        let body = format!(r#"{{"TableName":"abc","Limit":{digits}}}"#);
        let Ok(Request::Scan(request)) = zenobe_wire::decode(Operation::Scan, body.as_bytes())
        else {
            panic!()
        };
        assert_eq!(request.options.limit, u32::try_from(limit).ok());
    }
}

/// JSON in which the names of the API occur where they have a meaning, and where not.
fn json() -> impl Strategy<Value = String> {
    let scalar = prop_oneof![
        Just("null".to_owned()),
        any::<bool>().prop_map(|value| value.to_string()),
        any::<i64>().prop_map(|value| value.to_string()),
        any::<f64>().prop_map(|value| format!("{value:e}")),
        "[a-z;]{0,3}".prop_map(|text| format!("{text:?}")),
        "\\PC{0,4}".prop_map(|text| format!("{text:?}")),
        Just("\"\\ud83d\"".to_owned()),
        Just("\"AQI=\"".to_owned()),
    ];
    let name = prop::sample::select(vec![
        "TableName",
        "Item",
        "Key",
        "Keys",
        "S",
        "N",
        "B",
        "BOOL",
        "NULL",
        "SS",
        "NS",
        "BS",
        "L",
        "M",
        "RequestItems",
        "PutRequest",
        "DeleteRequest",
        "KeySchema",
        "KeyType",
        "Expected",
        "Limit",
        "AttributeDefinitions",
        "GlobalSecondaryIndexes",
        "Tags",
        "ExpressionAttributeValues",
        "x",
    ]);
    scalar.prop_recursive(6, 60, 6, move |inner| {
        let members = prop::collection::vec((name.clone(), inner.clone()), 0..6);
        prop_oneof![
            prop::collection::vec(inner, 0..4).prop_map(|values| format!("[{}]", values.join(","))),
            members.prop_map(|members| {
                let members = members.iter().map(|(name, value)| format!("\"{name}\": {value}"));
                format!("{{{}}}", members.collect::<Vec<_>>().join(" ,"))
            }),
        ]
    })
}

proptest! {
    #[test]
    fn no_bytes_cause_a_panic(body in prop::collection::vec(any::<u8>(), 0..200)) {
        decode_all(&body);
    }

    #[test]
    fn no_json_causes_a_panic(body in json()) {
        decode_all(body.as_bytes());
    }

    #[test]
    fn no_cut_or_changed_json_causes_a_panic(
        body in json(),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let mut bytes = body.into_bytes();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        decode_all(&bytes);
        decode_all(&bytes[..at]);
    }

    #[test]
    fn any_string_is_read_back(text in "\\PC*", name in "\\PC+") {
        use zenobe_model::EncodedItem;
        use zenobe_model::codec::ItemHeader;
        use zenobe_model::operation::{GetItemResponse, Response};
        use zenobe_model::value::{AttributeValue, Item};

        let item = Item::from([(name, AttributeValue::S(text))]);
        let encoded = EncodedItem::encode(&item, ItemHeader::default());
        let response = GetItemResponse { item: Some(encoded.clone()), consumed_capacity: None };
        let mut out = Vec::new();
        zenobe_wire::encode(&Response::GetItem(response), &mut out);
        let text = String::from_utf8(out).unwrap();
        let body = format!("{{\"TableName\":\"abc\",{}", &text[1..]);
        match zenobe_wire::decode(Operation::PutItem, body.as_bytes()) {
            Ok(Request::PutItem(request)) => prop_assert_eq!(request.item, Ok(encoded)),
            other => prop_assert!(false, "{:?}", other),
        }
    }
}

#[test]
fn names_of_attributes_have_a_largest_length() {
    let fault = |operation, body: &str| {
        let item = match zenobe_wire::decode(operation, body.as_bytes()).unwrap() {
            Request::PutItem(request) => request.item,
            Request::BatchWriteItem(mut request) => {
                match request.request_items.pop_first().unwrap().1.pop().unwrap() {
                    zenobe_model::operation::WriteRequest::Put(item) => item,
                    other => panic!("{other:?}"),
                }
            }
            other => panic!("{other:?}"),
        };
        item.err().map(|error| error.message)
    };
    let check = |length: usize, expected: Option<&str>| {
        let name = "n".repeat(length);
        let named = format!(r#"{{"{name}":{{"S":""}}}}"#);
        for item in [named.clone(), format!(r#"{{"a":{{"L":[{{"M":{named}}}]}}}}"#)] {
            let put = format!(r#"{{"TableName":"abc","Item":{item}}}"#);
            assert_eq!(fault(Operation::PutItem, &put).as_deref(), expected);
            let batch =
                format!(r#"{{"RequestItems":{{"abc":[{{"PutRequest":{{"Item":{item}}}}}]}}}}"#);
            assert_eq!(fault(Operation::BatchWriteItem, &batch).as_deref(), expected);
        }
    };
    check(65_535, None);
    check(65_536, Some("Attribute name is too large, must be less than 65536 bytes"));
}
