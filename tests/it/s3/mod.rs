//! The S3 front over a store in memory: requests as clients send them, after authentication.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod acl;
mod buckets;
mod checksums;
mod conditions;
mod configuration;
mod copies;
mod cors;
pub(crate) mod faults;
mod forms;
mod keys;
mod links;
mod listen;
mod listings;
mod matrix;
mod multipart;
mod not_built;
mod objects;
mod policy;
mod quota;
mod refusals;
mod settings;
mod tagging;
mod visibility;

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use drystone::auth::Identity;
use drystone::s3::{S3Config, S3Service, service};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request};
use http_body_util::{BodyExt, Full};
use storage_engine::backend::Backend;
use storage_engine::memory::MemoryBackend;
use storage_engine::store::clock::SystemClock;
use storage_engine::store::{Epoch, Store};

/// A server with nothing in it but what a test puts there.
pub(crate) struct Server {
    service: S3Service,
}

impl Server {
    pub(crate) fn new() -> Self {
        Self::configured(&[], None)
    }

    pub(crate) fn configured(domains: &[&str], region: Option<&str>) -> Self {
        Self::made(Arc::new(MemoryBackend::new()), domains, region)
    }

    pub(crate) fn over(backend: Arc<dyn Backend>) -> Self {
        Self::made(backend, &[], None)
    }

    fn made(backend: Arc<dyn Backend>, domains: &[&str], region: Option<&str>) -> Self {
        let store = Store::new(backend, Arc::new(SystemClock), Epoch([7; 16]));
        let config = S3Config {
            domains: domains.iter().map(ToString::to_string).collect(),
            region: region.map(str::to_owned),
            host_id: "host".to_owned(),
            events: Default::default(),
        };
        Self {
            service: service(store, Arc::new(BTreeMap::new()), config),
        }
    }

    /// With the bucket `bucket` in it.
    pub(crate) async fn with_bucket() -> Self {
        let server = Self::new();
        server.put("/bucket").send().await.is(200);
        server
    }

    pub(crate) fn ask(&self, method: &str, path: &str) -> Ask<'_> {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        Ask {
            server: self,
            method,
            path: path.to_owned(),
            headers: HeaderMap::new(),
            body: Bytes::new(),
            identity: Some(Identity::Root),
            sized: true,
        }
    }

    pub(crate) fn get(&self, path: &str) -> Ask<'_> {
        self.ask("GET", path)
    }

    pub(crate) fn head(&self, path: &str) -> Ask<'_> {
        self.ask("HEAD", path)
    }

    pub(crate) fn put(&self, path: &str) -> Ask<'_> {
        self.ask("PUT", path)
    }

    pub(crate) fn post(&self, path: &str) -> Ask<'_> {
        self.ask("POST", path)
    }

    pub(crate) fn delete(&self, path: &str) -> Ask<'_> {
        self.ask("DELETE", path)
    }

    pub(crate) async fn store(&self, path: &str, body: impl Into<Bytes>) -> Answer {
        self.put(path).body(body).send().await.is(200)
    }
}

/// One request on its way.
pub(crate) struct Ask<'s> {
    server: &'s Server,
    method: Method,
    path: String,
    headers: HeaderMap,
    body: Bytes,
    identity: Option<Identity>,
    sized: bool,
}

impl Ask<'_> {
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
        self.headers.append(HeaderName::try_from(name).unwrap(), value);
        self
    }

    pub(crate) fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    pub(crate) fn without_length(mut self) -> Self {
        self.sized = false;
        self
    }

    pub(crate) fn anonymous(mut self) -> Self {
        self.identity = None;
        self
    }

    pub(crate) fn by(mut self, identity: Identity) -> Self {
        self.identity = Some(identity);
        self
    }

    fn request(self) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::new(self.body.clone()));
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.path.parse().unwrap();
        *request.headers_mut() = self.headers;
        let headers = request.headers_mut();
        if !headers.contains_key("host") {
            headers.insert("host", HeaderValue::from_static("localhost:9000"));
        }
        let bodied = self.method == Method::PUT || self.method == Method::POST;
        if self.sized && bodied && !headers.contains_key("content-length") && !headers.contains_key("transfer-encoding")
        {
            headers.insert("content-length", HeaderValue::from(self.body.len()));
        }
        if let Some(identity) = self.identity {
            request.extensions_mut().insert(identity);
        }
        request
    }

    pub(crate) async fn send(self) -> Answer {
        let (about, server) = (format!("{} {}", self.method, self.path), self.server);
        let response = server.service.handle(self.request()).await;
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Answer {
            about,
            status: parts.status.as_u16(),
            headers: parts.headers,
            body,
        }
    }
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    about: String,
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn is(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}: {}", self.about, self.text());
        self
    }

    /// An error with this status and code, in the body or, for HEAD, in a header.
    pub(crate) fn fails(self, status: u16, code: &str) -> Self {
        let answer = self.is(status);
        let told = answer
            .element("Code")
            .or_else(|| answer.header("x-minio-error-code").map(str::to_owned));
        assert_eq!(told.as_deref(), Some(code), "{}: {}", answer.about, answer.text());
        answer
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .get(name)
            .map(|value| std::str::from_utf8(value.as_bytes()).unwrap())
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The text of the first element of this name.
    pub(crate) fn element(&self, name: &str) -> Option<String> {
        self.elements(name).into_iter().next()
    }

    pub(crate) fn elements(&self, name: &str) -> Vec<String> {
        let text = self.text();
        let (open, close) = (format!("<{name}>"), format!("</{name}>"));
        text.split(&open)
            .skip(1)
            .map(|rest| rest.split(&close).next().unwrap().to_owned())
            .collect()
    }
}
