//! The rules of the legacy parameters, as tables.

use std::collections::BTreeMap;

use super::{attribute_updates, conditions, key_conditions};
use crate::codec::{EncodedItem, ItemHeader};
use crate::error::ServiceError;
use crate::expression::KeySchemaRef;
use crate::number::Number;
use crate::operation::{
    AttributeAction as Do, AttributeValueUpdate, ComparisonOperator as Op,
    Condition as LegacyCondition, ExpectedAttribute, Parsed,
};
use crate::value::{AttributeValue, Item, ValueType};

const EMPTY_VALUE: &str =
    "Supplied AttributeValue is empty, must contain exactly one of the supported datatypes";

fn s(text: &str) -> AttributeValue {
    AttributeValue::S(text.to_owned())
}

fn wrong<T>(message: &str) -> Parsed<T> {
    Err(Box::new(ServiceError::validation(message)))
}

fn compare(operator: Op, operands: &[AttributeValue]) -> LegacyCondition {
    LegacyCondition {
        comparison_operator: operator,
        attribute_value_list: Some(operands.iter().cloned().map(Ok).collect()),
    }
}

fn equals_x() -> LegacyCondition {
    compare(Op::Eq, &[s("x")])
}

#[test]
fn legacy_conditions_on_keys_are_bound_to_the_schema() {
    let schema = |name: &str| vec![(name.to_owned(), ValueType::S)];
    let (partition, sort) = (schema("p"), schema("s"));
    let check = |of: &[(&'static str, LegacyCondition)], with_sort: bool, expected: &str| {
        let named = of.iter().map(|(name, condition)| ((*name).to_owned(), condition.clone()));
        let conditions = key_conditions(named.collect());
        let sort: &[_] = if with_sort { &sort } else { &[] };
        let schema = KeySchemaRef { partition: &partition, sort };
        let error = conditions.expect("well-formed").bind(schema).expect_err(expected);
        assert_eq!(error.message, expected);
    };
    let eq = equals_x;
    let not_indexable = "Attempted conditional constraint is not an indexable operation";
    check(&[("z", compare(Op::Null, &[]))], true, "Query condition missed key schema element: p");
    check(&[("p", eq()), ("z", eq())], true, "Query condition missed key schema element: s");
    check(&[("p", eq()), ("z", eq())], false, "Query key condition not supported");
    for operator in [Op::Ne, Op::In, Op::Contains, Op::NotContains] {
        check(&[("p", compare(operator, &[s("x")]))], true, not_indexable);
        check(&[("p", eq()), ("s", compare(operator, &[s("x")]))], true, not_indexable);
    }
    check(&[("p", compare(Op::NotNull, &[]))], true, not_indexable);
    check(
        &[("p", compare(Op::Eq, &[AttributeValue::Bool(true)]))],
        true,
        "One or more parameter values were invalid: Condition parameter type does not match schema type",
    );
    check(
        &[
            ("p", eq()),
            (
                "s",
                compare(
                    Op::Between,
                    &[AttributeValue::B("a".into()), AttributeValue::B("b".into())],
                ),
            ),
        ],
        true,
        "One or more parameter values were invalid: Condition parameter type does not match schema type",
    );
    check(&[("p", compare(Op::Lt, &[s("x")]))], true, "Query key condition not supported");
    check(
        &[("p", compare(Op::Eq, &[s("")]))],
        true,
        "One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an empty string value. Key: p",
    );
}

#[test]
fn legacy_conditions_bind_to_keys_of_several_attributes() {
    let schema = |names: &[&str]| -> Vec<_> {
        names.iter().map(|name| ((*name).to_owned(), ValueType::S)).collect()
    };
    let bind = |partition: &[&str], sort: &[&str], of: &[(&str, Op)]| {
        let named =
            of.iter().map(|(name, operator)| ((*name).to_owned(), compare(*operator, &[s("x")])));
        let (partition, sort) = (schema(partition), schema(sort));
        let schema = KeySchemaRef { partition: &partition, sort: &sort };
        key_conditions(named.collect()).and_then(|conditions| conditions.bind(schema))
    };
    let long: &[&str] = &["a", "b", "c"];
    let bound = bind(&["h"], long, &[("h", Op::Eq), ("a", Op::Eq), ("b", Op::Ge)]);
    let bound = bound.expect("three conditions");
    assert_eq!((bound.sort_equal, bound.sort_last.is_some()), (vec![s("x")], true));
    let bound = bind(&["h", "i"], &["a"], &[("h", Op::Eq), ("i", Op::Eq), ("a", Op::Eq)]);
    assert_eq!(bound.expect("three conditions").partition.len(), 2);

    let check = |partition: &[&str], sort: &[&str], of: &[(&str, Op)], expected: &str| {
        let error = bind(partition, sort, of).expect_err(expected);
        assert_eq!(error.message, expected);
    };
    let not_supported = "Query key condition not supported";
    let five = ["h", "a", "b", "c", "i"].map(|name| (name, Op::Eq));
    check(&["h"], long, &five, not_supported);
    check(&["h", "i"], &[], &[("h", Op::Eq), ("i", Op::Eq), ("a", Op::Eq)], not_supported);
    let length = "Conditions can be of length 1 or 2 only";
    check(&["h"], &["a"], &[("h", Op::Eq), ("a", Op::Eq), ("b", Op::Eq)], length);
    check(&["h"], &[], &[("h", Op::Eq), ("a", Op::Eq), ("b", Op::Eq)], length);
    let not_indexable = "Attempted conditional constraint is not an indexable operation";
    for operator in [Op::In, Op::Contains] {
        check(&["h"], long, &[("h", Op::Eq), ("a", Op::Eq), ("b", operator)], not_indexable);
    }
    let hash = "HASH key attributes i must have equality conditions specified in the query";
    check(&["h", "i"], &["a"], &[("h", Op::Eq), ("i", Op::Contains)], hash);
    let range = "RANGE key attributes a must have equality conditions specified in the query \
                 because a condition is present on key attribute b";
    check(&["h"], long, &[("h", Op::Eq), ("b", Op::Eq), ("c", Op::Gt)], range);
    check(&["h"], long, &[("h", Op::Eq), ("a", Op::Contains), ("b", Op::Eq)], range);
    let missed = "Query condition missed key schema element: c";
    check(&["h"], long, &[("h", Op::Eq), ("a", Op::Eq), ("b", Op::Gt), ("z", Op::Eq)], missed);
}

/// Checks one attribute of `Expected`: `Value` or not, so many operands, operator, `Exists`.
fn check_expected(
    value: bool,
    list: Option<usize>,
    operator: Option<Op>,
    exists: Option<bool>,
    expected: &str,
) {
    let attribute = ExpectedAttribute {
        value: value.then(|| Ok(s("x"))),
        exists,
        comparison_operator: operator,
        attribute_value_list: list.map(|n| vec![Ok(s("x")); n]),
    };
    let prefix = "One or more parameter values were invalid: ";
    let message = match super::expected(BTreeMap::from([("at".to_owned(), attribute)])) {
        Ok(_) => String::new(),
        Err(error) => error.message.strip_prefix(prefix).unwrap_or(&error.message).to_owned(),
    };
    assert_eq!(message, expected, "{value} {list:?} {operator:?} {exists:?}");
}

#[test]
fn expected_has_rules_of_its_own() {
    let check = check_expected;
    let together = "Value and AttributeValueList cannot be used together for Attribute: at";
    check(true, Some(1), None, None, together);
    check(true, Some(1), Some(Op::Eq), Some(true), together);
    let exists = "Exists and ComparisonOperator cannot be used together for Attribute: at";
    check(true, None, Some(Op::Eq), Some(false), exists);
    check(false, None, Some(Op::Lt), Some(true), exists);
    let alone =
        "Value or AttributeValueList must be used with ComparisonOperator: LT for Attribute: at";
    check(false, None, Some(Op::Lt), None, alone);
    let only = "AttributeValueList can only be used with a ComparisonOperator for Attribute: at";
    check(false, Some(1), None, None, only);
    check(false, Some(1), None, Some(true), only);
    let provided =
        |exists: &str| format!("Value must be provided when Exists is {exists} for Attribute: at");
    check(false, None, None, None, &provided("null"));
    check(false, None, None, Some(true), &provided("true"));
    check(
        true,
        None,
        None,
        Some(false),
        "Value cannot be used when Exists is false for Attribute: at",
    );
    let number = |operator: &str| {
        format!("Invalid number of argument(s) for the {operator} ComparisonOperator")
    };
    check(true, None, Some(Op::Null), None, &number("NULL"));
    check(true, None, Some(Op::Between), None, &number("BETWEEN"));
    check(false, Some(0), Some(Op::In), None, &number("IN"));
    check(false, Some(3), Some(Op::Between), None, &number("BETWEEN"));
}

#[test]
fn expected_that_keeps_the_rules_is_taken() {
    for (value, list, operator, exists) in [
        (true, None, None, None),
        (true, None, None, Some(true)),
        (false, None, None, Some(false)),
        (false, None, Some(Op::Null), None),
        (false, Some(0), Some(Op::NotNull), None),
        (true, None, Some(Op::Ne), None),
        (false, Some(3), Some(Op::In), None),
        (false, Some(2), Some(Op::Between), None),
    ] {
        check_expected(value, list, operator, exists, "");
    }
}

/// One value of each type.
fn one_of_each() -> [AttributeValue; 10] {
    [
        s("a"),
        AttributeValue::N(Number::ZERO),
        AttributeValue::B("a".into()),
        AttributeValue::Bool(true),
        AttributeValue::Null,
        AttributeValue::Ss(vec!["a".to_owned()]),
        AttributeValue::Ns(Vec::new()),
        AttributeValue::Bs(Vec::new()),
        AttributeValue::L(Vec::new()),
        AttributeValue::M(Item::new()),
    ]
}

#[test]
fn operators_take_operands_of_their_types() {
    let accepted = |operator, operands: usize| {
        let types = one_of_each().into_iter().filter_map(|value| {
            let value_type = value.value_type();
            let condition = compare(operator, &vec![value; operands]);
            match conditions(BTreeMap::from([("a".to_owned(), condition)])) {
                Ok(_) => Some(value_type.name()),
                Err(error) => {
                    assert!(error.message.starts_with(
                        "One or more parameter values were invalid: ComparisonOperator "
                    ));
                    assert!(error.message.ends_with(&format!(
                        " is not valid for {} AttributeValue type",
                        value_type.name()
                    )));
                    None
                }
            }
        });
        types.collect::<Vec<_>>().join(" ")
    };
    for operator in [Op::Eq, Op::Ne] {
        assert_eq!(accepted(operator, 1), "S N B BOOL NULL SS NS BS L M");
    }
    for operator in [Op::Lt, Op::Le, Op::Gt, Op::Ge, Op::In] {
        assert_eq!(accepted(operator, 1), "S N B");
    }
    assert_eq!(accepted(Op::Between, 2), "S N B");
    for operator in [Op::Contains, Op::NotContains] {
        assert_eq!(accepted(operator, 1), "S N B BOOL NULL");
    }
    assert_eq!(accepted(Op::BeginsWith, 1), "S B");
}

#[test]
fn operands_have_one_type_and_bounds_an_order() {
    let check = |condition, expected: &str| {
        let map = BTreeMap::from([("a".to_owned(), condition)]);
        assert_eq!(conditions(map).expect_err(expected).message, expected);
    };
    let mixed = [s("a"), AttributeValue::B("a".into())];
    let same_type = "One or more parameter values were invalid: AttributeValues inside AttributeValueList must be of same type";
    check(compare(Op::In, &mixed), same_type);
    check(compare(Op::Between, &mixed), same_type);
    check(
        compare(Op::Between, &[s("b"), s("a")]),
        "The BETWEEN condition was provided a range where the lower bound is greater than the upper bound",
    );
    // A wrong value comes before the wrong number of values.
    let condition = LegacyCondition {
        comparison_operator: Op::Eq,
        attribute_value_list: Some(vec![Ok(s("a")), wrong(EMPTY_VALUE)]),
    };
    check(condition, EMPTY_VALUE);
}

#[test]
fn attribute_updates_take_values_of_their_types() {
    let accepted = |action| {
        let types = one_of_each().into_iter().filter_map(|value| {
            let name = value.value_type().name();
            let update = AttributeValueUpdate { value: Some(Ok(value)), action: Some(action) };
            match attribute_updates(BTreeMap::from([("a".to_owned(), update)])) {
                Ok(_) => Some(name),
                Err(error) => {
                    let what = if action == Do::Add { "ADD action is" } else { "DELETE action with value is" };
                    let text = format!("One or more parameter values were invalid: {what} not supported for the type {name}");
                    assert_eq!(error.message, text);
                    None
                }
            }
        });
        types.collect::<Vec<_>>().join(" ")
    };
    assert_eq!(accepted(Do::Put), "S N B BOOL NULL SS NS BS L M");
    assert_eq!(accepted(Do::Add), "N SS NS BS L");
    assert_eq!(accepted(Do::Delete), "SS NS BS");
    let remove = AttributeValueUpdate { value: None, action: Some(Do::Delete) };
    let updates = BTreeMap::from([("a".to_owned(), remove)]);
    assert!(matches!(attribute_updates(updates), Ok(Some(_))));
}

/// The values that `matches.txt` speaks of.
fn value_named(name: &str) -> Option<AttributeValue> {
    let five = Number::parse("5").ok()?;
    let abc = || "abc".to_owned();
    Some(match ValueType::from_name(name)? {
        ValueType::S => AttributeValue::S(abc()),
        ValueType::N => AttributeValue::N(five),
        ValueType::B => AttributeValue::B("abc".into()),
        ValueType::Bool => AttributeValue::Bool(true),
        ValueType::Null => AttributeValue::Null,
        ValueType::Ss => AttributeValue::Ss(vec!["a".to_owned(), abc()]),
        ValueType::Ns => AttributeValue::Ns(vec![five, Number::parse("6").ok()?]),
        ValueType::Bs => AttributeValue::Bs(vec!["abc".into()]),
        ValueType::L => AttributeValue::L(vec![
            AttributeValue::S(abc()),
            AttributeValue::N(five),
            AttributeValue::Bool(true),
            AttributeValue::Null,
        ]),
        ValueType::M => AttributeValue::M(Item::from([("a".to_owned(), AttributeValue::S(abc()))])),
    })
}

const ALL: [Op; 13] = [
    Op::Eq,
    Op::Ne,
    Op::Lt,
    Op::Le,
    Op::Gt,
    Op::Ge,
    Op::In,
    Op::Between,
    Op::BeginsWith,
    Op::Contains,
    Op::NotContains,
    Op::Null,
    Op::NotNull,
];

/// The types of the attributes that a comparison matches, as `matches.txt` lists them.
fn matches(operator: Op, operand: Option<AttributeValue>) -> Option<String> {
    let count = if operator == Op::Between { 2 } else { 1 };
    let operands = operand.map_or_else(Vec::new, |operand| vec![operand; count]);
    let map = BTreeMap::from([("a".to_owned(), compare(operator, &operands))]);
    let condition = super::join(conditions(map).ok()?, None).ok()??;
    let names = ["S", "N", "B", "BOOL", "NULL", "SS", "NS", "BS", "L", "M", "nothing"];
    let matching = names.into_iter().filter(|name| {
        let attribute = value_named(name).map(|value| ("a".to_owned(), value));
        let item = EncodedItem::encode(&attribute.into_iter().collect(), ItemHeader::default());
        condition.evaluate(Some(&item)).expect("an item that decodes")
    });
    Some(matching.collect::<Vec<_>>().join(" "))
}

#[test]
fn legacy_conditions_match_what_the_service_matches() {
    let mut lines = Vec::new();
    for operator in ALL {
        let name = super::operator_name(operator);
        lines.extend(matches(operator, None).map(|matching| format!("{name}: {matching}")));
        for operand in ["S", "N", "B", "BOOL", "NULL", "SS", "NS", "BS", "L", "M"] {
            let matching = matches(operator, value_named(operand));
            lines.extend(matching.map(|matching| format!("{name} {operand}: {matching}")));
        }
    }
    let golden = include_str!("matches.txt")
        .lines()
        .filter(|line| line.contains(':') && !line.starts_with('#'));
    let lines: Vec<_> = lines.iter().map(|line| line.trim_end()).collect();
    assert_eq!(lines, golden.collect::<Vec<_>>());
}

#[test]
fn names_of_attributes_are_neither_empty_nor_too_long() {
    let check = |name: &str, expected: Option<&str>| {
        let key = || name.to_owned();
        let absent = ExpectedAttribute {
            value: None,
            exists: Some(false),
            comparison_operator: None,
            attribute_value_list: None,
        };
        let remove = AttributeValueUpdate { value: None, action: Some(Do::Delete) };
        let found = [
            super::expected(BTreeMap::from([(key(), absent)])).err(),
            conditions(BTreeMap::from([(key(), compare(Op::Null, &[]))])).err(),
            attribute_updates(BTreeMap::from([(key(), remove)])).err(),
            super::attributes_to_get(vec![key()]).err(),
        ];
        for error in found {
            assert_eq!(error.map(|error| error.message).as_deref(), expected);
        }
    };
    check("", Some("Empty attribute name"));
    check(&"n".repeat(65_535), None);
    let large = "Attribute name is too large, must be less than 65536 bytes";
    check(&"n".repeat(65_536), Some(large));
    check(&"é".repeat(32_768), Some(large));
}
