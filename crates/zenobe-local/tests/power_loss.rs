//! After a power loss that leaves of all files and directories what was synced, and anything of what was not, everything
//! that was acknowledged is there.

#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    reason = "test code, outside the functions that the lint knows as such"
)]

mod support;
#[path = "support/syncs.rs"]
mod syncs;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs::File;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use support::{SPACE, commit_durably, key, open, put, recording, records, small_options, value};
use zenobe_local::{Durability, LocalEngine, LocalOptions};
use zenobe_storage::{Engine as _, Position, ShardId, SpaceId};

const PAGE_BYTES: usize = 4096;
const SHARD: u64 = 1;
const KEYS: usize = 20;
const COMMITS: usize = 120;
/// Of so many syncs of a segment one is looked at: most are of a commit like others.
const SEGMENT_SYNCS: usize = 12;

struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % limit
    }

    fn either(&mut self) -> bool {
        self.below(2) == 0
    }
}

/// What was acknowledged, and what was asked for.
#[derive(Clone, Default)]
struct Told {
    /// How many commits.
    commits: usize,
    /// Spaces that exist, and some that exist no more.
    spaces: BTreeSet<SpaceId>,
    dropped: BTreeSet<SpaceId>,
    /// Records of commits before this one were perhaps trimmed.
    trimmed: usize,
}

type Inode = u64;

/// What is synced of a directory and all that is in it.
struct Disk {
    root: PathBuf,
    told: Arc<Mutex<Told>>,
    /// The files as last synced, open: so no other file gets one's number.
    files: BTreeMap<Inode, (File, Arc<Vec<u8>>)>,
    directories: BTreeMap<Inode, BTreeMap<OsString, Inode>>,
    random: Random,
    segment_syncs: usize,
    moments: Vec<Moment>,
}

/// What a power loss may leave: directories, which have no bytes, and files.
type Image = BTreeMap<PathBuf, Option<Arc<Vec<u8>>>>;

struct Moment {
    told: Told,
    /// What was being synced, for who looks for what went wrong.
    name: PathBuf,
    image: Image,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Left {
    /// What was synced.
    Synced,
    /// That, and any of the rest.
    Any,
}

type Entries = BTreeMap<OsString, (Inode, PathBuf)>;

/// What a directory has, while files may be made and renamed there: so it is read until it stands still.
fn entries(directory: &Path) -> Entries {
    let read = || -> Entries {
        let entries = std::fs::read_dir(directory).into_iter().flatten().filter_map(Result::ok);
        let numbered = |entry: std::fs::DirEntry| {
            let inode = entry.metadata().ok()?.ino();
            Some((entry.file_name(), (inode, entry.path())))
        };
        entries.filter_map(numbered).collect()
    };
    loop {
        let found = read();
        if found == read() {
            return found;
        }
    }
}

/// A file of which any pages were written.
fn torn(synced: &[u8], written: &[u8], random: &mut Random) -> Vec<u8> {
    let mut bytes = if random.either() { written } else { synced }.to_vec();
    for (page, to) in bytes.chunks_mut(PAGE_BYTES).enumerate() {
        let from = if random.either() { written } else { synced };
        let from = from.get(page * PAGE_BYTES..).unwrap_or_default();
        to.iter_mut().zip(from).for_each(|(to, from)| *to = *from);
    }
    bytes
}

impl Disk {
    fn before_sync(&mut self, path: &Path) {
        if !path.starts_with(&self.root) {
            return;
        }
        let is_segment = path.extension().is_some_and(|extension| extension == "log");
        self.segment_syncs += usize::from(is_segment);
        if !is_segment || self.segment_syncs.is_multiple_of(SEGMENT_SYNCS) {
            let told = self.told.lock().clone();
            let name = path.strip_prefix(&self.root).unwrap().to_owned();
            let which = if self.moments.len() % 2 == 1 { Left::Any } else { Left::Synced };
            let image = self.image(which);
            self.moments.push(Moment { told, name, image });
        }
        self.synced(path);
    }

    fn image(&mut self, which: Left) -> Image {
        let (root, mut image) = (self.root.clone(), Image::new());
        let inode = root.metadata().unwrap().ino();
        self.gather(inode, (Some(&root), Path::new("")), which, &mut image);
        image
    }

    fn synced(&mut self, path: &Path) {
        let Ok(file) = File::open(path) else { return };
        let metadata = file.metadata().unwrap();
        if metadata.is_dir() {
            let names = entries(path).into_iter().map(|(name, (inode, _))| (name, inode));
            self.directories.insert(metadata.ino(), names.collect());
        } else {
            let bytes = Arc::new(std::fs::read(path).unwrap());
            self.files.insert(metadata.ino(), (file, bytes));
        }
    }

    /// Gathers what is left of a directory, which is at `now`, if anywhere, and at `place` in the image.
    fn gather(
        &mut self,
        directory: Inode,
        (now, place): (Option<&Path>, &Path),
        which: Left,
        image: &mut Image,
    ) {
        let synced = self.directories.get(&directory).cloned().unwrap_or_default();
        let now = now.map(entries).unwrap_or_default();
        let names: BTreeSet<_> = synced.keys().chain(now.keys()).cloned().collect();
        for name in names {
            let current = now.get(&name).map(|(inode, _)| *inode);
            let kept = synced.get(&name).copied();
            let any = which == Left::Any;
            let chosen = if any && self.random.either() { current } else { kept };
            let Some(inode) = chosen else { continue };
            // It may have another name by now.
            let path = now.values().find(|(other, _)| *other == inode).map(|(_, path)| path);
            let place = place.join(&name);
            if self.directories.contains_key(&inode) || path.is_some_and(|path| path.is_dir()) {
                image.insert(place.clone(), None);
                self.gather(inode, (path.map(PathBuf::as_path), &place), which, image);
                continue;
            }
            let synced = self.files.get(&inode).map(|(_, bytes)| bytes.clone()).unwrap_or_default();
            let written = path.filter(|_| any).and_then(|path| std::fs::read(path).ok());
            let bytes = match written {
                Some(written) if written != *synced => {
                    Arc::new(torn(&synced, &written, &mut self.random))
                }
                _ => synced,
            };
            image.insert(place, Some(bytes));
        }
    }
}

fn space(n: usize) -> SpaceId {
    SpaceId(100 + n as u64)
}

fn text(n: usize) -> String {
    format!("{n:06} {}", "x".repeat(3000))
}

/// Writes, flushes, trims, makes and drops spaces, and says what of it was acknowledged. By interval a commit is only
/// with a checkpoint.
async fn work(options: LocalOptions, told: &Mutex<Told>) {
    let by_interval = options.durability != Durability::Fsync;
    let engine = LocalEngine::open(options).unwrap();
    engine.create_space(SPACE).await.unwrap();
    told.lock().spaces.insert(SPACE);
    for n in 0..COMMITS {
        if n % 16 == 0 {
            engine.create_space(space(n)).await.unwrap();
            told.lock().spaces.insert(space(n));
        }
        if n % 32 == 31 {
            let dropped = space(n - 15);
            told.lock().spaces.remove(&dropped);
            engine.drop_space(dropped).await.unwrap();
            told.lock().dropped.insert(dropped);
        }
        let row = put(key(format!("{}", n % KEYS)), text(n));
        let position = commit_durably(&engine, recording(row, SHARD, format!("{n}"))).await;
        assert_eq!(position, Position(n as u64 + 1));
        if n % 10 == 9 && n > 40 {
            let trimmed = n - 40;
            told.lock().trimmed = trimmed;
            engine.log_trim(ShardId(SHARD), Position(trimmed as u64)).await.unwrap();
        }
        let is_flushed = n % 20 == 19;
        if is_flushed {
            engine.checkpoint().await.unwrap();
        }
        if is_flushed || !by_interval {
            told.lock().commits = n + 1;
        }
    }
    engine.close().await.unwrap();
}

fn number(bytes: &[u8]) -> usize {
    std::str::from_utf8(bytes).unwrap().split(' ').next().unwrap().parse().unwrap()
}

/// What was acknowledged is there.
async fn check(directory: &Path, told: &Told) {
    let engine = open(directory);
    let spaces: BTreeSet<_> = engine.spaces().await.unwrap().into_iter().collect();
    assert!(spaces.is_superset(&told.spaces), "{spaces:?} of {:?}", told.spaces);
    assert!(spaces.is_disjoint(&told.dropped), "{spaces:?}, and dropped were {:?}", told.dropped);
    for n in told.commits.saturating_sub(KEYS)..told.commits {
        let found = value(&engine, key(format!("{}", n % KEYS))).await.unwrap();
        assert!(number(&found) >= n, "{} where {n} was", number(&found));
    }
    let records = records(&engine, SHARD).await;
    let records: BTreeSet<_> = records.iter().map(|record| number(record)).collect();
    let missing = (told.trimmed..told.commits).find(|n| !records.contains(n));
    assert_eq!(missing, None, "of {records:?}");
    if spaces.contains(&SPACE) {
        // And it goes on.
        commit_durably(&engine, put(key("after"), "1")).await;
    }
}

fn write(image: &Image, directory: &Path) {
    for (name, bytes) in image {
        let path = directory.join(name);
        match bytes {
            Some(bytes) => std::fs::write(path, &**bytes).unwrap(),
            None => std::fs::create_dir(path).unwrap(),
        }
    }
}

async fn work_and_lose_power(durability: Durability) {
    let root = tempfile::tempdir().unwrap();
    let data = Path::new("new").join("data");
    let told = Arc::new(Mutex::new(Told::default()));
    let disk = Arc::new(Mutex::new(Disk {
        root: root.path().canonicalize().unwrap(),
        told: told.clone(),
        files: BTreeMap::new(),
        directories: BTreeMap::new(),
        random: Random(3),
        segment_syncs: 0,
        moments: Vec::new(),
    }));
    let watched = disk.clone();
    syncs::watch(Some(Box::new(move |path| watched.lock().before_sync(path))));
    let mut options = small_options(&root.path().join(&data));
    options.durability = durability;
    work(options, &told).await;
    syncs::watch(None);
    let moments = std::mem::take(&mut disk.lock().moments);
    for part in ["MANIFEST.new", "log", "log/SYNCED", ".index.tmp", "tree/current", "tree/tables"] {
        let is_part = |moment: &Moment| moment.name.to_str().unwrap().ends_with(part);
        assert!(moments.iter().any(is_part), "no sync of {part}");
    }
    for moment in moments {
        let disk = tempfile::tempdir().unwrap();
        write(&moment.image, disk.path());
        check(&disk.path().join(&data), &moment.told).await;
    }
}

// One test, for syncs are those of the process.
#[tokio::test]
async fn what_was_acknowledged_survives_whatever_else_is_lost() {
    for durability in [Durability::Fsync, Durability::Interval(Duration::from_secs(3600))] {
        work_and_lose_power(durability).await;
    }
}
