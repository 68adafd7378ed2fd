//! The embedded engine passes the suite of the seam, with roomy limits and with tiny ones.

#![allow(
    clippy::unwrap_used,
    reason = "test code, outside the functions that the lint knows as such"
)]

mod support;

use std::sync::Arc;

use tempfile::TempDir;
use zenobe_local::{LocalEngine, LocalOptions};
use zenobe_storage::conformance::EngineFactory;
use zenobe_storage::{BoxFuture, Engine};

struct Local {
    directory: TempDir,
    small: bool,
}

impl Local {
    fn new(small: bool) -> Self {
        Self { directory: TempDir::new().unwrap(), small }
    }
}

impl EngineFactory for Local {
    fn open<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Arc<dyn Engine>> {
        Box::pin(async move {
            let path = self.directory.path().join(name);
            let options =
                if self.small { support::small_options(&path) } else { LocalOptions::new(path) };
            Arc::new(LocalEngine::open(options).unwrap()) as Arc<dyn Engine>
        })
    }

    fn keeps_data(&self) -> bool {
        true
    }

    fn block_on(&self, future: BoxFuture<'_, ()>) {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
            .block_on(future);
    }
}

mod roomy {
    use super::Local;
    zenobe_storage::conformance_tests!(Local::new(false));
}

mod tiny {
    use super::Local;
    zenobe_storage::conformance_tests!(Local::new(true));
}
