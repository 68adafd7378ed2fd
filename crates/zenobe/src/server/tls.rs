//! TLS: certificate and key from two files, read again when they change.
//!
//! A pair that cannot be used does not replace one that can: the old one stays, and the log says so. The two files are
//! replaced one after the other, so a look in between finds a pair that does not fit: that is said only if it is still
//! so at the next look.

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
    read: Mutex<Read>,
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

/// What was last read.
#[derive(Debug, Default)]
struct Read {
    /// What the files were like; what they are like now is not looked at again while it stays so.
    files: Option<Fingerprint>,
    /// Whether the last look found a pair that cannot be used and has not been complained of.
    is_in_doubt: bool,
}

/// What a look at the files found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// It was not time, or nothing has changed.
    Same,
    /// A pair that is used from now on.
    Replaced,
    /// A pair that cannot be used, perhaps because only one of its files is new.
    InDoubt,
    /// A pair that cannot be used.
    Refused,
}

/// Changes when a file does: modification time, length and inode of both.
type Fingerprint = [(i64, i64, u64, u64); 2];

impl Tls {
    /// Reads certificate and key.
    pub(super) fn load(files: TlsFiles) -> Result<Self, String> {
        let provider = ring::default_provider();
        let read = Read { files: fingerprint(&files), is_in_doubt: false };
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

    /// Reads the files again, because somebody says that they are complete.
    pub(super) fn reload(&self) -> Look {
        let found = fingerprint(&self.files);
        let read = self.take();
        *self.read.lock() = Read { files: found, is_in_doubt: false };
        match read {
            Ok(()) => Look::Replaced,
            Err(error) => {
                tracing::error!(error, "the old certificate stays in use");
                Look::Refused
            }
        }
    }

    /// Reads the files again if they changed since they were last read.
    pub(super) fn reload_if_changed(&self, now_ms: u64) -> Look {
        let due_ms = self.checked_at_ms.load(Ordering::Relaxed) + CHECK_INTERVAL_MS;
        if now_ms < due_ms {
            return Look::Same;
        }
        self.checked_at_ms.store(now_ms, Ordering::Relaxed);
        // While one of the files is being replaced there may be none for a moment.
        let found = fingerprint(&self.files);
        let mut read = self.read.lock();
        if found.is_none() || found == read.files {
            read.is_in_doubt &= found.is_none();
            return Look::Same;
        }
        let look = match self.take() {
            Ok(()) => Look::Replaced,
            Err(_) if !read.is_in_doubt => {
                read.is_in_doubt = true;
                return Look::InDoubt;
            }
            Err(error) => {
                tracing::error!(error, "the old certificate stays in use");
                Look::Refused
            }
        };
        *read = Read { files: found, is_in_doubt: false };
        look
    }

    /// Uses what is in the files, if it can be.
    fn take(&self) -> Result<(), String> {
        let key = certified_key(&self.files, &self.provider)?;
        self.current.0.store(Arc::new(key));
        tracing::info!(cert = %self.files.cert.display(), "certificate read again");
        Ok(())
    }
}

fn fingerprint(files: &TlsFiles) -> Option<Fingerprint> {
    let of = |path: &Path| {
        let metadata = fs::metadata(path).ok()?;
        Some((metadata.mtime(), metadata.mtime_nsec(), metadata.len(), metadata.ino()))
    };
    Some([of(&files.cert)?, of(&files.key)?])
}

/// Which keys can be used. Source: the signing keys of `ring`.
const SUPPORTED_KEYS: &str = "it is damaged, or of a kind that is not supported; RSA with 2048 to 4096 bits, ECDSA on P-256 \
     and P-384, and Ed25519 are";

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
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|error| {
        if is_encrypted(&files.key) {
            let encrypted = "it is encrypted; `openssl pkey` writes it without its passphrase";
            return in_file(&files.key, "a private key", &encrypted);
        }
        in_file(&files.key, "a private key", &error)
    })?;
    if provider.key_provider.load_private_key(key.clone_key()).is_err() {
        return Err(in_file(&files.key, "a private key", &SUPPORTED_KEYS));
    }
    CertifiedKey::from_der(chain, key, provider).map_err(|error| {
        format!("{} and {} do not go together: {error}", files.cert.display(), files.key.display())
    })
}

/// Whether a file holds a key under a passphrase. Sources: RFC 7468, section 11, and RFC 1421, section 4.6.1.1.
fn is_encrypted(path: &Path) -> bool {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.contains("-----BEGIN ENCRYPTED PRIVATE KEY-----")
        || text.contains("Proc-Type: 4,ENCRYPTED")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_that_is_replaced_one_file_after_the_other_is_not_complained_of() {
        let dir = tempfile::tempdir().unwrap();
        let files = TlsFiles { cert: dir.path().join("cert"), key: dir.path().join("key") };
        let pair = || {
            let pair = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
            (pair.cert.pem(), pair.signing_key.serialize_pem())
        };
        // Under another name first, so that each is another file even where clocks are coarse.
        let replace = |path: &Path, text: &str| {
            fs::write(dir.path().join("new"), text).unwrap();
            fs::rename(dir.path().join("new"), path).unwrap();
        };
        let (cert, key) = pair();
        replace(&files.cert, &cert);
        replace(&files.key, &key);
        let tls = Tls::load(files.clone()).unwrap();
        let mut now_ms = 0;
        let mut look = || {
            now_ms += CHECK_INTERVAL_MS;
            tls.reload_if_changed(now_ms)
        };
        assert_eq!(look(), Look::Same);

        let (cert, key) = pair();
        replace(&files.cert, &cert);
        assert_eq!(look(), Look::InDoubt);
        replace(&files.key, &key);
        assert_eq!([look(), look()], [Look::Replaced, Look::Same]);

        replace(&files.key, &pair().1);
        assert_eq!([look(), look(), look()], [Look::InDoubt, Look::Refused, Look::Same]);
        replace(&files.key, &key);
        assert_eq!([look(), look()], [Look::Replaced, Look::Same]);
        replace(&files.key, "nonsense");
        assert_eq!(tls.reload(), Look::Refused);
        assert_eq!(look(), Look::Same);
    }
}
