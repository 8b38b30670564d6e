//! Nothing half accepted: refuses what asks for a feature that is not built, before s3s sees the request.
//!
//! Owns the tables of sub-resources, query parameters and headers ([`table`]) and the walk over them. A write that asks
//! for more than this server does answers 501 and never falls through to a plain PutObject or ListObjects; a read
//! keeps AWS's answers. It never reads a body and never touches the store.

pub(crate) mod table;

use http::header::{ACCESS_CONTROL_REQUEST_METHOD, CONTENT_TYPE, ORIGIN};
use http::{HeaderMap, Method};
use percent_encoding::percent_decode_str;

use super::error::{Code, Failure};
use super::target::Target;
use table::{
    HEADERS, HeaderRule, Level, OF_MAKING, READ_HEADERS, READ_PARAMETERS, SUB_RESOURCES, SubResource, WRITE_PARAMETERS,
};

/// One decoded query parameter.
pub(crate) type Parameter = (String, String);

/// The query, decoded once; a `+` stands for a space.
pub(crate) fn parameters(query: Option<&str>) -> Vec<Parameter> {
    let Some(query) = query else { return Vec::new() };
    let decode = |text: &str| {
        percent_decode_str(&text.replace('+', " "))
            .decode_utf8_lossy()
            .into_owned()
    };
    query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(name), decode(value))
        })
        .collect()
}

/// Lets a request through that asks only for what is built.
pub(crate) fn check(method: &Method, target: &Target, query: &[Parameter], headers: &HeaderMap) -> Result<(), Failure> {
    let level = Level::of(target);
    let form = headers
        .get(CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"multipart/form-data"));
    if method == Method::POST && level == Level::Bucket && form {
        return Err(Failure::not_built("uploading by browser form"));
    }
    check_method(method, level, query, headers)?;
    for (name, value) in query {
        check_parameter(method, level, name, value)?;
    }
    check_combination(method, level, query)?;
    check_headers(method, level, headers)?;
    if !is_read(method) && !makes(method, level, query) {
        return check_rules(OF_MAKING, false, level, headers);
    }
    Ok(())
}

/// Whether the request makes an object, an upload or a bucket, or sets an ACL.
fn makes(method: &Method, level: Level, query: &[Parameter]) -> bool {
    let mut sub = query.iter().filter_map(|(name, _)| sub_resource(level, name));
    match sub.next().map(|known| known.name) {
        None => *method == Method::PUT,
        Some("acl") => *method == Method::PUT,
        Some("uploads") => *method == Method::POST,
        Some(_) => false,
    }
}

fn is_read(method: &Method) -> bool {
    method == Method::GET || method == Method::HEAD
}

/// Methods S3 does not have, and POST without a sub-resource that says what to do.
fn check_method(method: &Method, level: Level, query: &[Parameter], headers: &HeaderMap) -> Result<(), Failure> {
    match *method {
        Method::GET => Ok(()),
        Method::HEAD | Method::PUT | Method::DELETE if level != Level::Service => Ok(()),
        Method::POST if query.iter().any(|(name, _)| sub_resource(level, name).is_some()) => Ok(()),
        // A preflight that is allowed was answered before.
        Method::OPTIONS if headers.contains_key(ORIGIN) && headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD) => {
            Err(Code::ACCESS_FORBIDDEN.into())
        }
        Method::OPTIONS => Err(Code::BAD_REQUEST.into()),
        _ => Err(Code::METHOD_NOT_ALLOWED.into()),
    }
}

fn sub_resource(level: Level, name: &str) -> Option<&'static SubResource> {
    SUB_RESOURCES
        .iter()
        .find(|known| known.level == level && known.name == name)
}

fn check_parameter(method: &Method, level: Level, name: &str, value: &str) -> Result<(), Failure> {
    if let Some(known) = sub_resource(level, name) {
        let served = known.methods.iter().any(|served| method.as_str() == *served);
        return if served {
            Ok(())
        } else {
            Err(Failure::not_built(known.feature))
        };
    }
    let parameters = if is_read(method) {
        READ_PARAMETERS
    } else {
        WRITE_PARAMETERS
    };
    if parameters.contains(&name) || is_header_in_query(name) {
        return Ok(());
    }
    // A read with `?name=value` that means nothing here is a cache buster, as AWS takes it. A bare word is a
    // sub-resource somebody expects, and a write may have meant anything by it.
    let bare_word = value.is_empty() && name.bytes().all(|b| b.is_ascii_alphabetic() || b == b'-');
    let elsewhere = SUB_RESOURCES.iter().any(|known| known.name == name);
    if is_read(method) && !bare_word && !elsewhere {
        return Ok(());
    }
    Err(Failure::not_built(&format!("the query parameter '{name}'")))
}

/// Presigned URLs carry headers in the query; they are judged as headers.
pub(crate) fn is_header_in_query(name: &str) -> bool {
    name.get(..6).is_some_and(|start| start.eq_ignore_ascii_case("x-amz-"))
}

/// Parameters that are known one by one but together ask for what no operation does.
fn check_combination(method: &Method, level: Level, query: &[Parameter]) -> Result<(), Failure> {
    let has = |wanted: &str| query.iter().any(|(name, _)| name == wanted);
    if method == Method::PUT && has("partNumber") != has("uploadId") {
        return Err(Failure::argument("partNumber and uploadId must be given together."));
    }
    let labels = method == Method::PUT && (has("tagging") || has("acl"));
    let takes_version = is_read(method) || (level == Level::Object && (method == Method::DELETE || labels));
    if has("versionId") && !takes_version {
        return Err(Failure::argument("This operation does not accept a version-id."));
    }
    if query
        .iter()
        .any(|(name, value)| name == "list-type" && value != "2" && value != "1")
    {
        return Err(Failure::argument("The list-type must be 2."));
    }
    Ok(())
}

fn check_headers(method: &Method, level: Level, headers: &HeaderMap) -> Result<(), Failure> {
    let read = is_read(method);
    let rules = if read { READ_HEADERS } else { HEADERS };
    check_rules(rules, read, level, headers)
}

fn check_rules(rules: &'static [HeaderRule], read: bool, level: Level, headers: &HeaderMap) -> Result<(), Failure> {
    for (name, value) in headers {
        let name = name.as_str();
        if !name.starts_with("x-") || name.starts_with("x-amz-meta-") {
            continue;
        }
        let value = value.to_str().unwrap_or_default();
        let asked = |rule: &&HeaderRule| rule.matches(name) && rule.levels.contains(&level) && rule.asks.by(value);
        if let Some(rule) = rules.iter().find(asked) {
            return Err(refusal(read, rule));
        }
    }
    Ok(())
}

fn refusal(read: bool, rule: &HeaderRule) -> Failure {
    if read {
        let message = "The encryption parameters are not applicable to this object.";
        return Failure::because(Code::INVALID_REQUEST, message);
    }
    Failure::not_built(rule.feature)
}

#[cfg(test)]
mod tests;
