//! The encryption of connections to the cluster, from files in PEM.
//!
//! The provider of cryptography is `ring`, like everywhere in Zenobe; the one that the driver brings along is not
//! used. Files are read once, when the engine opens.

use std::path::Path;
use std::sync::Arc;

use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};
use zenobe_storage::{EngineError, EngineResult};

use crate::options::Tls;

fn unusable(path: &Path, error: impl std::fmt::Display) -> EngineError {
    EngineError::Unavailable(format!("TLS to the cluster: {}: {error}", path.display()))
}

fn certificates(path: &Path) -> EngineResult<Vec<CertificateDer<'static>>> {
    let found: Vec<_> = CertificateDer::pem_file_iter(path)
        .map_err(|error| unusable(path, error))?
        .collect::<Result<_, _>>()
        .map_err(|error| unusable(path, error))?;
    if found.is_empty() { Err(unusable(path, "there is no certificate")) } else { Ok(found) }
}

/// What connections are made with.
pub(crate) fn config(files: &Tls) -> EngineResult<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(&files.authorities)? {
        roots.add(certificate).map_err(|error| unusable(&files.authorities, error))?;
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| unusable(&files.authorities, error))?
        .with_root_certificates(roots);
    let config = match &files.client {
        None => builder.with_no_client_auth(),
        Some(client) => {
            let key = PrivateKeyDer::from_pem_file(&client.key)
                .map_err(|error| unusable(&client.key, error))?;
            builder
                .with_client_auth_cert(certificates(&client.certificates)?, key)
                .map_err(|error| unusable(&client.certificates, error))?
        }
    };
    Ok(Arc::new(config))
}
