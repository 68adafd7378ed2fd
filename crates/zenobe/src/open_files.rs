//! Open files: the limit on them, and how many of them connections may take.
//!
//! Connections and the engine draw on the same limit, and whoever connects has shown no key yet. So connections leave
//! the engine its part: without that, clients that do no more than connect would leave it no file to write to.

use rustix::process::{Resource, getrlimit, setrlimit};

use crate::config::default;

/// For all but connections and the engine's tables: the log, tables that are being written, listeners, a cluster's nodes.
const OTHER_FILES: u64 = 100;

/// Raises the limit as far as this process may. To be called before the engine is opened, which looks at it.
pub(crate) fn raise_limit() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // Where the system has another bound beside this one, what held before goes on holding.
    let _ = setrlimit(Resource::Nofile, limit);
}

/// The limit. `None` where there is none.
pub(crate) fn limit() -> Option<u64> {
    getrlimit(Resource::Nofile).current
}

/// How many connections may be open at a time: as many as are asked for, if the limit has room for them. Says so if not.
pub(crate) fn connections(asked_for: Option<usize>) -> usize {
    let wanted = asked_for.unwrap_or(default::MAX_CONNECTIONS);
    let Some(limit) = limit() else {
        return wanted;
    };
    let max_connections = wanted.min(left_by_engine(limit));
    if max_connections < wanted {
        let said = "the limit on open files (ulimit -n) has room for fewer connections than --max-connections";
        if asked_for.is_some() {
            tracing::warn!(open_files = limit, max_connections, "{said}");
        } else {
            tracing::info!(open_files = limit, max_connections, "{said}");
        }
    }
    max_connections
}

fn left_by_engine(limit: u64) -> usize {
    let tables = zenobe_local::open_tables_max(Some(limit));
    usize::try_from(limit.saturating_sub(tables + OTHER_FILES)).unwrap_or(usize::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_the_engine_its_part() {
        let check = |limit, expected| assert_eq!(left_by_engine(limit), expected, "{limit}");
        check(1024, 1024 - 256 - 100);
        check(1 << 20, (1 << 20) - 4096 - 100);
        check(200, 200 - 64 - 100);
        // Who is that short of files is served all the same, one at a time.
        check(100, 1);
    }
}
