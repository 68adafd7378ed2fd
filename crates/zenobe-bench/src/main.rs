//! Measures a zenobe server against `limit`, a bare HTTP server on the same machine.
//!
//! `limit` does what no server of this protocol can leave out: it parses the body as JSON, verifies
//! the signature, computes the checksum and answers a canned body of the size that zenobe answers
//! with. So the ratio of the two says what the database costs, whatever the machine.
//!
//! The server has one core to itself, the load generator another. Requests are built and signed
//! before the clock starts.

#![expect(clippy::disallowed_methods, reason = "a bench measures real time")]

mod limit;
mod load;
mod process;
mod report;
mod stream;
mod workload;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::{Args, Parser, Subcommand};

use crate::load::{Connection, Load};
use crate::process::{Core, Server};
use crate::report::{Measured, Row};
use crate::workload::{Pool, Workload};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The key that everything is signed with.
pub(crate) const ACCESS_KEY_ID: &str = "AKIDBENCH";
/// Its secret.
pub(crate) const SECRET_ACCESS_KEY: &str = "bench-secret";
/// The region that everything is signed for.
pub(crate) const REGION: &str = "us-east-1";

/// Measures a zenobe server against a bare HTTP server on the same machine.
#[derive(Debug, Parser)]
#[command(
    name = "zenobe-bench",
    after_help = "Examples:\n  \
        cargo build --release -p zenobe && cargo run --release -p zenobe-bench -- run\n  \
        zenobe-bench run --workloads put,get-strong --connections 32 --seconds 10\n  \
        zenobe-bench run --durability in-memory"
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Starts both servers, loads the data, measures, prints a table
    Run(RunArgs),
    /// Serves the bare server; started by `run`
    Limit(limit::LimitArgs),
}

#[derive(Debug, Args)]
struct RunArgs {
    /// What to measure, in this order
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "put,get,get-strong,update,query,batch-write"
    )]
    workloads: Vec<Workload>,
    /// Numbers of keep-alive connections
    #[arg(long, value_delimiter = ',', default_value = "1,8,32,64")]
    connections: Vec<usize>,
    /// How long each measurement takes
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// How long each runs before it is measured
    #[arg(long, default_value_t = 1)]
    warmup_seconds: u64,
    /// Distinct items. With more than some hundred thousand, requests are signed as they are sent, since
    /// they would not fit into memory: then compare CPU times, for the load has more to do
    #[arg(long, default_value_t = 100_000)]
    keys: usize,
    /// The zenobe binary [default: the one beside this one]
    #[arg(long)]
    server: Option<PathBuf>,
    /// Where the data goes; its disk is what is measured [default: a directory here, removed at the end]
    #[arg(long)]
    data_dir: Option<PathBuf>,
    /// Measures on what --data-dir holds from a run before
    #[arg(long)]
    no_load: bool,
    /// fsync, interval or in-memory
    #[arg(long, default_value = "fsync")]
    durability: String,
    /// Lets zenobe accept any signature, as it does by default on loopback
    #[arg(long)]
    open: bool,
    /// More arguments for zenobe
    #[arg(last = true)]
    server_args: Vec<String>,
}

fn main() -> Result<()> {
    match Cli::parse().command {
        Command::Run(args) => run(&args),
        Command::Limit(args) => limit::serve(&args),
    }
}

fn run(args: &RunArgs) -> Result<()> {
    let cores = process::cores()?;
    let (server_core, load_core) = match cores.as_slice() {
        [first, second, ..] => (*first, *second),
        _ => bail!("two cores are needed, one for the server and one for the load"),
    };
    let temporary = tempfile::tempdir_in(".").context("no directory for the data")?;
    let data_dir = args.data_dir.clone().unwrap_or_else(|| temporary.path().join("data"));
    let zenobe = start_zenobe(args, &data_dir, server_core)?;
    process::pin(load_core)?;
    println!(
        "zenobe: {} (durability {}, {}), server on core {server_core}, load on core {load_core}",
        zenobe.program.display(),
        args.durability,
        if args.open { "open" } else { "signatures verified" },
    );
    if !args.no_load {
        load_items(&zenobe, args)?;
    }
    if args.workloads.iter().any(|workload| workload.is_of_streams()) {
        stream::prepare(zenobe.address, args.keys)?;
    }
    report::print_header();
    for workload in &args.workloads {
        measure_workload(args, *workload, &zenobe, server_core, temporary.path())?;
    }
    Ok(())
}

fn start_zenobe(args: &RunArgs, data_dir: &std::path::Path, core: Core) -> Result<Server> {
    let program = match &args.server {
        Some(program) => program.clone(),
        None => process::beside_this_one("zenobe")?,
    };
    let mut server_args: Vec<String> = vec!["--region".into(), REGION.into()];
    if args.durability == "in-memory" {
        server_args.push("--in-memory".into());
    } else {
        server_args.extend(["--durability".into(), args.durability.clone()]);
        server_args.extend(["--data-dir".into(), data_dir.display().to_string()]);
    }
    server_args.extend(args.server_args.iter().cloned());
    let mut envs = Vec::new();
    if !args.open {
        envs.push(("ZENOBE_ACCESS_KEY_ID", ACCESS_KEY_ID));
        envs.push(("ZENOBE_SECRET_ACCESS_KEY", SECRET_ACCESS_KEY));
    }
    Server::start(program, &server_args, &envs, core)
}

/// Makes the tables and fills them, so that every read finds something.
fn load_items(zenobe: &Server, args: &RunArgs) -> Result<()> {
    let mut connection = Connection::open(zenobe.address)?;
    let wanted = args.workloads.iter().filter(|workload| !workload.is_of_streams());
    let tables: BTreeSet<&'static str> = wanted.map(|workload| workload.table()).collect();
    for &name in &tables {
        let request = workload::request("CreateTable", &workload::table(name))?;
        let (status, body) = connection.call(&request)?;
        if status != 200 {
            bail!("CreateTable: {status} {}", String::from_utf8_lossy(&body));
        }
        let body = format!("{{\"TableName\":\"{name}\"}}");
        let request = workload::request("DescribeTable", &body)?;
        while !String::from_utf8_lossy(&connection.call(&request)?.1).contains("\"ACTIVE\"") {
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    let started = std::time::Instant::now();
    for &name in &tables {
        Load::new(zenobe.address, 16, &workload::loading(name, args.keys)?)?.run_once()?;
    }
    println!(
        "loaded {} items in {:.1} s: {} MB resident",
        tables.len() * args.keys,
        started.elapsed().as_secs_f64(),
        zenobe.resident_bytes()? / 1_000_000
    );
    Ok(())
}

fn measure_workload(
    args: &RunArgs,
    workload: Workload,
    zenobe: &Server,
    core: Core,
    dir: &std::path::Path,
) -> Result<()> {
    let pool = match workload {
        Workload::GetRecords | Workload::GetRecordsEmpty => {
            let iterators = stream::Iterators::walk(zenobe.address)?;
            println!("{:.0} records a page", iterators.records_per_page());
            iterators.pool(workload)?
        }
        _ => workload.pool(args.keys)?,
    };
    let (status, answer) = Connection::open(zenobe.address)?.call(&pool.get(0)?)?;
    if status != 200 {
        bail!("{workload:?}: {status} {}", String::from_utf8_lossy(&answer));
    }
    let canned = dir.join("canned");
    std::fs::write(&canned, &answer)?;
    let limit_args = ["limit".into(), "--canned".into(), canned.display().to_string()];
    let limit = Server::start(std::env::current_exe()?, &limit_args, &[], core)?;
    if !pool.is_prepared() {
        println!("{workload:?}: too many requests to prepare, each is signed when it is sent");
    }
    for &connections in &args.connections {
        let bare = measure(args, &limit, &pool, connections)?;
        let full = measure(args, zenobe, &pool, connections)?;
        Row { workload, connections, bare, full }.print();
    }
    Ok(())
}

fn measure(args: &RunArgs, server: &Server, pool: &Pool, connections: usize) -> Result<Measured> {
    let mut load = Load::new(server.address, connections, pool)?;
    load.run_for(Duration::from_secs(args.warmup_seconds))?;
    let (cpu_before, fsyncs_before) = (server.cpu()?, server.fsyncs()?);
    let result = load.run_for(Duration::from_secs(args.seconds))?;
    let (cpu_after, fsyncs_after) = (server.cpu()?, server.fsyncs()?);
    Ok(Measured {
        requests: result.requests,
        elapsed: result.elapsed,
        p50: result.latencies.quantile(0.5),
        p99: result.latencies.quantile(0.99),
        cpu: cpu_after.saturating_sub(cpu_before),
        resident_bytes: server.resident_bytes()?,
        fsyncs: fsyncs_before.zip(fsyncs_after).map(|(before, after)| after - before),
    })
}
