//! Marks: in which partitions a process may have left traces of commits with derived rows.
//!
//! Before such a commit its partition is marked: a plain write into the table `marks`, in the process's own
//! partitions there. A mark is remembered and serves every later commit, so a busy partition costs one in a while.
//!
//! Marks are removed by generations and not one by one, so that they leave no heap of tombstones. A generation has
//! a bucket, which is a partition of the table; it takes marks for [`GENERATION_AGE`] or until it has
//! [`MARKS_MAX`]; then the next one begins, in a free bucket. When the last commit that relied on an old one is
//! through, derived rows and all, its bucket is emptied by one deletion.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::time::Instant;
use zenobe_storage::{EngineError, EngineResult};

use crate::client::{Bind, Failure, Freshness};
use crate::core::{Core, ordered};
use crate::figures::Kind;
use crate::instance::Instance;
use crate::schema::TableName;

/// How many buckets an instance has, and so how many generations at most.
pub(crate) const BUCKETS: i16 = 8;
/// How many partitions a generation has before the next one begins.
const MARKS_MAX: usize = 10_000;
/// How long a generation takes marks.
const GENERATION_AGE: Duration = Duration::from_secs(10);

/// Marks that are removed together. Whoever relies on one holds its generation.
pub(crate) struct Generation {
    pub(crate) instance: Arc<Instance>,
    bucket: i16,
    began: Instant,
    marked: Mutex<HashSet<(TableName, Bytes)>>,
}

impl Generation {
    fn is_worn(&self) -> bool {
        let count = self.marked.lock().len();
        count >= MARKS_MAX || (count > 0 && self.began.elapsed() >= GENERATION_AGE)
    }
}

struct State {
    instance: Arc<Instance>,
    current: Option<Arc<Generation>>,
    old: Vec<Arc<Generation>>,
}

impl State {
    fn free_bucket(&self) -> Option<i16> {
        let used = |bucket: &i16| {
            self.old.iter().chain(&self.current).any(|generation| generation.bucket == *bucket)
        };
        (0..BUCKETS).find(|bucket| !used(bucket))
    }

    /// The generation that takes marks now.
    fn current(&mut self) -> EngineResult<Arc<Generation>> {
        let bucket = match &self.current {
            Some(current) if !current.is_worn() => return Ok(Arc::clone(current)),
            Some(current) => match self.free_bucket() {
                Some(bucket) => bucket,
                // Old ones are stuck; this one goes on as long as it has room.
                None if current.marked.lock().len() < MARKS_MAX => return Ok(Arc::clone(current)),
                None => {
                    let text = "too many partitions have derived rows that are not written yet";
                    return Err(EngineError::Overloaded(text.to_owned()));
                }
            },
            None => self.free_bucket().unwrap_or_default(),
        };
        let generation = Arc::new(Generation {
            instance: Arc::clone(&self.instance),
            bucket,
            began: Instant::now(),
            marked: Mutex::default(),
        });
        self.old.extend(self.current.replace(Arc::clone(&generation)));
        Ok(generation)
    }

    /// Generations that nobody relies on and that take no more marks.
    fn unused(&mut self) -> Vec<Arc<Generation>> {
        // Nobody else can come to hold one that is not current and that only this list holds.
        let is_unused = |generation: &Arc<Generation>| Arc::strong_count(generation) == 1;
        if self.current.as_ref().is_some_and(|current| current.is_worn() && is_unused(current)) {
            self.old.extend(self.current.take());
        }
        self.old.iter().filter(|generation| is_unused(generation)).map(Arc::clone).collect()
    }
}

/// The marks of this process.
pub(crate) struct Marks {
    state: Mutex<State>,
    stamp: AtomicI64,
}

impl Marks {
    pub(crate) fn new() -> Self {
        let state = State { instance: Instance::new(), current: None, old: Vec::new() };
        Self { state: Mutex::new(state), stamp: AtomicI64::new(0) }
    }

    pub(crate) fn instance(&self) -> Arc<Instance> {
        Arc::clone(&self.state.lock().instance)
    }

    /// Goes on as a new instance. The marks of the old one are those of whoever took it over.
    pub(crate) fn replace(&self, fenced: &Arc<Instance>) {
        let mut state = self.state.lock();
        if Arc::ptr_eq(&state.instance, fenced) {
            *state = State { instance: Instance::new(), current: None, old: Vec::new() };
        }
    }

    /// A write timestamp later than that of every earlier write of this process to its marks.
    fn stamp(&self, wall_us: i64) -> i64 {
        let step = |last: i64| wall_us.max(last.saturating_add(1));
        let last =
            self.stamp.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |last| Some(step(last)));
        match last {
            Ok(last) | Err(last) => step(last),
        }
    }
}

impl Core {
    /// Sees to it that a partition is marked, as long as the generation is held.
    pub(crate) async fn mark(
        &self,
        table: TableName,
        part: &Bytes,
    ) -> EngineResult<Arc<Generation>> {
        let mut generation = self.marks.state.lock().current()?;
        if !generation.instance.is_registered() {
            // Marks of one that others do not know of nobody would remove.
            self.beat(&generation.instance).await?;
            generation = self.marks.state.lock().current()?;
        }
        let place = (table, part.clone());
        if generation.marked.lock().contains(&place) {
            return Ok(generation);
        }
        // Whoever relies on the mark takes its version later. The last one that the clock gave or met would do as
        // well, but before the first it is long ago, and who takes over would read all traces that ever were.
        let since = self.next_version()?;
        let values = vec![
            Bind::Blob(generation.instance.id.clone()),
            Bind::Small(generation.bucket),
            Bind::Big(ordered(table.space.map_or(0, |space| space.0))),
            Bind::Big(table.incarnation),
            Bind::Blob(part.clone()),
            Bind::Big(since),
            Bind::Big(self.marks.stamp(self.clock.wall_us())),
        ];
        let statement = &self.own.instances.mark;
        self.client
            .run(Kind::Mark, statement, Freshness::Quorum, values)
            .await
            .map_err(Failure::error)?;
        generation.marked.lock().insert(place);
        Ok(generation)
    }

    /// Removes the marks that nobody relies on.
    pub(crate) async fn sweep_marks(&self) {
        let unused = self.marks.state.lock().unused();
        for generation in unused {
            let values = vec![
                Bind::Big(self.marks.stamp(self.clock.wall_us())),
                Bind::Blob(generation.instance.id.clone()),
                Bind::Small(generation.bucket),
            ];
            let statement = &self.own.instances.unmark;
            match self.client.run(Kind::Mark, statement, Freshness::Quorum, values).await {
                Ok(_) => {
                    let mut state = self.marks.state.lock();
                    state.old.retain(|old| !Arc::ptr_eq(old, &generation));
                }
                Err(failure) => tracing::debug!(?failure, "marks stay for a while"),
            }
        }
    }

    /// Removes all marks at the end. Returns whether there were none that somebody still relies on.
    pub(crate) async fn remove_marks(&self) -> bool {
        {
            let mut state = self.marks.state.lock();
            let current = state.current.take();
            state.old.extend(current);
        }
        self.sweep_marks().await;
        self.marks.state.lock().old.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state() -> State {
        State { instance: Instance::new(), current: None, old: Vec::new() }
    }

    fn fill(generation: &Generation, count: usize) {
        let name = TableName { space: None, incarnation: 0 };
        let places = (0..count).map(|index| (name, index.to_string().into()));
        generation.marked.lock().extend(places);
    }

    #[test]
    fn a_full_generation_is_followed_by_another_and_removed_when_unused() {
        let mut state = state();
        let one = state.current().unwrap();
        fill(&one, MARKS_MAX);
        let two = state.current().unwrap();
        assert_ne!(one.bucket, two.bucket);
        assert!(state.unused().is_empty(), "somebody relies on both");
        drop(one);
        let unused = state.unused();
        assert_eq!(unused.len(), 1);
        assert_eq!(unused[0].marked.lock().len(), MARKS_MAX);
        drop(two);
        drop(unused);
        assert_eq!(state.unused().len(), 1, "the one that takes marks is not removed");
    }

    #[test]
    fn there_are_only_so_many_generations() {
        let mut state = state();
        let mut held = Vec::new();
        for _ in 0..BUCKETS {
            let generation = state.current().unwrap();
            fill(&generation, MARKS_MAX);
            held.push(generation);
        }
        assert!(matches!(state.current(), Err(EngineError::Overloaded(_))));
        let freed = held.swap_remove(3);
        let bucket = freed.bucket;
        state.old.retain(|old| !Arc::ptr_eq(old, &freed));
        assert_eq!(state.current().unwrap().bucket, bucket);
    }

    #[test]
    fn write_timestamps_of_marks_grow_though_the_clock_goes_back() {
        let marks = Marks::new();
        assert_eq!(marks.stamp(1000), 1000);
        assert_eq!(marks.stamp(1000), 1001);
        assert_eq!(marks.stamp(500), 1002);
    }
}
