//! What rows count for, in which sums, and how much each sum may come to. Pure.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use super::OverQuota;
use crate::backend::Key;
use crate::store::files::{File, FileState, OwnerType, ROOT};
use crate::store::record::settings::{BucketSettings, FileQuota, NamedFileQuota};

/// What is added up. Of several that are over their limits, the first in this order is told.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Account {
    /// The files of one owner; those of nobody are root's.
    Owner(String),
    /// The files of one logical bucket.
    Logical(String),
    /// All files.
    Files,
    /// All objects.
    Objects,
}

/// Bytes of some files, and how many these are. Objects are not counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Held {
    pub bytes: u64,
    pub files: u64,
}

impl Held {
    pub(super) fn and(self, more: Self) -> Self {
        Self {
            bytes: self.bytes.saturating_add(more.bytes),
            files: self.files.saturating_add(more.files),
        }
    }

    fn without(self, less: Self) -> Self {
        Self {
            bytes: self.bytes.saturating_sub(less.bytes),
            files: self.files.saturating_sub(less.files),
        }
    }
}

/// Whose limit it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QuotaOf {
    Owner,
    LogicalBucket,
    Environment,
    Bucket,
}

impl fmt::Display for QuotaOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Owner => "the owner",
            Self::LogicalBucket => "the logical bucket",
            Self::Environment => "the environment",
            Self::Bucket => "the bucket",
        })
    }
}

/// What a limit counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QuotaUnit {
    Bytes,
    Files,
}

impl fmt::Display for QuotaUnit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bytes => "bytes",
            Self::Files => "files",
        })
    }
}

/// What a row counts for, in each of some sums. The default is that of no row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Weight {
    accounts: Vec<Account>,
    held: Held,
    /// Whether its owner is a person.
    of_person: bool,
}

impl Weight {
    pub(super) fn of_object(bytes: u64) -> Self {
        Self {
            accounts: vec![Account::Objects],
            held: Held { bytes, files: 0 },
            of_person: false,
        }
    }

    /// What a file counts for: what it has, or was announced with, and what is kept of it, wherever its bytes lie. Of one that
    /// was rejected there are none.
    pub(super) fn of_file(file: &File) -> Self {
        let owner = file.labels.owner.as_deref().unwrap_or(ROOT);
        let logical = file.bucket.clone().map(Account::Logical);
        match file.state {
            FileState::Rejected => Self::default(),
            FileState::Pending
            | FileState::Received
            | FileState::Active
            | FileState::Scanning
            | FileState::Quarantined
            | FileState::Trashed => Self {
                accounts: [Account::Owner(owner.to_owned()), Account::Files]
                    .into_iter()
                    .chain(logical)
                    .collect(),
                held: Held {
                    bytes: file.size.saturating_add(file.kept),
                    files: 1,
                },
                of_person: match file.owner_type {
                    OwnerType::User | OwnerType::Session => true,
                    OwnerType::Service | OwnerType::Public => false,
                },
            },
        }
    }

    /// A file of which it is not known yet whose it is to be.
    pub(super) fn of_anybody(bytes: u64) -> Self {
        Self {
            accounts: vec![Account::Files],
            held: Held { bytes, files: 1 },
            of_person: false,
        }
    }
}

/// A row that comes to count for something else.
#[derive(Clone, Debug)]
pub(super) struct Change {
    pub(super) row: Key,
    pub(super) old: Weight,
    pub(super) new: Weight,
}

/// Sums.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Amounts(HashMap<Account, Held>);

impl Amounts {
    pub(super) fn of(&self, account: &Account) -> Held {
        self.0.get(account).copied().unwrap_or_default()
    }

    fn set(&mut self, account: &Account, held: Held) {
        // Owners who have nothing any more take up nothing here either.
        if held == Held::default() {
            self.0.remove(account);
        } else if let Some(standing) = self.0.get_mut(account) {
            *standing = held;
        } else {
            self.0.insert(account.clone(), held);
        }
    }

    pub(super) fn add(&mut self, weight: &Weight) {
        for account in &weight.accounts {
            self.set(account, self.of(account).and(weight.held));
        }
    }

    pub(super) fn join(&mut self, other: Self) {
        for (account, held) in other.0 {
            self.set(&account, self.of(&account).and(held));
        }
    }

    pub(super) fn change(&mut self, change: &Change) {
        for account in &change.old.accounts {
            self.set(account, self.of(account).without(change.old.held));
        }
        self.add(&change.new);
    }

    pub(super) fn grow(&mut self, growth: &Growth) {
        for (account, (more, _)) in &growth.0 {
            self.set(account, self.of(account).and(*more));
        }
    }

    pub(super) fn shrink(&mut self, growth: &Growth) {
        for (account, (more, _)) in &growth.0 {
            self.set(account, self.of(account).without(*more));
        }
    }

    #[cfg(test)]
    pub(super) fn with(account: Account, bytes: u64) -> Self {
        Self(HashMap::from([(account, Held { bytes, files: 0 })]))
    }
}

/// By how much sums become larger, all changes of one commit together; and whether a person's do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Growth(BTreeMap<Account, (Held, bool)>);

impl Growth {
    pub(super) fn of(changes: &[Change]) -> Self {
        let mut sums: BTreeMap<&Account, (Held, Held, bool)> = BTreeMap::new();
        for Change { old, new, .. } in changes {
            for account in &old.accounts {
                let (sum, _, _) = sums.entry(account).or_default();
                *sum = sum.and(old.held);
            }
            for account in &new.accounts {
                let (_, sum, of_person) = sums.entry(account).or_default();
                *sum = sum.and(new.held);
                *of_person |= new.of_person;
            }
        }
        let grown = |(account, (old, new, of_person)): (&Account, (Held, Held, bool))| {
            let more = new.without(old);
            (more != Held::default()).then(|| (account.clone(), (more, of_person)))
        };
        Self(sums.into_iter().filter_map(grown).collect())
    }

    /// Each sum that becomes larger and has a limit.
    pub(super) fn limited<'g>(
        &'g self,
        settings: &'g BucketSettings,
    ) -> impl Iterator<Item = (&'g Account, Held, Limit)> {
        self.0.iter().filter_map(move |(account, (more, of_person))| {
            let limit = limit_of(settings, account, *of_person)?;
            let bounds = [(limit.most.bytes, more.bytes), (limit.most.files, more.files)];
            let is_bound = bounds.iter().any(|(most, more)| most.is_some() && *more > 0);
            is_bound.then_some((account, *more, limit))
        })
    }
}

/// How much a sum may come to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limit {
    of: QuotaOf,
    most: FileQuota,
}

impl Limit {
    /// Refuses what would be too much.
    pub(super) fn judge(self, held: Held, more: Held) -> Result<(), OverQuota> {
        let needed = held.and(more);
        let bounds = [
            (QuotaUnit::Bytes, self.most.bytes, more.bytes, needed.bytes),
            (QuotaUnit::Files, self.most.files, more.files, needed.files),
        ];
        for (unit, most, more, needed) in bounds {
            if let Some(quota) = most
                && more > 0
                && needed > quota
            {
                return Err(OverQuota {
                    of: self.of,
                    unit,
                    quota,
                    needed,
                });
            }
        }
        Ok(())
    }
}

fn limit_of(settings: &BucketSettings, account: &Account, of_person: bool) -> Option<Limit> {
    let quotas = &settings.file_quotas;
    let (of, most) = match account {
        Account::Owner(id) => {
            let named = NamedFileQuota::find(&quotas.owners, id);
            let default = quotas.default_owner.filter(|_| of_person);
            (QuotaOf::Owner, named.or(default)?)
        }
        Account::Logical(name) => (QuotaOf::LogicalBucket, NamedFileQuota::find(&quotas.buckets, name)?),
        Account::Files => (QuotaOf::Environment, quotas.environment?),
        Account::Objects => {
            let bytes = Some(settings.quota?.bytes);
            (QuotaOf::Bucket, FileQuota { bytes, files: None })
        }
    };
    Some(Limit { of, most })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::clock::Timestamp;
    use crate::store::record::settings::FileQuotas;

    fn file(owner: &str, size: u64) -> File {
        let mut file = File::pending("k".into(), [1; 16], "a".into(), Timestamp::from_millis(1));
        file.labels.owner = Some(owner.into());
        file.size = size;
        file
    }

    fn change(old: Option<&File>, new: Option<&File>) -> Change {
        let weight = |file: Option<&File>| file.map(Weight::of_file).unwrap_or_default();
        Change {
            row: Key::new(b"row".to_vec()),
            old: weight(old),
            new: weight(new),
        }
    }

    fn most(bytes: u64) -> FileQuota {
        FileQuota {
            bytes: Some(bytes),
            files: None,
        }
    }

    #[test]
    fn a_file_that_changes_hands_grows_its_new_owner_alone() {
        let (ann, bob) = (file("ann", 10), file("bob", 10));
        let growth = Growth::of(&[change(Some(&ann), Some(&bob))]);
        let grown: Vec<&Account> = growth.0.keys().collect();
        assert_eq!(grown, [&Account::Owner("bob".into())]);
        let mut sums = Amounts::default();
        sums.add(&Weight::of_file(&ann));
        sums.change(&change(Some(&ann), Some(&bob)));
        assert_eq!(sums.of(&Account::Owner("ann".into())), Held::default());
        assert_eq!(sums.of(&Account::Files), Held { bytes: 10, files: 1 });
        assert_eq!(sums.0.len(), 2, "whoever has nothing is forgotten");
    }

    #[test]
    fn changes_of_one_commit_are_judged_by_what_they_come_to_together() {
        let (large, small) = (file("ann", 10), file("ann", 4));
        let growth = Growth::of(&[change(Some(&large), None), change(None, Some(&small))]);
        assert_eq!(growth, Growth::default(), "less, and as many");
    }

    #[test]
    fn what_is_kept_of_a_file_counts_and_what_was_rejected_does_not() {
        let kept = File {
            kept: 5,
            state: FileState::Trashed,
            ..file("ann", 10)
        };
        assert_eq!(Weight::of_file(&kept).held, Held { bytes: 15, files: 1 });
        let rejected = File {
            state: FileState::Rejected,
            ..file("ann", 10)
        };
        assert_eq!(Weight::of_file(&rejected), Weight::default());
    }

    #[test]
    fn the_limit_of_everybody_is_that_of_persons_who_are_not_named() {
        let settings = BucketSettings {
            file_quotas: FileQuotas {
                default_owner: Some(most(10)),
                owners: vec![NamedFileQuota {
                    name: "ann".into(),
                    quota: most(20),
                }],
                ..FileQuotas::default()
            },
            ..BucketSettings::default()
        };
        let limit = |file: &File| {
            let growth = Growth::of(&[change(None, Some(file))]);
            let found = growth.limited(&settings).map(|(_, _, limit)| limit.most.bytes).next();
            found.flatten()
        };
        assert_eq!(limit(&file("ann", 1)), Some(20));
        assert_eq!(limit(&file("bob", 1)), Some(10));
        let server = File {
            owner_type: OwnerType::Service,
            ..file("server", 1)
        };
        assert_eq!(limit(&server), None);
    }
}
