//! Users of environments for whom something is set: who is shut out, and until when what they were given is revoked.
//!
//! Owns these rows and what they mean. Whoever has none is let in as their issuer vouches for them. It never looks at files;
//! those of a user who is shut out stay as they are.

use std::time::Duration;

use storage_engine::store::clock::Timestamp;
use storage_engine::store::projects::{OfProject, ProjectChange, RowName};
use storage_engine::store::record::projects::UserRecord;

use super::admit::KEY_ALIAS;
use super::caller::AppCaller;
use super::directory::Projects;
use super::error::ProjectsError;
use super::snapshot::Snapshot;
use super::upload_tokens::{GrantedUser, NAME_BYTES_MAX};

/// Users of one environment for whom something is set.
const USERS_MAX: usize = 20_000;
/// How long it is known when a user's links were revoked: longer than any link, and any upload token, lasts.
const REVOKED_KEPT: Duration = Duration::from_secs(8 * 24 * 3_600);
/// Rows that go in one change because nothing needs them any more.
const SWEPT_MAX: usize = 500;

/// What is set for a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserStanding {
    pub user: GrantedUser,
    /// Since when they are shut out.
    pub blocked: Option<Timestamp>,
    /// What they were given before this lets nothing.
    pub revoked: Option<Timestamp>,
}

/// What becomes of a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UserChange {
    /// Nothing is let to them any more, nor by anything that they were given.
    Block,
    /// They are let in again. What they were given before stays revoked.
    Unblock,
    /// All links that they asked for, and all to their files, let nothing any more, nor do credentials for uploads and upload
    /// tokens in their name.
    RevokeLinks,
}

/// How a user is named in a project: their issuer's alias, `|`, what that calls them.
pub(super) fn user_name(user: &GrantedUser) -> String {
    format!("{}|{}", user.issuer, user.subject)
}

/// The row of a user in an environment.
fn row(place: &OfProject, user: &str) -> OfProject {
    OfProject::new(&place.project, &format!("{}/{user}", place.name))
}

/// The user whose row in this environment is called so; `None`: it is the row of another environment.
fn of_row<'r>(place: &OfProject, row: &'r OfProject) -> Option<&'r str> {
    let rest = row.name.strip_prefix(&place.name)?.strip_prefix('/');
    rest.filter(|_| row.project == place.project)
}

impl Snapshot {
    fn user(&self, place: &OfProject, user: &str) -> Option<&UserRecord> {
        match self.rows.users.is_empty() {
            true => None,
            false => self.rows.users.get(&row(place, user)),
        }
    }

    /// Whether the user of this name is shut out of an environment. One whose row cannot be read is.
    pub(super) fn is_blocked(&self, place: &OfProject, user: &str) -> bool {
        let damaged = || self.rows.unreadable.contains(&RowName::User(row(place, user)));
        self.user(place, user).is_some_and(|user| user.blocked.is_some())
            || (!self.rows.unreadable.is_empty() && damaged())
    }

    /// When what this user was given in an environment was revoked last; the beginning of time: never.
    pub(super) fn links_revoked(&self, place: &OfProject, user: &str) -> Timestamp {
        let revoked = self.user(place, user).and_then(|user| user.revoked);
        revoked.unwrap_or_default()
    }

    /// Later than any revocation in the environment, so that what is given out from now on stands.
    fn next_revocation(&self, place: &OfProject, now: Timestamp) -> Timestamp {
        let latest = self.users_of(place).filter_map(|(_, user)| user.revoked).max();
        latest.map_or(now, |latest| {
            now.max(Timestamp::from_millis(latest.millis().saturating_add(1)))
        })
    }

    fn users_of<'s>(&'s self, place: &'s OfProject) -> impl Iterator<Item = (&'s OfProject, &'s UserRecord)> {
        let users = self.rows.users.range(row(place, "")..);
        users.take_while(move |(of, _)| of_row(place, of).is_some())
    }

    /// Rows of an environment that say nothing any more.
    fn outlived(&self, place: &OfProject, now: Timestamp) -> Vec<ProjectChange> {
        let kept = u64::try_from(REVOKED_KEPT.as_millis()).unwrap_or(u64::MAX);
        let is_over = |user: &UserRecord| {
            let revoked = user.revoked.unwrap_or_default();
            user.blocked.is_none() && revoked.millis().saturating_add(kept) < now.millis()
        };
        let over = self.users_of(place).filter(|(_, user)| is_over(user));
        over.take(SWEPT_MAX)
            .map(|(of, _)| ProjectChange::User(of.clone(), None))
            .collect()
    }
}

impl UserChange {
    /// What is set for a user after it; `revoked`: later than any revocation before.
    fn made(self, before: UserRecord, now: Timestamp, revoked: Timestamp) -> UserRecord {
        match self {
            Self::Block => UserRecord {
                blocked: before.blocked.or(Some(now)),
                revoked: Some(revoked),
            },
            Self::Unblock => UserRecord {
                blocked: None,
                ..before
            },
            Self::RevokeLinks => UserRecord {
                revoked: Some(revoked),
                ..before
            },
        }
    }
}

impl Projects {
    /// All users of the caller's environment for whom something is set, by issuer and name.
    pub fn users(&self, caller: &AppCaller) -> Result<Vec<UserStanding>, ProjectsError> {
        let (snapshot, place) = (self.snapshot()?, caller.place());
        let users = snapshot.users_of(&place);
        Ok(users
            .filter_map(|(of, user)| standing(of_row(&place, of)?, user))
            .collect())
    }

    /// Makes this change for a user in the caller's environment. It holds for every request that begins when this has
    /// returned.
    pub async fn change_user(
        &self,
        caller: &AppCaller,
        user: GrantedUser,
        change: UserChange,
    ) -> Result<UserStanding, ProjectsError> {
        let place = caller.place();
        self.change(move |snapshot, now| {
            let of = row(&place, &user_name(&user));
            check(snapshot, (&place, &of), &user)?;
            let before = snapshot.rows.users.get(&of).cloned().unwrap_or_default();
            let after = change.made(before, now, snapshot.next_revocation(&place, now));
            let mut changes = snapshot.outlived(&place, now);
            changes.retain(|change| !matches!(change, ProjectChange::User(other, _) if *other == of));
            let is_new = !snapshot.rows.users.contains_key(&of);
            if is_new && snapshot.users_of(&place).count() >= USERS_MAX + changes.len() {
                return Err(ProjectsError::TooMany(
                    "At most 20000 users of an environment are blocked, or had their links revoked within 8 days",
                ));
            }
            let told = UserStanding {
                user: user.clone(),
                blocked: after.blocked,
                revoked: after.revoked,
            };
            let record = (after != UserRecord::default()).then_some(after);
            changes.push(ProjectChange::User(of, record));
            Ok((changes, told))
        })
        .await
    }

    /// Takes away what is set for users of an environment, as many at a time as one change takes.
    pub(super) async fn forget_users(&self, place: &OfProject) -> Result<(), ProjectsError> {
        loop {
            let place = place.clone();
            let gone = self.change(move |snapshot, _| {
                let users = snapshot.users_of(&place).map(|(of, _)| of);
                let damaged = snapshot.rows.unreadable.iter().filter_map(|row| match row {
                    RowName::User(of) if of_row(&place, of).is_some() => Some(of),
                    _ => None,
                });
                let users = users.chain(damaged).take(SWEPT_MAX);
                let changes: Vec<ProjectChange> = users.map(|of| ProjectChange::User(of.clone(), None)).collect();
                let count = changes.len();
                Ok((changes, count))
            });
            if gone.await? < SWEPT_MAX {
                return Ok(());
            }
        }
    }
}

fn standing(name: &str, user: &UserRecord) -> Option<UserStanding> {
    let (issuer, subject) = name.split_once('|')?;
    Some(UserStanding {
        user: GrantedUser {
            issuer: issuer.to_owned(),
            subject: subject.to_owned(),
        },
        blocked: user.blocked,
        revoked: user.revoked,
    })
}

/// Refuses whom nobody can vouch for; somebody for whom something is set already is known.
fn check(snapshot: &Snapshot, (place, of): (&OfProject, &OfProject), user: &GrantedUser) -> Result<(), ProjectsError> {
    let account = format!("{}/{}", place.project, user_name(user));
    let is_named = !user.subject.is_empty() && !user.subject.chars().any(char::is_control);
    if !is_named || account.len() > NAME_BYTES_MAX {
        return Err(ProjectsError::Invalid(
            "A user's name has at least one character, no control characters, and with project and issuer at most 250 bytes"
                .to_owned(),
        ));
    }
    let is_alias = user.issuer != KEY_ALIAS && !user.issuer.contains(['|', '/']);
    let is_known =
        snapshot.rows.users.contains_key(of) || snapshot.rows.unreadable.contains(&RowName::User(of.clone()));
    match is_alias && (is_known || snapshot.answers_for(&place.project, &account)) {
        true => Ok(()),
        false => Err(ProjectsError::NoSuchIssuer(user.issuer.clone())),
    }
}
