//! Stored bytes that are not an item are refused, wherever they are broken, and never panic.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "a test fails by panicking"
)]

mod arbitrary;

use bytes::Bytes;
use proptest::prelude::*;
use zenobe_model::codec::{CorruptItem, ItemHeader, STORED_DEPTH_MAX};
use zenobe_model::{AttributeValue, EncodedItem, Item};

/// Whatever is accepted is exactly what encoding would have written.
fn check_canonical(bytes: Vec<u8>) -> Result<(), TestCaseError> {
    if let Ok(item) = EncodedItem::from_stored(Bytes::from(bytes)) {
        let again = EncodedItem::encode(&item.to_item(), item.header());
        prop_assert_eq!(again.bytes(), item.bytes());
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn a_changed_byte_is_refused_or_another_item(
        item in arbitrary::item(),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let mut bytes = EncodedItem::encode(&item, ItemHeader::default()).bytes().to_vec();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        check_canonical(bytes)?;
    }

    #[test]
    fn any_bytes_are_refused_or_an_item(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
        check_canonical(bytes.clone())?;
        let mut behind_a_header = vec![1; 1];
        behind_a_header.extend_from_slice(&[0; 14]);
        behind_a_header.extend_from_slice(&[1, 0, 0, 0]);
        behind_a_header.extend_from_slice(&bytes);
        check_canonical(behind_a_header)?;
    }

    #[test]
    fn cut_and_continued_items_are_refused(
        item in arbitrary::item(),
        at in any::<prop::sample::Index>(),
    ) {
        let bytes = EncodedItem::encode(&item, ItemHeader::default()).into_bytes();
        let cut = bytes.slice(..at.index(bytes.len()));
        prop_assert!(EncodedItem::from_stored(cut).is_err());
        let mut longer = bytes.to_vec();
        longer.push(0);
        prop_assert!(EncodedItem::from_stored(Bytes::from(longer)).is_err());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    /// An item to pass on may have texts that are not UTF-8; everything else is as good as checked.
    #[test]
    fn an_item_to_pass_on_is_an_item_but_for_its_texts(
        item in arbitrary::item(),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let mut bytes = EncodedItem::encode(&item, ItemHeader::default()).bytes().to_vec();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let bytes = Bytes::from(bytes);
        let whole = EncodedItem::from_stored(bytes.clone());
        match (whole, EncodedItem::from_stored_to_pass_on(bytes)) {
            (Ok(whole), passed_on) => prop_assert_eq!(Ok(whole), passed_on),
            (Err(CorruptItem::Malformed { reason, .. }), Ok(_)) => {
                prop_assert_eq!(reason, "text is not UTF-8");
            }
            (Err(_), passed_on) => prop_assert!(passed_on.is_err()),
        }
    }
}

fn stored(attributes: &[u8], size: u8, count: u8) -> Result<EncodedItem, CorruptItem> {
    let mut bytes = vec![1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, size, 0, 0, 0, count, 0, 0, 0];
    bytes.extend_from_slice(attributes);
    EncodedItem::from_stored(Bytes::from(bytes))
}

#[test]
fn what_is_wrong_is_told() {
    let check = |attributes: &[u8], size: u8, count: u8, expected: &str| {
        let error = stored(attributes, size, count).unwrap_err();
        assert_eq!(error.to_string(), expected, "{attributes:02X?}");
    };
    assert!(stored(b"\x01a\x00\x01b\x01", 4, 2).is_ok());
    check(b"\x01b\x00\x01a\x01", 4, 2, "stored item is corrupt at byte 22: names do not ascend");
    check(b"\x01a\x00\x01a\x01", 4, 2, "stored item is corrupt at byte 22: names do not ascend");
    check(b"\x01a\x00", 2, 2, "stored item is corrupt at byte 22: bytes are cut off");
    check(b"\x01a\x0B", 2, 1, "stored item is corrupt at byte 21: unknown tag");
    check(b"\x01\xFF\x00", 2, 1, "stored item is corrupt at byte 19: text is not UTF-8");
    check(
        b"\xFE\x01\x00a\x00",
        2,
        1,
        "stored item is corrupt at byte 19: a length is not in its shortest form",
    );
    // The number 10 must be 1 with exponent 1.
    check(b"\x01a\x04\x01\xA7\x0A", 3, 1, "stored item is corrupt at byte 22: not a number");
    check(
        b"\x01a\x08\x04\0\0\0\x02\0\0\0\x01b\x01a",
        3,
        1,
        "stored item is corrupt at byte 22: elements of a set do not ascend",
    );
    check(
        b"\x01a\x09\x01\0\0\0\0\0\0\0\x00",
        4,
        1,
        "stored item is corrupt at byte 22: a container is longer than its elements",
    );
    check(b"\x01a\x00", 2, 0, "stored item is corrupt at byte 19: more bytes than attributes");
    check(
        b"\x01a\x00",
        3,
        1,
        "stored item is corrupt at byte 11: the size is not that of the attributes",
    );
}

#[test]
fn a_newer_version_is_told_apart_from_corruption() {
    let mut bytes = EncodedItem::default().bytes().to_vec();
    bytes[0] = 2;
    assert_eq!(EncodedItem::from_stored(Bytes::from(bytes)), Err(CorruptItem::Version(2)));
    let empty = EncodedItem::from_stored(Bytes::new()).unwrap_err();
    assert_eq!(empty.to_string(), "stored item is corrupt at byte 0: empty");
}

#[test]
fn depth_is_bounded() {
    let nested = |depth: usize| {
        let mut value = AttributeValue::Null;
        for _ in 1..depth {
            value = AttributeValue::L(vec![value]);
        }
        let item = Item::from([("a".to_owned(), value)]);
        EncodedItem::from_stored(EncodedItem::encode(&item, ItemHeader::default()).into_bytes())
    };
    assert!(nested(STORED_DEPTH_MAX).is_ok());
    assert!(nested(STORED_DEPTH_MAX + 1).is_err());
}
