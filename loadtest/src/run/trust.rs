//! Whom to trust where the server speaks TLS: the certificates of one file, and nobody else.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;

/// Trusts what stands in a PEM file.
///
/// # Errors
/// If there is none in it.
pub(crate) fn only(file: &Path) -> Result<Arc<ClientConfig>> {
    let words = || format!("cannot read certificates from {}", file.display());
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(file).with_context(words)? {
        roots.add(certificate.with_context(words)?).with_context(words)?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .context("this TLS library has no protocol versions")?;
    Ok(Arc::new(builder.with_root_certificates(roots).with_no_client_auth()))
}
