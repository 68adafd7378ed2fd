//! Who writes while another process deletes the table is acknowledged, as long as the writer does not know, and is
//! then told that there is no such table, and nothing else.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use zenobe_model::ErrorCode;
use zenobe_model::operation::{StreamSpecification, StreamViewType};
use zenobe_storage::memory::{Call, CommitFault, Faults, MemoryOptions};
use zenobe_storage::{Commit, EngineError, SpaceId};

use super::processes::*;
use super::support::*;

/// The first tables' spaces.
const TABLES: std::ops::Range<u64> = 16..18;

/// A store that fails writes to a space that it is dropping, as some do for a moment.
#[derive(Debug, Default)]
struct FailsWhatIsDropped {
    dropping: AtomicBool,
    failed: AtomicUsize,
}

impl Faults for FailsWhatIsDropped {
    fn before_call(&self, call: Call) -> Option<EngineError> {
        if call == Call::DropSpace {
            self.dropping.store(true, Ordering::SeqCst);
        }
        None
    }

    fn on_commit(&self, commit: &Commit) -> Option<CommitFault> {
        let to_tables = |space: SpaceId| TABLES.contains(&space.0);
        if self.dropping.load(Ordering::SeqCst)
            && commit.mutations.iter().any(|mutation| to_tables(mutation.key.space))
        {
            self.failed.fetch_add(1, Ordering::SeqCst);
            let text = "the table is being dropped".to_owned();
            return Some(CommitFault::Fail(EngineError::Unavailable(text)));
        }
        None
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn with_a_stream_and_without() {
    for streamed in [false, true] {
        let faults = Arc::new(FailsWhatIsDropped::default());
        let options = MemoryOptions { faults: Some(faults.clone()), ..shared_options() };
        let store = Store::new(options).await;
        let (one, mut other) = (Process::start(&store).await, Process::start(&store).await);
        for name in ["Music", "Other"] {
            let mut request = create(name, "pk:S sk:S", "H:pk R:sk");
            request.stream_specification = streamed.then_some(StreamSpecification {
                stream_enabled: true,
                stream_view_type: Some(StreamViewType::KeysOnly),
            });
            create_table(&one.db, request).await.unwrap();
            one.until_active(name).await;
        }
        let written = Arc::new(AtomicUsize::new(0));
        let mut writers = Vec::new();
        for writer in 0..4 {
            let (db, written) = (other.db.clone(), written.clone());
            writers.push(tokio::spawn(async move {
                for number in 0.. {
                    let text = format!("pk={writer} sk={}", number % 10);
                    match put(&db, "Music", &text).await {
                        Ok(()) => written.fetch_add(1, Ordering::SeqCst),
                        Err(error) => return error,
                    };
                    tokio::task::yield_now().await;
                }
                unreachable!()
            }));
        }
        let until_written = async |count: usize| {
            while written.load(Ordering::SeqCst) < count {
                tokio::task::yield_now().await;
            }
        };
        until_written(40).await;
        if streamed {
            // Whoever meets the end of a shard looks what became of it.
            delete_table(&one.db, "Music").await.unwrap();
        } else {
            // The other process learns nothing by itself.
            other.halt().await;
            delete_table(&one.db, "Music").await.unwrap();
            until_written(written.load(Ordering::SeqCst) + times(2_000, 100)).await;
            other.resume();
        }
        for writer in writers {
            let error = writer.await.unwrap();
            assert_eq!(error.code, ErrorCode::ResourceNotFound, "{error:?}");
            assert_eq!(error.message, "Requested resource not found");
        }
        // Its space goes all the same, and nobody else's.
        while table_spaces(one.db.engine()).await != 1 {
            tokio::task::yield_now().await;
        }
        assert_eq!(faults.failed.load(Ordering::SeqCst), 0);
        assert!(one.db.check(|_, _| ()).await.unwrap().agree());
    }
}
