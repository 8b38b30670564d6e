//! What those who asked for links, and for credentials that only upload, may do when these are used: what their key and their kind have by then, as long as
//! whoever vouched for them still is an issuer of the project.

use std::sync::Arc;

use storage_engine::store::clock::Timestamp;
use storage_engine::store::projects::OfProject;
use time::OffsetDateTime;

use super::directory::Projects;
use super::scopes::Operation;
use super::snapshot::Snapshot;
use crate::links::{Asker, AskerRights, Askers, Person, Purpose};

/// What owner ids of users of apps begin with.
const OF_APP: &str = "app:";

impl Askers for Projects {
    fn rights(&self, asker: &Asker, bucket: &str, purpose: Purpose) -> Option<AskerRights> {
        let snapshot = self.snapshot().ok()?;
        let key = snapshot.key_with_id(&asker.key_id)?;
        if !key.stands_at(OffsetDateTime::now_utc()) || key.bucket.as_str() != bucket {
            return None;
        }
        let person = asker.person.as_ref();
        if person.is_some_and(|person| !snapshot.answers_for(&key.project.name, &person.name)) {
            return None;
        }
        let place = key.place();
        let is_blocked =
            |person: &Person| user(&place, &person.name).is_some_and(|user| snapshot.is_blocked(&place, user));
        if person.is_some_and(is_blocked) || asker.revoked < revoked(&snapshot, &place, asker) {
            return None;
        }
        let operations: &[Operation] = match purpose {
            Purpose::Read => &[Operation::Read],
            Purpose::Write => &[Operation::Create, Operation::Update],
            Purpose::Uploads => &[Operation::Create],
        };
        if !operations.iter().any(|operation| key.scopes.allow(*operation)) {
            return None;
        }
        let policies = match (&asker.person, asker.admin) {
            (None, _) => Vec::new(),
            (Some(_), true) => vec![Arc::clone(&key.of_scopes)],
            (Some(_), false) => vec![Arc::clone(&key.of_users)],
        };
        let most = match purpose {
            Purpose::Read | Purpose::Write => &key.of_scopes,
            Purpose::Uploads => &key.of_uploads,
        };
        let guest_in = asker.guest_in.as_deref().filter(|_| person.is_none());
        let guest_in = guest_in.filter(|_| key.scopes.allow(Operation::Create));
        Some(AskerRights {
            policies,
            session: Some(Arc::clone(most)),
            takes_guests: guest_in.is_some_and(|name| key.takes_guests(name)),
        })
    }

    fn revoked(&self, asker: &Asker, bucket: &str) -> Timestamp {
        let snapshot = self.snapshot().ok();
        let key = snapshot
            .as_ref()
            .and_then(|snapshot| snapshot.key_with_id(&asker.key_id));
        let key = key.filter(|key| key.bucket.as_str() == bucket);
        match (&snapshot, key) {
            (Some(snapshot), Some(key)) => revoked(snapshot, &key.place(), asker),
            (None, _) | (_, None) => Timestamp::default(),
        }
    }
}

/// How the project's rows name a user whose account is called so; `None`: it is of another project.
fn user<'n>(place: &OfProject, account: &'n str) -> Option<&'n str> {
    account.strip_prefix(&place.project)?.strip_prefix('/')
}

/// When what the asker, or the owner, had been given was revoked last.
fn revoked(snapshot: &Snapshot, place: &OfProject, asker: &Asker) -> Timestamp {
    let owner = asker.owner.as_deref().and_then(|owner| owner.strip_prefix(OF_APP));
    let accounts = [asker.person.as_ref().map(|person| person.name.as_str()), owner];
    let users = accounts
        .into_iter()
        .flatten()
        .filter_map(|account| user(place, account));
    let times = users.map(|user| snapshot.links_revoked(place, user));
    times.max().unwrap_or_default()
}
