//! Any bytes are a key, exactly as encoding would write it, or are refused.
#![no_main]

use libfuzzer_sys::fuzz_target;
use zenobe_model::key::{KeyValue, decode_composite, encode_composite};

fuzz_target!(|data: &[u8]| {
    if let Ok(values) = decode_composite(data) {
        let values: Vec<_> = values.iter().filter_map(KeyValue::from_value).collect();
        assert_eq!(&encode_composite(&values)[..], data);
    }
});
