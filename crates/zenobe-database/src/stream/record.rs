//! Records of a stream as bytes in the change log. This file is the format's only statement.
//!
//! All integers are little-endian.
//!
//! ```text
//! record = version u8 = 1
//!          event u8      0 INSERT, 1 MODIFY, 2 REMOVE
//!          origin u8     0 a request, 1 time to live
//!          parts u8      which items follow: 1 key, 2 old image, 4 new image
//!          time u64      milliseconds since the epoch
//!          (length u32, item) for each part, in this order
//! item   = as stored (`zenobe_model::codec`)
//! ```
//!
//! A record holds the images of its stream's view. A key stands there only if no image does: else it
//! is part of the image.

use bytes::Bytes;
use zenobe_model::EncodedItem;
use zenobe_model::operation::{StreamEvent, StreamViewType};

use crate::catalog::KeySchema;
use crate::write::Origin;

const VERSION: u8 = 1;
const HEADER_BYTES: usize = 12;
const KEY: u8 = 1;
const OLD: u8 = 2;
const NEW: u8 = 4;

/// A record, decoded.
#[derive(Clone, Debug)]
pub(super) struct Decoded {
    pub(super) event: StreamEvent,
    pub(super) origin: Origin,
    pub(super) creation_ms: u64,
    pub(super) keys: EncodedItem,
    pub(super) old: Option<EncodedItem>,
    pub(super) new: Option<EncodedItem>,
}

/// Encodes the change from `old` to `new`; nothing if there is none.
pub(super) fn encode(
    (view, key): (StreamViewType, &KeySchema),
    old: Option<&EncodedItem>,
    new: Option<&EncodedItem>,
    origin: Origin,
    now_ms: u64,
) -> Option<Bytes> {
    let event = match (old, new) {
        (None, None) => return None,
        (Some(old), Some(new)) if old.has_attributes_of(new) => return None,
        (None, Some(_)) => 0,
        (Some(_), Some(_)) => 1,
        (Some(_), None) => 2,
    };
    let wants_old = matches!(view, StreamViewType::OldImage | StreamViewType::NewAndOldImages);
    let wants_new = matches!(view, StreamViewType::NewImage | StreamViewType::NewAndOldImages);
    let old_image = old.filter(|_| wants_old);
    let new_image = new.filter(|_| wants_new);
    let keys = if old_image.is_none() && new_image.is_none() {
        new.or(old).map(|item| keys_of(item, key))
    } else {
        None
    };
    let parts = [(KEY, keys.as_ref()), (OLD, old_image), (NEW, new_image)];
    let items = || parts.iter().filter_map(|(bit, item)| Some((bit, (*item)?)));
    let length: usize = items().map(|(_, item)| 4 + item.bytes().len()).sum();
    let mut out = Vec::with_capacity(HEADER_BYTES + length);
    out.extend_from_slice(&[
        VERSION,
        event,
        u8::from(origin == Origin::TimeToLive),
        items().map(|(bit, _)| bit).sum(),
    ]);
    out.extend_from_slice(&now_ms.to_le_bytes());
    for (_, item) in items() {
        // An item has 400 KB at most.
        out.extend_from_slice(&u32::try_from(item.bytes().len()).unwrap_or(0).to_le_bytes());
        out.extend_from_slice(item.bytes());
    }
    Some(out.into())
}

/// Decodes a record of a stream over a table with this key; `None` when it is malformed.
pub(super) fn decode(payload: &Bytes, key: &KeySchema) -> Option<Decoded> {
    let header = payload.first_chunk::<HEADER_BYTES>()?;
    let [VERSION, event, origin, parts, time @ ..] = header else { return None };
    let mut rest = payload.slice(HEADER_BYTES..);
    let mut item = |bit: u8| {
        if parts & bit == 0 {
            return Some(None);
        }
        let length = u32::from_le_bytes(*rest.first_chunk::<4>()?) as usize;
        let end = length.checked_add(4).filter(|end| *end <= rest.len())?;
        let bytes = rest.slice(4..end);
        rest = rest.slice(end..);
        EncodedItem::from_stored(bytes).ok().map(Some)
    };
    let (keys, old, new) = (item(KEY)?, item(OLD)?, item(NEW)?);
    if !rest.is_empty() {
        return None;
    }
    let keys = match keys {
        Some(keys) => keys,
        None => keys_of(new.as_ref().or(old.as_ref())?, key),
    };
    Some(Decoded {
        event: match event {
            0 => StreamEvent::Insert,
            1 => StreamEvent::Modify,
            2 => StreamEvent::Remove,
            _ => return None,
        },
        origin: match origin {
            0 => Origin::Request,
            1 => Origin::TimeToLive,
            _ => return None,
        },
        creation_ms: u64::from_le_bytes(*time),
        keys,
        old,
        new,
    })
}

/// When a record was made; `None` when it is malformed.
pub(super) fn creation_ms(payload: &Bytes) -> Option<u64> {
    let [VERSION, _, _, _, time @ ..] = payload.first_chunk::<HEADER_BYTES>()? else {
        return None;
    };
    Some(u64::from_le_bytes(*time))
}

/// The key attributes of an item.
fn keys_of(item: &EncodedItem, key: &KeySchema) -> EncodedItem {
    let mut names: Vec<&str> = key.attributes().map(|attribute| attribute.name.as_str()).collect();
    names.sort_unstable();
    item.project_top_level(&names)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use zenobe_model::codec::ItemHeader;
    use zenobe_model::value::ValueType;
    use zenobe_model::{AttributeValue, Item};

    use super::*;
    use crate::catalog::KeyAttribute;

    const VIEWS: [StreamViewType; 4] = [
        StreamViewType::KeysOnly,
        StreamViewType::NewImage,
        StreamViewType::OldImage,
        StreamViewType::NewAndOldImages,
    ];

    fn schema() -> KeySchema {
        KeySchema {
            partition: KeyAttribute { name: "p".to_owned(), ty: ValueType::S },
            sort: Some(KeyAttribute { name: "b".to_owned(), ty: ValueType::S }),
        }
    }

    fn item(attributes: &[(&str, &str)], timestamp: u64) -> EncodedItem {
        let attribute = |(name, text): &(&str, &str)| {
            ((*name).to_owned(), AttributeValue::S((*text).to_owned()))
        };
        let item: Item = attributes.iter().map(attribute).collect();
        EncodedItem::encode(&item, ItemHeader { timestamp, ..ItemHeader::default() })
    }

    fn check(
        view: StreamViewType,
        old: Option<&EncodedItem>,
        new: Option<&EncodedItem>,
    ) -> Decoded {
        let schema = schema();
        let payload = encode((view, &schema), old, new, Origin::TimeToLive, 77).unwrap();
        assert_eq!(creation_ms(&payload), Some(77));
        for length in 0..payload.len() {
            assert!(decode(&payload.slice(..length), &schema).is_none(), "cut at {length}");
        }
        let decoded = decode(&payload, &schema).unwrap();
        assert_eq!(decoded.origin, Origin::TimeToLive);
        assert_eq!(decoded.keys.to_item(), item(&[("p", "1"), ("b", "2")], 0).to_item());
        decoded
    }

    #[test]
    fn a_view_decides_which_images_there_are() {
        let old = item(&[("p", "1"), ("b", "2"), ("x", "3")], 1);
        let new = item(&[("p", "1"), ("b", "2"), ("x", "4")], 2);
        for view in VIEWS {
            let wants_old =
                matches!(view, StreamViewType::OldImage | StreamViewType::NewAndOldImages);
            let wants_new =
                matches!(view, StreamViewType::NewImage | StreamViewType::NewAndOldImages);
            for (before, after, event) in [
                (None, Some(&new), StreamEvent::Insert),
                (Some(&old), Some(&new), StreamEvent::Modify),
                (Some(&old), None, StreamEvent::Remove),
            ] {
                let decoded = check(view, before, after);
                assert_eq!(decoded.event, event);
                assert_eq!(decoded.old.as_ref(), before.filter(|_| wants_old));
                assert_eq!(decoded.new.as_ref(), after.filter(|_| wants_new));
            }
        }
    }

    #[test]
    fn what_did_not_change_makes_no_record() {
        let schema = schema();
        let old = item(&[("p", "1"), ("b", "2")], 1);
        let new = item(&[("p", "1"), ("b", "2")], 2);
        for view in VIEWS {
            let record = |old, new| encode((view, &schema), old, new, Origin::Request, 0);
            assert_eq!(record(Some(&old), Some(&new)), None);
            assert_eq!(record(None, None), None);
        }
    }

    /// Records of an earlier version must stay readable: these bytes are never changed.
    #[test]
    fn the_format_is_pinned() {
        let old = item(&[("p", "1"), ("b", "2")], 1);
        let new = item(&[("p", "1"), ("b", "2"), ("x", "3")], 2);
        let view = StreamViewType::NewAndOldImages;
        let payload =
            encode((view, &schema()), Some(&old), Some(&new), Origin::Request, 0x0102).unwrap();
        let hex: String = payload.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, include_str!("golden/record_1.hex").trim());
    }

    proptest! {
        #[test]
        fn no_bytes_make_decoding_panic(mut bytes: Vec<u8>) {
            if let Some(first) = bytes.first_mut() {
                *first = VERSION;
            }
            let _ = decode(&bytes.into(), &schema());
        }
    }
}
