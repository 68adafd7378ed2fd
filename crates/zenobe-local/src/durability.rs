//! Who waits for which LSN to be durable.

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
    waiters: Mutex<Vec<Waiter>>,
    next_ticket: AtomicU64,
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
        let mut ready = Vec::new();
        self.waiters.lock().retain(|waiter| {
            if waiter.lsn <= lsn {
                ready.push(waiter.waker.clone());
            }
            waiter.lsn > lsn
        });
        ready.into_iter().for_each(Waker::wake);
    }

    /// Nothing more will become durable.
    pub(crate) fn fail(&self, error: EngineError) {
        let _ = self.failed.set(error);
        let waiters = std::mem::take(&mut *self.waiters.lock());
        waiters.into_iter().for_each(|waiter| waiter.waker.wake());
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
            return Poll::Ready(outcome);
        }
        let ticket = self.ticket.unwrap_or(0);
        {
            let mut waiters = self.durable.waiters.lock();
            match waiters.iter_mut().find(|waiter| ticket != 0 && waiter.ticket == ticket) {
                Some(waiter) => waiter.waker.clone_from(context.waker()),
                None => {
                    let ticket = self.durable.next_ticket.fetch_add(1, Ordering::Relaxed) + 1;
                    waiters.push(Waiter { lsn: self.lsn, ticket, waker: context.waker().clone() });
                    drop(waiters);
                    self.ticket = Some(ticket);
                }
            }
        }
        // It may have become durable between the first look and the registration.
        match self.outcome() {
            Some(outcome) => Poll::Ready(outcome),
            None => Poll::Pending,
        }
    }
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket
            && self.durable.lsn() < self.lsn
        {
            self.durable.waiters.lock().retain(|waiter| waiter.ticket != ticket);
        }
    }
}
