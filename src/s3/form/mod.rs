//! POST Object: an upload by an HTML form, taken as the PUT it stands for.
//!
//! Owns the way of a form: its fields are read with a limit, its credential verified, its policy judged, and its file
//! streamed as the body of a PUT that passes every gate any PUT passes. The address says the bucket, whatever a field
//! says. It never holds the file.

mod fields;
mod file;
mod policy;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST, LOCATION, REFERER, TRANSFER_ENCODING, USER_AGENT};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, StreamBody};
use multer::Multipart;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use s3s::Body;
use storage_engine::store::name::BucketName;
use time::OffsetDateTime;

use super::error::{Code, Failure};
use super::target::{Domains, Target};
use super::xml;
use crate::auth::{AuthError, FormDoor, Payload};
use crate::http::body::BoxError;
use fields::Fields;
use file::{Limited, Verdict, Window};
use policy::PostPolicy;

const PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'_');

/// A form on its way: the PUT it stands for, and what is left to say when that is answered.
pub(super) struct Upload {
    /// With the file as its body.
    pub(super) put: Request<UploadBody>,
    form: Multipart<'static>,
    window: Window,
    verdict: Verdict,
    answer: Answer,
}

pub(super) type UploadBody = http_body_util::combinators::UnsyncBoxBody<Bytes, std::io::Error>;

struct Answer {
    bucket: String,
    key: String,
    /// Where the object is, as this client reached the server.
    location: String,
    redirect: Option<String>,
    status: StatusCode,
}

/// Reads a form up to its file and judges it.
pub(super) async fn receive<B>(
    mut parts: Parts,
    body: B,
    door: &FormDoor,
    (bucket, domains): (&str, &Domains),
) -> Result<Upload, Failure>
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    BucketName::parse(bucket)?;
    let virtual_host = parts.uri.path() == "/";
    let kind = parts.headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let boundary = kind.and_then(|kind| multer::parse_boundary(kind).ok());
    let boundary = boundary.ok_or(Code::MALFORMED_POST)?;
    let window = Window::default();
    let mut form = Multipart::new(window.over(body), boundary);
    let (mut fields, file) = Fields::read(&mut form).await?;
    let key = fields.settle_key(file.file_name())?;
    if fields.get("bucket").is_some_and(|named| named != bucket) {
        return Err(Failure::argument(
            "The field 'bucket' names another bucket than the address of the form.",
        ));
    }
    if fields.get("awsaccesskeyid").is_some() || fields.get("signature").is_some() {
        return Err(refused(&AuthError::SignatureVersion2));
    }
    let sender = door.identify(&fields.claim()).map_err(|error| refused(&error))?;
    let mut length = None;
    if let Some(text) = fields.get("policy") {
        let policy = PostPolicy::parse(text)?;
        policy.judge(&fields, bucket, OffsetDateTime::now_utc())?;
        length = policy.length;
    }
    let path = utf8_percent_encode(&key, PATH);
    let path = if virtual_host {
        format!("/{path}")
    } else {
        format!("/{}/{path}", utf8_percent_encode(bucket, PATH))
    };
    let host = parts.headers.get(HOST).and_then(|host| host.to_str().ok());
    let location = match host {
        Some(host) => format!("http://{host}{path}"),
        None => path.clone(),
    };
    let meant = Target::Object {
        bucket: bucket.to_owned(),
        key: key.clone(),
    };
    let answer = Answer {
        bucket: bucket.to_owned(),
        key,
        location,
        redirect: redirect(&fields).map(str::to_owned),
        status: status(&fields),
    };
    window.open();
    let verdict = Verdict::default();
    let body = StreamBody::new(Limited::new(file, length, verdict.clone()));
    become_put(&mut parts, fields.headers()?, path)?;
    // What was judged by the policy of the form is what is written, or nothing is.
    if parts.uri.query().is_some() || domains.target(&parts.uri, &parts.headers) != Some(meant) {
        return Err(Code::INVALID_URI.into());
    }
    parts.extensions.insert(sender.identity);
    if let Some(signing) = sender.signing {
        parts.extensions.insert(signing);
    }
    if let Some(terms) = sender.terms {
        parts.extensions.insert(terms);
    }
    Ok(Upload {
        put: Request::from_parts(parts, body.boxed_unsync()),
        form,
        window,
        verdict,
        answer,
    })
}

/// Marks a PUT that came as a form.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OfForm;

/// Makes the head of a form that of the PUT it stands for.
fn become_put(parts: &mut Parts, mut headers: HeaderMap, path: String) -> Result<(), Failure> {
    for name in [HOST, USER_AGENT, REFERER] {
        if let Some(value) = parts.headers.get(&name) {
            headers.insert(name, value.clone());
        }
    }
    headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    parts.headers = headers;
    parts.method = Method::PUT;
    parts.uri = Uri::try_from(path).map_err(|_| Code::INVALID_URI)?;
    parts.extensions.remove::<FormDoor>();
    parts.extensions.insert(OfForm);
    // Of the form, not of the file.
    parts.extensions.remove::<Payload>();
    Ok(())
}

impl Upload {
    /// The PUT, and what becomes of its answer.
    pub(super) fn split(self) -> (Request<UploadBody>, Rest) {
        let rest = Rest {
            form: self.form,
            window: self.window,
            verdict: self.verdict,
            answer: self.answer,
        };
        (self.put, rest)
    }
}

/// What is left of a form when its PUT is on its way.
pub(super) struct Rest {
    form: Multipart<'static>,
    window: Window,
    verdict: Verdict,
    answer: Answer,
}

impl Rest {
    /// The answer to the form, from the answer to its PUT.
    pub(super) async fn answer(mut self, put: Response<Body>) -> Response<Body> {
        if let Some(code) = self.verdict.take() {
            return Failure::new(code).into_response();
        }
        if !put.status().is_success() {
            return put;
        }
        // What follows the file means nothing, but a client that is still sending would miss the answer.
        self.window.close();
        while let Ok(Some(_)) = self.form.next_field().await {}
        let (mut head, _) = put.into_parts();
        let etag = head.headers.get(http::header::ETAG).and_then(|etag| etag.to_str().ok());
        let etag = etag.unwrap_or_default().to_owned();
        let answer = self.answer;
        head.headers.remove(http::header::CONTENT_LENGTH);
        let redirected = answer.redirect.as_ref().and_then(|to| answer.redirected(to, &etag));
        if let Some(to) = redirected {
            head.status = StatusCode::SEE_OTHER;
            head.headers.insert(LOCATION, to);
            return Response::from_parts(head, Body::empty());
        }
        if let Ok(location) = HeaderValue::try_from(&answer.location) {
            head.headers.insert(LOCATION, location);
        }
        head.status = answer.status;
        let body = if answer.status == StatusCode::CREATED {
            let kind = HeaderValue::from_static("application/xml");
            head.headers.insert(CONTENT_TYPE, kind);
            Body::from(answer.document(&etag))
        } else {
            Body::empty()
        };
        Response::from_parts(head, body)
    }
}

impl Answer {
    fn redirected(&self, to: &str, etag: &str) -> Option<HeaderValue> {
        let encode = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let joint = if to.contains('?') { '&' } else { '?' };
        let (bucket, key, etag) = (encode(&self.bucket), encode(&self.key), encode(etag));
        HeaderValue::try_from(format!("{to}{joint}bucket={bucket}&key={key}&etag={etag}")).ok()
    }

    fn document(&self, etag: &str) -> String {
        let element = |name: &str, value: &str| format!("<{name}>{}</{name}>", xml::text(value));
        [
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<PostResponse>".to_owned(),
            element("Location", &self.location),
            element("Bucket", &self.bucket),
            element("Key", &self.key),
            element("ETag", etag),
            "</PostResponse>".to_owned(),
        ]
        .concat()
    }
}

/// Where the browser is sent after success, if that is an address of the web.
fn redirect(fields: &Fields) -> Option<&str> {
    let asked = fields
        .get("success_action_redirect")
        .or_else(|| fields.get("redirect"))?;
    let uri: Uri = asked.parse().ok()?;
    let web = matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some();
    web.then_some(asked)
}

fn status(fields: &Fields) -> StatusCode {
    match fields.get("success_action_status") {
        Some("200") => StatusCode::OK,
        Some("201") => StatusCode::CREATED,
        Some(_) | None => StatusCode::NO_CONTENT,
    }
}

/// A credential that was refused, in S3's words.
fn refused(error: &AuthError) -> Failure {
    let code = Code {
        name: error.code(),
        status: error.status().as_u16(),
        message: "",
    };
    Failure::because(code, error.to_string())
}
