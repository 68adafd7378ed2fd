//! The memory of answers: set aside before an operation reads much, held until the client has taken the answer.
//!
//! A client may ask for megabytes and take none of them. They wait here until the write timeout, for each request that may
//! be under way on each connection; so what all of them take together is counted, and who asks for more waits a while
//! and is then refused. There are two budgets, so that single items are answered while pages and batches wait:
//!
//! - of what pages and batches may read, which is set aside before they do;
//! - of the rest, which is taken when the answer is there, so that nobody waits for it: answers to operations on one
//!   item, and what JSON is longer than the items are, or a page than its megabyte.
//!
//! Short answers are not counted. On all streams of a connection of HTTP/2 those are a megabyte, as much as its
//! requests may have there.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use zenobe_model::limits::{
    BATCH_GET_BYTES_MAX, ITEM_SIZE_BYTES_MAX, PAGE_BYTES, TRANSACTION_BYTES_MAX,
};
use zenobe_model::operation::{Request, Select};
use zenobe_storage::Figure;

/// Each of the two budgets, in bytes.
const BUDGET_BYTES: usize = 256 << 20;
/// Answers up to this length, in bytes, are not counted.
const UNCOUNTED_BYTES: usize = 4 << 10;
/// How long an operation waits for room.
const PATIENCE: Duration = Duration::from_secs(5);

/// The memory that answers take together.
#[derive(Clone, Debug)]
pub(crate) struct AnswerBudget {
    /// For what pages and batches may read.
    foreseen: Pool,
    /// For the rest.
    unforeseen: Pool,
}

/// The bytes of a budget that are free.
#[derive(Clone, Debug)]
struct Pool(Arc<Semaphore>);

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
    fn new() -> Self {
        Self(Arc::new(Semaphore::new(BUDGET_BYTES)))
    }

    fn try_take(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        self.0.clone().try_acquire_many_owned(u32::try_from(bytes).ok()?).ok()
    }

    async fn take(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        self.0.clone().acquire_many_owned(u32::try_from(bytes).ok()?).await.ok()
    }

    fn used_bytes(&self) -> usize {
        BUDGET_BYTES.saturating_sub(self.0.available_permits())
    }
}

impl AnswerBudget {
    /// A budget of which nothing is used.
    pub(crate) fn new() -> Self {
        Self { foreseen: Pool::new(), unforeseen: Pool::new() }
    }

    /// Sets so much aside. `None` when others keep it for too long.
    pub(crate) async fn make_room(&self, bytes: usize) -> Option<Room> {
        if bytes == 0 {
            return Some(Room::default());
        }
        let taken = match self.foreseen.try_take(bytes) {
            Some(taken) => Some(taken),
            None => tokio::time::timeout(PATIENCE, self.foreseen.take(bytes)).await.ok().flatten(),
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

    /// What is used, for the metrics page.
    pub(crate) fn figure(&self) -> Figure {
        Figure {
            name: "answer_bytes_held",
            help: "Memory for answers under way or not yet taken by their clients, short ones apart, in bytes.",
            value: (self.foreseen.used_bytes() + self.unforeseen.used_bytes()) as f64,
        }
    }
}

/// How much to set aside for the answer: what the operation may read for it, as items count.
///
/// Nothing for operations on one item: they should not wait for those on many, and few answer with much. Where there is
/// no room for the answer of a write, its client does not learn that it is done; that is answered as any outcome is that
/// is unknown.
pub(crate) fn most_bytes(request: &Request) -> usize {
    match request {
        Request::BatchExecuteStatement(request) => {
            items(request.statements.len()).min(BATCH_GET_BYTES_MAX)
        }
        Request::BatchGetItem(request) => {
            let keys = request.request_items.values().map(|table| table.keys.len());
            items(keys.sum()).min(BATCH_GET_BYTES_MAX)
        }
        Request::ExecuteTransaction(request) => {
            items(request.statements.len()).min(TRANSACTION_BYTES_MAX)
        }
        Request::TransactGetItems(request) => {
            items(request.transact_items.len()).min(TRANSACTION_BYTES_MAX)
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
        | Request::UpdateTimeToLive(_) => 0,
    }
}

const fn items(count: usize) -> usize {
    count.saturating_mul(ITEM_SIZE_BYTES_MAX)
}

fn page(limit: Option<u32>) -> usize {
    limit.map_or(PAGE_BYTES, |limit| items(limit as usize).min(PAGE_BYTES))
}

#[cfg(test)]
mod tests {
    use zenobe_model::operation::Operation;

    use super::*;

    fn used(budget: &AnswerBudget) -> [usize; 2] {
        [&budget.foreseen, &budget.unforeseen].map(Pool::used_bytes)
    }

    #[tokio::test]
    async fn an_answer_keeps_what_it_needs_until_it_is_dropped() {
        let budget = AnswerBudget::new();
        let check = async |set_aside, length, expected| {
            let room = budget.make_room(set_aside).await.unwrap();
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
        let room = budget.make_room(PAGE_BYTES).await.unwrap();
        assert!(budget.hold(room, vec![0; PAGE_BYTES + UNCOUNTED_BYTES + 1]).is_none());
        assert!(budget.hold(Room::default(), vec![0; UNCOUNTED_BYTES + 1]).is_none());
        assert!(budget.hold(Room::default(), vec![0; UNCOUNTED_BYTES]).is_some());
        drop(others);
        assert_eq!(used(&budget), [0, 0]);
    }

    #[test]
    fn nothing_is_set_aside_for_more_than_an_operation_answers_with() {
        let check = |operation, body: &str, expected| {
            let request = zenobe_wire::decode(operation, body.as_bytes()).unwrap();
            assert_eq!(most_bytes(&request), expected, "{body}");
        };
        let query =
            |more| format!(r#"{{"TableName":"Table","KeyConditionExpression":"a = :a"{more}}}"#);
        check(Operation::Query, &query(""), PAGE_BYTES);
        check(Operation::Query, &query(r#","Limit":1000"#), PAGE_BYTES);
        check(Operation::Query, &query(r#","Limit":2"#), 2 * ITEM_SIZE_BYTES_MAX);
        check(Operation::Query, &query(r#","Select":"COUNT""#), 0);
        let key = r#"{"a":{"S":"b"}}"#;
        let batch = |count| {
            let keys = vec![key; count].join(",");
            format!(r#"{{"RequestItems":{{"Table":{{"Keys":[{keys}]}}}}}}"#)
        };
        check(Operation::BatchGetItem, &batch(2), 2 * ITEM_SIZE_BYTES_MAX);
        check(Operation::BatchGetItem, &batch(100), BATCH_GET_BYTES_MAX);
        let get = format!(r#"{{"TableName":"Table","Key":{key}}}"#);
        check(Operation::GetItem, &get, 0);
    }
}
