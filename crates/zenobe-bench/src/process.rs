//! Server processes: started on a core, watched through /proc, ended at the end.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// The number of a core.
pub(crate) type Core = usize;

/// How long a server may take to listen.
const START_TIMEOUT: Duration = Duration::from_secs(30);

/// The cores that this process may use.
pub(crate) fn cores() -> Result<Vec<Core>> {
    let allowed = sched_getaffinity(None)?;
    Ok((0..CpuSet::MAX_CPU).filter(|core| allowed.is_set(*core)).collect())
}

/// Pins this process, and those that it starts from now on, to a core.
pub(crate) fn pin(core: Core) -> Result<()> {
    let mut set = CpuSet::new();
    set.set(core);
    sched_setaffinity(None, &set).context("cannot pin to a core")
}

/// A program in the directory of this one.
pub(crate) fn beside_this_one(name: &str) -> Result<PathBuf> {
    let program = std::env::current_exe()?.with_file_name(name);
    if !program.exists() {
        bail!("{} is not there: cargo build --release -p {name}", program.display());
    }
    Ok(program)
}

/// A server process. Ended when dropped.
pub(crate) struct Server {
    child: Child,
    /// What it runs.
    pub(crate) program: PathBuf,
    /// Where it listens.
    pub(crate) address: SocketAddr,
    _dir: tempfile::TempDir,
}

impl Server {
    /// Starts a server on a core and waits until it listens.
    pub(crate) fn start(
        program: PathBuf,
        args: &[String],
        envs: &[(&str, &str)],
        core: Core,
    ) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let port_file = dir.path().join("port");
        let own = sched_getaffinity(None)?;
        pin(core)?;
        let child = Command::new(&program)
            .args(args)
            .args(["--listen", "127.0.0.1:0", "--port-file"])
            .arg(&port_file)
            .envs(envs.iter().copied())
            .stdin(Stdio::null())
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()));
        sched_setaffinity(None, &own)?;
        let mut child = child?;
        let started = Instant::now();
        let address = loop {
            if let Ok(text) = std::fs::read_to_string(&port_file) {
                break text.lines().next().unwrap_or_default().parse()?;
            }
            if let Some(status) = child.try_wait()? {
                bail!("{} ended at start: {status}", program.display());
            }
            if started.elapsed() > START_TIMEOUT {
                child.kill()?;
                bail!("{} does not listen", program.display());
            }
            std::thread::sleep(Duration::from_millis(1));
        };
        Ok(Self { child, program, address, _dir: dir })
    }

    /// CPU time used so far.
    pub(crate) fn cpu(&self) -> Result<Duration> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        let fields = stat.rsplit_once(')').context("no stat")?.1;
        let ticks: u64 = fields
            .split_ascii_whitespace()
            .skip(11)
            .take(2)
            .map(|field| field.parse::<u64>().unwrap_or_default())
            .sum();
        Ok(Duration::from_millis(ticks * 1000 / rustix::param::clock_ticks_per_second()))
    }

    /// Resident memory.
    pub(crate) fn resident_bytes(&self) -> Result<u64> {
        let statm = std::fs::read_to_string(format!("/proc/{}/statm", self.child.id()))?;
        let pages: u64 = statm.split_ascii_whitespace().nth(1).context("no statm")?.parse()?;
        Ok(pages * rustix::param::page_size() as u64)
    }

    /// How often it has synced to disk, where its metrics say so.
    pub(crate) fn fsyncs(&self) -> Result<Option<f64>> {
        let mut stream = TcpStream::connect(self.address)?;
        stream
            .write_all(b"GET /metrics HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")?;
        let mut page = String::new();
        BufReader::new(stream).read_to_string(&mut page)?;
        let mut found = None;
        for line in page.as_bytes().lines().map_while(Result::ok) {
            if let Some((name, value)) = line.split_once(' ')
                && !name.starts_with('#')
                && name.contains("fsyncs_total")
            {
                *found.get_or_insert(0.0) += value.parse::<f64>().unwrap_or_default();
            }
        }
        Ok(found)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        let _ = self.child.wait();
    }
}
