//! Processes that share a catalogue: what each follows, and what they have to agree on.
//!
//! Each process keeps the catalogue in memory and works by that. Where the store is shared
//! ([`zenobe_storage::Capabilities::shared`]) each is a *member*, with a row in the catalogue's partition that
//! it renews with every [`BEAT`] and that says which change of the catalogue it *follows*: all that it
//! commits is planned with this change or a later one. The versions of the commits that change the catalogue
//! number the changes; all are in one partition, so they grow.
//!
//! # Tables
//!
//! - A change of the catalogue expects that there was no other since its process looked ([`Catalog::refresh`]).
//! - A table is changed again only when all members follow its last change ([`Catalog::await_agreement`]). So
//!   of each table only two neighbouring states are live at once; that these two go together is the
//!   business of whoever makes the change (an index is kept before it is filled, and filled before it is
//!   read: [`crate::background`]).
//! - A table of a name that was deleted is made only when all members follow the deletion.
//!
//! # Leases
//!
//! A member commits to items only for [`HOLD_MS`] after it began to renew its row. One whose row has not changed
//! for [`DEAD_MS`], by the watch of the one who looks, is dead: its row is removed, and nobody waits for it any
//! more. In between lies more than an engine takes for a commit. A member that finds itself removed was
//! held up for long: it joins anew, in another *epoch*, and what was planned in the one before is refused
//! ([`Catalog::check_may_commit`]). A process that is stopped between that check and the commit may still come
//! too late; it notices when it goes on, and makes the index entries good before it answers
//! ([`crate::background::make_good`]). Only time that passes counts, never what clocks show: they may differ.
//!
//! # Work
//!
//! Background work is claimed, piece by piece ([`Catalog::claim`]), by the member that a hash of work and members
//! prefers; so it is spread, and moves when members come and go. A claim is a row that names a member
//! and ends with it. Its version is the fencing token: what the work writes into the catalogue expects it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use minicbor::{Decode, Encode};
use parking_lot::Mutex;
use zenobe_model::ServiceError;
use zenobe_storage::{
    Commit, Engine, EngineError, Expect, Mutation, Outcome, Precondition, Read, SpaceId, Version,
};

use super::change::{drop_row, expect};
use super::rows::{self, CatalogRow};
use super::{Catalog, Table, contended, corrupt_row, failed, stored};
use crate::Inner;
use crate::environment::Environment;

/// How often a member renews its row and looks at the others.
pub(crate) const BEAT: Duration = Duration::from_secs(1);
/// For how long a member may commit after it began to renew its row, in milliseconds.
const HOLD_MS: u64 = 10_000;
/// After how long without a change of its row a member is dead, in milliseconds.
const DEAD_MS: u64 = 30_000;
/// How often to look whether all follow a change.
const AGREEMENT_POLL: Duration = Duration::from_millis(100);
/// How long a change waits for all to follow the one before: longer than a member takes to be dead.
const AGREEMENT_WAIT_MS: u64 = DEAD_MS + HOLD_MS;

/// What names a member: random.
pub(crate) type MemberId = [u8; 16];

/// A member's row.
#[derive(Clone, Debug, Encode, Decode)]
struct StoredMember {
    /// The version of the change that the member follows.
    #[n(0)]
    followed: u64,
    /// Goes up, so that no two rows are alike.
    #[n(1)]
    beat: u64,
}

/// What this process knows of those it shares the catalogue with.
pub(crate) struct Agreement {
    id: MemberId,
    /// How often this process was taken for dead.
    epoch: AtomicU64,
    state: Mutex<State>,
    /// Held while the row is renewed.
    beating: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct State {
    /// The change that this process's tables show.
    known: u64,
    /// The change that this process follows, as its row says.
    followed: u64,
    /// The version of its row.
    row: Option<Version>,
    beat: u64,
    /// Until when it may commit, by [`Environment::elapsed_ms`].
    held_until_ms: u64,
    others: HashMap<MemberId, Other>,
    claims: HashMap<String, Version>,
    /// Spaces that members have allocated for tables that they are about to make.
    allocated: Vec<(SpaceId, MemberId, Version)>,
}

/// Another member, as it was last seen.
struct Other {
    row: Version,
    followed: u64,
    /// Since when its row has not changed, by [`Environment::elapsed_ms`].
    since_ms: u64,
}

fn unavailable(what: &str) -> ServiceError {
    failed(EngineError::Unavailable(what.to_owned()))
}

impl Agreement {
    /// Becomes a member: before the catalogue is read, so that no change is missed.
    pub(super) async fn join(
        engine: &dyn Engine,
        environment: &dyn Environment,
    ) -> Result<Self, EngineError> {
        let state = State { held_until_ms: environment.elapsed_ms() + HOLD_MS, ..State::default() };
        let agreement = Self {
            id: environment.random().to_be_bytes(),
            epoch: AtomicU64::new(1),
            state: Mutex::new(state),
            beating: tokio::sync::Mutex::default(),
        };
        match engine.commit(agreement.renewal(None, 0)).await? {
            Outcome::Committed { version, .. } => agreement.state.lock().row = Some(version),
            Outcome::Conflict { .. } | Outcome::Closed { .. } | Outcome::Unknown => {
                let text = "joining the processes that share the store failed";
                return Err(EngineError::Unavailable(text.to_owned()));
            }
        }
        Ok(agreement)
    }

    /// The commit that renews the row, or makes it.
    fn renewal(&self, before: Option<Version>, followed: u64) -> Commit {
        let mut state = self.state.lock();
        state.beat += 1;
        let member = StoredMember { followed, beat: state.beat };
        let row = CatalogRow::Member(self.id);
        Commit {
            preconditions: vec![Precondition {
                key: row.key(),
                expect: before.map_or(Expect::Absent, Expect::At),
            }],
            mutations: vec![row.put(stored::encode(&member))],
            ..Commit::default()
        }
    }

    /// The member that work with this name is for: everybody who sees the same members says the same.
    fn preferred(&self, work: &str) -> MemberId {
        let weight = |id: &MemberId| {
            let mut bytes = id.to_vec();
            bytes.extend_from_slice(work.as_bytes());
            xxhash_rust::xxh3::xxh3_64(&bytes)
        };
        let state = self.state.lock();
        let members = state.others.keys().chain(std::iter::once(&self.id));
        members.max_by_key(|id| (weight(id), **id)).copied().unwrap_or(self.id)
    }

    /// Whether a member is alive, as far as was seen.
    fn is_member(&self, id: &MemberId) -> bool {
        *id == self.id || self.state.lock().others.contains_key(id)
    }
}

impl Catalog {
    /// Whether other processes may change the catalogue.
    pub(crate) const fn is_shared(&self) -> bool {
        self.agreement.is_some()
    }

    /// This process among those that share the catalogue.
    pub(super) fn member(&self) -> Option<MemberId> {
        self.agreement.as_ref().map(|agreement| agreement.id)
    }

    /// How often this process was taken for dead; what it planned before must not be committed.
    pub(super) fn epoch(&self) -> u64 {
        self.agreement.as_ref().map_or(0, |agreement| agreement.epoch.load(Ordering::SeqCst))
    }

    /// Takes note of the change that the tables of this process show.
    pub(super) fn changed(&self, version: Version) {
        if let Some(agreement) = &self.agreement {
            let mut state = agreement.state.lock();
            state.known = state.known.max(version.0);
        }
    }

    /// Makes a commit one that changes the catalogue, as this process knows it.
    pub(super) fn add_generation(&self, commit: &mut Commit) {
        let Some(agreement) = &self.agreement else { return };
        let known = agreement.state.lock().known;
        let expect = if known == 0 { Expect::Absent } else { Expect::At(Version(known)) };
        commit.preconditions.push(Precondition { key: CatalogRow::Generation.key(), expect });
        commit.mutations.push(CatalogRow::Generation.put(stored::encode(&())));
    }

    /// Takes over what was read as of a change.
    pub(super) fn loaded(&self, known: u64, allocated: Vec<(SpaceId, MemberId, Version)>) {
        if let Some(agreement) = &self.agreement {
            let mut state = agreement.state.lock();
            (state.known, state.allocated) = (known, allocated);
        }
    }

    /// Whether this process may commit what was planned with these tables.
    ///
    /// # Errors
    /// `ServiceUnavailable` if it lost touch with the others, or had lost it since the tables were looked up.
    pub(crate) fn check_may_commit<'t>(
        &self,
        db: &Inner,
        mut tables: impl Iterator<Item = &'t Table>,
    ) -> Result<(), ServiceError> {
        let Some(agreement) = &self.agreement else { return Ok(()) };
        let epoch = agreement.epoch.load(Ordering::SeqCst);
        let held_until_ms = agreement.state.lock().held_until_ms;
        if db.environment.elapsed_ms() >= held_until_ms || tables.any(|table| table.epoch != epoch)
        {
            return Err(unavailable(
                "this process has lost touch with those it shares the store with",
            ));
        }
        Ok(())
    }

    /// Whether a commit that began at this time, by [`Environment::elapsed_ms`], ended so late that others may
    /// have taken this process for dead and have changed tables since without waiting for it.
    pub(crate) fn may_be_late(&self, db: &Inner, begun_ms: u64) -> bool {
        self.is_shared()
            && db.environment.elapsed_ms().saturating_sub(begun_ms) >= DEAD_MS - HOLD_MS
    }

    /// The change that the tables of this process show.
    pub(crate) fn known(&self) -> u64 {
        self.agreement.as_ref().map_or(0, |agreement| agreement.state.lock().known)
    }

    /// Reads the catalogue again if it was changed since.
    ///
    /// # Errors
    /// What the engine answered, or that a row does not decode.
    pub(crate) async fn refresh(&self, db: &Inner) -> Result<(), ServiceError> {
        if self.is_shared()
            && rows::generation(db.engine.as_ref()).await.map_err(failed)? != self.known()
        {
            self.reload(db).await?;
        }
        Ok(())
    }

    /// Renews this process's row, follows what others changed, and removes members that are dead.
    ///
    /// # Errors
    /// What the engine answered.
    pub(crate) async fn beat(&self, db: &Inner) -> Result<(), ServiceError> {
        let Some(agreement) = &self.agreement else { return Ok(()) };
        let _turn = agreement.beating.lock().await;
        let begun_ms = db.environment.elapsed_ms();
        self.refresh(db).await?;
        self.renew(db, agreement, begun_ms).await?;
        self.look_at_others(db, agreement).await
    }

    async fn renew(
        &self,
        db: &Inner,
        agreement: &Agreement,
        begun_ms: u64,
    ) -> Result<(), ServiceError> {
        let followed = self.followed(agreement);
        let row = agreement.state.lock().row;
        let commit = agreement.renewal(row, followed);
        match db.engine.commit(commit).await.map_err(failed)? {
            Outcome::Committed { version, .. } => {
                let mut state = agreement.state.lock();
                (state.row, state.followed) = (Some(version), followed);
                state.held_until_ms = begun_ms + HOLD_MS;
                Ok(())
            }
            Outcome::Conflict { .. } => self.find_own_row(db, agreement).await,
            Outcome::Closed { .. } | Outcome::Unknown => {
                Err(unavailable("the outcome of a renewal is unknown"))
            }
        }
    }

    /// What this process follows: what it knows, once nobody works by something older.
    fn followed(&self, agreement: &Agreement) -> u64 {
        // Before looking whether older snapshots are in use: a change may come in between.
        let (known, followed) = {
            let state = agreement.state.lock();
            (state.known, state.followed)
        };
        if self.nobody_is_behind() { known } else { followed }
    }

    /// Looks for the row that is not as it was left: an earlier renewal did happen, or others took this
    /// process for dead and it begins anew.
    async fn find_own_row(&self, db: &Inner, agreement: &Agreement) -> Result<(), ServiceError> {
        let key = CatalogRow::Member(agreement.id).key();
        if let Some(row) = db.engine.get(key, Read::Strong).await.map_err(failed)? {
            agreement.state.lock().row = Some(row.version);
            return Ok(());
        }
        tracing::warn!("this process was held up for so long that others took it for dead");
        {
            let mut state = agreement.state.lock();
            (state.row, state.followed, state.held_until_ms) = (None, 0, 0);
            state.claims.clear();
        }
        agreement.epoch.fetch_add(1, Ordering::SeqCst);
        match db.engine.commit(agreement.renewal(None, 0)).await.map_err(failed)? {
            Outcome::Committed { version, .. } => agreement.state.lock().row = Some(version),
            Outcome::Conflict { .. } | Outcome::Closed { .. } | Outcome::Unknown => {
                return Err(unavailable("joining anew failed"));
            }
        }
        // All tables in the new epoch.
        self.reload(db).await
    }

    async fn look_at_others(&self, db: &Inner, agreement: &Agreement) -> Result<(), ServiceError> {
        let rows = rows::read_all(db.engine.as_ref(), Some(b'm')).await.map_err(failed)?;
        let now_ms = db.environment.elapsed_ms();
        let mut dead = Vec::new();
        {
            let mut state = agreement.state.lock();
            let mut before = std::mem::take(&mut state.others);
            for (place, row) in rows {
                let id = place.sort.get(1..).and_then(|id| MemberId::try_from(id).ok());
                let id = id.ok_or_else(|| corrupt_row("a member's name".to_owned()))?;
                if id == agreement.id {
                    continue;
                }
                let member: StoredMember = stored::decode(&row.value).map_err(corrupt_row)?;
                let since_ms = match before.remove(&id) {
                    Some(other) if other.row == row.version => other.since_ms,
                    _ => now_ms,
                };
                if now_ms.saturating_sub(since_ms) >= DEAD_MS {
                    dead.push((id, row.version));
                }
                let other = Other { row: row.version, followed: member.followed, since_ms };
                state.others.insert(id, other);
            }
        }
        for (id, version) in dead {
            self.bury(db, agreement, id, version).await?;
        }
        Ok(())
    }

    /// Removes a member that is dead, unless it has shown up.
    async fn bury(
        &self,
        db: &Inner,
        agreement: &Agreement,
        id: MemberId,
        version: Version,
    ) -> Result<(), ServiceError> {
        let row = CatalogRow::Member(id);
        let commit = Commit {
            preconditions: vec![Precondition { key: row.key(), expect: Expect::At(version) }],
            mutations: vec![row.delete()],
            ..Commit::default()
        };
        if let Outcome::Committed { .. } = db.engine.commit(commit).await.map_err(failed)? {
            tracing::warn!("a process that shares the store is dead");
            agreement.state.lock().others.remove(&id);
            self.reload(db).await?;
            self.give_up_allocations(db).await?;
            self.work.notify_one();
        }
        Ok(())
    }

    /// Ends the membership, so that nobody waits for this process.
    ///
    /// # Errors
    /// What the engine answered; the others find out in time.
    pub(crate) async fn leave(&self, db: &Inner) -> Result<(), EngineError> {
        let Some(agreement) = &self.agreement else { return Ok(()) };
        let _turn = agreement.beating.lock().await;
        let claims: Vec<String> = {
            let mut state = agreement.state.lock();
            state.held_until_ms = 0;
            state.claims.drain().map(|(work, _)| work).collect()
        };
        let mut mutations = vec![CatalogRow::Member(agreement.id).delete()];
        mutations.extend(claims.iter().map(|work| CatalogRow::Claim(work).delete()));
        db.engine.commit(Commit { mutations, ..Commit::default() }).await.map(drop)
    }

    /// Whether all that anybody commits from now on is planned with this change of the catalogue or a
    /// later one.
    ///
    /// # Errors
    /// What the engine answered.
    pub(crate) async fn is_followed(
        &self,
        db: &Inner,
        change: Option<Version>,
    ) -> Result<bool, ServiceError> {
        let (Some(agreement), Some(change)) = (&self.agreement, change) else { return Ok(true) };
        if self.followed(agreement) < change.0 {
            return Ok(false);
        }
        // Who has joined since was not seen yet.
        self.look_at_others(db, agreement).await?;
        Ok(agreement.state.lock().others.values().all(|other| other.followed >= change.0))
    }

    /// Whether all that anybody does from now on goes by the catalogue as this process knows it, or a later one.
    ///
    /// # Errors
    /// What the engine answered.
    pub(crate) async fn all_follow_what_is_known(&self, db: &Inner) -> Result<bool, ServiceError> {
        self.is_followed(db, Some(Version(self.known()))).await
    }

    /// Waits until all follow a change.
    ///
    /// # Errors
    /// What the engine answered, or that it takes too long.
    pub(super) async fn await_agreement(
        &self,
        db: &Inner,
        change: Option<Version>,
    ) -> Result<(), ServiceError> {
        let begun_ms = db.environment.elapsed_ms();
        while !self.is_followed(db, change).await? {
            if db.environment.elapsed_ms().saturating_sub(begun_ms) > AGREEMENT_WAIT_MS {
                return Err(contended());
            }
            db.environment.sleep(AGREEMENT_POLL).await;
            // Others may be waiting for this process.
            self.beat(db).await?;
        }
        Ok(())
    }

    /// Waits until all follow the deletion of the last table of this name.
    pub(super) async fn await_deletion(&self, db: &Inner, name: &str) -> Result<(), ServiceError> {
        if !self.is_shared() {
            return Ok(());
        }
        let row = db.engine.get(CatalogRow::Deleted(name).key(), Read::Strong).await;
        match row.map_err(failed)? {
            Some(row) => self.await_agreement(db, Some(row.version)).await,
            None => Ok(()),
        }
    }

    /// Has spaces dropped that this process, or one that is dead, allocated and did not use.
    pub(super) async fn give_up_allocations(&self, db: &Inner) -> Result<(), ServiceError> {
        let Some(agreement) = &self.agreement else { return Ok(()) };
        let allocated = agreement.state.lock().allocated.clone();
        for (space, by, version) in allocated {
            if by != agreement.id && agreement.is_member(&by) {
                continue;
            }
            let row = CatalogRow::Drop(space);
            let commit = Commit {
                preconditions: vec![Precondition { key: row.key(), expect: Expect::At(version) }],
                mutations: vec![drop_row(space, None)],
                ..Commit::default()
            };
            if let Outcome::Committed { .. } = db.engine.commit(commit).await.map_err(failed)? {
                self.drop_space(db, space).await?;
            }
        }
        Ok(())
    }

    /// Claims a piece of background work for this process. `None` if it is another one's; else what
    /// commits of the work to the catalogue expect.
    ///
    /// # Errors
    /// What the engine answered.
    pub(crate) async fn claim(
        &self,
        db: &Inner,
        work: &str,
    ) -> Result<Option<Fence>, ServiceError> {
        let Some(agreement) = &self.agreement else { return Ok(Some(Fence::default())) };
        self.check_may_commit(db, std::iter::empty())?;
        let is_mine = agreement.preferred(work) == agreement.id;
        let held = agreement.state.lock().claims.get(work).copied();
        match (held, is_mine) {
            (Some(version), true) => return Ok(Some(Fence::at(work, version))),
            (None, false) => return Ok(None),
            (Some(_), false) => {
                agreement.state.lock().claims.remove(work);
                let mutations = vec![CatalogRow::Claim(work).delete()];
                let commit = Commit { mutations, ..Commit::default() };
                db.engine.commit(commit).await.map_err(failed)?;
                return Ok(None);
            }
            (None, true) => {}
        }
        let key = CatalogRow::Claim(work).key();
        let row = db.engine.get(key.clone(), Read::Strong).await.map_err(failed)?;
        if let Some(row) = &row {
            let holder: minicbor::bytes::ByteVec =
                stored::decode(&row.value).map_err(corrupt_row)?;
            let holder = MemberId::try_from(holder.as_slice())
                .map_err(|_| corrupt_row("a claim".to_owned()))?;
            if holder != agreement.id && agreement.is_member(&holder) {
                return Ok(None);
            }
        }
        let id = minicbor::bytes::ByteVec::from(agreement.id.to_vec());
        let commit = Commit {
            preconditions: vec![Precondition { key, expect: expect(row) }],
            mutations: vec![CatalogRow::Claim(work).put(stored::encode(&id))],
            ..Commit::default()
        };
        match db.engine.commit(commit).await.map_err(failed)? {
            Outcome::Committed { version, .. } => {
                agreement.state.lock().claims.insert(work.to_owned(), version);
                Ok(Some(Fence::at(work, version)))
            }
            Outcome::Conflict { .. } | Outcome::Closed { .. } | Outcome::Unknown => Ok(None),
        }
    }

    /// How many members are known, this process included; 1 where the store is not shared.
    pub(crate) fn member_count(&self) -> usize {
        self.agreement.as_ref().map_or(1, |agreement| agreement.state.lock().others.len() + 1)
    }
}

/// What the commits of claimed work to the catalogue expect: that the claim still stands.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fence(Option<Precondition>);

impl Fence {
    fn at(work: &str, version: Version) -> Self {
        let key = CatalogRow::Claim(work).key();
        Self(Some(Precondition { key, expect: Expect::At(version) }))
    }

    /// A commit to the catalogue that happens only while the claim stands.
    pub(crate) fn commit(&self, mutations: Vec<Mutation>) -> Commit {
        let preconditions = self.0.iter().cloned().collect();
        Commit { preconditions, mutations, ..Commit::default() }
    }
}
