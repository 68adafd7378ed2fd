//! PartiQL for DynamoDB: from the text of a statement to what the operations execute.
//!
//! A statement is read in three steps. The [`lexer`] yields tokens with their places, the parser a
//! tree, and [`compile`] the forms that the expressions compile to: conditions, paths, updates and
//! items. So there is one evaluator and one executor. What depends on the key schema is apart, in
//! [`keys`]: which reads a condition comes down to, and which item a write names.
//!
//! The grammar is that of the PartiQL parser that the service uses, as far as the service accepts
//! what is parsed: what only the grammar knows is refused with the text of the service.
//!
//! Invariant: no text panics or recurses without bound; a tree is never deeper than
//! [`DEPTH_MAX`].
//!
//! Source: Developer Guide, "PartiQL: a SQL-compatible query language for Amazon DynamoDB", and the
//! texts that the service answers.

mod ast;
mod collection;
mod compile;
mod condition;
pub mod keys;
mod keywords;
mod lexer;
mod parser;
mod path;
mod source;
mod statements;
mod update;

pub use compile::{
    Column, Columns, CompiledStatement, Delete, Insert, Returning, Select, UpdateStatement,
    check_grammar, compile, reads,
};

use crate::error::ServiceError;

/// How deep the tree of a statement may be.
pub const DEPTH_MAX: usize = 64;

/// Why a statement is refused before any table is looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Refusal {
    /// It does not follow the grammar. The service's lexer gives no detail.
    Malformed(String),
    /// It follows the grammar, but is not supported or has no meaning.
    Unsupported(String),
}

impl Refusal {
    fn malformed(detail: impl Into<String>) -> Self {
        Self::Malformed(detail.into())
    }

    fn unsupported(message: impl Into<String>) -> Self {
        Self::Unsupported(message.into())
    }
}

impl From<String> for Refusal {
    fn from(message: String) -> Self {
        Self::Unsupported(message)
    }
}

impl From<Refusal> for ServiceError {
    fn from(refusal: Refusal) -> Self {
        Self::validation(match refusal {
            Refusal::Malformed(detail) => {
                format!("Statement wasn't well formed, can't be processed: {detail}")
            }
            Refusal::Unsupported(message) => message,
        })
    }
}
