//! `NextToken`: where the next page of a SELECT begins.
//!
//! A token is Base64 of a version, two XXH3 hashes of 128 bits and the position. The first hash is over
//! the rest: a token that was changed does not decode. The second is over the table's id, the statement
//! and its parameters: a token of another statement or table does not match. It is no secret: what a
//! token can say is no more than what `ExclusiveStartKey` of a Query can.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use xxhash_rust::xxh3::{Xxh3, xxh3_128};
use zenobe_model::codec::ItemHeader;
use zenobe_model::{AttributeValue, EncodedItem, Item, ServiceError};

const VERSION: u8 = 2;
const HASH_BYTES: usize = 16;
const ORDINAL_BYTES: usize = 4;

/// Where a page begins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Position {
    /// The read, of those that the statement comes down to.
    pub(super) read: u32,
    /// The key after which it goes on; `None`: it begins.
    pub(super) after: Option<Item>,
}

/// What a token belongs to.
#[derive(Clone, Copy)]
pub(super) struct Scope<'a> {
    pub(super) table_id: &'a str,
    pub(super) text: &'a str,
    pub(super) parameters: &'a [AttributeValue],
}

impl Scope<'_> {
    /// What tells the statements and tables apart that tokens belong to.
    fn hash(self) -> [u8; HASH_BYTES] {
        let mut hasher = Xxh3::new();
        let mut part = |bytes: &[u8]| {
            hasher.update(&(bytes.len() as u64).to_be_bytes());
            hasher.update(bytes);
        };
        part(self.table_id.as_bytes());
        part(self.text.as_bytes());
        let values: Item = self
            .parameters
            .iter()
            .enumerate()
            .map(|(ordinal, value)| (format!("{ordinal:05}"), value.clone()))
            .collect();
        part(EncodedItem::encode(&values, ItemHeader::default()).bytes());
        hasher.digest128().to_be_bytes()
    }

    /// The token of a position.
    pub(super) fn encode(self, position: &Position) -> String {
        let mut content = self.hash().to_vec();
        content.extend_from_slice(&position.read.to_be_bytes());
        if let Some(key) = &position.after {
            content.extend_from_slice(EncodedItem::encode(key, ItemHeader::default()).bytes());
        }
        let mut token = vec![VERSION];
        token.extend_from_slice(&xxh3_128(&content).to_be_bytes());
        token.extend_from_slice(&content);
        STANDARD.encode(token)
    }

    /// The position that a token names.
    ///
    /// # Errors
    /// A `ValidationException` if it is none, or one of another statement.
    pub(super) fn decode(self, token: &str) -> Result<Position, ServiceError> {
        let (hash, position) = read(token).ok_or_else(invalid)?;
        if hash == self.hash() {
            Ok(position)
        } else {
            Err(ServiceError::validation("NextToken does not match request"))
        }
    }
}

/// What a token says: the hash of what it belongs to, and the position.
fn read(token: &str) -> Option<([u8; HASH_BYTES], Position)> {
    let token = STANDARD.decode(token).ok()?;
    let (version, rest) = token.split_first()?;
    let (check, content) = rest.split_first_chunk::<HASH_BYTES>()?;
    if *version != VERSION || xxh3_128(content).to_be_bytes() != *check {
        return None;
    }
    let (hash, position) = content.split_first_chunk::<HASH_BYTES>()?;
    let (read, key) = position.split_first_chunk::<ORDINAL_BYTES>()?;
    let after = if key.is_empty() {
        None
    } else {
        Some(EncodedItem::from_stored(Bytes::copy_from_slice(key)).ok()?.to_item())
    };
    Some((*hash, Position { read: u32::from_be_bytes(*read), after }))
}

/// A token that does not decode.
pub(super) fn invalid() -> ServiceError {
    ServiceError::validation("Invalid NextToken")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> Item {
        Item::from([("pk".to_owned(), AttributeValue::S("a".to_owned()))])
    }

    #[test]
    fn a_token_decodes_for_its_statement_alone() {
        let parameters = [AttributeValue::S("x".to_owned()), AttributeValue::Null];
        let scope = Scope { table_id: "t", text: "SELECT 1", parameters: &parameters };
        for position in
            [Position { read: 3, after: Some(key()) }, Position { read: 0, after: None }]
        {
            let token = scope.encode(&position);
            assert_eq!(scope.decode(&token), Ok(position));
            for other in [
                Scope { table_id: "u", ..scope },
                Scope { text: "SELECT 2", ..scope },
                Scope { parameters: &parameters[..1], ..scope },
            ] {
                let error = other.decode(&token).unwrap_err();
                assert_eq!(error.message, "NextToken does not match request");
            }
        }
    }

    #[test]
    fn a_changed_token_does_not_decode() {
        let scope = Scope { table_id: "t", text: "SELECT 1", parameters: &[] };
        let token = scope.encode(&Position { read: 1, after: Some(key()) });
        let bytes = STANDARD.decode(&token).unwrap();
        for index in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[index] ^= 1;
            assert_eq!(scope.decode(&STANDARD.encode(changed)), Err(invalid()), "byte {index}");
        }
        for token in ["", "a", "!!!!", &token[..token.len() / 2]] {
            assert_eq!(scope.decode(token), Err(invalid()), "{token}");
        }
    }
}
