//! Who waits for which LSN to be durable.
//!
//! A group of commits becomes durable at once, and to wake a task of an idle runtime from another
//! thread is a system call. So the committer wakes one waiter of the group, and that one, in its
//! runtime, wakes the others. The one cannot get lost on the way: it was taken off the list under the
//! lock, and does its duty when it is polled or, should nobody poll it any more, dropped.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;
use std::sync::OnceLock;
use zenobe_storage::{EngineError, EngineResult};

/// The durable LSN and those who wait for it.
#[derive(Default)]
pub(crate) struct Durable {
    lsn: AtomicU64,
    failed: OnceLock<EngineError>,
    waiters: Mutex<Waiters>,
    next_ticket: AtomicU64,
}

#[derive(Default)]
struct Waiters {
    waiting: Vec<Waiter>,
    /// Their time has come; whoever was taken off `waiting` and comes by wakes them.
    relayed: Vec<Waker>,
}

struct Waiter {
    lsn: u64,
    ticket: u64,
    waker: Waker,
}

impl Durable {
    pub(crate) fn starting_at(lsn: u64) -> Self {
        Self { lsn: AtomicU64::new(lsn), ..Self::default() }
    }

    /// The last durable LSN.
    pub(crate) fn lsn(&self) -> u64 {
        self.lsn.load(Ordering::Acquire)
    }

    /// Why nothing more will become durable.
    pub(crate) fn failure(&self) -> Option<&EngineError> {
        self.failed.get()
    }

    /// Everything up to `lsn` is durable.
    pub(crate) fn advance(&self, lsn: u64) {
        self.lsn.store(lsn, Ordering::Release);
        let first = {
            let mut waiters = self.waiters.lock();
            let Waiters { waiting, relayed } = &mut *waiters;
            relayed.extend(waiting.extract_if(.., |w| w.lsn <= lsn).map(|waiter| waiter.waker));
            relayed.pop()
        };
        if let Some(first) = first {
            first.wake();
        }
    }

    /// Nothing more will become durable.
    pub(crate) fn fail(&self, error: EngineError) {
        let _ = self.failed.set(error);
        let Waiters { waiting, relayed } = std::mem::take(&mut *self.waiters.lock());
        waiting.into_iter().map(|waiter| waiter.waker).chain(relayed).for_each(Waker::wake);
    }

    /// A waiter that was registered needs no waking any more. If it was woken, it wakes the others.
    fn leave(&self, ticket: u64) {
        let relayed = {
            let mut waiters = self.waiters.lock();
            match waiters.waiting.iter().position(|waiter| waiter.ticket == ticket) {
                Some(place) => {
                    waiters.waiting.swap_remove(place);
                    Vec::new()
                }
                None => std::mem::take(&mut waiters.relayed),
            }
        };
        relayed.into_iter().for_each(Waker::wake);
    }

    /// Waits until everything up to `lsn` is durable.
    pub(crate) fn wait(&self, lsn: u64) -> Wait<'_> {
        Wait { durable: self, lsn, ticket: None }
    }
}

/// Waits for an LSN.
pub(crate) struct Wait<'a> {
    durable: &'a Durable,
    lsn: u64,
    ticket: Option<u64>,
}

impl Wait<'_> {
    fn leave(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            self.durable.leave(ticket);
        }
    }

    fn outcome(&self) -> Option<EngineResult<()>> {
        if self.durable.lsn() >= self.lsn {
            return Some(Ok(()));
        }
        self.durable.failure().map(|error| Err(error.clone()))
    }
}

impl Future for Wait<'_> {
    type Output = EngineResult<()>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if let Some(outcome) = self.outcome() {
            self.leave();
            return Poll::Ready(outcome);
        }
        {
            let mut waiters = self.durable.waiters.lock();
            let own = self.ticket;
            match waiters.waiting.iter_mut().find(|waiter| Some(waiter.ticket) == own) {
                Some(waiter) => waiter.waker.clone_from(context.waker()),
                None => {
                    let ticket = self.durable.next_ticket.fetch_add(1, Ordering::Relaxed);
                    let waker = context.waker().clone();
                    waiters.waiting.push(Waiter { lsn: self.lsn, ticket, waker });
                    drop(waiters);
                    self.ticket = Some(ticket);
                }
            }
        }
        // It may have become durable between the first look and the registration.
        match self.outcome() {
            Some(outcome) => {
                self.leave();
                Poll::Ready(outcome)
            }
            None => Poll::Pending,
        }
    }
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        self.leave();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicUsize;
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Counter(AtomicUsize);

    impl Wake for Counter {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Registers waiters for the LSNs, each with a count of how often it was woken.
    fn waiting<'d>(durable: &'d Durable, lsns: &[u64]) -> Vec<(Wait<'d>, Arc<Counter>)> {
        let waiters = lsns.iter().map(|&lsn| (durable.wait(lsn), Arc::new(Counter::default())));
        let mut waiters: Vec<_> = waiters.collect();
        for (wait, counter) in &mut waiters {
            assert!(poll(wait, counter).is_pending());
        }
        waiters
    }

    fn poll(wait: &mut Wait<'_>, counter: &Arc<Counter>) -> Poll<EngineResult<()>> {
        let waker = Waker::from(counter.clone());
        Pin::new(wait).poll(&mut Context::from_waker(&waker))
    }

    fn woken(waiters: &[(Wait<'_>, Arc<Counter>)]) -> Vec<usize> {
        waiters.iter().map(|(_, counter)| counter.0.load(Ordering::Relaxed)).collect()
    }

    #[test]
    fn one_is_woken_and_wakes_the_others_of_its_group() {
        let durable = Durable::starting_at(0);
        let mut waiters = waiting(&durable, &[1, 2, 3]);
        durable.advance(2);
        assert_eq!(woken(&waiters), [0, 1, 0]);
        let (wait, counter) = waiters.get_mut(1).unwrap();
        assert_eq!(poll(wait, counter), Poll::Ready(Ok(())));
        assert_eq!(woken(&waiters), [1, 1, 0]);
        durable.advance(3);
        assert_eq!(woken(&waiters), [1, 1, 1]);
    }

    #[test]
    fn one_that_is_dropped_wakes_the_others_all_the_same() {
        let durable = Durable::starting_at(0);
        let mut waiters = waiting(&durable, &[1, 1]);
        durable.advance(1);
        assert_eq!(woken(&waiters), [0, 1]);
        waiters.pop();
        assert_eq!(woken(&waiters), [1]);
    }

    #[test]
    fn who_has_left_is_not_relied_on() {
        let durable = Durable::starting_at(0);
        let mut waiters = waiting(&durable, &[1, 1]);
        waiters.pop();
        durable.advance(1);
        assert_eq!(woken(&waiters), [1]);
    }

    #[test]
    fn a_failure_wakes_all() {
        let durable = Durable::starting_at(0);
        let mut waiters = waiting(&durable, &[1, 1, 2]);
        durable.advance(1);
        durable.fail(EngineError::Closed);
        assert_eq!(woken(&waiters), [1, 1, 1]);
        let (wait, counter) = waiters.get_mut(2).unwrap();
        assert_eq!(poll(wait, counter), Poll::Ready(Err(EngineError::Closed)));
    }
}
