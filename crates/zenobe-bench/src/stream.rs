//! The workloads on a stream: a table with a stream is made and filled, and its shards are walked once,
//! so that each page has an iterator that can be asked for again and again.

#![expect(clippy::indexing_slicing, reason = "JSON without the member gives null")]

use std::net::SocketAddr;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::load::{Connection, Load};
use crate::workload::{self, Pool, STREAMED, Workload};

/// The iterators of a stream.
pub(crate) struct Iterators {
    /// One for each page that has records.
    pages: Vec<String>,
    /// One for each shard, where it ends.
    ends: Vec<String>,
    /// The records on all pages.
    records: usize,
}

/// Makes and fills the table with a stream, if it is not there.
pub(crate) fn prepare(address: SocketAddr, keys: usize) -> Result<()> {
    let mut connection = Connection::open(address)?;
    let (status, body) =
        connection.call(&workload::request("CreateTable", &workload::table(STREAMED))?)?;
    if status != 200 {
        let text = String::from_utf8_lossy(&body);
        if text.contains("already exists") {
            return Ok(());
        }
        bail!("CreateTable: {status} {text}");
    }
    Load::new(address, 16, &workload::loading(STREAMED, keys)?)?.run_once()?;
    Ok(())
}

impl Iterators {
    /// Walks all shards.
    pub(crate) fn walk(address: SocketAddr) -> Result<Self> {
        let mut connection = Connection::open(address)?;
        let table = call(&mut connection, "DescribeTable", &json!({ "TableName": STREAMED }))?;
        let arn = &table["Table"]["LatestStreamArn"];
        let stream = call(&mut connection, "DescribeStream", &json!({ "StreamArn": arn }))?;
        let shards = stream["StreamDescription"]["Shards"].as_array().context("no shards")?.clone();
        let mut found = Self { pages: Vec::new(), ends: Vec::new(), records: 0 };
        for shard in shards {
            let start = json!({
                "StreamArn": arn, "ShardId": shard["ShardId"], "ShardIteratorType": "TRIM_HORIZON"
            });
            let mut page = call(&mut connection, "GetShardIterator", &start)?;
            let mut next = text(&page["ShardIterator"])?;
            loop {
                page = call(&mut connection, "GetRecords", &json!({ "ShardIterator": next }))?;
                let count = page["Records"].as_array().map_or(0, Vec::len);
                if count == 0 {
                    break;
                }
                found.records += count;
                found.pages.push(next);
                next = text(&page["NextShardIterator"])?;
            }
            found.ends.push(text(&page["NextShardIterator"])?);
        }
        Ok(found)
    }

    /// The requests of a workload.
    pub(crate) fn pool(&self, workload: Workload) -> Result<Pool> {
        let iterators = match workload {
            Workload::GetRecordsEmpty => &self.ends,
            _ => &self.pages,
        };
        let body = |iterator: &String| json!({ "ShardIterator": iterator }).to_string();
        Pool::of("GetRecords", iterators.iter().map(body).collect())
    }

    /// The records on a page, on average.
    pub(crate) fn records_per_page(&self) -> f64 {
        self.records as f64 / self.pages.len().max(1) as f64
    }
}

fn call(connection: &mut Connection, operation: &str, body: &Value) -> Result<Value> {
    let (status, answer) = connection.call(&workload::request(operation, &body.to_string())?)?;
    if status != 200 {
        bail!("{operation}: {status} {}", String::from_utf8_lossy(&answer));
    }
    Ok(serde_json::from_slice(&answer)?)
}

fn text(value: &Value) -> Result<String> {
    Ok(value.as_str().context("no iterator")?.to_owned())
}
