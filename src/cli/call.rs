//! One HTTP request of a command to a server, over TLS or not, signed or not. It knows no verb.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::rt::TokioIo;
use rustls::RootCertStore;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs::default_provider};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use time::OffsetDateTime;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use crate::auth::sign::{Signer, body_hash};
use crate::auth::{AuthError, PayloadMode};
use crate::config::client::ServerHost;

const ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Which certificates are good enough.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trust {
    /// Any: the server is on this machine, or the operator said so.
    Any,
    /// Those signed by a certificate in this PEM file, or in it themselves.
    File(PathBuf),
    /// Those this machine trusts, and those signed by a certificate in a file of this folder, if there is one.
    Machine { also: PathBuf },
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("{0}")]
    Http(#[from] hyper::Error),
    #[error("{path}: {reason}")]
    Certificates { path: PathBuf, reason: String },
    #[error("TLS: {0}")]
    Tls(#[from] rustls::Error),
    #[error("the request cannot be made: {0}")]
    Request(String),
    #[error("the answer was cut off: {0}")]
    Answer(String),
}

/// One question to a server.
pub struct Call<'a> {
    pub host: &'a ServerHost,
    pub trust: &'a Trust,
    /// `None` asks anonymously.
    pub signer: Option<&'a Signer>,
    pub method: Method,
    /// Path and query.
    pub target: &'a str,
    pub body: Bytes,
    pub user_agent: &'static str,
}

/// Whether a name or address is this machine.
pub fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost") || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

impl Call<'_> {
    /// Asks once, and reads the whole answer.
    pub async fn ask(&self) -> Result<(StatusCode, Bytes), CallError> {
        let stream = connect(self.host).await?;
        if !self.host.tls {
            return self.over(stream).await;
        }
        let config = Arc::new(tls(self.trust)?);
        let name = ServerName::try_from(self.host.host.clone()).map_err(|e| CallError::Request(e.to_string()))?;
        let stream = tokio_rustls::TlsConnector::from(config).connect(name, stream).await?;
        self.over(stream).await
    }

    async fn over<S>(&self, stream: S) -> Result<(StatusCode, Bytes), CallError>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        let driver = tokio::spawn(connection);
        let answered = async {
            let answer = sender.send_request(self.request()?).await?;
            let status = answer.status();
            let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect().await;
            let body = body.map_err(|e| CallError::Answer(e.to_string()))?;
            Ok((status, body.to_bytes()))
        };
        let answered = answered.await;
        driver.abort();
        answered
    }

    fn request(&self) -> Result<Request<Full<Bytes>>, CallError> {
        let unfit = |e: http::Error| CallError::Request(e.to_string());
        let builder = Request::builder().method(self.method.clone()).uri(self.target);
        let builder = builder.header(header::HOST, self.host.authority());
        let (mut parts, ()) = builder.body(()).map_err(unfit)?.into_parts();
        if let Some(signer) = self.signer {
            // MinIO's clients name no region, and the admin API compares none.
            let mode = PayloadMode::SignedBody(body_hash(&self.body));
            let signed = signer.sign(&mut parts, &mode, OffsetDateTime::now_utc());
            signed.map_err(|e: AuthError| CallError::Request(e.to_string()))?;
        }
        parts
            .headers
            .insert(header::USER_AGENT, HeaderValue::from_static(self.user_agent));
        Ok(Request::from_parts(parts, Full::new(self.body.clone())))
    }
}

pub(in crate::cli) fn tls(trust: &Trust) -> Result<rustls::ClientConfig, CallError> {
    let provider = Arc::new(default_provider());
    let builder =
        rustls::ClientConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions()?;
    Ok(match trust {
        Trust::Any => builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(AnyCertificate(provider)))
            .with_no_client_auth(),
        Trust::File(path) => {
            let mut roots = RootCertStore::empty();
            add_file(&mut roots, path)?;
            if roots.is_empty() {
                let (path, reason) = (path.clone(), "it holds no certificate".to_owned());
                return Err(CallError::Certificates { path, reason });
            }
            builder.with_root_certificates(roots).with_no_client_auth()
        }
        Trust::Machine { also } => {
            let mut roots = RootCertStore::empty();
            // A machine without certificates of its own trusts nobody; the handshake says so.
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            for file in std::fs::read_dir(also).into_iter().flatten().flatten() {
                if file.path().is_file() {
                    add_file(&mut roots, &file.path())?;
                }
            }
            builder.with_root_certificates(roots).with_no_client_auth()
        }
    })
}

fn add_file(roots: &mut RootCertStore, path: &Path) -> Result<(), CallError> {
    let unusable = |reason: String| CallError::Certificates {
        path: path.to_path_buf(),
        reason,
    };
    let found = CertificateDer::pem_file_iter(path).map_err(|e| unusable(e.to_string()))?;
    for certificate in found {
        let certificate = certificate.map_err(|e| unusable(e.to_string()))?;
        roots.add(certificate).map_err(|e| unusable(e.to_string()))?;
    }
    Ok(())
}

/// This machine has no need to be looked up, and a small image may have nothing to look it up with.
pub(in crate::cli) async fn connect(host: &ServerHost) -> io::Result<TcpStream> {
    if host.host.eq_ignore_ascii_case("localhost") {
        let here = [
            SocketAddr::from((Ipv4Addr::LOCALHOST, host.port)),
            SocketAddr::from((Ipv6Addr::LOCALHOST, host.port)),
        ];
        return TcpStream::connect(&here[..]).await;
    }
    TcpStream::connect((host.host.as_str(), host.port)).await
}

/// Accepts any certificate: a signed request carries no secret either.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &rustls::DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &rustls::DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
