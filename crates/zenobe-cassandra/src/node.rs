//! Node numbers: which process marks its versions with which number.
//!
//! A number is claimed in the table `nodes` with a time to live and renewed long before that ends. A process
//! that could not renew it for half of that time, by one of its clocks (one of them stands still while a machine
//! sleeps), stops committing; so no two processes use one number, even if one of them was stopped for long. That two
//! clocks never give the same version rests on this.

use std::hash::{BuildHasher as _, Hasher as _};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::time::Instant;
use zenobe_storage::{EngineError, EngineResult};

use crate::client::{Bind, Client, Failure};
use crate::clock::NODE_BITS;
use crate::core::{Core, Verdict, verdict};
use crate::figures::Kind;
use crate::options::WallClock;
use crate::schema::OwnTables;

/// The numbers to choose from: the first, and how many.
const NUMBERS: (u16, u16) = (1, (1 << NODE_BITS) - 1);
/// How long a claim lasts without renewal.
const CLAIM_S: u16 = 600;
/// How often it is renewed.
const RENEWAL: Duration = Duration::from_secs(60);
/// How long after a renewal was sent the number is used.
const USE_MAX: Duration = Duration::from_secs(300);

/// How often it is looked whether that is due, and how soon a claim is renewed when the cluster does not answer.
const TICK: Duration = Duration::from_secs(2);
/// How many numbers are tried before giving up.
const CLAIMS_MAX: u16 = 128;

/// A node number, as long as it lasts.
pub(crate) struct Lease {
    instance: Bytes,
    wall: WallClock,
    state: Mutex<State>,
}

#[derive(Clone, Copy)]
struct State {
    node: u16,
    renewed: Moment,
}

/// A time by both clocks.
#[derive(Clone, Copy)]
struct Moment {
    at: Instant,
    wall_ms: u64,
}

impl Moment {
    fn now(wall: &WallClock) -> Self {
        Self { at: Instant::now(), wall_ms: wall() }
    }

    /// How long ago it was, by the clock that says more.
    fn age(self, now: Self) -> Duration {
        let by_wall = Duration::from_millis(now.wall_ms.saturating_sub(self.wall_ms));
        now.at.duration_since(self.at).max(by_wall)
    }
}

/// Sixteen bytes that no other process has.
pub(crate) fn any_instance() -> Bytes {
    // The standard library seeds each of these from the operating system's randomness.
    let word = || std::hash::RandomState::new().build_hasher().finish().to_be_bytes();
    [word(), word()].concat().into()
}

async fn try_claim(
    client: &Client,
    own: &OwnTables,
    instance: &Bytes,
    node: u16,
) -> Result<bool, Failure> {
    let values = vec![
        Bind::Int(i32::from(node)),
        Bind::Blob(instance.clone()),
        Bind::Int(i32::from(CLAIM_S)),
    ];
    let answer = client.conditional(Kind::Registry, vec![(&own.node_claim, values)]).await?;
    Ok(matches!(verdict(answer)?, Verdict::Applied))
}

async fn claim_any(
    client: &Client,
    own: &OwnTables,
    instance: &Bytes,
    wall: &WallClock,
) -> EngineResult<State> {
    let mix = |sum: u16, byte: &u8| sum.wrapping_mul(31).wrapping_add(u16::from(*byte));
    let start = instance.iter().fold(0, mix);
    let mut last = None;
    let (first, count) = NUMBERS;
    for step in 0..CLAIMS_MAX.min(count) {
        let node = first + start.wrapping_add(step) % count;
        let renewed = Moment::now(wall);
        match try_claim(client, own, instance, node).await {
            Ok(true) => return Ok(State { node, renewed }),
            Ok(false) => {}
            // Perhaps claimed and perhaps not; nobody uses it until the claim ends.
            Err(failure) => last = Some(failure),
        }
    }
    Err(last.map_or_else(
        || {
            EngineError::Unavailable(
                "other processes use all node numbers of the keyspace".to_owned(),
            )
        },
        Failure::error,
    ))
}

impl Lease {
    /// Claims a number.
    pub(crate) async fn claim(
        client: &Client,
        own: &OwnTables,
        wall: WallClock,
    ) -> EngineResult<Self> {
        let instance = any_instance();
        let state = claim_any(client, own, &instance, &wall).await?;
        Ok(Self { instance, wall, state: Mutex::new(state) })
    }

    /// The number, if it is surely this process's still.
    pub(crate) fn node(&self) -> EngineResult<u16> {
        let state = *self.state.lock();
        if state.renewed.age(Moment::now(&self.wall)) < USE_MAX {
            Ok(state.node)
        } else {
            Err(EngineError::Unavailable("the node number could not be renewed".to_owned()))
        }
    }

    async fn renew(&self, client: &Client, own: &OwnTables) -> EngineResult<()> {
        let node = self.state.lock().node;
        let renewed = Moment::now(&self.wall);
        let values = vec![
            Bind::Int(i32::from(CLAIM_S)),
            Bind::Blob(self.instance.clone()),
            Bind::Int(i32::from(node)),
            Bind::Blob(self.instance.clone()),
        ];
        let answer = client.conditional(Kind::Registry, vec![(&own.node_renew, values)]).await;
        match answer.and_then(verdict).map_err(Failure::error)? {
            Verdict::Applied => self.state.lock().renewed = renewed,
            Verdict::Refused(_) => {
                let state = claim_any(client, own, &self.instance, &self.wall).await?;
                *self.state.lock() = state;
            }
        }
        Ok(())
    }

    /// Gives the number back. If that fails it ends by itself.
    pub(crate) async fn release(&self, client: &Client, own: &OwnTables) {
        let node = self.state.lock().node;
        let values = vec![Bind::Int(i32::from(node)), Bind::Blob(self.instance.clone())];
        if let Err(failure) =
            client.conditional(Kind::Registry, vec![(&own.node_release, values)]).await
        {
            tracing::info!(?failure, "the node number was not given back; it ends by itself");
        }
    }
}

/// Renews the node number until the engine is gone.
pub(crate) async fn keep_lease(core: std::sync::Weak<Core>) {
    let mut last = Instant::now();
    loop {
        tokio::time::sleep(TICK).await;
        let Some(core) = core.upgrade() else { return };
        if core.check_open().is_err() {
            return;
        }
        // By the other clock it may have ended already.
        let is_due = last.elapsed() >= RENEWAL || core.lease.node().is_err();
        if is_due || !core.client.is_answering() {
            last = Instant::now();
            renew_once(&core).await;
        }
    }
}

async fn renew_once(core: &Arc<Core>) {
    if let Err(error) = core.lease.renew(&core.client, &core.own).await {
        tracing::warn!(%error, "the node number was not renewed");
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    #[test]
    fn instances_differ() {
        assert_eq!(any_instance().len(), 16);
        assert_ne!(any_instance(), any_instance());
    }

    #[test]
    fn a_number_is_used_while_it_is_fresh_by_both_clocks() {
        let now_ms = Arc::new(AtomicU64::new(1_000_000));
        let wall: WallClock = {
            let now_ms = Arc::clone(&now_ms);
            Arc::new(move || now_ms.load(Ordering::SeqCst))
        };
        let state = State { node: 7, renewed: Moment::now(&wall) };
        let lease = Lease { instance: any_instance(), wall, state: Mutex::new(state) };
        assert_eq!(lease.node(), Ok(7));
        now_ms.fetch_add(299_000, Ordering::SeqCst);
        assert_eq!(lease.node(), Ok(7));
        now_ms.fetch_add(1000, Ordering::SeqCst);
        assert!(lease.node().is_err(), "the machine slept");
        now_ms.store(0, Ordering::SeqCst);
        assert_eq!(lease.node(), Ok(7), "the time of day was set back");
        let earlier = Instant::now().checked_sub(USE_MAX).unwrap();
        lease.state.lock().renewed.at = earlier;
        assert!(lease.node().is_err(), "it was not renewed");
    }
}
