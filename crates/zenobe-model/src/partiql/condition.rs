//! Conditions: from the tree to [`Condition`].

use super::Refusal;
use super::ast::{Expr, ExprKind};
use super::collection::{Parameters, path_of};
use super::keywords;
use crate::expression::{Comparison, Condition, Literal, Operand, rules};
use crate::limits::EXPRESSION_OPERATORS_MAX;
use crate::value::{AttributeValue, ValueType};

const NO_BOOLEAN: &str = "WHERE clause must contain an expression that resolves to a boolean";
pub(super) const MISSING: &str = "MISSING must be compared using IS operator";

/// What a WHERE clause says.
pub(super) fn where_clause(expr: &Expr, parameters: Parameters<'_>) -> Result<Condition, Refusal> {
    if !is_expression(expr) {
        return Err(Refusal::unsupported(NO_BOOLEAN));
    }
    if operators(expr) > EXPRESSION_OPERATORS_MAX {
        return Err(Refusal::unsupported(format!(
            "The expression contains too many operators; operator count: {}",
            EXPRESSION_OPERATORS_MAX + 1
        )));
    }
    condition(expr, parameters)
}

/// How many operators and functions an expression has.
fn operators(expr: &Expr) -> usize {
    let sum = |all: &[Expr]| all.iter().map(operators).sum::<usize>();
    match &expr.kind {
        ExprKind::And(all) | ExprKind::Or(all) => all.len().saturating_sub(1) + sum(all),
        ExprKind::Not(inner) => 1 + operators(inner),
        ExprKind::Binary(_, left, right) | ExprKind::In(left, right) => {
            1 + operators(left) + operators(right)
        }
        ExprKind::Between(operands) => 1 + sum(operands.as_slice()),
        ExprKind::Is(left, _) => 1 + operators(left),
        ExprKind::Call(_, arguments) => 1 + sum(arguments),
        _ => 0,
    }
}

/// Whether an expression has an operator or function, which may make it a condition.
const fn is_expression(expr: &Expr) -> bool {
    matches!(
        expr.kind,
        ExprKind::And(_)
            | ExprKind::Or(_)
            | ExprKind::Not(_)
            | ExprKind::Binary(..)
            | ExprKind::Sign(..)
            | ExprKind::Between(_)
            | ExprKind::In(..)
            | ExprKind::Is(..)
            | ExprKind::Call(..)
    )
}

fn condition(expr: &Expr, parameters: Parameters<'_>) -> Result<Condition, Refusal> {
    match &expr.kind {
        ExprKind::And(all) => conditions(all, parameters).map(Condition::And),
        ExprKind::Or(all) => conditions(all, parameters).map(Condition::Or),
        ExprKind::Not(inner) => {
            if !is_expression(inner) {
                return Err(Refusal::unsupported(
                    "The argument to NOT must be a Type or Expression",
                ));
            }
            Ok(Condition::Not(Box::new(condition(inner, parameters)?)))
        }
        ExprKind::Binary(symbol, left, right) => match comparison(symbol) {
            Some(operator) => compare(operator, left, right, parameters),
            None => Err(unsupported_operator(symbol)),
        },
        ExprKind::Sign(symbol) => Err(unsupported_operator(symbol)),
        ExprKind::Between(operands) => between(operands, parameters),
        ExprKind::In(left, right) => condition_in(left, right, parameters),
        ExprKind::Is(left, keyword) => condition_is(expr, left, keyword, parameters),
        ExprKind::Call(name, arguments) => function(expr, name, arguments, parameters),
        _ => Err(Refusal::unsupported(NO_BOOLEAN)),
    }
}

fn conditions(all: &[Expr], parameters: Parameters<'_>) -> Result<Vec<Condition>, Refusal> {
    all.iter()
        .map(|expr| {
            if !is_expression(expr) {
                return Err(Refusal::unsupported("The arguments to AND/OR must be Expressions"));
            }
            condition(expr, parameters)
        })
        .collect()
}

fn unsupported_operator(symbol: &str) -> Refusal {
    Refusal::unsupported(format!(
        "Unsupported operator in Condition Expression. Operator: {symbol}"
    ))
}

fn comparison(symbol: &str) -> Option<Comparison> {
    Some(match symbol {
        "=" => Comparison::Equal,
        "<>" => Comparison::NotEqual,
        "<" => Comparison::Less,
        "<=" => Comparison::LessOrEqual,
        ">" => Comparison::Greater,
        ">=" => Comparison::GreaterOrEqual,
        _ => return None,
    })
}

fn compare(
    operator: Comparison,
    left: &Expr,
    right: &Expr,
    parameters: Parameters<'_>,
) -> Result<Condition, Refusal> {
    let (left, right) = (operand(left, parameters)?, operand(right, parameters)?);
    if !matches!(operator, Comparison::Equal | Comparison::NotEqual) {
        rules::check_ordered(operator.symbol(), &[&left, &right])?;
    }
    rules::check_distinct(operator.symbol(), &left, std::slice::from_ref(&right))?;
    Ok(Condition::Compare { operator, left, right })
}

fn between(operands: &[Expr; 3], parameters: Parameters<'_>) -> Result<Condition, Refusal> {
    let [tested, low, high] = operands;
    let tested = operand(tested, parameters)?;
    let bounds = [operand(low, parameters)?, operand(high, parameters)?];
    let [low, high] = &bounds;
    rules::check_between(&tested, low, high, &bounds)?;
    let [low, high] = bounds;
    Ok(Condition::Between { operand: tested, low, high })
}

fn condition_in(
    left: &Expr,
    right: &Expr,
    parameters: Parameters<'_>,
) -> Result<Condition, Refusal> {
    let tested = operand(left, parameters)?;
    let candidates = match &right.kind {
        ExprKind::List(all) | ExprKind::Bag(all) => all.as_slice(),
        _ => &[],
    };
    if candidates.is_empty() {
        return Err(Refusal::unsupported(
            "IN operator must have a left hand argument of type Variable Reference and right hand \
             argument of type Seq with at least one member",
        ));
    }
    let candidates = operands(candidates, parameters)?;
    rules::check_in(&tested, &candidates)?;
    Ok(Condition::In { operand: tested, candidates })
}

fn condition_is(
    expr: &Expr,
    left: &Expr,
    keyword: &str,
    parameters: Parameters<'_>,
) -> Result<Condition, Refusal> {
    let tested = match (path_of(left)?, parameters.value(left)?) {
        (Some(path), _) => Operand::Path(path),
        (None, Some(value)) => Operand::Literal(Literal::from(value)),
        (None, None) => {
            return Err(Refusal::unsupported(
                "The left hand side argument to IS must be a Variable Reference, Literal, or Path",
            ));
        }
    };
    let value_type = match keyword {
        "missing" => {
            return match tested {
                Operand::Path(path) => Ok(Condition::AttributeNotExists(path)),
                _ => Err(Refusal::unsupported(rules::path_required("attribute_not_exists"))),
            };
        }
        "null" => {
            return Ok(Condition::Compare {
                operator: Comparison::Equal,
                left: tested,
                right: Operand::Literal(Literal::from(AttributeValue::Null)),
            });
        }
        "bool" | "boolean" => ValueType::Bool,
        "blob" => ValueType::B,
        "string" => ValueType::S,
        "numeric" => ValueType::N,
        "struct" | "tuple" => ValueType::M,
        "list" => ValueType::L,
        other => {
            let name = match other {
                "int" => "INTEGER".to_owned(),
                "char" => "CHARACTER".to_owned(),
                "varchar" => "CHARACTER_VARYING".to_owned(),
                _ => other.to_uppercase(),
            };
            return Err(Refusal::unsupported(format!(
                "Unsupported data type for IS operator: {name}. Supported data types are [MISSING, \
                 NULL, BOOLEAN, BLOB, STRING, NUMERIC, STRUCT, TUPLE, LIST]{}",
                expr.span
            )));
        }
    };
    Ok(Condition::AttributeType { operand: tested, value_type })
}

fn operands(all: &[Expr], parameters: Parameters<'_>) -> Result<Vec<Operand>, Refusal> {
    all.iter().map(|expr| operand(expr, parameters)).collect()
}

fn operand(expr: &Expr, parameters: Parameters<'_>) -> Result<Operand, Refusal> {
    if let Some(value) = parameters.value(expr)? {
        return Ok(Operand::Literal(Literal::from(value)));
    }
    if let Some(path) = path_of(expr)? {
        return Ok(Operand::Path(path));
    }
    match &expr.kind {
        ExprKind::Missing => Err(Refusal::unsupported(MISSING)),
        ExprKind::Call(name, arguments) if name == "size" => {
            let [sized] = self::arguments(name, arguments, parameters)?;
            rules::check_sized(name, &sized)?;
            Ok(Operand::Size(Box::new(sized)))
        }
        ExprKind::Statement(_) => Err(Refusal::unsupported(format!(
            "Unsupported token in expression: SELECT{}",
            expr.span
        ))),
        _ => condition(expr, parameters).map(|condition| Operand::Truth(Box::new(condition))),
    }
}

/// The arguments of a function, as many as it takes.
fn arguments<const N: usize>(
    name: &str,
    all: &[Expr],
    parameters: Parameters<'_>,
) -> Result<[Operand; N], Refusal> {
    let operands = operands(all, parameters)?;
    let count = operands.len();
    operands.try_into().map_err(|_| Refusal::unsupported(rules::incorrect_count(name, count)))
}

fn function(
    expr: &Expr,
    name: &str,
    all: &[Expr],
    parameters: Parameters<'_>,
) -> Result<Condition, Refusal> {
    match name {
        "attribute_exists" | "attribute_not_exists" => {
            let [tested] = arguments(name, all, parameters)?;
            match (tested, name) {
                (Operand::Path(path), "attribute_exists") => Ok(Condition::AttributeExists(path)),
                (Operand::Path(path), _) => Ok(Condition::AttributeNotExists(path)),
                _ => Err(Refusal::unsupported(rules::path_required(name))),
            }
        }
        "begins_with" | "contains" | "attribute_type" => {
            let [tested, other] = arguments(name, all, parameters)?;
            if name == "begins_with" {
                rules::check_prefix(&tested, &other)?;
            }
            rules::check_distinct(name, &tested, std::slice::from_ref(&other))?;
            Ok(match name {
                "begins_with" => Condition::BeginsWith { operand: tested, prefix: other },
                "contains" => Condition::Contains { operand: tested, element: other },
                _ => {
                    let value_type = rules::type_argument(name, &other)?;
                    Condition::AttributeType { operand: tested, value_type }
                }
            })
        }
        "size" => Err(Refusal::unsupported(NO_BOOLEAN)),
        "list_append" | "if_not_exists" => Err(Refusal::unsupported(format!(
            "The function is not allowed in a condition expression; function: {name}"
        ))),
        _ => {
            operands(all, parameters)?;
            Err(unknown_function(expr, name))
        }
    }
}

/// A function that there is not, or none here.
pub(super) fn unknown_function(expr: &Expr, name: &str) -> Refusal {
    Refusal::unsupported(if keywords::is_aggregate(name) {
        format!("Unsupported token in expression: {name}{}", expr.span)
    } else {
        format!("Unrecognized function: {name}{}", expr.span)
    })
}
