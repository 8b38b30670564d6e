//! Changes and reads of what an object carries beside its bytes, on the very object that the caller's rights were judged on.
//!
//! It never says what the labels mean; tags and ACLs do.

use http::Extensions;
use storage_engine::store::object::labels::{LabelsError, ObjectPlace};
use storage_engine::store::record::labels::Labels;
use storage_engine::store::record::object::Object;

use crate::access::{Action, Resource};
use crate::s3::error::{Code, Failure};
use crate::s3::front::{Basis, Front, Opened};

/// How often an object that is replaced meanwhile is judged anew.
const JUDGED_MAX: usize = 8;

/// Changes the labels of an object for a caller who may take `of_object` on it, or `of_version` where a version is named,
/// and gives the object as it is then. A `change` that changes nothing reads.
pub(crate) async fn change(
    front: &Front,
    extensions: &Extensions,
    (of_object, of_version): (Action, Action),
    place: &ObjectPlace,
    change: impl Fn(&mut Labels) + Send + Sync,
) -> Result<Object, Failure> {
    let action = if place.version.is_some() { of_version } else { of_object };
    let resource = Resource::Object {
        bucket: place.bucket.as_str(),
        key: place.key.as_str(),
    };
    for _ in 0..JUDGED_MAX {
        let Opened { store, basis, .. } = front.open_judged(extensions, action, resource).await?;
        let changed = match basis {
            Basis::Policies => store.change_labels(place, None, &change).await,
            Basis::Record(Some(judged)) => store.change_labels(place, Some(judged), &change).await,
            // Changes nothing, and says exactly what is missing; what came in between was not judged.
            Basis::Record(None) => match store.change_labels(place, None, |_| ()).await {
                Ok(_) => continue,
                Err(error) => Err(error),
            },
        };
        match changed {
            Ok(object) => return Ok(object),
            Err(LabelsError::Changed) => {}
            Err(error) => return Err(front.told(extensions, (&place.bucket, &place.key), error.into()).await),
        }
    }
    Err(Code::OPERATION_ABORTED.into())
}
