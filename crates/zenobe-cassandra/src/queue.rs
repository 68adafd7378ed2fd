//! Group commit: commits of one process that wait for the same partition share one batch.
//!
//! Each partition that commits wait for has a queue, and one task that serves it, round by round, until the queue
//! is empty. A round takes all that wait as far as they fit into one batch ([`Merged`]): they touch different rows,
//! or wait for the next round. They get one version and happen together. When the batch is refused, those whose own
//! preconditions failed are told so, and the others go again, with whoever came meanwhile.
//!
//! The task and not the caller does the work: a caller that goes away leaves nothing in the middle.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio::time::Instant;
use zenobe_storage::{EngineError, Outcome, ShardId};

use crate::client::Waiting;
use crate::commit::Stop;
use crate::core::Core;
use crate::plan::{Merged, Plan};
use crate::schema::{Table, TableName};

pub(crate) type Reply = Result<Outcome, Stop>;

/// A commit that waits for its turn.
pub(crate) struct Member {
    pub(crate) plan: Arc<Plan>,
    pub(crate) deadline: Instant,
    pub(crate) reply: oneshot::Sender<Reply>,
    pub(crate) _waiting: Waiting,
}

impl Member {
    pub(crate) fn answer(self, reply: Reply) {
        // Whoever does not wait any more does not want to know.
        let _ = self.reply.send(reply);
    }
}

/// Commits that go together.
#[derive(Default)]
pub(crate) struct Group {
    members: Vec<Member>,
    pub(crate) merged: Merged,
}

impl Group {
    fn take(&mut self, member: Member) {
        self.merged.take(&member.plan);
        self.members.push(member);
    }

    /// Makes the group anew of members that remain.
    fn keep(&mut self, members: Vec<Member>) {
        *self = Self::default();
        for member in members {
            self.take(member);
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.members.len()
    }

    /// When the first of them gives up.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.members.iter().map(|member| member.deadline).min()
    }

    /// Answers those for which there is an answer; the others remain.
    pub(crate) fn answer_some(&mut self, answer: impl Fn(&Plan) -> Option<Reply>) {
        let mut rest = Vec::new();
        for member in self.members.drain(..) {
            match answer(&member.plan) {
                Some(reply) => member.answer(reply),
                None => rest.push(member),
            }
        }
        self.keep(rest);
    }

    /// Takes out all members, for one answer.
    pub(crate) fn take_all(&mut self) -> Vec<Member> {
        std::mem::take(self).members
    }

    /// Gives all the same answer.
    pub(crate) fn answer_all(&mut self, reply: &Reply) {
        for member in self.take_all() {
            member.answer(reply.clone());
        }
    }

    /// Answers those whose time is over. Returns whether there were any.
    pub(crate) fn answer_late(&mut self, now: Instant, reply: &Reply) -> bool {
        let count = self.len();
        let mut rest = Vec::new();
        for member in self.members.drain(..) {
            if member.deadline > now {
                rest.push(member);
            } else {
                member.answer(reply.clone());
            }
        }
        self.keep(rest);
        self.len() < count
    }

    /// Tells those that have a record in a shard that it is closed.
    pub(crate) fn answer_closed(&mut self, shard: ShardId) {
        self.answer_some(|plan| plan.has_record_in(shard).then_some(Ok(Outcome::Closed { shard })));
    }

    /// Takes out those whose callers are gone, and gives up on those whose time is over: nothing of them was done.
    fn expire(&mut self) {
        let waiting = self.members.drain(..).filter(|member| !member.reply.is_closed()).collect();
        self.keep(waiting);
        let text = "the commit waited too long for its partition".to_owned();
        self.answer_late(Instant::now(), &Err(Stop::Error(EngineError::Overloaded(text))));
    }
}

type QueueKey = (TableName, Bytes);

/// The queues of all partitions that commits wait for.
#[derive(Default)]
pub(crate) struct Queues {
    pub(crate) waiting: Arc<AtomicUsize>,
    queues: Mutex<HashMap<QueueKey, VecDeque<Member>>>,
}

impl Queues {
    /// Puts a commit into its queue. Returns whether nobody serves it yet.
    fn put(&self, key: &QueueKey, member: Member) -> bool {
        let mut queues = self.queues.lock();
        if let Some(queue) = queues.get_mut(key) {
            queue.push_back(member);
            return false;
        }
        queues.insert(key.clone(), VecDeque::from([member]));
        true
    }

    /// Fills a group from a queue. Returns whether there is anything to do; if not, the queue is gone.
    fn fill(&self, key: &QueueKey, group: &mut Group) -> bool {
        let mut queues = self.queues.lock();
        group.expire();
        let Some(queue) = queues.get_mut(key) else { return group.len() > 0 };
        let mut rest = VecDeque::new();
        let mut waiting = Group { members: queue.drain(..).collect(), ..Group::default() };
        waiting.expire();
        for member in waiting.take_all() {
            if group.merged.has_room_for(&member.plan) {
                group.take(member);
            } else {
                rest.push_back(member);
            }
        }
        *queue = rest;
        if group.len() == 0 {
            queues.remove(key);
        }
        group.len() > 0
    }
}

/// Removes a queue if its task ends in the middle: those who wait learn that nobody knows.
struct Serving<'a> {
    queues: &'a Queues,
    key: &'a QueueKey,
}

impl Drop for Serving<'_> {
    fn drop(&mut self) {
        let left = self.queues.queues.lock().remove(self.key);
        drop(left);
    }
}

impl Core {
    /// Hands a commit to the task that serves its partition, and waits for the answer.
    pub(crate) async fn ask(
        self: &Arc<Self>,
        table: &Arc<Table>,
        plan: &Arc<Plan>,
        deadline: Instant,
    ) -> Reply {
        let max = self.options.commits_waiting_max;
        let Some(waiting) = Waiting::enter(&self.queues.waiting, max) else {
            self.client.counters.overloaded.fetch_add(1, Ordering::Relaxed);
            let text = "too many commits wait for their partitions".to_owned();
            return Err(Stop::Error(EngineError::Overloaded(text)));
        };
        let (reply, answer) = oneshot::channel();
        let key = (table.name, plan.part.clone());
        let member = Member { plan: Arc::clone(plan), deadline, reply, _waiting: waiting };
        if self.queues.put(&key, member) {
            tokio::spawn(Arc::clone(self).serve(Arc::clone(table), key));
        }
        answer.await.unwrap_or(Ok(Outcome::Unknown))
    }

    async fn serve(self: Arc<Self>, table: Arc<Table>, key: QueueKey) {
        let serving = Serving { queues: &self.queues, key: &key };
        let mut group = Group::default();
        let mut ended = false;
        while self.queues.fill(&key, &mut group) {
            Box::pin(self.round(&table, &key.1, &mut group, &mut ended)).await;
            // Those who got their answer may have more to do, and then go together.
            tokio::task::yield_now().await;
        }
        // The queue is gone; another one may be there by now.
        std::mem::forget(serving);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use zenobe_storage::{Commit, Key, Lane, Mutation, SpaceId};

    use super::*;
    use crate::plan::check_sizes;

    fn member(sort: u8, deadline: Instant) -> (Member, oneshot::Receiver<Reply>) {
        let (partition, sort) = (Bytes::new(), Bytes::copy_from_slice(&[sort]));
        let key = Key { space: SpaceId(1), partition, lane: Lane::ITEM, sort };
        let mutations = vec![Mutation { key, value: None }];
        let commit = Commit { mutations, ..Commit::default() };
        let bytes = check_sizes(&commit).unwrap();
        let Ok((plan, _)) = Plan::of(commit, bytes) else { panic!("no contradiction") };
        let (reply, answer) = oneshot::channel();
        let waiting = Waiting::enter(&Arc::default(), 1).unwrap();
        (Member { plan: Arc::new(plan), deadline, reply, _waiting: waiting }, answer)
    }

    #[test]
    fn who_is_late_is_answered_and_the_others_go_again() {
        let now = Instant::now();
        let mut group = Group::default();
        let (late, mut told) = member(1, now);
        let (early, mut waits) = member(2, now + Duration::from_secs(1));
        group.take(late);
        group.take(early);
        assert_eq!(group.deadline(), Some(now));
        let reply = Err(Stop::Error(EngineError::Overloaded("full".to_owned())));
        assert!(group.answer_late(now, &reply));
        assert!(matches!(told.try_recv(), Ok(Err(Stop::Error(EngineError::Overloaded(_))))));
        assert!(waits.try_recv().is_err());
        assert_eq!((group.len(), group.merged.rows.len()), (1, 1));
        assert!(!group.answer_late(now, &reply), "nobody is late any more");
        assert_eq!(group.len(), 1);
    }
}
