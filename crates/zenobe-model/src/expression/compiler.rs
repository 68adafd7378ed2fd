//! From texts to compiled expressions: the order of checks and their texts.
//!
//! Every kind of expression goes through the same stages, and the first stage that finds something
//! wrong reports it:
//!
//! 1. the text is neither empty nor too long, parses, and has no redundant parentheses;
//! 2. in the order of the text: functions are known and stand where they may, words are not
//!    reserved, indexes are in range;
//! 3. (updates) no section comes twice;
//! 4. names and values are defined, operands fit in number and type. Conditions are read from the
//!    left; updates and projections resolve their paths from the right and check that they are
//!    apart, and then the operands of updates are looked at, from the right too;
//! 5. (conditions and updates) there are not too many operators and functions.
//!
//! Source: observed; Developer Guide, "Expression limits".

use super::condition::Condition;
use super::key_condition::{KeyConditionExpression, from_condition};
use super::lexer::{TokenKind, is_placeholder};
use super::projection::Projection;
use super::resolve::Checker;
use super::syntax::{self, SyntaxError, ValueNode};
use super::update::Update;
use super::words::{Place, check_condition_words, check_path_words, check_update_words};
use crate::error::ServiceError;
use crate::limits::{ATTRIBUTE_NAME_BYTES_MAX, EXPRESSION_BYTES_MAX, EXPRESSION_OPERATORS_MAX};
use crate::operation::{ExpressionAttributeNames, ExpressionAttributeValues};

/// The longest key of `ExpressionAttributeNames` and `ExpressionAttributeValues`, in bytes.
const PLACEHOLDER_BYTES_MAX: usize = 255;

/// The parameters that hold expressions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExpressionKind {
    /// `ConditionExpression`
    Condition,
    /// `FilterExpression`
    Filter,
    /// `KeyConditionExpression`
    KeyCondition,
    /// `ProjectionExpression`
    Projection,
    /// `UpdateExpression`
    Update,
}

impl ExpressionKind {
    /// The name of the parameter, as error texts have it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Condition => "ConditionExpression",
            Self::Filter => "FilterExpression",
            Self::KeyCondition => "KeyConditionExpression",
            Self::Projection => "ProjectionExpression",
            Self::Update => "UpdateExpression",
        }
    }

    /// An error of an expression of this kind.
    pub(super) fn invalid(self, message: impl std::fmt::Display) -> ServiceError {
        ServiceError::validation(format!("Invalid {}: {message}", self.name()))
    }

    fn syntax_error(self, error: SyntaxError) -> ServiceError {
        match error {
            SyntaxError::Token { token, near } => {
                self.invalid(format_args!("Syntax error; token: \"{token}\", near: \"{near}\""))
            }
            SyntaxError::RedundantParentheses => {
                self.invalid("The expression has redundant parentheses;")
            }
        }
    }

    pub(super) fn too_many_operators(self) -> ServiceError {
        self.invalid(format_args!(
            "The expression contains too many operators; operator count: {}",
            EXPRESSION_OPERATORS_MAX + 1
        ))
    }

    fn check_text(self, text: &str) -> Result<(), ServiceError> {
        if text.is_empty() {
            return Err(self.invalid("The expression can not be empty;"));
        }
        if text.len() > EXPRESSION_BYTES_MAX {
            let message = "Expression size has exceeded the maximum allowed size;";
            return Err(match self {
                Self::Condition | Self::Filter => {
                    self.invalid(format_args!("{message} expression size: {}", text.len()))
                }
                Self::KeyCondition | Self::Projection | Self::Update => self.invalid(message),
            });
        }
        Ok(())
    }
}

/// What is wrong with the name of an attribute, or of a member of a map.
#[must_use]
pub const fn name_fault(name: &str) -> Option<&'static str> {
    match name.len() {
        0 => Some("Empty attribute name"),
        1..=ATTRIBUTE_NAME_BYTES_MAX => None,
        _ => Some("Attribute name is too large, must be less than 65536 bytes"),
    }
}

/// Compiles the expressions of one request and remembers which names and values they used.
#[derive(Debug)]
pub struct Compiler<'a> {
    pub(super) names: Option<&'a ExpressionAttributeNames>,
    pub(super) values: Option<&'a ExpressionAttributeValues>,
    /// With repetitions.
    pub(super) used_names: Vec<&'a str>,
    pub(super) used_values: Vec<&'a str>,
}

impl<'a> Compiler<'a> {
    /// A compiler for a request with these names and values.
    ///
    /// # Errors
    /// A `ValidationException` if the maps are empty or have invalid keys or values.
    pub fn new(
        names: Option<&'a ExpressionAttributeNames>,
        values: Option<&'a ExpressionAttributeValues>,
    ) -> Result<Self, ServiceError> {
        if let Some(names) = names {
            check_keys("ExpressionAttributeNames", names.keys(), TokenKind::Name)?;
            for (key, name) in names {
                let Some(problem) = name_fault(name) else { continue };
                return Err(ServiceError::validation(format!(
                    "ExpressionAttributeNames contains invalid value: {problem} for key {key}"
                )));
            }
        }
        if let Some(values) = values {
            check_keys("ExpressionAttributeValues", values.keys(), TokenKind::Value)?;
            // What is wrong with a value, and whether that names the key, is worded where it is
            // read: it depends on the operation.
            if let Some(error) = values.values().find_map(|value| value.as_ref().err()) {
                return Err(ServiceError::clone(error));
            }
        }
        Ok(Self { names, values, used_names: Vec::new(), used_values: Vec::new() })
    }

    /// Compiles a condition or a filter.
    ///
    /// # Errors
    /// A `ValidationException` that names the parameter.
    pub fn condition(
        &mut self,
        kind: ExpressionKind,
        text: &'a str,
    ) -> Result<Condition, ServiceError> {
        kind.check_text(text)?;
        let parsed = syntax::condition(text).map_err(|error| kind.syntax_error(error))?;
        // Each of these parentheses needs an operator of its own. Checked here, because what
        // follows recurses.
        if parsed.depth > EXPRESSION_OPERATORS_MAX {
            return Err(kind.too_many_operators());
        }
        check_condition_words(kind, &parsed.tree, Place::Condition)?;
        let mut checker = Checker { compiler: self, kind, operators: 0 };
        let condition = checker.condition(parsed.tree)?;
        checker.check_operators()?;
        Ok(condition)
    }

    /// Compiles an `UpdateExpression`.
    ///
    /// # Errors
    /// A `ValidationException` that names the parameter.
    pub fn update(&mut self, text: &'a str) -> Result<Update, ServiceError> {
        let kind = ExpressionKind::Update;
        kind.check_text(text)?;
        let parsed = syntax::update(text).map_err(|error| kind.syntax_error(error))?;
        for action in &parsed.tree.actions {
            check_path_words(kind, &action.path)?;
            match &action.value {
                Some(ValueNode::Operand(node)) => check_update_words(node, Place::Value)?,
                Some(ValueNode::Plus(left, right) | ValueNode::Minus(left, right)) => {
                    check_update_words(left, Place::Operand)?;
                    check_update_words(right, Place::Operand)?;
                }
                None => {}
            }
        }
        if let Some(section) = parsed.tree.repeated {
            return Err(kind.invalid(format_args!(
                "The \"{}\" section can only be used once in an update expression;",
                section.name()
            )));
        }
        let mut checker = Checker { compiler: self, kind, operators: 0 };
        let update = checker.update(parsed.tree.actions)?;
        checker.check_operators()?;
        Ok(update)
    }

    /// Compiles a `ProjectionExpression`.
    ///
    /// # Errors
    /// A `ValidationException` that names the parameter.
    pub fn projection(&mut self, text: &'a str) -> Result<Projection, ServiceError> {
        let kind = ExpressionKind::Projection;
        kind.check_text(text)?;
        let parsed = syntax::projection(text).map_err(|error| kind.syntax_error(error))?;
        for path in &parsed.tree {
            check_path_words(kind, path)?;
        }
        let mut checker = Checker { compiler: self, kind, operators: 0 };
        Ok(Projection::new(checker.paths_apart(parsed.tree.iter())?))
    }

    /// Compiles a `KeyConditionExpression`.
    ///
    /// # Errors
    /// A `ValidationException` that names the parameter.
    pub fn key_condition(&mut self, text: &'a str) -> Result<KeyConditionExpression, ServiceError> {
        from_condition(&self.condition(ExpressionKind::KeyCondition, text)?)
    }

    /// Ends the compilation.
    ///
    /// # Errors
    /// A `ValidationException` if a name, or else a value, was not used by any expression.
    pub fn finish(self) -> Result<(), ServiceError> {
        if let Some(names) = self.names {
            check_used("ExpressionAttributeNames", names.keys(), self.used_names)?;
        }
        if let Some(values) = self.values {
            check_used("ExpressionAttributeValues", values.keys(), self.used_values)?;
        }
        Ok(())
    }
}

fn check_keys<'k>(
    parameter: &str,
    keys: impl ExactSizeIterator<Item = &'k String>,
    kind: TokenKind,
) -> Result<(), ServiceError> {
    if keys.len() == 0 {
        return Err(ServiceError::validation(format!("{parameter} must not be empty")));
    }
    for key in keys {
        let problem = if key.is_empty() {
            "The expression attribute map contains an empty key;".to_owned()
        } else if key.len() > PLACEHOLDER_BYTES_MAX {
            format!(
                "The expression attribute map contains a key that is too long; size of key: {}",
                key.len()
            )
        } else if is_placeholder(key, kind) {
            continue;
        } else {
            format!("Syntax error; key: \"{key}\"")
        };
        return Err(ServiceError::validation(format!(
            "{parameter} contains invalid key: {problem}"
        )));
    }
    Ok(())
}

fn check_used<'k>(
    parameter: &str,
    keys: impl Iterator<Item = &'k String>,
    mut used: Vec<&str>,
) -> Result<(), ServiceError> {
    used.sort_unstable();
    let mut unused: Vec<&str> =
        keys.map(String::as_str).filter(|key| used.binary_search(key).is_err()).collect();
    if unused.is_empty() {
        return Ok(());
    }
    sort_as_hash_set(&mut unused);
    Err(ServiceError::validation(format!(
        "Value provided in {parameter} unused in expressions: keys: {{{}}}",
        unused.join(", ")
    )))
}

/// Puts distinct names into the order in which the service lists a set of them: that of a Java
/// `HashSet`.
pub fn sort_as_hash_set(keys: &mut [&str]) {
    let buckets = (keys.len() * 4).div_ceil(3).next_power_of_two().max(16);
    keys.sort_by_key(|key| {
        let hash = key
            .encode_utf16()
            .fold(0u32, |hash, unit| hash.wrapping_mul(31).wrapping_add(u32::from(unit)));
        (hash ^ (hash >> 16)) as usize & (buckets - 1)
    });
}
