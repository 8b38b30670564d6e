//! The directory at one revision, ready to answer: policies compiled, secrets opened, rights resolved.
//!
//! Pure: made from rows, never changed. Whatever is wrong with one row shuts out whom it concerns, and nobody else.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use storage_engine::store::clock::Timestamp;
use storage_engine::store::identity::{DirectoryRows, RowKind};
use storage_engine::store::record::identity::{AccessKeyRecord, KeyParent, UserRecord};

use super::seal::Sealer;
use crate::auth::{Account, Caller, Kind, SecretKey};
use crate::policy::{self, Policy, canned};

/// The directory at one revision.
#[derive(Debug)]
pub(super) struct Snapshot {
    pub(super) rows: DirectoryRows,
    /// `None`: there was never a secret to seal.
    pub(super) sealer: Option<Arc<Sealer>>,
    /// Root's access key, which no user may have.
    root_key: String,
    policies: BTreeMap<String, Arc<Policy>>,
    /// Who may take on a role, by the role's name.
    trusts: BTreeMap<String, Arc<Policy>>,
    /// Who may sign, by access key.
    holders: HashMap<String, Holder>,
    /// The names of all users, by canonical id.
    names: HashMap<String, String>,
    /// What shut somebody out, for the operator's log.
    pub(super) troubles: Vec<String>,
}

/// Somebody who may sign.
#[derive(Debug)]
pub(super) struct Holder {
    pub(super) caller: Arc<Caller>,
    pub(super) secret: SecretKey,
    expires: Option<Timestamp>,
}

/// What an account may do, and who it is.
#[derive(Clone, Debug, Default)]
pub(super) struct Rights {
    pub(super) canonical_id: String,
    pub(super) groups: Vec<String>,
    pub(super) policies: Vec<Arc<Policy>>,
}

impl Snapshot {
    /// Resolves `rows`. What `before` has compiled is taken over where nothing changed.
    pub(super) fn build(
        rows: DirectoryRows,
        sealer: Option<Arc<Sealer>>,
        root_key: &str,
        before: Option<&Snapshot>,
    ) -> Self {
        let damaged = rows.unreadable.iter();
        let mut troubles: Vec<String> = damaged
            .map(|(kind, name)| {
                let kind = kind.name();
                format!("the {kind} '{name}' is damaged or of a newer version: it and whom it concerns are shut out")
            })
            .collect();
        let policies = compile(&rows, before, &mut troubles);
        let trusts = compile_trusts(&rows, before, &mut troubles);
        let named = |(name, user): (&String, &UserRecord)| (user.canonical_id.clone(), name.clone());
        let names = rows.users.iter().map(named).collect();
        let mut snapshot = Self {
            rows,
            sealer,
            root_key: root_key.to_owned(),
            policies,
            trusts,
            holders: HashMap::new(),
            names,
            troubles,
        };
        let mut holders = HashMap::new();
        let mut troubles = Vec::new();
        for (name, user) in &snapshot.rows.users {
            if let Some(why) = snapshot.why_shut_out(name) {
                troubles.push(format!("user '{name}' is shut out, with its access keys: {why}"));
                continue;
            }
            match snapshot.user_holder(name, user) {
                Ok(Some(holder)) => drop(holders.insert(name.clone(), holder)),
                Ok(None) => {}
                Err(trouble) => troubles.push(format!("user '{name}' is shut out: {trouble}")),
            }
        }
        for (name, key) in &snapshot.rows.access_keys {
            if name == root_key || snapshot.rows.users.contains_key(name) {
                troubles.push(format!("access key '{name}' is taken by somebody else and shut out"));
                continue;
            }
            match snapshot.key_holder(name, key, before) {
                Ok(Some(holder)) => drop(holders.insert(name.clone(), holder)),
                Ok(None) => {}
                Err(trouble) => troubles.push(format!("access key '{name}' is shut out: {trouble}")),
            }
        }
        snapshot.holders = holders;
        snapshot.troubles.append(&mut troubles);
        snapshot
    }

    /// Who signs with this access key at `now`.
    pub(super) fn holder(&self, access_key: &str, now: Timestamp) -> Option<&Holder> {
        let holder = self.holders.get(access_key)?;
        holder.expires.is_none_or(|end| now < end).then_some(holder)
    }

    /// The name of the user with this canonical id.
    pub(super) fn user_of(&self, canonical_id: &str) -> Option<&str> {
        self.names.get(canonical_id).map(String::as_str)
    }

    /// A policy by name, the store's own among them.
    pub(super) fn policy(&self, name: &str) -> Option<&Arc<Policy>> {
        self.policies.get(name)
    }

    /// The policy that says who may take on the role of this name; `None`: it does not read, so nobody may.
    pub(super) fn trust(&self, role: &str) -> Option<&Arc<Policy>> {
        self.trusts.get(role)
    }

    /// Whether an access key of this name may sign, but for its end.
    pub(super) fn may_sign(&self, access_key: &str) -> bool {
        self.holders.contains_key(access_key)
    }

    /// All policies, by name.
    pub(super) fn policies(&self) -> &BTreeMap<String, Arc<Policy>> {
        &self.policies
    }

    /// Why a user of this name cannot be let in, whoever it is: it would be taken for root.
    pub(super) fn why_shut_out(&self, name: &str) -> Option<&'static str> {
        if name == self.root_key {
            return Some("the name is root's access key");
        }
        (name == Account::Root.name()).then_some("the name is that of root's account")
    }

    /// The rights of an enabled user; `None`: no such user, not enabled, or shut out.
    pub(super) fn rights_of(&self, name: &str) -> Option<Result<Rights, String>> {
        if self.why_shut_out(name).is_some() {
            return None;
        }
        let user = self.rows.users.get(name).filter(|user| user.enabled)?;
        Some(self.rights(user))
    }

    fn rights(&self, user: &UserRecord) -> Result<Rights, String> {
        let damaged = |group: &&String| self.rows.is_unreadable(RowKind::Group, group);
        if let Some(group) = user.groups.iter().find(damaged) {
            // It may have the policy that denies.
            return Err(format!("its group '{group}' cannot be read"));
        }
        let groups: Vec<String> = user
            .groups
            .iter()
            .filter(|name| self.rows.groups.get(*name).is_some_and(|group| group.enabled))
            .cloned()
            .collect();
        let of_groups = groups
            .iter()
            .filter_map(|name| self.rows.groups.get(name))
            .flat_map(|group| &group.policies);
        let names: BTreeSet<&String> = user.policies.iter().chain(of_groups).collect();
        Ok(Rights {
            canonical_id: user.canonical_id.clone(),
            policies: self.named(names)?,
            groups,
        })
    }

    /// The policies of these names. One that cannot be had may be the one that denies.
    pub(super) fn named<'n>(&self, names: impl IntoIterator<Item = &'n String>) -> Result<Vec<Arc<Policy>>, String> {
        names
            .into_iter()
            .map(|name| {
                let found = self.policies.get(name).cloned();
                found.ok_or_else(|| format!("its policy '{name}' cannot be read"))
            })
            .collect()
    }

    /// A secret as it was sealed for this access key.
    pub(super) fn secret(&self, access_key: &str, sealed: &[u8]) -> Result<SecretKey, String> {
        let sealer = self.sealer.as_ref().ok_or("there is no key to open its secret")?;
        let opened = sealer.open_secret(access_key, sealed);
        opened.map_err(|error| format!("its secret: {error}"))
    }

    fn user_holder(&self, name: &str, user: &UserRecord) -> Result<Option<Holder>, String> {
        if !user.enabled {
            return Ok(None);
        }
        let rights = self.rights(user)?;
        let caller = Caller {
            access_key: name.to_owned(),
            kind: Kind::User,
            account: Account::User(name.to_owned()),
            canonical_id: rights.canonical_id,
            groups: rights.groups,
            claims: BTreeMap::new(),
            policies: rights.policies,
            session: None,
        };
        Ok(Some(Holder {
            caller: Arc::new(caller),
            secret: self.secret(name, &user.sealed_secret)?,
            expires: None,
        }))
    }

    fn key_holder(
        &self,
        access_key: &str,
        key: &AccessKeyRecord,
        before: Option<&Snapshot>,
    ) -> Result<Option<Holder>, String> {
        if !key.enabled {
            return Ok(None);
        }
        let (account, rights) = match &key.parent {
            KeyParent::Root => (Account::Root, Rights::default()),
            KeyParent::User(name) => match self.rights_of(name) {
                None => return Ok(None),
                Some(rights) => (Account::User(name.clone()), rights?),
            },
        };
        let session = match &key.policy {
            None => None,
            Some(text) => {
                let same = before.and_then(|before| before.holders.get(access_key)?.caller.session.clone());
                match same.filter(|policy| policy.text() == text) {
                    Some(policy) => Some(policy),
                    None => {
                        let policy = Policy::parse(text.as_bytes(), policy::Kind::Session);
                        Some(Arc::new(policy.map_err(|error| format!("its policy: {error}"))?))
                    }
                }
            }
        };
        let caller = Caller {
            access_key: access_key.to_owned(),
            kind: Kind::AccessKey,
            account,
            canonical_id: rights.canonical_id,
            groups: rights.groups,
            claims: BTreeMap::new(),
            policies: rights.policies,
            session,
        };
        Ok(Some(Holder {
            caller: Arc::new(caller),
            secret: self.secret(access_key, &key.sealed_secret)?,
            expires: key.expires,
        }))
    }
}

/// The trust policies of all roles.
fn compile_trusts(
    rows: &DirectoryRows,
    before: Option<&Snapshot>,
    troubles: &mut Vec<String>,
) -> BTreeMap<String, Arc<Policy>> {
    let mut compiled = BTreeMap::new();
    for (name, role) in &rows.roles {
        let same = before.and_then(|before| before.trusts.get(name)).cloned();
        let trust = match same.filter(|policy| policy.text() == role.trust) {
            Some(policy) => Ok(policy),
            None => Policy::parse(role.trust.as_bytes(), policy::Kind::Trust).map(Arc::new),
        };
        match trust {
            Ok(trust) => drop(compiled.insert(name.clone(), trust)),
            Err(error) => troubles.push(format!(
                "nobody can take on the role '{name}': its trust policy cannot be read: {error}"
            )),
        }
    }
    compiled
}

/// Every policy there is: the operator's, and the store's own where the operator has none of that name.
fn compile(
    rows: &DirectoryRows,
    before: Option<&Snapshot>,
    troubles: &mut Vec<String>,
) -> BTreeMap<String, Arc<Policy>> {
    let own = rows
        .policies
        .iter()
        .map(|(name, record)| (name.as_str(), record.text.as_str()));
    let built_in = canned::every()
        // The operator's own may have been there in its place.
        .filter(|canned| !rows.policies.contains_key(canned.name))
        .filter(|canned| !rows.is_unreadable(RowKind::Policy, canned.name))
        .map(|canned| (canned.name, canned.document));
    let mut compiled = BTreeMap::new();
    for (name, text) in own.chain(built_in) {
        let same = before.and_then(|before| before.policies.get(name)).cloned();
        let policy = match same.filter(|policy| policy.text() == text) {
            Some(policy) => Ok(policy),
            None => Policy::parse(text.as_bytes(), policy::Kind::Identity).map(Arc::new),
        };
        match policy {
            Ok(policy) => drop(compiled.insert(name.to_owned(), policy)),
            Err(error) => troubles.push(format!("policy '{name}' cannot be read: {error}")),
        }
    }
    compiled
}
