//! SET and REMOVE: from the tree to [`Update`].

use super::Refusal;
use super::ast::{ActionNode, Expr, ExprKind};
use super::collection::{self, Parameters, path_of};
use super::condition::{MISSING, unknown_function};
use super::path::document_path;
use crate::expression::{Action, Literal, Path, Update, UpdateOperand, UpdateValue, rules};
use crate::value::ValueType;

/// The paths that a statement's actions change, no two of which touch each other.
pub(super) fn paths(actions: &[ActionNode]) -> Result<Vec<Path>, Refusal> {
    let mut paths: Vec<Path> = Vec::with_capacity(actions.len());
    for node in actions {
        let (ActionNode::Set(target, _) | ActionNode::Remove(target)) = node;
        let path = document_path(target)?;
        for other in &paths {
            rules::check_apart(&path, other)?;
        }
        paths.push(path);
    }
    Ok(paths)
}

/// The update that a statement's actions are.
pub(super) fn update(
    actions: &[ActionNode],
    paths: Vec<Path>,
    parameters: Parameters<'_>,
) -> Result<Update, Refusal> {
    let pairs = actions.iter().zip(paths);
    let compiled = pairs.map(|(node, path)| action(node, path, parameters));
    compiled.collect::<Result<_, Refusal>>().map(Update::new)
}

fn action(node: &ActionNode, path: Path, parameters: Parameters<'_>) -> Result<Action, Refusal> {
    let expr = match node {
        ActionNode::Remove(_) => return Ok(Action::Remove { path }),
        ActionNode::Set(_, expr) => expr,
    };
    match &expr.kind {
        ExprKind::Call(name, arguments) if name == "set_add" || name == "set_delete" => {
            set_function(expr, name, arguments, path, parameters)
        }
        _ => Ok(Action::Set { value: value(expr, parameters)?, path }),
    }
}

/// `SET path = set_add(path, set)`
fn set_function(
    expr: &Expr,
    name: &str,
    arguments: &[Expr],
    path: Path,
    parameters: Parameters<'_>,
) -> Result<Action, Refusal> {
    let upper = name.to_ascii_uppercase();
    let [first, second] = arguments else {
        return Err(Refusal::unsupported(format!(
            "{upper} must have exactly two arguments{}",
            expr.span
        )));
    };
    if path_of(first)?.as_ref() != Some(&path) {
        return Err(Refusal::unsupported(format!(
            "The first argument to {upper} must equal the assignment value{}",
            expr.span
        )));
    }
    let Some(set) = collection::set(parameters, second)? else {
        return Err(Refusal::unsupported(format!(
            "The second argument to {upper} must be a value with type SET{}",
            first.span
        )));
    };
    let value = Literal::from(set);
    Ok(if name == "set_add" { Action::Add { path, value } } else { Action::Delete { path, value } })
}

fn value(expr: &Expr, parameters: Parameters<'_>) -> Result<UpdateValue, Refusal> {
    let ExprKind::Binary(symbol @ ("+" | "-"), left, right) = &expr.kind else {
        return operand(expr, parameters).map(UpdateValue::Operand);
    };
    let (left, right) = (operand(left, parameters)?, operand(right, parameters)?);
    rules::check_literals(symbol, ValueType::N, &[&left, &right])?;
    Ok(if *symbol == "+" {
        UpdateValue::Plus(left, right)
    } else {
        UpdateValue::Minus(left, right)
    })
}

fn operand(expr: &Expr, parameters: Parameters<'_>) -> Result<UpdateOperand, Refusal> {
    if let Some(value) = parameters.value(expr)? {
        return Ok(UpdateOperand::Literal(Literal::from(value)));
    }
    if let Some(path) = path_of(expr)? {
        return Ok(UpdateOperand::Path(path));
    }
    let symbol = match &expr.kind {
        ExprKind::Call(name, arguments) => return function(expr, name, arguments, parameters),
        ExprKind::Binary("+" | "-", ..) => {
            return Ok(UpdateOperand::Computed(Box::new(value(expr, parameters)?)));
        }
        ExprKind::Sign(symbol) => {
            return Err(Refusal::unsupported(rules::incorrect_count(symbol, 1)));
        }
        ExprKind::Statement(_) => {
            return Err(Refusal::unsupported(format!(
                "Unsupported token in expression: SELECT{}",
                expr.span
            )));
        }
        ExprKind::Binary(symbol, ..) => symbol,
        ExprKind::And(_) => "and",
        ExprKind::Or(_) => "or",
        ExprKind::Not(_) => "not",
        ExprKind::Between(_) => "between",
        ExprKind::In(..) => "in",
        ExprKind::Is(..) => {
            return Err(Refusal::unsupported("IS operator is not supported in update expressions"));
        }
        _ => return Err(Refusal::unsupported(MISSING)),
    };
    Err(Refusal::unsupported(format!(
        "Unsupported operator in Update Expression. Operator: {symbol}"
    )))
}

fn function(
    expr: &Expr,
    name: &str,
    arguments: &[Expr],
    parameters: Parameters<'_>,
) -> Result<UpdateOperand, Refusal> {
    match name {
        "list_append" | "if_not_exists" => {}
        "begins_with"
        | "contains"
        | "attribute_type"
        | "attribute_exists"
        | "attribute_not_exists"
        | "size" => {
            return Err(Refusal::unsupported(format!(
                "The function is not allowed in an update expression; function: {name}"
            )));
        }
        _ => return Err(unknown_function(expr, name)),
    }
    let operands =
        arguments.iter().map(|expr| operand(expr, parameters)).collect::<Result<Vec<_>, _>>()?;
    let count = operands.len();
    let [first, second]: [UpdateOperand; 2] = operands
        .try_into()
        .map_err(|_| Refusal::unsupported(rules::incorrect_count(name, count)))?;
    if name == "list_append" {
        rules::check_literals(name, ValueType::L, &[&first, &second])?;
        return Ok(UpdateOperand::ListAppend(Box::new(first), Box::new(second)));
    }
    match first {
        UpdateOperand::Path(path) => {
            rules::check_stand_in(name, &path, &second)?;
            Ok(UpdateOperand::IfNotExists(path, Box::new(second)))
        }
        _ => Err(Refusal::unsupported(rules::path_required(name))),
    }
}
