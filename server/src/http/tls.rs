//! The certificate of the public listener: read at start, read again when its files change, and
//! when the operator asks.

mod validity;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::{Mutex, RwLock};
use protocol::time::UnixMillis;
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

/// What a file held: a copy that keeps length and time is another file all the same. None: it could
/// not be read.
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

/// How often the log is told of a certificate that ends soon.
const TELL_EVERY: Duration = Duration::from_secs(24 * 60 * 60);

/// How long before its end a certificate is said to end.
const SOON_MS: u64 = 14 * DAY_MS;

const DAY_MS: u64 = 24 * 60 * 60 * 1_000;

/// The certificate in use.
#[derive(Debug)]
pub struct Tls {
    cert: PathBuf,
    key: PathBuf,
    current: RwLock<(Arc<ServerConfig>, (Stamp, Stamp))>,
    /// Until when the certificate holds, where that can be read.
    ends: Mutex<Option<UnixMillis>>,
    /// The operator's last reload was refused: good files alone do not mend that.
    is_refused: AtomicBool,
}

/// Both files as they were once, and good.
#[derive(Debug)]
pub struct Fresh {
    config: Arc<ServerConfig>,
    ends: Option<UnixMillis>,
    stamps: (Stamp, Stamp),
}

/// How a certificate stands at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It holds, for longer than two weeks or for as long as nobody can tell.
    Good,
    /// It ends in so many whole days.
    EndsIn(u64),
    /// It ended so many whole days ago: browsers refuse it.
    Ended(u64),
}

impl Tls {
    /// Reads both files.
    ///
    /// # Errors
    /// If one cannot be read, or they do not go together.
    pub fn load(cert: &Path, key: &Path) -> Result<Self, TlsError> {
        let Fresh { config, ends, stamps } = fresh(cert, key)?;
        Ok(Self {
            cert: cert.to_owned(),
            key: key.to_owned(),
            current: RwLock::new((config, stamps)),
            ends: Mutex::new(ends),
            is_refused: AtomicBool::new(false),
        })
    }

    /// Reads both files, whether or not they changed, and changes nothing.
    ///
    /// # Errors
    /// If they cannot be used.
    pub fn read_again(&self) -> Result<Fresh, TlsError> {
        fresh(&self.cert, &self.key)
    }

    /// Takes what was read into use.
    pub fn take(&self, Fresh { config, ends, stamps }: Fresh) {
        *self.current.write() = (config, stamps);
        *self.ends.lock() = ends;
    }

    /// Until when the certificate holds, where that can be read.
    pub fn ends(&self) -> Option<UnixMillis> {
        *self.ends.lock()
    }

    /// How it stands now.
    pub fn standing(&self, now: UnixMillis) -> Standing {
        let Some(ends) = self.ends() else { return Standing::Good };
        match ends.0.checked_sub(now.0) {
            None | Some(0) => Standing::Ended((now.0 - ends.0) / DAY_MS),
            Some(left) if left < SOON_MS => Standing::EndsIn(left / DAY_MS),
            Some(_) => Standing::Good,
        }
    }

    /// Says in the log that the certificate ends soon or has ended, and in the metrics when.
    pub fn tell(&self, metrics: &Metrics, now: UnixMillis) {
        metrics.certificate_ends(self.ends());
        match self.standing(now) {
            Standing::Good => {}
            Standing::EndsIn(days) => tracing::warn!(
                days,
                setting = "tls_cert",
                "the certificate ends soon: renew it and put the new files in its place"
            ),
            Standing::Ended(days) => tracing::error!(
                days,
                setting = "tls_cert",
                "the certificate has expired, browsers refuse it: put a new one in its place"
            ),
        }
    }

    /// Whether the last reload that was asked for was refused; the metric says so until the next
    /// one.
    pub fn note_refused(&self, refused: bool) {
        self.is_refused.store(refused, Ordering::Relaxed);
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
            Ok((config, ends)) => {
                self.take(Fresh { config, ends, stamps });
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
        let mut told_at = SystemClock.instant();
        loop {
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return,
                () = tokio::time::sleep(look) => {}
            }
            let now = SystemClock.instant();
            if now.saturating_duration_since(told_at) >= TELL_EVERY {
                told_at = now;
                self.tell(&metrics, SystemClock.now());
            }
            match self.reload() {
                None => {}
                Some(Ok(())) => {
                    if !self.is_refused.load(Ordering::Relaxed) {
                        metrics.config_read(SystemClock.now());
                    }
                    tracing::info!("new certificate in use");
                    self.tell(&metrics, SystemClock.now());
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

fn fresh(cert: &Path, key: &Path) -> Result<Fresh, TlsError> {
    let files = Files::read(cert, key);
    let stamps = files.stamps();
    let (config, ends) = take(cert, key, files)?;
    Ok(Fresh { config, ends, stamps })
}

/// What the files are good for, and until when the certificate holds.
fn take(
    cert: &Path,
    key: &Path,
    files: Files,
) -> Result<(Arc<ServerConfig>, Option<UnixMillis>), TlsError> {
    let unreadable = |source| TlsError::ReadCertificate { path: cert.to_owned(), source };
    let pem = files.cert.map_err(|error| unreadable(pem::Error::Io(error)))?;
    let chain =
        CertificateDer::pem_slice_iter(&pem).collect::<Result<Vec<_>, _>>().map_err(unreadable)?;
    // The first one is the server's own; those behind it have ends of their own, which clients may
    // not mind.
    let Some(own) = chain.first() else {
        return Err(TlsError::NoCertificate { path: cert.to_owned() });
    };
    let ends = validity::not_after(own);
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
    Ok((Arc::new(config), ends))
}
