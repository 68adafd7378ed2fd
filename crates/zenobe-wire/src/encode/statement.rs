//! Responses of the operations on PartiQL statements.

use zenobe_model::error::Detail;
use zenobe_model::operation::{
    BatchExecuteStatementResponse, BatchStatementResponse, ExecuteStatementResponse,
};
use zenobe_model::{ErrorCode, ServiceError};

use super::{consumed_capacities, consumed_capacity, encoded_items};
use crate::write::{self, Object, array};

pub(super) fn execute(out: &mut Vec<u8>, response: &ExecuteStatementResponse) {
    let mut object = Object::open(out);
    consumed_capacity(&mut object, response.consumed_capacity.as_ref());
    encoded_items(object.member("Items"), &response.items);
    if let Some(key) = &response.last_evaluated_key {
        write::item(object.member("LastEvaluatedKey"), key);
    }
    if let Some(token) = &response.next_token {
        object.text("NextToken", token);
    }
    object.close();
}

pub(super) fn batch(out: &mut Vec<u8>, response: &BatchExecuteStatementResponse) {
    let mut object = Object::open(out);
    consumed_capacities(&mut object, response.consumed_capacity.as_deref());
    array(object.member("Responses"), &response.responses, batch_response);
    object.close();
}

fn batch_response(out: &mut Vec<u8>, response: &BatchStatementResponse) {
    let mut object = Object::open(out);
    if let Some(error) = &response.error {
        batch_error(object.member("Error"), error);
    }
    if let Some(item) = &response.item {
        write::encoded_item(object.member("Item"), item);
    }
    if let Some(name) = &response.table_name {
        object.text("TableName", name);
    }
    object.close();
}

fn batch_error(out: &mut Vec<u8>, error: &ServiceError) {
    let mut object = Object::open(out);
    object.text("Code", statement_error_code(error.code));
    if let Detail::Item(item) = &error.detail {
        write::encoded_item(object.member("Item"), item);
    }
    object.text("Message", &error.message);
    object.close();
}

/// How an error is called that does not fail the whole request: as in a transaction, but for one.
const fn statement_error_code(code: ErrorCode) -> &'static str {
    match code {
        ErrorCode::RequestLimitExceeded => "RequestLimitExceeded",
        other => other.reason_name(),
    }
}
