//! Node numbers: which process marks its versions with which number.
//!
//! A number is claimed in the table `nodes` with a time to live and renewed long before that ends. A process
//! that could not renew it for half of that time stops committing; so no two processes use one number, even
//! if one of them was stopped for long. That two clocks never give the same version rests on this.

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
use crate::schema::OwnTables;

/// How node numbers are claimed.
#[derive(Clone, Copy, Debug)]
struct Terms {
    /// The numbers to choose from: the first, and how many.
    numbers: (u16, u16),
    /// How long a claim lasts without renewal.
    claim_s: u16,
    /// How often it is renewed.
    renewal: Duration,
    /// How long after a renewal was sent the number is used.
    use_max: Duration,
}

/// For any number of processes.
const SHARED: Terms = Terms {
    numbers: (1, (1 << NODE_BITS) - 1),
    claim_s: 600,
    renewal: Duration::from_secs(60),
    use_max: Duration::from_secs(300),
};
/// For the only process: one number, and claims that end soon after a crash.
const EXCLUSIVE: Terms = Terms {
    numbers: (0, 1),
    claim_s: 30,
    renewal: Duration::from_secs(4),
    use_max: Duration::from_secs(20),
};

/// How often the terms are looked at, and how soon a claim is renewed when the cluster does not answer.
const TICK: Duration = Duration::from_secs(2);
/// How often the claim of another process is looked at.
const WAIT: Duration = Duration::from_millis(500);
/// How many numbers are tried before giving up.
const CLAIMS_MAX: u16 = 128;

/// A node number, as long as it lasts.
pub(crate) struct Lease {
    terms: Terms,
    instance: Bytes,
    state: Mutex<State>,
}

#[derive(Clone, Copy)]
struct State {
    node: u16,
    renewed: Instant,
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
    terms: Terms,
    node: u16,
) -> Result<bool, Failure> {
    let values = vec![
        Bind::Int(i32::from(node)),
        Bind::Blob(instance.clone()),
        Bind::Int(i32::from(terms.claim_s)),
    ];
    let answer = client.conditional(Kind::Registry, vec![(&own.node_claim, values)]).await?;
    Ok(matches!(verdict(answer)?, Verdict::Applied))
}

async fn claim_any(
    client: &Client,
    own: &OwnTables,
    instance: &Bytes,
    terms: Terms,
) -> EngineResult<State> {
    let mix = |sum: u16, byte: &u8| sum.wrapping_mul(31).wrapping_add(u16::from(*byte));
    let start = instance.iter().fold(0, mix);
    let mut last = None;
    let (first, count) = terms.numbers;
    for step in 0..CLAIMS_MAX.min(count) {
        let node = first + start.wrapping_add(step) % count;
        let renewed = Instant::now();
        match try_claim(client, own, instance, terms, node).await {
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
    /// Claims a number. `exclusive` is how long to wait for the claim of another exclusive process to end.
    pub(crate) async fn claim(
        client: &Client,
        own: &OwnTables,
        exclusive: Option<Duration>,
    ) -> EngineResult<Self> {
        let terms = if exclusive.is_some() { EXCLUSIVE } else { SHARED };
        let instance = any_instance();
        let patient_until = Instant::now() + exclusive.unwrap_or_default();
        loop {
            match claim_any(client, own, &instance, terms).await {
                Ok(state) => return Ok(Self { terms, instance, state: Mutex::new(state) }),
                Err(error) if Instant::now() >= patient_until => return Err(error),
                Err(_) => tokio::time::sleep(WAIT).await,
            }
        }
    }

    /// The number, if it is surely this process's still.
    pub(crate) fn node(&self) -> EngineResult<u16> {
        let state = *self.state.lock();
        if state.renewed.elapsed() < self.terms.use_max {
            Ok(state.node)
        } else {
            Err(EngineError::Unavailable("the node number could not be renewed".to_owned()))
        }
    }

    async fn renew(&self, client: &Client, own: &OwnTables) -> EngineResult<()> {
        let node = self.state.lock().node;
        let renewed = Instant::now();
        let values = vec![
            Bind::Int(i32::from(self.terms.claim_s)),
            Bind::Blob(self.instance.clone()),
            Bind::Int(i32::from(node)),
            Bind::Blob(self.instance.clone()),
        ];
        let answer = client.conditional(Kind::Registry, vec![(&own.node_renew, values)]).await;
        match answer.and_then(verdict).map_err(Failure::error)? {
            Verdict::Applied => self.state.lock().renewed = renewed,
            Verdict::Refused(_) => {
                let state = claim_any(client, own, &self.instance, self.terms).await?;
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
        if last.elapsed() >= core.lease.terms.renewal || !core.client.is_answering() {
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
    use super::*;

    #[test]
    fn instances_differ() {
        assert_eq!(any_instance().len(), 16);
        assert_ne!(any_instance(), any_instance());
    }
}
