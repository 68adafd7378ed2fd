//! Faults: what the caller may rely on when a commit goes wrong. For engines that can be told to.

use std::sync::Arc;

use super::EngineFactory;
use super::fixture::{Store, absent, at, bytes, commit_of, key, put};
use crate::memory::{Call, CommitFault, FaultScript};
use crate::{EngineError, Outcome, Read};

async fn faulty(factory: &dyn EngineFactory) -> Option<(Store, Arc<FaultScript>)> {
    let script = Arc::new(FaultScript::new());
    let engine = factory.open_faulty(Arc::clone(&script))?;
    Some((Store::with(engine).await, script))
}

/// An error of a commit means that nothing happened, and the next one works.
pub async fn a_failed_commit_does_nothing(factory: &dyn EngineFactory) {
    let Some((store, script)) = faulty(factory).await else { return };
    let error = EngineError::Unavailable("injected".to_owned());
    script.at_next_commit(CommitFault::Fail(error.clone()));
    let write = commit_of(vec![absent(key("p", "s"))], vec![put(key("p", "s"), "one")]);
    assert_eq!(store.try_commit(write.clone()).await.err(), Some(error.clone()));
    assert_eq!(store.get(key("p", "s")).await, None);
    store.commit(write).await;
    script.reset();
    script.at_call(Call::Get, 0, error.clone());
    assert_eq!(store.engine.get(key("p", "s"), Read::Strong).await.err(), Some(error));
    assert_eq!(store.value(key("p", "s")).await, Some(bytes("one")));
}

/// After an unknown outcome only looking tells what happened, and even then it may still happen.
pub async fn an_unknown_outcome_may_have_happened_or_not(factory: &dyn EngineFactory) {
    let Some((store, script)) = faulty(factory).await else { return };
    let cases = [
        (CommitFault::UnknownCommitted, true, true),
        (CommitFault::UnknownNotCommitted, false, false),
        (CommitFault::UnknownDelayed, false, true),
    ];
    for (index, (fault, at_once, later)) in cases.into_iter().enumerate() {
        let row = key("p", [u8::try_from(index).unwrap()]);
        let write = commit_of(vec![absent(row.clone())], vec![put(row.clone(), "one")]);
        script.at_next_commit(fault);
        assert!(matches!(store.try_commit(write.clone()).await, Ok(Outcome::Unknown)));
        assert_eq!(store.get(row.clone()).await.is_some(), at_once);
        // The precondition makes trying again safe, whatever became of the first attempt.
        let again = store.try_commit(write).await.unwrap();
        assert_eq!(matches!(again, Outcome::Conflict { .. }), later, "{again:?}");
        assert_eq!(store.value(row).await, Some(bytes("one")));
    }
}

/// A conflict that tells no row is a conflict: reading again and trying with that version works.
pub async fn a_hidden_conflict_is_still_a_conflict(factory: &dyn EngineFactory) {
    let Some((store, script)) = faulty(factory).await else { return };
    let row = key("p", "s");
    store.put(row.clone(), "one").await;
    script.at_next_commit(CommitFault::HideCurrent);
    let write = commit_of(vec![absent(row.clone())], vec![put(row.clone(), "two")]);
    assert_eq!(store.conflict(write).await, (row.clone(), None));
    let version = store.get(row.clone()).await.unwrap().version;
    script.at_next_commit(CommitFault::HideCurrent);
    store.commit(commit_of(vec![at(row.clone(), version)], vec![put(row.clone(), "two")])).await;
    assert_eq!(store.value(row).await, Some(bytes("two")));
}
