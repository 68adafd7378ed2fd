//! The running server: start, listening, stopping.
//!
//! Start: addresses are bound first, since that is what fails most; then the data is opened, then
//! connections are accepted. Stop: listening ends, requests under way finish, the data is closed.

mod connection;
mod places;
mod port_file;
mod registry;
mod tls;

use std::io::{ErrorKind, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::JoinSet;

use crate::answers::AnswerBudget;
use crate::clock;
use crate::config::{Config, DataConfig, Durability, Limits, Storage};
use crate::database::{self, Background, DatabaseService};
use crate::http::authentication::Authentication;
use crate::http::body::BodyBudget;
use crate::http::handler::Front;
use crate::logging::LogBudget;
use crate::memory::{self, IdleWatch};
use crate::metrics::Metrics;
use crate::open_files;
use crate::server::connection::Connections;
use crate::server::places::Places;
use crate::server::port_file::PortFile;
use crate::server::registry::Registry;
use crate::server::tls::Tls;
use crate::service::Service;

/// Connections that the system keeps for us until they are accepted.
const BACKLOG: u32 = 1024;
/// How often timeouts are looked at.
const SWEEP_INTERVAL: Duration = Duration::from_millis(100);
/// Threads for calls that block, beyond the workers.
const BLOCKING_THREADS_MAX: usize = 64;

/// Why the server did not start or did not stop well.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    /// A setting that could be checked only now.
    #[error("{0}")]
    Settings(String),
    /// An address cannot be listened on.
    #[error("cannot listen on {address}: {}", explain_listen(.cause))]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        cause: std::io::Error,
    },
    /// The data cannot be opened.
    #[error("{0}")]
    Data(String),
    /// The data did not close well. What was acknowledged is safe all the same.
    #[error("cannot close the data: {0}")]
    Close(String),
    /// `check` found something.
    #[error(
        "the data is damaged or does not fit together, see above; delete an index and make it again, restore a table \
         that cannot be read from a backup"
    )]
    Disagreement,
    /// The system refused something that the server cannot do without.
    #[error("{what}: {cause}")]
    System {
        /// What was tried.
        what: String,
        /// What the system said.
        cause: std::io::Error,
    },
}

fn explain_listen(cause: &std::io::Error) -> String {
    match cause.kind() {
        ErrorKind::AddrInUse => {
            "another process listens there, or another address of --listen has this one in it; stop it, or choose another port with --listen".into()
        }
        ErrorKind::PermissionDenied => {
            format!("{cause}; ports below 1024 need privileges, choose another with --listen")
        }
        _ => cause.to_string(),
    }
}

impl StartError {
    /// The exit code for wrong settings, also those that are found before starting.
    pub(crate) const WRONG_SETTINGS: u8 = 2;

    /// The exit code that tells scripts what happened.
    pub(crate) const fn exit_code(&self) -> u8 {
        match self {
            Self::System { .. } | Self::Close(_) => 1,
            Self::Settings(_) => Self::WRONG_SETTINGS,
            Self::Listen { .. } => 3,
            Self::Data(_) => 4,
            Self::Disagreement => 5,
        }
    }
}

fn system(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> StartError {
    let what = what.into();
    |cause| StartError::System { what, cause }
}

/// Opens the data, which must be there, reads all of it, compares indexes and streams with their tables, and
/// closes it.
pub(crate) fn check(config: &Config) -> Result<(), StartError> {
    if let Storage::Files(data) = &config.storage {
        let place = place(data);
        match database::is_in(&data.dir) {
            Ok(true) => Ok(()),
            Ok(false) => Err(format!("there is no database in {place}")),
            Err(error) => Err(format!("cannot look for a database in {place}: {error}")),
        }
        .map_err(StartError::Data)?;
    }
    let (checks, said) = runtime()?
        .block_on(async {
            let service = DatabaseService::open(config, &[], AnswerBudget::new()).await?;
            let checks = service.check().await?;
            let said = writeln!(std::io::stdout(), "{checks}");
            service.close().await?;
            Ok((checks, said))
        })
        .map_err(StartError::Data)?;
    // Who has read enough and left needs no more.
    said.or_else(|cause| if cause.kind() == ErrorKind::BrokenPipe { Ok(()) } else { Err(cause) })
        .map_err(system("cannot say what was found"))?;
    if checks.agree() { Ok(()) } else { Err(StartError::Disagreement) }
}

fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

fn runtime() -> Result<tokio::runtime::Runtime, StartError> {
    let threads = threads();
    // On one core there is nobody to share work with: no queues between threads, no wake-ups.
    let mut builder = if threads == 1 {
        tokio::runtime::Builder::new_current_thread()
    } else {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        builder.worker_threads(threads);
        builder
    };
    builder
        .max_blocking_threads(BLOCKING_THREADS_MAX)
        .enable_all()
        .build()
        .map_err(system("cannot start the runtime"))
}

/// Serves until told to stop.
pub(crate) fn run(config: Config) -> Result<(), StartError> {
    let runtime = runtime()?;
    let result = runtime.block_on(start(config, threads()));
    // Whatever still runs now was told to stop and did not.
    runtime.shutdown_timeout(Duration::from_secs(1));
    result
}

async fn start(config: Config, threads: usize) -> Result<(), StartError> {
    clock::tick();
    let listeners = config
        .listen
        .iter()
        .map(|address| listen(*address, &config.listen))
        .collect::<Result<Vec<_>, _>>()?;
    let tls = match &config.tls {
        Some(files) => Some(Arc::new(Tls::load(files.clone()).map_err(StartError::Settings)?)),
        None => None,
    };
    let authentication = Authentication::new(&config.region, &config.credentials)
        .map_err(|error| StartError::Settings(error.to_string()))?;
    let bound = bound_addresses(&listeners)?;
    let answers = AnswerBudget::new();
    let service = DatabaseService::open(&config, &bound, answers.clone()).await;
    let service = service.map_err(StartError::Data)?;
    let database = service.database();
    let metrics = Arc::new(Metrics::new(threads, clock::unix_seconds().0));
    // Reading the log took memory that serving does not need.
    memory::give_back();
    let background = Background::start(database, metrics.clone());
    let front = Arc::new(Front {
        service,
        authentication,
        metrics: metrics.clone(),
        body_timeout: config.limits.body,
        slow_request: config.slow_request,
        health_text: Bytes::from(format!("healthy: dynamodb.{}.amazonaws.com ", config.region)),
        log_budget: LogBudget::default(),
        body_budget: BodyBudget::default(),
        answer_budget: answers,
    });
    let mut signals = Signals::new()?;
    // Only now: until here the server that the file names may be another one, and go on.
    let port_file = match &config.port_file {
        Some(path) => Some(PortFile::write(path, &bound).map_err(|cause| {
            let what = format!("cannot write {}", path.display());
            StartError::System { what, cause }
        })?),
        None => None,
    };
    let places = Arc::new(Places::new(open_files::connections(config.limits.connections)));
    announce(&config, &bound, &front.authentication);
    let server = Server {
        connections: Arc::new(Connections {
            front,
            registry: Registry::new(config.limits, metrics),
            tls: tls.clone(),
        }),
        places,
        limits: config.limits,
        port_file,
    };
    server.serve(listeners, tls, &mut signals).await;
    background.stop().await.map_err(|error| StartError::Close(error.to_string()))?;
    tracing::info!("stopped");
    Ok(())
}

/// Listens on an address, one of all that are listened on.
fn listen(address: SocketAddr, all: &[SocketAddr]) -> Result<TcpListener, StartError> {
    let bind = || {
        let socket = match address {
            SocketAddr::V4(_) => TcpSocket::new_v4()?,
            SocketAddr::V6(_) => TcpSocket::new_v6()?,
        };
        let every_v4 = SocketAddr::from((Ipv4Addr::UNSPECIFIED, address.port()));
        if address.is_ipv6() && all.contains(&every_v4) {
            // [::] would be all addresses of IPv4, too, which have a listener of their own.
            rustix::net::sockopt::set_ipv6_v6only(&socket, true)?;
        }
        // A restart must not wait until the system has forgotten the old connections.
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        socket.listen(BACKLOG)
    };
    bind().map_err(|cause| StartError::Listen { address, cause })
}

fn bound_addresses(listeners: &[TcpListener]) -> Result<Vec<SocketAddr>, StartError> {
    listeners
        .iter()
        .map(|listener| listener.local_addr().map_err(system("cannot tell the bound address")))
        .collect()
}

fn place(data: &DataConfig) -> String {
    std::path::absolute(&data.dir).unwrap_or_else(|_| data.dir.clone()).display().to_string()
}

fn durability(data: &DataConfig) -> String {
    match data.durability {
        Durability::Fsync => "fsync".to_owned(),
        Durability::Interval => format!(
            "interval: a power loss may lose the acknowledged writes of the last {} ms",
            data.durability_interval.as_millis()
        ),
    }
}

/// Says at start what a person must know: where, on which data, how safe, who is let in.
fn announce(config: &Config, bound: &[SocketAddr], authentication: &Authentication) {
    let listen = bound.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    let (data, durability) = match &config.storage {
        Storage::Memory => ("in memory, gone when the process ends".to_owned(), "none".to_owned()),
        Storage::Files(data) => (place(data), durability(data)),
        Storage::Cassandra(cluster) => (
            format!("keyspace {} at {}", cluster.keyspace, cluster.contact_points.join(",")),
            "the cluster's: commitlog_sync must be batch or group".to_owned(),
        ),
    };
    let auth = match authentication {
        Authentication::Open => "open: any well-formed signature is accepted",
        Authentication::Verified { .. } => "verified signatures",
    };
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        listen,
        tls = config.tls.is_some(),
        data,
        durability,
        auth,
        region = config.region,
        "ready"
    );
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

impl Signals {
    fn new() -> Result<Self, StartError> {
        let listen = |kind| signal(kind).map_err(system("cannot listen for signals"));
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            hang_up: listen(SignalKind::hangup())?,
        })
    }

    async fn stop(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// What accepts and closes connections.
struct Server<S> {
    connections: Arc<Connections<S>>,
    places: Arc<Places>,
    limits: Limits,
    port_file: Option<PortFile>,
}

impl<S: Service> Server<S> {
    async fn serve(
        &self,
        listeners: Vec<TcpListener>,
        tls: Option<Arc<Tls>>,
        signals: &mut Signals,
    ) {
        let mut accepting = JoinSet::new();
        for listener in listeners {
            let (connections, places) = (self.connections.clone(), self.places.clone());
            accepting.spawn(accept(listener, connections, places));
        }
        let mut idle = IdleWatch::default();
        let mut sweep = tokio::time::interval(SWEEP_INTERVAL);
        loop {
            tokio::select! {
                _ = signals.terminate.recv() => break,
                _ = signals.interrupt.recv() => break,
                _ = signals.hang_up.recv() => {
                    if let Some(tls) = &tls {
                        tls.reload();
                    }
                }
                _ = sweep.tick() => {
                    self.sweep();
                    idle.observe(self.connections.front.metrics.requests_finished());
                    if let Some(tls) = &tls {
                        tls.reload_if_changed(clock::coarse_ms());
                    }
                }
            }
        }
        // Before the addresses are free for a server that would write the same file.
        if let Some(port_file) = &self.port_file {
            port_file.remove();
        }
        accepting.shutdown().await;
        self.drain(signals).await;
    }

    /// Ends connections that take too long, and idle ones if others wait for their places.
    fn sweep(&self) {
        let now_ms = clock::tick();
        self.connections.registry.sweep(now_ms);
        if self.places.are_waited_for() {
            self.connections.registry.make_room(now_ms);
        }
    }

    /// Lets requests under way finish, for a time; a second signal ends the wait.
    async fn drain(&self, signals: &mut Signals) {
        tracing::info!(connections = self.connections.registry.len(), "stopping");
        self.connections.registry.drain();
        let drained = async {
            let closed = self.places.all_free();
            tokio::pin!(closed);
            loop {
                tokio::select! {
                    _ = &mut closed => return,
                    // Timeouts hold while stopping, too.
                    () = tokio::time::sleep(SWEEP_INTERVAL) => self.sweep(),
                }
            }
        };
        tokio::select! {
            () = drained => return,
            () = tokio::time::sleep(self.limits.shutdown) => {}
            () = signals.stop() => {}
        }
        let connections = self.connections.registry.len();
        tracing::warn!(connections, "stopping without waiting for them any longer");
    }
}

/// Accepts connections for ever. At the limit one waits here for a place, and more in the backlog. A place is taken
/// only for a connection: a listener that waits for one with a place in hand would keep it from the others.
async fn accept<S: Service>(
    listener: TcpListener,
    connections: Arc<Connections<S>>,
    places: Arc<Places>,
) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let Some(place) = places.take().await else {
                    return;
                };
                spawn_connection(stream, place, connections.clone());
            }
            Err(error) => {
                // Out of file descriptors, most likely: trying again at once would only burn.
                connections.front.log_budget.spend(|| tracing::warn!(%error, "cannot accept"));
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

fn spawn_connection<S: Service>(
    stream: TcpStream,
    place: OwnedSemaphorePermit,
    connections: Arc<Connections<S>>,
) {
    tokio::spawn(async move {
        connections.serve(stream).await;
        drop(place);
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn all_addresses_of_both_kinds_may_have_the_same_port() {
        let bind = |address: &str| std::net::TcpListener::bind(address);
        if bind("[::1]:0").is_err() {
            // A machine without IPv6.
            return;
        }
        let any: [SocketAddr; 2] = ["0.0.0.0:0", "[::]:0"].map(|text| text.parse().unwrap());
        let first = listen(any[0], &any).unwrap();
        let all = any.map(|mut address| {
            address.set_port(first.local_addr().unwrap().port());
            address
        });
        let second = listen(all[1], &all).unwrap();
        assert_eq!(second.local_addr().unwrap(), all[1]);
    }
}
