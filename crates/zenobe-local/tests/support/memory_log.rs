//! A log directory in memory that knows what was synced, and fails on command. A sync that failed drops what was
//! to be written, as Linux does: it is read until the next power loss, and no later sync writes it.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use parking_lot::{Condvar, Mutex};
use zenobe_local::log::io::{LogDirectory, LogFile};

/// The contents of all files.
pub(crate) type Image = BTreeMap<String, Vec<u8>>;

/// What the disk may hold if power fails just before a sync ends.
pub(crate) struct Moment {
    /// All files as last synced.
    pub(crate) synced: Image,
    /// The file that is being synced.
    pub(crate) name: String,
    /// Its contents with what was written since.
    pub(crate) written: Vec<u8>,
}

#[derive(Default)]
struct State {
    files: BTreeMap<String, Arc<Mutex<Contents>>>,
    moments: Vec<Moment>,
}

const PAGE_BYTES: usize = 4096;

#[derive(Clone, Default)]
struct Contents {
    written: Vec<u8>,
    synced: Vec<u8>,
    /// The pages that the next sync writes.
    dirty: BTreeSet<usize>,
}

#[derive(Default)]
struct Switches {
    fail_syncs: AtomicBool,
    full: AtomicBool,
    /// 0 is any length.
    longest_file: AtomicUsize,
    record: AtomicBool,
    /// How many syncs are let through before others wait; `None` is all.
    syncs: Mutex<Option<u32>>,
    let_through: Condvar,
}

/// The directory.
#[derive(Clone, Default)]
pub(crate) struct MemoryDirectory {
    state: Arc<Mutex<State>>,
    switches: Arc<Switches>,
}

impl MemoryDirectory {
    pub(crate) fn of(image: &Image) -> Self {
        let directory = Self::default();
        for (name, bytes) in image {
            let (written, synced) = (bytes.clone(), bytes.clone());
            let contents = Contents { written, synced, dirty: BTreeSet::new() };
            directory.state.lock().files.insert(name.clone(), Arc::new(Mutex::new(contents)));
        }
        directory
    }

    /// The files with everything that was written.
    pub(crate) fn image(&self) -> Image {
        let state = self.state.lock();
        state
            .files
            .iter()
            .map(|(name, contents)| (name.clone(), contents.lock().written.clone()))
            .collect()
    }

    /// The files as they are after a power loss: with what was synced.
    pub(crate) fn after_power_loss(&self) -> Self {
        let state = self.state.lock();
        let synced = |contents: &Mutex<Contents>| contents.lock().synced.clone();
        Self::of(&state.files.iter().map(|(name, all)| (name.clone(), synced(all))).collect())
    }

    pub(crate) fn record_moments(&self, on: bool) {
        self.switches.record.store(on, Ordering::SeqCst);
    }

    pub(crate) fn moments(&self) -> Vec<Moment> {
        std::mem::take(&mut self.state.lock().moments)
    }

    pub(crate) fn fail_syncs(&self, on: bool) {
        self.switches.fail_syncs.store(on, Ordering::SeqCst);
    }

    /// Lets all syncs through when dropped: a test that fails must not leave them waiting.
    pub(crate) fn opened_at_the_end(&self) -> impl Drop + use<> {
        struct Opened(MemoryDirectory);
        impl Drop for Opened {
            fn drop(&mut self) {
                self.0.let_syncs_through(None);
            }
        }
        Opened(self.clone())
    }

    /// Lets so many more syncs of files through, or all; others wait.
    pub(crate) fn let_syncs_through(&self, count: Option<u32>) {
        *self.switches.syncs.lock() = count;
        self.switches.let_through.notify_all();
    }

    /// No file can grow beyond this length.
    pub(crate) fn longest_file(&self, bytes: usize) {
        self.switches.longest_file.store(bytes, Ordering::SeqCst);
    }

    /// Files cannot grow any more.
    pub(crate) fn set_full(&self, on: bool) {
        self.switches.full.store(on, Ordering::SeqCst);
    }
}

impl Switches {
    fn allow(&self, bytes: usize) -> bool {
        let longest = self.longest_file.load(Ordering::SeqCst);
        !self.full.load(Ordering::SeqCst) && (longest == 0 || bytes <= longest)
    }

    fn await_turn(&self) {
        let mut syncs = self.syncs.lock();
        while *syncs == Some(0) {
            self.let_through.wait(&mut syncs);
        }
        *syncs = syncs.map(|left| left - 1);
    }
}

struct MemoryFile {
    directory: MemoryDirectory,
    contents: Arc<Mutex<Contents>>,
}

impl LogFile for MemoryFile {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut contents = self.contents.lock();
        let start = usize::try_from(offset).unwrap();
        let end = start + bytes.len();
        if end > contents.written.len() {
            if !self.directory.switches.allow(end) {
                return Err(io::Error::new(
                    io::ErrorKind::StorageFull,
                    "no space left on the test's disk",
                ));
            }
            contents.written.resize(end, 0);
        }
        contents.written[start..end].copy_from_slice(bytes);
        contents.dirty.extend(start / PAGE_BYTES..end.div_ceil(PAGE_BYTES));
        Ok(())
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let contents = self.contents.lock();
        let start = usize::try_from(offset).unwrap();
        match contents.written.get(start..start + buffer.len()) {
            Some(bytes) => buffer.copy_from_slice(bytes),
            None => return Err(io::ErrorKind::UnexpectedEof.into()),
        }
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        self.directory.switches.await_turn();
        if self.directory.switches.fail_syncs.load(Ordering::SeqCst) {
            self.contents.lock().dirty.clear();
            return Err(io::Error::other("the test's disk is broken"));
        }
        let mut state = self.directory.state.lock();
        if self.directory.switches.record.load(Ordering::SeqCst) {
            let synced: Image = state
                .files
                .iter()
                .map(|(name, contents)| (name.clone(), contents.lock().synced.clone()))
                .collect();
            let own =
                state.files.iter().find(|(_, contents)| Arc::ptr_eq(contents, &self.contents));
            let name = own.map(|(name, _)| name.clone()).unwrap();
            let written = self.contents.lock().written.clone();
            if synced[&name] != written {
                state.moments.push(Moment { synced, name, written });
            }
        }
        let mut contents = self.contents.lock();
        let Contents { written, synced, dirty } = &mut *contents;
        synced.resize(written.len(), 0);
        for page in std::mem::take(dirty) {
            let end = written.len().min((page + 1) * PAGE_BYTES);
            synced[page * PAGE_BYTES..end].copy_from_slice(&written[page * PAGE_BYTES..end]);
        }
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.contents.lock().written.len() as u64)
    }
}

impl LogDirectory for MemoryDirectory {
    fn create(&self, name: &str) -> io::Result<Arc<dyn LogFile>> {
        let contents = Arc::new(Mutex::new(Contents::default()));
        self.state.lock().files.insert(name.to_owned(), contents.clone());
        Ok(Arc::new(MemoryFile { directory: self.clone(), contents }))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn LogFile>> {
        let contents = self.state.lock().files.get(name).cloned().ok_or(io::ErrorKind::NotFound)?;
        Ok(Arc::new(MemoryFile { directory: self.clone(), contents }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.state.lock();
        let contents = state.files.remove(from).ok_or(io::ErrorKind::NotFound)?;
        state.files.insert(to.to_owned(), contents);
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.state
            .lock()
            .files
            .remove(name)
            .map(|_| ())
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.state.lock().files.keys().cloned().collect())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}
