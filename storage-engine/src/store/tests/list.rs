//! Listings of objects.

use super::{Fixture, fixture};
use crate::store::list::{ListObjects, ListVersions, Listed, VersionKind};
use crate::store::name::VersionId;

impl Fixture {
    fn list_of(&self, prefix: &str, delimiter: &str) -> ListObjects {
        ListObjects {
            bucket: self.bucket.clone(),
            prefix: prefix.into(),
            delimiter: delimiter.into(),
            after: None,
            limit: 1_000,
        }
    }

    /// All pages, common prefixes in brackets.
    async fn list_all(&self, mut list: ListObjects) -> Vec<String> {
        let mut seen = Vec::new();
        loop {
            let page = self.store.list_objects(&list).await.unwrap();
            assert!(page.items.len() <= list.limit && (page.next.is_none() || page.items.len() == list.limit));
            seen.extend(page.items.into_iter().map(|item| match item {
                Listed::Item(listed) => listed.key.into_string(),
                Listed::CommonPrefix(prefix) => format!("[{prefix}]"),
            }));
            match page.next {
                Some(next) => list.after = Some(next),
                None => return seen,
            }
        }
    }
}

#[tokio::test]
async fn pages_of_any_size_give_the_same_listing() {
    let fixture = fixture().await;
    let keys = [
        "a", "a/1", "a/2", "a/b/1", "b", "b-1", "b/", "b/1", "c//d", "ü/1", "ü/2", "z",
    ];
    for name in keys {
        fixture.put(name, name).await;
    }
    let table: [(&str, &str, &[&str]); 9] = [
        (
            "",
            "",
            &[
                "a", "a/1", "a/2", "a/b/1", "b", "b-1", "b/", "b/1", "c//d", "z", "ü/1", "ü/2",
            ],
        ),
        ("", "/", &["a", "[a/]", "b", "b-1", "[b/]", "[c/]", "z", "[ü/]"]),
        ("a/", "/", &["a/1", "a/2", "[a/b/]"]),
        ("a", "/", &["a", "[a/]"]),
        ("b/", "/", &["b/", "b/1"]),
        (
            "",
            "//",
            &[
                "a", "a/1", "a/2", "a/b/1", "b", "b-1", "b/", "b/1", "[c//]", "z", "ü/1", "ü/2",
            ],
        ),
        (
            "",
            "ü/",
            &["a", "a/1", "a/2", "a/b/1", "b", "b-1", "b/", "b/1", "c//d", "z", "[ü/]"],
        ),
        ("nothing", "/", &[]),
        ("ü", "", &["ü/1", "ü/2"]),
    ];
    for (prefix, delimiter, expected) in table {
        for limit in [1, 2, 3, 5, 1_000] {
            let list = ListObjects {
                limit,
                ..fixture.list_of(prefix, delimiter)
            };
            assert_eq!(
                fixture.list_all(list).await,
                expected,
                "{prefix:?} {delimiter:?} {limit}"
            );
        }
    }
}

#[tokio::test]
async fn a_listing_starts_after_any_text() {
    let fixture = fixture().await;
    for name in ["a", "a/1", "a/2", "b"] {
        fixture.put(name, name).await;
    }
    let table: [(&str, &str, &[&str]); 6] = [
        ("", "", &["a", "a/1", "a/2", "b"]),
        ("a", "", &["a/1", "a/2", "b"]),
        ("a/1x", "", &["a/2", "b"]),
        ("a/", "/", &["b"]),
        ("a", "/", &["[a/]", "b"]),
        ("zzz", "/", &[]),
    ];
    for (after, delimiter, expected) in table {
        let list = ListObjects {
            after: Some(after.into()),
            ..fixture.list_of("", delimiter)
        };
        assert_eq!(fixture.list_all(list).await, expected, "after {after:?} {delimiter:?}");
    }
    // A marker before and behind the prefix.
    let list = ListObjects {
        after: Some("a".into()),
        ..fixture.list_of("a/", "")
    };
    assert_eq!(fixture.list_all(list).await, ["a/1", "a/2"]);
    let list = ListObjects {
        after: Some("b".into()),
        ..fixture.list_of("a/", "")
    };
    assert!(fixture.list_all(list).await.is_empty());
}

#[tokio::test]
async fn no_keys_asked_for_is_an_empty_page_and_a_thousand_is_the_most() {
    let fixture = fixture().await;
    for i in 0..1_001 {
        fixture.put(&format!("{i:04}"), "").await;
    }
    let none = fixture
        .store
        .list_objects(&ListObjects {
            limit: 0,
            ..fixture.list_of("", "")
        })
        .await
        .unwrap();
    assert_eq!((none.items.len(), none.next), (0, None));
    let most = fixture
        .store
        .list_objects(&ListObjects {
            limit: 5_000,
            ..fixture.list_of("", "")
        })
        .await
        .unwrap();
    assert_eq!((most.items.len(), most.next.as_deref()), (1_000, Some("0999")));
    let rest = ListObjects {
        after: most.next,
        ..fixture.list_of("", "")
    };
    assert_eq!(fixture.list_all(rest).await, ["1000"]);
}

#[tokio::test]
async fn a_bucket_without_versioning_has_one_version_of_each_key() {
    let fixture = fixture().await;
    for name in ["a", "b/1", "c"] {
        fixture.put(name, "old").await;
        fixture.put(name, "new").await;
    }
    let mut list = ListVersions {
        bucket: fixture.bucket.clone(),
        prefix: String::new(),
        delimiter: "/".into(),
        key_marker: None,
        version_marker: None,
        limit: 2,
    };
    let page = fixture.store.list_versions(&list).await.unwrap();
    let [Listed::Item(a), Listed::CommonPrefix(b)] = page.items.as_slice() else {
        panic!("{page:?}")
    };
    assert_eq!(
        (a.key.as_str(), a.version, a.is_latest, b.as_str()),
        ("a", VersionId::Null, true, "b/")
    );
    assert!(matches!(&a.kind, VersionKind::Object(object) if object.size == 3));
    list.key_marker = page.next;
    let page = fixture.store.list_versions(&list).await.unwrap();
    let [Listed::Item(c)] = page.items.as_slice() else {
        panic!("{page:?}")
    };
    assert_eq!((c.key.as_str(), page.next), ("c", None));
}
