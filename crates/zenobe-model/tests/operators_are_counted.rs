//! How many operators and functions an expression may have, and how deep functions nest in it: as
//! deep as its length allows. Source: DynamoDB Local 3.3.0; Developer Guide, "Expression limits".

use zenobe_model::expression::{Compiler, ExpressionKind};
use zenobe_model::operation::ExpressionAttributeValues;
use zenobe_model::{AttributeValue, Number};

/// The error of a text, without the name of its parameter; `None` if there is none.
fn error(kind: ExpressionKind, text: &str) -> Option<String> {
    assert!(text.len() <= 4096, "{} bytes", text.len());
    let number = |name: &str| (name.to_owned(), Ok(AttributeValue::N(Number::from(1u32))));
    let values = ExpressionAttributeValues::from([number(":v")]);
    let mut compiler = Compiler::new(None, Some(&values)).expect("values");
    let error = match kind {
        ExpressionKind::Update => compiler.update(text).err(),
        _ => compiler.condition(kind, text).err(),
    };
    let prefix = format!("Invalid {}: ", kind.name());
    error.map(|error| error.message.strip_prefix(&prefix).expect("the prefix").to_owned())
}

fn nested(function: &str, middle: &str, end: &str, depth: usize) -> String {
    format!("{}{middle}{}", function.repeat(depth), end.repeat(depth))
}

/// So many assignments of a sum.
fn sums(count: usize) -> String {
    let sums: Vec<String> = (0..count).map(|place| format!("x{place}=a+a")).collect();
    sums.join(",")
}

const TOO_MANY: &str = "The expression contains too many operators; operator count: 301";

#[test]
fn operators_and_functions_of_an_update_are_counted_over_all_its_actions() {
    let update = |text: &str| error(ExpressionKind::Update, text);
    assert_eq!(update(&format!("SET {}", sums(300))), None);
    assert_eq!(update(&format!("SET {}", sums(301))).as_deref(), Some(TOO_MANY));
    let minus = sums(301).replace('+', "-");
    assert_eq!(update(&format!("SET {minus}")).as_deref(), Some(TOO_MANY));
    let functions = nested("if_not_exists(a,", ":v", ")", 160);
    assert_eq!(update(&format!("SET a={functions},{}", sums(140))), None);
    assert_eq!(update(&format!("SET a={functions},{}", sums(141))).as_deref(), Some(TOO_MANY));
    let undefined = format!("SET {}", sums(301).replace("a+a", "a+:w"));
    let text =
        "An expression attribute value used in expression is not defined; attribute value: :w";
    assert_eq!(update(&undefined).as_deref(), Some(text));
}

#[test]
fn functions_nest_as_deep_as_the_text_is_long() {
    let update = |text: &str| error(ExpressionKind::Update, &format!("SET a={text}"));
    assert_eq!(update(&nested("if_not_exists(a,", ":v", ")", 200)), None);
    let path = "Operator or function requires a document path; operator or function: if_not_exists";
    assert_eq!(update(&nested("if_not_exists(", "b", ",:v)", 150)).as_deref(), Some(path));
    let unknown = "Invalid function name; function: f";
    assert_eq!(update(&nested("f(", "b", ")", 1300)).as_deref(), Some(unknown));

    let condition = |text: &str| error(ExpressionKind::Condition, &format!("a < {text}"));
    assert_eq!(condition(&nested("f(", "b", ")", 1355)).as_deref(), Some(unknown));
    let size = "Incorrect operand type for operator or function; operator or function: size, \
                operand type: N";
    for depth in [2, 150, 600] {
        assert_eq!(condition(&nested("size(", "b", ")", depth)).as_deref(), Some(size));
    }
    let count = "Incorrect number of operands for operator or function; operator or function: \
                 size, number of operands: 2";
    assert_eq!(condition(&nested("size(", "b,c", ")", 500)).as_deref(), Some(count));
    let name = "An expression attribute name used in the document path is not defined; attribute \
                name: #b";
    assert_eq!(condition(&nested("size(", "#b", ")", 500)).as_deref(), Some(name));
    let end = "Syntax error; token: \"<EOF>\", near: \"b\"";
    assert_eq!(condition(&nested("f(", "b", "", 1300)).as_deref(), Some(end));
}
