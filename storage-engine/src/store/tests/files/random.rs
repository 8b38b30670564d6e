//! Whatever happens to a bucket with a catalogue, in whatever order: files, objects and index rows say the same, and lists are
//! those that looking at every file gives.

use proptest::prelude::*;
use proptest::sample::Index;

use super::{announced, id, png, share};
use crate::backend::Key;
use crate::store::Store;
use crate::store::clock::Timestamp;
use crate::store::condition::WriteCondition;
use crate::store::files::{
    File, FileDeed, FileError, FileFilter, FileId, FileQuery, FileSort, FileState, FileVersionId, OwnerType, SortBy,
    Viewer,
};
use crate::store::key as rows;
use crate::store::object::copy::{CopyObject, CopySource};
use crate::store::object::labels::ObjectPlace;
use crate::store::object::put::PutObject;
use crate::store::record::Record;
use crate::store::record::labels::{Labels, Visibility};
use crate::store::record::object::{Metadata, Object};
use crate::store::share::ShareTarget;
use crate::store::tests::{Fixture, key, with_catalogue};

/// What happens to a bucket in the tests below.
#[derive(Clone, Debug)]
pub(super) enum Deed {
    Create(u64),
    Put {
        name: u64,
        len: usize,
        looked: bool,
        visibility: Option<usize>,
    },
    Delete(u64),
    Relabel {
        name: u64,
        visibility: usize,
    },
    CopyOntoItself(u64),
    Copy(u64, u64),
    Change {
        file: Index,
        step: usize,
    },
    Trash(Index),
    Restore(Index),
    Purge(Index),
    Reject(Index),
    Replace {
        file: Index,
        len: usize,
        looked: bool,
    },
    RestoreVersion(Index, Index),
    RemoveVersion(Index, Index),
    /// Several files, each registered or deleted.
    Together(Vec<(Index, bool)>),
}

pub(super) fn deeds() -> impl Strategy<Value = Vec<Deed>> {
    let name = || 0..4_u64;
    let made = any::<Index>;
    let deed = prop_oneof![
        1 => name().prop_map(Deed::Create),
        1 => (name(), 0..9_usize, any::<bool>(), prop::option::of(0..4_usize)).prop_map(
            |(name, len, looked, visibility)| Deed::Put {
                name,
                len,
                looked,
                visibility
            }
        ),
        1 => name().prop_map(Deed::Delete),
        1 => (name(), 0..4_usize).prop_map(|(name, visibility)| Deed::Relabel { name, visibility }),
        1 => name().prop_map(Deed::CopyOntoItself),
        1 => (name(), name()).prop_map(|(from, to)| Deed::Copy(from, to)),
        1 => (made(), 0..16_usize).prop_map(|(file, step)| Deed::Change { file, step }),
        1 => made().prop_map(Deed::Trash),
        1 => made().prop_map(Deed::Restore),
        1 => made().prop_map(Deed::Purge),
        1 => made().prop_map(Deed::Reject),
        // Often, so that there are versions to bring back.
        4 => (made(), 0..9_usize, any::<bool>()).prop_map(|(file, len, looked)| Deed::Replace { file, len, looked }),
        2 => (made(), any::<Index>()).prop_map(|(file, nth)| Deed::RestoreVersion(file, nth)),
        1 => (made(), any::<Index>()).prop_map(|(file, nth)| Deed::RemoveVersion(file, nth)),
        2 => prop::collection::vec((made(), any::<bool>()), 0..4).prop_map(Deed::Together),
    ];
    prop::collection::vec(deed, 1..40)
}

/// Names that differ in case, in letters of several bytes, in how long they are in lower case, and in how many pieces they have.
const NAMES: [&str; 8] = [
    "Straße.PNG",
    "STRASSE",
    "ΑΣ ΟΔΟΣ",
    "İstanbul",
    "日本語ファイル",
    "aaaa",
    "🙂🙃",
    "",
];

/// One of the names; the last has very many pieces.
fn name_of(number: usize) -> String {
    let long = || {
        (0..120)
            .filter_map(|n| char::from_u32(0x61 + n % 20 + n / 20 * 0x30))
            .collect()
    };
    match NAMES.get(number % NAMES.len()) {
        Some(&"") | None => long(),
        Some(name) => (*name).to_owned(),
    }
}

const LEVELS: [Visibility; 4] = Visibility::ALL;
const OWNER_TYPES: [OwnerType; 3] = [OwnerType::User, OwnerType::Service, OwnerType::Public];

fn expected_refusal(result: Result<(), FileError>) {
    match result {
        Ok(()) | Err(FileError::NoSuchFile | FileError::NoSuchVersion | FileError::KeyTaken | FileError::State(_)) => {}
        Err(other) => panic!("{other:?}"),
    }
}

/// Files that are announced one after the other were not all made one after the other.
fn announced_as(name: u64, number: u64) -> File {
    File {
        created: Timestamp::from_millis(5 + number % 3),
        owner_type: OWNER_TYPES[(number / 3 % 3) as usize],
        ..announced(&name.to_string())
    }
}

impl Fixture {
    fn numbered_copy(&self, from: u64, to: u64) -> CopyObject {
        CopyObject {
            source: CopySource {
                bucket: self.bucket.clone(),
                key: key(&format!("k/{from}")),
                version: None,
                conditions: Default::default(),
            },
            bucket: self.bucket.clone(),
            key: key(&format!("k/{to}")),
            metadata: Some(Metadata {
                content_type: Some("text/plain".into()),
                ..Metadata::default()
            }),
            storage_class: None,
            tags: None,
            owner: Some("bob".into()),
            visibility: None,
            offered: false,
            checksum: None,
            condition: WriteCondition::default(),
        }
    }

    async fn changed(&self, id: FileId, step: usize) -> Result<(), FileError> {
        let change = move |file: &mut File| match step {
            8.. => file.name = name_of(step),
            0 => file.labels.owner = Some("bob".into()),
            1 => file.tags.push("cat".into()),
            2 => (file.bucket, file.category) = (Some("avatars".into()), Some("faces".into())),
            3 => file.labels.visibility = Some(Visibility::Shared),
            4 => file.labels.shares = vec![share(ShareTarget::Group("team".into()))],
            5 => file.entity = Some("post".into()),
            6 if file.state == FileState::Received => file.state = FileState::Active,
            6 => {}
            _ => file.labels.visibility = Some(Visibility::Protected),
        };
        self.store.change_file(&self.bucket, id, None, change).await.map(drop)
    }

    /// One of the versions of a file, or one that it has not.
    async fn some_version(&self, id: FileId, nth: &Index) -> FileVersionId {
        let versions = self.store.file_versions(&self.bucket, &id).await.unwrap();
        match versions.as_slice() {
            [] => FileVersionId::parse(&"0".repeat(32)).unwrap(),
            versions => nth.get(versions).0,
        }
    }

    async fn said_anew(&self, name: u64, visibility: usize) {
        let place = ObjectPlace {
            bucket: self.bucket.clone(),
            key: key(&format!("k/{name}")),
            version: None,
        };
        let level = LEVELS.get(visibility).copied();
        let change = move |labels: &mut Labels| labels.visibility = level;
        drop(self.store.change_labels(&place, None, change).await);
    }

    async fn version_restored(&self, id: FileId, nth: &Index) -> Result<(), FileError> {
        let version = self.some_version(id, nth).await;
        let restored = self.store.restore_file_version(&self.bucket, id, version, None).await;
        restored.map(drop)
    }

    async fn version_removed(&self, id: FileId, nth: &Index) -> Result<(), FileError> {
        let version = self.some_version(id, nth).await;
        self.store.remove_file_version(&self.bucket, id, version).await
    }

    fn looking(&self, looked: bool) -> Store {
        match looked {
            true => self.store.witnessed(png()),
            false => self.store.clone(),
        }
    }

    /// Registers or deletes several files, or changes nothing.
    async fn all_or_nothing(&self, files: &[(FileId, bool)]) {
        let before = self.rows_below(rows::catalogue(&self.bucket)).await;
        let mut deeds = Vec::new();
        for (id, registers) in files {
            let deed = match registers {
                true => FileDeed::Register,
                false => FileDeed::Trash,
            };
            deeds.extend(self.file(*id).await.map(|_| (*id, deed)));
        }
        if let Err(refused) = self.together(&deeds).await {
            assert!(
                matches!(refused.error, FileError::State(_) | FileError::Invalid(_)),
                "{refused:?}"
            );
            let after = self.rows_below(rows::catalogue(&self.bucket)).await;
            assert_eq!(after, before, "all or nothing");
        }
    }

    /// Every body is that of an object or of a version, and none is missing.
    async fn bodies_are_those_of_rows(&self) {
        let mut rows = self.rows_below(rows::currents(&self.bucket, "")).await;
        rows.extend(self.rows_below(rows::versions(&self.bucket)).await);
        let sizes = rows.values().map(|value| Object::from_value(value).unwrap().size);
        assert_eq!(self.memory.bodies(), sizes.filter(|size| *size > 0).count());
    }

    /// Does it, with any of the files there ever were; those announced are made under their own number.
    pub(super) async fn does(&self, deed: &Deed, announcements: &mut u64, made: &mut Vec<FileId>) {
        let at = |nth: &Index| match made.as_slice() {
            [] => id(9_999),
            made => *nth.get(made),
        };
        match deed {
            Deed::Create(n) => {
                *announcements += 1;
                let new = id(*announcements);
                let created = self
                    .store
                    .create_file(&self.bucket, new, &announced_as(*n, *announcements))
                    .await;
                if created.is_ok() {
                    made.push(new);
                }
                expected_refusal(created);
            }
            Deed::Put {
                name,
                len,
                looked,
                visibility,
            } => {
                let put = PutObject {
                    labels: Labels {
                        visibility: visibility.and_then(|level| LEVELS.get(level).copied()),
                        ..Labels::default()
                    },
                    ..self.put_of(&format!("k/{name}"), vec![b'x'; *len])
                };
                self.looking(*looked).put_object(put).await.unwrap();
                made.extend(self.file_at(&format!("k/{name}")).await.map(|(id, _)| id));
            }
            Deed::Delete(name) => self.delete(&format!("k/{name}")).await,
            Deed::Relabel { name, visibility } => self.said_anew(*name, *visibility).await,
            Deed::CopyOntoItself(name) => drop(self.store.copy_object(self.numbered_copy(*name, *name)).await),
            Deed::Copy(from, to) => {
                drop(self.store.copy_object(self.numbered_copy(*from, *to)).await);
                made.extend(self.file_at(&format!("k/{to}")).await.map(|(id, _)| id));
            }
            Deed::Change { file, step } => expected_refusal(self.changed(at(file), *step).await),
            Deed::Trash(file) => expected_refusal(self.store.trash_file(&self.bucket, at(file), None).await.map(drop)),
            Deed::Restore(file) => {
                expected_refusal(self.store.restore_file(&self.bucket, at(file), None).await.map(drop))
            }
            Deed::Purge(file) => expected_refusal(self.store.purge_file(&self.bucket, at(file), None).await),
            Deed::Reject(file) => expected_refusal(self.store.reject_file(&self.bucket, at(file), None, "no").await),
            Deed::Replace { file, len, looked } => {
                // Where the file waits for its bytes, or is in the trash, it is an ordinary PUT.
                if let Some(file) = self.file(at(file)).await {
                    let put = self.put_of(&file.key, vec![b'y'; *len]);
                    self.looking(*looked).keeping_replaced().put_object(put).await.unwrap();
                    made.extend(self.file_at(&file.key).await.map(|(id, _)| id));
                }
            }
            Deed::Together(files) => {
                let files: Vec<(FileId, bool)> = files.iter().map(|(nth, registers)| (at(nth), *registers)).collect();
                self.all_or_nothing(&files).await;
            }
            Deed::RestoreVersion(file, nth) => expected_refusal(self.version_restored(at(file), nth).await),
            Deed::RemoveVersion(file, nth) => expected_refusal(self.version_removed(at(file), nth).await),
        }
    }
}

fn viewer() -> impl Strategy<Value = Viewer> {
    let shares = prop::sample::subsequence(
        vec![
            ShareTarget::Group("team".into()),
            ShareTarget::User("bob".into()),
            ShareTarget::Email("A@b".into()),
        ],
        0..=3,
    );
    let somebody = (
        prop::option::of(prop::sample::select(vec!["ann", "bob", "root"])),
        shares,
        any::<[bool; 2]>(),
    );
    prop_oneof![
        Just(Viewer::All),
        somebody.prop_map(|(owner, shares, [public, protected])| Viewer::Somebody {
            owner: owner.map(str::to_owned),
            shares,
            public,
            protected,
        }),
    ]
}

/// Whole names and pieces of one letter, two, three and more, in upper and lower case, and what nobody has.
const SEARCHED: [&str; 20] = [
    "NAME",
    "1",
    "s",
    "SS",
    "ß",
    "ßE.",
    "ΟΣ",
    "Σ",
    "日本",
    "本語フ",
    "aa",
    "aaa",
    "aaaaa",
    "🙂",
    "i̇s",
    "İST",
    "ng",
    "f",
    "dEf",
    "",
];

fn filter() -> impl Strategy<Value = FileFilter> {
    let some = |values: &'static [&'static str]| {
        prop::option::weighted(0.2, prop::sample::select(values).prop_map(str::to_owned))
    };
    (
        prop::option::weighted(0.2, prop::sample::select(FileState::ALL.to_vec())),
        prop::option::weighted(0.2, prop::sample::select(LEVELS.to_vec())),
        some(&["ann", "root", "bob"]),
        some(&["avatars", "media"]),
        some(&["image/png", "image/*", "text/plain"]),
        prop::option::weighted(0.2, Just("cat".to_owned())),
        (
            some(&["post"]),
            some(&["faces"]),
            prop::option::weighted(0.2, prop::sample::select(&OWNER_TYPES[..])),
        ),
        prop::option::weighted(0.4, prop::sample::select(&SEARCHED[..]).prop_map(str::to_owned)),
        (
            prop::option::weighted(0.15, 0..9_u64),
            prop::option::weighted(0.15, 0..9_u64),
            prop::option::weighted(0.15, 4..9_u64),
            prop::option::weighted(0.15, 4..9_u64),
        ),
        prop::bool::weighted(0.1),
    )
        .prop_map(
            |(
                state,
                visibility,
                owner,
                bucket,
                media_type,
                tag,
                (entity, category, owner_type),
                search,
                (size_min, size_max, from, to),
                shared,
            )| {
                FileFilter {
                    created_from: from.map(Timestamp::from_millis),
                    created_to: to.map(Timestamp::from_millis),
                    state,
                    visibility,
                    owner,
                    bucket,
                    media_type,
                    tags: tag.into_iter().collect(),
                    entity,
                    category,
                    owner_type,
                    search,
                    size_min,
                    size_max,
                    shared_with_viewer: shared,
                    ..FileFilter::default()
                }
            },
        )
}

fn query() -> impl Strategy<Value = FileQuery> {
    let by = prop::sample::select(vec![SortBy::Created, SortBy::Updated, SortBy::Name, SortBy::Size]);
    (viewer(), filter(), by, any::<[bool; 2]>(), 1..5_usize).prop_map(
        |(viewer, filter, by, [descending, total], limit)| FileQuery {
            viewer,
            filter,
            sort: FileSort { by, descending },
            limit,
            offset: 0,
            after: None,
            total,
        },
    )
}

/// Every file of a list, page by page behind cursors, and with offsets.
async fn all_pages(all: &Fixture, query: &FileQuery) -> Vec<FileId> {
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let page = FileQuery {
            after: after.clone(),
            ..query.clone()
        };
        let page = all.store.list_files(&all.bucket, &page).await.unwrap();
        found.extend(page.files.iter().map(|(id, _)| *id));
        match page.next {
            Some(next) => after = Some(next),
            None => break,
        }
    }
    let mut by_offset = Vec::new();
    loop {
        let page = FileQuery {
            offset: by_offset.len(),
            ..query.clone()
        };
        let page = all.store.list_files(&all.bucket, &page).await.unwrap();
        assert_eq!(page.total, query.total.then_some(found.len() as u64));
        by_offset.extend(page.files.iter().map(|(id, _)| *id));
        if page.next.is_none() {
            assert_eq!(by_offset, found);
            return found;
        }
    }
}

/// The same without any index.
async fn naive(all: &Fixture, query: &FileQuery) -> Vec<FileId> {
    let mut found = Vec::new();
    let beginning = rows::file(&all.bucket, &[0; 16]).as_bytes().to_vec();
    let beginning = Key::new(beginning[..beginning.len() - 16].to_vec());
    for (key, value) in all.rows_below(beginning.clone()).await {
        let id = FileId::from_bytes(key.as_bytes()[beginning.as_bytes().len()..].try_into().unwrap());
        let file = File::from_value(&value).unwrap();
        let made = file.created.millis();
        let sort_key = match query.sort.by {
            SortBy::Created => (0, String::new(), made),
            SortBy::Updated => (file.updated.millis(), String::new(), made),
            SortBy::Size => (file.size, String::new(), made),
            SortBy::Name => (0, file.name.to_lowercase(), made),
        };
        if crate::store::files::is_listed(&file, query) {
            found.push((sort_key, id));
        }
    }
    found.sort();
    if query.sort.descending {
        found.reverse();
    }
    found.into_iter().map(|(_, id)| id).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn catalogue_objects_and_lists_agree_after_whatever_happened(deeds in deeds(), queries in prop::collection::vec(query(), 8)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let all = with_catalogue().await;
            let (mut announcements, mut made) = (0, Vec::new());
            for deed in &deeds {
                all.does(deed, &mut announcements, &mut made).await;
                all.agrees().await;
                all.bodies_are_those_of_rows().await;
                // What was counted before does not count any more.
                for query in queries.iter().take(2) {
                    let counted = FileQuery { total: true, ..query.clone() };
                    let page = all.store.list_files(&all.bucket, &counted).await.unwrap();
                    assert_eq!(page.total, Some(naive(&all, query).await.len() as u64), "{deed:?} {query:?}");
                }
            }
            for query in &queries {
                assert_eq!(all_pages(&all, query).await, naive(&all, query).await, "{query:?}");
            }
        });
    }
}
