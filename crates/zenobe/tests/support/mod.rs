//! Starts a real server process on a free port and talks to it over plain sockets.
//!
//! ```ignore
//! mod support;
//! let server = support::Server::start(&["--in-memory"]);
//! let answer = server.call("ListTables", "{}");
//! assert_eq!(answer.status, 200);
//! ```

#![allow(dead_code, unreachable_pub, reason = "each test uses what it needs")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use http::HeaderMap;
use http::header::{HeaderName, HeaderValue};
use zenobe_auth::{Credential, SigningRequest, UnixSeconds, sign};

/// How long anything may take before a test fails.
pub const PATIENCE: Duration = Duration::from_secs(20);
/// The key that requests are signed with.
pub const ACCESS_KEY_ID: &str = "AKIDTEST";
/// Its secret.
pub const SECRET_ACCESS_KEY: &str = "secret";

/// A running server. Killed when dropped.
pub struct Server {
    child: Child,
    /// The address of its first listener.
    pub address: SocketAddr,
    /// A directory of its own; the log is in `log`.
    pub dir: tempfile::TempDir,
}

/// A server to be started.
pub struct Builder {
    args: Vec<String>,
    envs: Vec<(String, String)>,
    dir: tempfile::TempDir,
    log: Option<Stdio>,
    ulimit: Option<String>,
}

impl Builder {
    /// A server with these arguments, on a free port of loopback.
    pub fn new(args: &[&str]) -> Self {
        Self {
            args: args.iter().map(|arg| (*arg).to_owned()).collect(),
            envs: Vec::new(),
            dir: tempfile::tempdir().unwrap(),
            log: None,
            ulimit: None,
        }
    }

    /// Limits what it may use, in the shell's words, such as `ulimit -n 300`.
    pub fn limited(mut self, ulimit: &str) -> Self {
        self.ulimit = Some(ulimit.to_owned());
        self
    }

    /// Logs to somewhere else than the file `log`.
    pub fn log_to(mut self, log: impl Into<Stdio>) -> Self {
        self.log = Some(log.into());
        self
    }

    /// Sets an environment variable.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.envs.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Verifies signatures made with [`ACCESS_KEY_ID`].
    pub fn verified(self) -> Self {
        self.env("ZENOBE_ACCESS_KEY_ID", ACCESS_KEY_ID)
            .env("ZENOBE_SECRET_ACCESS_KEY", SECRET_ACCESS_KEY)
    }

    /// Starts it and waits until it listens and has said so.
    pub fn start(mut self) -> Server {
        let port_file = self.dir.path().join("port");
        let log = std::fs::File::create(self.dir.path().join("log")).unwrap();
        let is_elsewhere = self.log.is_some();
        if !self.args.iter().any(|arg| arg == "--listen") {
            self.args.extend(["--listen".into(), "127.0.0.1:0".into()]);
        }
        let mut command = match &self.ulimit {
            None => command(),
            Some(ulimit) => {
                let mut shell = without_settings(Command::new("sh"));
                let script = format!("{ulimit} && exec \"$0\" \"$@\"");
                shell.args(["-c", &script, env!("CARGO_BIN_EXE_zenobe")]);
                shell
            }
        };
        let mut child = command
            .args(&self.args)
            .arg("--port-file")
            .arg(&port_file)
            .envs(self.envs.iter().map(|(name, value)| (name, value)))
            .current_dir(self.dir.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(self.log.take().unwrap_or_else(|| log.into()))
            .spawn()
            .unwrap();
        let started = now();
        let address = loop {
            let log = || std::fs::read_to_string(self.dir.path().join("log")).unwrap();
            if let Ok(text) = std::fs::read_to_string(&port_file)
                && (is_elsewhere || log().contains("ready"))
            {
                break text.lines().next().unwrap().parse().unwrap();
            }
            if let Some(status) = child.try_wait().unwrap() {
                panic!("the server ended at start: {status}\n{}", log());
            }
            assert!(started.elapsed() < PATIENCE, "the server does not listen\n{}", log());
            std::thread::sleep(Duration::from_millis(1));
        };
        Server { child, address, dir: self.dir }
    }
}

impl Server {
    /// Starts a server with these arguments, on a free port of loopback.
    pub fn start(args: &[&str]) -> Self {
        Builder::new(args).start()
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it logged so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap()
    }

    /// A connection to it.
    pub fn connect(&self) -> Connection {
        Connection::open(self.address)
    }

    /// Sends one request on a connection of its own.
    pub fn request(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Answer {
        let mut connection = self.connect();
        connection.send(method, path, headers, body);
        connection.receive(method)
    }

    /// Calls an operation, signed.
    pub fn call(&self, operation: &str, body: &str) -> Answer {
        let headers = signed_headers(self.address, operation, body.as_bytes());
        self.request("POST", "/", &as_pairs(&headers), body.as_bytes())
    }

    /// Sends a signal by name, such as `TERM`.
    pub fn signal(&self, name: &str) {
        let status =
            Command::new("kill").args(["-s", name, &self.pid().to_string()]).status().unwrap();
        assert!(status.success());
    }

    /// Waits until it ends.
    pub fn wait(&mut self) -> ExitStatus {
        let started = now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(started.elapsed() < PATIENCE, "the server does not end\n{}", self.log());
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Stops it as an operator does.
    pub fn stop(&mut self) -> ExitStatus {
        self.signal("TERM");
        self.wait()
    }

    /// Kills it with no warning, as a crash does. The directory stays.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("the log of the server at {}:\n{}", self.address, self.log());
        }
    }
}

/// The binary with an environment that the tester's own settings do not reach.
pub fn command() -> Command {
    without_settings(Command::new(env!("CARGO_BIN_EXE_zenobe")))
}

fn without_settings(mut command: Command) -> Command {
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("ZENOBE_")) {
        command.env_remove(name);
    }
    command
}

/// Runs the binary to its end.
pub fn run(args: &[&str], envs: &[(&str, &str)], dir: &Path) -> Output {
    command()
        .args(args)
        .envs(envs.iter().copied())
        .current_dir(dir)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The headers, names in lower case.
    pub headers: HeaderMap,
    /// The body.
    pub body: Vec<u8>,
}

impl Answer {
    /// The body as text.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    /// A header as text; empty where there is none.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

/// A connection of HTTP/1.1 that is kept alive.
pub struct Connection {
    stream: BufReader<TcpStream>,
}

impl Connection {
    /// Connects.
    pub fn open(address: SocketAddr) -> Self {
        Self::try_open(address).unwrap()
    }

    /// Connects to a server that may be gone.
    pub fn try_open(address: SocketAddr) -> std::io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream: BufReader::new(stream) })
    }

    /// Writes bytes as they are.
    pub fn write(&mut self, bytes: &[u8]) {
        self.stream.get_mut().write_all(bytes).unwrap();
    }

    /// Writes bytes; the server may have closed already.
    pub fn try_write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.stream.get_mut().write_all(bytes)
    }

    /// Sends a request with a length and, where `headers` has none, a host.
    pub fn send(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) {
        self.try_send(method, path, headers, body).unwrap();
    }

    /// Sends a request to a server that may be gone.
    pub fn try_send(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> std::io::Result<()> {
        let mut head = format!("{method} {path} HTTP/1.1\r\n");
        if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
            head.push_str("host: localhost\r\n");
        }
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str(&format!("content-length: {}\r\n\r\n", body.len()));
        let mut bytes = head.into_bytes();
        bytes.extend_from_slice(body);
        self.try_write(&bytes)
    }

    /// Receives an answer with a length.
    pub fn receive(&mut self, method: &str) -> Answer {
        self.try_receive(method).unwrap()
    }

    /// Receives an answer with a length of a server that may be gone.
    pub fn try_receive(&mut self, method: &str) -> std::io::Result<Answer> {
        let mut line = String::new();
        if self.stream.read_line(&mut line)? == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        let status = line.split(' ').nth(1).unwrap_or_else(|| panic!("no status: {line:?}"));
        let status = status.parse().unwrap();
        let mut headers = HeaderMap::new();
        loop {
            let mut line = String::new();
            self.stream.read_line(&mut line)?;
            let Some((name, value)) = line.trim_end().split_once(':') else {
                break;
            };
            headers.append(
                name.parse::<HeaderName>().unwrap(),
                value.trim().parse::<HeaderValue>().unwrap(),
            );
        }
        let length = headers
            .get("content-length")
            .map_or(0, |value| value.to_str().unwrap().parse::<usize>().unwrap());
        let mut body = vec![0; if method == "HEAD" { 0 } else { length }];
        self.stream.read_exact(&mut body)?;
        Ok(Answer { status, headers, body })
    }

    /// Waits until the server closes; true if it sent nothing before.
    pub fn is_closed(&mut self) -> bool {
        closed(self.stream.read(&mut [0])).is_none_or(|length| length == 0)
    }
}

/// What was read of a connection; `None` when the server has closed it, in whichever way. Panics when it neither sends
/// nor closes for as long as the stream waits.
pub fn closed<T>(read: std::io::Result<T>) -> Option<T> {
    if let Err(error) = &read {
        let is_late = matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut);
        assert!(!is_late, "not closed in time");
    }
    read.ok()
}

/// The headers of a signed call of an operation.
pub fn signed_headers(address: SocketAddr, operation: &str, body: &[u8]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert("host", address.to_string().parse().unwrap());
    headers.insert("content-type", HeaderValue::from_static("application/x-amz-json-1.0"));
    let of_streams = ["DescribeStream", "GetRecords", "GetShardIterator", "ListStreams"];
    let api = if of_streams.contains(&operation) { "DynamoDBStreams" } else { "DynamoDB" };
    headers.insert("x-amz-target", format!("{api}_20120810.{operation}").parse().unwrap());
    sign_headers(&mut headers, "POST", "/", body);
    headers
}

/// Signs headers with the test's key, now.
pub fn sign_headers(headers: &mut HeaderMap, method: &str, path: &str, body: &[u8]) {
    let signing = SigningRequest { region: "us-east-1", service: "dynamodb", now: unix_seconds() };
    let credential = Credential::new(ACCESS_KEY_ID, SECRET_ACCESS_KEY);
    sign(&signing, &credential, method, path, headers, body).unwrap();
}

/// Headers as pairs of text.
pub fn as_pairs(headers: &HeaderMap) -> Vec<(&str, &str)> {
    headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect()
}

/// A file in a directory.
pub fn write_file(dir: &Path, name: &str, contents: &str) -> PathBuf {
    let path = dir.join(name);
    std::fs::write(&path, contents).unwrap();
    path
}

/// Waits until `done` says so.
pub fn eventually(what: &str, done: impl FnMut() -> bool) {
    within(PATIENCE, what, done);
}

/// Waits until `done` says so, for this long at most.
pub fn within(patience: Duration, what: &str, mut done: impl FnMut() -> bool) {
    let started = now();
    while !done() {
        assert!(started.elapsed() < patience, "{what} does not happen");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[expect(clippy::disallowed_methods, reason = "tests wait in real time")]
fn now() -> Instant {
    Instant::now()
}

/// The time of day.
#[expect(clippy::disallowed_methods, reason = "a real server checks a real time")]
pub fn unix_seconds() -> UnixSeconds {
    let now = std::time::SystemTime::now();
    UnixSeconds(now.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs())
}
