//! The expression language: conditions, filters, key conditions, projections and updates.
//!
//! A text is read in two steps. The syntax step turns it into a tree of borrowed tokens, or into
//! DynamoDB's syntax error. The check step resolves `#names` and `:values` and reports what is
//! wrong in DynamoDB's order of precedence, or yields the compiled form: [`Condition`],
//! [`Projection`], [`Update`] or [`KeyConditionExpression`]. The compiled forms are public, so that
//! the legacy parameters compile to the same ones and there is one executor.
//!
//! Invariant: no text, however built, panics or recurses without bound; evaluation decodes only the
//! attributes that an expression names.
//!
//! Deliberately elsewhere: the order of checks between the parameters of an operation
//! ([`crate::compile`]) and every check that needs the whole table ([`Condition::mentions`] and
//! [`Update::touches`] answer what those need to know).
//!
//! Source: Developer Guide, "Using expressions in DynamoDB" and "Reserved words".

mod compiler;
mod condition;
mod key_condition;
mod lexer;
mod path;
mod projection;
mod reserved;
mod resolve;
pub(crate) mod rules;
mod syntax;
mod update;
mod words;

pub use compiler::sort_as_hash_set;
pub use compiler::{Compiler, ExpressionKind, name_fault};
pub use condition::{Comparison, Condition, Literal, Operand};
pub(crate) use key_condition::Given;
pub use key_condition::{
    BoundKeyCondition, KeyConditionExpression, KeyPredicate, KeySchemaRef, SortCondition,
};
pub use path::{Path, PathElement};
pub use projection::Projection;
pub use update::{Action, Update, UpdateOperand, UpdateValue, too_large};
