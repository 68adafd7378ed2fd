//! The item format: round trips, reading in part, projections.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "a test fails by panicking"
)]

mod arbitrary;

use std::collections::BTreeSet;

use proptest::prelude::*;
use zenobe_model::codec::{ItemBuilder, ItemHeader, MapRef, RawValueBuf, ValueWriter};
use zenobe_model::{AttributeValue, EncodedItem, Item, Number, ValueRef};

const HEADER: ItemHeader = ItemHeader { timestamp: 0x0123_4567_89AB_CDEF, region: 7 };

fn encode(item: &Item) -> EncodedItem {
    EncodedItem::encode(item, HEADER)
}

/// Copies a map through the builder, nested maps and lists piece by piece.
fn rebuild(builder: &mut ItemBuilder, map: MapRef<'_>) {
    for (name, value) in map.iter() {
        match value.value() {
            ValueRef::M(inner) => {
                builder.begin_map(name);
                rebuild(builder, inner);
                builder.end();
            }
            ValueRef::L(list) => {
                builder.begin_list(name);
                for element in list.iter() {
                    if let ValueRef::M(inner) = element.value() {
                        builder.begin_element_map();
                        rebuild(builder, inner);
                        builder.end();
                    } else {
                        builder.push_element_raw(element);
                    }
                }
                builder.end();
            }
            _ => builder.push_raw(name, value),
        }
    }
}

/// Writes the members of a map in an order that `seed` chooses, some of them with another value first.
fn write_members(writer: &mut ValueWriter, map: &Item, seed: usize) {
    let mut members: Vec<_> = map.iter().collect();
    let length = members.len().max(1);
    members.rotate_left(seed % length);
    if seed.is_multiple_of(3) {
        members.reverse();
    }
    for (name, _) in members.iter().skip(seed % 2).step_by(2) {
        writer.member(name);
        let open = writer.begin_map();
        for inner in ["b", "a", "b"] {
            writer.member(inner);
            writer.null();
        }
        writer.end_map(open);
    }
    for (place, (name, value)) in members.into_iter().enumerate() {
        writer.member(name);
        write_value(writer, value, place + seed / 2);
    }
}

fn write_value(writer: &mut ValueWriter, value: &AttributeValue, seed: usize) {
    let start = writer.mark();
    writer.text("taken back");
    writer.take_back(start);
    match value {
        AttributeValue::M(map) if seed > 0 => {
            let open = writer.begin_map();
            write_members(writer, map, seed / 2);
            writer.end_map(open);
        }
        AttributeValue::L(list) => {
            let open = writer.begin_list();
            list.iter().for_each(|element| write_value(writer, element, seed));
            writer.end_list(open, list.len());
        }
        AttributeValue::S(text) => writer.text(text),
        AttributeValue::N(number) => writer.number(*number),
        AttributeValue::B(bytes) => writer.binary(bytes),
        AttributeValue::Bool(value) => writer.boolean(*value),
        AttributeValue::Null => writer.null(),
        _ => writer.value(value),
    }
}

proptest! {
    #[test]
    fn an_item_written_in_any_order_is_the_same(item in arbitrary::item(), seed in 0..1000_usize) {
        let mut writer = ValueWriter::default();
        // What was written before leaves no trace.
        let value = writer.mark();
        write_value(&mut writer, &AttributeValue::M(item.clone()), seed);
        prop_assert_eq!(writer.finish_value(value), AttributeValue::M(item.clone()));
        let open = writer.begin_item();
        write_members(&mut writer, &item, seed);
        let written = writer.finish_item(open, HEADER);
        prop_assert_eq!(written, encode(&item));
    }

    #[test]
    fn items_round_trip(item in arbitrary::item()) {
        let encoded = encode(&item);
        let stored = EncodedItem::from_stored(encoded.bytes().clone()).unwrap();
        prop_assert_eq!(&stored, &encoded);
        prop_assert_eq!(stored.to_item(), item.clone());
        prop_assert_eq!(stored.len(), item.len());
        prop_assert_eq!(stored.header(), HEADER);
        let names: Vec<_> = stored.attributes().map(|(name, _)| name.to_owned()).collect();
        prop_assert_eq!(names, item.keys().cloned().collect::<Vec<_>>());
    }

    #[test]
    fn attributes_are_found_by_name(item in arbitrary::item(), other in arbitrary::text()) {
        let encoded = encode(&item);
        for (name, value) in &item {
            let raw = encoded.get(name).unwrap();
            prop_assert_eq!(&raw.to_owned(), value);
            let alone = RawValueBuf::encode(value);
            prop_assert_eq!(raw, alone.as_raw());
            prop_assert_eq!(raw.value_type(), value.value_type());
        }
        prop_assert_eq!(encoded.get(&other).is_some(), item.contains_key(&other));
    }

    #[test]
    fn equality_of_bytes_is_equality_of_values(
        left in arbitrary::value(),
        right in arbitrary::value(),
    ) {
        let (left_raw, right_raw) = (RawValueBuf::encode(&left), RawValueBuf::encode(&right));
        prop_assert_eq!(left_raw == right_raw, left == right);
        prop_assert_eq!(left_raw.as_raw().value() == right_raw.as_raw().value(), left == right);
    }

    #[test]
    fn projections_copy_what_is_named(
        item in arbitrary::item(),
        others in proptest::collection::btree_set(arbitrary::text(), 0..3),
        keep in any::<[bool; 6]>(),
    ) {
        let kept: Item =
            item.iter().zip(keep).filter(|(_, keep)| *keep).map(|(pair, _)| pair).map(|(n, v)| (n.clone(), v.clone())).collect();
        let others = others.into_iter().filter(|name| !item.contains_key(name));
        let names: BTreeSet<String> = kept.keys().cloned().chain(others).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        prop_assert_eq!(encode(&item).project_top_level(&names), encode(&kept));
    }

    #[test]
    fn built_items_equal_encoded_ones(item in arbitrary::item()) {
        let encoded = encode(&item);
        let mut builder = ItemBuilder::new(HEADER);
        rebuild(&mut builder, encoded.as_map());
        prop_assert_eq!(builder.finish(), encoded);
    }

    #[test]
    fn order_is_defined_between_scalars_of_one_type(
        left in arbitrary::value(),
        right in arbitrary::value(),
    ) {
        let expected = match (&left, &right) {
            (AttributeValue::S(a), AttributeValue::S(b)) => Some(a.as_bytes().cmp(b.as_bytes())),
            (AttributeValue::N(a), AttributeValue::N(b)) => Some(a.cmp(b)),
            (AttributeValue::B(a), AttributeValue::B(b)) => Some(a.cmp(b)),
            _ => None,
        };
        let (left, right) = (RawValueBuf::encode(&left), RawValueBuf::encode(&right));
        prop_assert_eq!(left.as_raw().value().compare(right.as_raw().value()), expected);
    }
}

#[test]
fn sets_are_stored_in_order_and_without_duplicates() {
    let number = |text| Number::parse(text).unwrap();
    let unordered = AttributeValue::Ns(vec![number("2"), number("1"), number("2.0")]);
    let ordered = AttributeValue::Ns(vec![number("1"), number("2")]);
    assert_eq!(RawValueBuf::encode(&unordered), RawValueBuf::encode(&ordered));
    let raw = RawValueBuf::encode(&ordered);
    let ValueRef::Ns(set) = raw.as_raw().value() else { panic!("a set of numbers") };
    assert_eq!(set.len(), 2);
    assert!(set.contains(number("2.00")) && !set.contains(number("3")));
}

#[test]
fn a_header_is_replaced_without_touching_the_rest() {
    let item = encode(&Item::from([("a".to_owned(), AttributeValue::Null)]));
    let later = ItemHeader { timestamp: u64::MAX, region: u16::MAX };
    let replaced = item.with_header(later);
    assert_eq!(replaced.header(), later);
    assert_eq!(replaced.to_item(), item.to_item());
    assert_eq!(replaced.with_header(HEADER), item);
}
