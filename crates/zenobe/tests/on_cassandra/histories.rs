//! What clients of two processes see of transactions and single operations fits one order, though one of the
//! processes is killed with -9 and another takes its place.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use crate::client::{Client, Failure, create};
use crate::keyspace::Keyspace;
use crate::serializability::{Action, Change, Dice, Fate, Recorder, is_serializable};
use crate::support::within;

/// The registers: items of partitions of their own, but for the last two, which share one.
const REGISTERS: usize = 5;
const SHARED: (usize, usize) = (3, 4);
const CLIENTS: usize = 6;
/// How much every client is to do before the process is killed, and again after that; and how much it must have
/// done when the time for it is over.
const OPERATIONS: usize = 40;
const OPERATIONS_MIN: usize = 5;
/// How often to look whether they have.
const LOOKS: usize = 150;
const LOOK: Duration = Duration::from_millis(100);
/// For a process to start.
const PATIENCE: Duration = Duration::from_secs(20);

fn key(register: usize) -> Value {
    let partition = register.min(SHARED.0);
    json!({"pk": {"S": format!("r{partition}")}, "sk": {"N": register.to_string()}})
}

fn at(register: usize) -> Value {
    json!({"TableName": "numbers", "Key": key(register)})
}

fn put(register: usize, number: i64) -> Value {
    let mut item = key(register);
    item["n"] = json!({"N": number.to_string()});
    json!({"TableName": "numbers", "Item": item})
}

/// A request about a register with an expression that has the number `:n`.
fn with(register: usize, kind: &str, expression: &str, number: i64) -> Value {
    let mut request = at(register);
    request[kind] = json!(expression);
    request["ExpressionAttributeValues"] = json!({":n": {"N": number.to_string()}});
    request
}

fn n(item: &Value) -> i64 {
    item["n"]["N"].as_str().unwrap().parse().unwrap()
}

/// A client of one of the processes, and what it last saw of the registers.
struct Player<'a> {
    client: Client,
    /// Where its process is, or the one that took its place.
    place: &'a Mutex<SocketAddr>,
    dice: Dice,
    known: [i64; REGISTERS],
    /// A number that nobody else has, nor had before.
    fresh: i64,
}

impl Player<'_> {
    /// Does one thing or another.
    fn operate(&mut self) -> Fate {
        let (x, y) = match self.dice.roll(3) {
            0 => SHARED,
            _ => self.dice.two(REGISTERS),
        };
        self.fresh += 100;
        let number = self.fresh;
        match self.dice.roll(7) {
            0 => self.read(x),
            1 => self.read_together(&[x, y]),
            2 => {
                let mut request = put(x, number);
                request["ReturnValues"] = json!("ALL_OLD");
                let action =
                    |found| Action::Write { found, change: vec![(x, Change::Set(number))] };
                self.write("PutItem", &request, action(vec![]), |answer| {
                    action(vec![(x, n(&answer["Attributes"]))])
                })
            }
            3 => {
                let mut request = with(x, "UpdateExpression", "ADD n :n", 1);
                request["ReturnValues"] = json!("UPDATED_NEW");
                let action = |found| Action::Write { found, change: vec![(x, Change::Add(1))] };
                self.write("UpdateItem", &request, action(vec![]), |answer| {
                    action(vec![(x, n(&answer["Attributes"]) - 1)])
                })
            }
            4 => self.write_together(&[], &[(x, number)]),
            5 => self.write_together(&[], &[(x, number), (y, number + 1)]),
            _ => {
                let wanted = (y, self.known[y]);
                self.write_together(&[wanted], &[(x, number)])
            }
        }
    }

    fn read(&mut self, register: usize) -> Fate {
        let mut request = at(register);
        request["ConsistentRead"] = json!(true);
        match self.client.try_call("GetItem", &request) {
            Ok(found) => {
                self.known[register] = n(&found["Item"]);
                Fate::Told(Action::Read(vec![(register, self.known[register])]))
            }
            Err(Failure::Unknown(_)) => self.await_process(Fate::Nothing),
            Err(failure) => panic!("{failure:?}"),
        }
    }

    fn read_together(&mut self, registers: &[usize]) -> Fate {
        let gets: Value = registers.iter().map(|register| json!({"Get": at(*register)})).collect();
        match self.client.try_call("TransactGetItems", &json!({"TransactItems": gets})) {
            Ok(found) => {
                let mut read = Vec::new();
                for (register, found) in
                    registers.iter().zip(found["Responses"].as_array().unwrap())
                {
                    self.known[*register] = n(&found["Item"]);
                    read.push((*register, self.known[*register]));
                }
                Fate::Told(Action::Read(read))
            }
            Err(failure) if failure.is("TransactionCanceledException") => Fate::Nothing,
            Err(Failure::Unknown(_)) => self.await_process(Fate::Nothing),
            Err(failure) => panic!("{failure:?}"),
        }
    }

    /// A write of one item; `blind` is what it may have done without an answer.
    fn write(
        &mut self,
        operation: &str,
        request: &Value,
        blind: Action,
        told: impl Fn(&Value) -> Action,
    ) -> Fate {
        match self.client.try_call(operation, request) {
            Ok(answer) => Fate::Told(told(&answer)),
            Err(failure) if failure.is("TransactionConflictException") => Fate::Nothing,
            Err(Failure::Unknown(_)) => self.await_process(Fate::Unknown(blind)),
            Err(failure) => panic!("{failure:?}"),
        }
    }

    /// Sets registers, if others are as wanted; sometimes with a token, which lets it take another way.
    fn write_together(&mut self, wanted: &[(usize, i64)], set: &[(usize, i64)]) -> Fate {
        let checks = wanted.iter().map(|(register, number)| {
            json!({"ConditionCheck": with(*register, "ConditionExpression", "n = :n", *number)})
        });
        let sets = set.iter().map(|(register, number)| {
            json!({"Update": with(*register, "UpdateExpression", "SET n = :n", *number)})
        });
        let mut request = json!({"TransactItems": checks.chain(sets).collect::<Value>()});
        if self.dice.roll(3) == 0 {
            request["ClientRequestToken"] = json!(format!("token-{}", self.fresh));
        }
        let change = set.iter().map(|(register, to)| (*register, Change::Set(*to))).collect();
        let done = Action::Write { found: wanted.to_vec(), change };
        match self.client.try_call("TransactWriteItems", &request) {
            Ok(_) => Fate::Told(done),
            Err(Failure::Unknown(_)) => self.await_process(Fate::Unknown(done)),
            Err(Failure::Refused { code, answer }) if code == "TransactionCanceledException" => {
                let reasons = answer["CancellationReasons"].as_array().unwrap();
                let codes = reasons.iter().map(|reason| reason["Code"].as_str().unwrap());
                let codes: Vec<&str> = codes.collect();
                if codes.contains(&"TransactionConflict") {
                    return Fate::Nothing;
                }
                // Nothing but the check can fail.
                assert_eq!(codes, ["ConditionalCheckFailed", "None"]);
                let wrong = wanted.iter().map(|(register, _)| *register).collect();
                Fate::Told(Action::Refused { wanted: wanted.to_vec(), wrong })
            }
            Err(failure) => panic!("{failure:?}"),
        }
    }

    /// Waits until there is a process again.
    fn await_process(&mut self, fate: Fate) -> Fate {
        within(PATIENCE, "a process", || {
            self.client = Client::at(*self.place.lock().unwrap());
            self.client.try_call("GetItem", &at(0)).is_ok()
        });
        fate
    }
}

/// Gives every client the time to do as much again.
#[track_caller]
fn await_each(done: &[AtomicUsize; CLIENTS]) {
    let count = || done.each_ref().map(|done| done.load(Ordering::Relaxed));
    let before = count();
    let fewest = || count().iter().zip(before).map(|(now, before)| now - before).min().unwrap();
    for _ in 0..LOOKS {
        if fewest() >= OPERATIONS {
            return;
        }
        std::thread::sleep(LOOK);
    }
    assert!(fewest() >= OPERATIONS_MIN, "{:?} after {before:?}", count());
}

#[test]
fn histories_over_a_kill_are_serializable() {
    let Some(keyspace) = Keyspace::new(&[]) else { return };
    let mut servers = keyspace.start_all::<2>();
    let mut client = Client::of(&servers[0]);
    client.call("CreateTable", &create("numbers", &["pk:S", "sk:N"], &[], &json!({})));
    for register in 0..REGISTERS {
        client.call("PutItem", &put(register, 0));
    }
    let places = servers.each_ref().map(|server| Mutex::new(server.address));
    let recorder = Recorder::default();
    let stop = AtomicBool::new(false);
    let done: [AtomicUsize; CLIENTS] = std::array::from_fn(|_| AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for (number, done) in done.iter().enumerate() {
            let (places, recorder, stop) = (&places, &recorder, &stop);
            scope.spawn(move || {
                let place = &places[number % 2];
                let mut player = Player {
                    client: Client::at(*place.lock().unwrap()),
                    place,
                    dice: Dice::new(number as u64),
                    known: [0; REGISTERS],
                    fresh: i64::try_from(number).unwrap() * 1_000_000,
                };
                while !stop.load(Ordering::Relaxed) {
                    let called = recorder.call();
                    recorder.told(called, player.operate());
                    done.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let played = scope.spawn(|| {
            await_each(&done);
            servers[1].kill();
            servers[1] = keyspace.start();
            *places[1].lock().unwrap() = servers[1].address;
            await_each(&done);
        });
        let played = played.join();
        stop.store(true, Ordering::Relaxed);
        played.unwrap();
    });
    // What is there in the end belongs to the history.
    for server in &servers {
        let gets: Value = (0..REGISTERS).map(|register| json!({"Get": at(register)})).collect();
        let called = recorder.call();
        let found = Client::of(server).call("TransactGetItems", &json!({"TransactItems": gets}));
        let found = found["Responses"].as_array().unwrap().iter().map(|found| n(&found["Item"]));
        recorder.told(called, Fate::Told(Action::Read(found.enumerate().collect())));
    }
    let history = recorder.history();
    let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
    for operation in &history {
        let kind = match (&operation.action, operation.returned) {
            (_, None) => "unknown",
            (Action::Read(_), _) => "reads",
            (Action::Write { .. }, _) => "writes",
            (Action::Refused { .. }, _) => "refused",
        };
        *kinds.entry(kind).or_default() += 1;
    }
    println!("{kinds:?}");
    assert!(kinds["reads"] > 20 && kinds["writes"] > 50, "{kinds:?}");
    assert!(is_serializable(&vec![0; REGISTERS], &history), "{history:#?}");
}
