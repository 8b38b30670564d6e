//! `mc ready`: asks a server's health until it is ready, as a container's health check does.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::Empty;
use hyper_util::rt::TokioIo;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs::default_provider};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use super::args::ReadyArgs;
use crate::config::client::ServerHost;

const PAUSE: Duration = Duration::from_secs(5);
const PATIENCE: Duration = Duration::from_secs(10);

/// Asks until the server is ready; whoever has less patience ends the process, as container engines do.
pub fn run(host: &ServerHost, args: &ReadyArgs) -> ExitCode {
    if host.tls && !args.insecure && !is_loopback(&host.host) {
        eprintln!(
            "mc: checking the certificate of another machine is not built yet; use --insecure (no secret is sent)"
        );
        return ExitCode::FAILURE;
    }
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("mc: {error}");
            return ExitCode::FAILURE;
        }
    };
    runtime.block_on(async {
        loop {
            let answer = tokio::time::timeout(PATIENCE, ask(host, path(args))).await;
            let problem = match answer {
                Ok(Ok(StatusCode::OK)) => {
                    report(args, true, "The cluster is ready");
                    return ExitCode::SUCCESS;
                }
                Ok(Ok(StatusCode::PRECONDITION_FAILED)) => {
                    report(args, false, "The cluster would lose service without this server");
                    return ExitCode::FAILURE;
                }
                Ok(Ok(status)) => format!("The cluster is not ready: {status}"),
                Ok(Err(error)) => format!("The cluster is unreachable: {error}"),
                Err(_) => "The cluster is unreachable: no answer in time".to_owned(),
            };
            report(args, false, &problem);
            tokio::time::sleep(PAUSE).await;
        }
    })
}

fn report(args: &ReadyArgs, healthy: bool, text: &str) {
    if args.json {
        println!("{}", serde_json::json!({ "healthy": healthy, "message": text }));
    } else if !args.quiet {
        println!("{text}");
    }
}

fn path(args: &ReadyArgs) -> &'static str {
    match (args.cluster_read, args.maintenance) {
        (false, false) => "/minio/health/cluster",
        (false, true) => "/minio/health/cluster?maintenance=true",
        (true, false) => "/minio/health/cluster/read",
        (true, true) => "/minio/health/cluster/read?maintenance=true",
    }
}

fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost") || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

async fn ask(host: &ServerHost, path: &str) -> Result<StatusCode, Box<dyn std::error::Error + Send + Sync>> {
    let stream = connect(host).await?;
    if !host.tls {
        return get(stream, host, path).await;
    }
    let provider = Arc::new(default_provider());
    let config = rustls::ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyCertificate(provider)))
        .with_no_client_auth();
    let name = ServerName::try_from(host.host.clone())?;
    let stream = tokio_rustls::TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await?;
    get(stream, host, path).await
}

/// This machine has no need to be looked up, and a small image may have nothing to look it up with.
async fn connect(host: &ServerHost) -> io::Result<TcpStream> {
    if host.host.eq_ignore_ascii_case("localhost") {
        let here = [
            SocketAddr::from((Ipv4Addr::LOCALHOST, host.port)),
            SocketAddr::from((Ipv6Addr::LOCALHOST, host.port)),
        ];
        return TcpStream::connect(&here[..]).await;
    }
    TcpStream::connect((host.host.as_str(), host.port)).await
}

async fn get<S>(
    stream: S,
    host: &ServerHost,
    path: &str,
) -> Result<StatusCode, Box<dyn std::error::Error + Send + Sync>>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let driver = tokio::spawn(connection);
    let name = if host.host.contains(':') {
        format!("[{}]", host.host)
    } else {
        host.host.clone()
    };
    let request = Request::get(path)
        .header(header::HOST, format!("{name}:{}", host.port))
        .header(header::USER_AGENT, concat!("drystone-mc/", env!("CARGO_PKG_VERSION")))
        .body(Empty::<Bytes>::new())?;
    let status = sender.send_request(request).await.map_err(io::Error::other)?.status();
    driver.abort();
    Ok(status)
}

/// Accepts any certificate: the question carries no secret, and the server asked is this machine's own.
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
