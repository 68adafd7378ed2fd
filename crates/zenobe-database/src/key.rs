//! From key attributes to engine keys: where an item and its index entries live.
//!
//! An item lives in its table's space; its partition is the encoded partition key, its sort bytes the
//! encoded sort key (empty without one). An entry of a local secondary index lives in the lane of
//! that index in the item's own partition; an entry of a global secondary index in the index's own
//! space. The sort bytes of an entry end with the item's table key, so that two items with equal
//! index keys are two entries.

use bytes::Bytes;
use zenobe_model::expression::Path;
use zenobe_model::key::{self as encoding, KeyValue};
use zenobe_model::limits::{PARTITION_KEY_BYTES_MAX, SORT_KEY_BYTES_MAX};
use zenobe_model::value::ValueType;
use zenobe_model::{AttributeValue, EncodedItem, Item, ServiceError};
use zenobe_storage::{Key, Lane, RowPlace};

use crate::catalog::{GlobalIndex, KeyAttribute, KeySchema, LocalIndex, Table};
use crate::fault::Fault;

/// The lane of the row that counts the bytes of an item collection, in tables with local secondary
/// indexes.
pub(crate) const COLLECTION_LANE: Lane = Lane(254);
/// The lane of the intents of transactions, on engines without a global commit: at most one beside
/// each item, under the item's sort bytes.
pub(crate) const INTENT_LANE: Lane = Lane(253);

/// Encodes key attributes, each self-delimiting, so that the bytes compare as the values do.
pub(crate) fn encode(values: &[&AttributeValue]) -> Bytes {
    let values: Vec<KeyValue<'_>> =
        values.iter().filter_map(|value| KeyValue::from_value(value)).collect();
    encoding::encode_composite(&values)
}

/// What the sort bytes begin with whose elements are those of `prefix` and then one that begins with
/// `value`, an S or B.
pub(crate) fn begin_with(prefix: &[u8], value: &AttributeValue) -> Vec<u8> {
    let mut writer = encoding::KeyWriter::new();
    if let Some(value) = KeyValue::from_value(value) {
        writer.push_prefix(value);
    }
    let mut bytes = prefix.to_vec();
    bytes.extend_from_slice(writer.as_bytes());
    bytes
}

/// The engine key of the item with this table key.
pub(crate) fn item_key(table: &Table, place: RowPlace) -> Key {
    Key { space: table.space, partition: place.partition, lane: Lane::ITEM, sort: place.sort }
}

/// The key of the intent beside the item with this key.
pub(crate) fn intent_key(item: Key) -> Key {
    Key { lane: INTENT_LANE, ..item }
}

/// The place that a key names, where the request gives nothing but the key.
///
/// # Errors
/// The service's errors for a key that does not fit the table's key schema.
pub(crate) fn place_of_key(table: &Table, key: &Item) -> Result<RowPlace, Fault> {
    let expected = 1 + usize::from(table.key.sort.is_some());
    let fits = |attribute: &KeyAttribute| {
        key.get(&attribute.name).is_some_and(|value| value.value_type() == attribute.ty)
    };
    if key.len() != expected || !table.key.attributes().all(fits) {
        return Err(mismatch().into());
    }
    place_of_attributes(table, |name| key.get(name).and_then(KeyValue::from_value))
}

fn mismatch() -> ServiceError {
    ServiceError::validation("The provided key element does not match the schema")
}

/// How an operation words that a whole item lacks a key attribute, or has one of another type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ItemKeyWords {
    /// The attribute is named.
    Named,
    /// As for a key that is nothing but a key: BatchWriteItem.
    AsKey,
}

/// The place of a whole item.
///
/// # Errors
/// The service's errors for an item whose key attributes are missing or do not fit.
pub(crate) fn place_of_item(
    table: &Table,
    item: &EncodedItem,
    words: ItemKeyWords,
) -> Result<RowPlace, Fault> {
    for attribute in table.key.attributes() {
        let value = item.get(&attribute.name);
        if words == ItemKeyWords::AsKey
            && value.is_none_or(|value| value.value_type() != attribute.ty)
        {
            return Err(mismatch().into());
        }
        let Some(value) = value else {
            return Err(ServiceError::validation(format!(
                "One or more parameter values were invalid: Missing the key {} in the item",
                attribute.name
            ))
            .into());
        };
        if value.value_type() != attribute.ty {
            return Err(ServiceError::validation(format!(
                "One or more parameter values were invalid: Type mismatch for key {} expected: {} actual: {}",
                attribute.name,
                attribute.ty.name(),
                value.value_type().name()
            ))
            .into());
        }
    }
    place_of_attributes(table, |name| KeyValue::from_ref(item.get(name)?.value()))
}

fn place_of_attributes<'a>(
    table: &Table,
    value_of: impl Fn(&str) -> Option<KeyValue<'a>>,
) -> Result<RowPlace, Fault> {
    let partition = value_of(&table.key.partition.name).ok_or_else(mismatch)?;
    check_key(&table.key.partition.name, partition, false)?;
    let sort = match &table.key.sort {
        None => None,
        Some(attribute) => {
            let value = value_of(&attribute.name).ok_or_else(mismatch)?;
            check_key(&attribute.name, value, true)?;
            Some(value)
        }
    };
    let (partition, sort) = encoding::encode_pair(partition, sort);
    Ok(RowPlace { partition, sort })
}

/// Checks that a key value is neither empty nor too long.
///
/// # Errors
/// The service's errors for both.
pub(crate) fn check_key_value(name: &str, value: &AttributeValue, sort: bool) -> Result<(), Fault> {
    KeyValue::from_value(value).map_or(Ok(()), |value| check_key(name, value, sort))
}

fn check_key(name: &str, value: KeyValue<'_>, sort: bool) -> Result<(), Fault> {
    let (length, kind) = match value {
        KeyValue::S(text) => (text.len(), "string"),
        KeyValue::B(bytes) => (bytes.len(), "binary"),
        KeyValue::N(_) => return Ok(()),
    };
    if length == 0 {
        return Err(Fault::Request(ServiceError::validation(format!(
            "One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an empty {kind} value. Key: {name}"
        ))));
    }
    check_key_length(length, sort)
}

fn check_key_length(length: usize, sort: bool) -> Result<(), Fault> {
    if sort && length > SORT_KEY_BYTES_MAX {
        return Err(ServiceError::validation(
            "One or more parameter values were invalid: Aggregated size of all range keys has exceeded the size limit of 1024 bytes",
        )
        .into());
    }
    if !sort && length > PARTITION_KEY_BYTES_MAX {
        return Err(ServiceError::validation(
            "One or more parameter values were invalid: Size of hashkey has exceeded the maximum size limit of2048 bytes",
        )
        .into());
    }
    Ok(())
}

/// Where a value for an index key comes from, which words the error for an empty one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IndexKeyOrigin {
    /// The request holds the whole item.
    Item,
    /// An update made it.
    Update,
}

/// Checks the attributes of an item that are keys of secondary indexes: of the right type, not
/// empty, not too long. Absent ones are fine: the item is then not in that index. `value_of` looks
/// an attribute up.
///
/// # Errors
/// The service's errors, naming index and attribute.
pub(crate) fn check_index_keys<'a>(
    table: &Table,
    origin: IndexKeyOrigin,
    value_of: impl Fn(&str) -> Option<IndexKeyValue<'a>>,
) -> Result<(), Fault> {
    for (index, attribute, sort) in index_keys(table) {
        if let Some(value) = value_of(&attribute.name) {
            check_index_key(index, attribute, value, sort, origin)?;
        }
    }
    Ok(())
}

/// Checks what an update gives index keys, as far as the request alone tells: `type_of` is the type that an attribute
/// gets.
///
/// # Errors
/// The service's error, naming index and attribute.
pub(crate) fn check_index_key_types(
    table: &Table,
    type_of: impl Fn(&str) -> Option<ValueType>,
) -> Result<(), Fault> {
    for (index, attribute, _) in index_keys(table) {
        if let Some(found) = type_of(&attribute.name).filter(|found| *found != attribute.ty) {
            return Err(index_key_mismatch(index, attribute, found).into());
        }
    }
    Ok(())
}

/// The key attributes of the indexes that are written, except local indexes' partition keys, which are the table's: the
/// name of the index, the attribute, and whether it is a sort key.
fn index_keys(table: &Table) -> impl Iterator<Item = (&str, &KeyAttribute, bool)> {
    let local = table.local_indexes.iter();
    let local =
        local.filter_map(|index| Some((index.name.as_str(), index.key.sort.as_ref()?, true)));
    let global = table.global_indexes.iter().filter(|index| index.is_written());
    let global = global.flat_map(|index| {
        let partition = index.partition.iter().map(|attribute| (attribute, false));
        let sort = index.sort.iter().map(|attribute| (attribute, true));
        partition.chain(sort).map(|(attribute, sort)| (index.name.as_str(), attribute, sort))
    });
    local.chain(global)
}

fn index_key_mismatch(index: &str, attribute: &KeyAttribute, found: ValueType) -> ServiceError {
    ServiceError::validation(format!(
        "One or more parameter values were invalid: Type mismatch for Index Key {} Expected: {} Actual: {} IndexName: {index}",
        attribute.name,
        attribute.ty.name(),
        found.name()
    ))
}

/// A value that an index key attribute has: its type, and the key value if the type can be a key.
pub(crate) type IndexKeyValue<'a> = (ValueType, Option<KeyValue<'a>>);

/// The attribute of an encoded item as an index key.
pub(crate) fn of_encoded<'a>(item: &'a EncodedItem, name: &str) -> Option<IndexKeyValue<'a>> {
    let value = item.get(name)?.value();
    Some((value.value_type(), KeyValue::from_ref(value)))
}

fn check_index_key(
    index: &str,
    attribute: &KeyAttribute,
    (found, value): IndexKeyValue<'_>,
    sort: bool,
    origin: IndexKeyOrigin,
) -> Result<(), Fault> {
    if found != attribute.ty {
        return Err(match origin {
            IndexKeyOrigin::Item => index_key_mismatch(index, attribute, found),
            // What the request alone gives it has been checked before: this was computed, or is older than the index.
            IndexKeyOrigin::Update => ServiceError::validation(
                "The update expression attempted to update the secondary index key to unsupported type",
            ),
        }
        .into());
    }
    let (length, kind) = match value {
        Some(KeyValue::S(text)) => (text.len(), "string"),
        Some(KeyValue::B(bytes)) => (bytes.len(), "binary"),
        _ => return Ok(()),
    };
    if length > 0 {
        return check_key_length(length, sort);
    }
    Err(Fault::Request(ServiceError::validation(match origin {
        IndexKeyOrigin::Item => format!(
            "One or more parameter values are not valid. A value specified for a secondary index key is not supported. The AttributeValue for a key attribute cannot contain an empty {kind} value. IndexName: {index}, IndexKey: {}",
            attribute.name
        ),
        IndexKeyOrigin::Update => format!(
            "One or more parameter values are not valid. The update expression attempted to update a secondary index key to a value that is not supported. The AttributeValue for a key attribute cannot contain an empty {kind} value."
        ),
    })))
}

/// Checks that no path goes into an attribute that is a key of the table or of an index: keys are
/// scalars.
///
/// # Errors
/// The service's error, naming the attribute.
pub(crate) fn check_paths<'a>(
    table: &Table,
    paths: impl IntoIterator<Item = &'a Path>,
) -> Result<(), Fault> {
    for path in paths.into_iter().filter(|path| !path.elements.is_empty()) {
        let is = |attribute: &KeyAttribute| attribute.name == path.root;
        let kind = if table.key.attributes().any(is) {
            "Key"
        } else if table.local_indexes.iter().any(|index| index.key.attributes().any(is))
            || table.global_indexes.iter().any(|index| index.key_attributes().any(is))
        {
            "IndexKey"
        } else {
            continue;
        };
        return Err(Fault::Request(ServiceError::validation(format!(
            "Key attributes must be scalars; list random access '[]' and map lookup '.' are not allowed: {kind}: {}",
            path.root
        ))));
    }
    Ok(())
}

/// The key values of an item for these attributes; `None` when one is absent or of another type.
fn key_values<'a>(
    attributes: impl Iterator<Item = &'a KeyAttribute>,
    item: &'a EncodedItem,
) -> Option<Vec<KeyValue<'a>>> {
    attributes
        .map(|attribute| {
            let value = item.get(&attribute.name)?.value();
            (value.value_type() == attribute.ty).then_some(())?;
            KeyValue::from_ref(value)
        })
        .collect()
}

/// The place of an item in its table.
pub(crate) fn place_of_encoded(key: &KeySchema, item: &EncodedItem) -> Option<RowPlace> {
    let partition = key_values(std::iter::once(&key.partition), item)?;
    let sort = match &key.sort {
        None => Bytes::new(),
        Some(sort) => encoding::encode_composite(&key_values(std::iter::once(sort), item)?),
    };
    Some(RowPlace { partition: encoding::encode_composite(&partition), sort })
}

/// The key of an item's entry in a local secondary index; `None` when the item is not in it.
pub(crate) fn local_entry_key(
    table: &Table,
    index: &LocalIndex,
    item: &EncodedItem,
) -> Option<Key> {
    let partition = key_values(std::iter::once(&table.key.partition), item)?;
    let sort = key_values(index.key.sort.iter().chain(table.key.sort.iter()), item)?;
    Some(Key {
        space: table.space,
        partition: encoding::encode_composite(&partition),
        lane: Lane::local_index(index.ordinal),
        sort: encoding::encode_composite(&sort),
    })
}

/// The key of an item's entry in a global secondary index; `None` when the item is not in it.
pub(crate) fn global_entry_key(
    table: &Table,
    index: &GlobalIndex,
    item: &EncodedItem,
) -> Option<Key> {
    let partition = key_values(index.partition.iter(), item)?;
    let sort = key_values(index.sort.iter().chain(table.key.attributes()), item)?;
    Some(Key {
        space: index.space,
        partition: encoding::encode_composite(&partition),
        lane: Lane::ITEM,
        sort: encoding::encode_composite(&sort),
    })
}
