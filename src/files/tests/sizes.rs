//! Sizes that are announced, where a logical bucket has exact ones: by every way bytes come.

use serde_json::{Value, json};
use storage_engine::store::body::NewBody;
use storage_engine::store::condition::WriteCondition;
use storage_engine::store::multipart::part::PartPlace;
use storage_engine::store::name::{ObjectKey, PartNumber, UploadId};
use storage_engine::store::object::put::PutObject;
use storage_engine::store::record::labels::Labels;
use storage_engine::store::record::object::Metadata;

use super::{Shop, Told, Who, bucket};

const CODE: &str = "file/size-mismatch";
const TEXT: (&str, &str) = ("content-type", "text/plain");

/// A file of ten bytes, in the bucket with exact sizes.
fn ten() -> Value {
    json!({ "filename": "a.txt", "contentType": "text/plain", "fileSize": 10, "bucket": "exact" })
}

impl Shop {
    async fn with_exact_sizes() -> Self {
        let shop = Self::new().await;
        let rules = json!({ "sizes": "exact" });
        shop.put(&shop.server(), "files/buckets/exact", rules).await.is(200);
        shop
    }

    async fn relayed(&self, who: &Who, query: &str, body: &str) -> Told {
        let path = format!("files/upload?filename=a.txt{query}");
        self.ask(who, "POST", &path, &[TEXT], body.into()).await
    }

    async fn formed(&self, who: &Who, bucket: &str, body: &str) -> Told {
        let field = |name: &str, value: &str| {
            format!("--x\r\ncontent-disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
        };
        let form = format!(
            "{}{}--x\r\ncontent-disposition: form-data; name=\"file\"; filename=\"a.txt\"\r\n\
             content-type: text/plain\r\n\r\n{body}\r\n--x--\r\n",
            field("fileSize", "10"),
            field("bucket", bucket),
        );
        let kind = [("content-type", "multipart/form-data; boundary=x")];
        self.ask(who, "POST", "files/upload", &kind, form.into()).await
    }

    /// Bytes that nobody looks at as they come.
    async fn arrives(&self, key: &str, bytes: &'static str) {
        let put = PutObject {
            bucket: bucket(),
            key: ObjectKey::parse(key.to_owned()).unwrap(),
            metadata: Metadata::default(),
            labels: Labels::default(),
            body: NewBody::from_bytes(bytes),
            condition: WriteCondition::default(),
        };
        self.store.put_object(put).await.unwrap();
    }

    /// How many files there are, whatever their state.
    async fn files(&self) -> usize {
        let mut found = 0;
        for state in ["pending", "received", "active", "rejected"] {
            let listed = self.get(&self.server(), &format!("files?state={state}")).await.is(200);
            found += listed.field("/items").as_array().unwrap().len();
        }
        found
    }
}

#[tokio::test]
async fn fewer_bytes_than_were_announced_are_refused_through_the_server() {
    let shop = Shop::with_exact_sizes().await;
    let ann = shop.person("ann");
    shop.relayed(&ann, "&bucket=exact&fileSize=10", "words")
        .await
        .refused(400, CODE);
    shop.formed(&ann, "exact", "words").await.refused(400, CODE);
    assert_eq!(shop.files().await, 0, "nothing is kept of them");
    shop.relayed(&ann, "&bucket=exact&fileSize=10", "some words")
        .await
        .is(201);
    shop.formed(&ann, "exact", "some words").await.is(201);
    // Nothing is announced but what comes.
    shop.relayed(&ann, "&bucket=exact", "words").await.is(201);
    // Elsewhere it is the most, and by a category as by a bucket.
    shop.relayed(&ann, "&bucket=media&fileSize=10", "words").await.is(201);
    shop.formed(&ann, "media", "words").await.is(201);
    let long = shop.relayed(&ann, "&bucket=media&fileSize=10", "many more words").await;
    long.refused(413, "file/too-large");
}

#[tokio::test]
async fn an_address_takes_the_bytes_that_were_announced_and_no_fewer() {
    let shop = Shop::with_exact_sizes().await;
    let ann = shop.person("ann");
    let told = shop.post(&ann, "files/upload-url", ten()).await.is(200);
    let path = told
        .text("/uploadUrl")
        .strip_prefix("https://files.test/v1/")
        .unwrap()
        .to_owned();
    let send = async |bytes: &str| shop.ask(&Vec::new(), "POST", &path, &[TEXT], bytes.into()).await;
    send("words").await.refused(400, CODE);
    assert_eq!(
        send("some words").await.is(200).field("/size"),
        json!(10),
        "it may be sent once more"
    );
}

#[tokio::test]
async fn parts_are_put_together_once_they_are_as_much_as_was_announced() {
    let shop = Shop::with_exact_sizes().await;
    let ann = shop.person("ann");
    let told = shop.post(&ann, "files/multipart/init", ten()).await.is(200);
    let (upload, key) = (told.text("/uploadId"), told.text("/key"));
    let send = async |bytes: &'static str| {
        let place = PartPlace {
            bucket: bucket(),
            key: ObjectKey::parse(key.clone()).unwrap(),
            upload: UploadId::parse(&upload[32..]).unwrap(),
            number: PartNumber::new(1).unwrap(),
        };
        shop.store
            .upload_part(&place, NewBody::from_bytes(bytes))
            .await
            .unwrap();
        let parts = shop.get(&ann, &format!("files/multipart/{upload}/parts")).await.is(200);
        json!({ "uploadId": upload, "parts": [{ "partNumber": 1, "etag": parts.text("/parts/0/etag") }] })
    };
    let named = send("words").await;
    shop.post(&ann, "files/multipart/complete", named)
        .await
        .refused(400, CODE);
    let named = send("some words").await;
    for _ in 0..2 {
        let done = shop.post(&ann, "files/multipart/complete", named.clone()).await.is(200);
        assert_eq!(done.field("/size"), json!(10));
    }
}

#[tokio::test]
async fn a_resumable_upload_is_a_file_once_it_has_the_bytes_that_were_announced() {
    let shop = Shop::with_exact_sizes().await;
    let ann = shop.person("ann");
    let tus = ("tus-resumable", "1.0.0");
    // `a.txt`, `exact`.
    let said = ("upload-metadata", "filename YS50eHQ=,bucket ZXhhY3Q=");
    let begun = shop
        .ask(&ann, "POST", "tus", &[tus, said, ("upload-length", "10")], Vec::new())
        .await
        .is(201);
    let file = begun.header("upload-file-id").to_owned();
    let path = begun
        .header("location")
        .strip_prefix("https://files.test/v1/")
        .unwrap()
        .to_owned();
    for (offset, status) in [("0", "pending"), ("5", "active")] {
        let more = [
            tus,
            ("content-type", "application/offset+octet-stream"),
            ("upload-offset", offset),
        ];
        shop.ask(&ann, "PATCH", &path, &more, b"words".to_vec()).await.is(204);
        let told = shop.get(&ann, &format!("files/{file}")).await.is(200);
        assert_eq!(told.text("/status"), status, "{offset}");
    }
}

#[tokio::test]
async fn a_file_is_registered_with_the_size_it_has() {
    let shop = Shop::with_exact_sizes().await;
    let ann = shop.person("ann");
    let register = |key: &str, size: u64, more: Value| {
        let mut said = json!({ "s3Key": key, "originalName": "a.txt", "mimeType": "text/plain", "size": size });
        said.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        said
    };
    let key = shop.post(&ann, "files/presigned-url", ten()).await.is(200).text("/key");
    shop.arrives(&key, "some words").await;
    shop.post(&ann, "files", register(&key, 9, json!({})))
        .await
        .refused(400, CODE);
    let file = shop.post(&ann, "files", register(&key, 10, json!({}))).await.is(201);
    // The size was that of the first bytes.
    let path = format!("files/{}/replace", file.text("/id"));
    let other = shop.ask(&ann, "POST", &path, &[TEXT], b"words".to_vec()).await.is(200);
    assert_eq!(other.field("/size"), json!(5));

    // What came unseen is looked at now, and is gone.
    let told = shop.post(&ann, "files/presigned-url", ten()).await.is(200);
    shop.arrives(&told.text("/key"), "words").await;
    let said = register(&told.text("/key"), 5, json!({}));
    shop.post(&ann, "files", said).await.refused(400, CODE);
    let seen = shop.get(&ann, &format!("files/{}", told.text("/fileId"))).await.is(200);
    assert_eq!(seen.text("/status"), "rejected");

    // The bucket that it is put into counts.
    let mut lenient = ten();
    lenient["bucket"] = json!("media");
    let key = shop
        .post(&ann, "files/presigned-url", lenient)
        .await
        .is(200)
        .text("/key");
    shop.arrives(&key, "words").await;
    let into = json!({ "bucket": "exact" });
    shop.post(&ann, "files", register(&key, 10, into))
        .await
        .refused(400, CODE);
    shop.post(&ann, "files", register(&key, 10, json!({}))).await.is(201);
}
