//! A flipped bit in a table is an error or changes nothing: it never reads as absence.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "test code, outside the functions that the lint knows as such"
)]

mod support;

use std::path::{Path, PathBuf};

use support::{commit, key, open_with_space, put, small_options};
use zenobe_local::LocalEngine;
use zenobe_storage::{Engine as _, EngineError, HashInterval, Lane, PageLimit, Read, ScanRead};

const ROWS: usize = 600;
const FLIPS: usize = 120;

fn expected(n: usize) -> Vec<u8> {
    vec![u8::try_from(n % 251).unwrap(); 100 + n % 400]
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

/// Writes all rows into a table.
async fn write_all(directory: &Path) {
    let engine = open_with_space(directory).await;
    for n in 0..ROWS {
        commit(&engine, put(key(format!("key {n}")), expected(n))).await;
    }
    engine.checkpoint().await.unwrap();
    engine.close().await.unwrap();
}

/// Returns whether the damage was noticed.
async fn read_all(directory: &Path) -> bool {
    let engine = match LocalEngine::open(small_options(directory)) {
        Ok(engine) => engine,
        Err(EngineError::Corrupt(_)) => return true,
        Err(other) => panic!("{other}"),
    };
    let mut noticed = false;
    for n in 0..ROWS {
        match engine.get(key(format!("key {n}")), Read::Strong).await {
            Ok(row) => assert_eq!(row.unwrap().value, expected(n)),
            Err(EngineError::Corrupt(_)) => noticed = true,
            Err(other) => panic!("{other}"),
        }
    }
    let scan = ScanRead {
        space: support::SPACE,
        lane: Lane::ITEM,
        interval: HashInterval::ALL,
        after: None,
        limit: PageLimit { rows: usize::MAX, bytes: usize::MAX },
    };
    match engine.scan(scan, Read::Strong).await {
        Ok(page) => assert_eq!(page.rows.len(), ROWS),
        Err(EngineError::Corrupt(_)) => noticed = true,
        Err(other) => panic!("{other}"),
    }
    noticed
}

#[tokio::test]
async fn every_damaged_byte_of_the_list_of_tables_is_noticed() {
    let directory = tempfile::tempdir().unwrap();
    let engine = open_with_space(directory.path()).await;
    commit(&engine, put(key("a"), "1")).await;
    engine.checkpoint().await.unwrap();
    engine.close().await.unwrap();
    let mut lists = files(&directory.path().join("tree"));
    lists.retain(|path| path.parent().unwrap().ends_with("tree"));
    assert_eq!(lists.len(), 2, "{lists:?}");
    for path in lists {
        let original = std::fs::read(&path).unwrap();
        // The last byte of `current` names the kind of hash and is not used.
        let used = if path.ends_with("current") { original.len() - 1 } else { original.len() };
        for at in 0..used {
            let mut bytes = original.clone();
            bytes[at] ^= 1 << (at % 8);
            std::fs::write(&path, bytes).unwrap();
            let opened = LocalEngine::open(small_options(directory.path()));
            assert!(matches!(opened, Err(EngineError::Corrupt(_))), "{} at {at}", path.display());
        }
        std::fs::write(&path, original).unwrap();
    }
    let engine = LocalEngine::open(small_options(directory.path())).unwrap();
    assert_eq!(support::value(&engine, key("a")).await.unwrap(), "1");
}

#[tokio::test]
async fn a_list_of_tables_that_cannot_be_read_is_not_called_damaged() {
    let directory = tempfile::tempdir().unwrap();
    write_all(directory.path()).await;
    for path in files(&directory.path().join("tree")) {
        if !path.parent().unwrap().ends_with("tree") {
            continue;
        }
        let aside = directory.path().join("aside");
        std::fs::rename(&path, &aside).unwrap();
        // One that nobody can open.
        std::os::unix::fs::symlink(&path, &path).unwrap();
        let error = LocalEngine::open(small_options(directory.path())).unwrap_err();
        let is_named = error.to_string().contains(path.to_str().unwrap());
        assert!(matches!(error, EngineError::Unavailable(_)) && is_named, "{error}");
        std::fs::remove_file(&path).unwrap();
        std::fs::rename(&aside, &path).unwrap();
    }
    assert!(!read_all(directory.path()).await);
}

#[tokio::test]
async fn damage_to_a_table_is_reported_with_the_name_of_its_file() {
    let directory = tempfile::tempdir().unwrap();
    write_all(directory.path()).await;
    let table = files(&directory.path().join("tree/tables")).remove(0);
    let mut bytes = std::fs::read(&table).unwrap();
    bytes[1000] ^= 1;
    std::fs::write(&table, bytes).unwrap();
    let engine = LocalEngine::open(small_options(directory.path())).unwrap();
    let mut damaged = 0;
    for n in 0..ROWS {
        if let Err(error) = engine.get(key(format!("key {n}")), Read::Strong).await {
            let text = error.to_string();
            assert!(text.contains(table.to_str().unwrap()), "{text}");
            damaged += 1;
        }
    }
    assert!(damaged > 0);
}

#[tokio::test]
async fn a_damaged_length_at_the_end_of_a_table_is_not_trusted() {
    let directory = tempfile::tempdir().unwrap();
    write_all(directory.path()).await;
    let table = files(&directory.path().join("tree/tables")).remove(0);
    let original = std::fs::read(&table).unwrap();
    // The word before the last one says where the contents begin.
    let (at, end) = (original.len() - 16, original.len() - 8);
    let contents = u64::from_le_bytes(original[at..end].try_into().unwrap());
    let contents = usize::try_from(contents).unwrap();
    for at in contents..original.len() {
        let mut bytes = original.clone();
        // The high bit of a length: to make room for it would end the process.
        bytes[at] ^= 0x80;
        std::fs::write(&table, bytes).unwrap();
        match LocalEngine::open(small_options(directory.path())) {
            Ok(_) => {}
            Err(EngineError::Corrupt(text)) => {
                assert!(text.contains(table.to_str().unwrap()), "byte {at}: {text}");
            }
            Err(other) => panic!("byte {at}: {other}"),
        }
    }
    std::fs::write(&table, &original[..20]).unwrap();
    let error = LocalEngine::open(small_options(directory.path())).unwrap_err();
    assert!(matches!(error, EngineError::Corrupt(_)), "{error}");
    std::fs::write(&table, original).unwrap();
    assert!(!read_all(directory.path()).await);
}

#[tokio::test]
async fn what_is_missing_or_strange_among_the_tables_is_named() {
    let directory = tempfile::tempdir().unwrap();
    write_all(directory.path()).await;
    let tables = directory.path().join("tree/tables");
    let refused = |name: &str| {
        let error = LocalEngine::open(small_options(directory.path())).unwrap_err();
        assert!(error.to_string().contains(name), "{error}");
        error
    };
    let strange = tables.join("lost+found");
    std::fs::create_dir(&strange).unwrap();
    assert!(matches!(refused(strange.to_str().unwrap()), EngineError::Unavailable(_)));
    std::fs::remove_dir(&strange).unwrap();
    std::fs::write(&strange, "not a table").unwrap();
    assert!(matches!(refused(strange.to_str().unwrap()), EngineError::Unavailable(_)));
    std::fs::remove_file(&strange).unwrap();
    let table = files(&tables).remove(0);
    let aside = directory.path().join("aside");
    std::fs::rename(&table, &aside).unwrap();
    assert!(matches!(refused(table.to_str().unwrap()), EngineError::Corrupt(_)));
    std::fs::rename(&aside, &table).unwrap();
    assert!(!read_all(directory.path()).await);
}

#[tokio::test]
async fn a_flipped_bit_in_a_table_is_never_absence() {
    let directory = tempfile::tempdir().unwrap();
    write_all(directory.path()).await;
    let tables = files(&directory.path().join("tree"));
    let originals: Vec<_> = files(directory.path())
        .into_iter()
        .map(|path| (path.clone(), std::fs::read(path).unwrap()))
        .collect();
    let mut noticed = 0;
    for round in 0..FLIPS {
        // Half of the flips hit anywhere, half the last part, where the tables' indexes are.
        let path = &tables[round % tables.len()];
        let mut bytes = std::fs::read(path).unwrap();
        let step = bytes.len() * 8 / FLIPS;
        let bit = if round % 2 == 0 {
            round * step
        } else {
            bytes.len() * 8 - 1 - round * 67 % (bytes.len() * 8).min(40_000)
        };
        bytes[bit / 8] ^= 1 << (bit % 8);
        std::fs::write(path, bytes).unwrap();
        noticed += usize::from(read_all(directory.path()).await);
        for path in files(directory.path()) {
            std::fs::remove_file(path).unwrap();
        }
        for (path, bytes) in &originals {
            std::fs::write(path, bytes).unwrap();
        }
    }
    assert!(noticed > FLIPS / 2, "{noticed} of {FLIPS} noticed");
}
