//! Times the codec on an item of 1 KB with 10 attributes: `cargo run --release --example codec_timing`.

use std::hint::black_box;
use std::time::Instant;

use zenobe_model::codec::{EncodedItem, ItemHeader};
use zenobe_model::key::{KeyValue, encode_composite};
use zenobe_model::{AttributeValue, Item, Number};

#[expect(clippy::disallowed_methods, reason = "this measures; nothing depends on it")]
fn time<T>(what: &str, mut run: impl FnMut() -> T) {
    const ROUNDS: u32 = 1_000_000;
    let start = Instant::now();
    for _ in 0..ROUNDS {
        black_box(run());
    }
    println!("{what:34} {:8.1} ns", start.elapsed().as_secs_f64() * 1e9 / f64::from(ROUNDS));
}

fn main() {
    let mut item: Item = (0..8)
        .map(|index| (format!("attribute{index}"), AttributeValue::S("x".repeat(110))))
        .collect();
    item.insert("counter".to_owned(), AttributeValue::N(Number::from(1_763_930_000i64)));
    item.insert("pk".to_owned(), AttributeValue::S("user#0000012345".to_owned()));
    let encoded = EncodedItem::encode(&item, ItemHeader::default());
    println!("{} bytes counted, {} stored", encoded.size_bytes(), encoded.bytes().len());

    time("encode", || EncodedItem::encode(&item, ItemHeader::default()));
    time("from_stored", || {
        EncodedItem::from_stored(encoded.bytes().clone()).map(|item| item.len())
    });
    time("get last attribute", || encoded.get("pk").map(|raw| raw.value().value_type()));
    time("walk all values", || {
        encoded.attributes().map(|(name, raw)| name.len() + raw.size_bytes()).sum::<usize>()
    });
    time("to_item", || encoded.to_item());
    time("project 2 of 10", || encoded.project_top_level(&["attribute3", "pk"]));

    let texts = ["1763930000", "3.14159", "12345678901234567890123456789012345678"];
    for text in texts {
        time(&format!("parse {}", &text[..text.len().min(20)]), || Number::parse(black_box(text)));
        let number = Number::parse(text).unwrap_or(Number::ZERO);
        let mut out = Vec::with_capacity(200);
        time("  print", || {
            out.clear();
            black_box(number).append_to(&mut out);
        });
        time("  key", || encode_composite(&[KeyValue::N(black_box(number))]));
    }
    let one = Number::from(1u64);
    let count = Number::from(1_763_930_000i64);
    time("add", || black_box(count).checked_add(black_box(one)));
    time("key of a string", || encode_composite(&[KeyValue::S(black_box("user#0000012345"))]));
}
