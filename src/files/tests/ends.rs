//! What ends by itself: addresses that were given out, and resumable uploads that nobody goes on with.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use storage_engine::memory::MemoryBackend;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use url::Url;

use super::{Later, Shop, Told};

fn moment(told: &Told, field: &str) -> OffsetDateTime {
    OffsetDateTime::parse(&told.text(field), &Rfc3339).unwrap()
}

/// What a parameter of an address says.
fn parameter(url: &str, name: &str) -> String {
    let url = Url::parse(url).unwrap();
    let mut found = url.query_pairs().filter(|(known, _)| known == name);
    found.next().unwrap().1.into_owned()
}

impl Shop {
    /// The address that was just asked for lasts so many seconds, and not one more.
    fn lasts(&self, told: &Told, asked: OffsetDateTime, seconds: i64) {
        let (url, ends) = (told.text("/url"), moment(told, "/expiresAt"));
        assert_eq!(parameter(&url, "X-Amz-Expires"), seconds.to_string());
        let began = ends - time::Duration::seconds(seconds);
        let whole = asked.replace_nanosecond(0).unwrap();
        assert!((whole..=OffsetDateTime::now_utc()).contains(&began), "{began} {asked}");
        let date = parameter(&url, "X-Amz-Date");
        let said = began.format(&Rfc3339).unwrap().replace(['-', ':'], "");
        assert_eq!(date, said);
        let (access_key, token) = (
            parameter(&url, "X-Amz-Credential"),
            parameter(&url, "X-Amz-Security-Token"),
        );
        let access_key = access_key.split('/').next().unwrap();
        let opens = |now| self.links.redeem(access_key, &token, now).is_some();
        assert!(opens(ends - time::Duration::seconds(1)));
        assert!(!opens(ends));
    }
}

#[tokio::test]
async fn an_address_lasts_a_quarter_of_an_hour_to_upload_and_an_hour_to_read_unless_more_is_asked_for() {
    let shop = Shop::new().await;
    let ann = shop.person("ann");
    let wanted = |more: Value| {
        let mut wanted = json!({ "filename": "a.txt", "contentType": "text/plain" });
        wanted
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        wanted
    };
    let asked = OffsetDateTime::now_utc();
    for (more, seconds) in [
        (json!({}), 900),
        (json!({ "expiresIn": 60 }), 60),
        (json!({ "expiresIn": 3_600 }), 3_600),
    ] {
        let told = shop.post(&ann, "files/presigned-url", wanted(more)).await.is(200);
        shop.lasts(&told, asked, seconds);
    }
    let path = format!("files/{}/download-url", shop.file(&ann, "private").await);
    for (more, seconds) in [
        (json!({}), 3_600),
        (json!({ "expiresIn": 60 }), 60),
        (json!({ "expiresIn": 604_800 }), 604_800),
    ] {
        let told = shop.post(&ann, &path, more).await.is(200);
        shop.lasts(&told, asked, seconds);
    }
    shop.lasts(&shop.get(&ann, &path).await.is(200), asked, 3_600);
    for (path, least, most) in [("files/presigned-url", 59, 3_601), (path.as_str(), 59, 604_801)] {
        for wrong in [least, most] {
            let told = shop.post(&ann, path, wanted(json!({ "expiresIn": wrong }))).await;
            told.refused(400, "common/invalid-request");
        }
    }
}

#[tokio::test]
async fn an_upload_that_nobody_wrote_to_for_a_day_has_expired() {
    let clock = Arc::new(Later::default());
    let shop = Shop::over(Arc::new(MemoryBackend::new()), clock.clone()).await;
    let ann = shop.person("ann");
    let tus = ("tus-resumable", "1.0.0");
    let draft = ("upload-draft-interop-version", "8");
    let bytes = ("content-type", "application/offset+octet-stream");
    let length = [tus, ("upload-length", "10")];
    let begun = shop.ask(&ann, "POST", "tus", &length, Vec::new()).await.is(201);
    let path = begun.header("location").split_once("/v1/").unwrap().1.to_owned();
    let day = Duration::from_secs(24 * 3_600);
    let almost = day - Duration::from_secs(1);
    // Each byte gives it another day.
    for (offset, piece) in [("0", "st"), ("2", "on")] {
        clock.forward(almost);
        let more = [tus, bytes, ("upload-offset", offset)];
        shop.ask(&ann, "PATCH", &path, &more, piece.into()).await.is(204);
    }
    clock.forward(day);
    let look = shop.ask(&ann, "HEAD", &path, &[tus], Vec::new()).await.is(200);
    assert_eq!(look.header("upload-offset"), "4");
    clock.forward(Duration::from_millis(1));
    for spoken in [tus, draft] {
        let look = shop.ask(&ann, "HEAD", &path, &[spoken], Vec::new()).await;
        assert_eq!(look.header("upload-offset"), "");
        look.refused(410, "upload/expired");
    }
    let more = [tus, bytes, ("upload-offset", "4")];
    let late = shop.ask(&ann, "PATCH", &path, &more, b"e wall".to_vec()).await;
    late.refused(410, "upload/expired");
    let partial = ("content-type", "application/partial-upload");
    let more = [draft, partial, ("upload-offset", "4"), ("upload-complete", "?1")];
    let late = shop.ask(&ann, "PATCH", &path, &more, b"e wall".to_vec()).await;
    late.refused(410, "upload/expired");
}
