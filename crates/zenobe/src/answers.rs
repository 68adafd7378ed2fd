//! The memory of answers: set aside before an operation reads much, held until the client has taken the answer.
//!
//! A client may ask for megabytes and take none of them. They wait here until the write timeout, for each request that may
//! be under way on each connection; so what all of them take together is counted, and who asks for more waits a while
//! and is then refused. There are several budgets, so that some are answered while others wait:
//!
//! - of what pages may read, and of what batches may, each of which is set aside before they do;
//! - of the rest, which is taken when the answer is there, so that nobody waits for it: answers to operations on one
//!   item, and what JSON is longer than the items are, or a page than its megabyte;
//! - a small one of the metrics page, which tells of the others.
//!
//! Short answers are not counted. On all streams of a connection of HTTP/2 those are half a megabyte.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use zenobe_model::limits::{
    BATCH_GET_BYTES_MAX, ITEM_SIZE_BYTES_MAX, PAGE_BYTES, TRANSACTION_BYTES_MAX,
};
use zenobe_model::operation::{Request, Select};
use zenobe_storage::Figure;

/// Each of the budgets for answers, in bytes.
const BUDGET_BYTES: usize = 256 << 20;
/// That of the metrics page.
const METRICS_BYTES: usize = 16 << 20;
/// Answers up to this length, in bytes, are not counted.
const UNCOUNTED_BYTES: usize = 4 << 10;
/// How long an operation waits for room.
const PATIENCE: Duration = Duration::from_secs(5);

/// The memory that answers take together.
#[derive(Clone, Debug)]
pub(crate) struct AnswerBudget {
    /// For what pages may read.
    pages: Pool,
    /// For what batches may read, which is much more each time.
    batches: Pool,
    /// For the rest.
    unforeseen: Pool,
    metrics: Pool,
}

/// A budget: as many permits as bytes are free.
#[derive(Clone, Debug)]
struct Pool {
    free: Arc<Semaphore>,
    bytes: usize,
}

/// What an operation may read for its answer, as items count, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    /// One item at most: it should not wait for those that read many, and seldom reads much.
    Little,
    Page(usize),
    Batch(usize),
}

/// What is set aside for an answer, given back when dropped.
#[derive(Debug, Default)]
pub(crate) struct Room(Option<OwnedSemaphorePermit>);

/// An answer with its part of the budget.
struct Held {
    answer: Vec<u8>,
    _room: [Option<OwnedSemaphorePermit>; 2],
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.answer
    }
}

impl Pool {
    fn new(bytes: usize) -> Self {
        Self { free: Arc::new(Semaphore::new(bytes)), bytes }
    }

    fn try_take(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        self.free.clone().try_acquire_many_owned(u32::try_from(bytes).ok()?).ok()
    }

    async fn take(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        self.free.clone().acquire_many_owned(u32::try_from(bytes).ok()?).await.ok()
    }

    fn used_bytes(&self) -> usize {
        self.bytes.saturating_sub(self.free.available_permits())
    }
}

impl AnswerBudget {
    /// A budget of which nothing is used.
    pub(crate) fn new() -> Self {
        let [pages, batches, unforeseen] = [BUDGET_BYTES; 3].map(Pool::new);
        Self { pages, batches, unforeseen, metrics: Pool::new(METRICS_BYTES) }
    }

    /// Sets aside what is needed. `None` when others keep it for too long.
    pub(crate) async fn make_room(&self, need: Need) -> Option<Room> {
        let (pool, bytes) = match need {
            Need::Little => return Some(Room::default()),
            Need::Page(bytes) => (&self.pages, bytes),
            Need::Batch(bytes) => (&self.batches, bytes),
        };
        let taken = match pool.try_take(bytes) {
            Some(taken) => Some(taken),
            None => tokio::time::timeout(PATIENCE, pool.take(bytes)).await.ok().flatten(),
        };
        Some(Room(Some(taken?)))
    }

    /// Keeps of what was set aside as much as the answer needs, until the answer is dropped. `None` when it needs more
    /// than there is.
    pub(crate) fn hold(&self, room: Room, answer: Vec<u8>) -> Option<Bytes> {
        if answer.len() <= UNCOUNTED_BYTES {
            return Some(answer.into());
        }
        let Room(mut foreseen) = room;
        let set_aside = foreseen.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let unforeseen = match answer.len().checked_sub(set_aside) {
            Some(more) => Some(self.unforeseen.try_take(more)?),
            None => {
                drop(foreseen.as_mut().and_then(|room| room.split(set_aside - answer.len())));
                None
            }
        };
        Some(Bytes::from_owner(Held { answer, _room: [foreseen, unforeseen] }))
    }

    /// Keeps the metrics page until it is dropped. `None` when there are too many of them.
    pub(crate) fn hold_metrics(&self, page: Vec<u8>) -> Option<Bytes> {
        let room = self.metrics.try_take(page.len())?;
        Some(Bytes::from_owner(Held { answer: page, _room: [Some(room), None] }))
    }

    /// What is used, for the metrics page.
    pub(crate) fn figure(&self) -> Figure {
        let pools = [&self.pages, &self.batches, &self.unforeseen];
        Figure {
            name: "answer_bytes_held",
            help: "Memory for answers under way or not yet taken by their clients, short ones apart, in bytes.",
            value: pools.map(Pool::used_bytes).iter().sum::<usize>() as f64,
        }
    }
}

/// What to set aside for the answer.
///
/// Where there is no room for the answer of a write, its client does not learn that it is done; that is answered as any
/// outcome is that is unknown.
pub(crate) fn need(request: &Request) -> Need {
    match request {
        Request::BatchExecuteStatement(request) => {
            batch(request.statements.len(), BATCH_GET_BYTES_MAX)
        }
        Request::BatchGetItem(request) => {
            let keys = request.request_items.values().map(|table| table.keys.len());
            batch(keys.sum(), BATCH_GET_BYTES_MAX)
        }
        Request::ExecuteTransaction(request) => {
            batch(request.statements.len(), TRANSACTION_BYTES_MAX)
        }
        Request::TransactGetItems(request) => {
            batch(request.transact_items.len(), TRANSACTION_BYTES_MAX)
        }
        Request::ExecuteStatement(request) => page(request.limit),
        Request::GetRecords(request) => page(request.limit),
        Request::Query(request) if request.options.select != Some(Select::Count) => {
            page(request.options.limit)
        }
        Request::Scan(request) if request.options.select != Some(Select::Count) => {
            page(request.options.limit)
        }
        Request::BatchWriteItem(_)
        | Request::CreateTable(_)
        | Request::DeleteItem(_)
        | Request::DeleteTable(_)
        | Request::DescribeEndpoints
        | Request::DescribeLimits
        | Request::DescribeStream(_)
        | Request::DescribeTable(_)
        | Request::DescribeTimeToLive(_)
        | Request::GetItem(_)
        | Request::GetShardIterator(_)
        | Request::ListStreams(_)
        | Request::ListTables(_)
        | Request::ListTagsOfResource(_)
        | Request::PutItem(_)
        | Request::Query(_)
        | Request::Scan(_)
        | Request::TagResource(_)
        | Request::TransactWriteItems(_)
        | Request::UntagResource(_)
        | Request::UpdateItem(_)
        | Request::UpdateTable(_)
        | Request::UpdateTimeToLive(_) => Need::Little,
    }
}

const fn items(count: usize) -> usize {
    count.saturating_mul(ITEM_SIZE_BYTES_MAX)
}

fn batch(count: usize, most_bytes: usize) -> Need {
    Need::Batch(items(count).min(most_bytes))
}

fn page(limit: Option<u32>) -> Need {
    Need::Page(limit.map_or(PAGE_BYTES, |limit| items(limit as usize).min(PAGE_BYTES)))
}

#[cfg(test)]
mod tests {
    use zenobe_model::operation::Operation;

    use super::*;

    fn used(budget: &AnswerBudget) -> [usize; 2] {
        [&budget.pages, &budget.unforeseen].map(Pool::used_bytes)
    }

    #[tokio::test]
    async fn an_answer_keeps_what_it_needs_until_it_is_dropped() {
        let budget = AnswerBudget::new();
        let check = async |set_aside, length, expected| {
            let room = budget.make_room(Need::Page(set_aside)).await.unwrap();
            assert_eq!(used(&budget), [set_aside, 0]);
            let answer = budget.hold(room, vec![7; length]).unwrap();
            assert_eq!(used(&budget), expected, "{set_aside} {length}");
            let part = answer.slice(length - 1..);
            drop(answer);
            assert_eq!((&part[..], used(&budget)), (&[7][..], expected));
            drop(part);
            assert_eq!(used(&budget), [0, 0]);
        };
        check(PAGE_BYTES, UNCOUNTED_BYTES, [0, 0]).await;
        check(PAGE_BYTES, UNCOUNTED_BYTES + 1, [UNCOUNTED_BYTES + 1, 0]).await;
        check(PAGE_BYTES, PAGE_BYTES, [PAGE_BYTES, 0]).await;
        check(PAGE_BYTES, PAGE_BYTES + 1, [PAGE_BYTES, 1]).await;
        check(0, UNCOUNTED_BYTES, [0, 0]).await;
        check(0, UNCOUNTED_BYTES + 1, [0, UNCOUNTED_BYTES + 1]).await;
    }

    #[tokio::test]
    async fn an_answer_without_room_is_none_and_keeps_nothing() {
        let budget = AnswerBudget::new();
        let others = budget.unforeseen.try_take(BUDGET_BYTES - UNCOUNTED_BYTES).unwrap();
        let room = budget.make_room(Need::Page(PAGE_BYTES)).await.unwrap();
        assert!(budget.hold(room, vec![0; PAGE_BYTES + UNCOUNTED_BYTES + 1]).is_none());
        assert!(budget.hold(Room::default(), vec![0; UNCOUNTED_BYTES + 1]).is_none());
        assert!(budget.hold(Room::default(), vec![0; UNCOUNTED_BYTES]).is_some());
        drop(others);
        assert_eq!(used(&budget), [0, 0]);
    }

    #[tokio::test]
    async fn pages_and_metrics_do_not_wait_for_batches() {
        let budget = AnswerBudget::new();
        let _batches = budget.make_room(Need::Batch(BUDGET_BYTES)).await.unwrap();
        let _rest = budget.unforeseen.try_take(BUDGET_BYTES).unwrap();
        assert!(budget.make_room(Need::Page(PAGE_BYTES)).await.is_some());
        let page = budget.hold_metrics(vec![0; METRICS_BYTES]);
        assert!(page.is_some() && budget.hold_metrics(vec![0]).is_none());
        drop(page);
        assert!(budget.hold_metrics(vec![0]).is_some());
    }

    #[test]
    fn nothing_is_set_aside_for_more_than_an_operation_answers_with() {
        let check = |operation, body: &str, expected| {
            let request = zenobe_wire::decode(operation, body.as_bytes()).unwrap();
            assert_eq!(need(&request), expected, "{body}");
        };
        let query =
            |more| format!(r#"{{"TableName":"Table","KeyConditionExpression":"a = :a"{more}}}"#);
        check(Operation::Query, &query(""), Need::Page(PAGE_BYTES));
        check(Operation::Query, &query(r#","Limit":1000"#), Need::Page(PAGE_BYTES));
        check(Operation::Query, &query(r#","Limit":2"#), Need::Page(2 * ITEM_SIZE_BYTES_MAX));
        check(Operation::Query, &query(r#","Select":"COUNT""#), Need::Little);
        let key = r#"{"a":{"S":"b"}}"#;
        let batch = |count| {
            let keys = vec![key; count].join(",");
            format!(r#"{{"RequestItems":{{"Table":{{"Keys":[{keys}]}}}}}}"#)
        };
        check(Operation::BatchGetItem, &batch(2), Need::Batch(2 * ITEM_SIZE_BYTES_MAX));
        check(Operation::BatchGetItem, &batch(100), Need::Batch(BATCH_GET_BYTES_MAX));
        let get = format!(r#"{{"TableName":"Table","Key":{key}}}"#);
        check(Operation::GetItem, &get, Need::Little);
    }
}
