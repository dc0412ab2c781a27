//! One certificate of a run's own, for every server that does TLS itself.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result};
use rustls::{ClientConfig, RootCertStore};

/// Where it lies, and how a client trusts it.
#[derive(Debug, Clone)]
pub struct Certificate {
    pub cert: PathBuf,
    pub key: PathBuf,
    pub client: Arc<ClientConfig>,
}

impl Certificate {
    /// Makes one for 127.0.0.1 and puts it into this folder.
    ///
    /// # Errors
    /// If it cannot be made or written.
    pub fn make(folder: &Path) -> Result<Self> {
        fs::create_dir_all(folder).with_context(|| format!("make {}", folder.display()))?;
        let made = rcgen::generate_simple_self_signed(vec![String::from("127.0.0.1")])
            .context("make a certificate")?;
        let (cert, key) = (folder.join("cert.pem"), folder.join("key.pem"));
        fs::write(&cert, made.cert.pem()).context("write the certificate")?;
        fs::write(&key, made.signing_key.serialize_pem()).context("write its key")?;
        let mut roots = RootCertStore::empty();
        roots.add(made.cert.der().clone()).context("trust the certificate")?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let client = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .context("choose versions of TLS")?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self { cert, key, client: Arc::new(client) })
    }
}
