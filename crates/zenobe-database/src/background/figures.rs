//! Item counts and sizes: saving them, and counting again after a crash.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use zenobe_model::EncodedItem;
use zenobe_storage::{
    EngineError, HashInterval, Lane, PageLimit, Read, RowPlace, ScanRead, SpaceId,
};

use super::{BackgroundError, State, Step};
use crate::Inner;
use crate::catalog::{Counters, Figures, Table};

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
    /// The counters when counting began.
    before: Option<(i64, i64)>,
    items: i64,
    bytes: i64,
}

impl Count {
    fn new(counters: &Arc<Counters>, space: SpaceId, lane: Lane) -> Self {
        let counters = Arc::clone(counters);
        Self { counters, space, lane, after: None, before: None, items: 0, bytes: 0 }
    }
}

/// Saves the figures that changed, and whether later ones may get lost.
pub(super) async fn save(db: &Inner, state: &mut State, open: bool) -> Result<(), EngineError> {
    if db.catalog.is_shared() {
        return merge(db, state).await;
    }
    let mut changed = Vec::new();
    for table in db.catalog.tables() {
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

/// Counts one page; says whether it was the last. The counters then move by the difference, so that
/// what writers add meanwhile is kept.
async fn count_page(db: &Inner, count: &mut Count) -> Result<bool, EngineError> {
    let before = *count.before.get_or_insert_with(|| count.counters.signed());
    let scan = ScanRead {
        space: count.space,
        lane: count.lane,
        interval: HashInterval::ALL,
        after: count.after.take(),
        limit: PAGE,
    };
    let page = match db.engine.scan(scan, Read::Eventual).await {
        Ok(page) => page,
        // Deleted meanwhile.
        Err(EngineError::NoSpace(_)) => return Ok(true),
        Err(error) => return Err(error),
    };
    count.after = page.rows.last().map(|(place, _)| place.clone());
    for (_, row) in page.rows {
        let item = EncodedItem::from_stored(row.value)
            .map_err(|error| EngineError::Corrupt(error.to_string()))?;
        count.items += 1;
        count.bytes =
            count.bytes.saturating_add(i64::try_from(item.size_bytes()).unwrap_or(i64::MAX));
    }
    if page.end {
        count.counters.add(count.items - before.0, count.bytes.saturating_sub(before.1));
    }
    Ok(page.end)
}
