//! The in-memory engine passes the suite with each capability switched on and off.

use std::sync::Arc;

use zenobe_storage::conformance::EngineFactory;
use zenobe_storage::memory::{FaultScript, MemoryEngine, MemoryOptions};
use zenobe_storage::{BoxFuture, Engine};

struct Memory {
    global_commit: bool,
    snapshot_read: bool,
    shared: bool,
}

impl Memory {
    fn options(&self) -> MemoryOptions {
        MemoryOptions {
            global_commit: self.global_commit,
            snapshot_read: self.snapshot_read,
            shared: self.shared,
            ..MemoryOptions::default()
        }
    }
}

impl EngineFactory for Memory {
    fn open<'a>(&'a self, _name: &'a str) -> BoxFuture<'a, Arc<dyn Engine>> {
        Box::pin(async { Arc::new(MemoryEngine::new(self.options())) as Arc<dyn Engine> })
    }

    fn open_faulty(&self, script: Arc<FaultScript>) -> Option<Arc<dyn Engine>> {
        Some(Arc::new(MemoryEngine::new(MemoryOptions { faults: Some(script), ..self.options() })))
    }
}

mod with_everything {
    use super::Memory;
    zenobe_storage::conformance_tests!(Memory {
        global_commit: true,
        snapshot_read: true,
        shared: false
    });
}

mod without_snapshots {
    use super::Memory;
    zenobe_storage::conformance_tests!(Memory {
        global_commit: true,
        snapshot_read: false,
        shared: false
    });
}

mod without_global_commit {
    use super::Memory;
    zenobe_storage::conformance_tests!(Memory {
        global_commit: false,
        snapshot_read: true,
        shared: false
    });
}

mod with_the_least {
    use super::Memory;
    zenobe_storage::conformance_tests!(Memory {
        global_commit: false,
        snapshot_read: false,
        shared: true,
    });
}

#[test]
fn the_suite_runs_on_one_factory() {
    let factory = Memory { global_commit: true, snapshot_read: true, shared: false };
    factory.block_on(Box::pin(zenobe_storage::conformance::run_all(&factory)));
}
