//! A server of somebody else's, whom this one calls: it says what the test wants, over TLS if need be; and which certificates
//! are believed.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use http::header::LOCATION;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

use super::images::send;
use super::projects::{ROOT, ask};
use super::stack::start;

/// How it answers, once it has all that was sent.
#[derive(Clone, Debug)]
pub(super) enum Mood {
    Says(u16, &'static str),
    RedirectsTo(String),
    /// Not at all, until its mood changes.
    Silent,
}

/// What was sent to it.
#[derive(Clone, Debug)]
pub(super) struct Came {
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Came {
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

/// A running one; it ends with its value.
pub(super) struct Receiver {
    pub(super) address: SocketAddr,
    mood: watch::Sender<Mood>,
    came: Arc<Mutex<Vec<Came>>>,
    listening: tokio::task::JoinHandle<()>,
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

impl Receiver {
    pub(super) async fn new(mood: Mood) -> Self {
        Self::over(mood, None).await
    }

    pub(super) async fn over(mood: Mood, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (mood, moods) = watch::channel(mood);
        let came: Arc<Mutex<Vec<Came>>> = Arc::default();
        let noted = Arc::clone(&came);
        let listening = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (moods, noted, tls) = (moods.clone(), Arc::clone(&noted), tls.clone());
                tokio::spawn(async move {
                    let serving = service_fn(move |request| answer(request, moods.clone(), Arc::clone(&noted)));
                    let server = http1::Builder::new();
                    // Whoever called may be gone, or may not believe the certificate.
                    let _ = match tls {
                        None => server.serve_connection(TokioIo::new(stream), serving).await,
                        Some(tls) => match tls.accept(stream).await {
                            Ok(stream) => server.serve_connection(TokioIo::new(stream), serving).await,
                            Err(_) => return,
                        },
                    };
                });
            }
        });
        Self {
            address,
            mood,
            came,
            listening,
        }
    }

    pub(super) fn becomes(&self, mood: Mood) {
        self.mood.send_replace(mood);
    }

    pub(super) fn came(&self) -> Vec<Came> {
        self.came.lock().clone()
    }
}

async fn answer(
    request: Request<Incoming>,
    mut moods: watch::Receiver<Mood>,
    came: Arc<Mutex<Vec<Came>>>,
) -> Result<Response<Full<Bytes>>, hyper::Error> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    came.lock().push(Came {
        headers: parts.headers,
        body,
    });
    let mood = moods.wait_for(|mood| !matches!(mood, Mood::Silent)).await;
    let mood = mood.map(|mood| mood.clone()).unwrap_or(Mood::Says(503, ""));
    let builder = Response::builder();
    let answer = match mood {
        Mood::Says(status, body) => builder.status(status).body(Full::from(body)),
        Mood::RedirectsTo(url) => builder.status(307).header(LOCATION, url).body(Full::default()),
        Mood::Silent => unreachable!("it waited for another mood"),
    };
    Ok(answer.unwrap())
}

/// An authority of an operator's own.
pub(super) struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub(super) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// What a server with this name shows.
    pub(super) fn vouches_for(&self, name: &str) -> TlsAcceptor {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let shown = params.signed_by(&key, &self.0).unwrap();
        let chain: Vec<CertificateDer<'static>> = vec![shown.der().clone()];
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap();
        TlsAcceptor::from(Arc::new(config))
    }

    /// Has servers believe it that have their certificates in `folder`.
    pub(super) fn is_trusted_in(&self, folder: &Path) {
        std::fs::create_dir_all(folder.join("CAs")).unwrap();
        std::fs::write(folder.join("CAs/own.crt"), self.0.pem()).unwrap();
    }
}

/// The headers of an app's server.
async fn app(address: SocketAddr) -> String {
    let shop = json!({ "project": "shop", "environments": ["prod"] });
    assert_eq!(ask(address, ROOT, "POST", "", &shop).await.0, 200);
    let key = json!({ "project": "shop", "environment": "prod", "type": "secret" });
    let (_, made) = ask(address, ROOT, "POST", "/keys", &key).await;
    let key = made["key"].as_str().unwrap();
    format!("X-API-Key: {key}\r\nContent-Type: application/json\r\n")
}

async fn post(address: SocketAddr, who: &str, path: &str, fields: Value) -> (u16, Value) {
    let told = send(
        address,
        "POST",
        &format!("/v1/files/{path}"),
        who,
        fields.to_string().as_bytes(),
    )
    .await;
    (told.status, serde_json::from_slice(&told.body).unwrap_or_default())
}

/// What comes of telling a receiver at `url`.
async fn told(address: SocketAddr, who: &str, url: &str) -> Value {
    let (code, hook) = post(address, who, "webhooks", json!({ "url": url })).await;
    assert_eq!(code, 201, "{hook}");
    let path = format!("webhooks/{}/test", hook["id"].as_str().unwrap());
    let (code, delivery) = post(address, who, &path, json!({})).await;
    assert_eq!(code, 200, "{delivery}");
    delivery
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn servers_whom_an_operators_own_authority_vouches_for_are_called_under_their_names_alone() {
    let own = Authority::new();
    let fine = Receiver::over(Mood::Says(200, ""), Some(own.vouches_for("localhost"))).await;
    let other = Receiver::over(Mood::Says(200, ""), Some(own.vouches_for("elsewhere.test"))).await;
    let url = |receiver: &Receiver| format!("https://localhost:{}/", receiver.address.port());
    for is_trusted in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        if is_trusted {
            own.is_trusted_in(folder.path());
            // What is no certificate is passed over.
            std::fs::write(folder.path().join("CAs/0 notes.txt"), "ask Ann").unwrap();
        }
        let certs = folder.path().to_str().unwrap();
        let loopback = ("DRYSTONE_OUTBOUND_NETWORKS", "127.0.0.0/8,::1/128");
        let server = start(&[("DRYSTONE_CERTS_DIR", certs), loopback]).await;
        let address = server.addresses()[0];
        let who = app(address).await;
        let refused = |delivery: &Value| {
            assert_eq!(delivery["status"], json!("dead"), "{delivery}");
            let error = delivery["error"].as_str().unwrap();
            assert!(error.contains("certificate"), "{error}");
        };
        let delivery = told(address, &who, &url(&fine)).await;
        if is_trusted {
            assert_eq!(
                (&delivery["status"], &delivery["httpStatus"]),
                (&json!("delivered"), &json!(200))
            );
            assert_eq!(fine.came().len(), 1);
        } else {
            refused(&delivery);
            assert!(fine.came().is_empty());
        }
        refused(&told(address, &who, &url(&other)).await);
        assert!(other.came().is_empty());
        server.stop().await.unwrap();

        // Believing somebody lets nobody call where the operator does not let them.
        let server = start(&[("DRYSTONE_CERTS_DIR", certs)]).await;
        let address = server.addresses()[0];
        let who = app(address).await;
        let delivery = told(address, &who, &url(&fine)).await;
        let error = delivery["error"].as_str().unwrap();
        assert!(error.contains("does not call"), "{error}");
        server.stop().await.unwrap();
    }
    assert_eq!(fine.came().len(), 1);
}
