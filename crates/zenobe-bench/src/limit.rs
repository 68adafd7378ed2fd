//! The bare server: what no server of this protocol can leave out, and nothing else.

use std::convert::Infallible;
use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::rc::Rc;

use anyhow::{Context, Result};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use zenobe_auth::{Credential, SignedRequest, UnixSeconds, Verifier};

/// What `limit` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct LimitArgs {
    /// The address to listen on
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Writes the address into this file
    #[arg(long)]
    port_file: Option<PathBuf>,
    /// The body of every answer
    #[arg(long)]
    canned: PathBuf,
}

struct Limit {
    verifier: Verifier,
    canned: Bytes,
}

/// Serves until killed.
pub(crate) fn serve(args: &LimitArgs) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let credential = Credential::new(crate::ACCESS_KEY_ID, crate::SECRET_ACCESS_KEY);
    let limit = Rc::new(Limit {
        verifier: Verifier::new(crate::REGION, "dynamodb", vec![credential])?,
        canned: std::fs::read(&args.canned).context("no canned body")?.into(),
    });
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, async {
        let listener = tokio::net::TcpListener::bind(args.listen).await?;
        if let Some(path) = &args.port_file {
            let unfinished = path.with_extension("new");
            writeln!(std::fs::File::create(&unfinished)?, "{}", listener.local_addr()?)?;
            std::fs::rename(unfinished, path)?;
        }
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            let limit = limit.clone();
            tokio::task::spawn_local(async move {
                let service = service_fn(|request| answer(limit.clone(), request));
                let connection = hyper::server::conn::http1::Builder::new();
                let _ = connection.serve_connection(TokioIo::new(stream), service).await;
            });
        }
    })
}

async fn answer(
    limit: Rc<Limit>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let signed = SignedRequest {
        method: parts.method.as_str(),
        path: parts.uri.path(),
        query: parts.uri.query(),
        headers: &parts.headers,
        authority: None,
        body: &body,
    };
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let now = UnixSeconds(now.map_or(0, |now| now.as_secs()));
    let verified = limit.verifier.verify(&signed, now).is_ok();
    let parsed = serde_json::from_slice::<serde_json::Value>(&body).is_ok();
    let status = if verified && parsed { 200 } else { 400 };
    let body = limit.canned.clone();
    let response = Response::builder()
        .status(status)
        .header("content-type", "application/x-amz-json-1.0")
        .header("x-amzn-requestid", "0000000000000000000000000000000000000000000000000000")
        .header("x-amz-crc32", crc32fast::hash(&body))
        .body(Full::new(body));
    Ok(response.unwrap_or_default())
}
