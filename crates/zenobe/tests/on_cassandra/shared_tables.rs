//! What one process of a keyspace does, the others go by.

use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::{Value, json};

use crate::client::{Client, Failure, create, definitions, index};
use crate::keyspace::{Keyspace, clients};
use crate::ledger::{self, Ledger, Writing};
use crate::support::{Server, eventually, unix_seconds, within};

/// For what another process may have to see to first.
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn a_table_made_on_one_process_is_used_on_the_others_at_once() {
    let Some(keyspace) = Keyspace::new(&[]) else { return };
    let mut servers = keyspace.start_all::<3>();
    let [mut one, mut two, mut three] = clients(&servers);
    let nothing = json!({});
    let key = |name: &str| json!({"TableName": "music", "Key": {name: {"S": "x"}}});
    let item = |name: &str| json!({"TableName": "music", "Item": {name: {"S": "x"}}});
    one.call("CreateTable", &create("music", &["pk:S"], &[], &nothing));
    two.call("PutItem", &item("pk"));
    let read = three.call("GetItem", &key("pk"));
    assert_eq!(read["Item"], item("pk")["Item"]);

    // The name again, with another key, elsewhere.
    two.call("DeleteTable", &json!({"TableName": "music"}));
    // The others learn of an end with their next beat.
    for client in [&mut one, &mut three] {
        let gone = |failure: Failure| failure.is("ResourceNotFoundException");
        eventually("the end of a table", || {
            client.try_call("PutItem", &item("pk")).is_err_and(gone)
        });
    }
    three.call("CreateTable", &create("music", &["id:S"], &[], &nothing));
    one.refused("PutItem", &item("pk"), "ValidationException");
    two.call("PutItem", &item("id"));
    assert_eq!(one.call("GetItem", &key("id"))["Item"], item("id")["Item"]);
    for client in [&mut one, &mut two, &mut three] {
        assert_eq!(client.describe("music")["KeySchema"][0]["AttributeName"], "id");
        assert_eq!(client.table("music").len(), 1);
    }
    for server in &mut servers {
        assert!(server.stop().success(), "{}", server.log());
    }
}

#[test]
fn transactions_and_their_tokens_hold_on_all_processes() {
    let Some(keyspace) = Keyspace::new(&[]) else { return };
    let servers = keyspace.start_all::<2>();
    let [mut one, mut two] = clients(&servers);
    one.call("CreateTable", &ledger::create("music"));
    two.call("CreateTable", &create("plain", &["pk:S"], &[], &json!({})));
    let song = json!({"pk": {"S": "a"}, "sk": {"S": "b"}, "n": {"N": "1"}, "g": {"S": "g1"}});
    let add = json!({"TableName": "plain", "Key": {"pk": {"S": "count"}},
        "UpdateExpression": "ADD c :one", "ExpressionAttributeValues": {":one": {"N": "1"}}});
    let actions = json!([{"Put": {"TableName": "music", "Item": song}}, {"Update": add}]);
    let request = json!({"TransactItems": actions, "ClientRequestToken": "once"});
    one.call("TransactWriteItems", &request);
    two.call("TransactWriteItems", &request);
    let other = json!({"TransactItems": [{"Update": add}], "ClientRequestToken": "once"});
    two.refused("TransactWriteItems", &other, "IdempotentParameterMismatchException");

    let get = |table: &str, key: Value| json!({"Get": {"TableName": table, "Key": key}});
    let gets = json!({"TransactItems": [get("music", json!({"pk": song["pk"], "sk": song["sk"]})),
        get("plain", json!({"pk": {"S": "count"}}))]});
    let found = two.call("TransactGetItems", &gets);
    let count = json!({"pk": {"S": "count"}, "c": {"N": "1"}});
    assert_eq!(found["Responses"], json!([{"Item": song}, {"Item": count}]));
    eventually("the entry of the index", || two.index("music", "by-g") == [song.clone()]);
    assert_eq!(one.stream("music").len(), 1);

    // One that is refused leaves nothing anywhere.
    let mut condition = add;
    condition["ConditionExpression"] = json!("attribute_not_exists(pk)");
    let mut second = song.clone();
    second["sk"] = json!({"S": "c"});
    let actions = json!([{"Put": {"TableName": "music", "Item": second}}, {"Update": condition}]);
    let request = json!({"TransactItems": actions});
    two.refused("TransactWriteItems", &request, "TransactionCanceledException");
    assert_eq!((one.table("music"), one.stream("music").len()), (vec![song], 1));
    assert_eq!(one.table("plain"), [count]);
}

#[test]
fn items_expire_whoever_wrote_them() {
    let Some(keyspace) = Keyspace::new(&["--ttl-interval", "1"]) else { return };
    let servers = keyspace.start_all::<2>();
    let mut clients = clients(&servers);
    clients[0].call("CreateTable", &ledger::create("sessions"));
    clients[1].call("PutItem", &session(0));
    let enable = json!({"TableName": "sessions",
        "TimeToLiveSpecification": {"Enabled": true, "AttributeName": "until"}});
    clients[0].call("UpdateTimeToLive", &enable);
    clients[1].call("PutItem", &session(1));
    clients[0].call("PutItem", &session(2));
    for client in &mut clients {
        within(PATIENCE, "the end of all sessions", || client.table("sessions").is_empty());
    }
    for client in &mut clients {
        within(PATIENCE, "the end of all entries", || client.index("sessions", "by-g").is_empty());
        // A record is shown a little after its change.
        within(PATIENCE, "three sessions and their ends in the stream", || {
            let records = client.stream("sessions");
            let deletions = records.iter().filter(|record| record["eventName"] == "REMOVE");
            let by_service = |record: &&Value| record["userIdentity"]["Type"] == "Service";
            (records.len(), deletions.filter(by_service).count()) == (6, 3)
        });
    }
}

/// A session that ended a minute ago.
fn session(number: u32) -> Value {
    let until = unix_seconds().0 - 60;
    json!({"TableName": "sessions", "Item": {"pk": {"S": number.to_string()}, "sk": {"S": "s"},
        "n": {"N": "1"}, "g": {"S": "g"}, "until": {"N": until.to_string()}}})
}

/// Adds an index on one process and deletes it on another, both until all have seen it.
fn change_indexes(servers: &[Server; 3], round: usize) {
    let mut clients = clients(servers);
    let name = format!("extra-{round}");
    let add = json!({"TableName": "music", "AttributeDefinitions": definitions(&["g:S", "n:N"]),
        "GlobalSecondaryIndexUpdates": [{"Create": index(&name, &["g:S", "n:N"])}]});
    clients[round % 3].call("UpdateTable", &add);
    for client in &mut clients {
        client.await_active("music", &["by-g", &name]);
    }
    if round == 0 {
        // The last one stays, to be compared.
        let delete = json!({"TableName": "music",
            "GlobalSecondaryIndexUpdates": [{"Delete": {"IndexName": name}}]});
        clients[(round + 1) % 3].call("UpdateTable", &delete);
        for client in &mut clients {
            client.await_active("music", &["by-g"]);
        }
    }
}

fn check_under_writers(keyspace: &Keyspace) {
    let servers = keyspace.start_all::<3>();
    Client::of(&servers[0]).call("CreateTable", &ledger::create("music"));
    let writing = Writing::default();
    let ledger = std::thread::scope(|scope| {
        let start = |writer| {
            let (client, writing) = (Client::of(&servers[writer]), &writing);
            scope.spawn(move || Ledger::write("music", client, writer, writing))
        };
        let writers: Vec<_> = (0..3).map(start).collect();
        // Writers end also if this fails.
        let changes = scope.spawn(|| (0..2).for_each(|round| change_indexes(&servers, round)));
        let changed = changes.join();
        writing.stop.store(true, Ordering::Relaxed);
        let mut ledger = Ledger::default();
        writers.into_iter().for_each(|writer| ledger.merge(writer.join().unwrap()));
        changed.unwrap();
        ledger
    });
    assert!(ledger.unknown.is_empty(), "{:?}", ledger.unknown);
    assert!(ledger.acknowledged() > 30, "{}", ledger.acknowledged());
    ledger::check(&ledger, "music", &["by-g", "extra-1"], &servers.each_ref());
}

#[test]
fn indexes_come_and_go_while_all_write() {
    let Some(keyspace) = Keyspace::new(&[]) else { return };
    check_under_writers(&keyspace);
}

#[test]
fn shards_are_cut_and_indexes_come_and_go_while_all_write() {
    let Some(keyspace) = Keyspace::new(&["--stream-shard-duration-ms", "3000"]) else { return };
    check_under_writers(&keyspace);
}
