//! A bucket with a quota takes no more by any way of writing, and says so as MinIO does.

use std::sync::Arc;

use storage_engine::backend::Backend;
use storage_engine::memory::MemoryBackend;
use storage_engine::store::clock::SystemClock;
use storage_engine::store::name::BucketName;
use storage_engine::store::record::settings::Quota;
use storage_engine::store::{Epoch, Store};

use super::{Answer, Server};

const MIB5: usize = 5 * 1024 * 1024;
const ROOM: u64 = 6 * 1024 * 1024;

/// A bucket that may hold 6 MiB, beside one that may hold anything.
async fn with_quota() -> Server {
    let backend: Arc<dyn Backend> = Arc::new(MemoryBackend::new());
    let server = Server::over(Arc::clone(&backend));
    server.put("/bucket").send().await.is(200);
    server.put("/free").send().await.is(200);
    let store = Store::new(backend, Arc::new(SystemClock), Epoch([8; 16]));
    let bucket = BucketName::parse("bucket").unwrap();
    store
        .change_settings(&bucket, |settings| settings.quota = Some(Quota { bytes: ROOM }))
        .await
        .unwrap();
    server
}

impl Answer {
    fn finds_no_room(self) -> Self {
        let answer = self.fails(400, "XMinioAdminBucketQuotaExceeded");
        assert_eq!(answer.element("Message").as_deref(), Some("Bucket quota exceeded"));
        answer
    }
}

#[tokio::test]
async fn every_way_to_write_is_refused_where_it_has_no_room_and_stores_nothing() {
    let server = with_quota().await;
    let large = vec![b'x'; MIB5];
    server.store("/free/large", large.clone()).await;
    server.store("/bucket/first", large.clone()).await;

    server
        .put("/bucket/second")
        .body(large.clone())
        .send()
        .await
        .finds_no_room();
    let copy = server.put("/bucket/second").header("x-amz-copy-source", "/free/large");
    copy.send().await.finds_no_room();
    server
        .form("up/second")
        .file("f", large.clone())
        .send()
        .await
        .finds_no_room();

    let begun = server.post("/bucket/parts?uploads").send().await.is(200);
    let id = begun.element("UploadId").unwrap();
    let part = format!("/bucket/parts?partNumber=1&uploadId={id}");
    server.put(&part).body(large.clone()).send().await.finds_no_room();
    let copied = server.put(&part).header("x-amz-copy-source", "/free/large");
    copied.send().await.finds_no_room();
    let names = server.get("/bucket").send().await.is(200).elements("Key");
    assert_eq!(names, ["first"]);

    // What is no larger than what it replaces is taken, and what leaves makes room at once.
    server.store("/bucket/first", large.clone()).await;
    server.delete("/bucket/first").send().await.is(204);
    let etag = server.put(&part).body(large.clone()).send().await.is(200);
    let etag = etag.header("etag").unwrap().to_owned();
    // Room that went while the parts came in is missed at the end, and the upload waits for it.
    server.store("/bucket/other", vec![b'y'; 2 << 20]).await;
    let document = format!(
        "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{etag}</ETag></Part></CompleteMultipartUpload>"
    );
    let complete = || {
        server
            .post(&format!("/bucket/parts?uploadId={id}"))
            .body(document.clone())
    };
    complete().send().await.finds_no_room();
    server.get("/bucket/parts").send().await.fails(404, "NoSuchKey");
    server.delete("/bucket/other").send().await.is(204);
    complete().send().await.is(200);
    assert_eq!(server.get("/bucket/parts").send().await.is(200).body.len(), MIB5);
    server.store("/free/more", large).await;
}
