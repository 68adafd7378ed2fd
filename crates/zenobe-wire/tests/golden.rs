//! Golden files: requests of each kind with what they decode to, readable by a person.
//!
//! A file in `tests/golden` holds cases: a line with the operation and the body, a line with the
//! answer. The answer of a good request is `ok`, or what its debug form must contain; that of a bad
//! one is the code and the text. `…` in a body stands for 300 times the character before it.

use std::fmt::Write as _;
use std::path::Path;

use zenobe_model::ErrorCode;
use zenobe_model::operation::Operation;

/// The answer to one case.
fn answer(operation: Operation, body: &[u8]) -> String {
    match zenobe_wire::decode(operation, body) {
        Ok(request) => format!("ok {request:?}"),
        Err(error) => {
            let code = match error.code {
                ErrorCode::Serialization => "serialization",
                ErrorCode::Validation => "validation",
                _ => "other",
            };
            format!("{code} {}", error.message)
        }
    }
}

/// Writes a repetition out.
fn expand(text: &str) -> String {
    let mut out = String::new();
    for character in text.chars() {
        match (character, out.chars().last()) {
            ('…', Some(last)) => out.extend(std::iter::repeat_n(last, 299)),
            _ => out.push(character),
        }
    }
    out
}

#[test]
fn answers_are_those_of_the_golden_files() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut failures = String::new();
    let mut cases = 0;
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let mut lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        while let Some(case) = lines.next() {
            let (name, body) = case.split_once(' ').unwrap_or((case, ""));
            let operation = Operation::from_name(name).unwrap_or_else(|| panic!("{case}"));
            let expected = expand(lines.next().unwrap().trim());
            let actual = answer(operation, expand(body).as_bytes());
            cases += 1;
            let right = match expected.strip_prefix("ok") {
                Some(part) => actual.starts_with("ok") && actual.contains(part.trim()),
                None => actual.trim() == expected,
            };
            if !right {
                let name = path.file_name().unwrap().display().to_string();
                let _ = writeln!(failures, "{name}: {case}\n  want {expected}\n  have {actual}");
            }
        }
    }
    assert!(cases > 0);
    assert!(failures.is_empty(), "\n{failures}");
}
