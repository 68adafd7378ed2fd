//! A client whose server may be killed: it tells what was refused from what nobody knows.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Answer, Connection, Server, as_pairs, signed_headers};

/// A request that was not answered with what it asked for.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Nothing happened; the code says why.
    Refused { code: String, answer: Value },
    /// It may have happened: a status of 500 and above, or no answer.
    Unknown(String),
}

impl Failure {
    /// Whether it was refused with this code.
    pub(crate) fn is(&self, expected: &str) -> bool {
        matches!(self, Self::Refused { code, .. } if code == expected)
    }
}

/// A client with one connection.
pub(crate) struct Client {
    address: SocketAddr,
    connection: Option<Connection>,
}

impl Client {
    /// A client of this process.
    pub(crate) fn of(server: &Server) -> Self {
        Self::at(server.address)
    }

    /// A client of the process at this address.
    pub(crate) const fn at(address: SocketAddr) -> Self {
        Self { address, connection: None }
    }

    fn exchange(&mut self, operation: &str, body: &[u8]) -> std::io::Result<Answer> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => Connection::try_open(self.address)?,
        };
        let headers = signed_headers(self.address, operation, body);
        connection.try_send("POST", "/", &as_pairs(&headers), body)?;
        let answer = connection.try_receive("POST")?;
        self.connection = Some(connection);
        Ok(answer)
    }

    /// Calls an operation of a server that may be killed meanwhile.
    pub(crate) fn try_call(&mut self, operation: &str, body: &Value) -> Result<Value, Failure> {
        let answer = self
            .exchange(operation, body.to_string().as_bytes())
            .map_err(|error| Failure::Unknown(error.to_string()))?;
        let text = answer.text();
        match answer.status {
            200 => Ok(serde_json::from_str(text).unwrap()),
            400..500 => {
                let error: Value = serde_json::from_str(text).unwrap();
                let code = error["__type"].as_str().unwrap().rsplit('#').next().unwrap();
                let code = code.to_owned();
                Err(Failure::Refused { code, answer: error })
            }
            status => Err(Failure::Unknown(format!("{status}: {text}"))),
        }
    }

    /// Calls an operation that must succeed.
    #[track_caller]
    pub(crate) fn call(&mut self, operation: &str, body: &Value) -> Value {
        self.try_call(operation, body)
            .unwrap_or_else(|failure| panic!("{operation} {body}: {failure:?}"))
    }

    /// Calls an operation that must be refused with this code.
    #[track_caller]
    pub(crate) fn refused(&mut self, operation: &str, body: &Value, code: &str) {
        match self.try_call(operation, body) {
            Err(failure) if failure.is(code) => {}
            other => panic!("{operation} {body}: {other:?} instead of {code}"),
        }
    }

    /// All pages of a Scan or a Query.
    #[track_caller]
    pub(crate) fn pages(&mut self, operation: &str, request: &Value) -> Vec<Value> {
        let mut request = request.clone();
        let mut items = Vec::new();
        loop {
            let mut page = self.call(operation, &request);
            let Value::Array(found) = page["Items"].take() else { panic!("no items: {page}") };
            items.extend(found);
            match page["LastEvaluatedKey"].take() {
                Value::Null => return items,
                key => request["ExclusiveStartKey"] = key,
            }
        }
    }

    /// The items of a table, in the order of their texts.
    #[track_caller]
    pub(crate) fn table(&mut self, table: &str) -> Vec<Value> {
        let scan = json!({"TableName": table, "ConsistentRead": true});
        sorted(self.pages("Scan", &scan))
    }

    /// The entries of an index, in the order of their texts.
    #[track_caller]
    pub(crate) fn index(&mut self, table: &str, index: &str) -> Vec<Value> {
        sorted(self.pages("Scan", &json!({"TableName": table, "IndexName": index})))
    }

    /// The description of a table.
    #[track_caller]
    pub(crate) fn describe(&mut self, table: &str) -> Value {
        self.call("DescribeTable", &json!({"TableName": table}))["Table"].take()
    }

    /// Whether a table and these, and only these, global indexes of it are active.
    #[track_caller]
    pub(crate) fn is_active(&mut self, table: &str, indexes: &[&str]) -> bool {
        let table = self.describe(table);
        let found = table["GlobalSecondaryIndexes"].as_array().map_or(&[][..], Vec::as_slice);
        let mut names: Vec<_> = found.iter().map(|index| index["IndexName"].as_str()).collect();
        names.sort_unstable();
        table["TableStatus"] == "ACTIVE"
            && found.iter().all(|index| index["IndexStatus"] == "ACTIVE")
            && names == indexes.iter().copied().map(Some).collect::<Vec<_>>()
    }

    /// Waits until a table and these, and only these, global indexes of it are active.
    #[track_caller]
    pub(crate) fn await_active(&mut self, table: &str, indexes: &[&str]) {
        let mut tries = 0;
        while !self.is_active(table, indexes) {
            assert!(tries < 600, "not {indexes:?}: {}", self.describe(table));
            tries += 1;
            std::thread::sleep(Duration::from_millis(125));
        }
    }

    /// The records of a table's stream, a shard's after its parent's.
    #[track_caller]
    pub(crate) fn stream(&mut self, table: &str) -> Vec<Value> {
        let arn = self.describe(table)["LatestStreamArn"].take();
        let mut records = Vec::new();
        for shard in self.shards(&arn) {
            let start = json!({"StreamArn": arn, "ShardId": shard,
                "ShardIteratorType": "TRIM_HORIZON"});
            let mut place = self.call("GetShardIterator", &start)["ShardIterator"].take();
            while !place.is_null() {
                let mut page = self.call("GetRecords", &json!({"ShardIterator": place}));
                let Value::Array(found) = page["Records"].take() else { panic!("no records") };
                if found.is_empty() {
                    break;
                }
                records.extend(found);
                place = page["NextShardIterator"].take();
            }
        }
        records
    }

    /// A stream's shards. They are told in an order in which parents come first, which is checked.
    #[track_caller]
    fn shards(&mut self, arn: &Value) -> Vec<String> {
        let mut request = json!({"StreamArn": arn});
        let mut seen: Vec<String> = Vec::new();
        loop {
            let mut page = self.call("DescribeStream", &request)["StreamDescription"].take();
            for shard in page["Shards"].as_array().unwrap() {
                let id = shard["ShardId"].as_str().unwrap();
                if let Some(parent) = shard["ParentShardId"].as_str() {
                    assert!(seen.iter().any(|seen| seen == parent), "{parent} after {id}");
                }
                seen.push(id.to_owned());
            }
            match page["LastEvaluatedShardId"].take() {
                Value::Null => return seen,
                last => request["ExclusiveStartShardId"] = last,
            }
        }
    }
}

/// Items in the order of their texts.
pub(crate) fn sorted(mut items: Vec<Value>) -> Vec<Value> {
    items.sort_by_cached_key(Value::to_string);
    items
}

/// A request for a table on demand with keys like `pk:S` and what else it has.
pub(crate) fn create(table: &str, keys: &[&str], attributes: &[&str], more: &Value) -> Value {
    let mut request = json!({"TableName": table, "BillingMode": "PAY_PER_REQUEST",
        "KeySchema": key_schema(keys),
        "AttributeDefinitions": definitions(&[keys, attributes].concat())});
    for (name, value) in more.as_object().unwrap() {
        request[name] = value.clone();
    }
    request
}

/// A local or global index that projects everything.
pub(crate) fn index(name: &str, keys: &[&str]) -> Value {
    json!({"IndexName": name, "KeySchema": key_schema(keys),
        "Projection": {"ProjectionType": "ALL"}})
}

/// Attribute definitions of attributes like `pk:S`.
pub(crate) fn definitions(attributes: &[&str]) -> Value {
    let split = attributes.iter().map(|attribute| attribute.split_once(':').unwrap());
    split.map(|(name, kind)| json!({"AttributeName": name, "AttributeType": kind})).collect()
}

fn key_schema(keys: &[&str]) -> Value {
    let split = keys.iter().map(|key| key.split_once(':').unwrap());
    let kinds = ["HASH", "RANGE"];
    split
        .zip(kinds)
        .map(|((name, _), kind)| json!({"AttributeName": name, "KeyType": kind}))
        .collect()
}
