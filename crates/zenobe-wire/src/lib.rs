//! DynamoDB's JSON protocol: decoding, constraint checks, encoding, error bodies, CRC32.
//!
//! The only crate that knows the protocol's JSON. Synchronous, without I/O, and safe to feed with
//! anything: no input makes it panic, and what it allocates is bounded by the length of the input.
//!
//! A body is read in one pass by the shape of its operation (`node`, `value` over the reader in
//! `json`), checked against the constraints of the service's model (`constraint`), and turned into
//! the model's types (`request`). That is the order in which the service reports what is wrong:
//! first what is not JSON or has the wrong type, then all broken constraints together. What is wrong
//! inside an attribute value is kept in the request as [`Parsed`](zenobe_model::operation::Parsed),
//! for the operation to raise in its own order.
//!
//! ```
//! use zenobe_model::operation::Request;
//!
//! let operation = zenobe_wire::parse_target("DynamoDB_20120810.GetItem")?;
//! let body = br#"{"TableName": "films", "Key": {"id": {"N": "7"}}}"#;
//! let Request::GetItem(request) = zenobe_wire::decode(operation, body)? else { panic!() };
//! assert_eq!(request.table_name, "films");
//!
//! let error = zenobe_wire::decode(operation, b"{}").unwrap_err();
//! assert!(error.message.starts_with("2 validation errors detected: Value null at 'tableName'"));
//! # Ok::<(), zenobe_model::ServiceError>(())
//! ```

mod constraint;
mod echo;
mod encode;
mod json;
mod model;
mod node;
mod request;
mod shape;
mod value;
mod write;

pub use encode::{encode, encode_error};
use zenobe_model::operation::{Operation, Request};
use zenobe_model::{ErrorCode, ServiceError};

use crate::value::ValueFaults;

/// What an `X-Amz-Target` of DynamoDB begins with.
const TARGET_PREFIX: &str = "DynamoDB_20120810.";
/// What an `X-Amz-Target` of DynamoDB Streams begins with.
const STREAMS_TARGET_PREFIX: &str = "DynamoDBStreams_20120810.";

/// The operation that an `X-Amz-Target` names.
///
/// # Errors
/// `UnknownOperationException`, which the service sends without a text.
pub fn parse_target(target: &str) -> Result<Operation, ServiceError> {
    let of_api = |prefix: &str, streams: bool| {
        let operation = Operation::from_name(target.strip_prefix(prefix)?)?;
        (operation.is_of_streams() == streams).then_some(operation)
    };
    of_api(TARGET_PREFIX, false)
        .or_else(|| of_api(STREAMS_TARGET_PREFIX, true))
        .ok_or_else(|| ServiceError::new(ErrorCode::UnknownOperation, ""))
}

/// Decodes and checks the body of a request.
///
/// # Errors
/// `SerializationException` if the body is not JSON or a member has the wrong type, and
/// `ValidationException` if members break the constraints of the service's model.
pub fn decode(operation: Operation, body: &[u8]) -> Result<Request, ServiceError> {
    decode_boxed(operation, body).map_err(|error| *error)
}

fn decode_boxed(operation: Operation, body: &[u8]) -> Result<Request, Box<ServiceError>> {
    let shape = model::request_shape(operation);
    let nodes = node::read(body, shape, value_faults(operation))?;
    constraint::check(shape, &nodes)?;
    Ok(request::build(operation, shape, nodes))
}

/// Which layer of the service checks the values of an operation.
const fn value_faults(operation: Operation) -> ValueFaults {
    match operation {
        Operation::BatchExecuteStatement
        | Operation::BatchWriteItem
        | Operation::ExecuteStatement
        | Operation::ExecuteTransaction
        | Operation::Scan
        | Operation::TransactGetItems
        | Operation::TransactWriteItems => ValueFaults::Older,
        _ => ValueFaults::Newer,
    }
}

/// The CRC32 of a body, for `x-amz-crc32`.
#[must_use]
pub fn crc32(body: &[u8]) -> u32 {
    crc32fast::hash(body)
}
