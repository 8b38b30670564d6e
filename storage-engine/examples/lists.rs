//! What lists of files cost: pages of the catalogue of one bucket with many files, on the engine that serves.
//! Run it with `cargo run --release -p storage-engine --example lists -- FOLDER [FILES [short|long [LIST]]]`; it fills the
//! folder, unless it did so before. With `short` the names have one letter, so that there are hardly any rows to find them by: what those
//! cost a write is the difference. With LIST only the lists are asked for whose names hold it.

use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::{StreamExt, TryStreamExt};
use storage_engine::backend::{Backend, ServiceState};
use storage_engine::embedded::{Embedded, OpenOptions};
use storage_engine::store::body::NewBody;
use storage_engine::store::clock::{SystemClock, Timestamp};
use storage_engine::store::condition::WriteCondition;
use storage_engine::store::files::{
    File, FileFilter, FileId, FileQuery, FileSort, FileState, OwnerType, Seen, SortBy, Viewer, Witness,
};
use storage_engine::store::name::{BucketName, ObjectKey};
use storage_engine::store::object::put::PutObject;
use storage_engine::store::record::labels::{Labels, Visibility};
use storage_engine::store::record::object::Metadata;
use storage_engine::store::{Epoch, Store};

const FILES: u64 = 100_000;
const OWNERS: u64 = 1_000;
const AT_ONCE: usize = 256;
const ROUNDS: usize = 101;
const BEGUN: u64 = 1_700_000_000_000;

struct Looked(&'static str);

impl Witness for Looked {
    fn seen(&self) -> Seen {
        Seen {
            sniffed_type: Some(self.0.to_owned()),
            ..Seen::default()
        }
    }
}

fn pick<T: Copy>(of: &[T], number: u64) -> Option<T> {
    let at = usize::try_from(number).ok()?.checked_rem(of.len())?;
    of.get(at).copied()
}

/// A file as applications have them: nine of ten belong to somebody, few are shared.
fn file(number: u64, short: bool) -> File {
    let visibility = pick(&Visibility::ALL, number / 3).unwrap_or(Visibility::Private);
    let made = Timestamp::from_millis(BEGUN + number);
    let name = match short {
        true => "x".to_owned(),
        false => format!("Holiday {} picture {number}.jpg", number % 97),
    };
    File {
        labels: Labels {
            owner: Some(format!("app:shop/main|user-{}", number % OWNERS)),
            visibility: Some(visibility),
            ..Labels::default()
        },
        owner_type: if number % 300 == 7 {
            OwnerType::Service
        } else {
            OwnerType::User
        },
        bucket: match number % 40 {
            11 => text("rare"),
            _ => pick(&["images", "documents", "media"], number).map(str::to_owned),
        },
        category: pick(&["images", "exports"], number / 7).map(str::to_owned),
        tags: vec![format!("tag-{}", number % 50)],
        entity: Some(format!("order/{}", number / 4)),
        ..File::pending(format!("{number:032x}/picture.jpg"), [0; 16], name, made)
    }
}

async fn fill(store: &Store, bucket: &BucketName, (files, short): (u64, bool)) -> Result<(), Box<dyn Error>> {
    let made = futures::stream::iter(0..files).map(|number| async move {
        let kind = pick(&["image/jpeg", "image/png", "application/pdf"], number).unwrap_or("image/png");
        let mut random = [0; 10];
        for (to, from) in random.iter_mut().zip(number.to_be_bytes()) {
            *to = from;
        }
        let (id, file) = (
            FileId::new(Timestamp::from_millis(BEGUN + number), random),
            file(number, short),
        );
        store
            .create_file(bucket, id, &file)
            .await
            .map_err(|error| error.to_string())?;
        let put = PutObject {
            bucket: bucket.clone(),
            key: ObjectKey::parse(file.key).map_err(|error| error.to_string())?,
            metadata: Metadata::default(),
            labels: Labels::default(),
            body: NewBody::from_bytes(vec![b'x'; (number * 7919 % 1_000) as usize]),
            condition: WriteCondition::default(),
        };
        let store = store.witnessed(Arc::new(Looked(kind)));
        store.put_object(put).await.map(drop).map_err(|error| error.to_string())
    });
    made.buffer_unordered(AT_ONCE)
        .try_collect::<()>()
        .await
        .map_err(Into::into)
}

fn user(number: u64) -> Viewer {
    Viewer::Somebody {
        owner: Some(format!("app:shop/main|user-{number}")),
        shares: Vec::new(),
        public: true,
        protected: true,
    }
}

fn query(viewer: Viewer, filter: FileFilter, by: SortBy, total: bool) -> FileQuery {
    FileQuery {
        viewer,
        filter,
        sort: FileSort { by, descending: true },
        limit: 20,
        offset: 0,
        after: None,
        total,
    }
}

fn queries() -> Vec<(String, FileQuery)> {
    let named = [lists(), searches()].concat().into_iter();
    named
        .map(|(name, query)| (name.to_owned(), query))
        .chain(every_filter_in_every_order())
        .collect()
}

/// Each filter at values that few, some and many files have, in each order and both ways.
fn every_filter_in_every_order() -> Vec<(String, FileQuery)> {
    let mut queries = Vec::new();
    for (what, filter) in filters() {
        for (order, by) in [
            ("made", SortBy::Created),
            ("changed", SortBy::Updated),
            ("name", SortBy::Name),
            ("size", SortBy::Size),
        ] {
            for descending in [true, false] {
                let way = if descending { "down" } else { "up" };
                let mut asked = query(user(5), filter.clone(), by, false);
                asked.sort.descending = descending;
                queries.push((format!("{what}, by {order}, {way}"), asked));
            }
        }
    }
    queries
}

fn filters() -> Vec<(&'static str, FileFilter)> {
    [in_common(), in_names_times_and_sizes()].concat()
}

fn in_common() -> Vec<(&'static str, FileFilter)> {
    let none = FileFilter::default;
    let of_type = |owner_type: OwnerType| FileFilter {
        owner_type: Some(owner_type),
        ..none()
    };
    vec![
        (
            "visibility",
            FileFilter {
                visibility: Some(Visibility::Public),
                ..none()
            },
        ),
        (
            "owner",
            FileFilter {
                owner: text("app:shop/main|user-7"),
                ..none()
            },
        ),
        ("owner type most have", of_type(OwnerType::User)),
        ("owner type few have", of_type(OwnerType::Service)),
        ("owner type nobody has", of_type(OwnerType::Public)),
        (
            "bucket, a third",
            FileFilter {
                bucket: text("images"),
                ..none()
            },
        ),
        (
            "bucket, a fortieth",
            FileFilter {
                bucket: text("rare"),
                ..none()
            },
        ),
        (
            "category, half",
            FileFilter {
                category: text("images"),
                ..none()
            },
        ),
        (
            "media type, a third",
            FileFilter {
                media_type: text("image/png"),
                ..none()
            },
        ),
        (
            "tag, a fiftieth",
            FileFilter {
                tags: vec!["tag-7".to_owned()],
                ..none()
            },
        ),
        (
            "entity, four",
            FileFilter {
                entity: text("order/4711"),
                ..none()
            },
        ),
    ]
}

fn in_names_times_and_sizes() -> Vec<(&'static str, FileFilter)> {
    let none = FileFilter::default;
    let made = |from: u64, to: u64| FileFilter {
        created_from: Some(Timestamp::from_millis(BEGUN + from)),
        created_to: Some(Timestamp::from_millis(BEGUN + to)),
        ..none()
    };
    let sized = |min: u64, max: u64| FileFilter {
        size_min: Some(min),
        size_max: Some(max),
        ..none()
    };
    let found = |what: &str| FileFilter {
        search: text(what),
        ..none()
    };
    vec![
        ("search, half", found("picture 1")),
        ("search, a thirtieth", found("picture 77")),
        ("search, six", found("picture 4711")),
        ("search, two letters", found("23")),
        ("a day in the middle", made(FILES / 2, FILES / 2 + FILES / 40)),
        ("the older half", made(0, FILES / 2)),
        ("sizes, a fortieth", sized(500, 524)),
        ("sizes, half", sized(0, 500)),
    ]
}

fn text(text: &str) -> Option<String> {
    Some(text.to_owned())
}

fn lists() -> Vec<(&'static str, FileQuery)> {
    let none = FileFilter::default;
    let images = || FileFilter {
        bucket: text("images"),
        media_type: text("image/*"),
        ..none()
    };
    let rare = FileFilter {
        bucket: text("documents"),
        tags: vec!["tag-7".to_owned()],
        category: text("exports"),
        ..none()
    };
    let mine = FileFilter {
        owner: text("app:shop/main|user-5"),
        ..none()
    };
    vec![
        (
            "everything, newest first",
            query(Viewer::All, none(), SortBy::Created, false),
        ),
        (
            "everything, with a total",
            query(Viewer::All, none(), SortBy::Created, true),
        ),
        ("a user's view", query(user(5), none(), SortBy::Created, false)),
        (
            "a user's view, with a total",
            query(user(5), none(), SortBy::Created, true),
        ),
        ("a user's view, by name", query(user(5), none(), SortBy::Name, false)),
        ("bucket and kind", query(user(5), images(), SortBy::Created, false)),
        (
            "bucket, category and tag",
            query(user(5), rare.clone(), SortBy::Created, true),
        ),
        ("the same, by size", query(user(5), rare, SortBy::Size, true)),
        ("one's own, by name", query(user(5), mine, SortBy::Name, true)),
    ]
}

fn searches() -> Vec<(&'static str, FileQuery)> {
    let none = FileFilter::default;
    let found = |what: &str| FileFilter {
        search: text(what),
        ..none()
    };
    let until = |files: u64| FileFilter {
        created_to: Some(Timestamp::from_millis(BEGUN + files)),
        ..none()
    };
    let (old, older_half) = (until(100), until(FILES / 2));
    let large = FileFilter {
        size_min: Some(1 << 20),
        ..none()
    };
    vec![
        (
            "a common name",
            query(Viewer::All, found("holiday 5"), SortBy::Created, false),
        ),
        (
            "a name nobody has",
            query(Viewer::All, found("no such name"), SortBy::Created, false),
        ),
        (
            "a number in a name",
            query(user(5), found("picture 4711"), SortBy::Created, true),
        ),
        (
            "a common name, by name",
            query(Viewer::All, found("holiday 5"), SortBy::Name, false),
        ),
        (
            "two letters many have",
            query(Viewer::All, found("pi"), SortBy::Created, false),
        ),
        (
            "two letters nobody has",
            query(Viewer::All, found("zz"), SortBy::Created, false),
        ),
        ("larger than any", query(Viewer::All, large, SortBy::Created, false)),
        ("the oldest hundred", query(user(5), old, SortBy::Created, true)),
        (
            "those before the newest half",
            query(Viewer::All, older_half, SortBy::Created, false),
        ),
    ]
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().ok_or("say in which folder the store may be")?;
    let files = arguments.next().map_or(Ok(FILES), |files| files.parse())?;
    let short = arguments.next().is_some_and(|word| word == "short");
    let only = arguments.next().unwrap_or_default();
    let drive = std::path::Path::new(&folder).join("drive");
    std::fs::create_dir_all(&drive)?;
    let engine = Embedded::open(OpenOptions {
        drives: vec![drive],
        ..OpenOptions::default()
    })
    .await?;
    while let ServiceState::NotReady(_) = engine.health().state {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let backend: Arc<dyn Backend> = Arc::clone(&engine) as Arc<dyn Backend>;
    let store = Store::new(backend, Arc::new(SystemClock), Epoch([1; 16]));
    let bucket = BucketName::parse("shop-prod")?;
    if store.look_at_bucket(&bucket).await?.is_none() {
        store.create_bucket(&bucket, "").await?;
        store.change_settings(&bucket, |settings| settings.files = true).await?;
        let begun = Instant::now();
        fill(&store, &bucket, (files, short)).await?;
        let took = begun.elapsed();
        println!(
            "{files} files announced and put in {took:.1?}: {:.0} a second",
            files as f64 / took.as_secs_f64()
        );
    }
    let wanted = queries().into_iter().filter(|(name, _)| name.contains(&only));
    for (name, query) in wanted {
        let mut times = Vec::with_capacity(ROUNDS);
        let (mut listed, mut total) = (0, None);
        for _ in 0..ROUNDS {
            let begun = Instant::now();
            let page = store.list_files(&bucket, &query).await?;
            times.push(begun.elapsed());
            debug_assert!(page.files.iter().all(|(_, file)| file.state == FileState::Active));
            (listed, total) = (page.files.len(), page.total);
        }
        times.sort_unstable();
        let at = |share: usize| times.get(times.len() * share / 100).copied().unwrap_or_default();
        println!(
            "{name:40} p50 {:>10.2?}  p99 {:>10.2?}  {listed} files, total {total:?}",
            at(50),
            at(99)
        );
    }
    engine.close().await;
    Ok(())
}
