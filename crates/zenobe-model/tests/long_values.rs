//! A short expression over a long item takes no more than the item is long.

#![allow(clippy::unwrap_used, reason = "a failing test panics")]

use zenobe_model::codec::ItemHeader;
use zenobe_model::expression::{
    Action, Condition, Literal, Operand, Path, Update, UpdateOperand, UpdateValue,
};
use zenobe_model::{AttributeValue, EncodedItem, Item};

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
