//! The limits of the service that more than one module needs. Source: Developer Guide, "Quotas".

/// The largest item, in bytes as DynamoDB counts them.
pub const ITEM_SIZE_BYTES_MAX: usize = 400 << 10;
/// The longest name of an attribute or of a member of a map, in bytes.
pub const ATTRIBUTE_NAME_BYTES_MAX: usize = 65_535;
/// How deep values may nest; a top-level attribute has depth 1.
pub const NESTING_DEPTH_MAX: usize = 32;
/// A page of Query or Scan ends once this many bytes were read.
pub const PAGE_BYTES: usize = 1 << 20;
/// The longest partition key value, in bytes.
pub const PARTITION_KEY_BYTES_MAX: usize = 2048;
/// The longest sort key value, in bytes.
pub const SORT_KEY_BYTES_MAX: usize = 1024;
/// The longest expression, in bytes.
pub const EXPRESSION_BYTES_MAX: usize = 4096;
/// The most operators and functions in one expression.
pub const EXPRESSION_OPERATORS_MAX: usize = 300;
/// The most operands of IN.
pub const IN_OPERANDS_MAX: usize = 100;
/// The most attribute values of one request, in bytes, as ExpressionAttributeValues.
pub const EXPRESSION_VALUES_BYTES_MAX: usize = 2 << 20;
/// The most keys in BatchGetItem.
pub const BATCH_GET_KEYS_MAX: usize = 100;
/// The most bytes that BatchGetItem answers with.
pub const BATCH_GET_BYTES_MAX: usize = 16 << 20;
/// The most writes in BatchWriteItem.
pub const BATCH_WRITE_ITEMS_MAX: usize = 25;
/// The most bytes of a transaction: what it is asked to write, or what it reads.
pub const TRANSACTION_BYTES_MAX: usize = 4 << 20;
