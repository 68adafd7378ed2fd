//! What each operation costs: statements to the cluster, each one round trip, by kind. A change here is a change
//! of the price and belongs into the documentation.
//!
//! Members of a keyspace renew their rows once a second, and look at each other's. So each operation is done
//! several times, and of each kind the fewest statements count.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::client::{Client, create, index};
use crate::keyspace::{Keyspace, statements};
use crate::support::Server;

/// How often each operation is done.
const TRIES: usize = 7;

/// The fewest statements and bytes that one of several tries takes, by kind.
fn cost(server: &Server, mut try_once: impl FnMut(usize)) -> BTreeMap<String, (u64, u64)> {
    let mut fewest: Option<BTreeMap<String, (u64, u64)>> = None;
    for number in 0..TRIES {
        let before = statements(server);
        try_once(number);
        let mut grown = statements(server);
        for (kind, (count, bytes)) in &mut grown {
            let fewest = fewest.as_ref().map_or((u64::MAX, u64::MAX), |fewest| fewest[kind]);
            *count = (*count - before[kind].0).min(fewest.0);
            *bytes = (*bytes - before[kind].1).min(fewest.1);
        }
        fewest = Some(grown);
    }
    let mut fewest = fewest.unwrap();
    fewest.retain(|_, (count, _)| *count > 0);
    fewest
}

/// A process and a client of it, and what was found.
struct Prices<'a> {
    server: &'a Server,
    client: Client,
    table: String,
    wrong: Vec<String>,
}

impl Prices<'_> {
    /// Does an operation, another one each time, and compares what it costs.
    fn of(
        &mut self,
        name: &str,
        expected: &[(&str, u64)],
        mut try_once: impl FnMut(&mut Client, usize),
    ) {
        let found = cost(self.server, |number| try_once(&mut self.client, number));
        let all: u64 = found.values().map(|(count, _)| count).sum();
        let bytes: u64 = found.values().map(|(_, bytes)| bytes).sum();
        let kinds: Vec<_> =
            found.iter().map(|(kind, (count, _))| format!("{count} {kind}")).collect();
        let kinds = kinds.join(", ");
        writeln!(self.table, "| {name} | {all} | {kinds} | {bytes} |").unwrap();
        let found: Vec<_> =
            found.iter().map(|(kind, (count, _))| (kind.as_str(), *count)).collect();
        if found != expected {
            self.wrong.push(format!("{name}: {found:?} instead of {expected:?}"));
        }
    }

    /// As [`Self::of`], of one request a try.
    fn one(
        &mut self,
        name: &str,
        expected: &[(&str, u64)],
        operation: &str,
        request: impl Fn(usize) -> Value,
    ) {
        self.of(name, expected, |client, number| {
            client.call(operation, &request(number));
        });
    }
}

/// An item of a little more than 1 KB.
fn item(pk: &str, sk: usize) -> Value {
    json!({"pk": {"S": pk}, "sk": {"N": sk.to_string()}, "g": {"S": "g"},
        "v": {"S": "v".repeat(1000)}})
}

fn key(pk: &str, sk: usize) -> Value {
    json!({"pk": {"S": pk}, "sk": {"N": sk.to_string()}})
}

fn put(table: &str, pk: &str, sk: usize) -> Value {
    json!({"TableName": table, "Item": item(pk, sk)})
}

fn update(table: &str, pk: &str) -> Value {
    json!({"TableName": table, "Key": key(pk, 0), "UpdateExpression": "ADD n :one",
        "ExpressionAttributeValues": {":one": {"N": "1"}}})
}

fn make_tables(client: &mut Client) {
    let local = json!({"LocalSecondaryIndexes": [index("by-g", &["pk:S", "g:S"])]});
    let global = json!({"GlobalSecondaryIndexes": [index("by-g", &["g:S"])]});
    let stream = json!({"StreamSpecification":
        {"StreamEnabled": true, "StreamViewType": "NEW_AND_OLD_IMAGES"}});
    let keys = &["pk:S", "sk:N"];
    client.call("CreateTable", &create("plain", keys, &[], &json!({})));
    client.call("CreateTable", &create("local", keys, &["g:S"], &local));
    client.call("CreateTable", &create("global", keys, &["g:S"], &global));
    client.call("CreateTable", &create("streamed", keys, &[], &stream));
    for table in ["plain", "local", "global", "streamed"] {
        // Ten partitions, ten items in one of them.
        for number in 0..10 {
            client.call("PutItem", &put(table, &format!("old-{number}"), 0));
            client.call("PutItem", &put(table, "ten", number));
        }
    }
}

fn writes(prices: &mut Prices<'_>) {
    let relayed = &[("commit", 1), ("forget", 1), ("get", 2), ("mark", 1), ("relay", 1)];
    let recorded = &[("commit", 1), ("forget", 1), ("get", 2), ("log_mark", 1), ("log_reserve", 1)];
    // The old entry goes, the new one comes.
    let moved = &[("commit", 1), ("forget", 1), ("get", 2), ("relay", 2)];
    for (table, new, replaced) in [
        ("plain", &[("commit", 1), ("get", 2)][..], &[("commit", 1), ("get", 2)][..]),
        ("local", &[("commit", 1), ("get", 3)], &[("commit", 1), ("get", 3)]),
        ("global", relayed, moved),
        ("streamed", recorded, recorded),
    ] {
        let name = |what: &str| format!("PutItem, {table}, {what}");
        prices.one(&name("new"), new, "PutItem", |n| put(table, &format!("new-{n}"), 0));
        prices.one(&name("replaced"), replaced, "PutItem", |n| {
            // The same one each time: where a commit is to be found was said for it by the first try, however long
            // the machine takes.
            let mut request = put(table, "old-0", 0);
            request["Item"]["g"] = json!({"S": if n % 2 == 0 { "h" } else { "g" }});
            request
        });
    }
    let one = &[("commit", 1), ("get", 2)];
    prices.one("UpdateItem", one, "UpdateItem", |n| update("plain", &format!("old-{n}")));
    prices.of("PutItem, condition fails", &[("get", 2)], |client, n| {
        let mut request = put("plain", &format!("old-{n}"), 0);
        request["ConditionExpression"] = json!("attribute_not_exists(pk)");
        client.refused("PutItem", &request, "ConditionalCheckFailedException");
    });
    let statement = "INSERT INTO plain VALUE {'pk': ?, 'sk': 0}";
    prices.one(
        "PartiQL INSERT",
        one,
        "ExecuteStatement",
        |n| json!({"Statement": statement, "Parameters": [{"S": format!("sql-{n}")}]}),
    );
    prices.one(
        "DeleteItem",
        one,
        "DeleteItem",
        |n| json!({"TableName": "plain", "Key": key(&format!("new-{n}"), 0)}),
    );
    prices.one("BatchWriteItem of 10", &[("commit", 10), ("get", 20)], "BatchWriteItem", |n| {
        let put = |at| json!({"PutRequest": {"Item": item(&format!("batch-{n}-{at}"), 0)}});
        json!({"RequestItems": {"plain": (0..10).map(put).collect::<Value>()}})
    });
}

fn reads(prices: &mut Prices<'_>) {
    // A strong scan reads its page once to learn where it ends, and looks for what transactions decided up to there.
    for (strong, gets, scans) in [(false, 1, 1), (true, 2, 3)] {
        let name = |what: &str| format!("{what}, {}", if strong { "strong" } else { "eventual" });
        prices.one(&name("GetItem"), &[("get", gets)], "GetItem", |n| {
            let key = key(&format!("old-{n}"), 0);
            json!({"TableName": "plain", "Key": key, "ConsistentRead": strong})
        });
        prices.one(&name("Query of 10"), &[("range", gets)], "Query", |_| {
            json!({"TableName": "plain", "KeyConditionExpression": "pk = :pk", "ConsistentRead": strong,
                "ExpressionAttributeValues": {":pk": {"S": "ten"}}})
        });
        prices.one(
            &name("Scan of 10"),
            &[("scan", scans)],
            "Scan",
            |_| json!({"TableName": "plain", "Limit": 10, "ConsistentRead": strong}),
        );
        prices.one(&name("BatchGetItem of 10"), &[("get", 10 * gets)], "BatchGetItem", |_| {
            let keys: Value = (0..10).map(|n| key(&format!("old-{n}"), 0)).collect();
            json!({"RequestItems": {"plain": {"Keys": keys, "ConsistentRead": strong}}})
        });
    }
}

fn transactions(prices: &mut Prices<'_>) {
    let writes = |count: usize, n: usize| {
        let put = |at| json!({"Put": put("plain", &format!("txn-{n}-{count}-{at}"), 0)});
        json!({"TransactItems": (0..count).map(put).collect::<Value>()})
    };
    for (count, expected) in
        [(1, &[("commit", 1), ("get", 2)]), (4, &[("commit", 11), ("get", 16)])]
    {
        let name = format!("TransactWriteItems of {count}");
        prices.one(&name, expected, "TransactWriteItems", |n| writes(count, n));
    }
    let name = "TransactWriteItems of 1 with a token";
    prices.one(name, &[("commit", 4), ("get", 5)], "TransactWriteItems", |n| {
        let mut request = writes(1, n);
        request["ClientRequestToken"] = json!(format!("token-{n}"));
        request
    });
    for (count, gets) in [(1, 2), (4, 16)] {
        let name = format!("TransactGetItems of {count}");
        prices.one(&name, &[("get", gets)], "TransactGetItems", |_| {
            let get =
                |n| json!({"Get": {"TableName": "plain", "Key": key(&format!("old-{n}"), 0)}});
            json!({"TransactItems": (0..count).map(get).collect::<Value>()})
        });
    }
}

fn stream_reads(prices: &mut Prices<'_>) {
    let arn = prices.client.describe("streamed")["LatestStreamArn"].take();
    let stream = prices.client.call("DescribeStream", &json!({"StreamArn": arn}));
    let shards = stream["StreamDescription"]["Shards"].as_array().unwrap();
    let mut start = |kind: &str| {
        let first = |shard: &Value| {
            let request = json!({"StreamArn": arn, "ShardId": shard["ShardId"],
                "ShardIteratorType": kind});
            let place = prices.client.call("GetShardIterator", &request)["ShardIterator"].take();
            let page = prices.client.call("GetRecords", &json!({"ShardIterator": place}));
            let has_records = !page["Records"].as_array().unwrap().is_empty();
            (has_records == (kind == "TRIM_HORIZON")).then_some(place)
        };
        shards.iter().find_map(first).unwrap()
    };
    let (records, nothing) = (start("TRIM_HORIZON"), start("LATEST"));
    for (name, place, expected) in [
        ("GetRecords of some", records, &[("log_read", 2)][..]),
        ("GetRecords, nothing new", nothing, &[("log_read", 2)]),
    ] {
        prices.one(name, expected, "GetRecords", |_| json!({"ShardIterator": place}));
    }
}

fn check(server: &Server) {
    let mut prices =
        Prices { server, client: Client::of(server), table: String::new(), wrong: Vec::new() };
    make_tables(&mut prices.client);
    writes(&mut prices);
    reads(&mut prices);
    transactions(&mut prices);
    stream_reads(&mut prices);
    println!("{}", prices.table);
    assert!(prices.wrong.is_empty(), "{}", prices.wrong.join("\n"));
}

#[test]
fn each_operation_costs_its_statements_with_one_process() {
    let Some(keyspace) = Keyspace::new(&[]) else { return };
    check(&keyspace.start());
}

#[test]
fn each_operation_costs_its_statements_with_three_processes() {
    let Some(keyspace) = Keyspace::new(&[]) else { return };
    let servers = keyspace.start_all::<3>();
    check(&servers[0]);
}
