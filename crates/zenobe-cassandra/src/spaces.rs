//! The registry of spaces: made, found and dropped by any number of nodes at once.
//!
//! A space goes through states in the table `spaces`, each step a conditional update of its row:
//!
//! ```text
//! absent --insert--> making --table made--> ready --drop--> dropping --table dropped--> absent
//! ```
//!
//! Whoever meets a space in the middle of a step finishes it: making its table and dropping its table change
//! nothing when repeated. Only a ready space exists for readers and writers. Tables are cached; a statement
//! that the server refuses is reason to look again.

use std::sync::Arc;

use zenobe_storage::{EngineError, EngineResult, SpaceId};

use crate::client::{Answer, Bind, Failure, Freshness};
use crate::core::{Core, Verdict, number, ordered, verdict};
use crate::figures::Kind;
use crate::schema::{REGISTRY, Table, TableName, create_space_table, drop_space_table};

const MAKING: i16 = 1;
const READY: i16 = 2;
const DROPPING: i16 = 3;

/// How many steps of other nodes a change of a space waits for.
const STEPS_MAX: u32 = 50;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Registered {
    incarnation: i64,
    state: i16,
}

fn corrupt(what: &str) -> EngineError {
    EngineError::Corrupt(format!("the registry of spaces: {what}"))
}

impl Core {
    async fn registered(&self, space: SpaceId) -> EngineResult<Option<Registered>> {
        let values = vec![REGISTRY, Bind::Big(ordered(space.0))];
        let answer =
            self.client.run(Kind::Registry, &self.own.space, Freshness::Serial, values).await;
        let Some(rows) = answer.map_err(Failure::error)? else { return Ok(None) };
        let row = rows
            .maybe_first_row::<(Option<i64>, Option<i16>)>()
            .map_err(|error| corrupt(&error.to_string()))?;
        match row {
            None => Ok(None),
            Some((Some(incarnation), Some(state))) => Ok(Some(Registered { incarnation, state })),
            Some(_) => Err(corrupt("a space without an incarnation or a state")),
        }
    }

    /// The table of a space that exists.
    pub(crate) async fn table(&self, space: SpaceId) -> EngineResult<Arc<Table>> {
        if let Some(table) = self.tables.read().get(&space) {
            return Ok(Arc::clone(table));
        }
        self.find_table(space).await
    }

    async fn find_table(&self, space: SpaceId) -> EngineResult<Arc<Table>> {
        let ready = self.registered(space).await?.filter(|found| found.state == READY);
        let Some(Registered { incarnation, .. }) = ready else {
            return Err(EngineError::NoSpace(space));
        };
        let name = TableName { space: Some(space), incarnation };
        let table = Box::pin(Table::prepare(&self.client, &self.options.keyspace, name)).await;
        let table = Arc::new(table.map_err(Failure::error)?);
        self.tables.write().insert(space, Arc::clone(&table));
        Ok(table)
    }

    /// What a call does after the server refused a statement on a table: another table to try on, or the
    /// error of the call.
    pub(crate) async fn table_after_refusal(
        &self,
        refused: &Table,
        text: String,
    ) -> EngineResult<Arc<Table>> {
        let Some(space) = refused.name.space else { return Err(EngineError::Unavailable(text)) };
        self.forget_table(refused.name);
        let found = self.find_table(space).await?;
        if found.name == refused.name { Err(EngineError::Unavailable(text)) } else { Ok(found) }
    }

    fn forget_table(&self, name: TableName) {
        let Some(space) = name.space else { return };
        let mut tables = self.tables.write();
        if tables.get(&space).is_some_and(|table| table.name == name) {
            tables.remove(&space);
        }
    }

    async fn step(
        &self,
        statement: &scylla::statement::prepared::PreparedStatement,
        values: Vec<Bind>,
    ) -> EngineResult<bool> {
        let answer: Result<Answer, Failure> =
            self.client.conditional(Kind::Registry, vec![(statement, values)]).await;
        match answer.and_then(verdict) {
            Ok(Verdict::Applied) => Ok(true),
            // Whether an unclear step happened is what reading the registry again tells.
            Ok(Verdict::Refused(_)) | Err(Failure::Unclear(_)) => Ok(false),
            Err(failure) => Err(failure.error()),
        }
    }

    async fn insert_space(&self, space: SpaceId) -> EngineResult<bool> {
        let incarnation = self.next_version()?;
        let space = Bind::Big(ordered(space.0));
        let values = vec![REGISTRY, space, Bind::Big(incarnation), Bind::Small(MAKING)];
        self.step(&self.own.space_insert, values).await
    }

    async fn set_state(&self, name: TableName, from: i16, to: i16) -> EngineResult<bool> {
        let space = name.space.unwrap_or(SpaceId(0));
        let values = vec![
            Bind::Small(to),
            REGISTRY,
            Bind::Big(ordered(space.0)),
            Bind::Big(name.incarnation),
            Bind::Small(from),
        ];
        self.step(&self.own.space_state, values).await
    }

    async fn make_table(&self, name: TableName) -> EngineResult<()> {
        let create = create_space_table(&self.options.keyspace, name);
        Box::pin(self.client.change_schema(&create)).await?;
        if self.set_state(name, MAKING, READY).await? {
            return Ok(());
        }
        // Another node has made it ready, or has dropped the space meanwhile: then the table is nobody's.
        let space = name.space.unwrap_or(SpaceId(0));
        let mine = self.registered(space).await?.map(|found| found.incarnation);
        if mine == Some(name.incarnation) { Ok(()) } else { self.drop_table(name).await }
    }

    async fn drop_table(&self, name: TableName) -> EngineResult<()> {
        self.forget_table(name);
        let drop = drop_space_table(&self.options.keyspace, name);
        Box::pin(self.client.change_schema(&drop)).await
    }

    async fn finish_drop(&self, name: TableName) -> EngineResult<()> {
        self.drop_table(name).await?;
        let space = name.space.unwrap_or(SpaceId(0));
        let values = vec![REGISTRY, Bind::Big(ordered(space.0)), Bind::Big(name.incarnation)];
        self.step(&self.own.space_delete, values).await.map(|_| ())
    }

    pub(crate) async fn make_space(&self, space: SpaceId) -> EngineResult<()> {
        let _turn = self.schema_turn.lock().await;
        for _ in 0..STEPS_MAX {
            let Some(Registered { incarnation, state }) = self.registered(space).await? else {
                self.insert_space(space).await?;
                continue;
            };
            let name = TableName { space: Some(space), incarnation };
            match state {
                READY => return Ok(()),
                MAKING => self.make_table(name).await?,
                DROPPING => self.finish_drop(name).await?,
                _ => return Err(corrupt("a state that nobody knows")),
            }
        }
        Err(EngineError::Unavailable("other nodes keep changing the space".to_owned()))
    }

    pub(crate) async fn drop_space(&self, space: SpaceId) -> EngineResult<()> {
        let _turn = self.schema_turn.lock().await;
        let mut dropped = None;
        for _ in 0..STEPS_MAX {
            let Some(Registered { incarnation, state }) = self.registered(space).await? else {
                return Ok(());
            };
            if dropped.is_some_and(|dropped| dropped != incarnation) {
                // Made again by another node since.
                return Ok(());
            }
            dropped = Some(incarnation);
            let name = TableName { space: Some(space), incarnation };
            match state {
                MAKING | READY => {
                    self.set_state(name, state, DROPPING).await?;
                }
                DROPPING => self.finish_drop(name).await?,
                _ => return Err(corrupt("a state that nobody knows")),
            }
        }
        Err(EngineError::Unavailable("other nodes keep changing the space".to_owned()))
    }

    pub(crate) async fn ready_spaces(&self) -> EngineResult<Vec<SpaceId>> {
        let answer = self
            .client
            .run(Kind::Registry, &self.own.spaces, Freshness::Serial, vec![REGISTRY])
            .await;
        let Some(rows) = answer.map_err(Failure::error)? else { return Ok(Vec::new()) };
        let mut spaces = Vec::new();
        let rows = rows
            .rows::<(i64, Option<i64>, Option<i16>)>()
            .map_err(|error| corrupt(&error.to_string()))?;
        for row in rows {
            let (space, _, state) = row.map_err(|error| corrupt(&error.to_string()))?;
            if state == Some(READY) {
                spaces.push(SpaceId(number(space)));
            }
        }
        Ok(spaces)
    }

    /// The table of a space's incarnation as far as this process knows, or `None` when it was dropped.
    pub(crate) async fn table_named(&self, name: TableName) -> EngineResult<Option<Arc<Table>>> {
        let known = name.space.and_then(|space| self.tables.read().get(&space).map(Arc::clone));
        match known {
            Some(table) if table.name == name => Ok(Some(table)),
            _ => self.table_of(name).await,
        }
    }

    /// The table of a space's incarnation, or `None` when it was dropped.
    pub(crate) async fn table_of(&self, name: TableName) -> EngineResult<Option<Arc<Table>>> {
        let Some(space) = name.space else { return Ok(Some(Arc::clone(&self.anchors))) };
        match self.find_table(space).await {
            Ok(table) if table.name == name => Ok(Some(table)),
            Ok(_) | Err(EngineError::NoSpace(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }
}
