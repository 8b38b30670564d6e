//! Quotas of owners, logical buckets and environments: what counts, what is refused, and that the ledger says what is there.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;

use super::random::deeds;
use super::{announced, id, png};
use crate::backend::{Backend, CommitError};
use crate::store::body::NewBody;
use crate::store::error::Fault;
use crate::store::files::{File, FileDeed, FileError, FileId, FileState, OwnerType};
use crate::store::object::put::{PutObject, PutObjectError};
use crate::store::quota::{Account, Held, OverQuota, QuotaOf, QuotaUnit};
use crate::store::record::labels::{Labels, Visibility};
use crate::store::record::settings::{BucketSettings, FileQuota, FileQuotas, NamedFileQuota, Quota};
use crate::store::tests::agreement::agreed;
use crate::store::tests::{Fixture, Scripted, key, store_over, with_catalogue};

const ROOMY: u64 = 1 << 40;

fn bytes(most: u64) -> FileQuota {
    FileQuota {
        bytes: Some(most),
        files: None,
    }
}

fn files(most: u64) -> FileQuota {
    FileQuota {
        bytes: None,
        files: Some(most),
    }
}

fn environment(quota: FileQuota) -> FileQuotas {
    FileQuotas {
        environment: Some(quota),
        ..FileQuotas::default()
    }
}

fn named(name: &str, quota: FileQuota) -> Vec<NamedFileQuota> {
    vec![NamedFileQuota {
        name: name.into(),
        quota,
    }]
}

fn owner(name: &str) -> Account {
    Account::Owner(name.into())
}

fn over(of: QuotaOf, unit: QuotaUnit, quota: u64, needed: u64) -> Option<OverQuota> {
    Some(OverQuota {
        of,
        unit,
        quota,
        needed,
    })
}

/// What was refused for a quota; anything else must have gone well.
#[track_caller]
fn refused<T: std::fmt::Debug>(result: Result<T, FileError>) -> Option<OverQuota> {
    match result {
        Ok(_) => None,
        Err(FileError::OverQuota(over)) => Some(over),
        Err(other) => panic!("{other:?}"),
    }
}

/// A catalogue with these quotas.
async fn limited(quotas: FileQuotas) -> Fixture {
    let all = with_catalogue().await;
    all.limit(quotas).await;
    all
}

impl Fixture {
    async fn limit(&self, quotas: FileQuotas) {
        let change = move |settings: &mut BucketSettings| settings.file_quotas.clone_from(&quotas);
        self.store.change_settings(&self.bucket, change).await.unwrap();
    }

    /// Announces a file of `size` bytes.
    async fn announce(&self, n: u64, size: u64) -> Result<FileId, FileError> {
        let file = File {
            size,
            ..announced(&n.to_string())
        };
        self.store.create_file(&self.bucket, id(n), &file).await.map(|()| id(n))
    }

    async fn arrive(&self, n: u64, len: usize) -> Option<OverQuota> {
        let put = self.put_of(&format!("k/{n}"), vec![b'x'; len]);
        self.put_or_over(&self.store.witnessed(png()), put).await
    }

    async fn put_or_over(&self, store: &crate::store::Store, put: PutObject<'static>) -> Option<OverQuota> {
        match store.put_object(put).await {
            Ok(_) => None,
            Err(PutObjectError::OverQuota(over)) => Some(over),
            Err(other) => panic!("{other:?}"),
        }
    }

    async fn held(&self, account: Account) -> (u64, u64) {
        let held = self.store.held_by(&self.bucket, &[account]).await.unwrap().unwrap();
        (held[0].bytes, held[0].files)
    }

    /// The ledger says what a look at every file and every version gives.
    async fn ledger_is_right(&self) {
        let found = agreed(&self.memory, &self.bucket).await.unwrap();
        let mut sums: BTreeMap<Account, Held> = BTreeMap::new();
        for (id, file) in &found {
            if file.state == FileState::Rejected {
                continue;
            }
            let versions = self.store.file_versions(&self.bucket, id).await.unwrap();
            let bytes = file.size + versions.iter().map(|(_, was)| was.size).sum::<u64>();
            let theirs = file.labels.owner.clone().unwrap_or_else(|| "root".into());
            let logical = file.bucket.clone().map(Account::Logical);
            for account in [Account::Files, Account::Owner(theirs)].into_iter().chain(logical) {
                let sum = sums.entry(account).or_default();
                sum.bytes += bytes;
                sum.files += 1;
            }
        }
        let accounts = [
            Account::Files,
            owner("ann"),
            owner("bob"),
            owner("root"),
            Account::Logical("avatars".into()),
        ];
        assert!(sums.keys().all(|account| accounts.contains(account)), "{sums:?}");
        let expected: Vec<Held> = accounts
            .iter()
            .map(|account| sums.get(account).copied().unwrap_or_default())
            .collect();
        let held = self.store.held_by(&self.bucket, &accounts).await.unwrap().unwrap();
        assert_eq!(held, expected);
    }
}

#[tokio::test]
async fn a_file_reserves_what_it_announces_and_then_counts_what_it_has() {
    let all = limited(environment(bytes(100))).await;
    let one = all.announce(1, 60).await.unwrap();
    assert_eq!(all.held(Account::Files).await, (60, 1));
    let full = over(QuotaOf::Environment, QuotaUnit::Bytes, 100, 101);
    assert_eq!(refused(all.announce(2, 41).await), full);
    assert_eq!(all.file(id(2)).await, None);
    assert_eq!(all.arrive(1, 20).await, None);
    assert_eq!(all.held(Account::Files).await, (20, 1));
    let two = all.announce(3, 80).await.unwrap();
    // More arrives than was announced: what is too much is refused, and the reservation stands.
    let full = over(QuotaOf::Environment, QuotaUnit::Bytes, 100, 101);
    assert_eq!(all.arrive(3, 81).await, full);
    assert_eq!(all.file(two).await.unwrap().state, FileState::Pending);
    assert_eq!(all.held(Account::Files).await, (100, 2));
    assert_eq!(all.arrive(3, 80).await, None);
    all.ledger_is_right().await;
    // What is given up, and what never came.
    all.store.purge_file(&all.bucket, one, None).await.unwrap();
    let waiting = all.announce(4, 20).await.unwrap();
    assert!(refused(all.announce(5, 1).await).is_some());
    all.store.purge_file(&all.bucket, waiting, None).await.unwrap();
    all.announce(5, 20).await.unwrap();
    all.ledger_is_right().await;
}

#[tokio::test]
async fn what_announces_no_size_is_refused_when_its_bytes_come() {
    let all = limited(environment(bytes(10))).await;
    all.announce(1, 0).await.unwrap();
    assert_eq!(all.held(Account::Files).await, (0, 1));
    let full = over(QuotaOf::Environment, QuotaUnit::Bytes, 10, 11);
    assert_eq!(all.arrive(1, 11).await, full);
    assert_eq!(all.arrive(1, 10).await, None);
    // Of one that waits more may become known, and is held to the quota; of one with bytes it is what these are.
    all.announce(2, 0).await.unwrap();
    let grow = |size| {
        let change = move |file: &mut File| file.size = size;
        all.store.change_file(&all.bucket, id(2), None, change)
    };
    assert_eq!(refused(grow(1).await), full);
    let other = move |file: &mut File| file.size = 3;
    all.store.change_file(&all.bucket, id(1), None, other).await.unwrap();
    assert_eq!(all.file(id(1)).await.unwrap().size, 10);
    all.ledger_is_right().await;
}

#[tokio::test]
async fn a_long_body_is_refused_before_it_is_taken_in_whosever_quota_it_is() {
    let quotas = FileQuotas {
        owners: named("ann", bytes(1_000)),
        environment: Some(bytes(2_000_000)),
        ..FileQuotas::default()
    };
    let all = limited(quotas).await;
    all.announce(1, 0).await.unwrap();
    let endless = |name: &str, len: usize| PutObject {
        body: NewBody {
            source: Box::pin(futures::stream::pending()),
            ..NewBody::from_bytes(vec![0; len])
        },
        ..all.put_of(name, "")
    };
    let large = 1 << 20;
    let full = over(QuotaOf::Owner, QuotaUnit::Bytes, 1_000, large as u64);
    assert_eq!(all.put_or_over(&all.store, endless("k/1", large)).await, full);
    let large = 2_000_001;
    let full = over(QuotaOf::Environment, QuotaUnit::Bytes, 2_000_000, large as u64);
    assert_eq!(all.put_or_over(&all.store, endless("plain", large)).await, full);
}

#[tokio::test]
async fn what_is_in_the_trash_and_what_was_replaced_counts_until_it_is_gone() {
    let all = limited(environment(bytes(20))).await;
    let file = all.announce(1, 0).await.unwrap();
    assert_eq!(all.arrive(1, 5).await, None);
    let put = || all.put_of("k/1", vec![b'y'; 8]);
    let keeping = all.store.witnessed(png()).keeping_replaced();
    assert_eq!(all.put_or_over(&keeping, put()).await, None);
    assert_eq!(all.held(Account::Files).await, (13, 1));
    let full = over(QuotaOf::Environment, QuotaUnit::Bytes, 20, 21);
    assert_eq!(all.put_or_over(&keeping, put()).await, full);
    // Without keeping the old bytes there is room.
    assert_eq!(all.put_or_over(&all.store.witnessed(png()), put()).await, None);
    let [(version, _)] = all.store.file_versions(&all.bucket, &file).await.unwrap()[..] else {
        panic!()
    };
    all.store
        .restore_file_version(&all.bucket, file, version, None)
        .await
        .unwrap();
    assert_eq!(all.held(Account::Files).await, (13, 1), "they changed places");
    all.store.trash_file(&all.bucket, file, None).await.unwrap();
    assert_eq!(all.held(Account::Files).await, (13, 1));
    assert!(refused(all.announce(2, 8).await).is_some());
    all.ledger_is_right().await;
    all.store.restore_file(&all.bucket, file, None).await.unwrap();
    let [(version, _)] = all.store.file_versions(&all.bucket, &file).await.unwrap()[..] else {
        panic!()
    };
    all.store.remove_file_version(&all.bucket, file, version).await.unwrap();
    assert_eq!(all.held(Account::Files).await, (5, 1));
    all.ledger_is_right().await;
    all.store.trash_file(&all.bucket, file, None).await.unwrap();
    all.store.purge_file(&all.bucket, file, None).await.unwrap();
    assert_eq!(all.held(Account::Files).await, (0, 0));
    // Rejected: the record stays, the bytes do not.
    let file = all.announce(3, 20).await.unwrap();
    assert_eq!(all.arrive(3, 20).await, None);
    all.store.reject_file(&all.bucket, file, None, "no").await.unwrap();
    assert_eq!(all.held(Account::Files).await, (0, 0));
    all.ledger_is_right().await;
}

#[tokio::test]
async fn the_narrowest_limit_that_is_reached_is_named() {
    let quotas = FileQuotas {
        environment: Some(FileQuota {
            bytes: Some(100),
            files: Some(3),
        }),
        default_owner: Some(bytes(50)),
        owners: named("bob", files(1)),
        buckets: named("avatars", bytes(10)),
    };
    let all = limited(quotas).await;
    let make = async |n: u64, who: &str, kind, logical: Option<&str>, size| {
        let mut file = announced(&n.to_string());
        file.labels.owner = Some(who.to_owned());
        (file.owner_type, file.bucket, file.size) = (kind, logical.map(str::to_owned), size);
        refused(all.store.create_file(&all.bucket, id(n), &file).await)
    };
    let (user, service) = (OwnerType::User, OwnerType::Service);
    let of_owner = over(QuotaOf::Owner, QuotaUnit::Bytes, 50, 51);
    assert_eq!(make(1, "ann", user, Some("avatars"), 51).await, of_owner);
    let of_logical = over(QuotaOf::LogicalBucket, QuotaUnit::Bytes, 10, 11);
    assert_eq!(make(1, "ann", user, Some("avatars"), 11).await, of_logical);
    assert_eq!(make(1, "ann", user, Some("avatars"), 10).await, None);
    // Whoever is named has that limit and not the one of everybody.
    assert_eq!(make(2, "bob", user, Some("documents"), 60).await, None);
    let of_bob = over(QuotaOf::Owner, QuotaUnit::Files, 1, 2);
    assert_eq!(make(3, "bob", user, None, 0).await, of_bob);
    // The limit of everybody is that of persons.
    let of_all = over(QuotaOf::Environment, QuotaUnit::Bytes, 100, 121);
    assert_eq!(make(3, "server", service, None, 51).await, of_all);
    assert_eq!(make(3, "server", service, None, 30).await, None);
    let many = over(QuotaOf::Environment, QuotaUnit::Files, 3, 4);
    assert_eq!(make(4, "ann", user, None, 0).await, many);
    // Into a bucket that is full, and to an owner who has enough, nothing is moved either.
    let into = |file: &mut File| file.bucket = Some("avatars".into());
    let moved = all.store.change_file(&all.bucket, id(2), None, into).await;
    let of_logical = over(QuotaOf::LogicalBucket, QuotaUnit::Bytes, 10, 70);
    assert_eq!(refused(moved), of_logical);
    let to_bob = |file: &mut File| file.labels.owner = Some("bob".into());
    let moved = all.store.change_file(&all.bucket, id(1), None, to_bob).await;
    assert_eq!(refused(moved), of_bob);
    let to_ann = |file: &mut File| file.labels.owner = Some("ann".into());
    all.store.change_file(&all.bucket, id(3), None, to_ann).await.unwrap();
    assert_eq!(all.held(owner("ann")).await, (40, 2));
    assert_eq!(all.held(owner("server")).await, (0, 0));
}

#[tokio::test]
async fn what_s3_puts_is_nobodys_counts_for_the_environment_and_is_relabelled_whatever_it_holds() {
    let all = limited(environment(bytes(10))).await;
    all.put("plain", "eight by").await;
    assert_eq!(all.held(owner("root")).await, (8, 1));
    let more = all.put_or_over(&all.store, all.put_of("more", "abc")).await;
    assert_eq!(more, over(QuotaOf::Environment, QuotaUnit::Bytes, 10, 11));
    all.assert_absent("more").await;
    let put = PutObject {
        labels: Labels {
            owner: Some("bob".into()),
            ..Labels::default()
        },
        ..all.put_of("bobs", "b")
    };
    assert_eq!(all.put_or_over(&all.store, put).await, None);
    assert_eq!(all.held(owner("bob")).await, (1, 1));
    all.limit(environment(bytes(1))).await;
    let place = crate::store::object::labels::ObjectPlace {
        bucket: all.bucket.clone(),
        key: key("plain"),
        version: None,
    };
    let public = |labels: &mut Labels| labels.visibility = Some(Visibility::Public);
    all.store.change_labels(&place, None, public).await.unwrap();
    // It shrinks, and goes, in an environment that is over.
    all.put("plain", "seven b").await;
    all.delete("plain").await;
    assert_eq!(all.held(Account::Files).await, (1, 1));
    all.ledger_is_right().await;
}

#[tokio::test]
async fn the_bucket_has_its_own_quota_beside_and_counts_its_objects_alone() {
    let all = limited(environment(bytes(20))).await;
    let change = |settings: &mut BucketSettings| settings.quota = Some(Quota { bytes: 10 });
    all.store.change_settings(&all.bucket, change).await.unwrap();
    let file = all.announce(1, 10).await.unwrap();
    assert_eq!(all.arrive(1, 10).await, None);
    let of_bucket = over(QuotaOf::Bucket, QuotaUnit::Bytes, 10, 11);
    assert_eq!(all.put_or_over(&all.store, all.put_of("a", "x")).await, of_bucket);
    all.store.trash_file(&all.bucket, file, None).await.unwrap();
    all.put("a", "0123456789").await;
    let of_all = over(QuotaOf::Environment, QuotaUnit::Bytes, 20, 21);
    assert_eq!(refused(all.announce(2, 1).await), of_all);
    // Taking one of them away leaves the other, and the books as they were.
    all.limit(FileQuotas::default()).await;
    all.announce(2, 100).await.unwrap();
    assert_eq!(all.put_or_over(&all.store, all.put_of("b", "x")).await, of_bucket);
    all.limit(environment(bytes(120))).await;
    assert_eq!(all.held(Account::Files).await, (120, 3));
    all.ledger_is_right().await;
}

#[tokio::test]
async fn a_limit_that_is_set_later_counts_what_was_there_before() {
    let all = with_catalogue().await;
    assert_eq!(all.store.held_by(&all.bucket, &[Account::Files]).await.unwrap(), None);
    all.announce(1, 60).await.unwrap();
    assert_eq!(all.arrive(1, 50).await, None);
    all.announce(2, 30).await.unwrap();
    all.limit(environment(bytes(100))).await;
    assert!(refused(all.announce(3, 21).await).is_some());
    all.limit(FileQuotas::default()).await;
    all.announce(3, 21).await.unwrap();
    all.limit(environment(bytes(102))).await;
    assert_eq!(all.held(Account::Files).await, (101, 3));
    assert!(refused(all.announce(4, 2).await).is_some());
    // After a start the books are made anew.
    let restarted = all.restarted();
    assert!(refused(restarted.announce(4, 2).await).is_some());
    restarted.announce(4, 1).await.unwrap();
    restarted.ledger_is_right().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_those_who_announce_at_once_as_many_as_fit_get_the_last_bytes() {
    for (room, winners) in [(10, 1), (35, 3)] {
        let all = Arc::new(limited(environment(bytes(100 + room))).await);
        all.announce(9_999, 100).await.unwrap();
        let racers = (0..40).map(|n| {
            let all = Arc::clone(&all);
            tokio::spawn(async move { refused(all.announce(n, 10).await).is_none() })
        });
        let done = futures::future::join_all(racers.collect::<Vec<_>>()).await;
        let won = done.into_iter().filter(|won| *won.as_ref().unwrap()).count();
        assert_eq!(won, winners);
        all.ledger_is_right().await;
    }
}

#[tokio::test]
async fn what_a_commit_that_goes_on_claims_is_nobody_elses() {
    let plain = limited(environment(bytes(10))).await;
    let scripted = Scripted::over(&plain.memory);
    let all = Arc::new(Fixture {
        store: store_over(Arc::clone(&scripted) as Arc<dyn Backend>, 3),
        memory: plain.memory.clone(),
        bucket: plain.bucket.clone(),
    });
    assert_eq!(all.held(Account::Files).await, (0, 0));
    let (tell, told) = tokio::sync::oneshot::channel();
    let second = Arc::clone(&all);
    scripted.before_next_commit(move || {
        Box::pin(async move {
            assert!(tell.send(refused(second.announce(2, 10).await)).is_ok());
            None
        })
    });
    all.announce(1, 10).await.unwrap();
    let full = over(QuotaOf::Environment, QuotaUnit::Bytes, 10, 20);
    assert_eq!(told.await.unwrap(), full);
    all.ledger_is_right().await;
}

#[tokio::test]
async fn what_a_refused_commit_claimed_is_given_back_and_what_is_unknown_counts_until_it_is_counted() {
    let plain = limited(environment(bytes(100))).await;
    let scripted = Scripted::over(&plain.memory);
    let all = Fixture {
        store: store_over(Arc::clone(&scripted) as Arc<dyn Backend>, 3),
        memory: plain.memory.clone(),
        bucket: plain.bucket.clone(),
    };
    all.announce(1, 10).await.unwrap();
    for error in [
        CommitError::Full("no space".into()),
        CommitError::Unavailable("no quorum".into()),
    ] {
        scripted.fail_next_commit(error);
        assert!(matches!(all.announce(2, 90).await, Err(FileError::Fault(_))));
        assert_eq!(all.held(Account::Files).await, (10, 1));
    }
    // Its key is taken: a condition that does not hold.
    let taken = File {
        size: 90,
        ..announced("1")
    };
    let refused_by_key = all.store.create_file(&all.bucket, id(2), &taken).await;
    assert!(matches!(refused_by_key, Err(FileError::KeyTaken)), "{refused_by_key:?}");
    all.announce(2, 90).await.unwrap();
    all.store.purge_file(&all.bucket, id(2), None).await.unwrap();
    scripted.fail_next_commit(CommitError::Unknown("cut".into()));
    let unknown = all.announce(3, 90).await;
    assert!(
        matches!(unknown, Err(FileError::Fault(Fault::Unknown(_)))),
        "{unknown:?}"
    );
    // Nobody knows whether it is there, so it counts; the count that is due finds that it is not.
    assert_eq!(all.held(Account::Files).await, (100, 2));
    for _ in 0..10_000 {
        if all.held(Account::Files).await == (10, 1) {
            break;
        }
        tokio::task::yield_now().await;
    }
    all.announce(4, 90).await.unwrap();
    all.ledger_is_right().await;
}

#[tokio::test]
async fn files_that_change_together_are_entered_each() {
    let all = limited(environment(bytes(ROOMY))).await;
    for n in 1..=4 {
        all.announce(n, n).await.unwrap();
        if n < 4 {
            assert_eq!(all.arrive(n, 10).await, None);
        }
    }
    let deeds = [
        (id(1), FileDeed::Register),
        (id(2), FileDeed::Trash),
        (id(3), FileDeed::Trash),
        (id(4), FileDeed::Trash),
    ];
    all.together(&deeds).await.unwrap();
    assert_eq!(all.held(Account::Files).await, (30, 3), "the one that waited is gone");
    all.ledger_is_right().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_count_of_files_is_exact_while_they_change_under_it() {
    let all = Arc::new(with_catalogue().await);
    for n in 0..2_500 {
        all.announce(n, 1).await.unwrap();
    }
    all.limit(environment(bytes(ROOMY))).await;
    // The first of these begins the count of three pages, the others change what it counts.
    let changes = (0..200).map(|n| {
        let all = Arc::clone(&all);
        tokio::spawn(async move {
            match n % 3 {
                0 => all.store.purge_file(&all.bucket, id(n * 12), None).await.unwrap(),
                1 => assert_eq!(all.arrive(n * 12, 11).await, None),
                _ => drop(all.announce(5_000 + n, 3).await.unwrap()),
            }
        })
    });
    for changed in futures::future::join_all(changes.collect::<Vec<_>>()).await {
        changed.unwrap();
    }
    all.ledger_is_right().await;
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn whatever_happens_the_ledger_says_what_is_there(deeds in deeds()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let all = limited(environment(bytes(ROOMY))).await;
            let (mut announcements, mut made) = (0, Vec::new());
            for deed in &deeds {
                all.does(deed, &mut announcements, &mut made).await;
                all.ledger_is_right().await;
            }
            // What was carried on is what a count gives.
            all.restarted().ledger_is_right().await;
        });
    }
}
