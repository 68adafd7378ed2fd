//! What is asked of the server: tables, items and requests, signed before the clock starts.
//!
//! An item has 10 attributes and 1 KB as DynamoDB counts it. The table `bench` has a partition key;
//! `bench-range` has the same number of items in partitions of 10, `bench-indexed` is `bench` with an index.

use std::borrow::Cow;

use anyhow::Result;
use http::HeaderMap;
use http::header::HeaderValue;
use zenobe_auth::{Credential, SigningRequest, UnixSeconds, sign};

/// The table with partitions of one item.
const PLAIN: &str = "bench";
/// The table with partitions of several items.
const RANGED: &str = "bench-range";
/// The table with a global secondary index.
const INDEXED: &str = "bench-indexed";
/// The table with a stream, made only if it is asked for.
pub(crate) const STREAMED: &str = "bench-streamed";
const ITEMS_PER_PARTITION: usize = 10;
const ITEMS_PER_BATCH: usize = 25;
const ITEMS_PER_SEGMENT: usize = 100;
const FILLED_ATTRIBUTES: usize = 8;
/// 8 × (2 + 120) bytes and two keys: 1 KB.
const FILLED_BYTES: usize = 120;

/// An operation to measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Workload {
    /// PutItem of 1 KB
    Put,
    /// GetItem, eventually consistent
    Get,
    /// GetItem, strongly consistent
    GetStrong,
    /// UpdateItem that adds 1 to a number
    Update,
    /// Query of 10 items
    Query,
    /// BatchWriteItem of 25 items
    BatchWrite,
    /// PutItem of 1 KB, on the condition that the item exists
    PutCondition,
    /// PutItem of 1 KB into a table with a global secondary index of everything
    PutIndexed,
    /// BatchGetItem of 25 items
    BatchGet,
    /// Scan of one of the segments of a table, 100 items each
    Scan,
    /// ExecuteStatement that reads one item
    ExecuteStatement,
    /// GetRecords of pages of a stream with new and old images, up to 1 MB
    GetRecords,
    /// GetRecords where there is nothing new
    GetRecordsEmpty,
    /// PutItem of 1 KB into a table with a stream with new and old images
    PutStreamed,
    /// TransactWriteItems of one item
    #[value(name = "transact-1")]
    Transact1,
    /// TransactWriteItems of 4 items
    #[value(name = "transact-4")]
    Transact4,
    /// TransactWriteItems of 25 items
    #[value(name = "transact-25")]
    Transact25,
}

impl Workload {
    /// What the table of results calls it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Put => "PutItem",
            Self::Get => "GetItem eventual",
            Self::GetStrong => "GetItem strong",
            Self::Update => "UpdateItem counter",
            Self::Query => "Query 10",
            Self::BatchWrite => "BatchWriteItem 25",
            Self::PutCondition => "PutItem, condition",
            Self::PutIndexed => "PutItem, index",
            Self::BatchGet => "BatchGetItem 25",
            Self::Scan => "Scan 100",
            Self::ExecuteStatement => "ExecuteStatement 1",
            Self::GetRecords => "GetRecords 1 MB",
            Self::GetRecordsEmpty => "GetRecords, nothing",
            Self::PutStreamed => "PutItem, stream",
            Self::Transact1 => "TransactWriteItems 1",
            Self::Transact4 => "TransactWriteItems 4",
            Self::Transact25 => "TransactWriteItems 25",
        }
    }

    /// How many items one request writes.
    pub(crate) const fn writes(self) -> usize {
        match self {
            Self::Put
            | Self::Update
            | Self::PutCondition
            | Self::PutIndexed
            | Self::PutStreamed
            | Self::Transact1 => 1,
            Self::Transact4 => 4,
            Self::BatchWrite | Self::Transact25 => ITEMS_PER_BATCH,
            Self::Get
            | Self::GetStrong
            | Self::Query
            | Self::BatchGet
            | Self::Scan
            | Self::ExecuteStatement
            | Self::GetRecords
            | Self::GetRecordsEmpty => 0,
        }
    }

    /// The table that it wants, beside the one with a stream.
    pub(crate) const fn table(self) -> &'static str {
        match self {
            Self::Query => RANGED,
            Self::PutIndexed => INDEXED,
            _ => PLAIN,
        }
    }

    /// Whether it wants the table with a stream.
    pub(crate) const fn is_of_streams(self) -> bool {
        matches!(self, Self::GetRecords | Self::GetRecordsEmpty | Self::PutStreamed)
    }

    /// The requests, one for each item (or partition, or batch). Those that read a stream have
    /// iterators, which only the server knows: see [`crate::stream`].
    pub(crate) fn pool(self, keys: usize) -> Result<Pool> {
        match self {
            Self::GetRecords | Self::GetRecordsEmpty => {
                Pool::build("GetRecords", 0, |_| String::new())
            }
            Self::PutStreamed => puts(STREAMED, keys, ""),
            Self::Put => puts(PLAIN, keys, ""),
            Self::PutCondition => {
                puts(PLAIN, keys, ",\"ConditionExpression\":\"attribute_exists(pk)\"")
            }
            Self::PutIndexed => puts(INDEXED, keys, ""),
            Self::Get => Pool::build("GetItem", keys, |key| {
                format!("{{\"TableName\":\"bench\",\"Key\":{{{}}}}}", partition_key(key))
            }),
            Self::GetStrong => Pool::build("GetItem", keys, |key| {
                format!(
                    "{{\"TableName\":\"bench\",\"Key\":{{{}}},\"ConsistentRead\":true}}",
                    partition_key(key)
                )
            }),
            Self::Update => Pool::build("UpdateItem", keys, |key| {
                format!(
                    "{{\"TableName\":\"bench\",\"Key\":{{{}}},\"UpdateExpression\":\"ADD visits :one\",\
                     \"ExpressionAttributeValues\":{{\":one\":{{\"N\":\"1\"}}}}}}",
                    partition_key(key)
                )
            }),
            Self::Query => Pool::build("Query", keys / ITEMS_PER_PARTITION, |partition| {
                format!(
                    "{{\"TableName\":\"bench-range\",\"KeyConditionExpression\":\"pk = :pk\",\
                     \"ExpressionAttributeValues\":{{\":pk\":{{\"S\":\"user#{partition:08}\"}}}}}}"
                )
            }),
            Self::BatchWrite => batches("bench", keys, |key| item(&partition_key(key), None)),
            Self::BatchGet => Pool::build("BatchGetItem", keys / ITEMS_PER_BATCH, |batch| {
                let first = batch * ITEMS_PER_BATCH;
                let keys: Vec<String> = (first..first + ITEMS_PER_BATCH)
                    .map(|key| format!("{{{}}}", partition_key(key)))
                    .collect();
                format!("{{\"RequestItems\":{{\"bench\":{{\"Keys\":[{}]}}}}}}", keys.join(","))
            }),
            Self::Scan => {
                let segments = (keys / ITEMS_PER_SEGMENT).max(1);
                Pool::build("Scan", segments, move |segment| {
                    format!(
                        "{{\"TableName\":\"bench\",\"Segment\":{segment},\
                         \"TotalSegments\":{segments}}}"
                    )
                })
            }
            Self::ExecuteStatement => Pool::build("ExecuteStatement", keys, |key| {
                format!(
                    "{{\"Statement\":\"SELECT * FROM bench WHERE pk = ?\",\
                     \"Parameters\":[{{\"S\":\"user#{key:08}\"}}]}}"
                )
            }),
            Self::Transact1 | Self::Transact4 | Self::Transact25 => {
                transactions(keys, self.writes())
            }
        }
    }
}

/// The request that makes a table.
pub(crate) fn table(name: &str) -> String {
    let attribute = |name| format!("{{\"AttributeName\":\"{name}\",\"AttributeType\":\"S\"}}");
    let key = |name, kind| format!("{{\"AttributeName\":\"{name}\",\"KeyType\":\"{kind}\"}}");
    let (mut attributes, mut keys) = (attribute("pk"), key("pk", "HASH"));
    if name == RANGED {
        attributes = format!("{attributes},{}", attribute("sk"));
        keys = format!("{keys},{}", key("sk", "RANGE"));
    }
    let more = match name {
        INDEXED => format!(
            ",\"GlobalSecondaryIndexes\":[{{\"IndexName\":\"again\",\"KeySchema\":[{keys}],\
             \"Projection\":{{\"ProjectionType\":\"ALL\"}}}}]"
        ),
        STREAMED => ",\"StreamSpecification\":{\"StreamEnabled\":true,\
                     \"StreamViewType\":\"NEW_AND_OLD_IMAGES\"}"
            .to_owned(),
        _ => String::new(),
    };
    format!(
        "{{\"TableName\":\"{name}\",\"BillingMode\":\"PAY_PER_REQUEST\",\
         \"AttributeDefinitions\":[{attributes}],\"KeySchema\":[{keys}]{more}}}"
    )
}

/// The requests that fill a table.
pub(crate) fn loading(table: &'static str, keys: usize) -> Result<Pool> {
    if table == RANGED {
        return batches(table, keys, |key| {
            item(&partition_key(key / ITEMS_PER_PARTITION), Some(key % ITEMS_PER_PARTITION))
        });
    }
    batches(table, keys, |key| item(&partition_key(key), None))
}

/// Puts with something after the item.
fn puts(table: &'static str, keys: usize, rest: &'static str) -> Result<Pool> {
    Pool::build("PutItem", keys, move |key| {
        let item = item(&partition_key(key), None);
        format!("{{\"TableName\":\"{table}\",\"Item\":{item}{rest}}}")
    })
}

fn batches(
    table: &'static str,
    keys: usize,
    item: impl Fn(usize) -> String + 'static,
) -> Result<Pool> {
    Pool::build("BatchWriteItem", keys.div_ceil(ITEMS_PER_BATCH), move |batch| {
        let first = batch * ITEMS_PER_BATCH;
        let puts: Vec<String> = (first..keys.min(first + ITEMS_PER_BATCH))
            .map(|key| format!("{{\"PutRequest\":{{\"Item\":{}}}}}", item(key)))
            .collect();
        format!("{{\"RequestItems\":{{\"{table}\":[{}]}}}}", puts.join(","))
    })
}

/// Puts without tokens: with one, the second round would write nothing.
fn transactions(keys: usize, actions: usize) -> Result<Pool> {
    Pool::build("TransactWriteItems", keys.div_ceil(actions), move |transaction| {
        let first = transaction * actions;
        let puts: Vec<String> = (first..keys.min(first + actions))
            .map(|key| {
                let item = item(&partition_key(key), None);
                format!("{{\"Put\":{{\"TableName\":\"bench\",\"Item\":{item}}}}}")
            })
            .collect();
        format!("{{\"TransactItems\":[{}]}}", puts.join(","))
    })
}

fn partition_key(key: usize) -> String {
    format!("\"pk\":{{\"S\":\"user#{key:08}\"}}")
}

fn item(partition_key: &str, sort_key: Option<usize>) -> String {
    let mut item = format!("{{{partition_key},");
    match sort_key {
        Some(sort_key) => item.push_str(&format!("\"sk\":{{\"S\":\"order#{sort_key:04}\"}}")),
        None => item.push_str("\"visits\":{\"N\":\"0\"}"),
    }
    for attribute in 0..FILLED_ATTRIBUTES {
        let letters = ('a'..='z').cycle().skip(attribute).step_by(7);
        let filling: String = letters.take(FILLED_BYTES).collect();
        item.push_str(&format!(",\"a{attribute}\":{{\"S\":\"{filling}\"}}"));
    }
    item.push('}');
    item
}

/// The most bytes of requests that are built before the clock starts.
const PREPARED_BYTES_MAX: usize = 1 << 30;

/// The body of the request at a place.
type Body = Box<dyn Fn(usize) -> String>;

/// Signed requests. As many as fit into bounded memory are built before the clock starts; if there are
/// more, each is built when it is sent.
pub(crate) struct Pool {
    operation: String,
    count: usize,
    body: Body,
    /// One after the other.
    bytes: Vec<u8>,
    /// Where each ends; empty if none is prepared.
    ends: Vec<usize>,
}

impl Pool {
    /// Signs a request for each body.
    pub(crate) fn of(operation: &str, bodies: Vec<String>) -> Result<Self> {
        let count = bodies.len();
        Self::build(operation, count, move |place| bodies.get(place).cloned().unwrap_or_default())
    }

    fn build(
        operation: &str,
        count: usize,
        body: impl Fn(usize) -> String + 'static,
    ) -> Result<Self> {
        let mut pool = Self {
            operation: operation.to_owned(),
            count: count.max(1),
            body: Box::new(body),
            bytes: Vec::new(),
            ends: Vec::new(),
        };
        let first_bytes = request(operation, &(pool.body)(0))?.len();
        if first_bytes.saturating_mul(pool.count) > PREPARED_BYTES_MAX {
            return Ok(pool);
        }
        for place in 0..pool.count {
            pool.bytes.extend_from_slice(&request(operation, &(pool.body)(place))?);
            pool.ends.push(pool.bytes.len());
        }
        Ok(pool)
    }

    /// How many there are; at least one.
    pub(crate) fn len(&self) -> usize {
        self.count
    }

    /// Whether all are built already.
    pub(crate) fn is_prepared(&self) -> bool {
        !self.ends.is_empty()
    }

    /// The request at a place, counted round and round.
    pub(crate) fn get(&self, place: usize) -> Result<Cow<'_, [u8]>> {
        let place = place % self.count;
        let Some(&end) = self.ends.get(place) else {
            return Ok(request(&self.operation, &(self.body)(place))?.into());
        };
        let start = place.checked_sub(1).and_then(|before| self.ends.get(before)).copied();
        Ok(self.bytes.get(start.unwrap_or_default()..end).unwrap_or_default().into())
    }
}

/// The operations of DynamoDB Streams that are called here.
const STREAM_OPERATIONS: [&str; 3] = ["DescribeStream", "GetShardIterator", "GetRecords"];

/// A signed request as bytes. The host is fixed, so that both servers take the same bytes.
pub(crate) fn request(operation: &str, body: &str) -> Result<Vec<u8>> {
    let mut headers = HeaderMap::new();
    headers.insert("host", HeaderValue::from_static("localhost"));
    headers.insert("content-type", HeaderValue::from_static("application/x-amz-json-1.0"));
    let of_streams = STREAM_OPERATIONS.contains(&operation);
    let api = if of_streams { "DynamoDBStreams_20120810" } else { "DynamoDB_20120810" };
    headers.insert("x-amz-target", format!("{api}.{operation}").parse()?);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_secs();
    let signing =
        SigningRequest { region: crate::REGION, service: "dynamodb", now: UnixSeconds(now) };
    let credential = Credential::new(crate::ACCESS_KEY_ID, crate::SECRET_ACCESS_KEY);
    sign(&signing, &credential, "POST", "/", &mut headers, body.as_bytes())?;
    // What SDKs send besides, not signed.
    headers.insert("accept-encoding", HeaderValue::from_static("identity"));
    headers.insert("user-agent", HeaderValue::from_static("zenobe-bench/1 md/rust#1 lang/rust"));
    let mut bytes = b"POST / HTTP/1.1\r\n".to_vec();
    for (name, value) in &headers {
        bytes.extend_from_slice(name.as_str().as_bytes());
        bytes.extend_from_slice(b": ");
        bytes.extend_from_slice(value.as_bytes());
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(format!("content-length: {}\r\n\r\n{body}", body.len()).as_bytes());
    Ok(bytes)
}
