//! The shapes of the operations on PartiQL statements.

use super::{CONSISTENT_READ, INTEGER_MAX, MAX, RETURN_CAPACITY, RETURN_ON_FAILURE};
use crate::shape::{Member, Rule, Shape, StructureShape, optional, required};

/// A statement is counted in characters, as strings are everywhere.
const STATEMENT: Member =
    required("Statement", Shape::Text(&[Rule::MinLength(1), Rule::MaxLength(8192)]));
const PARAMETERS: Member = optional("Parameters", Shape::List(&Shape::Value, 1, MAX));

pub(super) const EXECUTE_STATEMENT: StructureShape = StructureShape {
    name: "ExecuteStatementInput",
    members: &[
        STATEMENT,
        PARAMETERS,
        CONSISTENT_READ,
        optional("NextToken", Shape::Text(&[Rule::MinLength(1), Rule::MaxLength(32768)])),
        RETURN_CAPACITY,
        optional("Limit", Shape::Integer(1, INTEGER_MAX)),
        RETURN_ON_FAILURE,
    ],
};

pub(super) const EXECUTE_TRANSACTION: StructureShape = StructureShape {
    name: "ExecuteTransactionInput",
    members: &[
        required(
            "TransactStatements",
            Shape::List(
                &Shape::Structure(&StructureShape {
                    name: "ParameterizedStatement",
                    members: &[STATEMENT, PARAMETERS, RETURN_ON_FAILURE],
                }),
                1,
                100,
            ),
        ),
        optional("ClientRequestToken", Shape::Text(&[Rule::MinLength(1), Rule::MaxLength(36)])),
        RETURN_CAPACITY,
    ],
};

pub(super) const BATCH_EXECUTE_STATEMENT: StructureShape = StructureShape {
    name: "BatchExecuteStatementInput",
    members: &[
        required(
            "Statements",
            Shape::List(
                &Shape::Structure(&StructureShape {
                    name: "BatchStatementRequest",
                    members: &[STATEMENT, PARAMETERS, CONSISTENT_READ, RETURN_ON_FAILURE],
                }),
                1,
                25,
            ),
        ),
        RETURN_CAPACITY,
    ],
};
