//! What those who asked for links, and for credentials that only upload, may do when these are used: what their key and their kind have by then, as long as
//! whoever vouched for them still is an issuer of the project.

use std::sync::Arc;

use time::OffsetDateTime;

use super::directory::Projects;
use super::scopes::Operation;
use crate::links::{Asker, AskerRights, Askers, Purpose};

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
}
