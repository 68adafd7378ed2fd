//! Literals and parameters as attribute values.
//!
//! Lists, bags and tuples hold literals only: the service takes a parameter where a whole value may
//! stand, but not within one. Errors name the place within the value, as in `root.a[0]`.

use std::collections::BTreeSet;

use super::ast::{Expr, ExprKind};
use super::path::component;
use super::{Refusal, path};
use crate::limits::NESTING_DEPTH_MAX;
use crate::number::Number;
use crate::value::{AttributeValue, Item};

/// The parameters of a statement.
#[derive(Clone, Copy)]
pub(super) struct Parameters<'a>(pub(super) &'a [AttributeValue]);

/// A place within a value.
struct Place {
    text: String,
    /// The number of steps from the root.
    steps: usize,
}

impl Place {
    fn root() -> Self {
        Self { text: "root".to_owned(), steps: 0 }
    }

    fn below(&self, step: std::fmt::Arguments<'_>) -> Self {
        Self { text: format!("{}{step}", self.text), steps: self.steps + 1 }
    }
}

impl Parameters<'_> {
    /// The value that an expression is, if it is a literal, a collection or a parameter.
    pub(super) fn value(self, expr: &Expr) -> Result<Option<AttributeValue>, Refusal> {
        match &expr.kind {
            ExprKind::Parameter(ordinal) => match self.0.get(*ordinal) {
                Some(value) => Ok(Some(value.clone())),
                None => Err(Refusal::unsupported(
                    "Number of parameters in request and statement don't match.",
                )),
            },
            ExprKind::Text(_)
            | ExprKind::Number(_)
            | ExprKind::Boolean(_)
            | ExprKind::Null
            | ExprKind::Ion(_)
            | ExprKind::List(_)
            | ExprKind::Bag(_)
            | ExprKind::Tuple(_) => value(expr, &Place::root()).map(Some),
            _ => Ok(None),
        }
    }

    /// The item that an INSERT puts.
    pub(super) fn item(self, expr: &Expr) -> Result<Item, Refusal> {
        let ExprKind::Tuple(entries) = &expr.kind else {
            return Err(Refusal::unsupported(format!(
                "Unsupported format in item expression. Please use struct format {{...}} to \
                 express item values for insert statement.{}",
                expr.span
            )));
        };
        let mut item = Item::new();
        for (key, inner) in entries {
            let name = key_name(key, &Place::root())?;
            let value = match self.value(inner)? {
                Some(value) => value,
                None => return Err(unsupported(inner, &Place::root())),
            };
            if item.insert(name.clone(), value).is_some() {
                return Err(duplicate_key(&name, &Place::root(), key));
            }
        }
        Ok(item)
    }
}

fn value(expr: &Expr, place: &Place) -> Result<AttributeValue, Refusal> {
    if place.steps >= NESTING_DEPTH_MAX {
        return Err(Refusal::unsupported(format!(
            "Nesting Levels have exceeded supported limits under {}",
            place.text
        )));
    }
    Ok(match &expr.kind {
        ExprKind::Text(text) => AttributeValue::S(text.clone()),
        ExprKind::Number(text) => AttributeValue::N(number(text, place)?),
        ExprKind::Boolean(value) => AttributeValue::Bool(*value),
        ExprKind::Null => AttributeValue::Null,
        ExprKind::List(elements) => AttributeValue::L(
            elements
                .iter()
                .enumerate()
                .map(|(index, element)| value(element, &place.below(format_args!("[{index}]"))))
                .collect::<Result<_, Refusal>>()?,
        ),
        ExprKind::Tuple(entries) => AttributeValue::M(tuple(expr, entries, place)?),
        ExprKind::Bag(elements) => bag(elements, place)?,
        _ => return Err(unsupported(expr, place)),
    })
}

fn tuple(expr: &Expr, entries: &[(Expr, Expr)], place: &Place) -> Result<Item, Refusal> {
    let mut map = Item::new();
    for (key, inner) in entries {
        let name = key_name(key, place)?;
        let value = value(inner, &place.below(format_args!(".{name}")))?;
        if map.insert(name.clone(), value).is_some() {
            return Err(duplicate_key(&name, place, expr));
        }
    }
    Ok(map)
}

fn key_name(key: &Expr, place: &Place) -> Result<String, Refusal> {
    match &key.kind {
        ExprKind::Text(name) => component(name),
        _ => Err(Refusal::unsupported(format!(
            "Tuple keys must be of type String. Actual type: {} under {}{}",
            kind_name(key, place),
            place.text,
            key.span
        ))),
    }
}

fn duplicate_key(name: &str, place: &Place, at: &Expr) -> Refusal {
    Refusal::unsupported(format!(
        "Duplicate keys in tuple. Key: {name} under {}{}",
        place.text, at.span
    ))
}

/// A bag is a set of strings or of numbers.
fn bag(elements: &[Expr], place: &Place) -> Result<AttributeValue, Refusal> {
    const UNSUPPORTED: &str =
        "Unsupported data type in Bag. DynamoDB only supports either numbers or strings in bags";
    let mut texts = Vec::new();
    let mut numbers = Vec::new();
    let mut written = Vec::new();
    for element in elements {
        match &element.kind {
            ExprKind::Text(text) => {
                written.push(text.as_str());
                texts.push(text.clone());
            }
            ExprKind::Number(text) => {
                written.push(text.as_str());
                numbers.push(number(text, place)?);
            }
            _ => return Err(Refusal::unsupported(format!("{UNSUPPORTED}{}", element.span))),
        }
    }
    let duplicates = |distinct: usize, end: String| {
        if distinct == written.len() {
            return Ok(());
        }
        Err(Refusal::unsupported(format!(
            "One or more parameter values were invalid: Input collection [{}] contains \
             duplicates{end}",
            written.join(", ")
        )))
    };
    match (texts.is_empty(), numbers.is_empty()) {
        (true, true) => Err(Refusal::unsupported("Empty bags are not supported")),
        (false, false) => Err(Refusal::unsupported(UNSUPPORTED)),
        (false, true) => {
            let set: BTreeSet<String> = texts.into_iter().collect();
            duplicates(set.len(), ".".to_owned())?;
            Ok(AttributeValue::Ss(set.into_iter().collect()))
        }
        (true, false) => {
            let set: BTreeSet<Number> = numbers.into_iter().collect();
            duplicates(set.len(), format!("! under {}", place.text))?;
            Ok(AttributeValue::Ns(set.into_iter().collect()))
        }
    }
}

fn number(text: &str, place: &Place) -> Result<Number, Refusal> {
    Number::parse(text).map_err(|error| {
        Refusal::unsupported(format!("{} under {}", error.message(text), place.text))
    })
}

/// What cannot be a value, or part of one.
fn unsupported(expr: &Expr, place: &Place) -> Refusal {
    if let ExprKind::Ion(name) = expr.kind {
        return Refusal::unsupported(format!(
            "Ion Literals are not supported: {name} under key {}{}",
            place.text, expr.span
        ));
    }
    // The service's tree has no place for a path.
    let span = match expr.kind {
        ExprKind::Path(..) => String::new(),
        _ => expr.span.to_string(),
    };
    Refusal::unsupported(format!(
        "Unsupported data type: {} under key {}{span}",
        kind_name(expr, place),
        place.text
    ))
}

/// What the service calls an expression that is no value.
fn kind_name(expr: &Expr, place: &Place) -> String {
    let name = match &expr.kind {
        ExprKind::Call(name, _) => return name.clone(),
        ExprKind::Sign(operator) | ExprKind::Binary(operator, ..) => operator,
        ExprKind::Identifier(_) => "VariableReference",
        ExprKind::Path(..) => "Path",
        ExprKind::Parameter(_) => "Parameter",
        ExprKind::Missing if place.steps == 0 => "MISSING",
        ExprKind::Missing => "LiteralMissing",
        ExprKind::And(_) => "and",
        ExprKind::Or(_) => "or",
        ExprKind::Not(_) => "not",
        ExprKind::Between(_) => "between",
        ExprKind::In(..) => "in",
        ExprKind::Is(..) => "is",
        ExprKind::Statement(_) => "Select",
        ExprKind::Text(_) => "STRING",
        ExprKind::Number(text) if text.contains(['.', 'e', 'E']) => "DECIMAL",
        ExprKind::Number(_) => "INT",
        ExprKind::Boolean(_) => "BOOL",
        ExprKind::Null => "NULL",
        ExprKind::Ion(name) => name,
        ExprKind::List(_) | ExprKind::Bag(_) => "Seq",
        ExprKind::Tuple(_) => "Struct",
    };
    name.to_owned()
}

/// The set that the second argument of `set_add` or `set_delete` is.
pub(super) fn set(
    parameters: Parameters<'_>,
    expr: &Expr,
) -> Result<Option<AttributeValue>, Refusal> {
    let value = parameters.value(expr)?;
    Ok(value.filter(|value| {
        matches!(value, AttributeValue::Ss(_) | AttributeValue::Ns(_) | AttributeValue::Bs(_))
    }))
}

/// A path, or nothing if the expression is none.
pub(super) fn path_of(expr: &Expr) -> Result<Option<crate::expression::Path>, Refusal> {
    match expr.kind {
        ExprKind::Identifier(_) | ExprKind::Path(..) => path::document_path(expr).map(Some),
        _ => Ok(None),
    }
}
