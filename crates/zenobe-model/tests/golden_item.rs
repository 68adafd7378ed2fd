//! Pins the layout of stored items: whoever changes these bytes changes the format, and needs a new
//! version that still reads the old one.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "a test fails by panicking"
)]

use bytes::Bytes;
use zenobe_model::codec::ItemHeader;
use zenobe_model::{AttributeValue, EncodedItem, Item, Number};

const GOLDEN: &str = include_str!("golden/item-v1.txt");

fn representative() -> Item {
    let text = |text: &str| AttributeValue::S(text.to_owned());
    let number = |text: &str| Number::parse(text).unwrap();
    let map = Item::from([
        ("deep".to_owned(), AttributeValue::L(vec![AttributeValue::M(Item::new())])),
        ("x".to_owned(), AttributeValue::N(number("0.001"))),
    ]);
    Item::from([
        ("B".to_owned(), AttributeValue::B(Bytes::from_static(&[0, 0xFF]))),
        (
            "BS".to_owned(),
            AttributeValue::Bs(vec![Bytes::from_static(b"a"), Bytes::from_static(b"b")]),
        ),
        ("L".to_owned(), AttributeValue::L(vec![text(""), AttributeValue::Null])),
        ("M".to_owned(), AttributeValue::M(map)),
        ("N0".to_owned(), AttributeValue::N(Number::ZERO)),
        ("N1".to_owned(), AttributeValue::N(number("1700000000"))),
        (
            "N2".to_owned(),
            AttributeValue::N(number("-9.9999999999999999999999999999999999999E+125")),
        ),
        ("N3".to_owned(), AttributeValue::N(number("1E-130"))),
        ("NS".to_owned(), AttributeValue::Ns(vec![number("-1"), number("2.5")])),
        ("S".to_owned(), text("Zénobe")),
        ("S254".to_owned(), text(&"x".repeat(254))),
        ("SS".to_owned(), AttributeValue::Ss(vec!["a".to_owned(), "b".to_owned()])),
        ("f".to_owned(), AttributeValue::Bool(false)),
        ("null".to_owned(), AttributeValue::Null),
        ("t".to_owned(), AttributeValue::Bool(true)),
    ])
}

fn golden_bytes() -> Vec<u8> {
    GOLDEN
        .lines()
        .filter_map(|line| line.split('#').next())
        .flat_map(str::split_whitespace)
        .map(|byte| u8::from_str_radix(byte, 16).unwrap())
        .collect()
}

#[test]
fn the_layout_is_that_of_version_1() {
    let header = ItemHeader { timestamp: 0x0102_0304_0506_0708, region: 0x0A0B };
    let encoded = EncodedItem::encode(&representative(), header);
    let lines: Vec<String> = encoded
        .bytes()
        .chunks(16)
        .map(|line| line.iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().join(" "))
        .collect();
    assert_eq!(encoded.bytes()[..], golden_bytes()[..], "now:\n{}", lines.join("\n"));
}

#[test]
fn items_of_version_1_are_read() {
    let item = EncodedItem::from_stored(Bytes::from(golden_bytes())).unwrap();
    assert_eq!(item.to_item(), representative());
    assert_eq!(item.header().timestamp, 0x0102_0304_0506_0708);
    assert_eq!(item.header().region, 0x0A0B);
}
