//! Measures the engine: durable read-modify-writes with 1, 8, 32 and 64 writers, warm and cold point
//! reads, scans, memory.
//!
//! `cargo run --release -p zenobe-local --example engine_bench -- DIRECTORY [ROWS]`; the directory is
//! made and removed.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::cast_possible_truncation,
    reason = "a measuring program"
)]

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use zenobe_local::{LocalEngine, LocalOptions};
use zenobe_storage::{
    Commit, Engine, Expect, HashInterval, Key, Lane, Mutation, Outcome, PageLimit, Precondition,
    Read, ScanRead, SpaceId,
};

const SPACE: SpaceId = SpaceId(1);

fn key(n: u64) -> Key {
    Key {
        space: SPACE,
        partition: Bytes::from(format!("key-{n:010}")),
        lane: Lane::ITEM,
        sort: Bytes::new(),
    }
}

struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

fn value(n: u64) -> Bytes {
    Bytes::from(vec![u8::try_from(n % 251).unwrap(); 1000])
}

async fn rewrite(engine: &dyn Engine, n: u64) {
    let row = engine.get(key(n), Read::Latest).await.unwrap();
    let expect = row.map_or(Expect::Absent, |row| Expect::At(row.version));
    let commit = Commit {
        preconditions: vec![Precondition { key: key(n), expect }],
        mutations: vec![Mutation { key: key(n), value: Some(value(n)) }],
        ..Commit::default()
    };
    if let Outcome::Committed { position, .. } = engine.commit(commit).await.unwrap() {
        engine.durable(position).await.unwrap();
    }
}

fn print(name: &str, count: u64, took: Duration, mut times: Vec<Duration>) {
    times.sort_unstable();
    let at =
        |part: f64| times.get((times.len() as f64 * part) as usize).copied().unwrap_or_default();
    println!(
        "{name:32} {:>9.0}/s  p50 {:>9.1?}  p99 {:>9.1?}  p99.9 {:>9.1?}  max {:>9.1?}",
        count as f64 / took.as_secs_f64(),
        at(0.5),
        at(0.99),
        at(0.999),
        times.last().copied().unwrap_or_default()
    );
}

async fn writers(engine: &Arc<LocalEngine>, writers: u64, rows: u64, time: Duration) {
    let start = Instant::now();
    let fsyncs = figure(engine, "log_fsyncs_total");
    let cpu = cpu_seconds();
    let tasks: Vec<_> = (0..writers)
        .map(|writer| {
            let engine = engine.clone();
            tokio::spawn(async move {
                let mut random = Random(writer + 1);
                let mut times = Vec::new();
                while start.elapsed() < time {
                    let begin = Instant::now();
                    rewrite(engine.as_ref(), random.below(rows)).await;
                    times.push(begin.elapsed());
                }
                times
            })
        })
        .collect();
    let mut times = Vec::new();
    for task in tasks {
        times.extend(task.await.unwrap());
    }
    let count = times.len() as u64;
    let cpu = (cpu_seconds() - cpu) / count as f64 * 1e6;
    print(&format!("read-modify-write, {writers} writers"), count, start.elapsed(), times);
    let fsyncs = (figure(engine, "log_fsyncs_total") - fsyncs) / count as f64;
    println!("{:32} {fsyncs:.3} fsyncs and {cpu:.1} us of CPU a write", "");
}

fn figure(engine: &LocalEngine, name: &str) -> f64 {
    engine.figures().into_iter().find(|figure| figure.name == name).unwrap().value
}

fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks = |n: usize| fields.get(n).unwrap().parse::<f64>().unwrap();
    (ticks(11) + ticks(12)) / 100.0
}

fn memory() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    status
        .lines()
        .filter(|line| line.starts_with("VmRSS") || line.starts_with("VmHWM"))
        .collect::<Vec<_>>()
        .join("  ")
}

async fn reads(engine: &LocalEngine, name: &str, rows: u64, count: u64, read: Read) {
    let mut random = Random(99);
    let mut times = Vec::with_capacity(usize::try_from(count).unwrap());
    let start = Instant::now();
    for _ in 0..count {
        let begin = Instant::now();
        assert!(engine.get(key(random.below(rows)), read.clone()).await.unwrap().is_some());
        times.push(begin.elapsed());
    }
    print(name, count, start.elapsed(), times);
}

async fn scan(engine: &LocalEngine) {
    let start = Instant::now();
    let mut after = None;
    let mut count = 0;
    let mut times = Vec::new();
    loop {
        let begin = Instant::now();
        let limit = PageLimit { rows: usize::MAX, bytes: 1 << 20 };
        let scan =
            ScanRead { space: SPACE, lane: Lane::ITEM, interval: HashInterval::ALL, after, limit };
        let page = engine.scan(scan, Read::Eventual).await.unwrap();
        times.push(begin.elapsed());
        count += page.rows.len() as u64;
        after = page.rows.last().map(|(place, _)| place.clone());
        if page.end {
            break;
        }
    }
    print("scan, rows (pages of 1 MB)", count, start.elapsed(), times);
}

async fn load(engine: &Arc<LocalEngine>, rows: u64) {
    let start = Instant::now();
    let tasks: Vec<_> = (0..64)
        .map(|part| {
            let engine = engine.clone();
            tokio::spawn(async move {
                let mut times = Vec::new();
                for n in (part..rows).step_by(64) {
                    let begin = Instant::now();
                    rewrite(engine.as_ref(), n).await;
                    times.push(begin.elapsed());
                }
                times
            })
        })
        .collect();
    let mut times = Vec::new();
    for task in tasks {
        times.extend(task.await.unwrap());
    }
    print("load, 64 writers", rows, start.elapsed(), times);
    println!("{:32} {}", "", memory());
}

async fn run(directory: PathBuf, rows: u64) {
    let start = Instant::now();
    let engine = Arc::new(LocalEngine::open(LocalOptions::new(&directory)).unwrap());
    println!("{:32} {:.1?}  {}", "open, new", start.elapsed(), memory());
    engine.create_space(SPACE).await.unwrap();
    load(&engine, rows).await;
    for count in [1, 8, 32, 64] {
        writers(&engine, count, rows, Duration::from_secs(4)).await;
    }
    reads(&engine, "read, random, strong", rows, 500_000, Read::Strong).await;
    reads(&engine, "read, 10,000 hot rows, strong", 10_000, 500_000, Read::Strong).await;
    reads(&engine, "read, 10,000 hot rows, strong", 10_000, 1_000_000, Read::Strong).await;
    scan(&engine).await;
    println!("{:32} {}", "", memory());
    for figure in engine.figures() {
        println!("  {} {}", figure.name, figure.value);
    }
    engine.close().await.unwrap();
    drop(engine);
    let start = Instant::now();
    let engine = LocalEngine::open(LocalOptions::new(&directory)).unwrap();
    println!("{:32} {:.1?}", "open, after that", start.elapsed());
    reads(&engine, "read, random, caches empty", rows, 200_000, Read::Strong).await;
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let directory = PathBuf::from(arguments.next().unwrap());
    let rows = arguments.next().map_or(200_000, |rows| rows.parse().unwrap());
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(run(directory.clone(), rows));
    std::fs::remove_dir_all(directory).unwrap();
}
