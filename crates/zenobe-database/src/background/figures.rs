//! Item counts and sizes: saving them, and counting again after a crash. How that is exact while others write
//! is told where they note themselves down (`catalog/counters.rs`).

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use zenobe_model::EncodedItem;
use zenobe_storage::{
    EngineError, HashInterval, Lane, Page, PageLimit, Position, Read, RowPlace, ScanRead, SpaceId,
};

use super::{BackgroundError, State, Step};
use crate::Inner;
use crate::catalog::{CountedPage, Counters, Figures, ScanPlace, Sum, Table};
use crate::stream;

#[cfg(test)]
mod tests;

/// How much is read at once when counting again.
const PAGE: PageLimit = PageLimit { rows: 1000, bytes: 1 << 20 };
/// How long to pause after each page, so that counting does not get in the way.
const PAUSE: Duration = Duration::from_millis(20);

/// What is left to count again.
#[derive(Default)]
pub(super) struct Recount {
    left: VecDeque<Count>,
}

impl Recount {
    /// Whether everything was counted.
    pub(super) fn is_over(&self) -> bool {
        self.left.is_empty()
    }
}

/// A table or an index that is being counted.
struct Count {
    counters: Arc<Counters>,
    space: SpaceId,
    lane: Lane,
    after: Option<RowPlace>,
    /// Whether every writer knows that it is being counted.
    begun: bool,
}

impl Count {
    fn new(counters: &Arc<Counters>, space: SpaceId, lane: Lane) -> Self {
        let counters = Arc::clone(counters);
        Self { counters, space, lane, after: None, begun: false }
    }
}

/// Saves the figures that changed, and whether later ones may get lost.
pub(super) async fn save(db: &Inner, state: &mut State, open: bool) -> Result<(), EngineError> {
    if db.catalog.is_shared() {
        return merge(db, state).await;
    }
    // A table that is deleted meanwhile would leave its figures behind.
    let _alone = db.catalog.change(db).await;
    let tables = db.catalog.tables();
    if state.saved.len() > tables.len() {
        let ids: HashSet<&str> = tables.iter().map(|table| table.id.as_str()).collect();
        state.saved.retain(|id, _| ids.contains(id.as_str()));
    }
    let mut changed = Vec::new();
    for table in tables {
        let figures = Figures::of(&table);
        if state.saved.get(&table.id) != Some(&figures) {
            changed.push((table.id.clone(), figures));
        }
    }
    if changed.is_empty() && state.open == open {
        return Ok(());
    }
    db.catalog.save_figures(db.engine.as_ref(), &changed, open).await?;
    state.open = open;
    state.saved.extend(changed);
    Ok(())
}

/// Adds what changed here since the last time to what the catalogue says, and takes over what others added.
/// What was not added when a process dies is lost: the figures of a shared store are about right.
async fn merge(db: &Inner, state: &mut State) -> Result<(), EngineError> {
    for table in db.catalog.tables() {
        let own = Figures::of(&table);
        let before =
            state.saved.get(&table.id).cloned().unwrap_or_else(|| Figures::clone(&table.restored));
        let Some(all) = db.catalog.merge_figures(db.engine.as_ref(), &table, &own, &before).await?
        else {
            continue;
        };
        all.minus(&own).restore(&table);
        state.saved.insert(table.id.clone(), all);
    }
    Ok(())
}

/// Decides, once, whether to count everything again; says whether it did.
pub(super) async fn decide(db: &Arc<Inner>, state: &mut State) -> Result<bool, EngineError> {
    if state.recount.is_some() {
        return Ok(false);
    }
    // From now on a crash is noticed.
    save(db, state, true).await?;
    let lost = db.catalog.figures_lost && !db.catalog.is_shared();
    state.recount = Some(if lost { everything(db) } else { Recount::default() });
    Ok(true)
}

/// Has an index counted again.
pub(super) fn count_index(state: &mut State, table: &Table, space: SpaceId) {
    let recount = state.recount.get_or_insert_default();
    for index in table.global_indexes.iter().filter(|index| index.space == space) {
        recount.left.push_back(Count::new(&index.counters, space, Lane::ITEM));
    }
}

/// Counts on, if there is something to count.
pub(super) async fn step(db: &Arc<Inner>, state: &mut State) -> Result<Step, BackgroundError> {
    let Some(count) = state.recount.as_mut().and_then(|recount| recount.left.front_mut()) else {
        return Ok(Step::Idle);
    };
    let is_over = count_page(db, count).await?;
    if is_over && let Some(recount) = &mut state.recount {
        recount.left.pop_front();
    }
    db.environment.sleep(PAUSE).await;
    Ok(Step::Done)
}

fn everything(db: &Inner) -> Recount {
    let mut left = VecDeque::new();
    for table in db.catalog.tables() {
        left.push_back(Count::new(&table.counters, table.space, Lane::ITEM));
        for index in &table.local_indexes {
            left.push_back(Count::new(&index.counters, table.space, index.lane()));
        }
        for index in &table.global_indexes {
            left.push_back(Count::new(&index.counters, index.space, Lane::ITEM));
        }
    }
    Recount { left }
}

/// Counts one page; says whether it was the last.
async fn count_page(db: &Inner, count: &mut Count) -> Result<bool, BackgroundError> {
    if !count.begun {
        begin(db, count).await?;
    }
    let (page, read_at) = match read_page(db, count).await {
        Ok(read) => read,
        // Deleted meanwhile.
        Err(EngineError::NoSpace(_)) => {
            count.counters.give_count_up();
            return Ok(true);
        }
        Err(error) => return Err(error.into()),
    };
    let mut rows = Sum::default();
    let last = page.rows.last().map(|(place, _)| place.clone());
    for (_, row) in page.rows {
        let item = EncodedItem::from_stored(row.value)
            .map_err(|error| EngineError::Corrupt(error.to_string()))?;
        rows = rows.plus(Sum::there(Some(item.size_bytes())));
    }
    let passed = last.clone().filter(|_| !page.end);
    let passed = passed.map(|place| ScanPlace::new(db.engine.as_ref(), place));
    // Whoever has committed what the page holds has then said so.
    db.latches.pass().await;
    let is_counted = count.counters.end_page(CountedPage { read_at, rows, last: passed });
    if is_counted {
        count.after = last;
    }
    Ok(is_counted && page.end)
}

/// Makes the writers say where they write.
async fn begin(db: &Inner, count: &mut Count) -> Result<(), BackgroundError> {
    count.counters.begin_count();
    db.latches.pass().await;
    // What was written by those who did not know of it is before this.
    count.counters.begin_after(stream::cut(db, Vec::new(), Vec::new()).await?);
    count.begun = true;
    Ok(())
}

/// Reads the next page, and says at which position.
async fn read_page(db: &Inner, count: &Count) -> Result<(Page, Position), EngineError> {
    db.engine.durable(count.counters.begin_page()).await?;
    let (read, read_at) = if db.engine.capabilities().snapshot_read {
        let snapshot = db.engine.snapshot().await?;
        let position = snapshot.position();
        (Read::Snapshot(snapshot), position)
    } else {
        // About right: as if everything were in it that was noted down before.
        (Read::Eventual, Position(u64::MAX))
    };
    let scan = ScanRead {
        space: count.space,
        lane: count.lane,
        interval: HashInterval::ALL,
        after: count.after.clone(),
        limit: PAGE,
    };
    Ok((db.engine.scan(scan, read).await?, read_at))
}
