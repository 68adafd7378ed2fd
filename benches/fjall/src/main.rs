//! The same work as zenobe-local's example `engine_bench`, done by fjall with its own journal: durable
//! read-modify-writes with 1, 8, 32 and 64 writers, random reads, a scan.
//!
//! `cargo run --release -- DIRECTORY [ROWS]`; the directory is made and removed. Run both in the same
//! minute: the disk's sync times decide most of it.
//!
//! A writer is a thread. It takes the latch of its key, reads the row, writes another value, lets the
//! latch go, and then syncs the journal for itself: fjall has no commit for several writers at once.

use std::path::PathBuf;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};

/// As much memory for blocks as zenobe-local takes for rows and blocks together.
const CACHE_BYTES: u64 = 208 << 20;
const LATCHES: usize = 4096;
const VALUE_BYTES: usize = 1000;
const MEASURED: Duration = Duration::from_secs(4);
const READS: u64 = 500_000;

struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

struct Store {
    database: Database,
    rows: Keyspace,
    latches: Vec<Mutex<()>>,
}

impl Store {
    fn open(directory: &PathBuf) -> fjall::Result<Self> {
        let database = Database::builder(directory).cache_size(CACHE_BYTES).open()?;
        let rows = database.keyspace("rows", KeyspaceCreateOptions::default)?;
        let latches = (0..LATCHES).map(|_| Mutex::default()).collect();
        Ok(Self { database, rows, latches })
    }

    /// Writes a row that was read before. Not durable yet.
    fn rewrite(&self, n: u64) -> fjall::Result<()> {
        let latch = self.latches.get(usize::try_from(n).unwrap_or(0) % LATCHES);
        let _held = latch.map(|latch| latch.lock().unwrap_or_else(|broken| broken.into_inner()));
        let old = self.rows.get(key(n))?;
        let first = old.and_then(|row| row.first().copied()).unwrap_or(0);
        self.rows.insert(key(n), [first.wrapping_add(1); VALUE_BYTES])
    }

    fn sync(&self) -> fjall::Result<()> {
        self.database.persist(PersistMode::SyncData)
    }
}

/// Keys in no order, like those of rows under a hash.
fn key(n: u64) -> [u8; 16] {
    let mixed = n.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let mut key = [0; 16];
    key[..8].copy_from_slice(&mixed.to_be_bytes());
    key[8..].copy_from_slice(&n.to_be_bytes());
    key
}

fn print(name: &str, count: u64, took: Duration, mut times: Vec<Duration>) {
    times.sort_unstable();
    let at = |part: usize| times.get(times.len() * part / 100).copied().unwrap_or_default();
    let rate = count as f64 / took.as_secs_f64();
    println!("{name:32} {rate:>9.0}/s  p50 {:>9.1?}  p99 {:>9.1?}", at(50), at(99));
}

fn writers(store: &Store, writers: u64, rows: u64) -> fjall::Result<()> {
    let start = Instant::now();
    let write = |writer: u64| -> fjall::Result<Vec<Duration>> {
        let mut random = Random(writer + 1);
        let mut times = Vec::new();
        while start.elapsed() < MEASURED {
            let begin = Instant::now();
            store.rewrite(random.below(rows))?;
            store.sync()?;
            times.push(begin.elapsed());
        }
        Ok(times)
    };
    let mut times = Vec::new();
    std::thread::scope(|scope| -> fjall::Result<()> {
        let threads: Vec<_> = (0..writers).map(|writer| scope.spawn(move || write(writer))).collect();
        for thread in threads {
            times.extend(thread.join().expect("a writer panicked")?);
        }
        Ok(())
    })?;
    let name = format!("read-modify-write, {writers} writers");
    print(&name, times.len() as u64, start.elapsed(), times);
    Ok(())
}

fn reads(store: &Store, name: &str, rows: u64) -> fjall::Result<()> {
    let mut random = Random(99);
    let mut times = Vec::new();
    let start = Instant::now();
    for _ in 0..READS {
        let begin = Instant::now();
        assert!(store.rows.get(key(random.below(rows)))?.is_some(), "a row is missing");
        times.push(begin.elapsed());
    }
    print(name, READS, start.elapsed(), times);
    Ok(())
}

fn scan(store: &Store) -> fjall::Result<()> {
    let start = Instant::now();
    let mut count = 0;
    for row in store.rows.iter() {
        row.into_inner()?;
        count += 1;
    }
    print("scan, rows", count, start.elapsed(), Vec::new());
    Ok(())
}

fn main() -> fjall::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let directory = PathBuf::from(arguments.next().expect("a directory is needed"));
    let rows = arguments.next().map_or(200_000, |rows| rows.parse().expect("ROWS is a number"));
    let store = Store::open(&directory)?;
    let start = Instant::now();
    for n in 0..rows {
        store.rewrite(n)?;
    }
    store.sync()?;
    print("load, not durable one by one", rows, start.elapsed(), Vec::new());
    for count in [1, 8, 32, 64] {
        writers(&store, count, rows)?;
    }
    reads(&store, "read, random", rows)?;
    reads(&store, "read, 10,000 hot rows", rows.min(10_000))?;
    scan(&store)?;
    drop(store);
    std::fs::remove_dir_all(directory)?;
    Ok(())
}
