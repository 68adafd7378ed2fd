//! Processes killed with -9 in the middle of things: nothing that was acknowledged is lost, nothing happens twice,
//! and the others go on.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use crate::client::{Client, Failure, create, definitions, index, sorted};
use crate::keyspace::{Keyspace, clients, statements};
use crate::ledger::{self, Ledger, Writing};
use crate::support::{Server, within};

/// A dead process is waited for for half a minute; the rest is for slow machines.
const PATIENCE: Duration = Duration::from_secs(75);

fn add_index(table: &str) -> Value {
    json!({"TableName": table, "AttributeDefinitions": definitions(&["g:S", "n:N"]),
        "GlobalSecondaryIndexUpdates": [{"Create": index("later", &["g:S", "n:N"])}]})
}

#[test]
fn a_process_killed_in_the_middle_of_writes_loses_nothing() {
    let Some(keyspace) = Keyspace::new(&[]) else { return };
    let mut servers = keyspace.start_all::<3>();
    let mut client = Client::of(&servers[1]);
    client.call("CreateTable", &ledger::create("music"));
    // The one that dies follows it: nothing but its writes is to be waited for.
    client.await_active("music", &["by-g"]);
    let writing = Writing::default();
    let ledgers = std::thread::scope(|scope| {
        let start = |writer: usize| {
            let server = Client::of(&servers[writer % 3]);
            let writing = &writing;
            scope.spawn(move || Ledger::write("music", server, writer, writing))
        };
        let writers: Vec<_> = (0..6).map(start).collect();
        let changes = scope.spawn(|| {
            writing.await_each(&[0, 1, 2, 3, 4, 5]);
            servers[2].kill();
            client.call("UpdateTable", &add_index("music"));
            client.await_active("music", &["by-g", "later"]);
        });
        let changed = changes.join();
        writing.stop.store(true, Ordering::Relaxed);
        let ledgers: Vec<_> = writers.into_iter().map(|writer| writer.join().unwrap()).collect();
        changed.unwrap();
        ledgers
    });
    let mut ledger = Ledger::default();
    for (writer, part) in ledgers.into_iter().enumerate() {
        let killed = writer % 3 == 2;
        assert_eq!(part.unknown.len(), usize::from(killed), "{writer}: {:?}", part.unknown);
        assert!(part.acknowledged() > 0, "{writer}");
        ledger.merge(part);
    }
    let late = keyspace.start();
    ledger::check(&ledger, "music", &["by-g", "later"], &[&servers[0], &servers[1], &late]);
    keyspace.check();
}

const ACCOUNTS: usize = 6;
const BALANCE: i64 = 1000;

/// What a payer was told.
#[derive(Default)]
struct Payments {
    acknowledged: Vec<String>,
    unknown: Vec<String>,
}

fn account(number: usize) -> Value {
    json!({"pk": {"S": format!("a{number}")}})
}

/// Moves money between accounts and leaves a note in another table.
fn transfer(name: &str, from: usize, to: usize, amount: i64) -> Value {
    let amount = json!({"N": amount.to_string()});
    let add = |account: Value, update: &str| {
        json!({"TableName": "accounts", "Key": account, "UpdateExpression": update,
            "ExpressionAttributeValues": {":x": amount}})
    };
    let mut pay = add(account(from), "SET n = n - :x");
    pay["ConditionExpression"] = json!("n >= :x");
    let note = json!({"pk": {"S": name}, "by": account(from)["pk"], "to": account(to)["pk"],
        "n": amount});
    json!({"TransactItems": [{"Update": pay}, {"Update": add(account(to), "SET n = n + :x")},
        {"Put": {"TableName": "notes", "Item": note}}]})
}

fn pay(mut client: Client, payer: usize, writing: &Writing) -> Payments {
    let mut payments = Payments::default();
    for n in 0.. {
        if writing.stop.load(Ordering::Relaxed) {
            break;
        }
        let name = format!("{payer}-{n}");
        let from = (payer + n) % ACCOUNTS;
        let to = (from + 1 + n % (ACCOUNTS - 1)) % ACCOUNTS;
        let request = transfer(&name, from, to, i64::try_from(n % 9).unwrap() + 1);
        match client.try_call("TransactWriteItems", &request) {
            Ok(_) => {
                payments.acknowledged.push(name);
                writing.acknowledge(payer);
            }
            Err(failure) if failure.is("TransactionCanceledException") => {}
            Err(Failure::Unknown(_)) => {
                payments.unknown.push(name);
                break;
            }
            Err(failure) => panic!("{failure:?}"),
        }
    }
    payments
}

/// The balances at one moment; `None` where the accounts were being written.
fn balances(client: &mut Client) -> Option<Vec<i64>> {
    let get = |number| json!({"Get": {"TableName": "accounts", "Key": account(number)}});
    let request = json!({"TransactItems": (0..ACCOUNTS).map(get).collect::<Value>()});
    match client.try_call("TransactGetItems", &request) {
        Ok(found) => {
            let found = found["Responses"].as_array().unwrap();
            Some(found.iter().map(|response| number(&response["Item"]["n"])).collect())
        }
        Err(failure) if failure.is("TransactionCanceledException") => None,
        Err(failure) => panic!("{failure:?}"),
    }
}

fn number(value: &Value) -> i64 {
    value["N"].as_str().unwrap().parse().unwrap()
}

/// Checks the sum of all money until told to stop, and once at least.
fn audit(mut client: Client, stop: &AtomicBool) {
    let mut audits = 0;
    while audits == 0 || !stop.load(Ordering::Relaxed) {
        if let Some(balances) = balances(&mut client) {
            assert_eq!(balances.iter().sum::<i64>(), BALANCE * ACCOUNTS as i64, "{balances:?}");
            audits += 1;
        }
    }
}

fn open_accounts(client: &mut Client) {
    client.call("CreateTable", &create("accounts", &["pk:S"], &[], &json!({})));
    let by_payer = json!({"GlobalSecondaryIndexes": [index("by-payer", &["by:S"])]});
    client.call("CreateTable", &create("notes", &["pk:S"], &["by:S"], &by_payer));
    for number in 0..ACCOUNTS {
        let mut item = account(number);
        item["n"] = json!({"N": BALANCE.to_string()});
        client.call("PutItem", &json!({"TableName": "accounts", "Item": item}));
    }
}

/// Checks that the notes are those of the payments, and the accounts what the notes say.
fn check_accounts(client: &mut Client, payments: &Payments) {
    let notes = client.table("notes");
    let mut expected = vec![BALANCE; ACCOUNTS];
    let place = |account: &Value| account["S"].as_str().unwrap()[1..].parse::<usize>().unwrap();
    for note in &notes {
        expected[place(&note["by"])] -= number(&note["n"]);
        expected[place(&note["to"])] += number(&note["n"]);
    }
    let mut found = None;
    within(PATIENCE, "a look at all accounts", || {
        found = balances(client);
        found.is_some()
    });
    assert_eq!(found, Some(expected));
    let names: Vec<_> = notes.iter().map(|note| note["pk"]["S"].as_str().unwrap()).collect();
    let told = |name: &str| payments.acknowledged.iter().any(|told| told == name);
    let possible = |name: &str| told(name) || payments.unknown.iter().any(|told| told == name);
    assert!(names.iter().all(|name| possible(name)), "a payment that was refused");
    let lost = payments.acknowledged.iter().find(|name| !names.contains(&name.as_str()));
    assert_eq!(lost, None);
    within(PATIENCE, "the index of notes", || {
        client.index("notes", "by-payer") == sorted(notes.clone())
    });
}

#[test]
fn a_process_killed_in_the_middle_of_transactions_loses_no_money() {
    let Some(keyspace) = Keyspace::new(&[]) else { return };
    let mut servers = keyspace.start_all::<3>();
    open_accounts(&mut Client::of(&servers[0]));
    let writing = Writing::default();
    let mut payments = Payments::default();
    std::thread::scope(|scope| {
        let writing = &writing;
        let start = |payer: usize| {
            let client = Client::of(&servers[payer % 3]);
            scope.spawn(move || pay(client, payer, writing))
        };
        let payers: Vec<_> = (0..6).map(start).collect();
        let client = Client::of(&servers[1]);
        let auditor = scope.spawn(move || audit(client, &writing.stop));
        let killing = scope.spawn(|| {
            writing.await_more(6);
            servers[2].kill();
            writing.await_more(6);
        });
        let killed = killing.join();
        writing.stop.store(true, Ordering::Relaxed);
        for (payer, paid) in payers.into_iter().enumerate() {
            let paid = paid.join().unwrap();
            assert_eq!(paid.unknown.len(), usize::from(payer % 3 == 2), "{payer}");
            payments.acknowledged.extend(paid.acknowledged);
            payments.unknown.extend(paid.unknown);
        }
        auditor.join().unwrap();
        killed.unwrap();
    });
    // What the dead one held is free again.
    let mut client = Client::of(&servers[0]);
    for from in 0..ACCOUNTS {
        let name = format!("late-{from}");
        let request = transfer(&name, from, (from + 1) % ACCOUNTS, 1);
        within(PATIENCE, "a transfer", || client.try_call("TransactWriteItems", &request).is_ok());
        payments.acknowledged.push(name);
    }
    for server in &servers[..2] {
        check_accounts(&mut Client::of(server), &payments);
    }
}

const ITEMS: usize = 450;

fn load(client: &mut Client) {
    client.call("CreateTable", &create("music", &["pk:S"], &[], &json!({})));
    for batch in 0..ITEMS / 25 {
        let item = |n: usize| json!({"pk": {"S": n.to_string()}, "n": {"N": n.to_string()}, "g": {"S": format!("g{}", n % 7)}});
        let put = |n: usize| json!({"PutRequest": {"Item": item(25 * batch + n)}});
        let request = json!({"RequestItems": {"music": (0..25).map(put).collect::<Value>()}});
        let answer = client.call("BatchWriteItem", &request);
        assert_eq!(answer["UnprocessedItems"], json!({}));
    }
}

/// Kills the process that fills an index, in the middle of it; says which.
fn kill_who_fills(servers: &mut [Server; 3], client: &mut Client) -> usize {
    let commits = |server: &Server| statements(server)["commit"].0;
    let before: Vec<_> = servers.iter().map(commits).collect();
    client.call("UpdateTable", &add_index("music"));
    let mut filling = None;
    within(PATIENCE, "the backfill", || {
        filling = (0..3).find(|&number| commits(&servers[number]) > before[number] + 60);
        filling.is_some()
    });
    let filling = filling.unwrap();
    servers[filling].kill();
    filling
}

#[test]
fn a_backfill_goes_on_when_its_process_is_killed() {
    let Some(keyspace) = Keyspace::new(&[]) else { return };
    let mut servers = keyspace.start_all::<3>();
    let mut all = clients(&servers);
    load(&mut all[0]);
    let killed = kill_who_fills(&mut servers, &mut all[1]);
    let alive = [(killed + 1) % 3, (killed + 2) % 3];
    let mut client = Client::of(&servers[alive[0]]);
    assert!(!client.is_active("music", &["later"]), "killed too late");
    // Items change while nobody fills.
    for n in 0..20 {
        let key = json!({"TableName": "music", "Key": {"pk": {"S": (n * 22).to_string()}}});
        client.call("DeleteItem", &key);
    }
    for number in alive {
        let mut client = Client::of(&servers[number]);
        client.await_active("music", &["later"]);
        let items = client.table("music");
        assert_eq!(items.len(), ITEMS - 20);
        within(PATIENCE, "agreement", || client.index("music", "later") == items);
    }
}
