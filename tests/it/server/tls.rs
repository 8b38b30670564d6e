//! TLS by files: both protocols by ALPN, a new certificate without a restart, and no fall back to plain text.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use drystone::server::{Conditions, Server};
use rustls::RootCertStore;
use rustls_pki_types::{CertificateDer, ServerName};
use storage_engine::backend::ServiceState;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::lifecycle::opens;
use super::support::{HealthOnly, config};

pub(super) fn write_pair(folder: &Path) -> CertificateDer<'static> {
    let made = rcgen::generate_simple_self_signed(vec!["store.test".to_owned()]).unwrap();
    std::fs::write(folder.join("private.key"), made.signing_key.serialize_pem()).unwrap();
    std::fs::write(folder.join("public.crt"), made.cert.pem()).unwrap();
    made.cert.der().clone()
}

pub(super) async fn connect(
    address: SocketAddr,
    trusted: &CertificateDer<'static>,
    protocol: &[u8],
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![protocol.to_vec()];
    let stream = TcpStream::connect(address).await?;
    TlsConnector::from(Arc::new(config))
        .connect(ServerName::try_from("store.test").unwrap(), stream)
        .await
}

/// Sends raw bytes and reads until the other side closes.
pub(super) async fn exchange(stream: &mut TlsStream<TcpStream>, bytes: &str) -> String {
    stream.write_all(bytes.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    drop(stream.read_to_end(&mut answer).await);
    String::from_utf8(answer).unwrap()
}

const LIVE: &str = "GET /minio/health/live HTTP/1.1\r\nHost: store.test\r\nConnection: close\r\n\r\n";

#[tokio::test]
async fn certificates_are_served_and_replaced_while_running() {
    let folder = tempfile::tempdir().unwrap();
    let first = write_pair(folder.path());
    let mut config = config(&[]);
    config.certs_dirs = vec![folder.path().to_owned()];
    config.certs_dir_given = true;
    let (open_engine, _closed) = opens(HealthOnly::new(ServiceState::ReadWrite), Duration::ZERO);
    let certificate_interval = Duration::from_millis(50);
    let server = Server::start(
        config,
        Conditions {
            open_engine,
            certificate_interval,
            ..Conditions::default()
        },
    )
    .await
    .unwrap();
    let address = server.addresses()[0];

    let mut stream = connect(address, &first, b"http/1.1").await.unwrap();
    assert!(exchange(&mut stream, LIVE).await.starts_with("HTTP/1.1 200"));
    let h2 = connect(address, &first, b"h2").await.unwrap();
    assert_eq!(h2.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));

    // A broken pair keeps the old certificate.
    std::fs::write(folder.path().join("private.key"), "broken").unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(connect(address, &first, b"http/1.1").await.is_ok());

    let second = write_pair(folder.path());
    let mut replaced = false;
    for _ in 0..100 {
        tokio::time::sleep(Duration::from_millis(50)).await;
        replaced = connect(address, &second, b"http/1.1").await.is_ok();
        if replaced {
            break;
        }
    }
    assert!(replaced, "the new certificate is not in use");
    assert!(connect(address, &first, b"http/1.1").await.is_err());

    let mut plain = TcpStream::connect(address).await.unwrap();
    plain
        .write_all(b"GET /minio/health/live HTTP/1.1\r\nHost: a\r\n\r\n")
        .await
        .unwrap();
    let mut answer = Vec::new();
    drop(plain.read_to_end(&mut answer).await);
    let answer = String::from_utf8(answer).unwrap();
    assert!(
        answer.starts_with("HTTP/1.1 400 ") && answer.contains("HTTPS only"),
        "{answer}"
    );
    server.stop().await.unwrap();
}
