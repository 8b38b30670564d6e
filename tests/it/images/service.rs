//! Images as clients ask for them, over an S3 front with a store in memory.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use drystone::auth::{Identity, SecretKey};
use drystone::http::body::Body;
use drystone::images::album::Album;
use drystone::images::options::Options;
use drystone::images::refused::Refused;
use drystone::images::service::{Finding, Images, ImagesConfig, Shelf};
use drystone::images::sign::signature;
use drystone::s3::{S3Config, S3Service, service};
use futures::future::{BoxFuture, join_all};
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Empty, Full};
use image::{ImageFormat, RgbImage};
use storage_engine::memory::MemoryBackend;
use storage_engine::store::clock::SystemClock;
use storage_engine::store::name::BucketName;
use storage_engine::store::{Epoch, Store};

use super::pool::{config, file, picture};

const KEY: &[u8] = b"the key of shop in prod";

struct Shop {
    s3: S3Service,
    album: Album,
}

impl Shelf for Shop {
    fn album(&self, project: &str, environment: &str, _: bool) -> Finding {
        let found = (project == "shop" && environment == "prod").then(|| self.album.clone());
        Box::pin(async move { Ok(found) })
    }

    fn original(&self, mut request: Request<Empty<Bytes>>) -> BoxFuture<'static, Result<Response<Body>, Refused>> {
        let s3 = self.s3.clone();
        request.headers_mut().remove("authorization");
        Box::pin(async move { Ok(s3.handle(request).await) })
    }
}

struct Rig {
    s3: S3Service,
    images: Images,
}

struct Answer {
    status: u16,
    headers: HeaderMap,
    body: Bytes,
}

impl Answer {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    fn code(&self) -> String {
        let json: serde_json::Value = serde_json::from_slice(&self.body).unwrap();
        json["error"]["code"].as_str().unwrap().to_owned()
    }

    fn width(&self) -> u32 {
        image::load_from_memory(&self.body).unwrap().width()
    }
}

impl Rig {
    async fn new(change: impl FnOnce(&mut Album)) -> Self {
        let store = Store::new(Arc::new(MemoryBackend::new()), Arc::new(SystemClock), Epoch([7; 16]));
        let s3_config = S3Config {
            domains: Vec::new(),
            region: None,
            host_id: "host".to_owned(),
            events: Default::default(),
        };
        let s3 = service(store, Arc::new(BTreeMap::new()), s3_config);
        let mut album = Album::new(BucketName::parse("shop-prod").unwrap());
        album.signing_key = Some(SecretKey::new(KEY));
        change(&mut album);
        let images = Images::new(
            Arc::new(Shop { s3: s3.clone(), album }),
            ImagesConfig {
                pool: config(2),
                cache_bytes: 4 << 20,
            },
        );
        let rig = Self { s3, images };
        assert_eq!(rig.put("", "private", "", Vec::new()).await, 200);
        rig
    }

    async fn put(&self, key: &str, acl: &str, kind: &str, bytes: Vec<u8>) -> u16 {
        let mut request = Request::put(format!("/shop-prod{key}"))
            .header("host", "localhost")
            .header("content-length", bytes.len());
        if !key.is_empty() {
            request = request.header("x-amz-acl", acl).header("content-type", kind);
        }
        let mut request = request.body(Full::new(Bytes::from(bytes))).unwrap();
        request.extensions_mut().insert(Identity::Root);
        self.s3.handle(request).await.status().as_u16()
    }

    async fn delete(&self, key: &str) {
        let request = Request::delete(format!("/shop-prod{key}")).header("host", "localhost");
        let mut request = request.body(Full::new(Bytes::new())).unwrap();
        request.extensions_mut().insert(Identity::Root);
        assert_eq!(self.s3.handle(request).await.status().as_u16(), 204);
    }

    async fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], who: Identity) -> Answer {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("/v1/img/{path}"))
            .header("host", "localhost");
        // A bearer stands for whoever the server would find out.
        if who != Identity::Anonymous {
            request = request.header("authorization", "Bearer of.a.token");
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let body = Full::new(Bytes::new()).map_err(|never| match never {}).boxed();
        let mut request = request.body(body).unwrap();
        request.extensions_mut().insert(who);
        let (parts, body) = self.images.handle(request).await.into_parts();
        Answer {
            status: parts.status.as_u16(),
            headers: parts.headers,
            body: body.collect().await.unwrap().to_bytes(),
        }
    }

    async fn get(&self, path: &str) -> Answer {
        self.ask("GET", &format!("shop/prod/{path}"), &[], Identity::Anonymous)
            .await
    }
}

#[tokio::test]
async fn a_public_image_is_made_once_and_served_to_everybody_in_the_format_they_take() {
    let rig = Rig::new(|_| {}).await;
    assert_eq!(
        rig.put("/a/b%20c.jpg", "public-read", "image/jpeg", picture(400, 300))
            .await,
        200
    );
    let plain = rig.get("fit-in/100x100/a/b%20c.jpg").await;
    assert_eq!(
        (plain.status, plain.header("content-type"), plain.width()),
        (200, "image/jpeg", 100)
    );
    assert_eq!(plain.header("vary"), "Accept");
    assert_eq!(plain.header("cache-control"), "public, max-age=3600, s-maxage=60");
    assert_eq!(plain.header("content-security-policy"), "default-src 'none'; sandbox");
    assert_eq!(plain.header("content-length"), plain.body.len().to_string());
    let path = "shop/prod/fit-in/100x100/a/b%20c.jpg";
    let takes = [("accept", "image/avif,image/webp,*/*;q=0.8")];
    let webp = rig.ask("GET", path, &takes, Identity::Anonymous).await;
    assert_eq!(
        (webp.status, webp.header("content-type"), webp.width()),
        (200, "image/webp", 100)
    );
    assert_ne!(webp.header("etag"), plain.header("etag"));
    // The same wish in other words is the same image.
    let again = rig.get("fit-in/100x100/center/middle/a/%62%20c.jpg?v=3").await;
    assert_eq!(
        (again.body.clone(), again.header("etag")),
        (plain.body.clone(), plain.header("etag"))
    );
    assert_eq!(again.header("cache-control"), "public, max-age=31536000, immutable");
    let head = rig.ask("HEAD", path, &[], Identity::Anonymous).await;
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert_eq!(head.header("content-length"), plain.header("content-length"));
    let known = [("if-none-match", plain.header("etag"))];
    let unchanged = rig.ask("GET", path, &known, Identity::Anonymous).await;
    assert_eq!((unchanged.status, unchanged.body.len()), (304, 0));
    assert_eq!(unchanged.header("etag"), plain.header("etag"));
    let figures = rig.images.figures();
    assert_eq!(
        (figures.made, figures.cached_images, figures.cache_hits),
        (2, 2, 2),
        "{figures:?}"
    );
}

#[tokio::test]
async fn avif_is_chosen_where_it_is_wanted_and_the_image_is_small() {
    let rig = Rig::new(|album| album.auto_formats.avif = true).await;
    rig.put("/k.jpg", "public-read", "image/jpeg", picture(1_001, 500))
        .await;
    let ask = async |wish: &str, accept: &'static str| {
        let path = format!("shop/prod/{wish}/k.jpg");
        rig.ask("GET", &path, &[("accept", accept)], Identity::Anonymous).await
    };
    let browser = "image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8";
    let mut tags = std::collections::BTreeSet::new();
    for (accept, kind) in [
        (browser, "image/avif"),
        ("image/webp,*/*", "image/webp"),
        ("image/*,*/*;q=0.8", "image/jpeg"),
        ("image/avif;q=0.1,image/webp", "image/webp"),
    ] {
        let made = ask("64x48", accept).await;
        assert_eq!((made.status, made.header("content-type")), (200, kind), "{accept}");
        assert_eq!(made.header("vary"), "Accept");
        tags.insert(made.header("etag").to_owned());
        let known = [("accept", accept), ("if-none-match", made.header("etag"))];
        let path = "shop/prod/64x48/k.jpg";
        let unchanged = rig.ask("GET", path, &known, Identity::Anonymous).await;
        assert_eq!((unchanged.status, unchanged.header("etag")), (304, made.header("etag")));
    }
    assert_eq!(tags.len(), 3, "each format has its own entity tag");
    assert_eq!(rig.images.figures().cached_images, 3);
    // An environment that does not choose it sends it to nobody.
    let before = Rig::new(|_| {}).await;
    before
        .put("/k.jpg", "public-read", "image/jpeg", picture(1_001, 500))
        .await;
    let plain = before
        .ask(
            "GET",
            "shop/prod/64x48/k.jpg",
            &[("accept", browser)],
            Identity::Anonymous,
        )
        .await;
    assert_eq!(plain.header("content-type"), "image/webp");
    // What is too large for it is WebP, and what was asked for by name is refused.
    let large = ask("1001x500", browser).await;
    assert_eq!((large.status, large.header("content-type")), (200, "image/webp"));
    let refused = ask("2001x1000/filters:format(avif)", browser).await;
    assert_eq!((refused.status, refused.code().as_str()), (422, "image/too-expensive"));
    assert_eq!(rig.images.figures().workers_lost, 0);
    let named = ask("64x48/filters:format(avif)", "*/*").await;
    assert_eq!((named.header("content-type"), named.header("vary")), ("image/avif", ""));
    assert!(named.body.starts_with(b"\0\0\0") && named.body[4..12] == *b"ftypavif");
}

#[tokio::test]
async fn an_avif_is_none_that_is_made_of() {
    let rig = Rig::new(|_| {}).await;
    rig.put("/k.jpg", "public-read", "image/jpeg", picture(64, 48)).await;
    let avif = rig.get("filters:format(avif)/k.jpg").await;
    rig.put("/k.avif", "public-read", "image/avif", avif.body.to_vec())
        .await;
    let refused = rig.get("32x0/k.avif").await;
    assert_eq!((refused.status, refused.code().as_str()), (415, "image/not-an-image"));
    assert_eq!(rig.get("k.avif").await.body, avif.body);
}

#[tokio::test]
async fn an_image_is_shown_to_whom_its_file_is_open_at_each_request() {
    let rig = Rig::new(|_| {}).await;
    for (key, acl, guest, user) in [
        ("public", "public-read", 200, 200),
        ("protected", "authenticated-read", 403, 200),
        ("private", "private", 403, 200),
    ] {
        rig.put(&format!("/{key}.jpg"), acl, "image/jpeg", picture(400, 300))
            .await;
        for path in [format!("shop/prod/100x0/{key}.jpg"), format!("shop/prod/{key}.jpg")] {
            let seen = rig.ask("GET", &path, &[], Identity::Root).await;
            assert_eq!(seen.status, user, "{path}");
            assert_eq!(seen.header("cache-control"), "private, no-cache");
            // Also when it is kept ready.
            let seen = rig.ask("GET", &path, &[], Identity::Anonymous).await;
            assert_eq!(seen.status, guest, "{path}");
            if guest == 403 {
                assert_eq!(seen.code(), "file/access-denied");
            }
        }
    }
    // What is made private is so for the next who asks.
    rig.put("/public.jpg", "private", "image/jpeg", picture(400, 300)).await;
    assert_eq!(rig.get("100x0/public.jpg").await.status, 403);
}

#[tokio::test]
async fn an_image_is_that_of_the_file_as_it_is_now() {
    let rig = Rig::new(|_| {}).await;
    rig.put("/k", "public-read", "image/jpeg", picture(400, 300)).await;
    let first = rig.get("100x0/k").await;
    rig.put(
        "/k",
        "public-read",
        "image/png",
        file(RgbImage::new(50, 50), ImageFormat::Png),
    )
    .await;
    let second = rig.get("100x0/k").await;
    assert_eq!(second.header("content-type"), "image/png");
    assert_ne!(first.header("etag"), second.header("etag"));
    let known = [("if-none-match", first.header("etag"))];
    let asked = rig.ask("GET", "shop/prod/100x0/k", &known, Identity::Anonymous).await;
    assert_eq!(asked.status, 200);
    assert_eq!(rig.images.figures().cached_images, 1, "the old one is given up");
    rig.delete("/k").await;
    assert_ne!(rig.get("100x0/k").await.status, 200);
    let gone = rig.ask("GET", "shop/prod/100x0/k", &[], Identity::Root).await;
    assert_eq!((gone.status, gone.code().as_str()), (404, "file/not-found"));
    assert_eq!(rig.images.figures().cached_images, 0);
}

#[tokio::test]
async fn many_who_ask_at_once_have_it_made_once() {
    let rig = Rig::new(|_| {}).await;
    rig.put("/k.jpg", "public-read", "image/jpeg", picture(800, 600)).await;
    let all = join_all((0..30).map(|_| rig.get("200x200/k.jpg"))).await;
    assert!(all.iter().all(|answer| answer.status == 200));
    assert_eq!(rig.images.figures().made, 1);
}

#[tokio::test]
async fn a_signed_url_is_taken_and_a_forged_one_refused() {
    let rig = Rig::new(|album| album.signed_only = true).await;
    rig.put("/k.jpg", "public-read", "image/jpeg", picture(400, 300)).await;
    let signed = |wish: &str| format!("{}/{wish}", signature(&SecretKey::new(KEY), wish));
    assert_eq!(rig.get(&signed("120x0/k.jpg")).await.width(), 120);
    let forged = signed("120x0/k.jpg").replace("120x0", "121x0");
    let refused = rig.get(&forged).await;
    assert_eq!(
        (refused.status, refused.code().as_str()),
        (403, "image/invalid-signature")
    );
    for path in ["120x0/k.jpg", "unsafe/120x0/k.jpg"] {
        let refused = rig.get(path).await;
        assert_eq!(
            (refused.status, refused.code().as_str()),
            (403, "image/signature-required")
        );
    }
    // A signature is for the wish, and never for the file.
    rig.put("/secret.jpg", "private", "image/jpeg", picture(400, 300)).await;
    assert_eq!(rig.get(&signed("120x0/secret.jpg")).await.status, 403);
    assert_eq!(rig.get("k.jpg").await.status, 200);
}

#[tokio::test]
async fn a_preset_is_what_the_project_says_it_is() {
    let card = Options::parse("fit-in/64x64/filters:format(png)").unwrap();
    let rig = Rig::new(|album| {
        album.presets.insert("card".to_owned(), card);
        album.signed_only = true;
    })
    .await;
    rig.put("/k.jpg", "public-read", "image/jpeg", picture(400, 300)).await;
    let made = rig.get("p/card/k.jpg").await;
    assert_eq!(
        (made.width(), made.header("content-type"), made.header("vary")),
        (64, "image/png", "")
    );
    assert_eq!(rig.get("p/poster/k.jpg").await.code(), "image/no-such-preset");
}

#[tokio::test]
async fn one_file_has_only_so_many_images_that_nobody_signed() {
    let rig = Rig::new(|album| album.unsigned_variants_per_hour = 3).await;
    rig.put("/k.jpg", "public-read", "image/jpeg", picture(400, 300)).await;
    for wish in ["50x0", "51x0", "51x0/filters:format(avif)"] {
        assert_eq!(rig.get(&format!("{wish}/k.jpg")).await.status, 200);
    }
    let refused = rig.get("53x0/k.jpg").await;
    assert_eq!((refused.status, refused.code().as_str()), (429, "RATE_LIMIT_EXCEEDED"));
    assert!(refused.header("retry-after").parse::<u64>().unwrap() > 3_000);
    // Those that were made stay, and a signature makes more.
    assert_eq!(rig.get("50x0/k.jpg").await.status, 200);
    let wish = "53x0/k.jpg";
    let signed = format!("{}/{wish}", signature(&SecretKey::new(KEY), wish));
    assert_eq!(rig.get(&signed).await.status, 200);
}

#[tokio::test]
async fn what_is_no_image_is_served_neither_made_nor_as_it_is() {
    let rig = Rig::new(|_| {}).await;
    let html = b"<html><script>alert(1)</script></html>".to_vec();
    rig.put("/page.html", "public-read", "text/html", html.clone()).await;
    rig.put("/liar.png", "public-read", "image/png", html).await;
    rig.put("/drawing.svg", "public-read", "image/svg+xml", b"<svg/>".to_vec())
        .await;
    for path in [
        "100x0/page.html",
        "page.html",
        "100x0/liar.png",
        "100x0/drawing.svg",
        "drawing.svg",
    ] {
        let refused = rig.get(path).await;
        assert_eq!(
            (refused.status, refused.code().as_str()),
            (415, "image/not-an-image"),
            "{path}"
        );
    }
    let whole = rig.get("liar.png").await;
    assert_eq!(whole.header("content-security-policy"), "default-src 'none'; sandbox");
    // It is remembered that there is none.
    let refused = rig.images.figures().refused;
    assert_eq!(rig.get("100x0/liar.png").await.status, 415);
    assert_eq!(rig.images.figures().refused, refused);
}

#[tokio::test]
async fn a_wrong_request_is_told_what_is_wrong_with_it() {
    let rig = Rig::new(|_| {}).await;
    rig.put("/k.jpg", "public-read", "image/jpeg", picture(40, 30)).await;
    for (path, status, code) in [
        ("shop/prod/5000x0/k.jpg", 400, "image/invalid-options"),
        ("shop/prod/100x0:200x10/k.jpg", 400, "image/invalid-options"),
        ("shop/prod/filters:format(heic)/k.jpg", 501, "image/not-built"),
        ("shop/prod/100x100/", 400, "file/invalid-path"),
        ("shop/prod/100x100/%ff", 400, "file/invalid-path"),
        ("shop/dev/100x100/k.jpg", 404, "PROJECT_NOT_FOUND"),
        ("else/prod/100x100/k.jpg", 404, "PROJECT_NOT_FOUND"),
        ("shop", 404, "PROJECT_NOT_FOUND"),
        ("shop/prod/100x100/../other/k.jpg", 403, "file/access-denied"),
        (
            "shop/prod/100x100/http://elsewhere.test/k.jpg",
            403,
            "file/access-denied",
        ),
    ] {
        let refused = rig.ask("GET", path, &[], Identity::Anonymous).await;
        assert_eq!((refused.status, refused.code().as_str()), (status, code), "{path}");
        assert_eq!(refused.header("cache-control"), "no-store");
    }
    let posted = rig.ask("POST", "shop/prod/100x0/k.jpg", &[], Identity::Root).await;
    assert_eq!((posted.status, posted.header("allow")), (405, "GET, HEAD"));
    // An original is asked for as any object: by range, and by condition.
    let part = rig
        .ask("GET", "shop/prod/k.jpg", &[("range", "bytes=0-1")], Identity::Anonymous)
        .await;
    assert_eq!((part.status, part.body.as_ref()), (206, &[0xff, 0xd8][..]));
    let whole = rig.get("k.jpg").await;
    let known = [("if-none-match", whole.header("etag"))];
    assert_eq!(
        rig.ask("GET", "shop/prod/k.jpg", &known, Identity::Anonymous)
            .await
            .status,
        304
    );
}
