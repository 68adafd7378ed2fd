//! One request per operation breaks every rule at once; each step mends the rule that was reported
//! first, so that the list of steps is the order of checks. Rules of single parameters are tables.

use std::collections::BTreeMap;

use super::*;
use crate::codec::ItemHeader;
use crate::limits::ITEM_SIZE_BYTES_MAX;
use crate::operation::{
    AttributeValueUpdate, ComparisonOperator, Condition as LegacyCondition, ConditionalOperator,
    ExpectedAttribute, Parsed,
};
use crate::value::AttributeValue;

fn s(text: &str) -> AttributeValue {
    AttributeValue::S(text.to_owned())
}

fn key() -> Item {
    Item::from([("p".to_owned(), s("k"))])
}

/// An item of this size.
fn encoded(item: &Item) -> EncodedItem {
    EncodedItem::encode(item, ItemHeader::default())
}

fn encoded_of_bytes(size: usize) -> EncodedItem {
    encoded(&of_bytes(size))
}

fn of_bytes(size: usize) -> Item {
    Item::from([("p".to_owned(), s(&"x".repeat(size - 1)))])
}

const EMPTY_VALUE: &str =
    "Supplied AttributeValue is empty, must contain exactly one of the supported datatypes";

fn wrong<T>(message: &str) -> Parsed<T> {
    Err(Box::new(ServiceError::validation(message)))
}

fn names(of: &[(&str, &str)]) -> Option<ExpressionAttributeNames> {
    Some(of.iter().map(|(key, name)| ((*key).to_owned(), (*name).to_owned())).collect())
}

fn map<T>(of: impl IntoIterator<Item = (&'static str, T)>) -> Option<BTreeMap<String, T>> {
    Some(of.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

fn compare(operator: ComparisonOperator, operands: &[AttributeValue]) -> LegacyCondition {
    LegacyCondition {
        comparison_operator: operator,
        attribute_value_list: Some(operands.iter().cloned().map(Ok).collect()),
    }
}

fn equals_x() -> LegacyCondition {
    compare(ComparisonOperator::Eq, &[s("x")])
}

fn nothing_expected() -> ExpectedAttribute {
    ExpectedAttribute {
        value: None,
        exists: None,
        comparison_operator: None,
        attribute_value_list: None,
    }
}

fn missing() -> ExpectedAttribute {
    ExpectedAttribute { exists: Some(false), ..nothing_expected() }
}

/// A way to mend a request, after the error that it mends.
type Step<R> = (&'static str, fn(&mut R));

fn check_order<R: Clone, T: std::fmt::Debug>(
    mut request: R,
    check: fn(R) -> Result<T, ServiceError>,
    steps: &[Step<R>],
) -> T {
    for (expected, mend) in steps {
        let error = check(request.clone()).expect_err(expected);
        assert_eq!(error.message, *expected);
        mend(&mut request);
    }
    check(request).expect("nothing is wrong any more")
}

const CANNOT_MIX: &str = "Can not use both expression and non-expression parameters in the same request: Non-expression parameters: ";
const NAMES_WITHOUT: &str = "ExpressionAttributeNames can only be specified when using expressions";
const WITHOUT_FILTER: &str = "ConditionalOperator cannot be used without Filter or Expected";
const ONE_ELEMENT: &str =
    "ConditionalOperator can only be used when Filter or Expected has two or more elements";

fn put() -> PutItemRequest {
    PutItemRequest { table_name: "table".to_owned(), item: Ok(encoded(&key())), options: options() }
}

fn options() -> WriteOptions {
    WriteOptions::default()
}

#[test]
fn put_item_checks_in_the_order_of_the_service() {
    let request = PutItemRequest {
        item: wrong(EMPTY_VALUE),
        options: WriteOptions {
            expected: map([("a", nothing_expected())]),
            conditional_operator: Some(ConditionalOperator::Or),
            condition_expression: Some(String::new()),
            expression_attribute_names: Some(BTreeMap::new()),
            expression_attribute_values: Some(BTreeMap::new()),
            return_values: ReturnValues::AllNew,
            ..options()
        },
        ..put()
    };
    let mixed = format!(
        "{CANNOT_MIX}{{Expected, ConditionalOperator}} Expression parameters: {{ConditionExpression}}"
    );
    let compiled = check_order(
        request,
        put_item,
        &[
            (mixed.leak(), |r| r.options.condition_expression = None),
            (NAMES_WITHOUT, |r| r.options.expression_attribute_names = None),
            ("ExpressionAttributeValues can only be specified when using expressions", |r| {
                r.options.expression_attribute_values = None
            }),
            (EMPTY_VALUE, |r| r.item = Ok(encoded_of_bytes(ITEM_SIZE_BYTES_MAX + 1))),
            ("ReturnValues can only be ALL_OLD or NONE", |r| {
                r.options.return_values = ReturnValues::AllOld;
            }),
            ("Item size has exceeded the maximum allowed size", |r| {
                r.item = Ok(encoded_of_bytes(ITEM_SIZE_BYTES_MAX));
            }),
            (
                "One or more parameter values were invalid: Value must be provided when Exists is null for Attribute: a",
                |r| r.options.expected = map([("a", missing())]),
            ),
            (ONE_ELEMENT, |r| {
                r.options.expected = map([("a", missing()), ("b", missing())]);
            }),
        ],
    );
    assert!(matches!(compiled.condition, Some(Condition::Or(of)) if of.len() == 2));
    assert_eq!(compiled.answer.return_values, ReturnValues::AllOld);
}

#[test]
fn delete_item_checks_in_the_order_of_the_service() {
    let request = DeleteItemRequest {
        table_name: "table".to_owned(),
        key: wrong(EMPTY_VALUE),
        options: WriteOptions {
            conditional_operator: Some(ConditionalOperator::And),
            return_values: ReturnValues::UpdatedOld,
            expression_attribute_names: names(&[("#a", "a")]),
            ..options()
        },
    };
    check_order(
        request,
        delete_item,
        &[
            (NAMES_WITHOUT, |r| r.options.expression_attribute_names = None),
            (EMPTY_VALUE, |r| r.key = Ok(key())),
            ("ReturnValues can only be ALL_OLD or NONE", |r| {
                r.options.return_values = ReturnValues::None;
            }),
            (WITHOUT_FILTER, |r| r.options.expected = map([])),
            (WITHOUT_FILTER, |r| r.options.conditional_operator = None),
        ],
    );
}

#[test]
fn update_item_checks_in_the_order_of_the_service() {
    let no_value = AttributeValueUpdate { value: None, action: None };
    let request = UpdateItemRequest {
        table_name: "table".to_owned(),
        key: wrong(EMPTY_VALUE),
        attribute_updates: map([("a", no_value)]),
        update_expression: Some(String::new()),
        options: WriteOptions {
            expected: map([("a", nothing_expected())]),
            conditional_operator: Some(ConditionalOperator::And),
            condition_expression: Some(String::new()),
            expression_attribute_values: Some(BTreeMap::new()),
            ..options()
        },
    };
    let both = format!(
        "{CANNOT_MIX}{{AttributeUpdates, Expected, ConditionalOperator}} Expression parameters: {{UpdateExpression, ConditionExpression}}"
    );
    let one = format!(
        "{CANNOT_MIX}{{AttributeUpdates, Expected, ConditionalOperator}} Expression parameters: {{ConditionExpression}}"
    );
    let compiled = check_order(
        request,
        update_item,
        &[
            (both.leak(), |r| r.update_expression = None),
            (one.leak(), |r| r.options.condition_expression = None),
            ("ExpressionAttributeValues can only be specified when using expressions", |r| {
                r.options.expression_attribute_values = None
            }),
            (EMPTY_VALUE, |r| r.key = Ok(key())),
            (
                "One or more parameter values were invalid: Only DELETE action is allowed when no attribute value is specified",
                |r| {
                    r.attribute_updates = map([(
                        "a",
                        AttributeValueUpdate { value: Some(Ok(s("x"))), action: None },
                    )]);
                },
            ),
            (
                "One or more parameter values were invalid: Value must be provided when Exists is null for Attribute: a",
                |r| r.options.expected = map([("a", missing())]),
            ),
            (ONE_ELEMENT, |r| r.options.conditional_operator = None),
        ],
    );
    assert!(compiled.update.is_some());
    assert!(matches!(compiled.condition, Some(Condition::AttributeNotExists(_))));
}

#[test]
fn update_item_without_any_change_has_no_update() {
    let request = UpdateItemRequest {
        table_name: "table".to_owned(),
        key: Ok(key()),
        attribute_updates: map([]),
        update_expression: None,
        options: options(),
    };
    assert!(update_item(request).expect("no error").update.is_none());
}

#[test]
fn get_item_checks_in_the_order_of_the_service() {
    let request = GetItemRequest {
        table_name: "table".to_owned(),
        key: Some(wrong(EMPTY_VALUE)),
        attributes_to_get: Some(vec!["a".to_owned(), "b".to_owned(), "a".to_owned()]),
        projection_expression: Some(String::new()),
        expression_attribute_names: names(&[("#a", "a")]),
        ..GetItemRequest::default()
    };
    let mixed =
        format!("{CANNOT_MIX}{{AttributesToGet}} Expression parameters: {{ProjectionExpression}}");
    let compiled = check_order(
        request,
        get_item,
        &[
            (mixed.leak(), |r| r.projection_expression = None),
            (NAMES_WITHOUT, |r| r.expression_attribute_names = None),
            (EMPTY_VALUE, |r| r.key = Some(Ok(key()))),
            (
                "One or more parameter values were invalid: Duplicate value in attribute name: a",
                |r| r.attributes_to_get = Some(vec!["a.b".to_owned()]),
            ),
        ],
    );
    let projection = compiled.projection.expect("AttributesToGet");
    assert_eq!(projection.top_level_names().collect::<Vec<_>>(), ["a.b"]);
}

#[test]
fn query_checks_in_the_order_of_the_service() {
    let request = QueryRequest {
        options: ReadOptions {
            table_name: "table".to_owned(),
            select: Some(Select::Count),
            attributes_to_get: Some(vec!["a".to_owned(), "a".to_owned()]),
            conditional_operator: Some(ConditionalOperator::Or),
            filter: map([("a", compare(ComparisonOperator::Eq, &[]))]),
            exclusive_start_key: Some(wrong(EMPTY_VALUE)),
            projection_expression: Some(String::new()),
            filter_expression: Some(String::new()),
            expression_attribute_names: Some(BTreeMap::new()),
            expression_attribute_values: Some(BTreeMap::new()),
            ..ReadOptions::default()
        },
        key_conditions: map([("p", equals_x())]),
        key_condition_expression: Some(String::new()),
        scan_index_forward: None,
    };
    let all = format!(
        "{CANNOT_MIX}{{AttributesToGet, QueryFilter, ConditionalOperator, KeyConditions}} Expression parameters: {{ProjectionExpression, FilterExpression, KeyConditionExpression}}"
    );
    let exempt = format!(
        "{CANNOT_MIX}{{AttributesToGet, QueryFilter, ConditionalOperator}} Expression parameters: {{ProjectionExpression, FilterExpression}}"
    );
    let compiled = check_order(
        request,
        query,
        &[
            (all.leak(), |r| r.key_condition_expression = None),
            (exempt.leak(), |r| {
                r.options.projection_expression = None;
                r.options.filter_expression = None;
            }),
            (NAMES_WITHOUT, |r| r.options.expression_attribute_names = None),
            ("ExpressionAttributeValues can only be specified when using expressions", |r| {
                r.options.expression_attribute_values = None
            }),
            (
                "One or more parameter values were invalid: Invalid number of argument(s) for the EQ ComparisonOperator",
                |r| r.options.filter = map([("a", equals_x())]),
            ),
            (ONE_ELEMENT, |r| r.options.conditional_operator = None),
            (
                "One or more parameter values were invalid: Duplicate value in attribute name: a",
                |r| r.options.attributes_to_get = Some(vec!["a".to_owned()]),
            ),
            (
                "The provided starting key is invalid: Supplied AttributeValue is empty, must contain exactly one of the supported datatypes",
                |r| {
                    r.options.exclusive_start_key = None;
                    r.key_conditions = None;
                },
            ),
            (
                "Either the KeyConditions or KeyConditionExpression parameter must be specified in the request.",
                |r| r.key_conditions = map([]),
            ),
            ("Conditions can be of length 1 or 2 only", |r| {
                r.key_conditions = map([("p", equals_x())]);
            }),
            (
                "1 validation error detected: Cannot specify the AttributesToGet when choosing to get only the Count",
                |r| r.options.select = Some(Select::SpecificAttributes),
            ),
        ],
    );
    assert_eq!(compiled.filter_parameter(), "QueryFilter");
    assert!(compiled.scan_index_forward);
    assert!(compiled.read.filter.is_some());
}

#[test]
fn scan_checks_in_the_order_of_the_service() {
    let request = ScanRequest {
        options: ReadOptions {
            table_name: "table".to_owned(),
            select: Some(Select::AllAttributes),
            attributes_to_get: Some(vec!["a".to_owned(), "a".to_owned()]),
            conditional_operator: Some(ConditionalOperator::Or),
            filter: map([("a", compare(ComparisonOperator::Lt, &[AttributeValue::Null]))]),
            exclusive_start_key: Some(wrong("Number overflow. Attempting to store a number")),
            filter_expression: Some(String::new()),
            expression_attribute_values: Some(BTreeMap::new()),
            ..ReadOptions::default()
        },
        total_segments: None,
        segment: Some(3),
    };
    let mixed = format!(
        "{CANNOT_MIX}{{AttributesToGet, ScanFilter, ConditionalOperator}} Expression parameters: {{FilterExpression}}"
    );
    let compiled = check_order(
        request,
        scan,
        &[
            (mixed.leak(), |r| r.options.filter_expression = None),
            (
                "ExpressionAttributeValues can only be specified when using expressions: FilterExpression is null",
                |r| r.options.expression_attribute_values = None,
            ),
            (
                "One or more parameter values were invalid: Duplicate value in attribute name: a",
                |r| r.options.attributes_to_get = Some(vec!["a".to_owned()]),
            ),
            (
                "One or more parameter values were invalid: ComparisonOperator LT is not valid for NULL AttributeValue type",
                |r| r.options.filter = map([]),
            ),
            (WITHOUT_FILTER, |r| r.options.conditional_operator = None),
            ("Number overflow. Attempting to store a number", |r| {
                r.options.exclusive_start_key = Some(Ok(key()));
            }),
            (
                "The TotalSegments parameter is required but was not present in the request when Segment parameter is present",
                |r| {
                    r.segment = None;
                    r.total_segments = Some(4);
                },
            ),
            (
                "The Segment parameter is required but was not present in the request when parameter TotalSegments is present",
                |r| r.segment = Some(4),
            ),
            (
                "The Segment parameter is zero-based and must be less than parameter TotalSegments: Segment: 4 is not less than TotalSegments: 4",
                |r| r.segment = Some(3),
            ),
            ("Cannot specify the AttributesToGet when choosing to get ALL_ATTRIBUTES", |r| {
                r.options.select = None;
            }),
        ],
    );
    assert_eq!(compiled.segment, Some(Segment { index: 3, total: 4 }));
}

#[test]
fn a_choice_of_attributes_must_fit_the_other_parameters() {
    let request = ScanRequest {
        options: ReadOptions {
            select: Some(Select::AllProjectedAttributes),
            attributes_to_get: Some(vec!["a".to_owned()]),
            ..ReadOptions::default()
        },
        ..ScanRequest::default()
    };
    check_order(
        request,
        scan,
        &[
            (
                "Cannot specify the AttributesToGet when choosing to get ALL_PROJECTED_ATTRIBUTES",
                |r| r.options.attributes_to_get = None,
            ),
            ("ALL_PROJECTED_ATTRIBUTES can be used only when Querying using an IndexName", |r| {
                r.options.select = Some(Select::SpecificAttributes)
            }),
            (
                "Must specify the AttributesToGet or ProjectionExpression when choosing to get SPECIFIC_ATTRIBUTES",
                |r| r.options.select = Some(Select::Count),
            ),
        ],
    );
}

fn keys(range: std::ops::Range<usize>) -> KeysAndAttributes {
    KeysAndAttributes {
        keys: range.map(|n| Ok(Item::from([("p".to_owned(), s(&n.to_string()))]))).collect(),
        ..KeysAndAttributes::default()
    }
}

#[test]
fn batch_get_item_checks_in_the_order_of_the_service() {
    let request = BatchGetItemRequest {
        request_items: BTreeMap::from([
            (
                "a".to_owned(),
                KeysAndAttributes {
                    keys: vec![wrong(EMPTY_VALUE)],
                    attributes_to_get: Some(vec!["a".to_owned(), "a".to_owned()]),
                    expression_attribute_names: names(&[("#a", "a")]),
                    ..KeysAndAttributes::default()
                },
            ),
            (
                "b".to_owned(),
                KeysAndAttributes {
                    projection_expression: Some(String::new()),
                    consistent_read: Some(true),
                    ..keys(0..100)
                },
            ),
        ]),
        return_consumed_capacity: ReturnConsumedCapacity::Total,
    };
    fn of<'r>(r: &'r mut BatchGetItemRequest, table: &str) -> &'r mut KeysAndAttributes {
        r.request_items.get_mut(table).expect("a table of the request")
    }
    let mixed =
        format!("{CANNOT_MIX}{{AttributesToGet}} Expression parameters: {{ProjectionExpression}}");
    let compiled = check_order(
        request,
        batch_get_item,
        &[
            (mixed.leak(), |r| of(r, "b").projection_expression = None),
            (NAMES_WITHOUT, |r| of(r, "a").expression_attribute_names = None),
            (
                "One or more parameter values were invalid: Duplicate value in attribute name: a",
                |r| of(r, "a").attributes_to_get = None,
            ),
            (EMPTY_VALUE, |r| of(r, "a").keys = vec![Ok(key()), Ok(key())]),
            ("Provided list of item keys contains duplicates", |r| {
                of(r, "a").keys = vec![Ok(key())];
            }),
            ("Too many items requested for the BatchGetItem call", |r| {
                of(r, "b").keys.pop();
            }),
        ],
    );
    let b = &compiled.tables["b"];
    assert!(b.consistent_read && b.parameters.consistent_read == Some(true));
    assert!(b.keys.len() == 99 && b.parameters.keys.is_empty());
}

#[test]
fn batch_write_item_checks_in_the_order_of_the_service() {
    let malformed = || WriteRequest::Malformed(Box::new(ServiceError::validation("Malformed")));
    let request = BatchWriteItemRequest {
        request_items: BTreeMap::from([
            ("a".to_owned(), vec![WriteRequest::Put(wrong(EMPTY_VALUE)), malformed()]),
            ("b".to_owned(), vec![malformed(); 24]),
        ]),
        ..BatchWriteItemRequest::default()
    };
    let compiled = check_order(
        request,
        batch_write_item,
        &[
            ("Too many items requested for the BatchWriteItem call", |r| {
                r.request_items.remove("b");
            }),
            ("Malformed", |r| {
                r.request_items.get_mut("a").expect("a").pop();
            }),
            (EMPTY_VALUE, |r| {
                let large = WriteRequest::Put(Ok(encoded_of_bytes(ITEM_SIZE_BYTES_MAX + 1)));
                r.request_items.insert("a".to_owned(), vec![large]);
            }),
            ("Item size has exceeded the maximum allowed size", |r| {
                let writes =
                    vec![WriteRequest::Put(Ok(encoded(&key()))), WriteRequest::Delete(Ok(key()))];
                r.request_items.insert("a".to_owned(), writes);
            }),
        ],
    );
    assert!(matches!(
        compiled.tables["a"].as_slice(),
        [CompiledBatchEntry::Put(_), CompiledBatchEntry::Delete(_)]
    ));
}

#[test]
fn errors_in_starting_keys_say_so_unless_they_are_of_the_conversion() {
    let check = |message: &str, expected: &str| {
        let error = starting_key(Some(wrong(message))).expect_err(expected);
        assert_eq!(error.message, expected);
    };
    let prefixed =
        |message: &str| check(message, &format!("The provided starting key is invalid: {message}"));
    let bare = |message: &str| check(message, message);
    prefixed(EMPTY_VALUE);
    prefixed("One or more parameter values were invalid: An string set  may not be empty");
    prefixed("One or more parameter values were invalid: Binary sets should not be empty");
    bare("One or more parameter values were invalid: An number set  may not be empty");
    bare("One or more parameter values were invalid: Input collection [a, a] contains duplicates.");
    bare("Input collection contains duplicates");
    bare("The parameter cannot be converted to a numeric value: b");
    bare(
        "Number underflow. Attempting to store a number with magnitude smaller than supported range",
    );
}

#[test]
fn keys_of_other_types_are_not_compared() {
    let list = || Item::from([("p".to_owned(), AttributeValue::L(Vec::new()))]);
    assert!(check_distinct(&[list(), list()]).is_ok());
    assert!(check_distinct(&[key(), list(), key()]).is_err());
    assert!(check_distinct(&[]).is_ok());
}

fn values(of: &[(&str, AttributeValue)]) -> Option<ExpressionAttributeValues> {
    Some(of.iter().map(|(key, value)| ((*key).to_owned(), Ok(value.clone()))).collect())
}

const EMPTY_NAMES: &str = "ExpressionAttributeNames must not be empty";
const EMPTY_VALUES: &str = "ExpressionAttributeValues must not be empty";

#[test]
fn update_item_compiles_its_expressions_after_all_else() {
    let request = UpdateItemRequest {
        table_name: "table".to_owned(),
        key: wrong(EMPTY_VALUE),
        attribute_updates: None,
        update_expression: Some(String::new()),
        options: WriteOptions {
            condition_expression: Some(String::new()),
            expression_attribute_names: Some(BTreeMap::new()),
            expression_attribute_values: Some(BTreeMap::new()),
            ..options()
        },
    };
    let compiled = check_order(
        request,
        update_item,
        &[
            (EMPTY_VALUE, |r| r.key = Ok(key())),
            (EMPTY_NAMES, |r| r.options.expression_attribute_names = names(&[("a", "a")])),
            ("ExpressionAttributeNames contains invalid key: Syntax error; key: \"a\"", |r| {
                r.options.expression_attribute_names = names(&[("#a", "a"), ("#b", "b")]);
            }),
            (EMPTY_VALUES, |r| {
                r.options.expression_attribute_values = map([(":a", wrong(EMPTY_VALUE))]);
            }),
            (EMPTY_VALUE, |r| {
                let of = [(":a", s("x")), (":b", s("x")), (":c", s("x"))];
                r.options.expression_attribute_values = values(&of);
            }),
            ("Invalid UpdateExpression: The expression can not be empty;", |r| {
                r.update_expression = Some("SET #a = :a".to_owned());
            }),
            ("Invalid ConditionExpression: The expression can not be empty;", |r| {
                r.options.condition_expression = Some("c = :b".to_owned());
            }),
            ("Value provided in ExpressionAttributeNames unused in expressions: keys: {#b}", |r| {
                r.options.expression_attribute_names = names(&[("#a", "a")])
            }),
            (
                "Value provided in ExpressionAttributeValues unused in expressions: keys: {:c}",
                |r| {
                    r.options.expression_attribute_values =
                        values(&[(":a", s("x")), (":b", s("x"))]);
                },
            ),
        ],
    );
    assert!(compiled.update.is_some_and(|update| update.touches("a")));
    assert!(compiled.condition.is_some_and(|condition| condition.mentions("c")));
}

#[test]
fn query_compiles_its_expressions_after_all_else() {
    let request = QueryRequest {
        options: ReadOptions {
            select: Some(Select::Count),
            exclusive_start_key: Some(wrong(EMPTY_VALUE)),
            projection_expression: Some(String::new()),
            filter_expression: Some(String::new()),
            expression_attribute_names: Some(BTreeMap::new()),
            expression_attribute_values: values(&[(":p", s("x")), (":f", s("x"))]),
            ..ReadOptions::default()
        },
        key_condition_expression: Some(String::new()),
        ..QueryRequest::default()
    };
    let compiled = check_order(
        request,
        query,
        &[
            (
                "The provided starting key is invalid: Supplied AttributeValue is empty, must contain exactly one of the supported datatypes",
                |r| r.options.exclusive_start_key = None,
            ),
            (EMPTY_NAMES, |r| r.options.expression_attribute_names = names(&[("#n", "n")])),
            ("Invalid KeyConditionExpression: The expression can not be empty;", |r| {
                r.key_condition_expression = Some("attribute_exists(p) AND p = :p".to_owned());
            }),
            ("Invalid FilterExpression: The expression can not be empty;", |r| {
                r.options.filter_expression = Some("f = :f".to_owned());
            }),
            ("Invalid ProjectionExpression: The expression can not be empty;", |r| {
                r.options.projection_expression = Some("g".to_owned());
            }),
            ("Value provided in ExpressionAttributeNames unused in expressions: keys: {#n}", |r| {
                r.options.expression_attribute_names = None;
            }),
            ("Invalid operator used in KeyConditionExpression: attribute_exists", |r| {
                r.key_condition_expression = Some("p = :p".to_owned());
            }),
            (
                "1 validation error detected: Cannot specify the ProjectionExpression when choosing to get only the Count",
                |r| r.options.select = None,
            ),
        ],
    );
    assert_eq!(compiled.filter_parameter(), "Filter Expression");
    let partition = [("p".to_owned(), crate::value::ValueType::S)];
    let bound = compiled.key_condition.bind(KeySchemaRef { partition: &partition, sort: &[] });
    assert_eq!(bound.expect("a condition on the partition key").partition, [s("x")]);
}

#[test]
fn a_filter_expression_goes_with_legacy_key_conditions() {
    let request = QueryRequest {
        options: ReadOptions {
            filter_expression: Some("f = :f".to_owned()),
            expression_attribute_values: values(&[(":f", s("x"))]),
            ..ReadOptions::default()
        },
        key_conditions: map([("p", equals_x())]),
        ..QueryRequest::default()
    };
    let compiled = query(request).expect("no error");
    assert!(matches!(compiled.key_condition, KeyConditionSource::Legacy(_)));
    assert_eq!(compiled.filter_parameter(), "Filter Expression");
}

#[test]
fn the_size_of_all_values_is_limited() {
    let half = s(&"x".repeat(crate::limits::EXPRESSION_VALUES_BYTES_MAX / 2));
    let request = ScanRequest {
        options: ReadOptions {
            filter_expression: Some("a IN (:a, :b)".to_owned()),
            expression_attribute_values: values(&[(":a", half.clone()), (":b", half)]),
            ..ReadOptions::default()
        },
        ..ScanRequest::default()
    };
    let steps: [Step<ScanRequest>; 1] = [("ExpressionAttributeValues exceeds max size", |r| {
        r.options.expression_attribute_values = values(&[(":a", s("x")), (":b", s("x"))]);
    })];
    check_order(request, scan, &steps);
}
