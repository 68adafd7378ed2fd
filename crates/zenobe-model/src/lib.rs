//! The data model of DynamoDB: values, keys, the item format, expressions and operation types.
//!
//! Invariant: no I/O, no async, no JSON, no clock. What a request means is decided here and in
//! `zenobe-database`; how it looks on the wire is decided in `zenobe-wire`.

pub mod capacity;
pub mod codec;
pub mod compile;
pub mod error;
pub mod expression;
pub mod key;
pub mod legacy;
pub mod limits;
pub mod number;
pub mod operation;
pub mod partiql;
pub mod size;
pub mod value;

pub use codec::{EncodedItem, ValueRef};
pub use error::{ErrorCode, ServiceError};
pub use number::Number;
pub use value::{AttributeValue, Item};
