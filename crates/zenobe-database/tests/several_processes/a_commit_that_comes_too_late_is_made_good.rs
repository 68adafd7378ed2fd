//! A process is stopped in the middle of a commit, others take it for dead and make an index; when it goes on, the
//! commit happens after all. The index has the item's entry by the time at which the client is answered.

use std::sync::{Arc, Condvar, Mutex};

use zenobe_storage::Commit;
use zenobe_storage::memory::{CommitFault, Faults, MemoryEngine, MemoryOptions};

use super::processes::*;
use super::support::*;

/// Holds up the commit that writes a certain word, until it is let go.
#[derive(Debug, Default)]
struct HoldUp {
    state: Mutex<(bool, bool)>,
    changed: Condvar,
}

const WORD: &[u8] = b"heldup";

impl HoldUp {
    fn is_waiting(&self) -> bool {
        self.state.lock().unwrap().0
    }

    fn let_go(&self) {
        self.state.lock().unwrap().1 = true;
        self.changed.notify_all();
    }
}

impl Faults for HoldUp {
    fn on_commit(&self, commit: &Commit) -> Option<CommitFault> {
        let is_it = commit.mutations.iter().any(|mutation| {
            let value = mutation.value.as_deref().unwrap_or_default();
            value.windows(WORD.len()).any(|window| window == WORD)
        });
        let mut state = self.state.lock().unwrap();
        if is_it && !state.0 {
            state.0 = true;
            while !state.1 {
                state = self.changed.wait(state).unwrap();
            }
        }
        None
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 6)]
async fn the_entry_is_there_when_the_client_is_answered() {
    let faults = Arc::new(HoldUp::default());
    let options = MemoryOptions { faults: Some(faults.clone()), ..shared_options() };
    let store = Store::Memory(Arc::new(MemoryEngine::new(options)));
    let one = Process::start(&store).await;
    let mut other = Process::start(&store).await;
    create_table(&one.db, create("Music", "pk:S", "H:pk")).await.unwrap();
    put(&other.db, "Music", "pk=1 g=old").await.unwrap();
    one.until_active("Music").await;

    other.halt().await;
    let db = other.db.clone();
    let late = tokio::spawn(async move { put(&db, "Music", "pk=1 g=new word=heldup").await });
    while !faults.is_waiting() {
        tokio::task::yield_now().await;
    }
    let mut request = update("Music");
    request.attribute_definitions = Some(definitions("g:S"));
    request.global_secondary_index_updates = Some(create_index(gsi("ByG", "H:g", "KEYS_ONLY")));
    update_table(&one.db, request).await.unwrap();
    other.environment.pass(60_000);
    for _ in 0..8 {
        one.pass(6_000).await;
    }
    one.until_active("Music").await;
    assert_eq!(scan(&one.db, "Music", Some("ByG")).await.unwrap(), ["g=old pk=1"]);

    faults.let_go();
    late.await.unwrap().unwrap();
    assert_eq!(scan(&one.db, "Music", Some("ByG")).await.unwrap(), ["g=new pk=1"]);
    assert_eq!(scan(&one.db, "Music", None).await.unwrap(), ["g=new pk=1 word=heldup"]);
}
