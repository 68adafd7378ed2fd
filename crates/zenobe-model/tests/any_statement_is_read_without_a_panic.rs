//! Whatever the text of a PartiQL statement, compiling it ends with an answer; whatever the nesting,
//! the stack suffices.

use proptest::prelude::*;
use zenobe_model::codec::{EncodedItem, ItemHeader};
use zenobe_model::partiql::keys::{KeyNames, READS_MAX, Reads};
use zenobe_model::partiql::{self, CompiledStatement};
use zenobe_model::{AttributeValue, Item, Number};

fn parameters() -> [AttributeValue; 3] {
    [
        AttributeValue::S("x".to_owned()),
        AttributeValue::N(Number::from(1u32)),
        AttributeValue::Ss(vec!["x".to_owned()]),
    ]
}

fn item() -> EncodedItem {
    let list = vec![AttributeValue::S("x".to_owned()), AttributeValue::Null];
    let item: Item = [
        ("a", AttributeValue::S("x".to_owned())),
        ("b", AttributeValue::N(Number::from(1u32))),
        ("c", AttributeValue::L(list)),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into();
    EncodedItem::encode(&item, ItemHeader::default())
}

/// Compiles a text and uses what comes out.
fn use_up(text: &str) {
    let _ = partiql::reads(text);
    let Ok(statement) = partiql::compile(text, &parameters()) else { return };
    let item = item();
    let keys = KeyNames { partition: "a", sort: Some("b") };
    let condition = match statement {
        CompiledStatement::Select(select) | CompiledStatement::Exists(select) => {
            if let Ok(Some(columns)) = select.columns {
                let projected = columns.project(&item);
                assert!(EncodedItem::from_stored(projected.into_bytes()).is_ok());
            }
            select.condition
        }
        CompiledStatement::Insert(_) => None,
        CompiledStatement::Update(update) => {
            drop(update.update.apply_encoded(&item, ItemHeader::default()));
            update.condition
        }
        CompiledStatement::Delete(delete) => delete.condition,
    };
    let Some(condition) = condition else { return };
    let holds = condition.holds(Some(&item));
    let _ = keys.item(Some(&condition), true);
    if let Reads::Keyed(reads) = keys.reads(&condition) {
        assert!(reads.len() <= READS_MAX);
        // An item that satisfies the condition is in one of the partitions that are read.
        let partition = AttributeValue::S("x".to_owned());
        assert!(!holds || reads.iter().any(|read| read.partition == partition), "{text}");
    }
}

/// Words and signs of the language, and some that are not.
fn fragment() -> impl Strategy<Value = &'static str> {
    const WORDS: &str = "a;b;c[0];\"a\";tab;\"tab\".\"idx\";'x';';\";`x`;1;1.5e3;-;+;?;null;missing;\
                         true;(;);[;];{;};<<;>>;,;:;.;*;=;<>;!=;<;>=;||;@a; AND ; OR ; NOT ; BETWEEN ; \
                         IN ; IS ; IS NOT MISSING ; LIKE ;SELECT ; FROM ; WHERE ; ORDER BY ; LIMIT ;\
                         INSERT INTO ; VALUE ;UPDATE ; SET ; REMOVE ;DELETE FROM ; RETURNING ALL OLD *;\
                         EXISTS(;size(;contains(;begins_with(;set_add(;list_append(;foo(;--;/*;*/;\n;\t;\
                         é;\u{1F600};\0";
    let words: Vec<&str> = WORDS.split(';').chain([";"]).collect();
    prop::sample::select(words)
}

/// Pieces that stand together more often.
fn piece() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "SELECT * FROM tab WHERE ",
        "SELECT a, c[0], b FROM tab WHERE ",
        "UPDATE tab SET b = b + 1 WHERE ",
        "UPDATE tab SET c = list_append(c, [1]) REMOVE d WHERE ",
        "DELETE FROM tab WHERE ",
        "INSERT INTO tab VALUE {'a': ?, 'b': [1, {'c': <<1, 2>>}]}",
        "a = 'x'",
        "a = ?",
        "b > ?",
        "b IN [1, ?]",
        "a IN ['x', 'y']",
        "begins_with(a, 'x')",
        "c[0] IS NOT MISSING",
        "(a = 'x' OR b = 1) = true",
        "size(c) BETWEEN 1 AND 3",
        " AND ",
        " OR ",
        " NOT ",
        "(",
        ")",
        " RETURNING ALL OLD *",
    ])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_characters(text in ".{0,60}") {
        use_up(&text);
    }

    #[test]
    fn any_fragments(fragments in prop::collection::vec(fragment(), 0..24)) {
        use_up(&fragments.concat());
    }

    #[test]
    fn any_pieces(pieces in prop::collection::vec(piece(), 1..12)) {
        use_up(&pieces.concat());
    }
}

#[test]
fn any_nesting_fits_a_small_stack() {
    let nested = |before: &str, unit: &str, middle: &str, end: &str| {
        let count = (8192 - before.len() - middle.len()) / (unit.len() + end.len());
        let text = |count| format!("{before}{}{middle}{}", unit.repeat(count), end.repeat(count));
        // As deep as a statement can be, and as deep as is read.
        [text(count), text(partiql::DEPTH_MAX - 4), text(partiql::DEPTH_MAX / 2)]
    };
    let select = "SELECT * FROM tab WHERE ";
    let texts = [
        nested(select, "(", "a = b", ")"),
        nested(select, "(", "", ""),
        nested(select, "NOT ", "a = b", ""),
        nested(select, "NOT(", "a = b", ")"),
        nested(select, "(a=b AND ", "a = b", ")"),
        nested(select, "(a = ", "a", ")"),
        nested(select, "f(", "a", ")"),
        nested(select, "a = ", "a", ""),
        nested(select, "a + ", "a", ""),
        nested(select, "a=b AND ", "a = b", ""),
        nested(select, "a.", "a = 1", ""),
        nested(select, "a = [", "1", "]"),
        nested(select, "a[", "1", "] = 1"),
        nested("INSERT INTO tab VALUE ", "{'a':", "1", "}"),
        nested("UPDATE tab SET a = ", "(1 + ", "b", ")"),
        nested("UPDATE tab SET a = ", "1 - ", "b", ""),
        nested("UPDATE tab SET a = ", "list_append(a,", "b", ")"),
        nested("", "EXISTS(", "", ")"),
        nested("", "SELECT * FROM ", "tab", ""),
    ];
    // Half of what a worker of the server has.
    let megabyte = 1 << 20;
    let thread = std::thread::Builder::new()
        .stack_size(megabyte)
        .spawn(move || {
            for text in texts.iter().flatten() {
                eprintln!("{}", &text[..text.len().min(60)]);
                use_up(text);
            }
        })
        .expect("a thread");
    thread.join().expect("no panic");
}
