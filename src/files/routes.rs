//! The table of routes: what is built, and what is known and not built. Pure.
//!
//! A path that stands in no table is nobody's. Literal segments come before `:id`, which takes any one segment.

use http::Method;

use crate::projects::Operation;

/// What can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Route {
    Presign,
    PresignedPost,
    Register,
    List,
    Usage,
    Buckets,
    Bucket,
    BucketSet,
    Quotas,
    QuotasSet,
    Users,
    UserBlock,
    UserUnblock,
    UserRevokeUrls,
    UserFiles,
    Upload,
    UploadUrl,
    UploadTokens,
    DownloadUrls,
    PartsInit,
    PartUrl,
    PartUrls,
    PartsComplete,
    PartsAbort,
    PartsList,
    Get,
    Patch,
    PatchVisibility,
    Delete,
    DownloadUrl,
    Complete,
    Content,
    Shares,
    SharesReplace,
    ShareAdd,
    SharesClear,
    ShareRemove,
    RevokeUrls,
    Replace,
    Restore,
    ScanAgain,
    Release,
    FromUrl,
    WebhookAdd,
    Webhooks,
    WebhookGet,
    WebhookPatch,
    WebhookDelete,
    WebhookTest,
    WebhookDeliveries,
    Commit,
    Copy,
    Versions,
    VersionRestore,
    VersionRemove,
    Refs,
    RefAdd,
    RefRemove,
    CompanionParams,
    CompanionCredentials,
    CompanionBegin,
    CompanionParts,
    CompanionPartUrl,
    CompanionPartUrls,
    CompanionComplete,
    CompanionAbort,
    Public,
    Document,
}

/// Who may ask for a route at all. Whether they may for this very file is judged later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Callers {
    /// Also those who bring no key; one that is brought says nothing.
    Anybody,
    /// Also those who are not signed in.
    Everybody,
    SignedIn,
    /// Those, and in logical buckets that take files of guests everybody.
    Uploaders,
    /// Servers of the app, with a secret key for everything.
    Servers,
}

/// One route.
#[derive(Clone, Debug)]
pub struct Row {
    pub method: Method,
    /// Segments below `/v1/`; one that begins with `:` stands for any.
    pub pattern: &'static str,
    pub route: Route,
    /// What the key must be for.
    pub operation: Operation,
    pub callers: Callers,
}

const fn row(method: Method, pattern: &'static str, route: Route, operation: Operation, callers: Callers) -> Row {
    Row {
        method,
        pattern,
        route,
        operation,
        callers,
    }
}

use Callers::{Anybody, Everybody, Servers, SignedIn, Uploaders};

/// Every route that is built.
pub const BUILT: &[Row] = &[
    row(
        Method::POST,
        "files/presigned-url",
        Route::Presign,
        Operation::Create,
        Uploaders,
    ),
    row(
        Method::POST,
        "files/presigned-post",
        Route::PresignedPost,
        Operation::Create,
        Uploaders,
    ),
    row(Method::POST, "files", Route::Register, Operation::Create, SignedIn),
    row(Method::GET, "files", Route::List, Operation::List, Everybody),
    row(Method::GET, "files/usage", Route::Usage, Operation::List, SignedIn),
    row(Method::GET, "files/quotas", Route::Quotas, Operation::List, Servers),
    row(
        Method::PUT,
        "files/quotas",
        Route::QuotasSet,
        Operation::Update,
        Servers,
    ),
    row(Method::GET, "files/users", Route::Users, Operation::List, Servers),
    row(
        Method::POST,
        "files/users/block",
        Route::UserBlock,
        Operation::Update,
        Servers,
    ),
    row(
        Method::POST,
        "files/users/unblock",
        Route::UserUnblock,
        Operation::Update,
        Servers,
    ),
    row(
        Method::POST,
        "files/users/revoke-urls",
        Route::UserRevokeUrls,
        Operation::Update,
        SignedIn,
    ),
    row(
        Method::POST,
        "files/users/files",
        Route::UserFiles,
        Operation::Delete,
        Servers,
    ),
    row(Method::GET, "files/buckets", Route::Buckets, Operation::List, SignedIn),
    row(
        Method::GET,
        "files/buckets/:name",
        Route::Bucket,
        Operation::List,
        SignedIn,
    ),
    row(
        Method::PUT,
        "files/buckets/:name",
        Route::BucketSet,
        Operation::Update,
        Servers,
    ),
    row(
        Method::POST,
        "files/upload-url",
        Route::UploadUrl,
        Operation::Create,
        Uploaders,
    ),
    row(
        Method::POST,
        "files/upload-tokens",
        Route::UploadTokens,
        Operation::Create,
        SignedIn,
    ),
    row(
        Method::POST,
        "files/upload",
        Route::Upload,
        Operation::Create,
        Uploaders,
    ),
    row(
        Method::POST,
        "files/download-urls",
        Route::DownloadUrls,
        Operation::Read,
        Everybody,
    ),
    row(
        Method::POST,
        "files/multipart/init",
        Route::PartsInit,
        Operation::Create,
        Uploaders,
    ),
    row(
        Method::POST,
        "files/multipart/initiate",
        Route::PartsInit,
        Operation::Create,
        Uploaders,
    ),
    row(
        Method::POST,
        "files/multipart/presigned-url",
        Route::PartUrl,
        Operation::Create,
        Uploaders,
    ),
    row(
        Method::POST,
        "files/multipart/presigned-urls",
        Route::PartUrls,
        Operation::Create,
        Uploaders,
    ),
    row(
        Method::POST,
        "files/multipart/complete",
        Route::PartsComplete,
        Operation::Create,
        Uploaders,
    ),
    row(
        Method::POST,
        "files/multipart/abort",
        Route::PartsAbort,
        Operation::Create,
        Uploaders,
    ),
    row(
        Method::GET,
        "files/multipart/:upload/parts",
        Route::PartsList,
        Operation::Create,
        Uploaders,
    ),
    row(
        Method::POST,
        "files/multipart/:upload/part-url",
        Route::PartUrl,
        Operation::Create,
        Uploaders,
    ),
    row(
        Method::POST,
        "files/multipart/:upload/complete",
        Route::PartsComplete,
        Operation::Create,
        Uploaders,
    ),
    row(
        Method::POST,
        "files/multipart/:upload/abort",
        Route::PartsAbort,
        Operation::Create,
        Uploaders,
    ),
    row(
        Method::POST,
        "files/from-url",
        Route::FromUrl,
        Operation::Create,
        SignedIn,
    ),
    row(
        Method::POST,
        "files/webhooks",
        Route::WebhookAdd,
        Operation::Create,
        Servers,
    ),
    row(Method::GET, "files/webhooks", Route::Webhooks, Operation::List, Servers),
    row(
        Method::GET,
        "files/webhooks/:hook",
        Route::WebhookGet,
        Operation::Read,
        Servers,
    ),
    row(
        Method::PATCH,
        "files/webhooks/:hook",
        Route::WebhookPatch,
        Operation::Update,
        Servers,
    ),
    row(
        Method::DELETE,
        "files/webhooks/:hook",
        Route::WebhookDelete,
        Operation::Delete,
        Servers,
    ),
    row(
        Method::POST,
        "files/webhooks/:hook/test",
        Route::WebhookTest,
        Operation::Update,
        Servers,
    ),
    row(
        Method::GET,
        "files/webhooks/:hook/deliveries",
        Route::WebhookDeliveries,
        Operation::Read,
        Servers,
    ),
    row(Method::GET, "files/:id", Route::Get, Operation::Read, Everybody),
    row(Method::PATCH, "files/:id", Route::Patch, Operation::Update, SignedIn),
    row(Method::DELETE, "files/:id", Route::Delete, Operation::Delete, SignedIn),
    row(
        Method::PATCH,
        "files/:id/visibility",
        Route::PatchVisibility,
        Operation::Update,
        SignedIn,
    ),
    row(
        Method::POST,
        "files/:id/download-url",
        Route::DownloadUrl,
        Operation::Read,
        Everybody,
    ),
    row(
        Method::GET,
        "files/:id/download-url",
        Route::DownloadUrl,
        Operation::Read,
        Everybody,
    ),
    row(
        Method::POST,
        "files/:id/complete",
        Route::Complete,
        Operation::Create,
        SignedIn,
    ),
    row(
        Method::GET,
        "files/:id/content",
        Route::Content,
        Operation::Read,
        Everybody,
    ),
    row(
        Method::HEAD,
        "files/:id/content",
        Route::Content,
        Operation::Read,
        Everybody,
    ),
    row(
        Method::GET,
        "files/:id/shares",
        Route::Shares,
        Operation::Read,
        SignedIn,
    ),
    row(
        Method::PUT,
        "files/:id/shares",
        Route::SharesReplace,
        Operation::Update,
        SignedIn,
    ),
    row(
        Method::POST,
        "files/:id/shares",
        Route::ShareAdd,
        Operation::Update,
        SignedIn,
    ),
    row(
        Method::DELETE,
        "files/:id/shares",
        Route::SharesClear,
        Operation::Update,
        SignedIn,
    ),
    row(
        Method::DELETE,
        "files/:id/shares/:share",
        Route::ShareRemove,
        Operation::Update,
        SignedIn,
    ),
    row(
        Method::POST,
        "files/:id/revoke-urls",
        Route::RevokeUrls,
        Operation::Update,
        SignedIn,
    ),
    row(
        Method::POST,
        "files/:id/replace",
        Route::Replace,
        Operation::Update,
        SignedIn,
    ),
    row(
        Method::POST,
        "files/:id/restore",
        Route::Restore,
        Operation::Update,
        SignedIn,
    ),
    row(
        Method::POST,
        "files/:id/scan",
        Route::ScanAgain,
        Operation::Update,
        Servers,
    ),
    row(
        Method::POST,
        "files/:id/release",
        Route::Release,
        Operation::Update,
        Servers,
    ),
    row(Method::POST, "files:commit", Route::Commit, Operation::Update, SignedIn),
    row(Method::POST, "files/:id/copy", Route::Copy, Operation::Create, SignedIn),
    row(
        Method::GET,
        "files/:id/versions",
        Route::Versions,
        Operation::Read,
        SignedIn,
    ),
    row(
        Method::POST,
        "files/:id/versions/:version/restore",
        Route::VersionRestore,
        Operation::Update,
        SignedIn,
    ),
    row(
        Method::DELETE,
        "files/:id/versions/:version",
        Route::VersionRemove,
        Operation::Delete,
        SignedIn,
    ),
    row(Method::GET, "files/:id/refs", Route::Refs, Operation::Read, SignedIn),
    row(
        Method::PUT,
        "files/:id/refs/:ref",
        Route::RefAdd,
        Operation::Update,
        SignedIn,
    ),
    row(
        Method::DELETE,
        "files/:id/refs/:ref",
        Route::RefRemove,
        Operation::Update,
        SignedIn,
    ),
    row(
        Method::GET,
        "s3/params",
        Route::CompanionParams,
        Operation::Create,
        Uploaders,
    ),
    row(
        Method::GET,
        "s3/sts",
        Route::CompanionCredentials,
        Operation::Create,
        SignedIn,
    ),
    row(
        Method::POST,
        "s3/multipart",
        Route::CompanionBegin,
        Operation::Create,
        Uploaders,
    ),
    row(
        Method::GET,
        "s3/multipart/:upload",
        Route::CompanionParts,
        Operation::Create,
        Uploaders,
    ),
    row(
        Method::DELETE,
        "s3/multipart/:upload",
        Route::CompanionAbort,
        Operation::Create,
        Uploaders,
    ),
    row(
        Method::GET,
        "s3/multipart/:upload/batch",
        Route::CompanionPartUrls,
        Operation::Create,
        Uploaders,
    ),
    row(
        Method::GET,
        "s3/multipart/:upload/:number",
        Route::CompanionPartUrl,
        Operation::Create,
        Uploaders,
    ),
    row(
        Method::POST,
        "s3/multipart/:upload/complete",
        Route::CompanionComplete,
        Operation::Create,
        Uploaders,
    ),
    row(
        Method::GET,
        "pub/:public/:name",
        Route::Public,
        Operation::Read,
        Anybody,
    ),
    row(
        Method::HEAD,
        "pub/:public/:name",
        Route::Public,
        Operation::Read,
        Anybody,
    ),
    row(Method::GET, "openapi.json", Route::Document, Operation::Read, Anybody),
    row(Method::HEAD, "openapi.json", Route::Document, Operation::Read, Anybody),
];

/// What is known and not built: anything at or below these paths.
pub const UNBUILT: &[(&str, &str)] = &[
    ("img", "Images by URL"),
    ("auth", "Signing users in: that is the issuers' of a project"),
];

/// What a path is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// A row, by its place in the table, and what stands for its variable segments.
    Route(usize, Vec<String>),
    /// The methods that the path has.
    OtherMethod(Vec<&'static str>),
    NotBuilt(&'static str),
    Nothing,
}

/// Looks up what is below `/v1/`, still escaped.
pub(super) fn find(method: &Method, path: &str) -> Found {
    let segments: Vec<&str> = path.split('/').collect();
    if let Some((_, what)) = UNBUILT
        .iter()
        .find(|(pattern, _)| matching(pattern, &segments, true).is_some())
    {
        return Found::NotBuilt(what);
    }
    let mut others = Vec::new();
    for (at, row) in BUILT.iter().enumerate() {
        let Some(taken) = matching(row.pattern, &segments, false) else {
            continue;
        };
        // A literal path is not one of `:id` as well.
        let is_literal = |other: &Row| other.pattern != row.pattern && literals(other.pattern) > literals(row.pattern);
        let shadowed = BUILT
            .iter()
            .any(|other| is_literal(other) && matching(other.pattern, &segments, false).is_some());
        if shadowed {
            continue;
        }
        if row.method == method {
            return Found::Route(at, taken);
        }
        others.push(method_name(&row.method));
    }
    if others.is_empty() {
        return Found::Nothing;
    }
    others.sort_unstable();
    others.dedup();
    Found::OtherMethod(others)
}

fn method_name(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        _ => "POST",
    }
}

fn literals(pattern: &str) -> usize {
    pattern.split('/').filter(|segment| !segment.starts_with(':')).count()
}

/// What stands for the variable segments; `below`: more may follow.
fn matching(pattern: &str, segments: &[&str], below: bool) -> Option<Vec<String>> {
    let wanted: Vec<&str> = pattern.split('/').collect();
    if segments.len() < wanted.len() || (segments.len() > wanted.len() && !below) {
        return None;
    }
    let mut taken = Vec::new();
    for (wanted, found) in wanted.iter().zip(segments) {
        match wanted.starts_with(':') {
            true if found.is_empty() => return None,
            true => taken.push(
                percent_encoding::percent_decode_str(found)
                    .decode_utf8()
                    .ok()?
                    .into_owned(),
            ),
            false if wanted == found => {}
            false => return None,
        }
    }
    Some(taken)
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::{BUILT, Found, Route, UNBUILT, find};

    fn route(method: Method, path: &str) -> Option<(Route, Vec<String>)> {
        match find(&method, path) {
            Found::Route(at, taken) => Some((BUILT[at].route, taken)),
            Found::OtherMethod(_) | Found::NotBuilt(_) | Found::Nothing => None,
        }
    }

    #[test]
    fn every_row_is_found_by_its_own_path() {
        for (at, row) in BUILT.iter().enumerate() {
            let path: Vec<&str> = row
                .pattern
                .split('/')
                .map(|segment| if segment.starts_with(':') { "x" } else { segment })
                .collect();
            let Found::Route(found, _) = find(&row.method, &path.join("/")) else {
                panic!("{} {}", row.method, row.pattern);
            };
            assert_eq!(found, at, "{} {}", row.method, row.pattern);
        }
    }

    #[test]
    fn paths_with_words_are_not_those_of_files() {
        assert_eq!(route(Method::GET, "files/usage"), Some((Route::Usage, vec![])));
        assert_eq!(route(Method::DELETE, "files/usage"), None);
        assert_eq!(find(&Method::DELETE, "files/usage"), Found::OtherMethod(vec!["GET"]));
        assert_eq!(
            route(Method::GET, "files/a%2Fb"),
            Some((Route::Get, vec!["a/b".into()]))
        );
        assert_eq!(route(Method::GET, "files/"), None);
        assert_eq!(find(&Method::GET, "files//content"), Found::Nothing);
        assert_eq!(find(&Method::GET, "other"), Found::Nothing);
        assert_eq!(
            find(&Method::PUT, "files/1"),
            Found::OtherMethod(vec!["DELETE", "GET", "PATCH"])
        );
    }

    #[test]
    fn what_is_not_built_is_said_to_be() {
        for (pattern, what) in UNBUILT {
            let path = pattern.replace(":id", "1").replace(":name", "a");
            assert_eq!(find(&Method::POST, &path), Found::NotBuilt(what), "{path}");
            assert_eq!(
                find(&Method::PUT, &format!("{path}/more")),
                Found::NotBuilt(what),
                "{path}"
            );
        }
    }
}
