//! TLS: certificate and key from two files, read again when they change.
//!
//! A pair that cannot be used does not replace one that can: the old one stays, and the log says so.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::{ClientHello, ResolvesServerCert, ServerConfig};
use tokio_rustls::rustls::sign::CertifiedKey;

use crate::config::TlsFiles;

/// How often the files are looked at.
const CHECK_INTERVAL_MS: u64 = 1000;

/// The TLS side of the server.
pub(super) struct Tls {
    acceptor: TlsAcceptor,
    files: TlsFiles,
    current: Arc<Current>,
    provider: CryptoProvider,
    /// What the files were like when they were last read.
    read: Mutex<Option<Fingerprint>>,
    checked_at_ms: AtomicU64,
}

/// Hands out the certificate that is current.
#[derive(Debug)]
struct Current(ArcSwap<CertifiedKey>);

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load_full())
    }
}

/// Changes when a file does: modification time, length and inode of both.
type Fingerprint = [(i64, i64, u64, u64); 2];

impl Tls {
    /// Reads certificate and key.
    pub(super) fn load(files: TlsFiles) -> Result<Self, String> {
        let provider = ring::default_provider();
        let read = fingerprint(&files);
        let current = Arc::new(Current(ArcSwap::new(Arc::new(certified_key(&files, &provider)?))));
        let mut config = ServerConfig::builder_with_provider(Arc::new(provider.clone()))
            .with_safe_default_protocol_versions()
            .map_err(|error| format!("TLS: {error}"))?
            .with_no_client_auth()
            .with_cert_resolver(current.clone());
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self {
            acceptor: TlsAcceptor::from(Arc::new(config)),
            files,
            current,
            provider,
            read: Mutex::new(read),
            checked_at_ms: AtomicU64::new(0),
        })
    }

    /// Makes handshakes with the certificate that is current then.
    pub(super) fn acceptor(&self) -> &TlsAcceptor {
        &self.acceptor
    }

    /// Reads the files again.
    pub(super) fn reload(&self) {
        *self.read.lock() = fingerprint(&self.files);
        match certified_key(&self.files, &self.provider) {
            Ok(key) => {
                self.current.0.store(Arc::new(key));
                tracing::info!(cert = %self.files.cert.display(), "certificate read again");
            }
            Err(error) => tracing::error!(error, "the old certificate stays in use"),
        }
    }

    /// Reads the files again if they changed since they were last read.
    pub(super) fn reload_if_changed(&self, now_ms: u64) {
        let due_ms = self.checked_at_ms.load(Ordering::Relaxed) + CHECK_INTERVAL_MS;
        if now_ms < due_ms {
            return;
        }
        self.checked_at_ms.store(now_ms, Ordering::Relaxed);
        // While one of the files is being replaced there may be none for a moment.
        let now = fingerprint(&self.files);
        if now.is_some() && now != *self.read.lock() {
            self.reload();
        }
    }
}

fn fingerprint(files: &TlsFiles) -> Option<Fingerprint> {
    let of = |path: &Path| {
        let metadata = fs::metadata(path).ok()?;
        Some((metadata.mtime(), metadata.mtime_nsec(), metadata.len(), metadata.ino()))
    };
    Some([of(&files.cert)?, of(&files.key)?])
}

fn certified_key(files: &TlsFiles, provider: &CryptoProvider) -> Result<CertifiedKey, String> {
    let in_file = |path: &Path, what: &str, error: &dyn std::fmt::Display| {
        format!("cannot use {} as {what}: {error}", path.display())
    };
    let chain = CertificateDer::pem_file_iter(&files.cert)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| in_file(&files.cert, "a certificate chain", &error))?;
    if chain.is_empty() {
        return Err(in_file(&files.cert, "a certificate chain", &"it has no certificate"));
    }
    let key = PrivateKeyDer::from_pem_file(&files.key)
        .map_err(|error| in_file(&files.key, "a private key", &error))?;
    CertifiedKey::from_der(chain, key, provider).map_err(|error| {
        format!("{} and {} do not go together: {error}", files.cert.display(), files.key.display())
    })
}
