//! Work that no request waits for: index creation and deletion, dropping spaces, table figures,
//! deletion of expired items ([`sweep`]), removal of old records of transactions.
//!
//! The work follows from what the catalogue says, never from a queue in memory, so a restart goes on
//! where the process before ended. [`Database::run_background`] does it for as long as it is polled;
//! tests drive it with [`Database::run_background_until_idle`].
//!
//! # Creating an index online
//!
//! 1. UpdateTable publishes a snapshot of the table that has the index as `Creating`, not yet
//!    backfilling. Every write that looks the table up from now on removes entries that become wrong,
//!    and adds none: writes that looked it up before hold an older snapshot, do not know the index and
//!    would leave an entry behind.
//! 2. When the last older snapshot is gone ([`crate::catalog::Catalog::nobody_is_behind`]), a snapshot is
//!    published that has the index as backfilling. Writes under it keep the index in full, changed
//!    entry or not; those under the one before still remove what they make wrong.
//! 3. When that one is gone, too, the backfill reads the table page by page. For each item it commits
//!    the index entry on the precondition that the item is still at the version that was read. If it
//!    is not, somebody wrote it after step 2 and put its entry: there is nothing left to do for that
//!    item.
//! 4. Where it stands is part of the same commit. When the table has been read the index is `Active`.
//!
//! Items whose attributes cannot be a key of the index are not in it: those with another type, an
//! empty value or one that is too long.
//!
//! Where several processes share the store, each step waits until all follow the one before
//! ([`crate::catalog`]), and the work on a table is claimed by one of them. Where a commit stays
//! within a partition entries are derived: they may come later than their commit, and the one with the highest version
//! stands, so that an entry which the backfill made from an older item never takes the place of a newer one.
//!
//! Deleting an index publishes it as `Deleting`, waits in the same way for the writes that still
//! keep it, and then forgets it and drops its space.
//!
//! The index of items by the time at which they expire ([`crate::ttl`]) comes and goes in the same way.
//!
//! # Figures
//!
//! Item counts and sizes are counters in memory ([`crate::catalog::Counters`]). They are saved every
//! minute if they changed. After a process that did not end in order, tables are read once, slowly,
//! to count again; so is an index when its backfill is over, because writes that replace an entry
//! which the backfill has not made yet count it as replaced. What is written meanwhile is counted once, on whichever
//! side of the counting it is: `catalog/counters.rs` tells how.

mod backfill;
mod figures;
mod late;
mod sweep;
#[cfg(test)]
pub(crate) mod tests;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use zenobe_model::ServiceError;
use zenobe_storage::{EngineError, Figure, SpaceId};

use self::figures::Recount;
pub(crate) use self::late::{make_good, make_item_good};
use crate::catalog::{BEAT, Edit, Fence, Figures, IndexState, Table};
use crate::{Database, Inner};

/// How long to wait for writes under an older snapshot before looking again.
const SUPERSEDED_POLL: Duration = Duration::from_millis(1);
/// The same where other processes are asked.
const AGREEMENT_POLL: Duration = Duration::from_millis(100);
/// The longest rest after a step.
const REST_MS_MAX: u64 = 100;
/// How long to wait after a failure.
const RETRY_DELAY: Duration = Duration::from_secs(1);
/// How often the figures are saved.
const FIGURES_INTERVAL: Duration = Duration::from_secs(60);
/// How often the records of transactions whose time is over are removed.
const PURGE_INTERVAL: Duration = Duration::from_secs(300);

/// What the background worker remembers. All of it can be lost.
#[derive(Default)]
pub(crate) struct Background {
    state: tokio::sync::Mutex<State>,
    /// Items deleted because they had expired.
    expired_items: AtomicU64,
}

impl Background {
    /// Figures for the metrics page.
    pub(crate) fn figures(&self) -> Vec<Figure> {
        vec![Figure {
            name: "expired_items_deleted_total",
            help: "Items deleted because their time to live was over.",
            value: self.expired_items.load(Ordering::Relaxed) as f64,
        }]
    }
}

#[derive(Default)]
struct State {
    /// Figures as they were last saved, by table id.
    saved: HashMap<String, Figures>,
    /// Whether it is on disk that figures may get lost.
    open: bool,
    /// What is left to count again; `None` before it was decided.
    recount: Option<Recount>,
    /// When the records of transactions were last looked through, in milliseconds since 1970.
    purged_ms: u64,
}

/// What a step of background work came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// There is nothing to do.
    Idle,
    /// Something was done; there may be more.
    Done,
    /// There is something to do, but not yet.
    Waiting,
}

/// Why a step failed. It will be tried again.
#[derive(Debug, thiserror::Error)]
pub enum BackgroundError {
    /// The engine failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// A change of the catalogue failed; the cause was logged.
    #[error(transparent)]
    Service(#[from] ServiceError),
}

impl Database {
    /// Does background work for as long as the future is polled. Never ends.
    pub async fn run_background(&self) {
        tokio::join!(
            self.run_agreement(),
            self.run_stream_upkeep(),
            self.run_catalog_work(),
            sweep::run(&self.inner)
        );
    }

    /// Keeps in touch with the processes that share the store, where there may be any.
    pub(crate) async fn run_agreement(&self) {
        let db = &self.inner;
        while db.catalog.is_shared() {
            if let Err(error) = db.catalog.beat(db).await {
                tracing::warn!(%error, "keeping in touch with other processes failed");
            }
            db.environment.sleep(BEAT).await;
        }
    }

    /// Takes leave of the processes that share the store, so that none of them waits for this one: to be
    /// called when no more requests come.
    ///
    /// # Errors
    /// [`BackgroundError::Engine`] when the engine fails; the others find out in half a minute.
    pub async fn leave(&self) -> Result<(), BackgroundError> {
        Ok(self.inner.catalog.leave(&self.inner).await?)
    }

    /// Deletes the items that have expired, until there are none left; says how many there were.
    ///
    /// # Errors
    /// [`BackgroundError`]: what is left will be found by the next call.
    pub async fn delete_expired(&self) -> Result<u64, BackgroundError> {
        sweep::all(&self.inner).await
    }

    /// Does the work that follows from what the catalogue says. Never ends.
    async fn run_catalog_work(&self) {
        let db = &self.inner;
        loop {
            if let Err(error) = self.run_background_until_idle().await {
                tracing::warn!(%error, "background work failed; it will be tried again");
                db.environment.sleep(RETRY_DELAY).await;
                continue;
            }
            let interval = db.environment.sleep(FIGURES_INTERVAL);
            tokio::select! {
                () = db.catalog.work.notified() => {}
                () = interval => {
                    if let Err(error) = self.save_figures().await {
                        tracing::warn!(%error, "the tables' figures could not be saved");
                    }
                    if let Err(error) = self.purge_transactions(false).await {
                        tracing::warn!(%error, "old records of transactions could not be removed");
                    }
                }
            }
        }
    }

    /// Does background work until there is none left.
    ///
    /// # Errors
    /// [`BackgroundError`]: what failed will be tried again by the next call.
    pub async fn run_background_until_idle(&self) -> Result<(), BackgroundError> {
        let db = &self.inner;
        loop {
            // Taken for each step, so that nobody waits long for it.
            let begun_ms = db.environment.now_ms();
            let done = step(db, &mut *db.background.state.lock().await).await?;
            match done {
                Step::Idle => return Ok(()),
                // As long as it took: requests come first.
                Step::Done => {
                    let elapsed_ms = db.environment.now_ms().saturating_sub(begun_ms);
                    if elapsed_ms > 0 {
                        let rest = Duration::from_millis(elapsed_ms.min(REST_MS_MAX));
                        db.environment.sleep(rest).await;
                    }
                }
                Step::Waiting if db.catalog.is_shared() => {
                    db.catalog.beat(db).await?;
                    db.environment.sleep(AGREEMENT_POLL).await;
                }
                Step::Waiting => db.environment.sleep(SUPERSEDED_POLL).await,
            }
        }
    }

    /// Removes the records of transactions whose time is over, the tokens among them; unless `always`,
    /// only if that was not done lately.
    ///
    /// # Errors
    /// [`BackgroundError::Service`] when the engine fails.
    pub async fn purge_transactions(&self, always: bool) -> Result<(), BackgroundError> {
        let now_ms = self.inner.environment.now_ms();
        {
            let mut state = self.inner.background.state.lock().await;
            let since_ms = now_ms.saturating_sub(state.purged_ms);
            if !always && u128::from(since_ms) < PURGE_INTERVAL.as_millis() {
                return Ok(());
            }
            state.purged_ms = now_ms;
        }
        if self.inner.catalog.claim(&self.inner, "transactions").await?.is_none() {
            return Ok(());
        }
        Ok(crate::transact::purge(&self.inner).await?)
    }

    /// Saves item counts and sizes if they changed since they were last saved.
    ///
    /// # Errors
    /// [`BackgroundError::Engine`] when the engine fails.
    pub async fn save_figures(&self) -> Result<(), BackgroundError> {
        let mut state = self.inner.background.state.lock().await;
        figures::save(&self.inner, &mut state, true).await?;
        Ok(())
    }

    /// Saves item counts and sizes for good: to be called when no more requests come, so that the
    /// next process need not count again.
    ///
    /// # Errors
    /// [`BackgroundError::Engine`] when the engine fails.
    pub async fn close_figures(&self) -> Result<(), BackgroundError> {
        let mut state = self.inner.background.state.lock().await;
        let recounted =
            state.recount.as_ref().map_or(!self.inner.catalog.figures_lost, Recount::is_over);
        figures::save(&self.inner, &mut state, !recounted).await?;
        Ok(())
    }
}

/// Does one piece of work: the first that there is.
async fn step(db: &Arc<Inner>, state: &mut State) -> Result<Step, BackgroundError> {
    if db.catalog.is_unsettled() {
        db.catalog.change(db).await.settle().await?;
        return Ok(Step::Done);
    }
    if figures::decide(db, state).await? {
        return Ok(Step::Done);
    }
    let mut waiting = false;
    // By name: who holds the snapshots of other tables while it waits for agreement is waited for itself.
    for name in db.catalog.names() {
        let Some((table, unfinished)) = unfinished_index(db, &name) else { continue };
        let Some(fence) = db.catalog.claim(db, &table.work()).await? else { continue };
        match index_step(db, table, unfinished, state, &fence).await? {
            Step::Done => return Ok(Step::Done),
            Step::Waiting => waiting = true,
            Step::Idle => {}
        }
    }
    if let Some(space) = db.catalog.next_dropped()
        && db.catalog.claim(db, "spaces").await?.is_some()
    {
        // After a change under way, which may be about to keep it.
        let _alone = db.catalog.change(db).await;
        // Nor may anybody still write to what is gone.
        if db.catalog.all_follow_what_is_known(db).await? {
            db.catalog.drop_space(db, space).await?;
            return Ok(Step::Done);
        }
        waiting = true;
    }
    if waiting {
        return Ok(Step::Waiting);
    }
    figures::step(db, state).await
}

/// The table with this name and the first of its indexes that is being created or deleted, if one is.
fn unfinished_index(db: &Inner, name: &str) -> Option<(Arc<Table>, (SpaceId, IndexState))> {
    let table = db.catalog.find(name)?;
    let global = table.global_indexes.iter().map(|index| (index.space, index.state));
    let expiry = table.expiry_indexes.iter().map(|index| (index.space, index.state));
    let unfinished = global.chain(expiry).find(|(_, state)| *state != IndexState::Active)?;
    Some((table, unfinished))
}

/// Goes on with an index that is being created or deleted.
async fn index_step(
    db: &Arc<Inner>,
    table: Arc<Table>,
    (space, index_state): (SpaceId, IndexState),
    state: &mut State,
    fence: &Fence,
) -> Result<Step, BackgroundError> {
    if index_state != IndexState::Active && !is_settled(db, &table).await? {
        return Ok(Step::Waiting);
    }
    match index_state {
        IndexState::Active => Ok(Step::Idle),
        IndexState::Creating { backfilling: true } => {
            let is_over = backfill::page(db, &table, space, fence).await?;
            if is_over {
                figures::count_index(state, &table, space);
            }
            Ok(Step::Done)
        }
        IndexState::Creating { backfilling: false } | IndexState::Deleting => {
            let name = table.name.clone();
            // Not to be waited for by the next one who asks the same question.
            drop(table);
            let deleting = index_state == IndexState::Deleting;
            change_index(db, &name, space, |table| {
                if deleting {
                    forget_index(table, space)
                } else {
                    set_state(table, space, IndexState::Creating { backfilling: true });
                    Edit::default()
                }
            })
            .await?;
            Ok(Step::Done)
        }
    }
}

/// Whether nobody works by an older snapshot of this table, in this process or another one.
async fn is_settled(db: &Inner, table: &Table) -> Result<bool, ServiceError> {
    Ok(db.catalog.nobody_is_behind() && db.catalog.is_followed(db, table.row_version).await?)
}

/// Changes the table that has an index in this space, if it still has.
async fn change_index(
    db: &Arc<Inner>,
    name: &str,
    space: SpaceId,
    change: impl Fn(&mut Table) -> Edit,
) -> Result<(), BackgroundError> {
    let changer = db.catalog.change(db).await;
    let is_there = |table: &Table| table.spaces().any(|known| known == space);
    if !db.catalog.find(name).is_some_and(|table| is_there(&table)) {
        return Ok(());
    }
    changer
        .update(name, |table| {
            let mut table = table.clone();
            let edit = change(&mut table);
            Ok(Edit { table: Some(table), ..edit })
        })
        .await?;
    Ok(())
}

fn set_state(table: &mut Table, space: SpaceId, state: IndexState) {
    for index in table.global_indexes.iter_mut().filter(|index| index.space == space) {
        index.state = state;
    }
    for index in table.expiry_indexes.iter_mut().filter(|index| index.space == space) {
        index.state = state;
    }
}

/// Takes an index off a table, with the definitions of attributes that were only its keys.
fn forget_index(table: &mut Table, space: SpaceId) -> Edit {
    table.expiry_indexes.retain(|index| index.space != space);
    table.global_indexes.retain(|index| index.space != space);
    let Table { key, local_indexes, global_indexes, attribute_definitions, .. } = table;
    attribute_definitions.retain(|definition| {
        let locals = local_indexes.iter().flat_map(|index| index.key.attributes());
        let globals = global_indexes.iter().flat_map(|index| index.key_attributes());
        key.attributes().chain(locals).chain(globals).any(|used| used.name == definition.name)
    });
    Edit { drop: vec![space], ..Edit::default() }
}
