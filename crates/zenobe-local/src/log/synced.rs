//! What was synced, told beside the log: by it recovery tells an end that was damaged from one that a crash tore.
//!
//! Frames tell it of those before them, but nothing in a segment can tell it of its own last frames. The
//! file `SYNCED` holds 24 bytes: magic `ZNBSYNCD`, LSN u64, XXH3-64 of both seeded with the database's salt;
//! integers are little-endian. It is overwritten only after the log was synced that far, so
//! whatever state of it survives says something true, and only its last state must be synced itself.

use std::io;
use std::sync::Arc;

use bytes::BufMut as _;

use super::frame::{body_of, push_hash, read_u64};
use super::io::{LogDirectory, LogFile};

/// The file's name, in the directory of the log.
pub const NAME: &str = "SYNCED";
const MAGIC: &[u8; 8] = b"ZNBSYNCD";
const LENGTH: usize = 24;

/// The file, opened to be written to.
pub struct SyncedFile {
    file: Arc<dyn LogFile>,
    salt: u64,
}

impl SyncedFile {
    /// Opens the file, or makes it.
    ///
    /// # Errors
    /// What the operating system reports.
    pub fn open(directory: &dyn LogDirectory, salt: u64) -> io::Result<Self> {
        let file = match directory.open(NAME) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => directory.create(NAME)?,
            opened => opened?,
        };
        Ok(Self { file, salt })
    }

    /// Says that the log is synced up to `lsn`.
    ///
    /// # Errors
    /// What the operating system reports.
    pub fn write(&self, lsn: u64) -> io::Result<()> {
        self.file.write_at(&encode(lsn, self.salt), 0)
    }

    /// Makes what was written last survive a power loss.
    ///
    /// # Errors
    /// What the operating system reports.
    pub fn sync(&self) -> io::Result<()> {
        self.file.sync()
    }
}

/// An LSN up to which the log was synced; 0 if nothing says so. That is no error, nor is a file that says
/// nothing: both are what a power loss may leave of one that was just made.
///
/// # Errors
/// What the operating system reports.
pub fn read(directory: &dyn LogDirectory, salt: u64) -> io::Result<u64> {
    let mut bytes = [0; LENGTH];
    let read = directory.open(NAME).and_then(|file| file.read_at(&mut bytes, 0));
    match read.map(|()| decode(&bytes, salt)) {
        Ok(Some(lsn)) => Ok(lsn),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
        Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => Err(error),
        _ => {
            tracing::warn!(
                "the file {NAME} of the log is unreadable: damage to the end of the log may look like a crash"
            );
            Ok(0)
        }
    }
}

fn encode(lsn: u64, salt: u64) -> Vec<u8> {
    let mut out = Vec::with_capacity(LENGTH);
    out.extend_from_slice(MAGIC);
    out.put_u64_le(lsn);
    push_hash(&mut out, salt);
    out
}

fn decode(bytes: &[u8], salt: u64) -> Option<u64> {
    let body = body_of(bytes, salt)?;
    if body.starts_with(MAGIC) { read_u64(body, 8) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trips_and_notices_damage() {
        let bytes = encode(77, 5);
        assert_eq!(bytes.len(), LENGTH);
        assert_eq!(decode(&bytes, 5), Some(77));
        assert_eq!(decode(&bytes, 6), None, "another database's salt");
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(decode(&damaged, 5), None, "bit {bit}");
        }
    }
}
