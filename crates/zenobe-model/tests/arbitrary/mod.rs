//! Values of all kinds for property tests.

#![allow(dead_code, reason = "each test uses a part of these")]

use bytes::Bytes;
use proptest::collection::{btree_map, btree_set, vec};
use proptest::prelude::*;
use zenobe_model::{AttributeValue, Item, Number};

/// Numbers of every magnitude; half of them close to each other, so that they meet.
pub(crate) fn number() -> impl Strategy<Value = Number> {
    let digits = prop_oneof![0u128..1000, any::<u64>().prop_map(u128::from), 0u128..10u128.pow(38)];
    let exponent = prop_oneof![-4i64..4, -170i64..130];
    (any::<bool>(), digits, exponent).prop_map(|(negative, coefficient, exponent)| {
        Number::from_parts(negative, coefficient, exponent).unwrap_or(Number::ZERO)
    })
}

/// Strings, some with zero bytes and some longer than a length of one byte can say.
pub(crate) fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => "[ab\u{0}\u{1}ÿ\u{10FFFF}]{0,6}",
        2 => any::<String>(),
        1 => "x{240,300}",
    ]
}

/// Binaries with many of the bytes that are escaped.
pub(crate) fn binary() -> impl Strategy<Value = Bytes> {
    vec(prop_oneof![Just(0u8), Just(0xFF), Just(1), any::<u8>()], 0..8).prop_map(Bytes::from)
}

/// Any value that DynamoDB accepts.
pub(crate) fn value() -> impl Strategy<Value = AttributeValue> {
    let leaf = prop_oneof![
        text().prop_map(AttributeValue::S),
        number().prop_map(AttributeValue::N),
        binary().prop_map(AttributeValue::B),
        any::<bool>().prop_map(AttributeValue::Bool),
        Just(AttributeValue::Null),
        btree_set(text(), 1..4).prop_map(|set| AttributeValue::Ss(set.into_iter().collect())),
        btree_set(number(), 1..4).prop_map(|set| AttributeValue::Ns(set.into_iter().collect())),
        btree_set(binary(), 1..4).prop_map(|set| AttributeValue::Bs(set.into_iter().collect())),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(AttributeValue::L),
            btree_map(text(), inner, 0..4).prop_map(AttributeValue::M),
        ]
    })
}

/// Any item.
pub(crate) fn item() -> impl Strategy<Value = Item> {
    btree_map(text(), value(), 0..6)
}
