//! TransactWriteItems and TransactGetItems.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use zenobe_model::capacity::ConsumedCapacity;
use zenobe_model::compile::{self, CompiledTransactAction};
use zenobe_model::expression::Projection;
use zenobe_model::limits::TRANSACTION_BYTES_MAX;
use zenobe_model::operation::{
    ItemCollectionMetrics, ReturnConsumedCapacity, ReturnItemCollectionMetrics,
    TransactGetItemsRequest, TransactGetItemsResponse, TransactWriteItemsRequest,
    TransactWriteItemsResponse, TransactWriteKind,
};
use zenobe_model::{EncodedItem, ServiceError};
use zenobe_storage::{Key, RowPlace};

use super::{capacity, item};
use crate::catalog::Table;
use crate::fault::Fault;
use crate::key::ItemKeyWords;
use crate::transact::{self, Done, Token};
use crate::write::{self, Change, ItemWrite, Written};
use crate::{Inner, key};

/// TransactWriteItems.
///
/// # Errors
/// The service's errors.
pub(crate) async fn transact_write_items(
    db: &Inner,
    request: TransactWriteItemsRequest,
) -> Result<TransactWriteItemsResponse, ServiceError> {
    let fingerprint = request.client_request_token.is_some().then(|| fingerprint::of(&request));
    let compiled = compile::transact_write_items(request)?;
    let mut plan = ActionsPlan::new(compiled.actions.len());
    let mut writes = Vec::with_capacity(compiled.actions.len());
    let mut names = Vec::with_capacity(compiled.actions.len());
    for action in compiled.actions {
        let table = db.catalog.table(&action.table_name)?;
        names.push(action.table_name.clone());
        let planned = item_write(&table, action);
        writes.extend(plan.add(planned, |write| write.key())?);
    }
    plan.finish()?;
    let token = compiled.client_request_token.zip(fingerprint);
    let transaction = WriteTransaction {
        table_names: names,
        writes,
        token: token.map(|(name, fingerprint)| Token { name, fingerprint }),
        return_consumed_capacity: compiled.return_consumed_capacity,
        return_item_collection_metrics: compiled.return_item_collection_metrics,
    };
    transaction.run(db).await
}

/// TransactGetItems.
///
/// # Errors
/// The service's errors.
pub(crate) async fn transact_get_items(
    db: &Inner,
    request: TransactGetItemsRequest,
) -> Result<TransactGetItemsResponse, ServiceError> {
    let compiled = compile::transact_get_items(request)?;
    let mut plan = ActionsPlan::new(compiled.items.len());
    let mut reads = Vec::with_capacity(compiled.items.len());
    for get in compiled.items {
        let table = db.catalog.table(&get.table_name)?;
        let paths = key::check_paths(&table, get.projection.iter().flat_map(Projection::paths));
        let planned = key::place_of_key(&table, &get.key)
            .and_then(|place| paths.map(|()| place))
            .map(|place| ItemRead { table, place, projection: get.projection });
        reads.extend(plan.add(planned, ItemRead::key)?);
    }
    plan.finish()?;
    read_transaction(db, &reads, compiled.return_consumed_capacity).await
}

/// The write of an action, with all checks that need the table but not the item.
fn item_write(table: &Arc<Table>, action: CompiledTransactAction) -> Result<ItemWrite, Fault> {
    let CompiledTransactAction { kind, item, update, condition, .. } = action;
    let place = match kind {
        TransactWriteKind::Put => item::place_of_new(table, &item, ItemKeyWords::Named)?,
        _ => key::place_of_key(table, &item.to_item())?,
    };
    item::check_condition_paths(table, condition.as_ref())?;
    item::check_update(table, update.as_ref())?;
    let change = match kind {
        TransactWriteKind::Put => Change::Put(item.into()),
        TransactWriteKind::Update => Change::Update { key: item.to_item(), update },
        TransactWriteKind::Delete => Change::Delete { key: item.to_item() },
        TransactWriteKind::ConditionCheck => Change::Check { key: item.to_item() },
    };
    Ok(ItemWrite {
        condition,
        return_item_on_failure: action.return_item_on_failure,
        answers_old: false,
        ..ItemWrite::new(Arc::clone(table), place, change)
    })
}

/// Plans the actions of a transaction one after the other. The first that does not fit its table
/// cancels the transaction, before any item is looked at; two for one item refuse the request.
pub(crate) struct ActionsPlan {
    count: usize,
    planned: usize,
    seen: BTreeSet<Key>,
    fault: Option<(usize, ServiceError)>,
}

impl ActionsPlan {
    /// For this many actions.
    pub(crate) fn new(count: usize) -> Self {
        Self { count, planned: 0, seen: BTreeSet::new(), fault: None }
    }

    /// Takes the next action; `None` if it does not fit its table.
    ///
    /// # Errors
    /// What refuses the request as a whole.
    pub(crate) fn add<T>(
        &mut self,
        action: Result<T, Fault>,
        key_of: impl Fn(&T) -> Key,
    ) -> Result<Option<T>, ServiceError> {
        self.planned += 1;
        match action {
            Ok(action) => {
                if !self.seen.insert(key_of(&action)) {
                    return Err(ServiceError::validation(
                        "Transaction request cannot include multiple operations on one item",
                    ));
                }
                Ok(Some(action))
            }
            Err(Fault::Request(error)) => Err(error),
            Err(Fault::Action(error)) => {
                self.fault.get_or_insert((self.planned - 1, error));
                Ok(None)
            }
        }
    }

    /// Checks that all actions fit their tables.
    ///
    /// # Errors
    /// `TransactionCanceledException`
    pub(crate) fn finish(self) -> Result<(), ServiceError> {
        let Some((place, error)) = self.fault else { return Ok(()) };
        let mut reasons = vec![None; self.count];
        if let Some(reason) = reasons.get_mut(place) {
            *reason = Some(error);
        }
        Err(ServiceError::cancelled(reasons))
    }
}

/// A transaction of writes, ready to run.
pub(crate) struct WriteTransaction {
    /// For each write the table as the request names it.
    pub(crate) table_names: Vec<String>,
    /// The writes, no two of which name the same item.
    pub(crate) writes: Vec<ItemWrite>,
    /// `ClientRequestToken`
    pub(crate) token: Option<Token>,
    /// `ReturnConsumedCapacity`
    pub(crate) return_consumed_capacity: ReturnConsumedCapacity,
    /// `ReturnItemCollectionMetrics`
    pub(crate) return_item_collection_metrics: ReturnItemCollectionMetrics,
}

impl WriteTransaction {
    /// Makes all writes or none, once for the token.
    ///
    /// # Errors
    /// As [`transact::write`].
    pub(crate) async fn run(self, db: &Inner) -> Result<TransactWriteItemsResponse, ServiceError> {
        match transact::write(db, &self.writes, self.token.as_ref()).await? {
            Done::Written(written) => Ok(self.answer(&written)),
            Done::Replayed => self.answer_again(db).await,
        }
    }

    fn answer(&self, written: &[Written]) -> TransactWriteItemsResponse {
        let wanted = self.return_consumed_capacity;
        let consumed = self.by_table(|table, places| {
            let written = places.iter().filter_map(|place| written.get(*place));
            capacity::of_transaction(table, written, wanted)
        });
        let wants_metrics =
            self.return_item_collection_metrics == ReturnItemCollectionMetrics::Size;
        TransactWriteItemsResponse {
            consumed_capacity: (wanted != ReturnConsumedCapacity::None).then_some(consumed),
            item_collection_metrics: wants_metrics.then(|| self.metrics(written)),
        }
    }

    /// The answer to a request that was answered before: it consumes what reading the items does.
    async fn answer_again(&self, db: &Inner) -> Result<TransactWriteItemsResponse, ServiceError> {
        let wanted = self.return_consumed_capacity;
        if wanted == ReturnConsumedCapacity::None {
            return Ok(TransactWriteItemsResponse::default());
        }
        let keys: Vec<Key> = self.writes.iter().map(ItemWrite::key).collect();
        let mut sizes = Vec::with_capacity(keys.len());
        for row in transact::read(db, &keys).await? {
            let item = row.map(|row| write::decode(row.value)).transpose()?;
            sizes.push(item.as_ref().map_or(0, EncodedItem::size_bytes));
        }
        let consumed = self.by_table(|table, places| {
            let sizes = places.iter().filter_map(|place| sizes.get(*place).copied());
            capacity::of_transactional_reads(table, sizes, wanted)
        });
        Ok(TransactWriteItemsResponse {
            consumed_capacity: Some(consumed),
            ..TransactWriteItemsResponse::default()
        })
    }

    fn by_table(
        &self,
        of: impl Fn(&Table, &[usize]) -> Option<ConsumedCapacity>,
    ) -> Vec<ConsumedCapacity> {
        by_table(self.writes.iter().map(|write| &write.table), of)
    }

    fn metrics(&self, written: &[Written]) -> BTreeMap<String, Vec<ItemCollectionMetrics>> {
        let mut metrics: BTreeMap<String, Vec<ItemCollectionMetrics>> = BTreeMap::new();
        for ((name, write), written) in self.table_names.iter().zip(&self.writes).zip(written) {
            if let Some(of_write) = capacity::collection_metrics(write, written) {
                metrics.entry(name.clone()).or_default().push(of_write);
            }
        }
        metrics
    }
}

/// The capacity of each table, in the order in which the actions name them.
fn by_table<'a>(
    tables: impl Iterator<Item = &'a Arc<Table>>,
    of: impl Fn(&Table, &[usize]) -> Option<ConsumedCapacity>,
) -> Vec<ConsumedCapacity> {
    let mut places: Vec<(&Table, Vec<usize>)> = Vec::new();
    for (place, table) in tables.enumerate() {
        match places.iter_mut().find(|(known, _)| known.name == table.name) {
            Some((_, of_table)) => of_table.push(place),
            None => places.push((table, vec![place])),
        }
    }
    places.into_iter().filter_map(|(table, places)| of(table, &places)).collect()
}

/// One item to read in a transaction.
pub(crate) struct ItemRead {
    /// The table that the item is in.
    pub(crate) table: Arc<Table>,
    /// Where the item lives.
    pub(crate) place: RowPlace,
    /// What of it to answer; all if absent.
    pub(crate) projection: Option<Projection>,
}

impl ItemRead {
    /// The key of the item.
    pub(crate) fn key(&self) -> Key {
        key::item_key(&self.table, self.place.clone())
    }
}

/// Reads items as they are at one point in time.
///
/// # Errors
/// The service's errors.
pub(crate) async fn read_transaction(
    db: &Inner,
    reads: &[ItemRead],
    wanted: ReturnConsumedCapacity,
) -> Result<TransactGetItemsResponse, ServiceError> {
    let keys: Vec<Key> = reads.iter().map(ItemRead::key).collect();
    let mut sizes = Vec::with_capacity(reads.len());
    let mut responses = Vec::with_capacity(reads.len());
    for (read, row) in reads.iter().zip(transact::read(db, &keys).await?) {
        let item = row.map(|row| write::decode(row.value)).transpose()?;
        sizes.push(item.as_ref().map_or(0, EncodedItem::size_bytes));
        responses.push(match (&read.projection, item) {
            // Unlike GetItem, a projection that selects nothing answers no item.
            (Some(projection), Some(item)) => {
                Some(projection.project(&item)?).filter(|item| item.size_bytes() > 0)
            }
            (_, item) => item,
        });
    }
    let bytes: usize = sizes.iter().sum();
    if bytes > TRANSACTION_BYTES_MAX {
        return Err(ServiceError::validation(format!("Payload in response is too large.{bytes}")));
    }
    let consumed = by_table(reads.iter().map(|read| &read.table), |table, places| {
        let sizes = places.iter().filter_map(|place| sizes.get(*place).copied());
        capacity::of_transactional_reads(table, sizes, wanted)
    });
    Ok(TransactGetItemsResponse {
        consumed_capacity: (wanted != ReturnConsumedCapacity::None).then_some(consumed),
        responses,
    })
}

/// What of a request must be the same when its token comes again: all of its actions, and not what is
/// to be answered.
mod fingerprint {
    use xxhash_rust::xxh3::Xxh3;
    use zenobe_model::codec::ItemHeader;
    use zenobe_model::operation::{TransactWriteItem, TransactWriteItemsRequest};
    use zenobe_model::{EncodedItem, Item};

    /// The fingerprint of a request. It is stored, so it never changes. Never 0.
    pub(super) fn of(request: &TransactWriteItemsRequest) -> u128 {
        let mut hash = Xxh3::new();
        for action in request.transact_items.iter().flatten() {
            add_action(&mut hash, action);
        }
        hash.digest128().max(1)
    }

    fn add_action(hash: &mut Xxh3, action: &TransactWriteItem) {
        hash.update(&[action.kind as u8, action.return_values_on_condition_check_failure as u8]);
        add(hash, Some(action.table_name.as_bytes()));
        add_item(hash, action.item.as_ref().ok());
        add(hash, action.update_expression.as_ref().map(String::as_bytes));
        add(hash, action.condition_expression.as_ref().map(String::as_bytes));
        let names = action.expression_attribute_names.as_ref();
        for (placeholder, name) in names.into_iter().flatten() {
            add(hash, Some(placeholder.as_bytes()));
            add(hash, Some(name.as_bytes()));
        }
        add(hash, None);
        let values = action.expression_attribute_values.as_ref().map(|values| {
            let good = values
                .iter()
                .filter_map(|(key, value)| Some((key.clone(), value.as_ref().ok()?.clone())));
            good.collect::<Item>()
        });
        let values = values.map(|values| EncodedItem::encode(&values, ItemHeader::default()));
        add_item(hash, values.as_ref());
    }

    fn add_item(hash: &mut Xxh3, item: Option<&EncodedItem>) {
        add(hash, item.map(|item| &item.bytes()[..]));
    }

    /// Adds bytes so that they cannot be taken for a part of what comes before or after.
    fn add(hash: &mut Xxh3, bytes: Option<&[u8]>) {
        match bytes {
            None => hash.update(&[0]),
            Some(bytes) => {
                hash.update(&[1]);
                hash.update(&(bytes.len() as u64).to_be_bytes());
                hash.update(bytes);
            }
        }
    }
}
