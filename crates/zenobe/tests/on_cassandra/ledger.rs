//! What writers were told, and whether table, indexes and stream agree with it.
//!
//! Each item has one writer, who numbers its changes: `n` grows from one put of an item to the next. A change of
//! unknown outcome happened or did not, and not after a later one that was acknowledged.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use crate::client::{Client, Failure};
use crate::support::{Server, within};

/// For what a dead process left for others to finish.
const PATIENCE: Duration = Duration::from_secs(60);

/// A table with everything that follows from items, whose items the ledger writes.
pub(crate) fn create(table: &str) -> Value {
    let more = json!({
        "LocalSecondaryIndexes": [crate::client::index("by-n", &["pk:S", "n:N"])],
        "GlobalSecondaryIndexes": [crate::client::index("by-g", &["g:S", "n:N"])],
        "StreamSpecification": {"StreamEnabled": true, "StreamViewType": "NEW_AND_OLD_IMAGES"},
    });
    crate::client::create(table, &["pk:S", "sk:S"], &["g:S", "n:N"], &more)
}

/// A change of one item.
#[derive(Clone, Copy, Debug)]
struct Change {
    /// The number of a put; `None` for a deletion.
    n: Option<u64>,
    acknowledged: bool,
}

/// What writers are told, and what they have done so far.
#[derive(Default)]
pub(crate) struct Writing {
    /// That they are to end.
    pub(crate) stop: AtomicBool,
    acknowledged: Mutex<BTreeMap<usize, usize>>,
}

impl Writing {
    /// Notes that a writer was acknowledged something.
    pub(crate) fn acknowledge(&self, writer: usize) {
        *self.acknowledged.lock().unwrap().entry(writer).or_default() += 1;
    }

    /// Waits until so many more writes are acknowledged, whoever's.
    pub(crate) fn await_more(&self, more: usize) {
        let all = || self.acknowledged.lock().unwrap().values().sum::<usize>();
        let before = all();
        within(PATIENCE, "more writes", || all() >= before + more);
    }

    /// Waits until each of these writers was acknowledged something.
    pub(crate) fn await_each(&self, writers: &[usize]) {
        within(PATIENCE, "something of each writer", || {
            let acknowledged = self.acknowledged.lock().unwrap();
            writers.iter().all(|writer| acknowledged.contains_key(writer))
        });
    }
}

/// The changes of each item, in order.
#[derive(Default)]
pub(crate) struct Ledger {
    items: BTreeMap<(String, String), Vec<Change>>,
    /// Requests whose outcome nobody knows.
    pub(crate) unknown: Vec<String>,
}

impl Ledger {
    /// Writes items of its own until told to stop or until the process does not answer.
    pub(crate) fn write(table: &str, mut client: Client, writer: usize, writing: &Writing) -> Self {
        let mut ledger = Self::default();
        for n in 1.. {
            if writing.stop.load(Ordering::Relaxed) {
                break;
            }
            // Four partitions a writer shares with the others, items of its own in each.
            let key = (format!("p{}", n % 4), format!("{writer}-{}", n % 5));
            let deletes = n % 7 == 0;
            let outcome = client.try_call(
                if deletes { "DeleteItem" } else { "PutItem" },
                &if deletes { deletion(table, &key) } else { put(table, &key, n) },
            );
            let acknowledged = outcome.is_ok();
            let change = Change { n: (!deletes).then_some(n), acknowledged };
            ledger.items.entry(key).or_default().push(change);
            match outcome {
                Ok(_) => writing.acknowledge(writer),
                Err(Failure::Unknown(text)) => {
                    ledger.unknown.push(text);
                    break;
                }
                Err(failure) => panic!("{failure:?}"),
            }
        }
        ledger
    }

    /// Takes in what another one wrote.
    pub(crate) fn merge(&mut self, other: Self) {
        self.items.extend(other.items);
        self.unknown.extend(other.unknown);
    }

    /// How many changes were acknowledged.
    pub(crate) fn acknowledged(&self) -> usize {
        self.items.values().flatten().filter(|change| change.acknowledged).count()
    }

    /// Checks that the table holds what the last acknowledged change of each item left, or a later one.
    #[track_caller]
    pub(crate) fn check_table(&self, items: &[Value]) {
        let found: BTreeMap<_, _> = items.iter().map(|item| (key_of(item), n_of(item))).collect();
        assert!(found.keys().all(|key| self.items.contains_key(key)), "items of nobody");
        for (key, changes) in &self.items {
            let last = changes.iter().rposition(|change| change.acknowledged);
            let mut possible: Vec<_> =
                changes[last.unwrap_or(0)..].iter().map(|change| change.n).collect();
            if last.is_none() {
                possible.push(None);
            }
            let n = found.get(key).copied();
            assert!(possible.contains(&n), "{key:?} is {n:?} after {changes:?}");
        }
    }

    /// Says what is wrong with a stream: each change of an item has one record, in their order, and the last
    /// one leaves what the table holds.
    pub(crate) fn fault_of_stream(&self, records: &[Value], items: &[Value]) -> Option<String> {
        let mut images: BTreeMap<_, Value> = BTreeMap::new();
        let mut put: BTreeSet<_> = BTreeSet::new();
        for record in records {
            let change = &record["dynamodb"];
            let key = key_of(&change["Keys"]);
            let image = images.entry(key.clone()).or_default();
            if change["OldImage"] != *image {
                return Some(format!("{key:?} was {image} before {change}"));
            }
            *image = change["NewImage"].clone();
            if !image.is_null() && !put.insert((key.clone(), n_of(image))) {
                return Some(format!("{key:?} has {change} twice"));
            }
        }
        let left: Vec<_> = images.into_values().filter(|image| !image.is_null()).collect();
        if crate::client::sorted(left) != items {
            return Some("replayed, the stream is not the table".to_owned());
        }
        let missing = |(key, change): (&(String, String), &Change)| match change.n {
            Some(n) => change.acknowledged && !put.contains(&(key.clone(), n)),
            None => false,
        };
        self.items
            .iter()
            .flat_map(|(key, changes)| changes.iter().map(move |change| (key, change)))
            .find(|place| missing(*place))
            .map(|place| format!("the stream lacks {place:?}"))
    }
}

fn put(table: &str, (pk, sk): &(String, String), n: u64) -> Value {
    let mut item = json!({"pk": {"S": pk}, "sk": {"S": sk}, "n": {"N": n.to_string()}});
    if !n.is_multiple_of(3) {
        item["g"] = json!({"S": format!("g{}", n % 4)});
    }
    json!({"TableName": table, "Item": item})
}

fn deletion(table: &str, (pk, sk): &(String, String)) -> Value {
    json!({"TableName": table, "Key": {"pk": {"S": pk}, "sk": {"S": sk}}})
}

fn key_of(item: &Value) -> (String, String) {
    let text = |name: &str| item[name]["S"].as_str().unwrap().to_owned();
    (text("pk"), text("sk"))
}

fn n_of(item: &Value) -> u64 {
    item["n"]["N"].as_str().unwrap().parse().unwrap()
}

/// The items of a table that an index on `g` has.
fn with_g(items: &[Value]) -> Vec<Value> {
    items.iter().filter(|item| item.get("g").is_some()).cloned().collect()
}

/// Checks what these processes tell of a table, once everything that follows from its items is there.
#[track_caller]
pub(crate) fn check(ledger: &Ledger, table: &str, indexes: &[&str], servers: &[&Server]) {
    for server in servers {
        let mut client = Client::of(server);
        let items = client.table(table);
        ledger.check_table(&items);
        for index in indexes {
            let what = format!("agreement of {index} with its table");
            within(PATIENCE, &what, || client.index(table, index) == with_g(&items));
        }
        // Readers of a stream wait for what a dead process left before they go on.
        let mut fault = None;
        within(PATIENCE, "agreement of the stream with its table", || {
            let found = ledger.fault_of_stream(&client.stream(table), &items);
            if found != fault {
                eprintln!("the stream of {table}: {found:?}");
            }
            fault = found;
            fault.is_none()
        });
    }
}
