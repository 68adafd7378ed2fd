//! Which table, or which index of it, a statement is about.

use super::Refusal;
use super::ast::{Expr, ExprKind, Step};

const NAME_BYTES: std::ops::RangeInclusive<usize> = 3..=255;

/// A table and, where a SELECT names one, its index.
pub(super) struct Source {
    pub(super) table: String,
    pub(super) index: Option<String>,
}

/// What stands in a FROM clause.
pub(super) fn source(expr: &Expr) -> Result<Source, Refusal> {
    let mut names = names(expr)?.into_iter();
    let table = names.next().unwrap_or_default();
    let index = names.next();
    if names.next().is_some() {
        return Err(Refusal::unsupported(
            "A path may contain at most 2 components in the FROM clause",
        ));
    }
    check_name(&table)?;
    index.as_deref().map_or(Ok(()), check_name)?;
    Ok(Source { table, index })
}

/// The table of an UPDATE or DELETE.
pub(super) fn written_table(expr: &Expr) -> Result<String, Refusal> {
    let source = source(expr)?;
    if source.index.is_some() {
        return Err(Refusal::unsupported("This operation is not supported on an index"));
    }
    Ok(source.table)
}

/// The table of an INSERT.
pub(super) fn inserted_table(expr: &Expr) -> Result<String, Refusal> {
    if names(expr)?.len() > 1 {
        return Err(Refusal::unsupported(
            "FROM clause may only contain a single table name in data manipulation statements",
        ));
    }
    Ok(source(expr)?.table)
}

fn names(expr: &Expr) -> Result<Vec<String>, Refusal> {
    let unexpected = || Refusal::unsupported("Unexpected from source");
    let (root, steps) = match &expr.kind {
        ExprKind::Identifier(name) => (name, [].as_slice()),
        ExprKind::Path(root, steps) => match &root.kind {
            ExprKind::Identifier(name) => (name, steps.as_slice()),
            _ => return Err(unexpected()),
        },
        _ => return Err(unexpected()),
    };
    let mut names = vec![root.clone()];
    for step in steps {
        match step {
            Step::Name(name) => names.push(name.clone()),
            Step::Index(_) | Step::Wildcard(_) => {
                return Err(Refusal::unsupported("Invalid list expression in source."));
            }
            Step::Unpivot(_) => return Err(unexpected()),
        }
    }
    if names.iter().any(String::is_empty) {
        return Err(Refusal::unsupported("Path component cannot be an empty string"));
    }
    Ok(names)
}

fn check_name(name: &str) -> Result<(), Refusal> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if name.starts_with("arn:") || (NAME_BYTES.contains(&name.len()) && name.bytes().all(allowed)) {
        return Ok(());
    }
    Err(Refusal::unsupported(
        "Table name should be within the length [3, 255] and only contain 'a-z', 'A-Z', '0-9', \
         '-', '_', '.'.",
    ))
}
