//! What a request about an upload asks for, by its method and headers: tus 1.0, or the IETF's draft. Pure.
//!
//! Owns which protocol a request speaks and what its headers say; whether there is such an upload is found out elsewhere.

use http::{HeaderMap, Method, header};
use storage_engine::store::resumable::append::BodyDigest;

use super::digest;
use super::metadata::{Concat, Unreadable};

/// The version of tus that is spoken.
pub(super) const TUS_VERSION: &str = "1.0.0";
/// The version of the draft that is spoken.
pub(super) const INTEROP_VERSION: &str = "8";
pub(super) const TUS_TYPE: &str = "application/offset+octet-stream";
pub(super) const DRAFT_TYPE: &str = "application/partial-upload";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    Tus,
    Draft,
}

/// Why a request is not one of a protocol that is spoken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wrong {
    /// Another version of tus, or none.
    TusVersion,
    DraftVersion,
    /// A body of another type than the protocol sends.
    Type(&'static str),
    Header(Unreadable),
}

impl From<Unreadable> for Wrong {
    fn from(unreadable: Unreadable) -> Self {
        Self::Header(unreadable)
    }
}

/// The method that counts: tus lets clients that cannot send PATCH or DELETE name it in a header.
pub(super) fn method(sent: &Method, headers: &HeaderMap) -> Result<Method, Wrong> {
    match text(headers, "x-http-method-override")? {
        Some(name) if *sent == Method::POST || *sent == Method::GET => {
            Method::from_bytes(name.as_bytes()).map_err(|_| Unreadable("X-HTTP-Method-Override is no method.").into())
        }
        Some(_) | None => Ok(sent.clone()),
    }
}

/// Which protocol a request speaks that is not OPTIONS.
pub(super) fn protocol(headers: &HeaderMap) -> Result<Protocol, Wrong> {
    match text(headers, "tus-resumable")? {
        Some(TUS_VERSION) => return Ok(Protocol::Tus),
        Some(_) => return Err(Wrong::TusVersion),
        None => {}
    }
    match text(headers, "upload-draft-interop-version")? {
        Some(INTEROP_VERSION) => Ok(Protocol::Draft),
        Some(_) => Err(Wrong::DraftVersion),
        None if headers.contains_key("upload-complete") => Err(Wrong::DraftVersion),
        None => Err(Wrong::TusVersion),
    }
}

/// What a body is sent with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sent {
    /// `None`: not declared, as with chunks.
    pub(super) len: Option<u64>,
    pub(super) digest: Digest,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Digest {
    None,
    Is(BodyDigest),
    /// It comes in a trailer; of which algorithm is known then.
    Trailer,
}

/// A new upload, as tus has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TusCreation {
    pub(super) concat: Option<Concat>,
    /// `None`: it is told later.
    pub(super) length: Option<u64>,
    /// The header as it came.
    pub(super) said: String,
    /// Bytes that come with it.
    pub(super) body: Option<Sent>,
}

/// More bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Appending {
    pub(super) offset: u64,
    /// Bytes that the upload will have.
    pub(super) length: Option<u64>,
    /// The upload has all its bytes with these; never told by tus.
    pub(super) last: bool,
    pub(super) sent: Sent,
}

pub(super) fn tus_creation(headers: &HeaderMap) -> Result<TusCreation, Wrong> {
    let concat = text(headers, "upload-concat")?.map(Concat::read).transpose()?;
    let length = number(headers, "upload-length")?;
    let deferred = match text(headers, "upload-defer-length")? {
        None => false,
        Some("1") => true,
        Some(_) => return Err(Unreadable("Upload-Defer-Length is 1, or is not sent.").into()),
    };
    match (&concat, length, deferred) {
        (Some(Concat::Final(_)), None, false) => {}
        (Some(Concat::Final(_)), _, _) => {
            return Err(Unreadable("No Upload-Length goes with an upload that is made of others.").into());
        }
        (_, Some(_), true) | (_, None, false) => {
            return Err(Unreadable("Either Upload-Length or Upload-Defer-Length: 1 is sent with a new upload.").into());
        }
        (_, _, _) => {}
    }
    let said = text(headers, "upload-metadata")?.unwrap_or_default().to_owned();
    let kind = text(headers, "content-type")?;
    let len = number(headers, "content-length")?;
    let has_body = len.is_some_and(|len| len > 0) || headers.contains_key(header::TRANSFER_ENCODING);
    let body = match (kind, has_body) {
        (Some(TUS_TYPE), _) => Some(sent(headers)?),
        (_, false) => None,
        (_, true) => return Err(Wrong::Type(TUS_TYPE)),
    };
    if body.is_some() && matches!(concat, Some(Concat::Final(_))) {
        return Err(Unreadable("No bytes go with an upload that is made of others.").into());
    }
    Ok(TusCreation {
        concat,
        length,
        said,
        body,
    })
}

pub(super) fn tus_appending(headers: &HeaderMap) -> Result<Appending, Wrong> {
    if text(headers, "content-type")? != Some(TUS_TYPE) {
        return Err(Wrong::Type(TUS_TYPE));
    }
    Ok(Appending {
        offset: number(headers, "upload-offset")?.ok_or(Unreadable("Upload-Offset is not sent."))?,
        length: number(headers, "upload-length")?,
        last: false,
        sent: sent(headers)?,
    })
}

/// A new upload, as the draft has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct DraftCreation {
    pub(super) content_type: Option<String>,
    pub(super) filename: Option<String>,
    pub(super) said: String,
    /// Of the whole.
    pub(super) repr_digest: Option<BodyDigest>,
    pub(super) appending: Appending,
}

pub(super) fn draft_creation(headers: &HeaderMap) -> Result<DraftCreation, Wrong> {
    if headers.contains_key("upload-offset") {
        return Err(Unreadable("No Upload-Offset goes with a new upload.").into());
    }
    let disposition = text(headers, "content-disposition")?;
    Ok(DraftCreation {
        content_type: text(headers, "content-type")?.map(str::to_owned),
        filename: disposition.and_then(filename_in),
        said: text(headers, "upload-metadata")?.unwrap_or_default().to_owned(),
        repr_digest: repr_digest(headers)?,
        appending: draft_bytes(headers, 0)?,
    })
}

pub(super) fn draft_appending(headers: &HeaderMap) -> Result<Appending, Wrong> {
    if text(headers, "content-type")? != Some(DRAFT_TYPE) {
        return Err(Wrong::Type(DRAFT_TYPE));
    }
    let offset = number(headers, "upload-offset")?.ok_or(Unreadable("Upload-Offset is not sent."))?;
    draft_bytes(headers, offset)
}

fn draft_bytes(headers: &HeaderMap, offset: u64) -> Result<Appending, Wrong> {
    let last = match text(headers, "upload-complete")? {
        Some("?1") => true,
        Some("?0") => false,
        Some(_) | None => return Err(Unreadable("Upload-Complete is ?1 or ?0.").into()),
    };
    let len = number(headers, "content-length")?;
    let told = number(headers, "upload-length")?;
    let implied = match (last, len) {
        (true, Some(len)) => Some(
            offset
                .checked_add(len)
                .ok_or(Unreadable("Content-Length is too large."))?,
        ),
        (true, None) | (false, _) => None,
    };
    if let (Some(told), Some(implied)) = (told, implied)
        && told != implied
    {
        return Err(Unreadable("Upload-Length is not where the last bytes end.").into());
    }
    let digest = match text(headers, "content-digest")?
        .map(digest::fields)
        .transpose()?
        .flatten()
    {
        Some(digest) => Digest::Is(digest),
        None => Digest::None,
    };
    Ok(Appending {
        offset,
        length: told.or(implied),
        last,
        sent: Sent { len, digest },
    })
}

/// The digest of the whole, if the request says one that is known.
pub(super) fn repr_digest(headers: &HeaderMap) -> Result<Option<BodyDigest>, Wrong> {
    let digest = text(headers, "repr-digest")?.map(digest::fields).transpose()?.flatten();
    // Another one cannot be told once the upload is finished.
    let sha256 = |digest: &BodyDigest| match digest {
        BodyDigest::Checksum(checksum) => {
            checksum.algorithm() == storage_engine::store::checksum::ChecksumAlgorithm::Sha256
        }
        BodyDigest::Md5(_) => false,
    };
    Ok(digest.filter(sha256))
}

/// A request about an upload that must not bring these.
pub(super) fn draft_look(headers: &HeaderMap) -> Result<(), Wrong> {
    match headers.contains_key("upload-offset") || headers.contains_key("upload-complete") {
        true => Err(Unreadable("Neither Upload-Offset nor Upload-Complete is sent when they are asked for.").into()),
        false => Ok(()),
    }
}

fn sent(headers: &HeaderMap) -> Result<Sent, Wrong> {
    let in_trailer = headers.get_all(header::TRAILER).iter().any(|names| {
        let names = names.to_str().unwrap_or_default();
        names
            .split(',')
            .any(|name| name.trim().eq_ignore_ascii_case("upload-checksum"))
    });
    let digest = match text(headers, "upload-checksum")? {
        Some(text) => Digest::Is(digest::tus(text)?),
        None if in_trailer => Digest::Trailer,
        None => Digest::None,
    };
    Ok(Sent {
        len: number(headers, "content-length")?,
        digest,
    })
}

/// The file's name in `Content-Disposition`, in its plain form.
fn filename_in(disposition: &str) -> Option<String> {
    let mut parameters = disposition.split(';').map(str::trim);
    let value = parameters.find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("filename").then_some(value.trim())
    })?;
    let value = value
        .strip_prefix('"')
        .and_then(|value| value.strip_suffix('"'))
        .unwrap_or(value);
    (!value.is_empty()).then(|| value.to_owned())
}

fn text<'h>(headers: &'h HeaderMap, name: &str) -> Result<Option<&'h str>, Wrong> {
    let value = headers.get(name).map(|value| value.to_str().map(str::trim));
    value
        .transpose()
        .map_err(|_| Unreadable("A header holds what is no text.").into())
}

fn number(headers: &HeaderMap, name: &str) -> Result<Option<u64>, Wrong> {
    let Some(text) = text(headers, name)? else {
        return Ok(None);
    };
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match digits.then(|| text.parse().ok()).flatten() {
        Some(number) => Ok(Some(number)),
        None => Err(Unreadable("Upload-Offset, Upload-Length and Content-Length are whole numbers.").into()),
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(all: &[(&'static str, &str)]) -> HeaderMap {
        let all = all.iter();
        all.map(|(name, value)| {
            (
                http::HeaderName::from_static(name),
                HeaderValue::from_str(value).unwrap(),
            )
        })
        .collect()
    }

    #[test]
    fn each_protocol_is_known_by_its_version_and_no_other_version_is_taken() {
        let said = |all| protocol(&headers(all));
        assert_eq!(said(&[("tus-resumable", "1.0.0")]), Ok(Protocol::Tus));
        assert_eq!(said(&[("tus-resumable", "0.2.2")]), Err(Wrong::TusVersion));
        assert_eq!(said(&[]), Err(Wrong::TusVersion));
        assert_eq!(said(&[("upload-draft-interop-version", "8")]), Ok(Protocol::Draft));
        assert_eq!(said(&[("upload-draft-interop-version", "7")]), Err(Wrong::DraftVersion));
        assert_eq!(said(&[("upload-complete", "?0")]), Err(Wrong::DraftVersion));
    }

    #[test]
    fn a_method_in_a_header_counts() {
        let overridden = headers(&[("x-http-method-override", "PATCH")]);
        assert_eq!(method(&Method::POST, &overridden), Ok(Method::PATCH));
        assert_eq!(method(&Method::DELETE, &overridden), Ok(Method::DELETE));
        assert_eq!(method(&Method::POST, &HeaderMap::new()), Ok(Method::POST));
        assert!(method(&Method::POST, &headers(&[("x-http-method-override", "a b")])).is_err());
    }

    #[test]
    fn a_new_upload_says_its_length_or_that_it_comes_later() {
        let read = |all| tus_creation(&headers(all));
        assert_eq!(read(&[("upload-length", "0")]).unwrap().length, Some(0));
        assert_eq!(read(&[("upload-defer-length", "1")]).unwrap().length, None);
        assert_eq!(
            read(&[("upload-concat", "partial"), ("upload-length", "5")])
                .unwrap()
                .concat,
            Some(Concat::Partial)
        );
        assert!(read(&[("upload-concat", "final;/v1/tus/a")]).is_ok());
        for wrong in [
            &[][..],
            &[("upload-length", "5"), ("upload-defer-length", "1")],
            &[("upload-defer-length", "0")],
            &[("upload-length", "-1")],
            &[("upload-length", "+1")],
            &[("upload-length", "1e3")],
            &[("upload-length", "99999999999999999999")],
            &[("upload-concat", "partial")],
            &[("upload-concat", "final;/v1/tus/a"), ("upload-length", "5")],
            &[("upload-concat", "final;/v1/tus/a"), ("content-type", TUS_TYPE)],
        ] {
            assert!(matches!(read(wrong), Err(Wrong::Header(_))), "{wrong:?}");
        }
        let body = [
            ("upload-length", "5"),
            ("content-length", "5"),
            ("content-type", "text/plain"),
        ];
        assert_eq!(read(&body), Err(Wrong::Type(TUS_TYPE)));
        let with = read(&[
            ("upload-length", "5"),
            ("content-length", "3"),
            ("content-type", TUS_TYPE),
        ])
        .unwrap();
        assert_eq!(with.body.unwrap().len, Some(3));
    }

    #[test]
    fn bytes_come_with_their_type_and_offset() {
        let typed = ("content-type", TUS_TYPE);
        let read = |all: &[(&'static str, &str)]| tus_appending(&headers(all));
        assert_eq!(read(&[typed, ("upload-offset", "7")]).unwrap().offset, 7);
        assert_eq!(read(&[("upload-offset", "7")]), Err(Wrong::Type(TUS_TYPE)));
        assert!(matches!(read(&[typed]), Err(Wrong::Header(_))));
        let trailer = read(&[typed, ("upload-offset", "7"), ("trailer", "x, Upload-Checksum")]).unwrap();
        assert_eq!(trailer.sent.digest, Digest::Trailer);
        assert!(matches!(
            read(&[typed, ("upload-offset", "7"), ("upload-checksum", "sha9 AA")]),
            Err(Wrong::Header(_))
        ));
    }

    #[test]
    fn the_drafts_last_bytes_tell_the_length() {
        let read = |all| draft_creation(&headers(all));
        let whole = read(&[
            ("upload-complete", "?1"),
            ("content-length", "5"),
            ("content-type", "image/png"),
            ("content-disposition", "attachment; filename=\"a.png\""),
        ])
        .unwrap();
        assert_eq!((whole.appending.length, whole.appending.last), (Some(5), true));
        assert_eq!(
            (whole.filename.as_deref(), whole.content_type.as_deref()),
            (Some("a.png"), Some("image/png"))
        );
        let first = read(&[("upload-complete", "?0"), ("content-length", "5")]).unwrap();
        assert_eq!((first.appending.length, first.appending.last), (None, false));
        for wrong in [
            &[("content-length", "5")][..],
            &[("upload-complete", "1")],
            &[
                ("upload-complete", "?1"),
                ("content-length", "5"),
                ("upload-length", "6"),
            ],
            &[("upload-complete", "?0"), ("upload-offset", "0")],
        ] {
            assert!(matches!(read(wrong), Err(Wrong::Header(_))), "{wrong:?}");
        }
        let last = headers(&[
            ("content-type", DRAFT_TYPE),
            ("upload-offset", "10"),
            ("upload-complete", "?1"),
            ("content-length", "5"),
        ]);
        assert_eq!(draft_appending(&last).unwrap().length, Some(15));
        assert_eq!(
            draft_appending(&headers(&[("upload-offset", "1")])),
            Err(Wrong::Type(DRAFT_TYPE))
        );
        assert!(draft_look(&last).is_err() && draft_look(&HeaderMap::new()).is_ok());
    }
}
