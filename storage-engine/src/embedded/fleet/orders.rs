//! The orders about drives, as the operator gives them to a running store.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::rules::{may_drain, may_go, may_have_parity, named};
use super::{FleetError, change_members};
use crate::embedded::core::Shared;
use crate::embedded::heal::{MovingStatus, moving};
use crate::embedded::id::DriveId;
use crate::embedded::log::Committer;
use crate::embedded::recovery::{EnlistError, enlist, judge};
use crate::embedded::root::{Member, Root};
use crate::embedded::supervise::{Embedded, Running};

/// A drive that an order was about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DriveChange {
    pub id: String,
    pub path: String,
}

impl DriveChange {
    fn of(member: &Member) -> Self {
        Self {
            id: member.id.to_string(),
            path: member.path.clone(),
        }
    }
}

/// Most percent that drives may be left to differ by.
const PERCENT_MAX: u8 = 100;

fn refused(reason: impl Into<String>) -> FleetError {
    FleetError::Refused(reason.into())
}

impl From<EnlistError> for FleetError {
    fn from(error: EnlistError) -> Self {
        match error {
            EnlistError::Unfit { .. } => Self::Refused(error.to_string()),
            EnlistError::Unavailable(reason) => Self::Unavailable(reason),
        }
    }
}

impl Embedded {
    /// How far drains and the rebalance are.
    pub fn moving_status(&self) -> MovingStatus {
        match self.running() {
            Ok(running) => moving::status(&running.shared),
            Err(_) => MovingStatus::default(),
        }
    }

    /// The run, if it takes writes.
    fn writing(&self) -> Result<(Arc<Running>, Committer), FleetError> {
        let running = self.running().map_err(FleetError::Unavailable)?;
        if let Some(reason) = running.shared.service.refuses_writes() {
            return Err(FleetError::Unavailable(reason));
        }
        let committer = running.committer.clone();
        let committer = committer.ok_or_else(|| FleetError::Unavailable("the store is read-only".into()))?;
        Ok((running, committer))
    }

    /// Takes empty directories in as new drives; segments that are made from now on use them. If one of them cannot be a
    /// drive none is taken; should one fail later, those before it are in, and the error names them. With `anyway` the operator vouches for directories that look like
    /// unmounted mount points.
    pub async fn add_drives(&self, paths: &[PathBuf], anyway: bool) -> Result<Vec<DriveChange>, FleetError> {
        each_once(paths).map_err(FleetError::Invalid)?;
        let (running, committer) = self.writing()?;
        let shared = &running.shared;
        let _one_at_a_time = shared.membership.lock().await;
        for path in paths {
            judge(self.options(), self.patience(), shared, path, anyway).await?;
        }
        let mut added: Vec<DriveChange> = Vec::new();
        for path in paths {
            match enlist(self.options(), self.patience(), shared, path, anyway).await {
                Ok(id) => added.push(DriveChange {
                    id: id.to_string(),
                    path: path.display().to_string(),
                }),
                Err(error) => {
                    if !added.is_empty() {
                        committer.roll().await;
                    }
                    return Err(after(&added, error.into()));
                }
            }
            running.absent.lock().retain(|(absent, _)| absent != path);
        }
        if !added.is_empty() {
            // The next log segment has them.
            committer.roll().await;
        }
        Ok(added)
    }

    /// Has everything that a drive holds moved to others. Nothing new comes to it from now on.
    pub async fn drain_drive(&self, name: &str) -> Result<DriveChange, FleetError> {
        let (running, committer) = self.writing()?;
        let shared = &running.shared;
        let _one_at_a_time = shared.membership.lock().await;
        let (member, root) = member(shared, name)?;
        may_drain(&root, member.id, &present(shared)).map_err(refused)?;
        room_elsewhere(shared, member.id).await?;
        set_state(shared, member.id, |member| member.state = member.state.drained()).await?;
        tracing::info!(path = member.path, drive = %member.id, "a drive is drained");
        committer.roll().await;
        shared.service.moving.ring();
        Ok(DriveChange::of(&member))
    }

    /// Takes an order to drain back. What was moved stays where it is.
    pub async fn keep_drive(&self, name: &str) -> Result<DriveChange, FleetError> {
        let (running, _) = self.writing()?;
        let shared = &running.shared;
        let _one_at_a_time = shared.membership.lock().await;
        let (member, _) = member(shared, name)?;
        if !member.state.is_draining() {
            return Err(refused(format!("drive {} is not drained", member.path)));
        }
        set_state(shared, member.id, |member| member.state = member.state.kept()).await?;
        tracing::info!(path = member.path, drive = %member.id, "a drive is kept after all");
        shared.service.moving.ring();
        Ok(DriveChange::of(&member))
    }

    /// Takes a drive out of the store for good. It must be drained and hold nothing any more, or, by the operator's word
    /// (`lost`), be away and never come back: what it held is then made anew from the others. Its id is remembered and
    /// refused.
    pub async fn remove_drive(&self, name: &str, lost: bool) -> Result<DriveChange, FleetError> {
        let (running, committer) = self.writing()?;
        let shared = &running.shared;
        let _one_at_a_time = shared.membership.lock().await;
        let (member, root) = member(shared, name)?;
        let here = shared.drives.get(&member.id).is_some();
        may_go(&root, member.id, &present(shared)).map_err(refused)?;
        let asked = member.clone();
        if !beside(shared, move |shared| moving::holds_nothing(shared, &asked)).await? {
            if !lost || here {
                let advice = match here {
                    true => "drain it first",
                    false => "bring it back, or say that it is lost for good (--lost)",
                };
                return Err(refused(format!(
                    "drive {} holds what the store needs: {advice}",
                    member.path
                )));
            }
            let unreadable = beside(shared, moving::unreadable).await?;
            if unreadable > 0 {
                return Err(refused(format!(
                    "{unreadable} segments cannot be read without a drive that is away; while this one may come back, it is \
                     not given up"
                )));
            }
        }
        if here && shared.index.lies_under(&root_path(&member)) {
            return Err(refused(format!(
                "the index of the running server lies on {}; restart the server, which makes it on another drive, then \
                 remove this one",
                member.path
            )));
        }
        if here && in_open_log(&root, member.id) {
            committer.roll().await;
        }
        let id = member.id;
        let changed = change_members(shared, None, move |root| {
            root.members.retain(|member| member.id != id);
            root.gone.push(id);
        });
        changed.await.map_err(FleetError::Unavailable)?;
        if shared.keeper.lock().root().old_members.is_none() {
            shared.drop_drives(&[id]);
        } else {
            // Until the change is settled it still counts: it serves nothing, and goes on taking the root.
            drop(shared.drives.remove(&id));
        }
        shared.count_losses_anew();
        tracing::warn!(path = member.path, drive = %id, lost, "a drive was removed from the store");
        shared.service.damage.bell.notify_one();
        shared.service.moving.ring();
        Ok(DriveChange::of(&member))
    }

    /// Puts a new, empty drive in the place of one: what the old one holds is moved off it if it is here; if it is away
    /// for good, by the operator's word (`lost`), made anew.
    pub async fn replace_drive(
        &self,
        name: &str,
        path: &Path,
        lost: bool,
        anyway: bool,
    ) -> Result<(DriveChange, DriveChange), FleetError> {
        let (running, _) = self.writing()?;
        let shared = &running.shared;
        let (old, _) = member(shared, name)?;
        let here = shared.drives.get(&old.id).is_some();
        if !here && !lost {
            return Err(refused(format!(
                "drive {} is away: bring it back, or say that it is lost for good (--lost)",
                old.path
            )));
        }
        if Path::new(&old.path) == path {
            return Err(refused(
                "the new drive must be at another path; an empty drive at the old one is taken in by itself",
            ));
        }
        let added = self.add_drives(&[path.to_owned()], anyway).await?;
        let new = added.into_iter().next();
        let new = new.ok_or_else(|| FleetError::Unavailable("the new drive was not added".into()))?;
        let old_id = old.id.to_string();
        let left = match here {
            true => self.drain_drive(&old_id).await,
            false => self.remove_drive(&old_id, true).await,
        };
        match left {
            Ok(left) => Ok((left, new)),
            Err(error) => Err(refused(format!("{} was added; {} stays: {error}", new.path, old.path))),
        }
    }

    /// Parity of the segments that are made from now on.
    pub async fn set_parity(&self, parity: u8) -> Result<(), FleetError> {
        let (running, committer) = self.writing()?;
        let shared = &running.shared;
        let _one_at_a_time = shared.membership.lock().await;
        let root = shared.keeper.lock().root().clone();
        may_have_parity(&root, parity, &present(shared)).map_err(refused)?;
        let changed = shared.change_root_beside(move |root| root.parity = parity);
        changed.await.map_err(FleetError::Unavailable)?;
        tracing::info!(parity, "new data has another parity");
        committer.roll().await;
        Ok(())
    }

    /// Has shards moved from fuller to emptier drives until how full they are differs by at most so many percent of what
    /// they hold on average; `None` stops that.
    pub async fn rebalance(&self, percent: Option<u8>) -> Result<(), FleetError> {
        if percent.is_some_and(|percent| percent == 0 || percent > PERCENT_MAX) {
            return Err(FleetError::Invalid("give a number of percent from 1 to 100".into()));
        }
        let (running, _) = self.writing()?;
        let shared = &running.shared;
        let _one_at_a_time = shared.membership.lock().await;
        let changed = shared.change_root_beside(move |root| root.rebalance = percent);
        changed.await.map_err(FleetError::Unavailable)?;
        shared.service.moving.ring();
        Ok(())
    }

    /// Takes in the empty directories among the given paths where no drive of the store was ever seen.
    pub(in crate::embedded) async fn add_given(&self) {
        let Ok(running) = self.running() else { return };
        let known: Vec<String> = {
            let keeper = running.shared.keeper.lock();
            keeper.root().members.iter().map(|member| member.path.clone()).collect()
        };
        for path in &self.options().drives {
            let is_known = known.iter().any(|known| Path::new(known) == path.as_path());
            let is_absent = running.absent.lock().iter().any(|(absent, _)| absent == path);
            if is_known || !is_absent {
                continue;
            }
            if let Err(error) = self.add_drives(std::slice::from_ref(path), false).await {
                tracing::error!(%error, "a given path was not added as a drive");
            }
        }
    }
}

/// Whether an order to add directories names some, each once, and none below another.
fn each_once(paths: &[PathBuf]) -> Result<(), String> {
    if paths.is_empty() {
        return Err("name at least one directory".into());
    }
    for (n, path) in paths.iter().enumerate() {
        if let Some(other) = paths
            .iter()
            .skip(n + 1)
            .find(|other| other.starts_with(path) || path.starts_with(other))
        {
            return Err(match path == other {
                true => format!("{} is named twice", path.display()),
                false => format!("{} and {}: one lies inside the other", path.display(), other.display()),
            });
        }
    }
    Ok(())
}

/// An error that came when drives were added already.
fn after(added: &[DriveChange], error: FleetError) -> FleetError {
    if added.is_empty() {
        return error;
    }
    let paths: Vec<&str> = added.iter().map(|added| added.path.as_str()).collect();
    let told = format!("{} was added; {error}", paths.join(", "));
    match error {
        FleetError::Unavailable(_) => FleetError::Unavailable(told),
        FleetError::Unknown(_) | FleetError::Invalid(_) | FleetError::Refused(_) => FleetError::Refused(told),
    }
}

/// The member that is meant, and the root.
fn member(shared: &Shared, name: &str) -> Result<(Member, Root), FleetError> {
    let root = shared.keeper.lock().root().clone();
    let found = named(&root, name).cloned();
    Ok((found.ok_or_else(|| FleetError::Unknown(name.to_owned()))?, root))
}

fn present(shared: &Shared) -> Vec<DriveId> {
    shared.drives.present().into_iter().map(|on| on.id).collect()
}

fn root_path(member: &Member) -> PathBuf {
    PathBuf::from(&member.path)
}

fn in_open_log(root: &Root, id: DriveId) -> bool {
    root.open_log().is_some_and(|open| open.segment.drives.contains(&id))
}

async fn set_state(
    shared: &Arc<Shared>,
    id: DriveId,
    edit: impl Fn(&mut Member) + Send + 'static,
) -> Result<(), FleetError> {
    let changed = shared.change_root_beside(move |root| root.members.iter_mut().filter(|m| m.id == id).for_each(edit));
    changed.await.map_err(FleetError::Unavailable)?;
    shared.count_losses_anew();
    Ok(())
}

/// How long the file systems have to tell their space.
const SPACE_WITHIN: std::time::Duration = std::time::Duration::from_secs(10);

/// The drives that stay must have room for what the drive holds, above what each must keep free: a shard that goes to
/// another as it is, a segment that is wider than what stays as wide as that allows.
async fn room_elsewhere(shared: &Arc<Shared>, id: DriveId) -> Result<(), FleetError> {
    let judged = shared.look_at_space(SPACE_WITHIN, None).await;
    let room = judged.map_err(FleetError::Unavailable)?.room;
    let short = beside(shared, move |shared| moving::without_place(shared, id, room)).await?;
    if short > 0 {
        return Err(refused(format!(
            "what the drive holds does not fit on the others: about {short} bytes would find no place above what each must \
             keep free. Add a drive, or delete something, first"
        )));
    }
    Ok(())
}

/// What takes a look through all segments, where one may wait.
async fn beside<T: Send + 'static>(
    shared: &Arc<Shared>,
    look: impl FnOnce(&Shared) -> T + Send + 'static,
) -> Result<T, FleetError> {
    let shared = Arc::clone(shared);
    let looked = tokio::task::spawn_blocking(move || look(&shared)).await;
    looked.map_err(|e| FleetError::Unavailable(e.to_string()))
}
