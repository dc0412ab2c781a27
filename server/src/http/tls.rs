//! The certificate of the public listener: read at start, read again when its files change.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::RwLock;
use rustls::ServerConfig;
use rustls_pki_types::pem::{self, PemObject as _};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::TcpStream;
use tokio::sync::watch;
use zeroize::Zeroizing;

use super::session::TlsStream;
use crate::clock::{Clock as _, SystemClock};
use crate::keys::content_hash;
use crate::metrics::Metrics;

/// A certificate that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The file with the chain.
    #[error("cannot read a certificate from {path} (setting `tls_cert`)")]
    ReadCertificate { path: PathBuf, source: pem::Error },
    /// The file has no certificate in it.
    #[error("{path} (setting `tls_cert`) holds no certificate in PEM form")]
    NoCertificate { path: PathBuf },
    /// The file with the key.
    #[error("cannot read a private key from {path} (setting `tls_key`)")]
    ReadKey { path: PathBuf, source: pem::Error },
    /// The two do not go together, or their kind is unknown.
    #[error("certificate (setting `tls_cert`) and key (setting `tls_key`) cannot be used together")]
    Match { source: rustls::Error },
}

/// What a file held: a copy that keeps length and time is another file all the same. None: it could not be read.
type Stamp = Option<[u8; 32]>;

/// Both files, read once, so that what was compared is what is taken.
struct Files {
    cert: std::io::Result<Vec<u8>>,
    key: std::io::Result<Zeroizing<Vec<u8>>>,
}

impl Files {
    fn read(cert: &Path, key: &Path) -> Self {
        Self { cert: std::fs::read(cert), key: std::fs::read(key).map(Zeroizing::new) }
    }

    fn stamps(&self) -> (Stamp, Stamp) {
        let cert = self.cert.as_ref().ok().map(|bytes| content_hash(bytes));
        (cert, self.key.as_ref().ok().map(|bytes| content_hash(bytes)))
    }
}

/// The certificate in use.
#[derive(Debug)]
pub struct Tls {
    cert: PathBuf,
    key: PathBuf,
    current: RwLock<(Arc<ServerConfig>, (Stamp, Stamp))>,
}

impl Tls {
    /// Reads both files.
    ///
    /// # Errors
    /// If one cannot be read, or they do not go together.
    pub fn load(cert: &Path, key: &Path) -> Result<Self, TlsError> {
        let files = Files::read(cert, key);
        let stamps = files.stamps();
        let config = take(cert, key, files)?;
        Ok(Self {
            cert: cert.to_owned(),
            key: key.to_owned(),
            current: RwLock::new((config, stamps)),
        })
    }

    /// Takes the files' new content if they changed. `None`: they did not.
    ///
    /// # Errors
    /// If the new content cannot be used; the former stays in use.
    pub fn reload(&self) -> Option<Result<(), TlsError>> {
        let files = Files::read(&self.cert, &self.key);
        let stamps = files.stamps();
        if self.current.read().1 == stamps {
            return None;
        }
        Some(match take(&self.cert, &self.key, files) {
            Ok(config) => {
                *self.current.write() = (config, stamps);
                Ok(())
            }
            Err(error) => {
                // Remembered, so that one bad state is told once.
                self.current.write().1 = stamps;
                Err(error)
            }
        })
    }

    /// Looks at the files for as long as the listener lives.
    pub async fn watch(
        self: Arc<Self>,
        look: Duration,
        metrics: Arc<Metrics>,
        mut stop: watch::Receiver<bool>,
    ) {
        loop {
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return,
                () = tokio::time::sleep(look) => {}
            }
            match self.reload() {
                None => {}
                Some(Ok(())) => {
                    metrics.config_read(SystemClock.now());
                    tracing::info!("new certificate in use");
                }
                Some(Err(error)) => {
                    metrics.config_last_reload_success.set(0);
                    let cause = std::error::Error::source(&error).map(ToString::to_string);
                    tracing::warn!(%error, cause, "new certificate refused; the former stays in use");
                }
            }
        }
    }

    pub(super) async fn accept(&self, stream: TcpStream) -> std::io::Result<TlsStream> {
        let config = self.current.read().0.clone();
        TlsStream::accept(config, stream).await
    }
}

fn take(cert: &Path, key: &Path, files: Files) -> Result<Arc<ServerConfig>, TlsError> {
    let unreadable = |source| TlsError::ReadCertificate { path: cert.to_owned(), source };
    let pem = files.cert.map_err(|error| unreadable(pem::Error::Io(error)))?;
    let chain =
        CertificateDer::pem_slice_iter(&pem).collect::<Result<Vec<_>, _>>().map_err(unreadable)?;
    if chain.is_empty() {
        return Err(TlsError::NoCertificate { path: cert.to_owned() });
    }
    let unreadable = |source| TlsError::ReadKey { path: key.to_owned(), source };
    let pem = files.key.map_err(|error| unreadable(pem::Error::Io(error)))?;
    let key = PrivateKeyDer::from_pem_slice(&pem).map_err(unreadable)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(|source| TlsError::Match { source })?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|source| TlsError::Match { source })?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
