//! Keys and indexes of a table that is to be: what CreateTable and an index creation check, in the
//! service's order and with its texts.
//!
//! Source: API Reference, CreateTable; Developer Guide, "Quotas" and "Multi-attribute keys". The
//! order: definitions, the table's key, empty lists, definitions of index keys, unused definitions,
//! each local index, their number, each global index, their number.
//!
//! The numbers are checked last, and a request may hold a hundred thousand definitions and indexes: no check
//! takes longer than about linear time.

use std::collections::{BTreeSet, HashMap, HashSet};

use zenobe_model::ServiceError;
use zenobe_model::operation::{
    AttributeDefinition, BillingMode, CreateTableRequest, GlobalSecondaryIndex, KeySchemaElement,
    KeyType, LocalSecondaryIndex, Projection, ProjectionType, ProvisionedThroughputDescription,
};
use zenobe_storage::SpaceId;

use super::settings::{self, Target};
use super::{invalid, validation};
use crate::catalog::{
    GlobalIndex, IndexProjection, IndexState, KeyAttribute, KeySchema, LocalIndex,
};

/// The most local secondary indexes of a table.
const LOCAL_INDEXES_MAX: usize = 5;
/// The most global secondary indexes of a table.
pub(super) const GLOBAL_INDEXES_MAX: usize = 20;
/// The most attributes of the partition key of a global secondary index, and of its sort key.
const KEY_ATTRIBUTES_MAX: usize = 4;
/// The most attributes that the indexes of a table may name in projections, together.
const NON_KEY_ATTRIBUTES_MAX: usize = 100;

/// The keys and indexes of a table, checked.
pub(super) struct Schema {
    pub(super) key: KeySchema,
    pub(super) definitions: Vec<KeyAttribute>,
    pub(super) local_indexes: Vec<LocalIndex>,
    /// Their spaces are still to be chosen.
    pub(super) global_indexes: Vec<GlobalIndex>,
}

/// `AttributeDefinitions`, each with a name of its own.
pub(super) struct Definitions {
    /// In the order in which they were given.
    given: Vec<KeyAttribute>,
    /// Where each is, by its name.
    ordinals: HashMap<String, usize>,
}

impl Definitions {
    /// Checks definitions by themselves.
    ///
    /// # Errors
    /// The service's error for a name that is defined twice.
    pub(super) fn new(given: &[AttributeDefinition]) -> Result<Self, ServiceError> {
        let mut ordinals = HashMap::with_capacity(given.len());
        for (ordinal, definition) in given.iter().enumerate() {
            let name = &definition.attribute_name;
            if ordinals.insert(name.clone(), ordinal).is_some() {
                return Err(validation(format!("Attribute Name is duplicated: {name}")));
            }
        }
        let attribute = |definition: &AttributeDefinition| KeyAttribute {
            name: definition.attribute_name.clone(),
            ty: definition.attribute_type,
        };
        Ok(Self { given: given.iter().map(attribute).collect(), ordinals })
    }

    fn len(&self) -> usize {
        self.given.len()
    }

    fn get(&self, name: &str) -> Option<&KeyAttribute> {
        self.given.get(*self.ordinals.get(name)?)
    }

    /// The names as the service prints them.
    fn listed(&self) -> String {
        listed(self.given.iter().map(|definition| definition.name.as_str()), self.len())
    }

    fn into_sorted(self) -> Vec<KeyAttribute> {
        let mut sorted = self.given;
        sorted.sort_by(|a, b| a.name.cmp(&b.name));
        sorted
    }
}

/// Checks keys and indexes of a CreateTable.
pub(super) fn check(
    request: &CreateTableRequest,
    billing: BillingMode,
    region: &str,
) -> Result<Schema, ServiceError> {
    let given = request.attribute_definitions.as_deref().unwrap_or_default();
    let definitions = Definitions::new(given)?;
    let elements = request.key_schema.as_deref().unwrap_or_default();
    let key = table_key(elements, &definitions)?;
    let locals = request.local_secondary_indexes.as_deref();
    let globals = request.global_secondary_indexes.as_deref();
    check_not_empty(locals.map(<[_]>::len), "LocalSecondaryIndexes")?;
    check_not_empty(globals.map(<[_]>::len), "GlobalSecondaryIndexes")?;
    let locals = locals.unwrap_or_default();
    let globals = globals.unwrap_or_default();
    let index_keys = || {
        let locals = locals.iter().map(|index| index.key_schema.as_slice());
        locals.chain(globals.iter().map(|index| index.key_schema.as_slice()))
    };
    for elements in index_keys() {
        check_defined(elements, &definitions)?;
    }
    check_all_used(elements, index_keys(), &definitions)?;

    let mut names = BTreeSet::new();
    let local_indexes = local_indexes(locals, &key, &definitions, &mut names)?;
    let mut global_indexes = Vec::with_capacity(globals.len());
    for index in globals {
        global_indexes.push(new_index(index, &definitions, billing, region)?);
        check_new_name(&index.index_name, &mut names)?;
    }
    if globals.len() > GLOBAL_INDEXES_MAX {
        return Err(invalid(format!(
            "GlobalSecondaryIndex count exceeds the per-table limit of {GLOBAL_INDEXES_MAX}"
        )));
    }
    let projections = local_indexes.iter().map(|index| &index.projection);
    check_projected(projections.chain(global_indexes.iter().map(|index| &index.projection)))?;
    Ok(Schema { key, definitions: definitions.into_sorted(), local_indexes, global_indexes })
}

fn check_not_empty(length: Option<usize>, list: &str) -> Result<(), ServiceError> {
    match length {
        Some(0) => Err(invalid(format!("List of {list} is empty"))),
        _ => Ok(()),
    }
}

fn table_key(
    elements: &[KeySchemaElement],
    definitions: &Definitions,
) -> Result<KeySchema, ServiceError> {
    let undefined = || validation("Invalid KeySchema: Some index key attribute have no definition");
    if elements.len() > definitions.len() {
        return Err(undefined());
    }
    check_defined(elements, definitions)?;
    simple_key(elements, definitions)
}

/// A key of a partition key and perhaps a sort key.
fn simple_key(
    elements: &[KeySchemaElement],
    definitions: &Definitions,
) -> Result<KeySchema, ServiceError> {
    if let [first, second] = elements
        && first.attribute_name == second.attribute_name
    {
        return Err(same_name());
    }
    let Some((first, rest)) = elements.split_first() else {
        return Err(first_is_not_hash());
    };
    if first.key_type != KeyType::Hash {
        return Err(first_is_not_hash());
    }
    if rest.first().is_some_and(|second| second.key_type != KeyType::Range) {
        return Err(validation(
            "Invalid KeySchema: The second KeySchemaElement is not a RANGE key type",
        ));
    }
    let sort = rest.first().map(|element| defined(element, definitions)).transpose()?;
    Ok(KeySchema { partition: defined(first, definitions)?, sort })
}

fn first_is_not_hash() -> ServiceError {
    validation("Invalid KeySchema: The first KeySchemaElement is not a HASH key type")
}

fn same_name() -> ServiceError {
    validation("Both the Hash Key and the Range Key element in the KeySchema have the same name")
}

fn defined(
    element: &KeySchemaElement,
    definitions: &Definitions,
) -> Result<KeyAttribute, ServiceError> {
    definitions.get(&element.attribute_name).cloned().ok_or_else(ServiceError::internal)
}

/// Checks that the attributes of a key are defined.
pub(super) fn check_defined(
    elements: &[KeySchemaElement],
    definitions: &Definitions,
) -> Result<(), ServiceError> {
    if elements.iter().all(|element| definitions.get(&element.attribute_name).is_some()) {
        return Ok(());
    }
    let keys = elements.iter().map(|element| element.attribute_name.as_str());
    Err(invalid(format!(
        "Some index key attributes are not defined in AttributeDefinitions. Keys: {}, AttributeDefinitions: {}",
        listed(keys, 16),
        definitions.listed(),
    )))
}

/// Checks that no attribute is defined that no key uses.
fn check_all_used<'a>(
    table_key: &'a [KeySchemaElement],
    index_keys: impl Iterator<Item = &'a [KeySchemaElement]>,
    definitions: &Definitions,
) -> Result<(), ServiceError> {
    let mut indexes = 0_usize;
    let index_keys = index_keys.inspect(|_| indexes += 1);
    let elements = std::iter::once(table_key).chain(index_keys).flatten();
    let used = distinct(elements.map(|element| element.attribute_name.as_str()));
    if used.len() == definitions.len() {
        return Ok(());
    }
    if indexes == 0 {
        return Err(invalid(
            "Number of attributes in KeySchema does not exactly match number of attributes defined in AttributeDefinitions",
        ));
    }
    Err(invalid(format!(
        "Some AttributeDefinitions are not used. AttributeDefinitions: {}, keys used: {}",
        definitions.listed(),
        listed(used.into_iter(), 16),
    )))
}

/// The names without those that came before.
fn distinct<'a>(names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut seen = HashSet::new();
    names.filter(|name| seen.insert(*name)).collect()
}

/// A set of names as the service prints it: in the order of a hash table of Java with room for
/// `capacity` names.
fn listed<'a>(names: impl Iterator<Item = &'a str>, capacity: usize) -> String {
    let mut distinct = distinct(names);
    let mut buckets = u32::try_from(capacity).unwrap_or(u32::MAX >> 1).next_power_of_two();
    while u64::from(buckets) * 3 < distinct.len() as u64 * 4 {
        buckets = buckets.saturating_mul(2);
    }
    let bucket = |name: &str| {
        let hash = name
            .encode_utf16()
            .fold(0_u32, |hash, unit| hash.wrapping_mul(31).wrapping_add(u32::from(unit)));
        (hash ^ (hash >> 16)) & (buckets - 1)
    };
    distinct.sort_by_cached_key(|name| bucket(name));
    format!("[{}]", distinct.join(", "))
}

fn check_new_name<'a>(name: &'a str, names: &mut BTreeSet<&'a str>) -> Result<(), ServiceError> {
    if names.insert(name) {
        return Ok(());
    }
    Err(invalid(format!("Duplicate index name: {name}")))
}

fn local_indexes<'a>(
    given: &'a [LocalSecondaryIndex],
    table_key: &KeySchema,
    definitions: &Definitions,
    names: &mut BTreeSet<&'a str>,
) -> Result<Vec<LocalIndex>, ServiceError> {
    if !given.is_empty() && table_key.sort.is_none() {
        return Err(invalid(
            "Table KeySchema does not have a range key, which is required when specifying a LocalSecondaryIndex",
        ));
    }
    let mut indexes = Vec::with_capacity(given.len());
    for (ordinal, index) in (0_u8..=u8::MAX).zip(given) {
        let name = &index.index_name;
        let key = simple_key(&index.key_schema, definitions)?;
        if key.sort.is_none() {
            return Err(invalid(format!(
                "Index KeySchema does not have a range key for index: {name}"
            )));
        }
        if key.partition.name != table_key.partition.name {
            return Err(invalid(format!(
                "Index KeySchema does not have the same leading hash key as table KeySchema for index: {name}. index hash key: {}, table hash key: {}",
                key.partition.name, table_key.partition.name
            )));
        }
        let projection = projection(&index.projection)?;
        check_new_name(name, names)?;
        let counters = std::sync::Arc::default();
        indexes.push(LocalIndex { name: name.clone(), ordinal, key, projection, counters });
    }
    if given.len() > LOCAL_INDEXES_MAX {
        return Err(invalid(format!(
            "Number of LocalSecondaryIndexes exceeds per-table limit of {LOCAL_INDEXES_MAX}"
        )));
    }
    Ok(indexes)
}

/// Checks a global secondary index; its space is still to be chosen.
pub(super) fn new_index(
    given: &GlobalSecondaryIndex,
    definitions: &Definitions,
    billing: BillingMode,
    region: &str,
) -> Result<GlobalIndex, ServiceError> {
    let name = &given.index_name;
    let target = Target::NewIndex(name);
    let (partition, sort) = composite_key(&given.key_schema, definitions)?;
    let projection = projection(&given.projection)?;
    let provisioned_throughput = match (billing, given.provisioned_throughput) {
        (BillingMode::PayPerRequest, Some(_)) => {
            return Err(invalid(format!(
                "ProvisionedThroughput should not be specified for index: {name} when BillingMode is PAY_PER_REQUEST"
            )));
        }
        (BillingMode::Provisioned, None) => {
            return Err(invalid(format!(
                "ProvisionedThroughput is not specified for index: {name}"
            )));
        }
        (BillingMode::PayPerRequest, None) => ProvisionedThroughputDescription::default(),
        (BillingMode::Provisioned, Some(throughput)) => {
            settings::check_bounds(throughput, target, region)?;
            settings::provisioned(throughput)
        }
    };
    Ok(GlobalIndex {
        name: name.clone(),
        space: SpaceId(u64::MAX),
        partition,
        sort,
        projection,
        state: IndexState::Active,
        provisioned_throughput,
        on_demand_throughput: settings::on_demand(
            given.on_demand_throughput,
            billing,
            target,
            region,
        )?,
        warm_throughput: settings::new_warm(
            given.warm_throughput,
            billing,
            provisioned_throughput,
            target,
            region,
        )?,
        counters: std::sync::Arc::default(),
    })
}

/// A key of up to four attributes on either side.
fn composite_key(
    elements: &[KeySchemaElement],
    definitions: &Definitions,
) -> Result<(Vec<KeyAttribute>, Vec<KeyAttribute>), ServiceError> {
    let mut names = BTreeSet::new();
    if !elements.iter().all(|element| names.insert(&element.attribute_name)) {
        return Err(match elements {
            [_, _] => same_name(),
            _ => validation("The KeySchema contains multiple key attributes with the same name"),
        });
    }
    if elements.first().is_none_or(|first| first.key_type != KeyType::Hash) {
        return Err(first_is_not_hash());
    }
    let hashes = elements.iter().take_while(|element| element.key_type == KeyType::Hash).count();
    let (partition, sort) = elements.split_at(hashes);
    if sort.iter().any(|element| element.key_type == KeyType::Hash) {
        return Err(invalid(
            "All HASH key attributes must precede RANGE key attributes in the KeySchema",
        ));
    }
    for (side, key_type) in [(partition, "HASH"), (sort, "RANGE")] {
        if side.len() > KEY_ATTRIBUTES_MAX {
            return Err(invalid(format!(
                "The KeySchema exceeds the maximum allowed number of {key_type} key attributes"
            )));
        }
    }
    let attributes = |side: &[KeySchemaElement]| {
        side.iter().map(|element| defined(element, definitions)).collect::<Result<Vec<_>, _>>()
    };
    Ok((attributes(partition)?, attributes(sort)?))
}

/// Checks a projection.
fn projection(given: &Projection) -> Result<IndexProjection, ServiceError> {
    let names = given.non_key_attributes.as_deref();
    match (given.projection_type, names) {
        (None, _) => Err(invalid("Unknown ProjectionType: null")),
        (Some(ProjectionType::All), None) => Ok(IndexProjection::All),
        (Some(ProjectionType::KeysOnly), None) => Ok(IndexProjection::KeysOnly),
        (Some(ProjectionType::All), Some(_)) => {
            Err(invalid("ProjectionType is ALL, but NonKeyAttributes is specified"))
        }
        (Some(ProjectionType::KeysOnly), Some(_)) => {
            Err(invalid("ProjectionType is KEYS_ONLY, but NonKeyAttributes is specified"))
        }
        (Some(ProjectionType::Include), None) => {
            Err(invalid("ProjectionType is INCLUDE, but NonKeyAttributes is not specified"))
        }
        (Some(ProjectionType::Include), Some(names)) => {
            let mut sorted = BTreeSet::new();
            for name in names {
                if !sorted.insert(name.clone()) {
                    return Err(invalid(format!("Duplicate element in NonKeyAttributes: {name}")));
                }
            }
            Ok(IndexProjection::Include(sorted.into_iter().collect()))
        }
    }
}

/// Checks how many attributes the indexes of a table name in projections.
pub(super) fn check_projected<'a>(
    projections: impl Iterator<Item = &'a IndexProjection>,
) -> Result<(), ServiceError> {
    let count = |projection: &IndexProjection| match projection {
        IndexProjection::Include(names) => names.len(),
        IndexProjection::All | IndexProjection::KeysOnly => 0,
    };
    if projections.map(count).sum::<usize>() > NON_KEY_ATTRIBUTES_MAX {
        return Err(invalid(format!(
            "Number of NonKeyAttributes across all secondary indexes exceeds per-table limit of {NON_KEY_ATTRIBUTES_MAX}"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_listed_as_the_service_does() {
        let check = |names: &[&str], capacity, expected: &str| {
            assert_eq!(listed(names.iter().copied(), capacity), expected);
        };
        check(&["pk", "sk", "a", "b", "c"], 5, "[sk, a, b, pk, c]");
        check(&["pk", "sk", "a"], 16, "[a, sk, pk]");
        check(&["my-hash", "my-string"], 16, "[my-hash, my-string]");
        check(&[], 0, "[]");
    }
}
