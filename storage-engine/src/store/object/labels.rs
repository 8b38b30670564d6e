//! What an object carries for deciding who may do what, read and changed in place: owner, tags, visibility, shares.
//!
//! A change writes the object's row anew and moves its body under it: no byte is copied, and ETag and time stay.

use crate::backend::{Batch, Key, NewBody as RowBody, Op, Put, Require, Rev};
use crate::store::condition::WriteRefused;
use crate::store::error::{CommitRefused, Fault, faults_from_below};
use crate::store::name::{BucketName, ObjectKey, VersionId};
use crate::store::object::put::DecideError;
use crate::store::record::Record;
use crate::store::record::labels::Labels;
use crate::store::record::object::Object;
use crate::store::{RACES_MAX, Store, key};

/// Which object.
#[derive(Clone, Debug)]
pub struct ObjectPlace {
    pub bucket: BucketName,
    pub key: ObjectKey,
    /// `None`: the current version.
    pub version: Option<VersionId>,
}

#[derive(Debug, thiserror::Error)]
pub enum LabelsError {
    #[error("no such bucket")]
    NoSuchBucket,
    #[error("no such key")]
    NoSuchKey,
    #[error("no such version")]
    NoSuchVersion,
    /// The object is no longer the one that was judged.
    #[error("the object changed meanwhile")]
    Changed,
    #[error(transparent)]
    Fault(#[from] Fault),
}

faults_from_below!(LabelsError);

impl Store {
    /// The object as it stands and its revision, for judging it; `None` if nothing stands there.
    pub async fn look_at(&self, place: &ObjectPlace) -> Result<Option<(Object, Rev)>, Fault> {
        match place.version {
            // No bucket has versions yet.
            Some(VersionId::Id(_)) => Ok(None),
            None | Some(VersionId::Null) => {
                let current = self.current(&key::current(&place.bucket, &place.key)).await?;
                Ok(current.map(|current| (current.object, current.rev)))
            }
        }
    }

    /// Changes an object's labels, and gives the object as it is then. With `judged` only if the object still has that
    /// revision; without, `change` is called again when another change came in between.
    pub async fn change_labels(
        &self,
        place: &ObjectPlace,
        judged: Option<Rev>,
        change: impl Fn(&mut Labels) + Send + Sync,
    ) -> Result<Object, LabelsError> {
        let row_key = key::current(&place.bucket, &place.key);
        for _ in 0..RACES_MAX {
            let current = match place.version {
                Some(VersionId::Id(_)) => None,
                None | Some(VersionId::Null) => self.current(&row_key).await?,
            };
            let Some(current) = current else {
                return Err(self.why_absent(place).await?);
            };
            if judged.is_some_and(|judged| judged != current.rev) {
                return Err(LabelsError::Changed);
            }
            let mut object = current.object;
            let before = object.labels.clone();
            change(&mut object.labels);
            if object.labels == before {
                return Ok(object);
            }
            let body = match current.body {
                Some(_) => RowBody::Moved(row_key.clone()),
                None => RowBody::None,
            };
            let put = Put {
                key: row_key.clone(),
                value: object.to_value(),
                body,
                parent_len: None,
            };
            let mut require = vec![Require::RevIs(row_key.clone(), current.rev)];
            require.extend(self.is_meant(&place.bucket));
            let ops = vec![Op::Put(put)];
            let is_meant = require.len() > 1;
            match self
                .commit_followed(&place.bucket, &row_key, Batch { require, ops })
                .await
            {
                Ok(_) => return Ok(object),
                Err(CommitRefused::Condition { index: 1, .. }) if is_meant => return Err(LabelsError::Changed),
                Err(CommitRefused::Condition { .. }) => {}
                Err(CommitRefused::Fault(fault)) => return Err(fault.into()),
            }
        }
        Err(Fault::Unavailable("the object changed again and again".into()).into())
    }

    /// The labels of an object that is about to stand at `row_key`, and what keeps them true until then: see
    /// [`Labels::in_place_of`] and [`Store::only_on`].
    pub(in crate::store) async fn settle_labels(
        &self,
        row_key: &Key,
        labels: Labels,
    ) -> Result<(Labels, Option<Require>), DecideError> {
        let standing = match self.current(row_key).await {
            // Nothing that it says can be kept, and nobody is kept from writing over it.
            Err(Fault::Corrupt(_)) => None,
            other => other?,
        };
        let same = |rev| Some(Require::RevIs(row_key.clone(), rev));
        match (self.only_replaceable(), standing) {
            (Some((meant, rev)), Some(standing)) if meant == row_key && rev == standing.rev => {
                Ok((standing.object.labels, same(standing.rev)))
            }
            (Some(_), _) => Err(WriteRefused::Conflict.into()),
            (None, Some(standing)) => {
                let settled = labels.clone().in_place_of(&standing.object.labels);
                let kept = settled != labels;
                Ok((settled, same(standing.rev).filter(|_| kept)))
            }
            (None, None) => Ok((labels, None)),
        }
    }

    async fn why_absent(&self, place: &ObjectPlace) -> Result<LabelsError, Fault> {
        Ok(match place.version {
            _ if !self.bucket_exists(&place.bucket).await? => LabelsError::NoSuchBucket,
            None => LabelsError::NoSuchKey,
            Some(_) => LabelsError::NoSuchVersion,
        })
    }
}
