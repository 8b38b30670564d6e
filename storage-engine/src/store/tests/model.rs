//! Random operations against a model of thirty lines: a map from key to bytes and content type.

use std::collections::BTreeMap;

use bytes::Bytes;
use md5::{Digest, Md5};
use proptest::prelude::*;

use super::{Fixture, fixture, key};
use crate::store::condition::{ReadConditions, WriteCondition};
use crate::store::etag::ETag;
use crate::store::list::{ListObjects, Listed};
use crate::store::object::copy::{CopyObject, CopySource};
use crate::store::object::delete::DeleteObject;
use crate::store::object::get::Selection;
use crate::store::object::put::PutObject;
use crate::store::record::object::Metadata;

#[derive(Clone, Debug)]
enum Act {
    Put {
        key: String,
        body: Vec<u8>,
        condition: Condition,
    },
    Delete {
        key: String,
        condition: Condition,
    },
    Copy {
        from: String,
        to: String,
        content_type: Option<String>,
    },
    Get {
        key: String,
        first: u64,
        last: u64,
    },
    List {
        prefix: String,
        delimiter: String,
        after: Option<String>,
        limit: usize,
    },
}

/// A condition, named by the body it expects.
#[derive(Clone, Debug)]
enum Condition {
    None,
    Absent,
    Is(Vec<u8>),
}

#[derive(Clone, Debug, PartialEq)]
struct Modelled {
    body: Vec<u8>,
    content_type: Option<String>,
}

fn etag(body: &[u8]) -> ETag {
    ETag::Md5(Md5::digest(body).into())
}

impl Condition {
    fn of_request(&self) -> WriteCondition {
        match self {
            Self::None => WriteCondition::default(),
            Self::Absent => WriteCondition::if_none_match_any(),
            Self::Is(body) => WriteCondition::if_match(&etag(body)),
        }
    }

    fn holds(&self, current: Option<&Modelled>) -> bool {
        match self {
            Self::None => true,
            Self::Absent => current.is_none(),
            Self::Is(body) => current.is_some_and(|current| current.body == *body),
        }
    }
}

/// Few keys and few bodies, so that operations meet.
fn acts() -> impl Strategy<Value = Vec<Act>> {
    let name = || "[ab/]{1,3}";
    let body = || prop_oneof![Just(vec![]), Just(vec![1]), Just(vec![2; 10]), Just(vec![3; 200_000])];
    let condition = move || prop_oneof![4 => Just(Condition::None), 1 => Just(Condition::Absent), 2 => body().prop_map(Condition::Is)];
    let act = prop_oneof![
        4 => (name(), body(), condition()).prop_map(|(key, body, condition)| Act::Put { key, body, condition }),
        2 => (name(), condition()).prop_map(|(key, condition)| Act::Delete { key, condition }),
        2 => (name(), name(), proptest::option::of("[xy]"))
            .prop_map(|(from, to, content_type)| Act::Copy { from, to, content_type }),
        2 => (name(), 0..12_u64, 0..12_u64).prop_map(|(key, first, last)| Act::Get { key, first, last }),
        2 => ("[ab/]{0,2}", prop_oneof!["", "/", "a", "ab", "//"], proptest::option::of("[ab/]{1,3}"), 1..4_usize)
            .prop_map(|(prefix, delimiter, after, limit)| Act::List { prefix, delimiter, after, limit }),
    ];
    prop::collection::vec(act, 1..60)
}

fn listed(model: &BTreeMap<String, Modelled>, prefix: &str, delimiter: &str, after: Option<&str>) -> Vec<String> {
    let mut items: Vec<String> = Vec::new();
    for key in model.keys().filter(|key| key.starts_with(prefix)) {
        let at = if delimiter.is_empty() {
            None
        } else {
            key[prefix.len()..].find(delimiter)
        };
        let item = at.map_or(key.as_str(), |at| &key[..prefix.len() + at + delimiter.len()]);
        if after.is_none_or(|after| item > after) && items.last().is_none_or(|last| last != item) {
            items.push(item.to_owned());
        }
    }
    items
}

impl Fixture {
    async fn check(&self, model: &mut BTreeMap<String, Modelled>, act: Act) {
        match act {
            Act::Put { key, body, condition } => self.check_put(model, key, body, condition).await,
            Act::Delete { key, condition } => self.check_delete(model, &key, condition).await,
            Act::Copy { from, to, content_type } => self.check_copy(model, &from, to, content_type).await,
            Act::Get { key, first, last } => self.check_get(model, &key, first, last).await,
            Act::List {
                prefix,
                delimiter,
                after,
                limit,
            } => {
                let list = ListObjects {
                    bucket: self.bucket.clone(),
                    prefix,
                    delimiter,
                    after,
                    limit,
                };
                self.check_list(model, &list).await;
            }
        }
    }

    async fn check_put(
        &self,
        model: &mut BTreeMap<String, Modelled>,
        name: String,
        body: Vec<u8>,
        condition: Condition,
    ) {
        let put = PutObject {
            condition: condition.of_request(),
            ..self.put_of(&name, body.clone())
        };
        let stored = self.store.put_object(put).await;
        assert_eq!(stored.is_ok(), condition.holds(model.get(&name)), "{stored:?}");
        if stored.is_ok() {
            let content_type = None;
            model.insert(name, Modelled { body, content_type });
        }
    }

    async fn check_delete(&self, model: &mut BTreeMap<String, Modelled>, name: &str, condition: Condition) {
        let delete = DeleteObject {
            bucket: self.bucket.clone(),
            key: key(name),
            version: None,
            condition: condition.of_request(),
        };
        let deleted = self.store.delete_object(&delete).await;
        assert_eq!(deleted.is_ok(), condition.holds(model.get(name)), "{deleted:?}");
        if deleted.is_ok() {
            model.remove(name);
        }
    }

    async fn check_copy(
        &self,
        model: &mut BTreeMap<String, Modelled>,
        from: &str,
        to: String,
        content_type: Option<String>,
    ) {
        let metadata = content_type.clone().map(|text| Metadata {
            content_type: Some(text),
            ..Metadata::default()
        });
        let source = CopySource {
            bucket: self.bucket.clone(),
            key: key(from),
            version: None,
            conditions: ReadConditions::default(),
        };
        let copy = CopyObject {
            tags: None,
            owner: None,
            visibility: None,
            offered: false,
            source,
            bucket: self.bucket.clone(),
            key: key(&to),
            metadata,
            storage_class: None,
            checksum: None,
            condition: WriteCondition::default(),
        };
        let copied = self.store.copy_object(copy).await;
        let expected = model
            .get(from)
            .cloned()
            .filter(|_| from != to || content_type.is_some());
        assert_eq!(copied.is_ok(), expected.is_some(), "{copied:?}");
        if let Some(mut object) = expected {
            object.content_type = content_type.or(object.content_type);
            model.insert(to, object);
        }
    }

    async fn check_get(&self, model: &BTreeMap<String, Modelled>, name: &str, first: u64, last: u64) {
        let mut get = self.get_of(name);
        get.selection = Selection::From {
            first,
            last: Some(last),
        };
        let expected = model.get(name).and_then(|object| {
            let end = usize::try_from(last + 1).unwrap().min(object.body.len());
            object
                .body
                .get(usize::try_from(first).unwrap()..end)
                .filter(|range| !range.is_empty())
        });
        assert_eq!(self.read(&get).await.ok().as_deref(), expected);
    }

    async fn check_list(&self, model: &BTreeMap<String, Modelled>, list: &ListObjects) {
        let page = self.store.list_objects(list).await.unwrap();
        let items: Vec<String> = page
            .items
            .into_iter()
            .map(|item| match item {
                Listed::CommonPrefix(prefix) => prefix,
                Listed::Item(listed) => {
                    assert_eq!(listed.object.etag, etag(&model[listed.key.as_str()].body));
                    listed.key.into_string()
                }
            })
            .collect();
        let mut expected = listed(model, &list.prefix, &list.delimiter, list.after.as_deref());
        let next = (expected.len() > list.limit).then(|| expected[list.limit - 1].clone());
        expected.truncate(list.limit);
        assert_eq!((items, page.next), (expected, next), "{list:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn the_store_does_what_the_model_does(acts in acts()) {
        tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
            let fixture = fixture().await;
            let mut model = BTreeMap::new();
            for act in acts {
                fixture.check(&mut model, act).await;
            }
            for (name, object) in &model {
                assert_eq!(fixture.get(name).await, Bytes::from(object.body.clone()));
                let head = fixture.store.head_object(&fixture.get_of(name)).await.unwrap();
                assert_eq!(head.object.metadata.content_type, object.content_type);
            }
            let with_bytes = model.values().filter(|object| !object.body.is_empty()).count();
            assert_eq!(fixture.memory.bodies(), with_bytes);
            assert_eq!(fixture.memory.rows(), model.len() + 2);
        });
    }
}
