//! The second stage of compilation: what is wrong with the words of an expression, whatever names
//! and values the request has. The first error in the order of the text counts.

use super::compiler::ExpressionKind;
use super::reserved::is_reserved;
use super::syntax::{ElementNode, Node, PathNode};
use crate::error::ServiceError;

/// The greatest index of a list.
const INDEX_MAX: u64 = 2_147_483_647;

/// Where a function stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// As a condition.
    Condition,
    /// As an operand of an operator or function.
    Operand,
    /// Directly at the right side of `SET`.
    Value,
}

const CONDITION_FUNCTIONS: [&str; 5] =
    ["attribute_exists", "attribute_not_exists", "attribute_type", "begins_with", "contains"];

fn is_condition_function(name: &str) -> bool {
    name == "size" || CONDITION_FUNCTIONS.contains(&name)
}

fn is_update_function(name: &str) -> bool {
    matches!(name, "if_not_exists" | "list_append")
}

fn unknown_function(kind: ExpressionKind, name: &str) -> ServiceError {
    kind.invalid(format_args!("Invalid function name; function: {name}"))
}

fn misused_function(kind: ExpressionKind, name: &str) -> ServiceError {
    kind.invalid(format_args!(
        "The function is not allowed to be used this way in an expression; function: {name}"
    ))
}

pub(super) fn check_condition_words(
    kind: ExpressionKind,
    node: &Node<'_>,
    place: Place,
) -> Result<(), ServiceError> {
    // What is still to be looked at, the last first: functions nest too deep to recurse into them.
    let mut left = vec![(node, place)];
    while let Some((node, place)) = left.pop() {
        let (nodes, place): (&[Node<'_>], Place) = match node {
            Node::Value(_) => continue,
            Node::Path(path) => {
                check_path_words(kind, path)?;
                continue;
            }
            Node::Function(name, arguments) => {
                check_condition_function(kind, name, place)?;
                (arguments.as_slice(), Place::Operand)
            }
            Node::Compare(_, operands) => (operands.as_slice(), Place::Operand),
            Node::Between(operands) => (operands.as_slice(), Place::Operand),
            Node::In(operands) => (operands, Place::Operand),
            Node::And(nodes) | Node::Or(nodes) => (nodes, Place::Condition),
            Node::Not(_, node) => (std::slice::from_ref(&**node), Place::Condition),
        };
        left.extend(nodes.iter().rev().map(|node| (node, place)));
    }
    Ok(())
}

fn check_condition_function(
    kind: ExpressionKind,
    name: &str,
    place: Place,
) -> Result<(), ServiceError> {
    if is_update_function(name) {
        return Err(kind.invalid(format_args!(
            "The function is not allowed in a condition expression; function: {name}"
        )));
    }
    if !is_condition_function(name) {
        return Err(unknown_function(kind, name));
    }
    if (place == Place::Operand) != (name == "size") {
        return Err(misused_function(kind, name));
    }
    Ok(())
}

/// Recurses into `if_not_exists` alone: `list_append` within a function is refused, and so is every other name before
/// its arguments are looked at. A text holds at most 273 of that one, of which each takes 15 bytes, so the stack does.
pub(super) fn check_update_words(node: &Node<'_>, place: Place) -> Result<(), ServiceError> {
    let kind = ExpressionKind::Update;
    match node {
        Node::Path(path) => check_path_words(kind, path),
        Node::Function(name, arguments) => {
            if is_condition_function(name) {
                return Err(kind.invalid(format_args!(
                    "The function is not allowed in an update expression; function: {name}"
                )));
            }
            if !is_update_function(name) {
                return Err(unknown_function(kind, name));
            }
            if *name == "list_append" && place != Place::Value {
                return Err(misused_function(kind, name));
            }
            arguments
                .as_slice()
                .iter()
                .try_for_each(|node| check_update_words(node, Place::Operand))
        }
        _ => Ok(()),
    }
}

pub(super) fn check_path_words(
    kind: ExpressionKind,
    path: &PathNode<'_>,
) -> Result<(), ServiceError> {
    check_word(kind, path.root)?;
    for element in &path.elements {
        match element {
            ElementNode::Name(name) => check_word(kind, name)?,
            ElementNode::Index(digits) => {
                if digits.parse::<u64>().map_or(true, |index| index > INDEX_MAX) {
                    return Err(kind.invalid(format_args!(
                        "List index is not within the allowable range; index: [{digits}]"
                    )));
                }
            }
        }
    }
    Ok(())
}

fn check_word(kind: ExpressionKind, word: &str) -> Result<(), ServiceError> {
    if is_reserved(word) {
        return Err(kind.invalid(format_args!(
            "Attribute name is a reserved keyword; reserved keyword: {word}"
        )));
    }
    Ok(())
}
