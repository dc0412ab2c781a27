//! One request to an admin listener, for the command line: on this machine, or elsewhere over TLS.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, InvalidDnsNameError, ServerName, pem};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::config::ServerUrl;
use crate::tasks;

/// Bytes of an answer; a page of a list is far smaller.
const ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody listens there.
    #[error(
        "no server answers at {address} (setting `admin_listen`): start it with `livehelp serve`, or name its admin listener with --admin-listen"
    )]
    Connect { address: SocketAddr, source: std::io::Error },
    /// Nobody can be reached there.
    #[error(
        "no server answers at {url}: look at the address, and whether that server runs and may be reached from here"
    )]
    Reach { url: String, source: std::io::Error },
    /// What answers is not whom we asked for.
    #[error(
        "{url} cannot be trusted, or speaks no TLS: name the file with its authority's certificate (--operator-ca-file), or correct the address"
    )]
    Trust { url: String, source: std::io::Error },
    /// The certificates of those who may vouch.
    #[error("cannot read a certificate from {} (setting `operator_ca_file`)", path.display())]
    Authority { path: PathBuf, source: pem::Error },
    /// There are none, or not such as can be used.
    #[error("{} (setting `operator_ca_file`) holds no certificate in PEM form", .0.display())]
    NoAuthority(PathBuf),
    /// Nor has the system any.
    #[error(
        "this system trusts no certificate authority: install its list (Debian: ca-certificates), or name a file with --operator-ca-file"
    )]
    NoAuthorities,
    /// TLS itself.
    #[error("TLS cannot be set up")]
    Tls(#[from] rustls::Error),
    /// A name that no certificate can have.
    #[error("{url} names no host that a certificate can be for")]
    Name { url: String, source: InvalidDnsNameError },
    /// What listens there speaks no HTTP, or not like us.
    #[error("what answers at {at} is not a livehelp admin listener")]
    Exchange { at: String, source: hyper::Error },
    /// The request could not be put into words.
    #[error("the request cannot be made: {source}")]
    Request {
        #[from]
        source: http::Error,
    },
    /// The answer is too large or broke off.
    #[error("the answer broke off or is larger than {ANSWER_BYTES_MAX} bytes")]
    Answer,
    /// Too long.
    #[error("the server did not answer within {} seconds", .0.as_secs())]
    Patience(Duration),
}

/// A server that is asked: where it is, and how it is known to be the one.
#[derive(Debug)]
pub enum Server {
    /// An admin listener by its address, in plain HTTP.
    Here(SocketAddr),
    /// Somewhere else.
    Elsewhere(ServerUrl, Option<Arc<ClientConfig>>),
}

impl Server {
    /// At an address of the settings.
    pub fn here(address: SocketAddr) -> Self {
        Self::Here(address)
    }

    /// At this URL; `authority` is a file with the certificates that count instead of the system's.
    ///
    /// # Errors
    /// If it is to be asked over TLS, and there are no certificates to judge it by.
    pub fn elsewhere(url: ServerUrl, authority: Option<&Path>) -> Result<Self, ClientError> {
        let tls = if url.tls { Some(Arc::new(trusting(authority)?)) } else { None };
        Ok(Self::Elsewhere(url, tls))
    }

    /// As people know it.
    pub fn shown(&self) -> String {
        match self {
            Self::Here(address) => address.to_string(),
            Self::Elsewhere(url, _) => url.as_str().to_owned(),
        }
    }

    /// Asks, with a key where one is given.
    ///
    /// # Errors
    /// If no answer comes in time; an answer that refuses is an answer.
    pub async fn ask(
        &self,
        method: Method,
        path: &str,
        bearer: Option<&str>,
        body: Option<String>,
        patience: Duration,
    ) -> Result<(StatusCode, Bytes), ClientError> {
        let (host, prefix) = match self {
            Self::Here(address) => (address.to_string(), ""),
            Self::Elsewhere(url, _) => (url.authority(), url.prefix.as_str()),
        };
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{prefix}{path}"))
            .header(header::HOST, host);
        if let Some(bearer) = bearer {
            request = request.header(header::AUTHORIZATION, format!("Bearer {bearer}"));
        }
        if body.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        let request = request.body(Full::new(Bytes::from(body.unwrap_or_default())))?;
        match tokio::time::timeout(patience, self.exchange(request)).await {
            Ok(answer) => answer,
            Err(_) => Err(ClientError::Patience(patience)),
        }
    }

    async fn exchange(
        &self,
        request: Request<Full<Bytes>>,
    ) -> Result<(StatusCode, Bytes), ClientError> {
        let at = self.shown();
        let (url, tls) = match self {
            Self::Here(address) => {
                let stream = TcpStream::connect(reachable(*address))
                    .await
                    .map_err(|source| ClientError::Connect { address: *address, source })?;
                return over(stream, request, at).await;
            }
            Self::Elsewhere(url, tls) => (url, tls),
        };
        let host = url.host();
        let stream = TcpStream::connect((host.as_str(), url.port))
            .await
            .map_err(|source| ClientError::Reach { url: at.clone(), source })?;
        let Some(config) = tls else { return over(stream, request, at).await };
        let name = ServerName::try_from(host)
            .map_err(|source| ClientError::Name { url: at.clone(), source })?;
        let stream = TlsConnector::from(Arc::clone(config))
            .connect(name, stream)
            .await
            .map_err(|source| ClientError::Trust { url: at.clone(), source })?;
        over(stream, request, at).await
    }
}

/// Where a listener on all addresses is reached from this machine.
fn reachable(address: SocketAddr) -> SocketAddr {
    let loopback = match address.ip() {
        ip if !ip.is_unspecified() => ip,
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::LOCALHOST),
    };
    SocketAddr::new(loopback, address.port())
}

async fn over(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    request: Request<Full<Bytes>>,
    at: String,
) -> Result<(StatusCode, Bytes), ClientError> {
    let broken = |source| ClientError::Exchange { at: at.clone(), source };
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
    let connection = tasks::spawn("admin client", connection);
    let response = sender.send_request(request).await.map_err(broken)?;
    let status = response.status();
    let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await;
    drop(sender);
    connection.abort();
    Ok((status, body.map_err(|_| ClientError::Answer)?.to_bytes()))
}

/// TLS that trusts those in the file, or else those that the system trusts.
fn trusting(authority: Option<&Path>) -> Result<ClientConfig, ClientError> {
    let mut roots = RootCertStore::empty();
    match authority {
        Some(path) => {
            let unreadable = |source| ClientError::Authority { path: path.to_owned(), source };
            let pem = std::fs::read(path).map_err(|error| unreadable(pem::Error::Io(error)))?;
            for certificate in CertificateDer::pem_slice_iter(&pem) {
                roots.add(certificate.map_err(unreadable)?)?;
            }
            if roots.is_empty() {
                return Err(ClientError::NoAuthority(path.to_owned()));
            }
        }
        None => {
            // One that cannot be read vouches for nobody; the others still do.
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            if roots.is_empty() {
                return Err(ClientError::NoAuthorities);
            }
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}
