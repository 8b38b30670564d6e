//! Which errors an operation may answer, in groups: those of every request, and those of what several operations do. Pure.

use serde_json::{Value, json};

use super::super::error::Code;
use super::schema::shared;

/// A status and the code in its body.
pub(super) type Refusal = (u16, &'static str);

/// About the project key and the token of whoever asks; they come before anything else.
pub(super) const KEYS: &[Refusal] = &[
    (401, "UNAUTHORIZED"),
    (401, "TOKEN_REVOKED"),
    (401, "INVALID_TOKEN"),
    (401, "TOKEN_EXPIRED"),
    (401, "common/authentication-required"),
    (403, "SCOPE_INSUFFICIENT"),
    (403, "PERMISSION_DENIED"),
    (403, "PROJECT_ACCESS_DENIED"),
    (503, "SERVICE_UNAVAILABLE"),
];
/// Of the server, before the Files API hears of a request.
pub(super) const EDGE: &[Refusal] = &[
    (400, "common/headers-too-large"),
    (400, "common/request-timeout"),
    (400, "common/invalid-request"),
    (500, "common/internal-error"),
    (503, "common/unavailable"),
];
/// Whatever is asked.
pub(super) const ALWAYS: &[Code] = &[
    Code::INVALID_REQUEST,
    Code::INCOMPLETE_BODY,
    Code::REQUEST_TOO_LARGE,
    Code::ACCESS_DENIED,
    Code::CONFLICT,
    Code::INTERNAL,
    Code::BUCKET_NOT_CONFIGURED,
    Code::UNAVAILABLE,
];
/// Whatever is written.
pub(super) const WRITING: &[Code] = &[Code::FULL];
/// About a file that the path names.
pub(super) const FILE: &[Code] = &[Code::NOT_FOUND];
/// What changes a file.
pub(super) const CHANGE: &[Code] = &[Code::NOT_FOUND, Code::STATE];
/// What is said of a file to come.
pub(super) const PLAN: &[Code] = &[
    Code::INVALID_NAME,
    Code::NAME_TOO_LONG,
    Code::INVALID_PATH,
    Code::INVALID_FORMAT,
    Code::MIME_TOO_LONG,
    Code::TOO_LARGE,
    Code::SIZE_NEGATIVE,
    Code::QUOTA,
    Code::TOKEN_USED_UP,
    Code::RATE,
];
/// Bytes that come.
pub(super) const BYTES: &[Code] = &[
    Code::BODY_TOO_LARGE,
    Code::TOO_SMALL,
    Code::INVALID_FORMAT,
    Code::BAD_DIGEST,
    Code::SIZE_MISMATCH,
    Code::SHA256_MISMATCH,
    Code::QUOTA,
    Code::PRECONDITION_FAILED,
];
/// Bytes that came and are looked at when the file is asked for.
pub(super) const ARRIVED: &[Code] = &[
    Code::NOT_FOUND,
    Code::STATE,
    Code::BODY_TOO_LARGE,
    Code::TOO_SMALL,
    Code::INVALID_FORMAT,
    Code::SIZE_MISMATCH,
    Code::SHA256_MISMATCH,
];
/// Addresses to upload to that are made.
pub(super) const LINK: &[Code] = &[Code::UPLOAD_INIT_FAILED];
/// An upload that is named.
pub(super) const UPLOAD: &[Code] = &[Code::NO_SUCH_UPLOAD];

pub(super) fn of(code: Code) -> Refusal {
    (code.status, code.name)
}

/// The answer with this status and one of these codes.
pub(super) fn response(status: u16, mut codes: Vec<&'static str>) -> Value {
    codes.sort_unstable();
    codes.dedup();
    let one_of = json!({ "type": "object", "properties": {
        "error": { "type": "object", "properties": { "code": { "enum": codes } } },
        "statusCode": { "const": status },
    } });
    let named: Vec<String> = codes.iter().map(|code| format!("`{code}`")).collect();
    json!({
        "description": named.join(", "),
        "content": { "application/json": { "schema": { "allOf": [shared("Error"), one_of] } } },
    })
}
