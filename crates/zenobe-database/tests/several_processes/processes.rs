//! Processes: databases over one store, each with a clock of its own and its background work in a task.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};

use tokio::task::JoinHandle;
use zenobe_database::Database;
use zenobe_model::operation::ResourceStatus;
use zenobe_storage::Commit;
use zenobe_storage::memory::{CommitFault, Faults, MemoryEngine, MemoryOptions};

use super::support::*;

pub(crate) struct Process {
    pub(crate) db: Database,
    pub(crate) environment: Arc<TestEnvironment>,
    background: JoinHandle<()>,
}

impl Process {
    pub(crate) async fn start(store: &Store) -> Self {
        Self::start_ahead(store, 0).await
    }

    /// A process whose clock is ahead of the others'.
    pub(crate) async fn start_ahead(store: &Store, ahead_ms: u64) -> Self {
        static STARTED: AtomicU64 = AtomicU64::new(1);
        let number = STARTED.fetch_add(1, Ordering::Relaxed);
        let environment = TestEnvironment::of_process(number, ahead_ms);
        let db = open_at(&store.engine_ahead(ahead_ms).await, environment.clone()).await;
        let worker = db.clone();
        let background = tokio::spawn(async move { worker.run_background().await });
        Self { db, environment, background }
    }

    /// Stops all that the process does by itself: it is dead, or held up.
    pub(crate) async fn halt(&mut self) {
        self.background.abort();
        let _ = (&mut self.background).await;
    }

    /// Goes on after it was held up.
    pub(crate) fn resume(&mut self) {
        let worker = self.db.clone();
        self.background = tokio::spawn(async move { worker.run_background().await });
    }

    /// Lets time pass, no more than a lease lasts, and the process hold on to its own.
    pub(crate) async fn pass(&self, ms: u64) {
        self.environment.pass(ms);
        self.environment.beat().await;
    }

    /// Waits until a table and its indexes are as they are to stay.
    pub(crate) async fn until_active(&self, table: &str) {
        loop {
            let description = describe(&self.db, table).await.unwrap();
            let indexes = &description.global_secondary_indexes;
            if description.table_status == ResourceStatus::Active
                && indexes.iter().all(|index| index.index_status == ResourceStatus::Active)
            {
                return;
            }
            tokio::task::yield_now().await;
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.background.abort();
    }
}

/// A store that processes share: in memory one that commits within a partition.
pub(crate) async fn shared_store() -> Store {
    Store::new(shared_options()).await
}

pub(crate) fn shared_options() -> MemoryOptions {
    MemoryOptions {
        global_commit: false,
        snapshot_read: false,
        native_log_order: false,
        shared: true,
        ..MemoryOptions::default()
    }
}

/// Holds up the first commit that writes a certain word from a moment on, until it is let go.
#[derive(Debug)]
pub(crate) struct HoldUp {
    word: &'static [u8],
    state: Mutex<HoldUpState>,
    changed: Condvar,
}

#[derive(Debug, PartialEq, Eq)]
enum HoldUpState {
    Before,
    Begun,
    Waiting,
    Over,
}

impl HoldUp {
    /// A store that processes share, with such a fault.
    pub(crate) fn over_store(word: &'static [u8]) -> (Store, Arc<Self>) {
        let state = Mutex::new(HoldUpState::Before);
        let faults = Arc::new(Self { word, state, changed: Condvar::new() });
        let options = MemoryOptions { faults: Some(faults.clone()), ..shared_options() };
        (Store::Memory(Arc::new(MemoryEngine::new(options))), faults)
    }

    /// Holds up the next such commit.
    pub(crate) fn begin(&self) {
        *self.state.lock().unwrap() = HoldUpState::Begun;
    }

    pub(crate) async fn until_waiting(&self) {
        while *self.state.lock().unwrap() != HoldUpState::Waiting {
            tokio::task::yield_now().await;
        }
    }

    pub(crate) fn let_go(&self) {
        *self.state.lock().unwrap() = HoldUpState::Over;
        self.changed.notify_all();
    }
}

impl Faults for HoldUp {
    fn on_commit(&self, commit: &Commit) -> Option<CommitFault> {
        let has_word = |value: &[u8]| value.windows(self.word.len()).any(|part| part == self.word);
        let mut values = commit.mutations.iter().filter_map(|mutation| mutation.value.as_deref());
        let is_it = values.any(has_word);
        let mut state = self.state.lock().unwrap();
        if is_it && *state == HoldUpState::Begun {
            *state = HoldUpState::Waiting;
            drop(self.changed.wait_while(state, |state| *state == HoldUpState::Waiting).unwrap());
        }
        None
    }
}

/// Numbers that look random and are the same in every run.
pub(crate) struct Numbers(pub(crate) u64);

impl Numbers {
    pub(crate) fn next(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.0 >> 33) % below
    }
}
