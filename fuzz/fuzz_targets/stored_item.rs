//! Any bytes are an item, exactly as encoding would write it, or are refused.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use zenobe_model::EncodedItem;

fuzz_target!(|data: &[u8]| {
    if let Ok(item) = EncodedItem::from_stored(Bytes::copy_from_slice(data)) {
        let again = EncodedItem::encode(&item.to_item(), item.header());
        assert_eq!(again.bytes(), item.bytes());
        for (name, value) in item.attributes() {
            assert_eq!(item.get(name), Some(value));
        }
    }
});
