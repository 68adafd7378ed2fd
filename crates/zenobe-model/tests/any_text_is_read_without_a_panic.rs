//! Whatever the text, compiling ends with an answer; whatever the nesting, the stack suffices.

use proptest::prelude::*;
use zenobe_model::codec::{EncodedItem, ItemHeader};
use zenobe_model::expression::{Compiler, ExpressionKind, KeySchemaRef};
use zenobe_model::operation::{ExpressionAttributeNames, ExpressionAttributeValues};
use zenobe_model::value::ValueType;
use zenobe_model::{AttributeValue, Item, Number};

fn names() -> ExpressionAttributeNames {
    [("#a", "a"), ("#b", "b")].map(|(key, name)| (key.to_owned(), name.to_owned())).into()
}

fn values() -> ExpressionAttributeValues {
    let list = AttributeValue::L(vec![AttributeValue::S("x".to_owned())]);
    [
        (":s", AttributeValue::S("x".to_owned())),
        (":n", AttributeValue::N(Number::from(1u32))),
        (":l", list),
        (":ss", AttributeValue::Ss(vec!["x".to_owned()])),
        (":m", AttributeValue::M(item())),
    ]
    .map(|(key, value)| (key.to_owned(), Ok(value)))
    .into()
}

fn item() -> Item {
    [
        ("a", AttributeValue::S("x".to_owned())),
        ("b", AttributeValue::N(Number::from(1u32))),
        ("c", AttributeValue::L(vec![AttributeValue::S("x".to_owned()), AttributeValue::Null])),
        ("d", AttributeValue::Ss(vec!["x".to_owned(), "y".to_owned()])),
        ("e", AttributeValue::M(Item::from([("a".to_owned(), AttributeValue::Bool(true))]))),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into()
}

/// Compiles a text as everything that it could be, and uses what comes out.
fn use_everywhere(text: &str) {
    let (names, values, item) = (names(), values(), item());
    let encoded = EncodedItem::encode(&item, ItemHeader::default());
    let mut compiler = Compiler::new(Some(&names), Some(&values)).expect("names and values");
    for kind in [ExpressionKind::Condition, ExpressionKind::Filter] {
        if let Ok(condition) = compiler.condition(kind, text) {
            condition.evaluate(Some(&encoded)).expect("an answer");
            condition.evaluate(None).expect("an answer");
            assert_eq!(condition.mentions("a"), condition.paths().iter().any(|p| p.root == "a"));
        }
    }
    if let Ok(projection) = compiler.projection(text) {
        projection.project(&encoded).expect("an item");
    }
    if let Ok(update) = compiler.update(text) {
        let applied = update.apply(&item);
        let encoded_too = update.apply_encoded(&encoded, ItemHeader::default());
        match (applied, encoded_too) {
            (Ok(item), Ok(encoded)) => {
                assert_eq!(encoded, EncodedItem::encode(&item, ItemHeader::default()));
                update.select(&encoded).expect("an answer");
            }
            (Err(one), Err(other)) => assert_eq!(one, other),
            (one, other) => panic!("{one:?} is not {other:?}"),
        }
    }
    if let Ok(condition) = compiler.key_condition(text) {
        let attribute = |name: &str| [(name.to_owned(), ValueType::S)];
        let schema = KeySchemaRef { partition: &attribute("a"), sort: &attribute("b") };
        drop(condition.bind(schema));
    }
    drop(compiler.finish());
}

/// Words, signs and blanks of the language, and some that are not.
fn fragment() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "a",
        "b",
        "c",
        "d",
        "e",
        "name",
        "#a",
        "#b",
        "#x",
        "#",
        ":s",
        ":n",
        ":l",
        ":ss",
        ":m",
        ":x",
        ":",
        "0",
        "1",
        "7",
        "01",
        "99999999999",
        "(",
        ")",
        "[",
        "]",
        ".",
        ",",
        "=",
        "<>",
        "<",
        "<=",
        ">",
        ">=",
        "+",
        "-",
        " AND ",
        " OR ",
        "NOT ",
        " BETWEEN ",
        " IN ",
        "SET ",
        "REMOVE ",
        "ADD ",
        "DELETE ",
        "size(",
        "contains(",
        "begins_with(",
        "attribute_exists(",
        "attribute_type(",
        "if_not_exists(",
        "list_append(",
        "foo(",
        " ",
        "\t",
        "é",
        "_",
        "*",
        "\u{1F600}",
        "\0",
    ])
}

/// Pieces that stand together more often.
fn piece() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "a = :s",
        "b < :n",
        "c[0]",
        "e.a",
        "#a",
        "size(c) > b",
        "contains(d, :s)",
        " AND ",
        " OR ",
        "NOT ",
        "(",
        ")",
        "a BETWEEN :s AND :s",
        "b IN (:n, a)",
        "SET a = :s",
        "SET b = b + :n",
        ", c[1] = :n",
        ", e.x1 = if_not_exists(e.x1, :n)",
        ", c = list_append(c, :l)",
        " REMOVE c[0]",
        ", e.a",
        " ADD b :n",
        " ADD d :ss",
        " DELETE d :ss",
        "attribute_exists(e.a)",
    ])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_characters(text in ".{0,60}") {
        use_everywhere(&text);
    }

    #[test]
    fn any_fragments(fragments in prop::collection::vec(fragment(), 0..24)) {
        use_everywhere(&fragments.concat());
    }

    #[test]
    fn any_pieces(pieces in prop::collection::vec(piece(), 1..8)) {
        use_everywhere(&pieces.concat());
    }
}

#[test]
fn any_nesting_fits_a_small_stack() {
    let within_4096 = |unit: &str, middle: &str, end: &str, count: usize| {
        let text = format!("{}{middle}{}", unit.repeat(count), end.repeat(count));
        assert!(text.len() <= 4096, "{} bytes", text.len());
        text
    };
    let texts = [
        within_4096("(", "a = b", ")", 2000),
        within_4096("(", "", "", 4096),
        within_4096("NOT ", "a = b", "", 1000),
        within_4096("NOT(", "a = b", ")", 800),
        within_4096("(a=b AND ", "a = b", ")", 400),
        within_4096("f(", "a", ")", 1365),
        within_4096("a < f(", "a", ")", 500),
        format!("a < {}", within_4096("f(", "a", ")", 1363)),
        format!("a < {}", within_4096("size(", "a", ")", 600)),
        format!("a < {}", within_4096("size(", "a", "", 800)),
        within_4096("size(", "a", ")", 600),
        within_4096("a.", "a", "", 2000),
        within_4096("a=b AND ", "a = b", "", 500),
        format!("SET a = {}", within_4096("(", "b", ")", 2000)),
        format!("SET a = {}", within_4096("if_not_exists(z,", "b", ")", 240)),
        format!("SET a = {}", within_4096("if_not_exists(", "b", ",b)", 200)),
        format!("SET a = {}", within_4096("f(", "b", ")", 1362)),
        format!("SET a = {}", within_4096("list_append(a,", "b", ")", 200)),
    ];
    let half_a_megabyte = 512 << 10;
    let thread = std::thread::Builder::new()
        .stack_size(half_a_megabyte)
        .spawn(move || {
            texts.iter().for_each(|text| {
                eprintln!("{}", &text[..20]);
                use_everywhere(text)
            })
        })
        .expect("a thread");
    thread.join().expect("no panic");
}
