//! ListObjects, ListObjectsV2, ListObjectVersions.

use super::Server;

async fn with(keys: &[&'static str]) -> Server {
    let server = Server::with_bucket().await;
    for key in keys {
        server.store(&format!("/bucket/{key}"), *key).await;
    }
    server
}

fn prefixes(answer: &super::Answer) -> Vec<String> {
    let groups = answer.elements("CommonPrefixes");
    groups
        .iter()
        .map(|group| group.replace("<Prefix>", "").replace("</Prefix>", ""))
        .collect()
}

#[tokio::test]
async fn keys_come_in_byte_order_with_what_is_known_of_them() {
    let server = with(&["b", "a", "B", "%C3%BC", "a/b", "a0"]).await;
    let listed = server.get("/bucket?list-type=2&fetch-owner=true").send().await.is(200);
    assert_eq!(listed.elements("Key"), ["B", "a", "a/b", "a0", "b", "ü"]);
    assert_eq!(listed.elements("Size").first().map(String::as_str), Some("1"));
    assert_eq!(listed.elements("StorageClass").len(), 6);
    assert_eq!(
        listed.elements("ETag").first().map(String::as_str),
        Some("\"9d5ed678fe57bcca610140957afab571\"")
    );
    assert_eq!(listed.elements("Owner").len(), 6);
    assert_eq!(
        (listed.element("KeyCount"), listed.element("MaxKeys")),
        (Some("6".into()), Some("1000".into()))
    );
    assert_eq!(listed.element("IsTruncated").as_deref(), Some("false"));
    let without = server.get("/bucket?list-type=2").send().await.is(200);
    assert_eq!(without.elements("Owner").len(), 0);
    let first = server.get("/bucket").send().await.is(200);
    assert_eq!(first.elements("Owner").len(), 6);
    for (name, value) in [("Name", "bucket"), ("Prefix", ""), ("Marker", ""), ("MaxKeys", "1000")] {
        assert_eq!(first.element(name).as_deref(), Some(value), "{name}");
    }
}

#[tokio::test]
async fn delimiters_of_any_text_roll_keys_up() {
    let server = with(&["a/1", "a/2", "b", "c/d/3", "xx--y1", "xx--y2", "xx-z"]).await;
    let table: [(&str, &[&str], &[&str]); 6] = [
        ("delimiter=/", &["b", "xx--y1", "xx--y2", "xx-z"], &["a/", "c/"]),
        ("delimiter=/&prefix=a/", &["a/1", "a/2"], &[]),
        ("delimiter=/&prefix=c", &[], &["c/"]),
        ("delimiter=/&prefix=c/", &[], &["c/d/"]),
        ("delimiter=--&prefix=xx", &["xx-z"], &["xx--"]),
        (
            "delimiter=",
            &["a/1", "a/2", "b", "c/d/3", "xx--y1", "xx--y2", "xx-z"],
            &[],
        ),
    ];
    for (query, keys, groups) in table {
        for version in ["", "list-type=2&"] {
            let listed = server.get(&format!("/bucket?{version}{query}")).send().await.is(200);
            assert_eq!(listed.elements("Key"), keys, "{query}");
            assert_eq!(prefixes(&listed), groups, "{query}");
        }
    }
}

#[tokio::test]
async fn pages_join_to_the_whole_without_gap_or_double() {
    let server = with(&["a", "b/1", "b/2", "c", "d/1", "e"]).await;
    for size in 1..=7 {
        let (mut v1, mut v2) = (Vec::new(), Vec::new());
        let mut marker = String::new();
        loop {
            let page = server
                .get(&format!("/bucket?delimiter=/&max-keys={size}&marker={marker}"))
                .send()
                .await
                .is(200);
            let found = page.elements("Key").len() + prefixes(&page).len();
            v1.extend(page.elements("Key").into_iter().chain(prefixes(&page)));
            match page.element("NextMarker") {
                Some(next) => marker = next,
                None => break,
            }
            assert_eq!(found, size);
        }
        let mut token = String::new();
        loop {
            let path = format!("/bucket?list-type=2&delimiter=/&max-keys={size}&continuation-token={token}");
            let page = server.get(&path).send().await.is(200);
            v2.extend(page.elements("Key").into_iter().chain(prefixes(&page)));
            assert_eq!(page.element("ContinuationToken").unwrap_or_default(), token);
            match page.element("NextContinuationToken") {
                Some(next) => token = next,
                None => break,
            }
        }
        for mut all in [v1, v2] {
            all.sort();
            assert_eq!(all, ["a", "b/", "c", "d/", "e"], "{size}");
        }
    }
}

#[tokio::test]
async fn start_after_and_limits_are_honoured() {
    let server = with(&["a", "b", "c"]).await;
    let after = server
        .get("/bucket?list-type=2&start-after=a&max-keys=1")
        .send()
        .await
        .is(200);
    assert_eq!(after.elements("Key"), ["b"]);
    assert_eq!(after.element("StartAfter").as_deref(), Some("a"));
    let token = after.element("NextContinuationToken").unwrap();
    let next = server
        .get(&format!("/bucket?list-type=2&start-after=a&continuation-token={token}"))
        .send()
        .await;
    assert_eq!(next.elements("Key"), ["c"]);
    let none = server.get("/bucket?list-type=2&max-keys=0").send().await.is(200);
    assert_eq!(
        (none.elements("Key").len(), none.element("IsTruncated").as_deref()),
        (0, Some("false"))
    );
    let capped = server.get("/bucket?max-keys=5000").send().await.is(200);
    assert_eq!(capped.element("MaxKeys").as_deref(), Some("1000"));
    let bad = [
        "max-keys=-1",
        "max-keys=x",
        "encoding-type=base64",
        "list-type=2&continuation-token=nonsense!",
    ];
    for query in bad {
        server
            .get(&format!("/bucket?{query}"))
            .send()
            .await
            .fails(400, "InvalidArgument");
    }
    server
        .get("/missing-bucket?list-type=2")
        .send()
        .await
        .fails(404, "NoSuchBucket");
}

#[tokio::test]
async fn url_encoding_covers_all_that_is_text_from_keys() {
    let server = with(&["a%20b/%2B", "a%20b/c"]).await;
    let path = "/bucket?encoding-type=url&delimiter=/&prefix=a%20b/&marker=a%20b/%20";
    let listed = server.get(path).send().await.is(200);
    assert_eq!(listed.elements("Key"), ["a%20b/%2B", "a%20b/c"]);
    for (name, value) in [
        ("Prefix", "a%20b/"),
        ("Marker", "a%20b/%20"),
        ("Delimiter", "/"),
        ("EncodingType", "url"),
    ] {
        assert_eq!(listed.element(name).as_deref(), Some(value), "{name}");
    }
}

#[tokio::test]
async fn versions_of_an_unversioned_bucket_are_null_and_latest() {
    let server = with(&["a", "b/1", "c"]).await;
    let listed = server
        .get("/bucket?versions&delimiter=/&max-keys=2")
        .send()
        .await
        .is(200);
    assert_eq!(
        (listed.elements("Key"), prefixes(&listed)),
        (vec!["a".to_owned()], vec!["b/".to_owned()])
    );
    assert_eq!(
        (listed.elements("VersionId"), listed.elements("IsLatest")),
        (vec!["null".into()], vec!["true".into()])
    );
    assert_eq!(listed.element("NextKeyMarker").as_deref(), Some("b/"));
    let rest = server
        .get("/bucket?versions&delimiter=/&key-marker=b/")
        .send()
        .await
        .is(200);
    assert_eq!(rest.elements("Key"), ["c"]);
    server
        .get("/bucket?versions&version-id-marker=null")
        .send()
        .await
        .fails(400, "InvalidArgument");

    server.get("/bucket/a?versionId=null").send().await.is(200);
    server
        .get("/bucket/a?versionId=00000000000000000000000000000000")
        .send()
        .await
        .fails(404, "NoSuchVersion");
    server
        .get("/bucket/a?versionId=nonsense")
        .send()
        .await
        .fails(400, "InvalidArgument");
    let deleted = server.delete("/bucket/a?versionId=null").send().await.is(204);
    assert_eq!(deleted.header("x-amz-version-id"), Some("null"));
    server.get("/bucket/a").send().await.fails(404, "NoSuchKey");
}
