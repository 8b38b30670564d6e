//! Files whose bytes are given out so often and no more, as S3 gives them out: counted before the first byte, and kept by
//! nobody in between.
//!
//! What is counted is a GET that is answered with bytes, whoever asks. It never decides who may read.

use http::Extensions;
use storage_engine::store::Store;
use storage_engine::store::counter::CountError;
use storage_engine::store::object::get::GetObject;
use storage_engine::store::record::labels::Labels;
use storage_engine::store::record::object::Object;

use super::error::{Code, Failure};
use crate::access::owner_id_of;
use crate::auth::{ForImage, Identity};
use crate::http::KEPT_BY_NOBODY;

/// Refuses the ways to such a file on which its downloads are not counted: an image, which is kept, and a version by its
/// name, which may be one of what was taken away.
pub(crate) fn admit(extensions: &Extensions, get: &GetObject, found: &Object) -> Result<(), Failure> {
    let is_aside = get.version.is_some() || extensions.get::<ForImage>().is_some();
    match found.labels.counted && is_aside {
        true => Err(refused(
            "The downloads of this file are counted: it is read by its key, and no image is made of it.",
        )),
        false => Ok(()),
    }
}

/// Counts a download.
pub(crate) async fn count(store: &Store, get: &GetObject, found: &Object) -> Result<(), Failure> {
    if !found.labels.counted {
        return Ok(());
    }
    match store.count_download(&get.bucket, &get.key).await {
        Ok(()) => Ok(()),
        Err(CountError::NothingLeft) => Err(refused("The file was downloaded as often as it may be.")),
        Err(CountError::Fault(fault)) => Err(fault.into()),
    }
}

/// Refuses a copy to those who could read it so as often as they like: all but its owner and root.
pub(crate) fn admit_copy(extensions: &Extensions, source: &Labels) -> Result<(), Failure> {
    let identity = extensions.get::<Identity>().unwrap_or(&Identity::Anonymous);
    let is_owner = source.owner.is_some() && source.owner.as_deref() == owner_id_of(identity);
    match source.counted && !is_owner && !matches!(identity, Identity::Root) {
        true => Err(refused(
            "The downloads of this file are counted: its owner alone copies it.",
        )),
        false => Ok(()),
    }
}

/// How long an answer is kept.
pub(crate) fn kept(object: &Object, said: Option<String>) -> Option<String> {
    match object.labels.counted {
        true => Some(KEPT_BY_NOBODY.to_owned()),
        false => said,
    }
}

fn refused(message: &'static str) -> Failure {
    Failure::because(Code::ACCESS_DENIED, message)
}
