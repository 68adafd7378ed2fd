//! From texts to compiled expressions.

use super::condition::Condition;
use super::key_condition::KeyConditionExpression;
use super::projection::Projection;
use super::update::Update;
use crate::error::ServiceError;
use crate::operation::{ExpressionAttributeNames, ExpressionAttributeValues};

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
}

/// Compiles the expressions of one request and remembers which names and values they used.
#[derive(Debug)]
pub struct Compiler<'a> {
    names: Option<&'a ExpressionAttributeNames>,
    values: Option<&'a ExpressionAttributeValues>,
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
        Ok(Self { names, values })
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
        let _ = (kind, text);
        Err(ServiceError::internal())
    }

    /// Compiles an `UpdateExpression`.
    ///
    /// # Errors
    /// A `ValidationException` that names the parameter.
    pub fn update(&mut self, text: &'a str) -> Result<Update, ServiceError> {
        let _ = text;
        Err(ServiceError::internal())
    }

    /// Compiles a `ProjectionExpression`.
    ///
    /// # Errors
    /// A `ValidationException` that names the parameter.
    pub fn projection(&mut self, text: &'a str) -> Result<Projection, ServiceError> {
        let _ = text;
        Err(ServiceError::internal())
    }

    /// Compiles a `KeyConditionExpression`.
    ///
    /// # Errors
    /// A `ValidationException` that names the parameter.
    pub fn key_condition(&mut self, text: &'a str) -> Result<KeyConditionExpression, ServiceError> {
        let _ = text;
        Err(ServiceError::internal())
    }

    /// Ends the compilation.
    ///
    /// # Errors
    /// A `ValidationException` if a name, or else a value, was not used by any expression.
    pub fn finish(self) -> Result<(), ServiceError> {
        let _ = (self.names, self.values);
        Ok(())
    }
}
