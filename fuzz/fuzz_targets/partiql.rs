//! Any text is a PartiQL statement, or is refused; what it comes down to stays within its limits.
#![no_main]

use libfuzzer_sys::fuzz_target;
use zenobe_model::AttributeValue;
use zenobe_model::partiql::keys::{KeyNames, READS_MAX, Reads};
use zenobe_model::partiql::{self, CompiledStatement};

fuzz_target!(|text: &str| {
    let parameters = [AttributeValue::S("x".to_owned()), AttributeValue::Null];
    let _ = partiql::reads(text);
    let Ok(statement) = partiql::compile(text, &parameters) else { return };
    let condition = match statement {
        CompiledStatement::Select(select) | CompiledStatement::Exists(select) => select.condition,
        CompiledStatement::Insert(_) => None,
        CompiledStatement::Update(update) => update.condition,
        CompiledStatement::Delete(delete) => delete.condition,
    };
    if let Some(condition) = condition {
        let keys = KeyNames { partition: "a", sort: Some("b") };
        let _ = keys.item(Some(&condition), true);
        if let Reads::Keyed(reads) = keys.reads(&condition) {
            assert!(reads.len() <= READS_MAX);
        }
    }
});
