//! What the engine must know before it reads the log: spaces, the log's extent, trim positions.
//!
//! The file `MANIFEST` is replaced as a whole (written beside, synced, renamed, directory synced).
//! Little-endian: magic `ZNBMANIF`, format u32, zero u32, salt u64, first segment u64, first LSN u64,
//! newest segment u64, flushed LSN u64, next incarnation u64, count u64 of spaces, each space u64 and incarnation u64, count u64 of trim positions,
//! each shard u64 and LSN u64, XXH3-64 of everything before.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use bytes::BufMut as _;
use zenobe_storage::{EngineError, EngineResult};

use crate::log::frame::{body_of, push_hash, read_u32};
use crate::spaces::Spaces;

/// The version of everything that this crate writes.
pub(crate) const FORMAT: u32 = 1;
const MAGIC: &[u8; 8] = b"ZNBMANIF";
const NAME: &str = "MANIFEST";
/// The seed of the hash at the end, which every format has.
const SEED: u64 = 0;

/// The contents of the manifest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Manifest {
    pub(crate) salt: u64,
    pub(crate) first_segment: u64,
    pub(crate) first_lsn: u64,
    pub(crate) newest_segment: u64,
    pub(crate) flushed_lsn: u64,
    pub(crate) spaces: Spaces,
    pub(crate) trimmed: Vec<(u64, u64)>,
}

impl Manifest {
    /// Reads the manifest; `None` when there is none.
    pub(crate) fn load(directory: &Path) -> EngineResult<Option<Self>> {
        let bytes = match std::fs::read(directory.join(NAME)) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(EngineError::Unavailable(format!("{NAME}: {e}"))),
        };
        if bytes.starts_with(MAGIC)
            && let Some(format) = read_u32(&bytes, 8)
            && format > FORMAT
            && body_of(&bytes, SEED).is_some()
        {
            return Err(EngineError::Unavailable(format!(
                "the data directory {} has format {format}, written by a newer version; this one reads up to format {FORMAT}",
                directory.display()
            )));
        }
        Self::decode(&bytes)
            .map(Some)
            .ok_or_else(|| EngineError::Corrupt(format!("{NAME} is damaged")))
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let body = body_of(bytes, SEED).filter(|body| body.starts_with(MAGIC))?;
        if read_u32(body, 8)? != FORMAT {
            return None;
        }
        let mut words = body
            .get(16..)?
            .chunks_exact(8)
            .map(|word| word.try_into().map_or(0, u64::from_le_bytes));
        let mut manifest = Self {
            salt: words.next()?,
            first_segment: words.next()?,
            first_lsn: words.next()?,
            newest_segment: words.next()?,
            flushed_lsn: words.next()?,
            ..Self::default()
        };
        let next = words.next()?;
        let mut spaces = Vec::new();
        for _ in 0..words.next()? {
            spaces.push((words.next()?, words.next()?));
        }
        manifest.spaces = Spaces::restore(spaces, next);
        for _ in 0..words.next()? {
            manifest.trimmed.push((words.next()?, words.next()?));
        }
        Some(manifest)
    }

    fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        out.extend_from_slice(MAGIC);
        out.put_u32_le(FORMAT);
        out.put_u32_le(0);
        for word in
            [self.salt, self.first_segment, self.first_lsn, self.newest_segment, self.flushed_lsn]
        {
            out.put_u64_le(word);
        }
        out.put_u64_le(self.spaces.next());
        out.put_u64_le(self.spaces.iter().len() as u64);
        for (space, incarnation) in self.spaces.iter() {
            out.put_u64_le(space.0);
            out.put_u64_le(incarnation.0);
        }
        out.put_u64_le(self.trimmed.len() as u64);
        for &(shard, lsn) in &self.trimmed {
            out.put_u64_le(shard);
            out.put_u64_le(lsn);
        }
        push_hash(&mut out, SEED);
        out
    }
}

/// The manifest and its place on disk.
#[derive(Debug)]
pub(crate) struct ManifestFile {
    directory: PathBuf,
    current: Manifest,
}

impl ManifestFile {
    pub(crate) fn new(directory: PathBuf, current: Manifest) -> Self {
        Self { directory, current }
    }

    pub(crate) fn current(&self) -> &Manifest {
        &self.current
    }

    /// Changes the manifest; when this returns `Ok`, the change survives a crash.
    pub(crate) fn update(&mut self, change: impl FnOnce(&mut Manifest)) -> EngineResult<()> {
        let mut next = self.current.clone();
        change(&mut next);
        if next == self.current && self.directory.join(NAME).exists() {
            return Ok(());
        }
        replace(&self.directory, &next.encode()).map_err(|e| match e.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
                EngineError::Full(format!("{NAME}: {e}"))
            }
            _ => EngineError::Unavailable(format!("{NAME}: {e}")),
        })?;
        self.current = next;
        Ok(())
    }
}

fn replace(directory: &Path, bytes: &[u8]) -> std::io::Result<()> {
    // First, or a lack of descriptors would make a change fail that the next start finds made.
    let parent = File::open(directory)?;
    let beside = directory.join("MANIFEST.new");
    let mut file = File::create(&beside)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&beside, directory.join(NAME))?;
    parent.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trips_and_notices_damage() {
        let manifest = Manifest {
            salt: 7,
            first_segment: 3,
            first_lsn: 40,
            newest_segment: 5,
            flushed_lsn: 60,
            spaces: Spaces::restore([(1, 1), (9, 4)], 5),
            trimmed: vec![(4, 50)],
        };
        let bytes = manifest.encode();
        assert_eq!(Manifest::decode(&bytes), Some(manifest));
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Manifest::decode(&damaged), None, "bit {bit}");
        }
    }
}
