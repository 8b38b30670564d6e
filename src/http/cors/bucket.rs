//! What the rules of a bucket say to a page: which rule matches, and the headers it puts on an answer. Pure.
//!
//! The first rule that allows origin, method and every header asked for decides, as with AWS. No rule, no header: the
//! browser keeps the answer from the page.

use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS,
    ACCESS_CONTROL_REQUEST_METHOD, HeaderMap, HeaderName, HeaderValue, ORIGIN, VARY,
};
use storage_engine::store::record::settings::CorsRule;

/// The rule that lets this page do what it asks, and the pattern its origin matched. `method`: what the request is, where
/// it does not say itself what it asks for.
pub(super) fn matching<'r>(
    rules: &'r [CorsRule],
    method: &str,
    headers: &HeaderMap,
) -> Option<(&'r CorsRule, &'r str)> {
    let origin = headers.get(ORIGIN)?.to_str().ok()?;
    let method = match headers.get(ACCESS_CONTROL_REQUEST_METHOD) {
        Some(asked) => asked.to_str().ok()?,
        None => method,
    };
    let asked = headers.get_all(ACCESS_CONTROL_REQUEST_HEADERS);
    rules.iter().find_map(|rule| {
        let pattern = rule.origins.iter().find(|pattern| fits(pattern, origin))?;
        let allowed = |name: &str| {
            let fits_name = |pattern: &String| fits(&pattern.to_ascii_lowercase(), &name.to_ascii_lowercase());
            rule.headers.iter().any(fits_name)
        };
        let all_allowed = asked.iter().all(|value| {
            let mut names = value.to_str().unwrap_or("\0").split(',').map(str::trim);
            names.all(|name| name.is_empty() || allowed(name))
        });
        let fits = all_allowed && rule.methods.iter().any(|known| known == method);
        fits.then_some((rule, pattern.as_str()))
    })
}

/// Whether `text` is `pattern`, whose one `*` stands for anything.
fn fits(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((start, end)) => text.len() >= start.len() + end.len() && text.starts_with(start) && text.ends_with(end),
    }
}

/// Says on an answer what the matching rule lets the page read. With no rule it says only that the answer depends on
/// who asks.
pub(super) fn tell(matched: Option<(&CorsRule, &str)>, request: &HeaderMap, answer: &mut HeaderMap) {
    let depends = "Origin, Access-Control-Request-Headers, Access-Control-Request-Method";
    answer.append(VARY, HeaderValue::from_static(depends));
    let Some((rule, pattern)) = matched else { return };
    let Some(origin) = request.get(ORIGIN) else { return };
    if pattern == "*" {
        answer.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    } else {
        answer.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        answer.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
    }
    list(answer, ACCESS_CONTROL_ALLOW_METHODS, &rule.methods);
    list(answer, ACCESS_CONTROL_EXPOSE_HEADERS, &rule.expose);
    if let Some(asked) = request.get(ACCESS_CONTROL_REQUEST_HEADERS) {
        answer.insert(ACCESS_CONTROL_ALLOW_HEADERS, asked.clone());
    }
    if let Some(seconds) = rule.max_age_seconds {
        answer.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from(seconds));
    }
}

fn list(answer: &mut HeaderMap, name: HeaderName, values: &[String]) {
    if values.is_empty() {
        return;
    }
    // What cannot stand in a header is left out, whoever stored it.
    if let Ok(value) = HeaderValue::from_str(&values.join(", ")) {
        answer.insert(name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(origin: &str, methods: &[&str]) -> CorsRule {
        CorsRule {
            origins: vec![origin.to_owned()],
            methods: methods.iter().map(ToString::to_string).collect(),
            ..CorsRule::default()
        }
    }

    fn asks(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap()))
            .collect()
    }

    fn allowed(rules: &[CorsRule], method: &str, pairs: &[(&'static str, &str)]) -> bool {
        matching(rules, method, &asks(pairs)).is_some()
    }

    #[test]
    fn one_wildcard_stands_for_anything_and_never_overlaps() {
        for (pattern, text, expected) in [
            ("*", "https://a", true),
            ("*suffix", "foo.suffix", true),
            ("*suffix", "foo.suffix.get", false),
            ("start*end", "startend", true),
            ("start*end", "start12end", true),
            ("start*end", "0start12end", false),
            ("aba*aba", "aba", false),
            ("https://a", "https://a", true),
            ("https://a", "https://A", false),
        ] {
            assert_eq!(fits(pattern, text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn origin_method_and_every_header_must_be_allowed_by_one_rule() {
        let mut put = rule("https://app", &["PUT"]);
        put.headers = vec!["X-Amz-*".into(), "content-type".into()];
        let rules = [rule("https://other", &["GET", "PUT"]), put, rule("*", &["GET"])];
        let origin = ("origin", "https://app");
        assert!(allowed(&rules, "GET", &[origin]));
        assert!(allowed(&rules, "PUT", &[origin]));
        assert!(!allowed(&rules, "DELETE", &[origin]));
        assert!(!allowed(&rules, "GET", &[]));
        let method = ("access-control-request-method", "PUT");
        let headers = |names| ("access-control-request-headers", names);
        assert!(allowed(
            &rules,
            "OPTIONS",
            &[origin, method, headers("content-type,x-amz-date")]
        ));
        assert!(!allowed(
            &rules,
            "OPTIONS",
            &[origin, method, headers("content-type, x-other")]
        ));
        assert!(!allowed(&rules, "OPTIONS", &[("origin", "https://x"), method]));
        // A rule of another origin lends nobody its headers.
        assert!(!allowed(&rules, "GET", &[origin, headers("x-amz-date")]));
    }

    #[test]
    fn a_named_origin_is_said_back_and_a_wildcard_stays_one() {
        let mut exposing = rule("https://*.app", &["GET", "HEAD"]);
        exposing.expose = vec!["ETag".into(), "x-amz-meta-a".into()];
        exposing.max_age_seconds = Some(30);
        let rules = [exposing, rule("*", &["GET"])];
        let request = asks(&[("origin", "https://one.app")]);
        let mut answer = HeaderMap::new();
        tell(matching(&rules, "GET", &request), &request, &mut answer);
        let said = |name: &str| answer.get(name).and_then(|value| value.to_str().ok());
        assert_eq!(said("access-control-allow-origin"), Some("https://one.app"));
        assert_eq!(said("access-control-allow-credentials"), Some("true"));
        assert_eq!(said("access-control-allow-methods"), Some("GET, HEAD"));
        assert_eq!(said("access-control-expose-headers"), Some("ETag, x-amz-meta-a"));
        assert_eq!(said("access-control-max-age"), Some("30"));
        let request = asks(&[("origin", "https://elsewhere")]);
        let mut answer = HeaderMap::new();
        tell(matching(&rules, "GET", &request), &request, &mut answer);
        assert_eq!(answer.get("access-control-allow-origin").unwrap(), "*");
        assert!(!answer.contains_key("access-control-allow-credentials"));
        let mut answer = HeaderMap::new();
        tell(matching(&rules, "PUT", &request), &request, &mut answer);
        assert!(answer.contains_key("vary") && answer.len() == 1);
    }

    #[test]
    fn a_line_break_that_was_stored_never_reaches_an_answer() {
        let mut bad = rule("*", &["GET"]);
        bad.expose = vec!["x\r\nset-cookie: a".into()];
        let request = asks(&[("origin", "https://a")]);
        let mut answer = HeaderMap::new();
        tell(matching(&[bad], "GET", &request), &request, &mut answer);
        assert!(!answer.contains_key("access-control-expose-headers") && !answer.contains_key("set-cookie"));
    }
}
