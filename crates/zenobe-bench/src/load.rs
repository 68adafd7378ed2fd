//! The load generator: keep-alive connections on one thread, one request under way on each.
//!
//! Answers are read by hand, only as far as needed to know where they end, so that the generator
//! stays well below the server in what it costs.

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use crate::workload::Pool;

/// Longer than any answer that is asked for here.
const ANSWER_BYTES_MAX: usize = 4 << 20;
/// No answer for this long ends the measurement.
const PATIENCE: Duration = Duration::from_secs(30);

/// Latencies in microseconds, counted exactly up to a second.
pub(crate) struct Latencies {
    counts: Vec<u32>,
    total: u64,
}

impl Latencies {
    const SLOWEST_US: usize = 1_000_000;

    fn new() -> Self {
        Self { counts: vec![0; Self::SLOWEST_US + 1], total: 0 }
    }

    fn add(&mut self, latency: Duration) {
        let place = usize::try_from(latency.as_micros()).unwrap_or(usize::MAX);
        if let Some(count) = self.counts.get_mut(place.min(Self::SLOWEST_US)) {
            *count += 1;
            self.total += 1;
        }
    }

    /// The latency that this part of the requests did not exceed.
    pub(crate) fn quantile(&self, part: f64) -> Duration {
        let mut left = (self.total as f64 * part).ceil();
        for (place, count) in self.counts.iter().enumerate() {
            left -= f64::from(*count);
            if left <= 0.0 {
                return Duration::from_micros(place as u64);
            }
        }
        Duration::from_micros(Self::SLOWEST_US as u64)
    }
}

/// What a run came to.
pub(crate) struct Outcome {
    pub(crate) requests: u64,
    pub(crate) elapsed: Duration,
    pub(crate) latencies: Latencies,
}

/// One connection with one request under way.
pub(crate) struct Connection {
    stream: TcpStream,
    received: Vec<u8>,
    filled: usize,
    /// The whole length of the answer, once its head is there.
    expected: Option<usize>,
    /// What of the request is still to be sent.
    unsent: Vec<u8>,
    sent_at: Instant,
}

impl Connection {
    /// Connects.
    pub(crate) fn open(address: SocketAddr) -> Result<Self> {
        let stream = std::net::TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        Ok(Self {
            stream: TcpStream::from_std(stream),
            received: vec![0; 64 << 10],
            filled: 0,
            expected: None,
            unsent: Vec::new(),
            sent_at: Instant::now(),
        })
    }

    /// Sends one request and waits for its answer. For set-up, not for measuring.
    pub(crate) fn call(&mut self, request: &[u8]) -> Result<(u16, Vec<u8>)> {
        let mut rest = request;
        while !rest.is_empty() {
            match self.stream.write(rest) {
                Ok(sent) => rest = rest.get(sent..).unwrap_or_default(),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => std::thread::yield_now(),
                Err(error) => return Err(error.into()),
            }
        }
        self.sent_at = Instant::now();
        while !self.receive()? {
            if self.sent_at.elapsed() > PATIENCE {
                bail!("no answer");
            }
            std::thread::yield_now();
        }
        let answer = self.received.get(..self.filled).unwrap_or_default();
        let head = head_length(answer).context("no head")?;
        let result = (status(answer), answer.get(head..).unwrap_or_default().to_vec());
        (self.filled, self.expected) = (0, None);
        Ok(result)
    }

    /// Sends as much of a request as the socket takes.
    fn send(&mut self, request: &[u8]) -> Result<()> {
        let written = match self.stream.write(request) {
            Ok(written) => written,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
            Err(error) => return Err(error.into()),
        };
        self.unsent = request.get(written..).unwrap_or_default().to_vec();
        Ok(())
    }

    /// Reads what is there; true once the whole answer is.
    fn receive(&mut self) -> Result<bool> {
        loop {
            if self.filled == self.received.len() {
                if self.filled >= ANSWER_BYTES_MAX {
                    bail!("an answer without end");
                }
                self.received.resize(self.filled * 2, 0);
            }
            let room = self.received.get_mut(self.filled..).unwrap_or_default();
            match self.stream.read(room) {
                Ok(0) => bail!("the server closed the connection"),
                Ok(length) => self.filled += length,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error.into()),
            }
            let answer = self.received.get(..self.filled).unwrap_or_default();
            if self.expected.is_none()
                && let Some(head) = head_length(answer)
            {
                self.expected =
                    Some(head + content_length(answer.get(..head).unwrap_or_default())?);
            }
            if self.expected.is_some_and(|expected| self.filled >= expected) {
                return Ok(true);
            }
        }
    }
}

/// Connections to one server, with requests to send.
pub(crate) struct Load<'a> {
    poll: Poll,
    connections: Vec<Connection>,
    pool: &'a Pool,
    random: u64,
}

impl<'a> Load<'a> {
    /// Opens the connections.
    pub(crate) fn new(address: SocketAddr, connections: usize, pool: &'a Pool) -> Result<Self> {
        let poll = Poll::new()?;
        let mut open = Vec::with_capacity(connections);
        for token in 0..connections {
            let mut connection = Connection::open(address)?;
            let interest = Interest::READABLE | Interest::WRITABLE;
            poll.registry().register(&mut connection.stream, Token(token), interest)?;
            open.push(connection);
        }
        Ok(Self { poll, connections: open, pool, random: 0x9E37_79B9_7F4A_7C15 })
    }

    /// Sends requests in random order for a time, and waits for the last answers.
    pub(crate) fn run_for(&mut self, duration: Duration) -> Result<Outcome> {
        let started = Instant::now();
        self.run(|random, _, now| {
            (now.duration_since(started) < duration).then(|| {
                // xorshift: any order will do that is not that of the keys.
                *random ^= *random << 13;
                *random ^= *random >> 7;
                *random ^= *random << 17;
                usize::try_from(*random >> 16).unwrap_or_default()
            })
        })
    }

    /// Sends each request once.
    pub(crate) fn run_once(&mut self) -> Result<Outcome> {
        let count = self.pool.len();
        self.run(|_, sent, _| (sent < count).then_some(sent))
    }

    fn run(&mut self, next: impl Fn(&mut u64, usize, Instant) -> Option<usize>) -> Result<Outcome> {
        let started = Instant::now();
        let mut latencies = Latencies::new();
        let (mut sent, mut under_way) = (0, 0);
        for connection in &mut self.connections {
            if let Some(place) = next(&mut self.random, sent, started) {
                connection.sent_at = started;
                connection.send(&self.pool.get(place)?)?;
                (sent, under_way) = (sent + 1, under_way + 1);
            }
        }
        let mut events = Events::with_capacity(self.connections.len().max(1));
        while under_way > 0 {
            self.poll.poll(&mut events, Some(PATIENCE))?;
            if events.is_empty() {
                bail!("no answer for {} s", PATIENCE.as_secs());
            }
            for event in &events {
                let Some(connection) = self.connections.get_mut(event.token().0) else {
                    continue;
                };
                if !connection.unsent.is_empty() && event.is_writable() {
                    let rest = std::mem::take(&mut connection.unsent);
                    connection.send(&rest)?;
                }
                if !event.is_readable() || !connection.receive()? {
                    continue;
                }
                let now = Instant::now();
                latencies.add(now.duration_since(connection.sent_at));
                check(connection)?;
                (connection.filled, connection.expected) = (0, None);
                under_way -= 1;
                if let Some(place) = next(&mut self.random, sent, now) {
                    connection.sent_at = now;
                    connection.send(&self.pool.get(place)?)?;
                    (sent, under_way) = (sent + 1, under_way + 1);
                }
            }
        }
        Ok(Outcome { requests: latencies.total, elapsed: started.elapsed(), latencies })
    }
}

/// A failure is shown and ends the measurement: the speed of errors is of no interest.
fn check(connection: &Connection) -> Result<()> {
    let answer = connection.received.get(..connection.filled).unwrap_or_default();
    if status(answer) != 200 {
        bail!("the server answered {}", String::from_utf8_lossy(answer));
    }
    Ok(())
}

fn status(answer: &[u8]) -> u16 {
    let digits = answer.get(9..12).and_then(|digits| std::str::from_utf8(digits).ok());
    digits.and_then(|digits| digits.parse().ok()).unwrap_or_default()
}

/// The length of the head with the empty line that ends it.
fn head_length(answer: &[u8]) -> Option<usize> {
    answer.windows(4).position(|end| end == b"\r\n\r\n").map(|end| end + 4)
}

fn content_length(head: &[u8]) -> Result<usize> {
    const NAME: &[u8] = b"content-length:";
    for line in head.split(|byte| *byte == b'\n') {
        if let Some((name, value)) = line.split_at_checked(NAME.len())
            && name.eq_ignore_ascii_case(NAME)
        {
            return Ok(std::str::from_utf8(value.trim_ascii())?.parse()?);
        }
    }
    bail!("an answer without a length")
}
