//! Lists by what files have: for each filter exactly those that it lets through, in the order asked for.

use serde_json::{Value, json};
use storage_engine::store::body::NewBody;
use storage_engine::store::clock::{Clock, SystemClock};
use storage_engine::store::condition::WriteCondition;
use storage_engine::store::files::{File, OwnerType};
use storage_engine::store::name::ObjectKey;
use storage_engine::store::object::put::PutObject;
use storage_engine::store::record::labels::{Labels, Visibility};
use storage_engine::store::record::object::Metadata;
use time::OffsetDateTime;

use super::{Shop, Told, Who, bucket};
use crate::auth::sha256;
use crate::projects::LogicalBucket;

const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\x02\x80\0\0\x01\xe0\x08\x06\0\0\0";
const GIF: &[u8] = b"GIF89a\x0A\0\x14\0\0\0\0;";

/// Returns in another millisecond than it was called in, so that no two files are of one time.
fn next_moment() {
    let millis = || OffsetDateTime::now_utc().unix_timestamp_nanos() / 1_000_000;
    let before = millis();
    while millis() == before {
        std::thread::yield_now();
    }
}

impl Shop {
    /// A file that somebody sends in a form with what is said of it.
    async fn sent(&self, who: &Who, (name, kind, bytes): (&str, &str, &[u8]), said: &[(&str, &str)]) -> Told {
        next_moment();
        let field = |(field, text): &(&str, &str)| {
            format!("--b\r\ncontent-disposition: form-data; name=\"{field}\"\r\n\r\n{text}\r\n")
        };
        let head = format!(
            "{}--b\r\ncontent-disposition: form-data; name=\"file\"; filename=\"{name}\"\r\ncontent-type: {kind}\r\n\r\n",
            said.iter().map(field).collect::<String>()
        );
        let form = [head.as_bytes(), bytes, b"\r\n--b--\r\n"].concat();
        let kind = [("content-type", "multipart/form-data; boundary=b")];
        self.ask(who, "POST", "files/upload", &kind, form).await.is(201)
    }

    /// A file of a session, as only the catalogue itself can name one.
    async fn of_a_session(&self, name: &str) {
        next_moment();
        let id = self.store.next_file_id().unwrap();
        let mut file = File::pending(format!("{id}/{name}"), [7; 16], name.to_owned(), SystemClock.now());
        file.owner_type = OwnerType::Session;
        file.labels.visibility = Some(Visibility::Private);
        file.declared_type = Some("text/plain".to_owned());
        self.store.create_file(&bucket(), id, &file).await.unwrap();
        let put = PutObject {
            bucket: bucket(),
            key: ObjectKey::parse(file.key).unwrap(),
            metadata: Metadata::default(),
            labels: Labels::default(),
            body: NewBody::from_bytes("of a session"),
            condition: WriteCondition::default(),
        };
        self.store.put_object(put).await.unwrap();
        self.post(&self.server(), &format!("files/{id}/complete"), json!({}))
            .await
            .is(200);
    }

    /// What stands in a list of somebody's, in its order.
    async fn listed(&self, who: &Who, query: &str) -> String {
        let told = self.get(who, &format!("files?{query}")).await.is(200);
        names(&told)
    }

    /// Six files: what each of them has stands where it is made.
    async fn six(&self) {
        let (ann, bob) = (self.person("ann"), self.person("bob"));
        let tagged = |tags: Value| json!({ "tags": tags, "relatedEntityId": "post-1" }).to_string();
        let said = tagged(json!(["pet", "cat"]));
        let cat = [("category", "images"), ("metadata", said.as_str())];
        self.sent(&ann, ("cat.png", "image/png", PNG), &cat).await;
        let said = tagged(json!(["pet"]));
        let dog = [("category", "attachments"), ("metadata", said.as_str())];
        self.sent(&ann, ("dog.gif", "image/gif", GIF), &dog).await;
        let plan = [("tags", "[\"work\"]"), ("visibility", "protected")];
        self.sent(&bob, ("plan.txt", "text/plain", b"some words"), &plan).await;
        let dump = [("category", "backups")];
        self.sent(&self.server(), ("dump.txt", "text/plain", b"some words"), &dump)
            .await;
        self.of_a_session("visit.txt").await;
        let guests = LogicalBucket {
            guest_upload: true,
            ..LogicalBucket::default()
        };
        self.inbox(guests).await;
        let letter = [("bucket", "inbox")];
        self.sent(&self.guest(), ("letter.txt", "text/plain", b"dear shop"), &letter)
            .await;
    }
}

fn names(told: &Told) -> String {
    let items = told.field("/items").as_array().cloned().unwrap_or_default();
    let names = items
        .iter()
        .map(|item| item["originalName"].as_str().unwrap_or_default());
    names.collect::<Vec<_>>().join(" ")
}

#[tokio::test]
async fn each_filter_lets_through_what_has_it_and_nothing_else() {
    let shop = Shop::new().await;
    shop.six().await;
    let hex = |bytes: &[u8]| hex_simd::encode_to_string(sha256(bytes), hex_simd::AsciiCase::Lower);
    let of_words = format!("sha256={}", hex(b"some words"));
    let of_cat = format!("sha256={}", hex(PNG).to_ascii_uppercase());
    let of_none = format!("sha256={}", hex(b"other words"));
    for (query, expected) in [
        ("", "cat.png dog.gif plan.txt dump.txt visit.txt letter.txt"),
        ("tag=pet", "cat.png dog.gif"),
        ("tag=cat", "cat.png"),
        ("tag=pet&tag=cat", "cat.png"),
        ("tag=cat&tag=work", ""),
        ("tag=pe", ""),
        ("category=images", "cat.png"),
        ("category=attachments", "dog.gif"),
        ("category=backups", "dump.txt"),
        ("category=exports", ""),
        ("mimeType=image/png", "cat.png"),
        ("mimeType=IMAGE/PNG", "cat.png"),
        ("mimeType=image/*", "cat.png dog.gif"),
        ("mimeType=text/*", "plan.txt dump.txt visit.txt letter.txt"),
        ("mimeType=text/plain", "plan.txt dump.txt visit.txt letter.txt"),
        ("mimeType=image/pn", ""),
        (&of_words, "plan.txt dump.txt"),
        (&of_cat, "cat.png"),
        (&of_none, ""),
        ("ownerType=user", "cat.png dog.gif plan.txt"),
        ("ownerType=service", "dump.txt"),
        ("ownerType=session", "visit.txt"),
        ("ownerType=public", "letter.txt"),
        ("relatedEntityId=post-1", "cat.png dog.gif"),
        ("relatedEntityId=post-1&category=attachments", "dog.gif"),
        ("tag=pet&mimeType=image/*&ownerType=user&category=images", "cat.png"),
    ] {
        let oldest_first = format!("{query}&sortDirection=asc");
        assert_eq!(shop.listed(&shop.server(), &oldest_first).await, expected, "{query}");
    }
    // A filter lets nobody see more than without it.
    for (query, expected) in [
        ("", "cat.png dog.gif plan.txt"),
        ("mimeType=text/*", "plan.txt"),
        ("category=backups", ""),
        ("ownerType=public", ""),
        (&of_words, "plan.txt"),
    ] {
        let oldest_first = format!("{query}&sortDirection=asc");
        assert_eq!(
            shop.listed(&shop.person("ann"), &oldest_first).await,
            expected,
            "{query}"
        );
    }
}

#[tokio::test]
async fn files_are_listed_by_when_they_were_made_and_changed() {
    let shop = Shop::new().await;
    shop.six().await;
    let server = shop.server();
    let all = shop.get(&server, "files?sortDirection=asc").await.is(200);
    let made = |at: usize| all.text(&format!("/items/{at}/createdAt"));
    // Both ends are taken in.
    for (query, expected) in [
        (format!("createdFrom={}", made(4)), "visit.txt letter.txt"),
        (format!("createdTo={}", made(1)), "cat.png dog.gif"),
        (
            format!("createdFrom={}&createdTo={}", made(1), made(3)),
            "dog.gif plan.txt dump.txt",
        ),
        (
            format!("createdFrom={}&createdTo={}&mimeType=text/*", made(1), made(3)),
            "plan.txt dump.txt",
        ),
        (format!("createdFrom={}&createdTo={}", made(3), made(1)), ""),
        ("createdFrom=2099-01-01T00:00:00Z".to_owned(), ""),
        ("createdTo=2001-01-01T00:00:00Z".to_owned(), ""),
    ] {
        let found = shop.listed(&server, &format!("{query}&sortDirection=asc")).await;
        assert_eq!(found, expected, "{query}");
    }
    // They are changed in an order of their own.
    let ids: Vec<String> = (0..6).map(|at| all.text(&format!("/items/{at}/id"))).collect();
    for at in [3, 0, 5, 1, 4, 2] {
        next_moment();
        let said = json!({ "metadata": { "alt": "changed" } }).to_string().into_bytes();
        shop.ask(&server, "PATCH", &format!("files/{}", ids[at]), &[], said)
            .await
            .is(200);
    }
    let oldest_first = "dump.txt cat.png letter.txt dog.gif visit.txt plan.txt";
    let found = shop.listed(&server, "sortBy=updatedAt&sortDirection=asc").await;
    assert_eq!(found, oldest_first);
    let newest_first: Vec<&str> = oldest_first.rsplit(' ').collect();
    for query in ["sortBy=updatedAt", "sortBy=updatedAt&sortDirection=desc"] {
        assert_eq!(shop.listed(&server, query).await, newest_first.join(" "), "{query}");
    }
    let filtered = shop
        .listed(&server, "sortBy=updatedAt&sortDirection=asc&mimeType=image/*")
        .await;
    assert_eq!(filtered, "cat.png dog.gif");
}

#[tokio::test]
async fn what_is_not_counted_is_paged_all_the_same() {
    let shop = Shop::new().await;
    shop.six().await;
    let server = shop.server();
    let told = shop
        .get(&server, "files?total=false&limit=4&sortDirection=asc")
        .await
        .is(200);
    assert_eq!(names(&told), "cat.png dog.gif plan.txt dump.txt");
    let mut pages = told.field("/pagination");
    let cursor = pages.as_object_mut().unwrap().remove("nextCursor").unwrap();
    let expected = json!({ "total": null, "page": 1, "limit": 4, "totalPages": null, "hasNextPage": true,
        "hasPrevPage": false, "hasNext": true, "hasPrev": false });
    assert_eq!(pages, expected);
    let rest = format!("files?limit=4&sortDirection=asc&cursor={}", cursor.as_str().unwrap());
    for (query, total) in [
        ("&total=false", Value::Null),
        ("", Value::Null),
        ("&total=true", json!(6)),
    ] {
        let told = shop.get(&server, &format!("{rest}{query}")).await.is(200);
        assert_eq!(names(&told), "visit.txt letter.txt", "{query}");
        assert_eq!(told.field("/pagination/total"), total, "{query}");
        assert_eq!(told.field("/pagination/hasNextPage"), json!(false));
    }
    let told = shop.get(&server, "files?total=true&limit=4").await.is(200);
    assert_eq!(
        (told.field("/pagination/total"), told.field("/pagination/totalPages")),
        (json!(6), json!(2))
    );
}

/// Once the index had the type that the bytes alone say, and answers the one that was declared where it can be true: a file
/// that was told to be `text/csv` was found under `text/plain`.
#[tokio::test]
async fn a_file_is_found_by_the_type_that_it_is_told_to_have() {
    let shop = Shop::new().await;
    let ann = shop.person("ann");
    let page: &[u8] = b"<!DOCTYPE html><html></html>";
    for (name, kind, bytes, told) in [
        ("table.csv", "text/csv", &b"a,b\n1,2\n"[..], "text/csv"),
        ("notes.md", "text/markdown; charset=utf-8", b"# words", "text/markdown"),
        (
            "drawing.docx",
            "application/vnd.own+zip",
            b"PK\x03\x04aaaaaaaaaa",
            "application/vnd.own+zip",
        ),
        ("lie.png", "image/png", page, "text/html"),
        ("noise.png", "image/png", b"\0\x01\x02\x03", "application/octet-stream"),
        ("unsaid.gif", "application/octet-stream", GIF, "image/gif"),
    ] {
        let file = shop.sent(&ann, (name, kind, bytes), &[]).await;
        let shown = file.text("/mimeType");
        assert_eq!(shown.split(';').next(), Some(told), "{name}");
        let query = format!("mimeType={}", told.replace('+', "%2B"));
        assert_eq!(shop.listed(&ann, &query).await, name, "{told}");
    }
    assert_eq!(shop.listed(&ann, "mimeType=text/plain").await, "");
    assert_eq!(shop.listed(&ann, "mimeType=image/*").await, "unsaid.gif");
}
