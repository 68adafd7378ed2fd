//! What a power loss leaves of the last, unacknowledged group is cut off and nothing else is lost; a
//! flipped bit in acknowledged data is never silent.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "test code, outside the functions that the lint knows as such"
)]

mod support;

use bytes::Bytes;
use support::memory_log::{Image, MemoryDirectory};
use support::{SPACE, commit, commit_durably, key, put};
use zenobe_local::LocalEngine;
use zenobe_local::log::Segment;
use zenobe_local::log::recovery::{Extent, recover};
use zenobe_storage::{Engine as _, EngineError, EngineResult};

const PAGE_BYTES: usize = 4096;

struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % limit
    }
}

struct Log {
    directory: MemoryDirectory,
    salt: u64,
}

/// A log of groups of one to nine commits, over several segments, all acknowledged.
async fn written_log(groups: usize) -> Log {
    let disk = tempfile::tempdir().unwrap();
    let directory = MemoryDirectory::default();
    let mut options = support::options_with_log(disk.path(), &directory);
    // Nothing is flushed, so every segment is kept.
    options.memtable_bytes = 256 << 20;
    let engine = LocalEngine::open(options).unwrap();
    engine.create_space(SPACE).await.unwrap();
    directory.record_moments(true);
    let mut random = Random(5);
    for group in 0..groups {
        let mut last = None;
        for n in 0..=random.below(9) {
            // Not zero: the end of the data must be told from the zeros after it.
            let byte = u8::try_from(1 + random.below(255)).unwrap();
            let value = Bytes::from(vec![byte; random.below(2500)]);
            last = Some(commit(&engine, put(key(format!("{group}-{n}")), value)).await);
        }
        engine.durable(last.unwrap()).await.unwrap();
    }
    engine.close().await.unwrap();
    directory.record_moments(false);
    let manifest = std::fs::read(disk.path().join("MANIFEST")).unwrap();
    let salt = u64::from_le_bytes(manifest[16..24].try_into().unwrap());
    Log { directory, salt }
}

fn read(directory: &MemoryDirectory, salt: u64) -> EngineResult<Vec<Vec<u8>>> {
    use zenobe_local::log::io::LogDirectory as _;
    let newest_segment =
        directory.list().unwrap().iter().filter_map(|name| Segment::id_of(name)).max().unwrap();
    let extent = Extent { salt, first_segment: 1, first_lsn: 1, newest_segment };
    let mut payloads = Vec::new();
    recover(directory, extent, &mut |found| {
        payloads.push(found.payload.to_vec());
        Ok(())
    })?;
    Ok(payloads)
}

/// Where the frames of a file end: nothing but zeros follows.
fn used(bytes: &[u8]) -> usize {
    bytes.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1)
}

#[tokio::test]
async fn any_pages_of_an_unsynced_group_may_be_missing() {
    let log = written_log(140).await;
    let all = read(&MemoryDirectory::of(&log.directory.image()), log.salt).unwrap();
    let mut random = Random(77);
    let (mut images, mut torn) = (0, 0);
    for moment in log.directory.moments() {
        if Segment::id_of(&moment.name).is_none() {
            continue;
        }
        let acknowledged = read(&MemoryDirectory::of(&moment.synced), log.salt).unwrap().len();
        let old = &moment.synced[&moment.name];
        let pages = moment.written.len().div_ceil(PAGE_BYTES);
        let page = |n: usize| n * PAGE_BYTES..((n + 1) * PAGE_BYTES).min(old.len());
        let changed: Vec<_> = (0..pages)
            .map(page)
            .filter(|page| old[page.clone()] != moment.written[page.clone()])
            .collect();
        for variant in 0..8 {
            let mut bytes = old.clone();
            for page in &changed {
                if random.below(2) == 0 {
                    bytes[page.clone()].copy_from_slice(&moment.written[page.clone()]);
                }
            }
            if variant % 4 == 0 {
                // Written from the front up to anywhere.
                let (low, high) = (used(old), used(&moment.written).max(used(old) + 1));
                let end = low + random.below(high - low);
                bytes.clone_from(old);
                bytes[..end].copy_from_slice(&moment.written[..end]);
            }
            let mut image = moment.synced.clone();
            image.insert(moment.name.clone(), bytes);
            let directory = MemoryDirectory::of(&image);
            let payloads = read(&directory, log.salt).unwrap();
            assert!(
                payloads.len() >= acknowledged,
                "{} of {acknowledged} acknowledged",
                payloads.len()
            );
            assert_eq!(payloads[..], all[..payloads.len()]);
            if variant < 2 {
                // What was cut stays cut.
                assert_eq!(read(&directory, log.salt).unwrap().len(), payloads.len());
            }
            images += 1;
            torn += usize::from(directory.image() != image);
        }
    }
    assert!(images >= 1000, "{images} images");
    assert!(torn >= 500, "{torn} torn images");
}

fn flipped(image: &Image, random: &mut Random) -> Image {
    let mut image = image.clone();
    let names: Vec<_> = image.keys().filter(|name| used(&image[*name]) > 64).cloned().collect();
    let bytes = image.get_mut(&names[random.below(names.len())]).unwrap();
    let bit = random.below(used(bytes) * 8);
    bytes[bit / 8] ^= 1 << (bit % 8);
    image
}

#[tokio::test]
async fn no_flipped_bit_is_silent() {
    let log = written_log(60).await;
    let image = log.directory.image();
    let all = read(&MemoryDirectory::of(&image), log.salt).unwrap();
    let mut random = Random(123);
    let (mut refused, mut harmless) = (0, 0);
    for _ in 0..1500 {
        match read(&MemoryDirectory::of(&flipped(&image, &mut random)), log.salt) {
            Ok(payloads) => {
                assert!(payloads == all, "acknowledged data was lost silently");
                harmless += 1;
            }
            Err(EngineError::Corrupt(text)) => {
                assert!(text.contains(".log") && text.contains("offset"), "{text}");
                refused += 1;
            }
            Err(other) => panic!("{other}"),
        }
    }
    assert!(refused > 1300, "{refused} refused, {harmless} harmless");
}

fn refusal(image: &Image, salt: u64) -> String {
    match read(&MemoryDirectory::of(image), salt) {
        Err(EngineError::Corrupt(text)) => text,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn an_end_that_was_cut_off_or_zeroed_is_noticed() {
    let log = written_log(60).await;
    let image = log.directory.image();
    let names = image.keys().filter(|name| Segment::id_of(name).is_some());
    let last = names.filter(|name| used(&image[*name]) > 64).max().unwrap();
    let (whole, end) = (image[last].len(), used(&image[last]));
    for length in [0, 1, 63, 64, 65, end / 4, end / 2, end - 1, end, whole - 1] {
        let mut cut = image.clone();
        cut.get_mut(last).unwrap().truncate(length);
        let text = refusal(&cut, log.salt);
        assert!(text.contains(last) && text.contains("offset"), "cut to {length}: {text}");
    }
    for from in [0, 1, 64, 65, end / 4, end / 2, end - 40, end - 1] {
        let mut zeroed = image.clone();
        zeroed.get_mut(last).unwrap()[from..].fill(0);
        let text = refusal(&zeroed, log.salt);
        assert!(text.contains(last) && text.contains("offset"), "zeroed from {from}: {text}");
    }
    for name in image.keys().filter(|name| Segment::id_of(name).is_some()) {
        let mut headless = image.clone();
        headless.get_mut(name).unwrap()[..64].fill(0);
        assert!(refusal(&headless, log.salt).contains(name.as_str()));
    }
}

#[tokio::test]
async fn without_the_file_of_what_was_synced_the_log_is_read_as_well() {
    let log = written_log(20).await;
    let mut image = log.directory.image();
    let all = read(&MemoryDirectory::of(&image), log.salt).unwrap();
    image.remove(zenobe_local::log::synced::NAME).unwrap();
    assert_eq!(read(&MemoryDirectory::of(&image), log.salt).unwrap(), all);
}

#[tokio::test]
async fn damage_before_the_last_segment_is_noticed_without_that_file() {
    let log = written_log(60).await;
    let mut image = log.directory.image();
    image.remove(zenobe_local::log::synced::NAME).unwrap();
    let mut segments: Vec<_> = image.keys().filter(|name| used(&image[*name]) > 64).collect();
    assert!(segments.len() > 3, "{segments:?}");
    segments.pop();
    for name in segments {
        let end = used(&image[name]);
        // All frames, some, the last commit with the end frame, and the end frame.
        for from in [64, end / 2, end - 200, end - 40] {
            let mut zeroed = image.clone();
            zeroed.get_mut(name).unwrap()[from..].fill(0);
            let text = refusal(&zeroed, log.salt);
            assert!(text.contains("offset"), "{name} zeroed from {from}: {text}");
        }
        for at in [100, end / 3, end - 100, end - 20] {
            let mut flipped = image.clone();
            flipped.get_mut(name).unwrap()[at] ^= 1;
            let text = refusal(&flipped, log.salt);
            assert!(text.contains("offset"), "{name} with a flipped bit at {at}: {text}");
        }
    }
}

#[tokio::test]
async fn what_only_the_last_frame_says_was_synced_is_not_cut_off() {
    let disk = tempfile::tempdir().unwrap();
    let directory = MemoryDirectory::default();
    let options = support::options_with_log(disk.path(), &directory);
    let engine = LocalEngine::open(options.clone()).unwrap();
    engine.create_space(SPACE).await.unwrap();
    for n in 0..3 {
        commit_durably(&engine, put(key(format!("{n}")), vec![b'x'; 500])).await;
    }
    engine.close().await.unwrap();
    let mut image = directory.image();
    image.remove(zenobe_local::log::synced::NAME).unwrap();
    let segment = image.get_mut(&Segment::name(1)).unwrap();
    // In the middle of the last value but one.
    let last = used(segment);
    let frame = (last - 64) / 3;
    segment[last - frame * 3 / 2] ^= 1;
    let mut options = options;
    options.log_directory = Some(std::sync::Arc::new(MemoryDirectory::of(&image)));
    let error = LocalEngine::open(options).unwrap_err();
    assert!(
        matches!(&error, EngineError::Corrupt(text) if text.contains("LSN 2 was synced")),
        "{error}"
    );
}

#[tokio::test]
async fn a_missing_segment_is_noticed() {
    let log = written_log(60).await;
    let image = log.directory.image();
    let segments: Vec<_> =
        image.keys().filter(|name| Segment::id_of(name).is_some()).cloned().collect();
    assert!(segments.len() > 3, "{segments:?}");
    for name in &segments[..segments.len() - 1] {
        let mut image = image.clone();
        image.remove(name);
        assert!(matches!(
            read(&MemoryDirectory::of(&image), log.salt),
            Err(EngineError::Corrupt(_))
        ));
    }
}
