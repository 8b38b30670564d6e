//! What nobody reads, whatever else would let them. Pure.

use super::facts::Barred;
use super::visibility::reads_object;
use super::{Action, Context};

/// Why nobody may do this to the object; `None`: whoever has the right may. What is said of it, and that other bytes come in
/// its place, is not barred.
pub(super) fn of(action: Action, context: &Context<'_>) -> Option<Barred> {
    context
        .object
        .and_then(|object| object.barred)
        .filter(|_| reads_object(action))
}

#[cfg(test)]
mod tests {
    use super::super::{ObjectFacts, Resource, Visibility, decide};
    use super::*;
    use crate::auth::Identity;

    #[test]
    fn not_even_root_reads_what_is_barred_and_only_who_could_is_told_why() {
        let resource = Resource::Object {
            bucket: "photos",
            key: "a",
        };
        for barred in [None, Some(Barred::Scanning), Some(Barred::Quarantined)] {
            for (visibility, identity, could) in [
                (Visibility::Public, Identity::Anonymous, true),
                (Visibility::Private, Identity::Anonymous, false),
                (Visibility::Private, Identity::Root, true),
            ] {
                let object = ObjectFacts {
                    owner: "ann".into(),
                    visibility: Some(visibility),
                    barred,
                    ..ObjectFacts::default()
                };
                let context = Context {
                    object: Some(&object),
                    ..Context::default()
                };
                for action in [Action::GetObject, Action::GetObjectVersion] {
                    let decided = decide(&identity, action, resource, &context);
                    let refused = decided.map(drop).map_err(|denied| denied.barred);
                    let expected = match (could, barred) {
                        (true, None) => Ok(()),
                        (true, barred) => Err(barred),
                        (false, _) => Err(None),
                    };
                    assert_eq!(refused, expected, "{visibility:?} {action:?} {barred:?}");
                }
                let is_root = matches!(identity, Identity::Root);
                for action in [Action::PutObject, Action::DeleteObject, Action::GetObjectTagging] {
                    assert_eq!(decide(&identity, action, resource, &context).is_ok(), is_root);
                }
            }
        }
    }
}
