//! Encoded keys compare as DynamoDB orders the values.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "a test fails by panicking"
)]

mod arbitrary;

use proptest::prelude::*;
use zenobe_model::AttributeValue;
use zenobe_model::key::{
    KeyValue, KeyWriter, decode, decode_composite, encode_composite, prefix_end,
};

fn encode(values: &[&AttributeValue]) -> bytes::Bytes {
    let values: Vec<_> = values.iter().map(|value| KeyValue::from_value(value).unwrap()).collect();
    encode_composite(&values)
}

/// Two values of one type, often equal or close.
fn pair() -> impl Strategy<Value = (AttributeValue, AttributeValue)> {
    prop_oneof![
        (arbitrary::text(), arbitrary::text())
            .prop_map(|(a, b)| (AttributeValue::S(a), AttributeValue::S(b))),
        (arbitrary::number(), arbitrary::number())
            .prop_map(|(a, b)| (AttributeValue::N(a), AttributeValue::N(b))),
        (arbitrary::binary(), arbitrary::binary())
            .prop_map(|(a, b)| (AttributeValue::B(a), AttributeValue::B(b))),
        prop_oneof![
            arbitrary::text().prop_map(AttributeValue::S),
            arbitrary::number().prop_map(AttributeValue::N),
        ]
        .prop_map(|value| (value.clone(), value)),
    ]
}

fn plain_order(left: &AttributeValue, right: &AttributeValue) -> std::cmp::Ordering {
    KeyValue::from_value(left).unwrap().cmp(&KeyValue::from_value(right).unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn keys_order_element_by_element((a, b) in pair(), (c, d) in pair()) {
        let order = plain_order(&a, &b).then_with(|| plain_order(&c, &d));
        prop_assert_eq!(encode(&[&a, &c]).cmp(&encode(&[&b, &d])), order);
        prop_assert_eq!(encode(&[&a]).cmp(&encode(&[&b])), plain_order(&a, &b));
    }

    #[test]
    fn keys_decode_to_their_values((a, b) in pair()) {
        let key = encode(&[&a, &b]);
        prop_assert_eq!(decode_composite(&key).unwrap(), vec![a.clone(), b.clone()]);
        let (first, rest) = decode(&key).unwrap();
        prop_assert_eq!(first, a);
        prop_assert_eq!(rest, &encode(&[&b])[..]);
    }

    #[test]
    fn a_prefix_covers_exactly_what_begins_with_it(
        value in arbitrary::binary(),
        other in arbitrary::binary(),
        length in 0usize..8,
        behind in arbitrary::number(),
    ) {
        let prefix = value.slice(..length.min(value.len()));
        for candidate in [&value, &other] {
            let key = encode_composite(&[KeyValue::B(candidate), KeyValue::N(behind)]);
            let mut start = KeyWriter::new();
            start.push_prefix(KeyValue::B(&prefix));
            let end = prefix_end(start.as_bytes()).unwrap();
            let covered = start.as_bytes() <= &key[..] && key < end;
            prop_assert_eq!(covered, candidate.starts_with(&prefix));
        }
    }

    #[test]
    fn equality_of_the_first_elements_is_a_prefix((a, b) in pair(), (c, _) in pair()) {
        let key = encode(&[&b, &c]);
        prop_assert_eq!(key.starts_with(&encode(&[&a])), a == b);
    }

    #[test]
    fn corrupt_keys_never_panic_nor_decode_to_another_key(
        (a, b) in pair(),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let mut key = encode(&[&a, &b]).to_vec();
        let at = at.index(key.len());
        key[at] = byte;
        if let Ok(values) = decode_composite(&key) {
            // One encoding per value: whatever decodes encodes to the same bytes.
            prop_assert_eq!(&encode(&values.iter().collect::<Vec<_>>())[..], &key[..]);
        }
        let _ = decode_composite(&key[..at]);
    }
}

#[test]
fn ranges_without_an_end() {
    assert_eq!(prefix_end(b""), None);
    assert_eq!(prefix_end(&[0xFF, 0xFF]), None);
    assert_eq!(prefix_end(&[1, 0xFF]).as_deref(), Some(&[2u8][..]));
}
