//! From the grammar's paths to document paths.

use super::Refusal;
use super::ast::{Expr, ExprKind, Step};
use crate::expression::{Path, PathElement};
use crate::limits::NESTING_DEPTH_MAX;

/// The document path that an expression is.
pub(super) fn document_path(expr: &Expr) -> Result<Path, Refusal> {
    match &expr.kind {
        ExprKind::Identifier(name) => Ok(Path::attribute(component(name)?)),
        ExprKind::Path(root, steps) => {
            let ExprKind::Identifier(name) = &root.kind else { return Err(unexpected(root)) };
            let root = component(name)?;
            let elements = steps.iter().map(element).collect::<Result<Vec<_>, Refusal>>()?;
            let levels = elements.len() + 1;
            if levels > NESTING_DEPTH_MAX {
                return Err(Refusal::unsupported(format!(
                    "The document path has too many nesting levels; nesting levels: {levels}"
                )));
            }
            Ok(Path { root, elements })
        }
        _ => Err(unexpected(expr)),
    }
}

fn unexpected(expr: &Expr) -> Refusal {
    Refusal::unsupported(format!("Unexpected path component{}", expr.span))
}

/// A name in a path or a tuple, which may not be empty.
pub(super) fn component(name: &str) -> Result<String, Refusal> {
    if name.is_empty() {
        return Err(Refusal::unsupported("Path component cannot be an empty string"));
    }
    Ok(name.to_owned())
}

fn element(step: &Step) -> Result<PathElement, Refusal> {
    match step {
        Step::Name(name) => component(name).map(PathElement::Attribute),
        Step::Index(expr) => match &expr.kind {
            ExprKind::Text(name) => component(name).map(PathElement::Attribute),
            ExprKind::Number(text) => index(text, expr).map(PathElement::Index),
            _ => Err(unexpected(expr)),
        },
        Step::Unpivot(span) => Err(Refusal::unsupported(format!(
            "Unpivot path component like a.*.b are not supported{span}"
        ))),
        Step::Wildcard(span) => Err(Refusal::unsupported(format!(
            "Wildcard path component like a[*].b are not supported{span}"
        ))),
    }
}

/// An index of a list: an integer of 31 bits. Minus zero is zero.
fn index(text: &str, expr: &Expr) -> Result<usize, Refusal> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    if digits.bytes().any(|byte| !byte.is_ascii_digit()) {
        return Err(unexpected(expr));
    }
    let value: Option<i32> = text.parse().ok();
    value.and_then(|value| usize::try_from(value).ok()).ok_or_else(|| {
        Refusal::unsupported(format!(
            "List index is not within the allowable range; index: [{text}]{}",
            expr.span
        ))
    })
}

/// The name under which a selected path is answered: its last name with the indexes behind it.
pub(super) fn column_name(path: &Path) -> String {
    let last_name = path
        .elements
        .iter()
        .rposition(|element| matches!(element, PathElement::Attribute(_)))
        .map_or(0, |position| position + 1);
    let mut name = match last_name.checked_sub(1).and_then(|last| path.elements.get(last)) {
        Some(PathElement::Attribute(name)) => name.clone(),
        _ => path.root.clone(),
    };
    for element in path.elements.iter().skip(last_name) {
        if let PathElement::Index(index) = element {
            name.push_str(&format!("[{index}]"));
        }
    }
    name
}
