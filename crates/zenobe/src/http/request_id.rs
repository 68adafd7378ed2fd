//! Request ids: 52 characters of the digits and letters that base 32 uses, as in DynamoDB.
//!
//! They must be unique, not secret: a per-thread generator seeded by the system is enough.

use std::cell::Cell;
use std::hash::{BuildHasher, RandomState};

use bytes::Bytes;
use hyper::header::HeaderValue;

const LENGTH: usize = 52;
const DIGITS: &[u8; 32] = b"0123456789ABCDEFGHIJKLMNOPQRSTUV";

thread_local! {
    static STATE: Cell<u64> = Cell::new(RandomState::new().hash_one(0u8));
}

/// The id of one request.
#[derive(Clone, Debug)]
pub(crate) struct RequestId([u8; LENGTH]);

impl RequestId {
    /// An id that was not used before.
    pub(crate) fn fresh() -> Self {
        let mut characters = [b'0'; LENGTH];
        // Twelve characters of five bits each fit into 64 bits.
        for chunk in characters.chunks_mut(12) {
            let mut bits = next();
            for character in chunk {
                *character = digit(bits);
                bits >>= 5;
            }
        }
        Self(characters)
    }

    /// The id as text.
    pub(crate) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// The id as a header's value.
    pub(crate) fn header(&self) -> HeaderValue {
        HeaderValue::from_maybe_shared(Bytes::copy_from_slice(&self.0))
            .unwrap_or_else(|_| HeaderValue::from_static(""))
    }
}

#[expect(clippy::indexing_slicing, reason = "five bits are below 32")]
const fn digit(bits: u64) -> u8 {
    DIGITS[(bits & 31) as usize]
}

/// SplitMix64: a counter run through a mixing function.
fn next() -> u64 {
    STATE.with(|state| {
        let counter = state.get().wrapping_add(0x9E37_79B9_7F4A_7C15);
        state.set(counter);
        let mixed = (counter ^ (counter >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn ids_are_unique_and_of_the_form_that_clients_know() {
        let ids: HashSet<String> =
            (0..1000).map(|_| RequestId::fresh().as_str().to_owned()).collect();
        assert_eq!(ids.len(), 1000);
        for id in ids {
            assert_eq!(id.len(), 52);
            assert!(id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'A'..=b'V')), "{id}");
        }
    }
}
