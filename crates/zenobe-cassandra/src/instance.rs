//! Instances: which processes may have left derived rows unwritten, and when they are dead.
//!
//! A process that commits with derived rows has a row in the table `instances`. Its heartbeat, a conditional
//! update every [`BEAT`], says two things:
//!
//! - `alive`, with a time to live of [`ALIVE_S`]: when it has ended, another process may fence the row and take
//!   over ([`crate::takeover`]);
//! - `last`: a version that none of this instance's commits with derived rows exceeds. Who takes over moves the
//!   clocks of its partitions past that, and so knows that nothing of it is still to come.
//!
//! A process uses its row only for [`USE_MAX`] after it *sent* a heartbeat that was answered, by its own clocks (of
//! both kinds: one of them stands still while a machine sleeps). It looks *after* its mark is in place
//! ([`crate::marks`]) and *before* it sends the commit. So whoever takes over began after the mark was there and
//! finds it, and no delay of the commit, be it hours, does harm: its partition's clock refuses it. A fenced
//! process finds that out with its next heartbeat, and goes on as a new instance.

use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::time::Instant;
use zenobe_storage::EngineResult;

use crate::client::Bind;
use crate::core::{Core, Verdict, verdict};
use crate::figures::Kind;
use crate::node::any_instance;
use crate::schema::REGISTRY;

/// How often a heartbeat is sent.
pub(crate) const BEAT: Duration = Duration::from_secs(2);
/// How long one lasts in the cluster, whose nodes' clocks may be apart by a few seconds.
const ALIVE_S: i32 = 12;
/// How long one lasts for the process itself.
const USE_MAX: Duration = Duration::from_secs(7);
/// How far ahead of the clock the versions are that a heartbeat allows.
const AHEAD: Duration = Duration::from_secs(15);

/// A process as others see it.
pub(crate) struct Instance {
    pub(crate) id: Bytes,
    state: Mutex<State>,
    beating: tokio::sync::Mutex<()>,
}

#[derive(Clone, Copy, Default)]
struct State {
    registered: bool,
    /// For good: what others removed is not made again under the same name.
    retired: bool,
    last: i64,
    /// When the last heartbeat that was answered was sent, by both clocks.
    beaten: Option<(Instant, u64)>,
}

impl Instance {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            id: any_instance(),
            state: Mutex::default(),
            beating: tokio::sync::Mutex::default(),
        })
    }

    pub(crate) fn is_registered(&self) -> bool {
        self.state.lock().registered
    }

    /// Whether nobody can have begun to take over, by the clocks.
    pub(crate) fn lives(&self, wall_ms: u64) -> bool {
        self.state.lock().beaten.is_some_and(|(sent, sent_ms)| {
            let by_wall = Duration::from_millis(wall_ms.saturating_sub(sent_ms));
            sent.elapsed() < USE_MAX && by_wall < USE_MAX
        })
    }

    /// Whether a commit with derived rows may have this version.
    pub(crate) fn covers(&self, version: i64, wall_ms: u64) -> bool {
        version <= self.state.lock().last && self.lives(wall_ms)
    }
}

impl Core {
    /// Sends a heartbeat. An instance that was fenced is replaced by a new one, which has sent none.
    pub(crate) async fn beat(&self, instance: &Arc<Instance>) -> EngineResult<()> {
        let asked = Instant::now();
        let _turn = instance.beating.lock().await;
        let mut state = *instance.state.lock();
        if state.beaten.is_some_and(|(sent, _)| sent > asked) {
            return Ok(());
        }
        if state.retired {
            return Ok(());
        }
        // It never goes back: a commit that relies on the last one may be on its way.
        let last = self.clock.ahead(AHEAD).max(state.last);
        let sent = (Instant::now(), self.clock.wall_ms());
        let id = Bind::Blob(instance.id.clone());
        let expected = if state.registered { Bind::Flag(false) } else { Bind::Null };
        let batch = vec![
            (&self.own.instances.beat, vec![Bind::Big(last), REGISTRY, id.clone(), expected]),
            (&self.own.instances.alive, vec![Bind::Int(ALIVE_S), REGISTRY, id]),
        ];
        match self.client.conditional(Kind::Registry, batch).await.and_then(verdict) {
            Ok(Verdict::Applied) => {
                state = State { registered: true, last, beaten: Some(sent), ..state };
                *instance.state.lock() = state;
                Ok(())
            }
            Ok(Verdict::Refused(_)) => {
                tracing::warn!("other processes took this one for dead; it goes on anew");
                self.retire(instance);
                Ok(())
            }
            Err(failure) => {
                // Perhaps it is registered by now. Nobody would renew that, others would take it over and
                // remove its marks; so it is not used.
                if !state.registered {
                    self.retire(instance);
                }
                Err(failure.error())
            }
        }
    }

    /// Goes on as a new instance. Nothing that holds the old one commits any more.
    fn retire(&self, instance: &Arc<Instance>) {
        *instance.state.lock() = State { retired: true, ..State::default() };
        self.marks.replace(instance);
    }

    /// Removes this process from those that others watch. It has nothing left to do. If this fails, others find
    /// that out.
    pub(crate) async fn sign_off(&self) {
        let instance = self.marks.instance();
        if !instance.is_registered() {
            return;
        }
        let values = vec![REGISTRY, Bind::Blob(instance.id.clone()), Bind::Flag(false)];
        let batch = vec![(&self.own.instances.remove, values)];
        if let Err(failure) = self.client.conditional(Kind::Registry, batch).await {
            tracing::info!(?failure, "the instance was not removed; others will do it");
        }
    }
}

/// Sends heartbeats and removes marks that are not needed any more, until the engine is gone.
pub(crate) async fn keep_instance(core: Weak<Core>) {
    let mut beaten = Instant::now();
    loop {
        tokio::time::sleep(BEAT / 2).await;
        let Some(core) = core.upgrade() else { return };
        let instance = core.marks.instance();
        if instance.is_registered() && beaten.elapsed() >= BEAT {
            beaten = Instant::now();
            if let Err(error) = core.beat(&instance).await {
                tracing::warn!(%error, "a heartbeat was not answered");
            }
        }
        core.sweep_marks().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_covered_while_the_heartbeat_is_fresh_by_both_clocks() {
        let instance = Instance::new();
        assert!(!instance.covers(1, 1000), "no heartbeat yet");
        let beaten = Some((Instant::now(), 1000));
        let state = State { registered: true, last: 50, beaten, retired: false };
        *instance.state.lock() = state;
        assert!(instance.covers(50, 1000) && instance.covers(50, 7999));
        assert!(!instance.covers(51, 1000));
        assert!(!instance.covers(50, 8000), "the machine slept");
        *instance.state.lock() = State { retired: true, ..State::default() };
        assert!(!instance.covers(0, 1000));
    }
}
