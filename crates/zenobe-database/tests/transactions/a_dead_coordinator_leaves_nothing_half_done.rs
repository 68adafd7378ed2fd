//! The process that makes a transaction dies after any number of calls of the engine. Whoever comes
//! next finds all of the transaction or nothing, waits no longer than its deadline, and cleans up.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Waker};

use zenobe_model::ErrorCode;
use zenobe_storage::*;

use super::support::*;

/// An engine that gives way once before each call.
struct Stepwise(Arc<dyn Engine>);

macro_rules! stepwise {
    ($($name:ident($($argument:ident: $type:ty),*) -> $result:ty;)*) => {
        $(fn $name(&self, $($argument: $type),*) -> BoxFuture<'_, EngineResult<$result>> {
            Box::pin(async move {
                tokio::task::yield_now().await;
                self.0.$name($($argument),*).await
            })
        })*
    };
}

impl Engine for Stepwise {
    fn capabilities(&self) -> Capabilities {
        self.0.capabilities()
    }

    fn partition_hash(&self, partition: &[u8]) -> u64 {
        self.0.partition_hash(partition)
    }

    fn health(&self) -> Health {
        self.0.health()
    }

    fn figures(&self) -> Vec<Figure> {
        self.0.figures()
    }

    stepwise! {
        create_space(space: SpaceId) -> ();
        drop_space(space: SpaceId) -> ();
        spaces() -> Vec<SpaceId>;
        get(key: Key, read: Read) -> Option<Row>;
        multi_get(keys: Vec<Key>, read: Read) -> Vec<Option<Row>>;
        range(range: RangeRead, read: Read) -> Page;
        scan(scan: ScanRead, read: Read) -> Page;
        commit(commit: Commit) -> Outcome;
        durable(position: Position) -> ();
        snapshot() -> Arc<dyn Snapshot>;
        log_read(shard: ShardId, after: Option<LogCursor>, limit: PageLimit) -> Vec<LoggedRecord>;
        log_trim(shard: ShardId, up_to: Position) -> ();
        checkpoint() -> ();
        space_stats(space: SpaceId) -> SpaceStats;
        close() -> ();
    }
}

/// Polls a future this often; what it came to, if it came to its end.
fn poll_times<T>(future: impl Future<Output = T>, times: usize) -> Option<T> {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    (0..times).find_map(|_| match future.as_mut().poll(&mut context) {
        std::task::Poll::Ready(done) => Some(done),
        std::task::Poll::Pending => None,
    })
}

#[tokio::test]
async fn whenever_it_dies() {
    const TRANSFER: [(&str, &str, i64); 1] = [("a", "c", 30)];
    let mut outcomes = [0, 0];
    for steps in 1.. {
        let engine = engine(false, None);
        let environment = TestEnvironment::new(1);
        let db = open(&engine, &environment).await;
        found(&db).await;
        let dying: Arc<dyn Engine> = Arc::new(Stepwise(engine.clone()));
        let dying = open(&dying, &TestEnvironment::new(2)).await;
        let done = poll_times(transact(&dying, transfer("a", "c", 30, 0)), steps);
        println!("{steps} steps");

        // Readers do not wait: they see all or nothing, at once.
        let seen = read(&db, "a").await.unwrap();
        assert_eq!(read(&db, "c").await.unwrap(), seen.map(|a| 200 - a));
        // Writers of its items are refused until its time is over, if they are in the way at all.
        if let Err(error) = add_alone(&db, "a", 1).await {
            assert_eq!(error.code, ErrorCode::TransactionConflict);
            assert_eq!(error.message, "Transaction is ongoing for the item.");
            environment.advance(6_000);
            add_alone(&db, "a", 1).await.unwrap();
        }
        let extra = |name: &str| i64::from(name == "a");
        environment.advance(6_000);
        let happened = audit(&db, &TRANSFER, extra).await[0];
        assert_eq!(seen, Some(if happened { 70 } else { 100 }), "what was seen was taken back");
        assert!(happened || done.is_none());
        outcomes[usize::from(happened)] += 1;
        clear(&db, &engine, &environment).await;
        if done.is_some() {
            break;
        }
    }
    assert!(outcomes.iter().all(|count| *count > 3), "{outcomes:?}");
}

#[tokio::test]
async fn a_token_is_free_again_when_its_transaction_has_died() {
    for steps in 1.. {
        let engine = engine(false, None);
        let environment = TestEnvironment::new(1);
        let db = open(&engine, &environment).await;
        found(&db).await;
        let dying: Arc<dyn Engine> = Arc::new(Stepwise(engine.clone()));
        let dying = open(&dying, &TestEnvironment::new(2)).await;
        let actions = || vec![add("a", 1), add("d", -1)];
        let done = poll_times(transact_with(&dying, actions(), Some("token")), steps);
        let again = transact_with(&db, actions(), Some("token")).await;
        if let Err(error) = again {
            assert_eq!(error.code, ErrorCode::TransactionInProgress);
            environment.advance(6_000);
            transact_with(&db, actions(), Some("token")).await.unwrap();
        }
        assert_eq!(read_together(&db, &["a", "d"]).await.unwrap(), [Some(101), Some(99)]);
        clear(&db, &engine, &environment).await;
        if done.is_some() {
            break;
        }
    }
}
