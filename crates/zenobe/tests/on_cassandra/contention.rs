//! Two processes that change the same table at the same moment: one of them wins, and both see who.

use std::sync::Barrier;
use std::time::Duration;

use serde_json::{Value, json};

use crate::client::{Client, Failure, create, definitions, index};
use crate::keyspace::{Keyspace, clients};
use crate::support::within;

const ROUNDS: usize = 5;
const PATIENCE: Duration = Duration::from_secs(60);

/// Lets two clients call at once; says who succeeded. The other one must be refused with one of these codes.
#[track_caller]
fn at_once(clients: &mut [Client; 2], calls: [(&str, &Value); 2], codes: &[&str]) -> [bool; 2] {
    let barrier = Barrier::new(2);
    let [one, two] = clients;
    let call = |client: &mut Client, (operation, body): (&str, &Value)| {
        barrier.wait();
        client.try_call(operation, body)
    };
    let outcomes: [Result<Value, Failure>; 2] = std::thread::scope(|scope| {
        let first = scope.spawn(|| call(one, calls[0]));
        let second = scope.spawn(|| call(two, calls[1]));
        [first.join().unwrap(), second.join().unwrap()]
    });
    outcomes.map(|outcome| match outcome {
        Ok(_) => true,
        Err(failure) if codes.iter().any(|code| failure.is(code)) => false,
        Err(failure) => panic!("{calls:?}: {failure:?}"),
    })
}

fn add_index(name: &str) -> Value {
    json!({"TableName": "music", "AttributeDefinitions": definitions(&["g:S"]),
        "GlobalSecondaryIndexUpdates": [{"Create": index(name, &["g:S"])}]})
}

#[test]
fn two_processes_make_change_and_delete_a_table_at_once() {
    let Some(keyspace) = Keyspace::new(&[]) else { return };
    let servers = keyspace.start_all::<2>();
    let mut clients = clients(&servers);
    let tables = ["pk", "id"].map(|key| create("music", &[&format!("{key}:S")], &[], &json!({})));
    let delete = json!({"TableName": "music"});
    for round in 0..ROUNDS {
        let creates = [("CreateTable", &tables[0]), ("CreateTable", &tables[1])];
        let won = at_once(&mut clients, creates, &["ResourceInUseException"]);
        assert!(won == [true, false] || won == [false, true], "{won:?}");
        let key = if won[0] { "pk" } else { "id" };
        for client in &mut clients {
            assert_eq!(client.describe("music")["KeySchema"][0]["AttributeName"], key);
            let item = json!({key: {"S": "x"}, "g": {"S": "y"}});
            client.call("PutItem", &json!({"TableName": "music", "Item": item}));
        }
        let (a, b) = (add_index("one"), add_index("two"));
        let updates = [("UpdateTable", &a), ("UpdateTable", &b)];
        let busy = ["ResourceInUseException", "LimitExceededException"];
        let added = at_once(&mut clients, updates, &busy);
        let names: Vec<_> = ["one", "two"]
            .into_iter()
            .zip(added)
            .filter_map(|(name, won)| won.then_some(name))
            .collect();
        assert!(!names.is_empty());
        for client in &mut clients {
            client.await_active("music", &names);
            for name in &names {
                within(PATIENCE, "its entry", || client.index("music", name).len() == 1);
            }
        }
        let gone = ["ResourceNotFoundException", "ResourceInUseException"];
        if round % 2 == 0 {
            let won = at_once(&mut clients, [("DeleteTable", &delete); 2], &gone);
            assert!(won == [true, false] || won == [false, true], "{won:?}");
        } else {
            let add = add_index("third");
            let calls = [("DeleteTable", &delete), ("UpdateTable", &add)];
            let [deleted, _] = at_once(&mut clients, calls, &gone);
            within(PATIENCE, "the table's end", || {
                deleted || clients[0].try_call("DeleteTable", &delete).is_ok()
            });
        }
        for client in &mut clients {
            let gone = |failure: Failure| failure.is("ResourceNotFoundException");
            within(PATIENCE, "the table's end", || {
                client.try_call("DescribeTable", &delete).is_err_and(gone)
            });
        }
    }
    for client in &mut clients {
        assert_eq!(client.call("ListTables", &json!({})), json!({"TableNames": []}));
    }
}
