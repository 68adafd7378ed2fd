//! The file that says where the server listens.
//!
//! It is there whole or not at all, only when the server can be reached, and the one of another server is left alone.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// A file with the addresses that are listened on, one a line.
pub(super) struct PortFile {
    path: PathBuf,
    addresses: String,
}

impl PortFile {
    /// Writes the file under another name first, so that whoever waits for it never reads half of it.
    pub(super) fn write(path: &Path, bound: &[SocketAddr]) -> io::Result<Self> {
        let addresses = bound.iter().map(|address| format!("{address}\n")).collect();
        let mut unfinished = path.as_os_str().to_owned();
        unfinished.push(".new");
        let written =
            fs::write(&unfinished, &addresses).and_then(|()| fs::rename(&unfinished, path));
        if written.is_err() {
            let _ = fs::remove_file(&unfinished);
        }
        written.map(|()| Self { path: path.to_owned(), addresses })
    }

    /// Removes the file, unless another server has written its own meanwhile.
    pub(super) fn remove(&self) {
        if fs::read_to_string(&self.path).is_ok_and(|found| found == self.addresses) {
            let _ = fs::remove_file(&self.path);
        }
    }
}
