//! GetItem, PutItem, UpdateItem and DeleteItem.

use zenobe_model::capacity::HalfUnits;
use zenobe_model::compile::{self, WriteAnswer};
use zenobe_model::expression::{Condition, Projection, Update, too_large};
use zenobe_model::operation::{
    DeleteItemRequest, GetItemRequest, GetItemResponse, PutItemRequest,
    ReturnItemCollectionMetrics, ReturnValues, ReturnValuesOnConditionCheckFailure,
    UpdateItemRequest, WriteItemResponse,
};
use zenobe_model::{EncodedItem, ServiceError};
use zenobe_storage::RowPlace;

use super::capacity;
use crate::catalog::Table;
use crate::fault::Fault;
use crate::key::{IndexKeyOrigin, ItemKeyWords};
use crate::read::{self, Source};
use crate::write::{self, Change, ItemWrite, Written};
use crate::{Inner, key};

/// GetItem.
///
/// # Errors
/// The service's errors.
pub(crate) async fn get_item(
    db: &Inner,
    request: GetItemRequest,
) -> Result<GetItemResponse, ServiceError> {
    let get = compile::get_item(request)?;
    let table = db.catalog.table(&get.table_name)?;
    let place = key::place_of_key(&table, &get.key)?;
    key::check_paths(&table, get.projection.iter().flat_map(Projection::paths))?;
    let row = read::row(db, key::item_key(&table, place), get.consistent_read).await?;
    let decode = if get.projection.is_some() { write::decode } else { write::decode_to_pass_on };
    let item = row.map(|row| decode(row.value)).transpose()?;
    let size = item.as_ref().map_or(0, EncodedItem::size_bytes);
    let item = match (&get.projection, item) {
        (Some(projection), Some(item)) => Some(projection.project(&item)?),
        (_, item) => item,
    };
    let units = HalfUnits::read(size, get.consistent_read);
    Ok(GetItemResponse {
        item,
        consumed_capacity: capacity::of_read(
            &table,
            Source::Table,
            units,
            HalfUnits(0),
            get.return_consumed_capacity,
        ),
    })
}

/// PutItem.
///
/// # Errors
/// The service's errors.
pub(crate) async fn put_item(
    db: &Inner,
    request: PutItemRequest,
) -> Result<WriteItemResponse, ServiceError> {
    let put = compile::put_item(request).map_err(enveloped)?;
    let table = db.catalog.table(&put.table_name)?;
    let place = place_of_new(&table, &put.item, ItemKeyWords::Named)?;
    check_condition_paths(&table, put.condition.as_ref())?;
    let write = ItemWrite {
        condition: put.condition,
        return_item_on_failure: wants_item(&put.answer),
        answers_old: answers_old(&put.answer),
        ..ItemWrite::new(table, place, Change::Put(put.item.into()))
    };
    single(db, write, &put.answer).await
}

/// DeleteItem.
///
/// # Errors
/// The service's errors.
pub(crate) async fn delete_item(
    db: &Inner,
    request: DeleteItemRequest,
) -> Result<WriteItemResponse, ServiceError> {
    let delete = compile::delete_item(request).map_err(enveloped)?;
    let table = db.catalog.table(&delete.table_name)?;
    let place = key::place_of_key(&table, &delete.key)?;
    check_condition_paths(&table, delete.condition.as_ref())?;
    let write = ItemWrite {
        condition: delete.condition,
        return_item_on_failure: wants_item(&delete.answer),
        answers_old: answers_old(&delete.answer),
        ..ItemWrite::new(table, place, Change::Delete { key: delete.key })
    };
    single(db, write, &delete.answer).await
}

/// UpdateItem.
///
/// # Errors
/// The service's errors.
pub(crate) async fn update_item(
    db: &Inner,
    request: UpdateItemRequest,
) -> Result<WriteItemResponse, ServiceError> {
    let has_expression = request.update_expression.is_some();
    let update = compile::update_item(request).map_err(enveloped)?;
    let table = db.catalog.table(&update.table_name)?;
    let place = key::place_of_key(&table, &update.key)?;
    check_condition_paths(&table, update.condition.as_ref())?;
    check_update(&table, update.update.as_ref())?;
    if has_expression && update.update.as_ref().is_some_and(Update::is_overcharged) {
        return Err(too_large());
    }
    let write = ItemWrite {
        condition: update.condition,
        return_item_on_failure: wants_item(&update.answer),
        ..ItemWrite::new(table, place, Change::Update { key: update.key, update: update.update })
    };
    single(db, write, &update.answer).await
}

/// The place of an item to put, after checking all of its keys: those of the table, then those of
/// the indexes.
///
/// # Errors
/// The service's errors for keys that are missing or do not fit.
pub(crate) fn place_of_new(
    table: &Table,
    item: &EncodedItem,
    words: ItemKeyWords,
) -> Result<RowPlace, Fault> {
    let place = key::place_of_item(table, item, words)?;
    key::check_index_keys(table, IndexKeyOrigin::Item, |name| key::of_encoded(item, name))?;
    Ok(place)
}

/// Checks that an update leaves the key alone, gives index keys nothing of another type, and neither changes nor reads
/// anything in a key attribute.
///
/// # Errors
/// The service's errors, naming the attribute.
pub(crate) fn check_update(table: &Table, update: Option<&Update>) -> Result<(), Fault> {
    let Some(update) = update else { return Ok(()) };
    if let Some(name) = table.key.attributes().find(|attribute| update.touches(&attribute.name)) {
        return Err(ServiceError::validation(format!(
            "One or more parameter values were invalid: Cannot update attribute {}. This attribute is part of the key",
            name.name
        ))
        .into());
    }
    key::check_index_key_types(table, |name| update.type_given_to(name))?;
    key::check_paths(table, update.mentioned_paths())
}

/// Checks that a condition goes into no key attribute.
///
/// # Errors
/// The service's error, naming the attribute.
pub(crate) fn check_condition_paths(
    table: &Table,
    condition: Option<&Condition>,
) -> Result<(), Fault> {
    key::check_paths(table, condition.iter().flat_map(|condition| condition.paths()))
}

/// The form in which the writes of one item report what they check before they look the table up.
/// The service has it since 2026, and for these operations only.
fn enveloped(error: ServiceError) -> ServiceError {
    ServiceError { message: format!("1 validation error detected: {}", error.message), ..error }
}

fn wants_item(answer: &WriteAnswer) -> bool {
    answer.return_values_on_condition_check_failure == ReturnValuesOnConditionCheckFailure::AllOld
}

fn answers_old(answer: &WriteAnswer) -> bool {
    answer.return_values != ReturnValues::None
}

async fn single(
    db: &Inner,
    write: ItemWrite,
    answer: &WriteAnswer,
) -> Result<WriteItemResponse, ServiceError> {
    let writes = [write];
    let mut written = write::write_all(db, &writes).await?;
    let [write] = &writes;
    let Some(written) = written.pop() else { return Err(ServiceError::internal()) };
    let metrics = answer.return_item_collection_metrics == ReturnItemCollectionMetrics::Size;
    Ok(WriteItemResponse {
        consumed_capacity: capacity::of_writes(
            &write.table,
            std::iter::once(&written),
            answer.return_consumed_capacity,
        ),
        item_collection_metrics: if metrics {
            capacity::collection_metrics(write, &written)
        } else {
            None
        },
        attributes: returned_attributes(write, written, answer.return_values)?,
    })
}

/// `Attributes` of the answer: absent rather than empty.
fn returned_attributes(
    write: &ItemWrite,
    written: Written,
    wanted: ReturnValues,
) -> Result<Option<EncodedItem>, ServiceError> {
    let updated = |item: Option<EncodedItem>| match (&write.change, item) {
        (Change::Update { update: Some(update), .. }, Some(item)) => update.select(&item),
        _ => Ok(None),
    };
    match wanted {
        ReturnValues::None => Ok(None),
        ReturnValues::AllOld => Ok(written.old),
        ReturnValues::AllNew => Ok(written.new),
        ReturnValues::UpdatedOld => updated(written.old),
        ReturnValues::UpdatedNew => updated(written.new),
    }
}
