//! Sizes as DynamoDB counts them. The figures of numbers were measured against the service, those
//! with a comment against DynamoDB Local.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "a test fails by panicking"
)]

mod arbitrary;

use proptest::prelude::*;
use zenobe_model::codec::{EncodedItem, ItemHeader, RawValueBuf};
use zenobe_model::size::{depth, item_size, number_size, value_size};
use zenobe_model::{AttributeValue, Item, Number};

#[test]
fn numbers_cost_a_byte_per_pair_of_digits() {
    for (text, bytes) in [
        ("0", 1),
        ("-0", 1),
        ("1", 2),
        ("12", 2),
        ("123", 3),
        ("1234", 3),
        ("123456", 4),
        ("12345678901234567890123456789012345678", 20),
        ("0042", 2),
        ("100", 2),
        ("1010", 3),
        ("0.0000001", 2),
        ("1E125", 2),
        ("1E-100", 2),
        ("15", 2),
        ("1.5", 3),
        ("1.2", 3),
        ("1.200", 3),
        ("1.234", 4),
        ("3.14159", 5),
        ("100.5", 4),
        ("0.15", 2),
        ("-42", 3),
        // DynamoDB Local: pairs are aligned at the point.
        ("120", 3),
        ("1200", 2),
        ("12E123", 3),
        ("0.015", 3),
        ("0.0015", 2),
        ("1E-130", 2),
        ("-1.5", 4),
    ] {
        assert_eq!(number_size(Number::parse(text).unwrap()), bytes, "{text}");
    }
}

#[test]
fn names_and_containers_cost() {
    let text = |text: &str| AttributeValue::S(text.to_owned());
    let item = Item::from([
        ("pk".to_owned(), text("abc")),
        ("é".to_owned(), AttributeValue::Bool(true)),
        ("l".to_owned(), AttributeValue::L(vec![text("x"), AttributeValue::Null])),
        ("m".to_owned(), AttributeValue::M(Item::from([("k".to_owned(), text("vv"))]))),
        ("ss".to_owned(), AttributeValue::Ss(vec!["a".to_owned(), "bc".to_owned()])),
    ]);
    assert_eq!(
        item_size(&item),
        (2 + 3) + (2 + 1) + (1 + 3 + 2 + 2) + (1 + 3 + 1 + 1 + 2) + (2 + 3)
    );
    assert_eq!(value_size(&AttributeValue::L(Vec::new())), 3);
    assert_eq!(depth(&text("")), 1);
    assert_eq!(depth(&AttributeValue::L(Vec::new())), 1);
    assert_eq!(depth(&AttributeValue::L(vec![AttributeValue::L(vec![text("")])])), 3);
}

proptest! {
    #[test]
    fn encoded_values_have_the_size_of_their_trees(item in arbitrary::item()) {
        let encoded = EncodedItem::encode(&item, ItemHeader::default());
        prop_assert_eq!(encoded.size_bytes(), item_size(&item));
        for (name, value) in &item {
            prop_assert_eq!(encoded.get(name).unwrap().size_bytes(), value_size(value));
            prop_assert_eq!(RawValueBuf::encode(value).as_raw().size_bytes(), value_size(value));
        }
    }
}
