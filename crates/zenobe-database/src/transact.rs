//! Transactions: all their writes happen at one point in time, or none does.
//!
//! # With a global commit
//!
//! A transaction is one commit of [`crate::write`], with the row of its token in it. Writers of the
//! same items wait for each other at the latches, so nothing is ever refused as a conflict.
//!
//! # Without
//!
//! A transaction within one partition is such a commit, too, as long as that can hold it: like any write it
//! expects that no other transaction has an intent beside its items, and is refused as a conflict if one keeps
//! it. The row of a token is in a partition of its own. So with a token, and over several partitions,
//! [`two_phase`] does the same with commits that stay within a partition each, and tells how.
//!
//! # Tokens
//!
//! `ClientRequestToken` makes a transaction happen once in ten minutes. Its row says which request the
//! token stands for and until when; it is written with the transaction, so it is there if and only if
//! the transaction happened, and outlives the process. Rows whose time is over count for nothing and
//! are removed in the background ([`purge`]). Two requests with one token at the same time: the second
//! is told that the first is under way.
//!
//! Source: API Reference, TransactWriteItems; Developer Guide, "Managing complex workflows with
//! DynamoDB transactions".

mod purge;
mod record;
mod snapshot;
mod two_phase;

use std::collections::HashSet;

use parking_lot::Mutex;
use zenobe_model::limits::TRANSACTION_BYTES_MAX;
use zenobe_model::{ErrorCode, ServiceError};
use zenobe_storage::{Key, Read, Row, SpaceId};

pub(crate) use self::purge::purge;
use self::record::{Participant, Record, State};
pub(crate) use self::snapshot::read;
pub(crate) use self::two_phase::{meet_for, settle_interval, settle_items, settle_partition};
use crate::write::{self, ItemWrite, Refusal, Rider, Written};
use crate::{Inner, engine_failure};

/// The space of the records of transactions and of their tokens.
pub(crate) const SPACE: SpaceId = SpaceId(1);
/// How long a token is remembered.
const TOKEN_LIFE_MS: u64 = 10 * 60 * 1000;
/// How often a transaction starts again because another process has written the row of its token.
const TOKEN_RETRIES_MAX: usize = 8;

/// What makes a request with the same token the same request.
#[derive(Clone, Debug)]
pub(crate) struct Token {
    /// `ClientRequestToken`
    pub(crate) name: String,
    /// A hash of the parameters that must not differ.
    pub(crate) fingerprint: u128,
}

/// What became of a transaction.
#[derive(Debug)]
pub(crate) enum Done {
    /// It was made: what each write did.
    Written(Vec<Written>),
    /// It was made before, under the same token.
    Replayed,
}

/// The tokens of the transactions that this process is about.
#[derive(Default)]
pub(crate) struct Tokens {
    in_flight: Mutex<HashSet<String>>,
}

/// The right to use a token, until dropped.
struct Claim<'a> {
    tokens: &'a Tokens,
    name: &'a str,
}

impl Tokens {
    fn claim<'a>(&'a self, name: &'a str) -> Result<Claim<'a>, ServiceError> {
        if self.in_flight.lock().insert(name.to_owned()) {
            Ok(Claim { tokens: self, name })
        } else {
            Err(in_progress())
        }
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        self.tokens.in_flight.lock().remove(self.name);
    }
}

fn in_progress() -> ServiceError {
    ServiceError::new(
        ErrorCode::TransactionInProgress,
        "The transaction with the given request token is already in progress.",
    )
}

/// Makes all writes or none, once for a token. No two of the writes may name the same item.
///
/// # Errors
/// `TransactionCanceledException` with a reason for each write that refused,
/// `IdempotentParameterMismatchException`, `TransactionInProgressException`, what refuses the request
/// as a whole, or the engine's error.
pub(crate) async fn write(
    db: &Inner,
    writes: &[ItemWrite],
    token: Option<&Token>,
) -> Result<Done, ServiceError> {
    let Some(token) = token else {
        let made = write_once(db, writes).await;
        return made.map(Done::Written).map_err(|refusal| cancelled(refusal, writes));
    };
    let global = db.engine.capabilities().global_commit;
    let _claim = db.tokens.claim(&token.name)?;
    for _ in 0..TOKEN_RETRIES_MAX {
        let Some(begin) = Begin::tokened(db, token).await? else { return Ok(Done::Replayed) };
        let made = if global {
            let rider = Rider {
                key: begin.key,
                before: begin.before,
                value: begin.record.committed(expiry(db)).encode(),
            };
            write::commit_all(db, writes, Some(&rider), TRANSACTION_BYTES_MAX).await
        } else {
            two_phase::write(db, writes, begin).await
        };
        match made {
            Err(Refusal::Rider) => {}
            made => {
                return made.map(Done::Written).map_err(|refusal| cancelled(refusal, writes));
            }
        }
    }
    tracing::warn!("the row of a token met too many conflicts");
    Err(in_progress())
}

/// Makes all writes or none, without a token.
async fn write_once(db: &Inner, writes: &[ItemWrite]) -> Result<Vec<Written>, Refusal> {
    let global = db.engine.capabilities().global_commit;
    if global || are_in_one_partition(writes) {
        let made = write::commit_all(db, writes, None, TRANSACTION_BYTES_MAX).await;
        if global || !matches!(made, Err(Refusal::TooLarge)) {
            return made;
        }
    }
    two_phase::write(db, writes, Begin::untokened(db)).await
}

fn are_in_one_partition(writes: &[ItemWrite]) -> bool {
    let are_beside = |a: &ItemWrite, b: &ItemWrite| {
        a.table.space == b.table.space && a.place.partition == b.place.partition
    };
    writes.windows(2).all(|pair| matches!(pair, [a, b] if are_beside(a, b)))
}

fn expiry(db: &Inner) -> u64 {
    db.environment.now_ms().saturating_add(TOKEN_LIFE_MS)
}

fn cancelled(refusal: Refusal, writes: &[ItemWrite]) -> ServiceError {
    match refusal {
        Refusal::Request(error) => error,
        Refusal::Actions(actions) => ServiceError::cancelled(actions),
        Refusal::Rider => in_progress(),
        Refusal::Contended => {
            ServiceError::cancelled(writes.iter().map(|_| Some(conflict())).collect())
        }
        Refusal::TooLarge => {
            tracing::error!("a transaction is too large for a commit of the engine");
            ServiceError::internal()
        }
    }
}

/// The error of an action that met another transaction. Source: API Reference, TransactWriteItems,
/// "Cancellation reason codes".
pub(crate) fn conflict() -> ServiceError {
    ServiceError::new(ErrorCode::TransactionConflict, "Transaction is ongoing for the item.")
}

/// Where a transaction begins: the row that it will be recorded in, and what is there.
struct Begin {
    key: Key,
    before: Option<Row>,
    record: Record,
}

impl Begin {
    fn untokened(db: &Inner) -> Self {
        let record = Record::new(db.environment.random(), 0);
        Self { key: record::key_of_attempt(record.attempt), before: None, record }
    }

    /// `None` if the transaction was made before.
    async fn tokened(db: &Inner, token: &Token) -> Result<Option<Self>, ServiceError> {
        let key = record::key_of_token(&token.name);
        let mut before = get(db, key.clone(), Read::Latest).await?;
        if let Some(row) = &before {
            let found = Record::decode(&row.value)?;
            let over = found.deadline_ms <= db.environment.now_ms();
            match found.state {
                State::Committed if !over => {
                    if found.fingerprint != token.fingerprint {
                        return Err(ServiceError::new(
                            ErrorCode::IdempotentParameterMismatch,
                            "The request uses the same client token as a previous, but non-identical request.",
                        ));
                    }
                    // The answer says that it happened, so that must be durable.
                    get(db, key, Read::Strong).await?;
                    return Ok(None);
                }
                State::Pending if !over => return Err(in_progress()),
                State::Committed | State::Pending | State::Aborted => {
                    before = two_phase::finish(db, &key, row.clone()).await?;
                }
            }
        }
        let record = Record::new(db.environment.random(), token.fingerprint);
        Ok(Some(Self { key, before, record }))
    }
}

async fn get(db: &Inner, key: Key, read: Read) -> Result<Option<Row>, ServiceError> {
    db.engine.get(key, read).await.map_err(|error| engine_failure(&error))
}

/// The participants of a transaction: its items.
fn participants(writes: &[ItemWrite]) -> Vec<Participant> {
    writes
        .iter()
        .map(|write| Participant {
            space: write.table.space,
            partition: write.place.partition.clone(),
            sort: write.place.sort.clone(),
        })
        .collect()
}
