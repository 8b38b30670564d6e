//! Every route for every kind of caller, from the table of routes: a route without a line here does not compile. Whatever is
//! answered must be what the OpenAPI document says.

use serde_json::{Value, json};

use super::{Shop, Who};
use crate::files::openapi::tests::Judge;
use crate::files::routes::{BUILT, Callers, Route, Row};
use crate::projects::{KeyKind, LogicalBucket, Operation};

/// Whom a route lets in, beside admins and servers, on a file that ann shares with sue for reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum For {
    /// Also without a key.
    Anybody,
    /// It is about no file that stands.
    Everybody,
    SignedIn,
    /// Whoever may read the file.
    Readers,
    Owner,
    /// Servers of the app, and not even its admins.
    Servers,
    /// Everybody, with or without a key, once the file is public; before that it is there for nobody.
    Public,
}

fn whom(route: Route) -> For {
    match route {
        Route::Document => For::Anybody,
        Route::List | Route::DownloadUrls => For::Everybody,
        Route::Presign
        | Route::PresignedPost
        | Route::UploadUrl
        | Route::Usage
        | Route::UserRevokeUrls
        | Route::Buckets
        | Route::Bucket
        | Route::Upload
        | Route::PartsInit
        | Route::CompanionParams
        | Route::CompanionCredentials
        | Route::CompanionBegin
        | Route::FromUrl => For::SignedIn,
        Route::UploadTokens
        | Route::BucketSet
        | Route::Quotas
        | Route::QuotasSet
        | Route::Users
        | Route::UserBlock
        | Route::UserUnblock
        | Route::UserFiles
        | Route::ScanAgain
        | Route::Release
        | Route::WebhookAdd
        | Route::Webhooks
        | Route::WebhookGet
        | Route::WebhookPatch
        | Route::WebhookDelete
        | Route::WebhookTest
        | Route::WebhookDeliveries => For::Servers,
        Route::Get | Route::DownloadUrl | Route::Content | Route::Copy => For::Readers,
        Route::Register
        | Route::PartUrl
        | Route::PartUrls
        | Route::PartsComplete
        | Route::PartsAbort
        | Route::PartsList
        | Route::CompanionParts
        | Route::CompanionPartUrl
        | Route::CompanionPartUrls
        | Route::CompanionComplete
        | Route::CompanionAbort
        | Route::Patch
        | Route::PatchVisibility
        | Route::Delete
        | Route::Complete
        | Route::Shares
        | Route::SharesReplace
        | Route::ShareAdd
        | Route::SharesClear
        | Route::ShareRemove
        | Route::RevokeUrls
        | Route::Replace
        | Route::Restore
        | Route::Commit
        | Route::Versions
        | Route::VersionRestore
        | Route::VersionRemove
        | Route::Refs
        | Route::RefAdd
        | Route::RefRemove => For::Owner,
        Route::Public => For::Public,
    }
}

/// What a route is about: a file of ann's, an upload of hers, a share, and a version.
struct Scene {
    file: String,
    key: String,
    upload: String,
    share: String,
    hook: String,
    version: String,
    /// What stands below `/v1/` in the URL that the file had while it was public.
    public: String,
}

impl Scene {
    async fn new(shop: &Shop, route: Route) -> Self {
        let ann = shop.person("ann");
        let file = shop.file(&ann, "private").await;
        let share = shop
            .post(
                &ann,
                &format!("files/{file}/shares"),
                json!({ "type": "user", "id": "sue" }),
            )
            .await
            .is(201);
        let key = shop.get(&ann, &format!("files/{file}")).await.is(200).text("/key");
        let begun = json!({ "filename": "a.bin", "contentType": "application/x-own" });
        let begun = shop.post(&ann, "files/multipart/init", begun).await.is(200);
        let mut version = String::new();
        if matches!(route, Route::VersionRestore | Route::VersionRemove) {
            let kind = [("content-type", "text/plain")];
            shop.ask(&ann, "POST", &format!("files/{file}/replace"), &kind, b"newer".to_vec())
                .await
                .is(200);
            let versions = shop.get(&ann, &format!("files/{file}/versions")).await.is(200);
            version = versions.text("/versions/1/id");
        }
        if route == Route::Restore {
            shop.ask(&ann, "DELETE", &format!("files/{file}"), &[], Vec::new())
                .await
                .is(200);
        }
        let mut public = String::new();
        if route == Route::Public {
            for visibility in ["public", "private"] {
                let level = json!({ "visibility": visibility }).to_string().into_bytes();
                let path = format!("files/{file}/visibility");
                let told = shop.ask(&ann, "PATCH", &path, &[], level).await.is(200);
                let url = told.text("/publicUrl");
                if let Some(path) = url.strip_prefix("https://files.test/v1/") {
                    path.clone_into(&mut public);
                }
            }
            assert!(!public.is_empty());
        }
        let receiver = json!({ "url": "http://127.0.0.1:1/", "events": ["quota.exceeded"] });
        let hook = shop.post(&shop.server(), "files/webhooks", receiver).await.is(201);
        Self {
            hook: hook.text("/id"),
            file,
            key,
            upload: begun.text("/uploadId"),
            share: share.text("/shareId"),
            version,
            public,
        }
    }

    fn path(&self, kind: Kind, row: &Row) -> String {
        let path = row.pattern.replace(":id", &self.file).replace(":upload", &self.upload);
        let path = path.replace(":share", &self.share).replace(":hook", &self.hook);
        let path = path.replace(":version", &self.version).replace(":ref", "post-1");
        let path = path.replace(":number", "1").replace(":name", "media");
        let inbox = if kind == Kind::GuestWhereTheyMay {
            "&bucket=inbox"
        } else {
            ""
        };
        match row.route {
            Route::Upload => format!("{path}?filename=a.txt{inbox}"),
            Route::Public => self.public.clone(),
            Route::CompanionParams => format!("{path}?filename=a.png&type=image/png{inbox}"),
            Route::CompanionPartUrls => format!("{path}?partNumbers=1,2"),
            _ => path,
        }
    }

    fn body(&self, kind: Kind, route: Route) -> Value {
        let mut body = self.said(route);
        if kind == Kind::GuestWhereTheyMay {
            body["bucket"] = json!("inbox");
        }
        body
    }

    fn said(&self, route: Route) -> Value {
        match route {
            Route::Presign | Route::PresignedPost | Route::PartsInit => {
                json!({ "filename": "a.png", "contentType": "image/png" })
            }
            Route::Register => {
                json!({ "s3Key": self.key, "originalName": "a.txt", "mimeType": "text/plain", "size": 10 })
            }
            Route::PartUrl => json!({ "uploadId": self.upload, "partNumber": 1 }),
            Route::PartUrls => json!({ "uploadId": self.upload, "partNumbers": [1, 2] }),
            Route::PartsComplete => json!({ "uploadId": self.upload, "parts": [{ "partNumber": 1, "etag": "\"x\"" }] }),
            Route::PartsAbort => json!({ "uploadId": self.upload }),
            Route::Commit => json!({ "activate": [self.file] }),
            Route::CompanionBegin => json!({ "filename": "a.png", "type": "image/png" }),
            Route::CompanionComplete => json!({ "parts": [{ "PartNumber": 1, "ETag": "x" }] }),
            Route::DownloadUrls => json!({ "ids": [self.file] }),
            Route::Patch => json!({ "originalName": "b.txt" }),
            Route::UserBlock | Route::UserUnblock => json!({ "sub": "zoe", "issuer": "own" }),
            Route::UserFiles => json!({ "sub": "zoe", "issuer": "own", "then": "trash" }),
            Route::PatchVisibility => json!({ "visibility": "protected" }),
            // Refused for its name before anything is called.
            Route::FromUrl => json!({ "url": "http://127.0.0.1:1/", "filename": "" }),
            Route::WebhookAdd => json!({ "url": "http://127.0.0.1:1/", "events": ["file.active"] }),
            Route::WebhookPatch => json!({ "active": false }),
            Route::Release => json!({ "reason": "a false alarm" }),
            Route::ShareAdd => json!({ "type": "group", "id": "staff" }),
            Route::SharesReplace => json!({ "shares": [] }),
            _ => json!({}),
        }
    }
}

/// The kinds of callers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    NoKey,
    WrongKey,
    Guest,
    /// A guest, and the logical bucket they name takes their files.
    GuestWhereTheyMay,
    Owner,
    Other,
    Admin,
    Server,
    ServerWithoutScope,
    ShareTarget,
    /// With a token that lets make files, and none that stands was made with.
    Uploader,
}

const KINDS: [Kind; 11] = [
    Kind::NoKey,
    Kind::WrongKey,
    Kind::Guest,
    Kind::GuestWhereTheyMay,
    Kind::Owner,
    Kind::Other,
    Kind::Admin,
    Kind::Server,
    Kind::ServerWithoutScope,
    Kind::ShareTarget,
    Kind::Uploader,
];

/// What it must be answered: `None`, that it is let in; else status and code.
fn refusal(kind: Kind, row: &Row) -> Option<(u16, &'static str)> {
    let needs = whom(row.route);
    let denied = Some((403, "file/access-denied"));
    match kind {
        _ if needs == For::Anybody => None,
        _ if needs == For::Public => Some((404, "file/not-found")),
        Kind::Uploader if row.operation != Operation::Create => Some((403, "SCOPE_INSUFFICIENT")),
        // Whoever copies reads as well.
        Kind::Uploader if row.route == Route::Copy => Some((403, "SCOPE_INSUFFICIENT")),
        // They let more than the token does.
        Kind::Uploader if row.route == Route::CompanionCredentials => denied,
        Kind::Owner | Kind::Other | Kind::Admin | Kind::ShareTarget | Kind::Uploader if needs == For::Servers => {
            Some((403, "PERMISSION_DENIED"))
        }
        Kind::NoKey | Kind::WrongKey => Some((401, "UNAUTHORIZED")),
        Kind::ServerWithoutScope => Some((403, "SCOPE_INSUFFICIENT")),
        Kind::Guest | Kind::GuestWhereTheyMay if row.callers == Callers::Servers => Some((403, "PERMISSION_DENIED")),
        Kind::Guest | Kind::GuestWhereTheyMay if row.callers == Callers::SignedIn => {
            Some((401, "common/authentication-required"))
        }
        Kind::Guest if row.callers == Callers::Uploaders => Some((401, "common/authentication-required")),
        Kind::Guest | Kind::GuestWhereTheyMay | Kind::Other | Kind::Uploader => match needs {
            For::Anybody | For::Everybody | For::SignedIn => None,
            For::Readers | For::Owner | For::Servers | For::Public => denied,
        },
        Kind::ShareTarget => match needs {
            For::Anybody | For::Everybody | For::SignedIn | For::Readers => None,
            For::Owner | For::Servers | For::Public => denied,
        },
        Kind::Owner | Kind::Admin | Kind::Server => None,
    }
}

async fn headers(shop: &Shop, kind: Kind, row: &Row) -> Who {
    match kind {
        Kind::NoKey => Vec::new(),
        Kind::WrongKey => vec![("x-api-key", format!("pk_{}", "0".repeat(64)))],
        Kind::Guest | Kind::GuestWhereTheyMay => shop.guest(),
        Kind::Owner => shop.person("ann"),
        Kind::Other => shop.person("bob"),
        Kind::Admin => shop.person_as("eve", "admin"),
        Kind::Server => shop.server(),
        Kind::ServerWithoutScope => {
            let scopes = [
                "files:read",
                "files:list",
                "files:create",
                "files:update",
                "files:delete",
            ];
            let own = format!("files:{}", row.operation.name());
            let others: Vec<&str> = scopes.into_iter().filter(|scope| *scope != own).collect();
            vec![("x-api-key", shop.key(KeyKind::Secret, &others).await)]
        }
        Kind::ShareTarget => shop.person("sue"),
        Kind::Uploader => shop.uploader(json!({ "sub": "ann", "issuer": "own" })).await,
    }
}

#[tokio::test]
async fn every_route_lets_in_whom_it_is_for_and_nobody_else() {
    let shop = Shop::new().await;
    let document = Judge::new();
    for row in BUILT {
        for kind in KINDS {
            let scene = Scene::new(&shop, row.route).await;
            let hook = format!("files/webhooks/{}", scene.hook);
            shop.inbox(LogicalBucket {
                guest_upload: kind == Kind::GuestWhereTheyMay,
                ..LogicalBucket::default()
            })
            .await;
            let who = headers(&shop, kind, row).await;
            let (method, path) = (row.method.as_str(), scene.path(kind, row));
            let body = match row.route {
                Route::Upload | Route::Replace => b"other words".to_vec(),
                _ if method == "GET" || method == "HEAD" => Vec::new(),
                route => scene.body(kind, route).to_string().into_bytes(),
            };
            let told = shop
                .ask(&who, method, &path, &[("content-type", "text/plain")], body)
                .await;
            let case = format!(
                "{kind:?} {method} {} {}",
                row.pattern,
                String::from_utf8_lossy(&told.bytes)
            );
            shop.ask(&shop.server(), "DELETE", &hook, &[], Vec::new()).await;
            document.holds(row, &told);
            match refusal(kind, row) {
                Some((status, _)) if method == "HEAD" => assert_eq!(told.status, status, "{case}"),
                Some((status, code)) => assert_eq!((told.status, told.code().as_str()), (status, code), "{case}"),
                None => assert!(!matches!(told.status, 401 | 403) && told.status < 500, "{case}"),
            }
        }
    }
}

/// Who reads a file of ann's, by its visibility: the table of the documentation.
#[tokio::test]
async fn visibility_lets_read_whom_it_says() {
    let shop = Shop::new().await;
    let ann = shop.person("ann");
    let table: [(&str, [bool; 6]); 4] = [
        // guest, other, share target, owner, admin, server
        ("public", [true, true, true, true, true, true]),
        ("private", [false, false, false, true, true, true]),
        ("protected", [false, true, true, true, true, true]),
        ("shared", [false, false, true, true, true, true]),
    ];
    for (visibility, expected) in table {
        let file = shop.file(&ann, "private").await;
        shop.post(
            &ann,
            &format!("files/{file}/shares"),
            json!({ "type": "user", "id": "sue" }),
        )
        .await
        .is(201);
        let level = json!({ "visibility": visibility }).to_string().into_bytes();
        shop.ask(&ann, "PATCH", &format!("files/{file}/visibility"), &[], level)
            .await
            .is(200);
        let callers = [
            shop.guest(),
            shop.person("bob"),
            shop.person("sue"),
            ann.clone(),
            shop.person_as("eve", "admin"),
            shop.server(),
        ];
        for (who, expected) in callers.iter().zip(expected) {
            for path in [
                format!("files/{file}"),
                format!("files/{file}/content"),
                format!("files/{file}/download-url"),
            ] {
                let told = shop.get(who, &path).await;
                let case = format!("{visibility} {path} {:?}", who.last());
                assert_eq!(told.status, if expected { 200 } else { 403 }, "{case}");
            }
            let listed = shop.get(who, "files?limit=100").await.is(200);
            let items = listed.field("/items");
            let found = items.as_array().unwrap().iter().any(|item| item["id"] == json!(file));
            assert_eq!(found, expected, "{visibility} in a list of {:?}", who.last());
        }
    }
}
