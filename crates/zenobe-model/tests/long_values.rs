//! A short expression over a long item takes no more than the item is long.

#![allow(clippy::unwrap_used, reason = "a failing test panics")]

use zenobe_model::codec::ItemHeader;
use zenobe_model::expression::{
    Action, Comparison, Condition, Literal, Operand, Path, Update, UpdateOperand, UpdateValue,
};
use zenobe_model::partiql::keys::{KeyNames, Reads};
use zenobe_model::{AttributeValue, EncodedItem, Item, Number};

fn path(name: &str) -> Path {
    Path { root: name.to_owned(), elements: Vec::new() }
}

fn read(name: &str) -> UpdateOperand {
    UpdateOperand::Path(path(name))
}

/// An item with a list of so many elements.
fn item(elements: usize) -> Item {
    Item::from([("b".to_owned(), AttributeValue::L(vec![AttributeValue::Null; elements]))])
}

fn apply(values: Vec<UpdateOperand>, item: &Item) -> Result<Item, String> {
    let set = |(n, value)| Action::Set {
        path: path(&format!("a{n}")),
        value: UpdateValue::Operand(value),
    };
    let update = Update::new(values.into_iter().enumerate().map(set).collect());
    update.apply(item).map_err(|error| error.message)
}

const TOO_LARGE: &str = "Item size to update has exceeded the maximum allowed size";

#[test]
fn a_long_value_that_is_named_often_is_not_made_often() {
    // A hundred thousand times would fill the memory.
    let values = || vec![read("b"); 100_000];
    assert_eq!(apply(values(), &item(190_000)).unwrap_err(), TOO_LARGE);
    let mut with_missing = values();
    with_missing.insert(7, read("nope"));
    assert_eq!(
        apply(with_missing, &item(190_000)).unwrap_err(),
        "The provided expression refers to an attribute that does not exist in the item"
    );
    let short = apply(vec![read("b"); 100], &item(3)).unwrap();
    assert!((0..100).all(|n| short.get(&format!("a{n}")) == short.get("b")));
}

#[test]
fn a_list_that_is_doubled_often_ends() {
    let double =
        |list: UpdateOperand| UpdateOperand::ListAppend(Box::new(list.clone()), Box::new(list));
    let value = (0..12).fold(read("b"), |list, _| double(list));
    assert_eq!(apply(vec![value], &item(190_000)).unwrap_err(), TOO_LARGE);
    let twice = apply(vec![double(read("b"))], &item(3)).unwrap();
    assert_eq!(twice.get("a0"), Some(&AttributeValue::L(vec![AttributeValue::Null; 6])));
}

#[test]
fn a_binary_is_searched_in_one_walk() {
    let mut part = vec![b'a'; 190_000];
    part.push(b'b');
    let value = |bytes: Vec<u8>| AttributeValue::B(bytes.into());
    let item = Item::from([("e".to_owned(), value(vec![b'a'; 380_000]))]);
    let item = EncodedItem::encode(&item, ItemHeader::default());
    let contains = |part: Vec<u8>| {
        let element = Operand::Literal(Literal::from(value(part)));
        let condition = Condition::Contains { operand: Operand::Path(path("e")), element };
        condition.evaluate(Some(&item)).unwrap()
    };
    // One after the other this took a second each.
    for _ in 0..300 {
        assert!(!contains(part.clone()));
    }
    part.pop();
    assert!(contains(part));
    assert!(contains(Vec::new()));
}

#[test]
fn filters_beside_many_alternatives_are_not_copied_for_each() {
    let equal = |name: &str, value: AttributeValue| Condition::Compare {
        operator: Comparison::Equal,
        left: Operand::Path(path(name)),
        right: Operand::Literal(Literal::from(value)),
    };
    let one_of = |name: &str, count: u32| {
        let number = |n: u32| AttributeValue::N(Number::from(n));
        Condition::Or((0..count).map(|n| equal(name, number(n))).collect())
    };
    // A thousand alternatives, each with a filter of a hundred megabytes.
    let long = AttributeValue::S("x".repeat(1 << 20));
    let mut all = vec![one_of("p", 50), one_of("s", 20)];
    all.extend((0..100).map(|_| equal("d", long.clone())));
    let names = KeyNames { partition: "p", sort: Some("s") };
    assert!(matches!(names.reads(&Condition::And(all.clone())), Reads::TooMany));
    all.truncate(3);
    all[1] = one_of("s", 1);
    let Reads::Keyed(reads) = names.reads(&Condition::And(all)) else { panic!("not by key") };
    assert_eq!(reads.len(), 50);
    assert!(reads.iter().all(|read| read.sort.len() == 1 && read.filter.len() == 1));
}
