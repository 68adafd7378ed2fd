//! Changing the catalogue: one change at a time in a process, each one commit.
//!
//! Where processes share the catalogue every change also expects that there was no other since this process
//! read it, and a table is changed again only when all processes follow its last change
//! ([`super::agreement`]). Shards of streams are not among what that is about: writes do not plan with them.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::MutexGuard;
use zenobe_model::ServiceError;
use zenobe_storage::{
    Commit, EngineError, Expect, Mutation, Outcome, Precondition, Read, Row, SpaceId, Version,
};

use super::agreement::MemberId;
use super::rows::CatalogRow;
use super::{
    CONFLICT_RETRIES_MAX, Catalog, FIRST_TABLE_SPACE, Table, contended, corrupt_row, failed,
    stored, table_exists, table_not_found, unknown_outcome,
};
use crate::Inner;

/// What a change does to a table's row and beside it, in one commit.
#[derive(Debug, Default)]
pub(crate) struct Edit {
    /// The table after the change; `None` removes it.
    pub(crate) table: Option<Table>,
    /// Spaces that nothing refers to after the change.
    pub(crate) drop: Vec<SpaceId>,
    /// Spaces that were allocated and that the table refers to after the change.
    pub(crate) keep: Vec<SpaceId>,
    /// Spaces whose backfill is over.
    pub(crate) backfilled: Vec<SpaceId>,
    /// Rows of the table's stream.
    pub(crate) rows: Vec<Mutation>,
}

impl From<Table> for Edit {
    fn from(table: Table) -> Self {
        Self { table: Some(table), ..Self::default() }
    }
}

/// A table before and after a change.
#[derive(Debug)]
pub(crate) struct Changed {
    pub(crate) before: Arc<Table>,
    pub(crate) after: Option<Arc<Table>>,
}

/// The right to change the catalogue, held for the length of one change.
pub(crate) struct Changer<'a> {
    catalog: &'a Catalog,
    db: &'a Inner,
    /// Whether a change before this one was given up and is still to be settled.
    owing: bool,
    /// The spaces that were allocated, with the versions of the rows that say so.
    allocated: Mutex<HashMap<SpaceId, Version>>,
    _alone: MutexGuard<'a, ()>,
}

impl Drop for Changer<'_> {
    fn drop(&mut self) {
        if self.catalog.is_unsettled() {
            self.catalog.work.notify_one();
        }
    }
}

impl Catalog {
    /// Waits for the right to change the catalogue.
    pub(crate) async fn change<'a>(&'a self, db: &'a Inner) -> Changer<'a> {
        self.changer(db, self.changing.lock().await)
    }

    /// The right to change the catalogue, if nobody in this process has it.
    pub(crate) fn try_change<'a>(&'a self, db: &'a Inner) -> Option<Changer<'a>> {
        self.changing.try_lock().ok().map(|alone| self.changer(db, alone))
    }

    fn changer<'a>(&'a self, db: &'a Inner, alone: MutexGuard<'a, ()>) -> Changer<'a> {
        let allocated = Mutex::default();
        Changer { catalog: self, db, owing: self.is_unsettled(), allocated, _alone: alone }
    }
}

impl Changer<'_> {
    /// Takes space ids that were never used and creates their spaces, for the table with this name.
    /// Until a change keeps them they are among those to be dropped.
    pub(crate) async fn allocate(
        &self,
        name: &str,
        count: usize,
    ) -> Result<Vec<SpaceId>, ServiceError> {
        self.catalog.unsettled.lock().insert(name.to_owned());
        let engine = &self.db.engine;
        let counter = CatalogRow::NextSpace.key();
        let by = self.catalog.member();
        for _ in 0..CONFLICT_RETRIES_MAX {
            let row = engine.get(counter.clone(), Read::Latest).await.map_err(failed)?;
            let next = match &row {
                None => FIRST_TABLE_SPACE,
                Some(row) => stored::decode(&row.value).map_err(corrupt_row)?,
            };
            let spaces: Vec<SpaceId> = (next..).take(count).map(SpaceId).collect();
            let after = next.saturating_add(spaces.len() as u64);
            let mut mutations = vec![CatalogRow::NextSpace.put(stored::encode(&after))];
            mutations.extend(spaces.iter().map(|space| drop_row(*space, by)));
            let preconditions = vec![Precondition { key: counter.clone(), expect: expect(row) }];
            let commit = Commit { preconditions, mutations, ..Commit::default() };
            match engine.commit(commit).await.map_err(failed)? {
                // Durable with the change that keeps the spaces, which comes after it.
                Outcome::Committed { version, .. } => {
                    for space in &spaces {
                        engine.create_space(*space).await.map_err(failed)?;
                        self.allocated.lock().insert(*space, version);
                    }
                    return Ok(spaces);
                }
                Outcome::Conflict { .. } => {}
                Outcome::Closed { .. } | Outcome::Unknown => return Err(unknown_outcome()),
            }
        }
        Err(contended())
    }

    /// Adds a table that does not exist, with the row of its stream.
    pub(crate) async fn create(
        &self,
        table: Table,
        rows: Vec<Mutation>,
    ) -> Result<Arc<Table>, ServiceError> {
        let name = table.name.clone();
        self.catalog.await_deletion(self.db, &name).await?;
        for _ in 0..CONFLICT_RETRIES_MAX {
            if self.catalog.find(&name).is_some() {
                return Err(table_exists(&name));
            }
            let keep = table.spaces().collect();
            let edit = Edit { keep, rows: rows.clone(), ..Edit::from(table.clone()) };
            if let Some(after) = self.commit(&name, None, edit).await? {
                return after.ok_or_else(ServiceError::internal);
            }
        }
        Err(contended())
    }

    /// The table with this name as it may be changed: all follow its last change.
    pub(crate) async fn agreed(&self, name: &str) -> Result<Arc<Table>, ServiceError> {
        for _ in 0..CONFLICT_RETRIES_MAX {
            // Nobody is to wait meanwhile for who holds the snapshot.
            let version = self.catalog.describe(name)?.row_version;
            self.catalog.await_agreement(self.db, version).await?;
            let table = self.catalog.describe(name)?;
            if table.row_version == version {
                return Ok(table);
            }
        }
        Err(contended())
    }

    /// Changes a table. `change` is pure and may run again.
    pub(crate) async fn update(
        &self,
        name: &str,
        change: impl Fn(&Table) -> Result<Edit, ServiceError>,
    ) -> Result<Changed, ServiceError> {
        for _ in 0..CONFLICT_RETRIES_MAX {
            // What is refused is refused at once.
            change(&*self.catalog.describe(name)?)?;
            let before = self.agreed(name).await?;
            let edit = change(&before)?;
            if let Some(after) = self.commit(name, Some(&before), edit).await? {
                return Ok(Changed { before, after });
            }
        }
        Err(contended())
    }

    /// Changes what no write of the table is planned with: so nobody need follow the last change first.
    /// `change` may run again, and refuses then if what it was made from is no more.
    pub(crate) async fn update_beside(
        &self,
        name: &str,
        change: impl Fn(&Table) -> Result<Edit, ServiceError>,
    ) -> Result<(), ServiceError> {
        for _ in 0..CONFLICT_RETRIES_MAX {
            let before = self.catalog.find(name).ok_or_else(|| table_not_found(name))?;
            let edit = change(&before)?;
            if self.commit(name, Some(&before), edit).await?.is_some() {
                return Ok(());
            }
        }
        Err(contended())
    }

    /// Changes rows that only whoever holds this right changes; they are durable then.
    pub(crate) async fn put_rows(&self, mutations: Vec<Mutation>) -> Result<(), ServiceError> {
        let mut commit = Commit { mutations, ..Commit::default() };
        let _applying = self.catalog.applying.lock().await;
        self.catalog.add_generation(&mut commit);
        match self.db.engine.commit(commit).await.map_err(failed)? {
            Outcome::Committed { position, version } => {
                self.catalog.changed(version);
                self.db.engine.durable(position).await.map_err(failed)
            }
            // What was read before must be read again.
            Outcome::Conflict { .. } => Err(contended()),
            Outcome::Closed { .. } | Outcome::Unknown => Err(unknown_outcome()),
        }
    }

    /// Finds out how changes ended that were given up half-way.
    pub(crate) async fn settle(&self) -> Result<(), ServiceError> {
        let names = self.catalog.unsettled.lock().clone();
        self.catalog.reload_tables(self.db).await?;
        self.catalog.follow_streams(&[], &self.catalog.tables()).await;
        // Nobody here is creating a table now, so every space that this process allocated is left over.
        self.catalog.give_up_allocations(self.db).await?;
        self.catalog.unsettled.lock().retain(|name| !names.contains(name));
        Ok(())
    }

    /// Commits an edit and publishes it. `None`: the row is not as `before` says; it was read again.
    async fn commit(
        &self,
        name: &str,
        before: Option<&Table>,
        edit: Edit,
    ) -> Result<Option<Option<Arc<Table>>>, ServiceError> {
        let commit = self.commit_of(name, before, &edit);
        self.catalog.unsettled.lock().insert(name.to_owned());
        let applying = self.catalog.applying.lock().await;
        let mut commit = commit;
        self.catalog.add_generation(&mut commit);
        match self.db.engine.commit(commit).await.map_err(failed)? {
            Outcome::Committed { position, version } => {
                self.db.engine.durable(position).await.map_err(failed)?;
                let after = edit.table.map(|table| self.catalog.snapshot(table, version));
                self.catalog.changed(version);
                self.catalog.publish(vec![(name.to_owned(), after.clone())]);
                self.catalog.dropped.lock().extend(edit.drop);
                if !self.owing {
                    self.catalog.unsettled.lock().remove(name);
                }
                Ok(Some(after))
            }
            Outcome::Conflict { .. } => {
                drop(applying);
                if self.catalog.is_shared() {
                    self.catalog.reload(self.db).await?;
                } else {
                    // Whoever is changing the stream has stopped the writes of the table.
                    self.catalog.reload_tables(self.db).await?;
                }
                Ok(None)
            }
            Outcome::Closed { .. } | Outcome::Unknown => Err(unknown_outcome()),
        }
    }

    fn commit_of(&self, name: &str, before: Option<&Table>, edit: &Edit) -> Commit {
        let mut mutations = vec![match &edit.table {
            Some(table) => CatalogRow::Table(name).put(stored::encode(table)),
            None => CatalogRow::Table(name).delete(),
        }];
        if edit.table.is_none()
            && let Some(before) = before
        {
            mutations.push(CatalogRow::Figures(&before.id).delete());
            if self.catalog.is_shared() {
                mutations.push(CatalogRow::Deleted(name).put(stored::encode(&())));
            }
        }
        if before.is_none() && self.catalog.is_shared() {
            mutations.push(CatalogRow::Deleted(name).delete());
        }
        mutations.extend(edit.keep.iter().map(|space| CatalogRow::Drop(*space).delete()));
        mutations.extend(edit.drop.iter().map(|space| drop_row(*space, None)));
        mutations.extend(edit.backfilled.iter().map(|space| CatalogRow::Backfill(*space).delete()));
        mutations.extend(edit.rows.iter().cloned());
        let version = before.and_then(|table| table.row_version);
        let expect = version.map_or(Expect::Absent, Expect::At);
        let mut preconditions = vec![Precondition { key: CatalogRow::Table(name).key(), expect }];
        // Whoever took this process for dead may have taken its spaces.
        let allocated = self.allocated.lock();
        preconditions.extend(edit.keep.iter().filter_map(|space| {
            let version = allocated.get(space)?;
            let key = CatalogRow::Drop(*space).key();
            Some(Precondition { key, expect: Expect::At(*version) })
        }));
        Commit { preconditions, mutations, ..Commit::default() }
    }
}

impl Catalog {
    /// Drops a space that nothing refers to, for good.
    pub(crate) async fn drop_space(&self, db: &Inner, space: SpaceId) -> Result<(), ServiceError> {
        db.engine.drop_space(space).await.map_err(failed)?;
        let mutations =
            vec![CatalogRow::Drop(space).delete(), CatalogRow::Backfill(space).delete()];
        db.engine.commit(Commit { mutations, ..Commit::default() }).await.map_err(failed)?;
        self.dropped.lock().remove(&space);
        Ok(())
    }

    pub(super) fn snapshot(&self, mut table: Table, version: Version) -> Arc<Table> {
        if table.row_version.is_none() {
            table.created = Some(version);
        }
        table.row_version = Some(version);
        table.arn = self.arn(&table.name);
        table.epoch = self.epoch();
        Arc::new(table)
    }
}

/// The row of a space that is to be dropped: at once, or, if a process has allocated it for a table that it is
/// about to make, when that process has given up.
pub(super) fn drop_row(space: SpaceId, allocated_by: Option<MemberId>) -> Mutation {
    let by = allocated_by.map(|id| minicbor::bytes::ByteVec::from(id.to_vec()));
    CatalogRow::Drop(space).put(match by {
        None => stored::encode(&()),
        Some(by) => stored::encode(&by),
    })
}

/// Who has allocated a space; `None` where it is to be dropped at once.
pub(super) fn allocated_by(row: &Row) -> Result<Option<MemberId>, EngineError> {
    if stored::decode::<()>(&row.value).is_ok() {
        return Ok(None);
    }
    let by: minicbor::bytes::ByteVec = stored::decode(&row.value).map_err(EngineError::Corrupt)?;
    let id = MemberId::try_from(by.as_slice());
    id.map(Some).map_err(|_| EngineError::Corrupt("an allocated space".to_owned()))
}

pub(super) fn expect(row: Option<Row>) -> Expect {
    row.map_or(Expect::Absent, |row| Expect::At(row.version))
}
