//! INSERT, UPDATE and DELETE: each is the write of one item, which its condition names.
//!
//! INSERT is a put on the condition that there is no such item, UPDATE an update on the condition
//! that there is one, and DELETE succeeds without an item. Source: Developer Guide, "PartiQL
//! insert, update and delete statements for DynamoDB".

use std::sync::Arc;

use zenobe_model::capacity::HalfUnits;
use zenobe_model::error::Detail;
use zenobe_model::expression::{Condition, Path, Projection};
use zenobe_model::operation::ReturnValuesOnConditionCheckFailure;
use zenobe_model::partiql::keys::{KeyNames, NamedItem};
use zenobe_model::partiql::{CompiledStatement, Delete, Insert, Returning, UpdateStatement};
use zenobe_model::{EncodedItem, ErrorCode, Item, ServiceError};

use zenobe_storage::RowPlace;

use super::super::item::{check_condition_paths, check_update, place_of_new};
use super::key_type_mismatch;
use crate::catalog::Table;
use crate::key::ItemKeyWords;
use crate::write::{self, Change, ItemWrite, Written};
use crate::{Inner, key};

/// The text for an INSERT of an item that exists.
pub(super) const DUPLICATE_ITEM: &str = "Duplicate primary key exists in table";

/// A statement that writes an item.
pub(super) struct PlannedWrite {
    pub(super) write: ItemWrite,
    returning: Option<Returning>,
}

/// The write that a statement is.
///
/// # Errors
/// The service's errors for what does not fit the table.
pub(super) fn plan(
    db: &Inner,
    statement: CompiledStatement,
    on_failure: ReturnValuesOnConditionCheckFailure,
) -> Result<PlannedWrite, ServiceError> {
    let return_item = on_failure == ReturnValuesOnConditionCheckFailure::AllOld;
    match statement {
        CompiledStatement::Insert(insert) => plan_insert(db, insert),
        CompiledStatement::Update(update) => plan_update(db, update, return_item),
        CompiledStatement::Delete(delete) => plan_delete(db, delete, return_item),
        CompiledStatement::Select(_) | CompiledStatement::Exists(_) => {
            Err(ServiceError::validation(
                "EXISTS can only be used in ExecuteTransaction write requests.",
            ))
        }
    }
}

fn plan_insert(db: &Inner, insert: Insert) -> Result<PlannedWrite, ServiceError> {
    let table = db.catalog.table(&insert.table)?;
    for attribute in table.key.attributes() {
        let value = insert.item.get(&attribute.name).ok_or_else(|| {
            ServiceError::validation(format!(
                "Key attribute should be present in the item: Key {}",
                attribute.name
            ))
        })?;
        if value.value_type() != attribute.ty {
            return Err(key_type_mismatch(&attribute.name));
        }
    }
    let item = EncodedItem::from(insert.item);
    let place = place_of_new(&table, &item, ItemKeyWords::Named)?;
    Ok(PlannedWrite { write: insert_write(table, place, item), returning: None })
}

fn plan_update(
    db: &Inner,
    statement: UpdateStatement,
    return_item_on_failure: bool,
) -> Result<PlannedWrite, ServiceError> {
    let UpdateStatement { table, update, condition, returning } = statement;
    let Some(condition) = condition else { return Err(no_key()) };
    let table = db.catalog.table(&table)?;
    let (key, conditions) = named_key(&table, &condition)?;
    check_update(&table, Some(&update))?;
    check_condition_paths(&table, Some(&condition))?;
    let place = key::place_of_key(&table, &key)?;
    let change = Change::Update { key, update: Some(update) };
    let write =
        ItemWrite { return_item_on_failure, ..update_write(table, place, change, conditions) };
    Ok(PlannedWrite { write, returning })
}

fn plan_delete(
    db: &Inner,
    statement: Delete,
    return_item_on_failure: bool,
) -> Result<PlannedWrite, ServiceError> {
    let Delete { table, condition, returning } = statement;
    let Some(condition) = condition else { return Err(no_key()) };
    let table = db.catalog.table(&table)?;
    if let Some(other) = returning.filter(|returning| *returning != Returning::AllOld) {
        return Err(ServiceError::validation(format!(
            "Invalid returning clause: RETURNING {} *. Only RETURNING ALL OLD * is allowed in DELETE statements.",
            other.text()
        )));
    }
    let (key, conditions) = named_key(&table, &condition)?;
    check_condition_paths(&table, Some(&condition))?;
    let place = key::place_of_key(&table, &key)?;
    let write = ItemWrite { return_item_on_failure, ..delete_write(table, place, key, conditions) };
    Ok(PlannedWrite { write, returning })
}

/// The put of an item that must not exist.
pub(super) fn insert_write(table: Arc<Table>, place: RowPlace, item: EncodedItem) -> ItemWrite {
    let condition = Condition::AttributeNotExists(partition_path(&table));
    ItemWrite {
        condition: Some(condition),
        ..ItemWrite::new(table, place, Change::Put(item.into()))
    }
}

/// A change, or check, of an item that must exist and satisfy conditions.
pub(super) fn update_write(
    table: Arc<Table>,
    place: RowPlace,
    change: Change,
    mut conditions: Vec<Condition>,
) -> ItemWrite {
    conditions.insert(0, Condition::AttributeExists(partition_path(&table)));
    ItemWrite {
        condition: Some(Condition::And(conditions)),
        ..ItemWrite::new(table, place, change)
    }
}

/// The deletion of an item that satisfies conditions. Deleting what is not there succeeds, whatever
/// they say.
pub(super) fn delete_write(
    table: Arc<Table>,
    place: RowPlace,
    key: Item,
    conditions: Vec<Condition>,
) -> ItemWrite {
    let condition = (!conditions.is_empty()).then(|| {
        Condition::Or(vec![
            Condition::AttributeNotExists(partition_path(&table)),
            Condition::And(conditions),
        ])
    });
    ItemWrite { condition, ..ItemWrite::new(table, place, Change::Delete { key }) }
}

fn partition_path(table: &Table) -> Path {
    Path::attribute(table.key.partition.name.clone())
}

/// The names of the table's key attributes.
pub(super) fn key_names(table: &Table) -> KeyNames<'_> {
    KeyNames {
        partition: &table.key.partition.name,
        sort: table.key.sort.as_ref().map(|sort| sort.name.as_str()),
    }
}

/// The key that a condition names, and what else it says.
fn named_key(table: &Table, condition: &Condition) -> Result<(Item, Vec<Condition>), ServiceError> {
    let mut named = key_names(table).item(Some(condition), false);
    let conflict = named.conflict.take();
    let key = whole_key(table, &mut named).ok_or_else(no_key)?;
    if let Some(name) = conflict {
        return Err(ServiceError::validation(format!(
            "Multiple conditions on same key {name}. Only single item Update/Insert/Delete are supported"
        )));
    }
    check_key_types(table, &key)?;
    Ok((key, named.rest))
}

/// The key of the item that a condition names; `None` unless it names all of it.
pub(super) fn whole_key(table: &Table, named: &mut NamedItem) -> Option<Item> {
    let mut key = Item::new();
    key.insert(table.key.partition.name.clone(), named.partition.take()?);
    if let Some(sort) = &table.key.sort {
        key.insert(sort.name.clone(), named.sort.take()?);
    }
    Some(key)
}

/// Checks that the values of a key have the types of its attributes.
///
/// # Errors
/// The service's error, naming the attribute.
pub(super) fn check_key_types(table: &Table, key: &Item) -> Result<(), ServiceError> {
    for attribute in table.key.attributes() {
        if key.get(&attribute.name).is_some_and(|value| value.value_type() != attribute.ty) {
            return Err(key_type_mismatch(&attribute.name));
        }
    }
    Ok(())
}

fn no_key() -> ServiceError {
    ServiceError::validation(
        "Where clause does not contain a mandatory equality on all key attributes",
    )
}

impl PlannedWrite {
    /// Writes, and answers the item that RETURNING asks for.
    ///
    /// # Errors
    /// The service's errors.
    pub(super) async fn run(
        &self,
        db: &Inner,
    ) -> Result<(Option<EncodedItem>, Written), ServiceError> {
        let written = self.write(db).await.map_err(|error| self.failure(error))?;
        Ok((self.returned(&written)?, written))
    }

    /// As [`run`](Self::run). A write whose condition fails consumes what the larger of the item that is there
    /// and the one to be put there costs.
    ///
    /// # Errors
    /// The service's errors, and what was consumed all the same.
    pub(super) async fn run_in_batch(
        mut self,
        db: &Inner,
    ) -> Result<(Option<EncodedItem>, Written), (ServiceError, HalfUnits)> {
        let wants_item = std::mem::replace(&mut self.write.return_item_on_failure, true);
        let none = |error| (error, HalfUnits::default());
        match self.write(db).await {
            Ok(written) => Ok((self.returned(&written).map_err(none)?, written)),
            Err(mut error) if error.code == ErrorCode::ConditionalCheckFailed => {
                let size = |item: &EncodedItem| item.size_bytes();
                let there = match &error.detail {
                    Detail::Item(item) => size(item),
                    _ => 0,
                };
                let put = match &self.write.change {
                    Change::Put(item) => size(&item.item()),
                    _ => 0,
                };
                if !wants_item {
                    error.detail = Detail::None;
                }
                Err((self.failure(error), HalfUnits::write(there.max(put))))
            }
            Err(error) => Err(none(error)),
        }
    }

    async fn write(&self, db: &Inner) -> Result<Written, ServiceError> {
        let written = write::write_all(db, std::slice::from_ref(&self.write)).await?;
        written.into_iter().next().ok_or_else(ServiceError::internal)
    }

    /// An INSERT fails its condition when the item exists, and has an error of its own for that.
    fn failure(&self, error: ServiceError) -> ServiceError {
        match (&self.write.change, error.code) {
            (Change::Put(_), ErrorCode::ConditionalCheckFailed) => {
                ServiceError::new(ErrorCode::DuplicateItem, "Duplicate primary key exists in table")
            }
            _ => error,
        }
    }

    fn returned(&self, written: &Written) -> Result<Option<EncodedItem>, ServiceError> {
        match self.returning {
            None => Ok(None),
            Some(Returning::AllOld) => Ok(written.old.clone()),
            Some(Returning::AllNew) => Ok(written.new.clone()),
            Some(Returning::ModifiedOld) => self.modified(written.old.as_ref()),
            Some(Returning::ModifiedNew) => self.modified(written.new.as_ref()),
        }
    }

    /// The attributes that the update changed, each as a whole.
    fn modified(&self, item: Option<&EncodedItem>) -> Result<Option<EncodedItem>, ServiceError> {
        let (Change::Update { update: Some(update), .. }, Some(item)) = (&self.write.change, item)
        else {
            return Ok(None);
        };
        let Some(parts) = update.select(item)? else { return Ok(None) };
        let names = parts.attributes().map(|(name, _)| name.to_owned());
        Projection::attributes(names).project(item).map(Some)
    }
}
