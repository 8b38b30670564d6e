//! How a change of the members counts: the root with the new table carries the old one, too, and must stand on a majority
//! of both; only then a second root says that it is settled. Whoever calls holds the turn to change members.

use std::sync::Arc;

use crate::embedded::core::Shared;
use crate::embedded::id::DriveId;
use crate::embedded::root::Root;

/// What becomes of a newcomer that does not take the root.
pub(in crate::embedded) enum Refusing {
    /// It is no member after all.
    Leaves,
    /// It is a member that is out: the one in whose place it came is gone.
    StaysOut,
}

/// Makes a change of the members count. `newcomer` is the drive that it takes in: where that one does not take the change,
/// it is taken back. After an error the newcomer is not to be used.
///
/// # Errors
/// In words. The change did not happen, or the store has stopped taking writes and a start decides.
pub(in crate::embedded) async fn change_members(
    shared: &Arc<Shared>,
    newcomer: Option<(DriveId, Refusing)>,
    edit: impl FnOnce(&mut Root) + Send + 'static,
) -> Result<(), String> {
    settle(shared).await?;
    let joint = shared.change_root_beside(move |root| {
        root.old_members = Some(root.members.clone());
        edit(root);
    });
    let failed = joint.await?;
    let refused = newcomer.filter(|(id, _)| failed.contains(id));
    let is_refused = refused.is_some();
    let settled = shared.change_root_beside(move |root| {
        root.old_members = None;
        match refused {
            Some((id, Refusing::Leaves)) => {
                root.members.retain(|member| member.id != id);
                root.gone.push(id);
            }
            Some((id, Refusing::StaysOut)) => root.put_out(&[id]),
            None => {}
        }
    });
    match settled.await {
        Ok(_) if is_refused => Err("the new drive did not take the root of the store".into()),
        Ok(_) => Ok(()),
        Err(reason) if shared.service.refuses_writes().is_some() => Err(reason),
        Err(reason) if is_refused => Err(format!(
            "the new drive did not take the root of the store, and {reason}"
        )),
        // It counts; that it is settled is said later.
        Err(reason) => {
            tracing::warn!(reason, "a change of the drives counts and is not settled yet");
            Ok(())
        }
    }
}

/// Says that the last change of the members is settled, if that could not be said when it was made.
pub(in crate::embedded) async fn settle(shared: &Arc<Shared>) -> Result<(), String> {
    if shared.keeper.lock().root().old_members.is_none() {
        return Ok(());
    }
    // What counts in both tables is said once more before the old one is let go.
    shared.change_root_beside(|_| {}).await?;
    shared
        .change_root_beside(|root| root.old_members = None)
        .await
        .map(drop)
}
