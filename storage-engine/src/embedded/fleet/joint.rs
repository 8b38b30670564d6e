//! How a change of the members counts: the root with the new table carries the old one, too, and must stand on a majority
//! of both; only then a second root says that it is settled. Whoever calls holds the turn to change members.

use std::sync::Arc;

use crate::embedded::core::Shared;
use crate::embedded::id::DriveId;
use crate::embedded::root::Root;

/// Makes a change of the members count. `newcomer` is the drive that it takes in: where that one does not take the change,
/// it is taken back.
///
/// # Errors
/// In words. The change did not happen, or the store has stopped taking writes and a start decides.
pub(in crate::embedded) async fn change_members(
    shared: &Arc<Shared>,
    newcomer: Option<DriveId>,
    edit: impl FnOnce(&mut Root) + Send + 'static,
) -> Result<(), String> {
    settle(shared).await?;
    let joint = shared.change_root_beside(move |root| {
        root.old_members = Some(root.members.clone());
        edit(root);
    });
    let failed = joint.await?;
    let refused = newcomer.filter(|id| failed.contains(id));
    let settled = shared.change_root_beside(move |root| {
        root.old_members = None;
        if let Some(id) = refused {
            root.members.retain(|member| member.id != id);
            root.gone.push(id);
        }
    });
    match (settled.await, refused) {
        (Ok(_), None) => Ok(()),
        (Ok(_), Some(_)) => Err("the new drive did not take the root of the store".into()),
        (Err(reason), _) if shared.service.refuses_writes().is_some() => Err(reason),
        // It counts; that it is settled is said later.
        (Err(reason), _) => {
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
