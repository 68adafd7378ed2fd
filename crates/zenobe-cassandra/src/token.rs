//! Partition hashes: Cassandra's Murmur3 tokens, as unsigned numbers in the same order.
//!
//! A scan walks ranges of tokens, so the hash that the seam speaks of is the token itself: `i64` becomes
//! `u64` by flipping the sign bit. Cassandra never gives the smallest token, so no hash is 0.

use scylla::routing::partitioner::{Murmur3Partitioner, Partitioner as _};
use zenobe_storage::HashInterval;

const SIGN: u64 = 1 << 63;

/// The token of a partition.
pub(crate) fn token(partition: &[u8]) -> i64 {
    Murmur3Partitioner.hash_one(partition).value()
}

/// The place of a token in hash order.
pub(crate) const fn hash_of(token: i64) -> u64 {
    token.cast_unsigned() ^ SIGN
}

/// The token at a place in hash order.
pub(crate) const fn token_of(hash: u64) -> i64 {
    (hash ^ SIGN).cast_signed()
}

/// The first and the last token of an interval; `None` when no partition can be in it.
pub(crate) fn tokens(interval: HashInterval) -> Option<(i64, i64)> {
    // The smallest token means "no bound" to Cassandra.
    let first = token_of(interval.first.max(1));
    let last = token_of(interval.last);
    (first <= last).then_some((first, last))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_stay_what_they_are() {
        // Token of 0x01 as Cassandra 5.0 gives it; `tests/tokens.rs` asks a server about many more.
        assert_eq!(token(&[1]), 8_849_112_093_580_131_862);
    }

    #[test]
    fn hashes_have_the_order_of_tokens() {
        let tokens = [i64::MIN, i64::MIN + 1, -1, 0, 1, i64::MAX];
        let hashes = tokens.map(hash_of);
        assert!(hashes.is_sorted());
        assert_eq!((hashes[0], hashes[5]), (0, u64::MAX));
        assert_eq!(hashes.map(token_of), tokens);
    }

    #[test]
    fn an_interval_names_the_tokens_within() {
        assert_eq!(tokens(HashInterval::ALL), Some((i64::MIN + 1, i64::MAX)));
        assert_eq!(tokens(HashInterval { first: 0, last: 0 }), None);
        assert_eq!(tokens(HashInterval { first: 5, last: 4 }), None);
        let one = hash_of(42);
        assert_eq!(tokens(HashInterval { first: one, last: one }), Some((42, 42)));
    }
}
