//! What was committed is there after a clean close, and after a drop without one.

mod support;

use support::{
    SPACE, commit_durably, delete, figure, key, open, open_with_space, put, recording, records,
    value,
};
use zenobe_storage::{Engine as _, EngineError, Read, SpaceId};

#[tokio::test]
async fn rows_survive_closing_and_dropping() {
    let directory = tempfile::tempdir().unwrap();
    for round in 0..6_u32 {
        let engine = open_with_space(directory.path()).await;
        for n in 0..round * 50 {
            let expected = (n % 7 != 3).then(|| format!("value {n}"));
            assert_eq!(
                value(&engine, key(format!("key {n}"))).await,
                expected.map(Into::into),
                "round {round}"
            );
        }
        for n in round * 50..(round + 1) * 50 {
            let put = put(key(format!("key {n}")), format!("value {n}"));
            commit_durably(&engine, recording(put, 1, n.to_string())).await;
            if n % 7 == 3 {
                commit_durably(&engine, delete(key(format!("key {n}")))).await;
            }
        }
        if round == 3 {
            engine.checkpoint().await.unwrap();
            assert!(figure(&engine, "flushes_total") > 0.0);
        }
        if round % 2 == 0 {
            engine.close().await.unwrap();
            assert_eq!(engine.get(key("key 1"), Read::Strong).await, Err(EngineError::Closed));
        }
    }
    let engine = open(directory.path());
    let expected: Vec<_> = (0..300).map(|n| n.to_string()).collect();
    assert_eq!(records(&engine, 1).await, expected);
}

#[tokio::test]
async fn a_dropped_space_stays_dropped() {
    let directory = tempfile::tempdir().unwrap();
    {
        let engine = open_with_space(directory.path()).await;
        commit_durably(&engine, put(key("a"), "1")).await;
        engine.create_space(SpaceId(8)).await.unwrap();
        engine.drop_space(SPACE).await.unwrap();
        assert_eq!(engine.get(key("a"), Read::Strong).await, Err(EngineError::NoSpace(SPACE)));
        assert_eq!(
            engine.commit(put(key("a"), "2")).await.map(|_| ()),
            Err(EngineError::NoSpace(SPACE))
        );
    }
    let engine = open(directory.path());
    assert_eq!(engine.spaces().await.unwrap(), vec![SpaceId(8)]);
}
