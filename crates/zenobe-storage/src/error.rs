//! The errors of the seam: what the caller must do, not what went wrong inside.

use crate::SpaceId;

/// Why an engine call did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EngineError {
    /// The space does not exist (any more).
    #[error("space {} does not exist", .0.0)]
    NoSpace(SpaceId),
    /// Stored bytes are not what was written. Never retried, never read as absence.
    #[error("corrupt data: {0}")]
    Corrupt(String),
    /// The engine cannot do this now; trying again later may work.
    #[error("the engine is unavailable: {0}")]
    Unavailable(String),
    /// There is more to do than the engine takes at once. Nothing happened; trying again soon works.
    #[error("too much to do at once: {0}")]
    Overloaded(String),
    /// What takes writes is full and cannot grow, for the reason given; reads still work, and writes do again once it can.
    #[error("no room for more writes: {0}")]
    Full(String),
    /// A write to disk failed in a way that leaves it unknown what is there; reopen the engine.
    #[error("writes are refused until the engine is reopened: {0}")]
    WritesRefused(String),
    /// The commit or value exceeds what [`crate::Capabilities`] allows.
    #[error("too large for the engine: {0}")]
    TooLarge(String),
    /// The engine does not have the capability.
    #[error("the engine does not support {0}")]
    Unsupported(&'static str),
    /// The engine was closed.
    #[error("the engine is closed")]
    Closed,
}
