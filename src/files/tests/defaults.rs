//! Who reads files that name no visibility, in an environment where that is set: by every way a file begins.

use serde_json::{Value, json};
use storage_engine::store::files::FileId;
use storage_engine::store::projects::OfProject;
use storage_engine::store::record::labels::Visibility;

use super::outward::text_server;
use super::{Shop, Told, Who, bucket};
use crate::projects::LogicalBucket;

const TUS: (&str, &str) = ("tus-resumable", "1.0.0");
/// `a.txt`.
const NAMED: (&str, &str) = ("upload-metadata", "filename YS50eHQ=");
const DRAFT: (&str, &str) = ("upload-draft-interop-version", "8");
const FORM: &str = "--x\r\ncontent-disposition: form-data; name=\"file\"; filename=\"a.txt\"\r\n\
                    content-type: text/plain\r\n\r\nwords\r\n--x--\r\n";

impl Shop {
    /// What `drystone project set shop/dev --default-visibility` sets.
    async fn by_default(&self, level: Visibility) {
        self.store
            .change_settings(&bucket(), |settings| settings.visibility = Some(level))
            .await
            .unwrap();
    }

    async fn logical_default(&self, name: &str, level: Visibility) {
        let rules = LogicalBucket {
            visibility: Some(level),
            ..LogicalBucket::default()
        };
        let of = OfProject::new("shop", "dev");
        self.projects.set_logical(of, name, Some(rules)).await.unwrap();
    }

    /// Who reads the file that this answer is about.
    async fn visibility_of(&self, told: &Told) -> Visibility {
        let ids = [
            told.text("/fileId"),
            told.text("/id"),
            told.header("upload-file-id").to_owned(),
        ];
        let file = match ids.iter().find_map(|id| FileId::parse(id)) {
            Some(id) => self.store.file(&bucket(), &id).await.unwrap().unwrap().0,
            None => {
                let keys = [told.text("/key"), told.text("/fields/key")];
                let key = keys.into_iter().find(|key| !key.is_empty()).expect("an id or a key");
                self.store.file_of_key(&bucket(), &key).await.unwrap().unwrap().1
            }
        };
        file.labels.visibility.expect("it is said")
    }

    /// A file is begun by each way, with nothing said but what it is called, its type and `more`.
    async fn begun_by_each_way(&self, who: &Who, more: &Value) -> Vec<(&'static str, Told)> {
        let mut begun = Vec::new();
        let mut fields = json!({ "filename": "a.txt", "contentType": "text/plain", "type": "text/plain" });
        fields
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        for way in [
            "files/presigned-url",
            "files/presigned-post",
            "files/upload-url",
            "files/multipart/init",
            "s3/multipart",
        ] {
            begun.push((way, self.post(who, way, fields.clone()).await.is(200)));
        }
        let said = more.as_object().unwrap().iter();
        let query: String = said
            .map(|(name, value)| format!("&{name}={}", value.as_str().unwrap()))
            .collect();
        let params = format!("s3/params?filename=a.txt&type=text/plain{query}");
        begun.push(("s3/params", self.get(who, &params).await.is(200)));
        let raw = format!("files/upload?filename=a.txt{query}");
        let text = [("content-type", "text/plain")];
        let told = self.ask(who, "POST", &raw, &text, b"words".to_vec()).await.is(201);
        begun.push(("upload", told));
        let url = text_server().await;
        let mut fetched = json!({ "url": url, "filename": "a.txt" });
        fetched
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        begun.push(("from-url", self.post(who, "files/from-url", fetched).await.is(201)));
        begun
    }
}

#[tokio::test]
async fn a_file_that_says_nothing_is_as_its_environment_has_it_by_whatever_way_it_begins() {
    let shop = Shop::new().await;
    let ann = shop.person("ann");
    for level in [Visibility::Private, Visibility::Public, Visibility::Protected] {
        shop.by_default(level).await;
        let mut begun = shop.begun_by_each_way(&ann, &json!({})).await;
        let form = [("content-type", "multipart/form-data; boundary=x")];
        let told = shop.ask(&ann, "POST", "files/upload", &form, FORM.into()).await.is(201);
        begun.push(("a form", told));
        let tus = [TUS, NAMED, ("upload-length", "5")];
        let told = shop.ask(&ann, "POST", "tus", &tus, Vec::new()).await.is(201);
        begun.push(("tus", told));
        let draft = [
            DRAFT,
            ("upload-complete", "?1"),
            ("content-length", "5"),
            ("content-type", "text/plain"),
        ];
        let told = shop.ask(&ann, "POST", "tus", &draft, b"words".to_vec()).await.is(201);
        begun.push(("the draft", told));
        let told = shop.begun_by_each_way(&shop.server(), &json!({})).await;
        begun.extend(told);
        for (way, told) in begun {
            assert_eq!(shop.visibility_of(&told).await, level, "{way}");
        }
        let buckets = shop.get(&ann, "files/buckets").await.is(200).field("/items");
        let media = buckets.as_array().unwrap().iter().find(|item| item["name"] == "media");
        assert_eq!(media.unwrap()["defaultVisibility"], level.name());
    }
}

#[tokio::test]
async fn what_a_file_or_its_logical_bucket_says_counts_before_what_its_environment_says() {
    let shop = Shop::new().await;
    let ann = shop.person("ann");
    shop.by_default(Visibility::Public).await;
    shop.logical_default("documents", Visibility::Protected).await;
    for (said, expected) in [
        (json!({ "visibility": "private" }), Visibility::Private),
        (json!({ "bucket": "documents" }), Visibility::Protected),
        (
            json!({ "bucket": "documents", "visibility": "private" }),
            Visibility::Private,
        ),
        (json!({ "bucket": "images" }), Visibility::Public),
    ] {
        for (way, told) in shop.begun_by_each_way(&ann, &said).await {
            assert_eq!(shop.visibility_of(&told).await, expected, "{way} {said}");
        }
    }
    let note = shop.file(&ann, "private").await;
    let copy = shop.post(&ann, &format!("files/{note}/copy"), json!({})).await.is(201);
    assert_eq!(copy.text("/visibility"), "private", "a copy of what is closed");
    let copy = shop
        .post(&ann, &format!("files/{note}/copy"), json!({ "bucket": "documents" }))
        .await;
    assert_eq!(copy.is(201).text("/visibility"), "protected");
}

#[tokio::test]
async fn what_was_there_before_a_default_is_set_stays_as_it_is() {
    let shop = Shop::new().await;
    let ann = shop.person("ann");
    let asked = json!({ "filename": "a.txt", "contentType": "text/plain" });
    let announced = shop.post(&ann, "files/presigned-url", asked).await.is(200);
    shop.by_default(Visibility::Public).await;
    assert_eq!(shop.visibility_of(&announced).await, Visibility::Private);
    let id = announced.text("/fileId");
    shop.get(&shop.guest(), &format!("files/{id}"))
        .await
        .refused(403, "file/access-denied");
}

#[tokio::test]
async fn what_guests_put_is_as_open_as_its_bucket_says_and_no_more() {
    let shop = Shop::new().await;
    let guest = shop.guest();
    shop.by_default(Visibility::Public).await;
    for (own, expected) in [
        (None, Visibility::Private),
        (Some(Visibility::Protected), Visibility::Protected),
    ] {
        let rules = LogicalBucket {
            guest_upload: true,
            visibility: own,
            ..LogicalBucket::default()
        };
        let of = OfProject::new("shop", "dev");
        shop.projects.set_logical(of, "inbox", Some(rules)).await.unwrap();
        let asked = json!({ "filename": "a.txt", "contentType": "text/plain", "bucket": "inbox" });
        let told = shop.post(&guest, "files/presigned-url", asked.clone()).await.is(200);
        assert_eq!(shop.visibility_of(&told).await, expected);
        let mut asked = asked;
        asked["visibility"] = json!("public");
        shop.post(&guest, "files/presigned-url", asked)
            .await
            .refused(403, "file/access-denied");
    }
}

#[tokio::test]
async fn an_upload_token_that_says_nothing_makes_files_as_their_environment_has_them() {
    let shop = Shop::new().await;
    shop.by_default(Visibility::Public).await;
    let asked = json!({ "filename": "a.txt", "contentType": "text/plain" });
    let who = shop.uploader(json!({ "contentTypes": ["text/plain"] })).await;
    let told = shop.post(&who, "files/presigned-url", asked.clone()).await.is(200);
    assert_eq!(shop.visibility_of(&told).await, Visibility::Public);
    let who = shop
        .uploader(json!({ "contentTypes": ["text/plain"], "visibility": "private" }))
        .await;
    let told = shop.post(&who, "files/presigned-url", asked).await.is(200);
    assert_eq!(shop.visibility_of(&told).await, Visibility::Private);
}
