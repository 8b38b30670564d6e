//! One connection to a server: TLS or not, one request after the other, every answer bounded.
//!
//! What goes wrong comes back in words for the operator's log. Time is bounded by whoever asks.

use std::sync::Arc;

use rustls::ClientConfig;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::{DigitallySignedStruct, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::ber::{self, Length};
use super::message::{self, Outcome, Password, Said, Search, code};
use crate::config::{LdapSecurity, LdapServer};
use crate::http::trust;

/// Most bytes of one answer.
const MESSAGE_BYTES_MAX: usize = 64 * 1024;
/// Most bytes that are read from one connection.
const READ_BYTES_MAX: usize = 4 * 1024 * 1024;

pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// A connection.
pub(super) struct Connection<S = Box<dyn Stream>> {
    stream: S,
    last_id: u32,
    bytes_left: usize,
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// Names of entries.
    pub(super) entries: Vec<String>,
    /// Whether there are more than were asked for.
    pub(super) more: bool,
    /// Whether there is no such base, as far as the server tells this account.
    pub(super) no_base: bool,
}

/// How TLS is spoken to the server.
pub(super) fn tls(server: &LdapServer) -> Result<Arc<ClientConfig>, rustls::Error> {
    if server.verified {
        return trust::of_machine().map(Arc::new);
    }
    let anybody = Arc::new(Anybody(aws_lc_rs::default_provider().into()));
    let tls = trust::builder()?.dangerous().with_custom_certificate_verifier(anybody);
    Ok(Arc::new(tls.with_no_client_auth()))
}

impl Connection {
    pub(super) async fn open(server: &LdapServer, tls: &Arc<ClientConfig>) -> Result<Self, String> {
        let plain = TcpStream::connect((server.host.as_str(), server.port)).await;
        let plain = plain.map_err(|error| format!("no connection: {error}"))?;
        drop(plain.set_nodelay(true));
        match server.security {
            LdapSecurity::Plain => Ok(boxed(plain)),
            LdapSecurity::Tls => Ok(boxed(handshake(plain, server, tls).await?)),
            LdapSecurity::StartTls => {
                let mut unprotected = Connection::over(plain);
                let request = message::start_tls(unprotected.next_id());
                match unprotected.ask(&request).await? {
                    Said::ExtendedDone(outcome) if outcome.code == code::SUCCESS => {}
                    Said::ExtendedDone(outcome) => return Err(format!("StartTLS: {}", shown(&outcome))),
                    _ => return Err("StartTLS: an answer to something else".to_owned()),
                }
                // Every answer was read to its end and not a byte further: what came behind it unprotected is taken
                // for a part of the handshake, which it breaks.
                Ok(boxed(handshake(unprotected.stream, server, tls).await?))
            }
        }
    }
}

fn boxed(stream: impl Stream + 'static) -> Connection {
    Connection::over(Box::new(stream))
}

impl<S: Stream> Connection<S> {
    fn over(stream: S) -> Self {
        Self {
            stream,
            last_id: 0,
            bytes_left: READ_BYTES_MAX,
        }
    }

    fn next_id(&mut self) -> u32 {
        self.last_id = self.last_id.wrapping_add(1) & 0x7fff_ffff;
        self.last_id
    }

    /// Presents a name with a password; how the server took it.
    pub(super) async fn bind(&mut self, dn: &str, password: &Password) -> Result<Outcome, String> {
        let request = message::bind(self.next_id(), dn, password);
        match self.ask(&request).await? {
            Said::Bound(outcome) => Ok(outcome),
            _ => Err("bind: an answer to something else".to_owned()),
        }
    }

    /// The names of what fits. A base that is not there holds nothing; what that means is for whoever asks to say.
    pub(super) async fn search(&mut self, asked: &Search<'_>) -> Result<Found, String> {
        let request = message::search(self.next_id(), asked);
        self.send(&request).await?;
        let mut found = Found {
            entries: Vec::new(),
            more: false,
            no_base: false,
        };
        loop {
            match self.said().await? {
                Said::Entry(name) => {
                    match found.entries.len() < usize::try_from(asked.entries_max).unwrap_or(usize::MAX) {
                        true => found.entries.push(name),
                        false => found.more = true,
                    }
                }
                Said::Reference => {}
                Said::Done(outcome) => match outcome.code {
                    code::SUCCESS => return Ok(found),
                    code::NO_SUCH_OBJECT => {
                        found.no_base = true;
                        return Ok(found);
                    }
                    code::SIZE_LIMIT_EXCEEDED => {
                        found.more = true;
                        return Ok(found);
                    }
                    _ => return Err(format!("search below '{}': {}", asked.base, shown(&outcome))),
                },
                Said::Bound(_) | Said::ExtendedDone(_) => return Err("search: an answer to something else".to_owned()),
            }
        }
    }

    /// Says good-bye, as far as anybody listens.
    pub(super) async fn close(mut self) {
        let request = message::unbind(self.next_id());
        drop(self.send(&request).await);
        drop(self.stream.shutdown().await);
    }

    async fn ask(&mut self, request: &[u8]) -> Result<Said, String> {
        self.send(request).await?;
        self.said().await
    }

    async fn send(&mut self, request: &[u8]) -> Result<(), String> {
        let cut_off = |error: std::io::Error| format!("the connection broke: {error}");
        self.stream.write_all(request).await.map_err(cut_off)?;
        self.stream.flush().await.map_err(cut_off)
    }

    /// The next answer to the request that was made last.
    async fn said(&mut self) -> Result<Said, String> {
        let mut head = [0; 2];
        self.fill(&mut head).await?;
        let [tag, first] = head;
        let length = match Length::of(first).filter(|_| tag == ber::SEQUENCE) {
            None => return Err("it does not speak LDAP".to_owned()),
            Some(Length::Is(length)) => length,
            Some(Length::Follows(bytes)) => {
                let mut length = vec![0; bytes];
                self.fill(&mut length).await?;
                ber::unsigned(&length)
                    .and_then(|length| usize::try_from(length).ok())
                    .unwrap_or(usize::MAX)
            }
        };
        self.bytes_left = match self.bytes_left.checked_sub(length) {
            Some(left) if length <= MESSAGE_BYTES_MAX => left,
            Some(_) | None => return Err("its answers are too long".to_owned()),
        };
        let mut content = vec![0; length];
        self.fill(&mut content).await?;
        match message::read(&content) {
            Some((id, said)) if id == self.last_id => Ok(said),
            // 0 is the server's own word that it ends the connection.
            Some((0, Said::ExtendedDone(outcome))) => Err(format!("it ended the connection: {}", shown(&outcome))),
            Some(_) => Err("an answer to something else".to_owned()),
            None => Err("an answer that cannot be read".to_owned()),
        }
    }

    async fn fill(&mut self, bytes: &mut [u8]) -> Result<(), String> {
        let read = self.stream.read_exact(bytes).await;
        read.map(drop).map_err(|error| format!("the connection broke: {error}"))
    }
}

/// How the server took something, in its words.
pub(super) fn shown(outcome: &Outcome) -> String {
    format!("it answered {} {:?}", outcome.code, outcome.words)
}

async fn handshake(
    stream: TcpStream,
    server: &LdapServer,
    tls: &Arc<ClientConfig>,
) -> Result<tokio_rustls::client::TlsStream<TcpStream>, String> {
    let name = ServerName::try_from(server.host.clone()).map_err(|_| "its name can be in no certificate".to_owned())?;
    let secured = TlsConnector::from(Arc::clone(tls)).connect(name, stream).await;
    secured.map_err(|error| format!("no TLS: {error}"))
}

/// Believes everybody, because the operator said so.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(
            message,
            certificate,
            signature,
            &self.0.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(
            message,
            certificate,
            signature,
            &self.0.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
