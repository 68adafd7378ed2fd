//! What may be an operand of what: rules that the expressions and PartiQL share.
//!
//! Each says what is wrong in the service's words, without the prefix that names the parameter:
//! that is the dialect's to add.

use super::condition::{Operand, shown};
use super::path::{Path, Relation};
use super::update::UpdateOperand;
use crate::codec::ValueRef;
use crate::limits::IN_OPERANDS_MAX;
use crate::value::ValueType;

/// An operand has a type that the operator does not take.
pub(crate) fn incorrect_type(operator: &str, found: &str) -> String {
    format!(
        "Incorrect operand type for operator or function; operator or function: {operator}, \
         operand type: {found}"
    )
}

/// A function has too many or too few operands.
pub(crate) fn incorrect_count(name: &str, count: usize) -> String {
    format!(
        "Incorrect number of operands for operator or function; operator or function: {name}, \
         number of operands: {count}"
    )
}

/// A function takes nothing but a path.
pub(crate) fn path_required(name: &str) -> String {
    format!("Operator or function requires a document path; operator or function: {name}")
}

/// Operands of an order must be of a type that has one.
pub(crate) fn check_ordered(operator: &str, operands: &[&Operand]) -> Result<(), String> {
    check_types(operator, operands, |found| {
        matches!(found, ValueType::S | ValueType::N | ValueType::B)
    })
}

/// The operands of `begins_with` are strings or binary.
pub(crate) fn check_prefix(operand: &Operand, prefix: &Operand) -> Result<(), String> {
    check_types("begins_with", &[operand, prefix], |found| {
        matches!(found, ValueType::S | ValueType::B)
    })
}

/// The operand of `size` has a size.
pub(crate) fn check_sized(name: &str, operand: &Operand) -> Result<(), String> {
    check_types(name, &[operand], |found| {
        !matches!(found, ValueType::N | ValueType::Bool | ValueType::Null)
    })
}

fn check_types(
    operator: &str,
    operands: &[&Operand],
    allowed: impl Fn(ValueType) -> bool,
) -> Result<(), String> {
    match operands.iter().filter_map(|operand| static_type(operand)).find(|found| !allowed(*found))
    {
        Some(found) => Err(incorrect_type(operator, found.name())),
        None => Ok(()),
    }
}

/// No path is compared with itself.
pub(crate) fn check_distinct(
    operator: &str,
    first: &Operand,
    others: &[Operand],
) -> Result<(), String> {
    let Operand::Path(path) = first else { return Ok(()) };
    let is_first = |other: &Operand| matches!(other, Operand::Path(other) if other == path);
    if others.iter().any(is_first) { Err(indistinct(operator, path)) } else { Ok(()) }
}

/// What stands in for a path is not the same path.
pub(crate) fn check_stand_in(
    operator: &str,
    path: &Path,
    stand_in: &UpdateOperand,
) -> Result<(), String> {
    match stand_in {
        UpdateOperand::Path(other) if other == path => Err(indistinct(operator, path)),
        _ => Ok(()),
    }
}

fn indistinct(operator: &str, path: &Path) -> String {
    format!(
        "The first operand must be distinct from the remaining operands for this operator or \
         function; operator: {operator}, first operand: {path}"
    )
}

/// The operands of BETWEEN; `bounds` are `low` and `high`.
pub(crate) fn check_between(
    operand: &Operand,
    low: &Operand,
    high: &Operand,
    bounds: &[Operand],
) -> Result<(), String> {
    check_ordered("BETWEEN", &[operand, low, high])?;
    check_distinct("BETWEEN", operand, bounds)?;
    let (Operand::Literal(low), Operand::Literal(high)) = (low, high) else { return Ok(()) };
    let (low, high) = (low.value(), high.value());
    let rule = if low.value_type() != high.value_type() {
        "same data type for lower and upper bounds"
    } else if low.compare(high).is_some_and(std::cmp::Ordering::is_gt) {
        "upper bound to be greater than or equal to lower bound"
    } else {
        return Ok(());
    };
    Err(format!(
        "The BETWEEN operator requires {rule}; lower bound operand: {}, upper bound operand: {}",
        shown(low),
        shown(high)
    ))
}

/// The operands of IN.
pub(crate) fn check_in(operand: &Operand, candidates: &[Operand]) -> Result<(), String> {
    if candidates.len() > IN_OPERANDS_MAX {
        return Err(format!(
            "The IN operator is provided with too many operands; number of operands: {}",
            candidates.len()
        ));
    }
    check_distinct("IN", operand, candidates)
}

/// The second argument of `attribute_type`.
pub(crate) fn type_argument(name: &str, operand: &Operand) -> Result<ValueType, String> {
    // The sets are in the order in which the service lists them.
    const ANY_TYPE: &str = "{N,SS,BS,INTSET,DICT,HD,DECIMALSET,BOOL,DOUBLE,DECIMAL,FLOAT,S,B,FS,\
                            INT,NS,HDS,DOUBLESET,NULL,M,L}";
    const TYPE_NAMES: &str = "{N,BS,L,B,NULL,M,S,SS,NS,BOOL}";
    let Operand::Literal(literal) = operand else {
        return Err(incorrect_type(name, static_type(operand).map_or(ANY_TYPE, ValueType::name)));
    };
    match literal.value() {
        ValueRef::S(text) => ValueType::from_name(text).ok_or_else(|| {
            format!("Invalid attribute type name found; type: {text}, valid types: {TYPE_NAMES}")
        }),
        other => Err(incorrect_type(name, other.value_type().name())),
    }
}

/// Literals on the right side of `SET` have the type that the operator takes.
pub(crate) fn check_literals(
    operator: &str,
    wanted: ValueType,
    operands: &[&UpdateOperand],
) -> Result<(), String> {
    for operand in operands {
        if let UpdateOperand::Literal(literal) = operand {
            let found = literal.value().value_type();
            if found != wanted {
                return Err(incorrect_type(operator, found.name()));
            }
        }
    }
    Ok(())
}

/// Two paths of one projection or update do not touch each other.
pub(crate) fn check_apart(one: &Path, two: &Path) -> Result<(), String> {
    let problem = match one.relation(two) {
        Relation::Apart => return Ok(()),
        Relation::Overlap => "overlap",
        Relation::Conflict => "conflict",
    };
    Err(format!(
        "Two document paths {problem} with each other; must remove or rewrite one of these paths; \
         path one: {one}, path two: {two}"
    ))
}

/// The type of an operand, if it does not depend on the item.
fn static_type(operand: &Operand) -> Option<ValueType> {
    match operand {
        Operand::Path(_) => None,
        Operand::Literal(literal) => Some(literal.value().value_type()),
        Operand::Size(_) => Some(ValueType::N),
        Operand::Truth(_) => Some(ValueType::Bool),
    }
}
