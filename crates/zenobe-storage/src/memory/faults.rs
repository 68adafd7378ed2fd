//! Faults that tests inject into the in-memory engine.

use std::collections::BTreeMap;

use parking_lot::Mutex;

use crate::{Commit, EngineError};

/// The calls that an engine gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "each is the method of the engine with this name")]
pub enum Call {
    CreateSpace,
    DropSpace,
    Spaces,
    Get,
    MultiGet,
    Range,
    Scan,
    Commit,
    Durable,
    Snapshot,
    LogRead,
    LogCut,
    LogTrim,
    Checkpoint,
    SpaceStats,
    Close,
}

/// How a commit goes wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommitFault {
    /// Nothing happens and the call returns this.
    Fail(EngineError),
    /// The commit is made as usual, and the caller is told [`crate::Outcome::Unknown`].
    UnknownCommitted,
    /// Nothing happens, and the caller is told [`crate::Outcome::Unknown`].
    UnknownNotCommitted,
    /// The caller is told [`crate::Outcome::Unknown`], and the commit is tried just before the next one:
    /// a request that was stuck on its way.
    UnknownDelayed,
    /// A conflict, should there be one, does not tell the current row.
    HideCurrent,
}

impl CommitFault {
    /// One of each kind.
    #[must_use]
    pub fn each(error: EngineError) -> [Self; 5] {
        [
            Self::Fail(error),
            Self::UnknownCommitted,
            Self::UnknownNotCommitted,
            Self::UnknownDelayed,
            Self::HideCurrent,
        ]
    }
}

/// Decides call by call what goes wrong. Called outside the engine's lock.
pub trait Faults: Send + Sync + std::fmt::Debug {
    /// An error that the call returns instead of doing anything. Commits ask this too, first.
    fn before_call(&self, call: Call) -> Option<EngineError> {
        let _ = call;
        None
    }

    /// What goes wrong with a commit that passed the engine's checks of size and reach.
    fn on_commit(&self, commit: &Commit) -> Option<CommitFault>;
}

/// Faults by the ordinal of the call, for tests that try one at every step.
///
/// Ordinals count from 0, per kind of call, from the creation of the script or its last
/// [`reset`](FaultScript::reset).
#[derive(Debug, Default)]
pub struct FaultScript {
    plan: Mutex<Plan>,
}

#[derive(Debug, Default)]
struct Plan {
    commits: u64,
    commit_faults: BTreeMap<u64, CommitFault>,
    calls: BTreeMap<Call, u64>,
    call_faults: BTreeMap<(Call, u64), EngineError>,
}

impl FaultScript {
    /// A script without faults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes the commit with this ordinal go wrong.
    pub fn at_commit(&self, ordinal: u64, fault: CommitFault) {
        self.plan.lock().commit_faults.insert(ordinal, fault);
    }

    /// Makes the next commit go wrong.
    pub fn at_next_commit(&self, fault: CommitFault) {
        let mut plan = self.plan.lock();
        let ordinal = plan.commits;
        plan.commit_faults.insert(ordinal, fault);
    }

    /// Makes the call of this kind with this ordinal return an error.
    pub fn at_call(&self, call: Call, ordinal: u64, error: EngineError) {
        self.plan.lock().call_faults.insert((call, ordinal), error);
    }

    /// How many commits asked so far: one more than the highest ordinal used.
    #[must_use]
    pub fn commit_count(&self) -> u64 {
        self.plan.lock().commits
    }

    /// How many calls of this kind were made so far.
    #[must_use]
    pub fn call_count(&self, call: Call) -> u64 {
        self.plan.lock().calls.get(&call).copied().unwrap_or_default()
    }

    /// Forgets all faults and counts from 0 again.
    pub fn reset(&self) {
        *self.plan.lock() = Plan::default();
    }
}

impl Faults for FaultScript {
    fn before_call(&self, call: Call) -> Option<EngineError> {
        let mut plan = self.plan.lock();
        let next = plan.calls.entry(call).or_default();
        let ordinal = *next;
        *next += 1;
        plan.call_faults.remove(&(call, ordinal))
    }

    fn on_commit(&self, _commit: &Commit) -> Option<CommitFault> {
        let mut plan = self.plan.lock();
        let ordinal = plan.commits;
        plan.commits += 1;
        plan.commit_faults.remove(&ordinal)
    }
}
