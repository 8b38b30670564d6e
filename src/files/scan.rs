//! What servers of an app do about files that are scanned: have one scanned again, or let its bytes be read whatever was
//! found. What was let through by whom and why is kept with the file.

use storage_engine::store::files::{File, FileState};
use storage_engine::store::record::scan::{Release, ScanRecord, ScanVerdict};

use super::answer::Answer;
use super::call::Call;
use super::error::{Code, FilesError};
use super::fields::Fields;
use super::view::{self, Eyes};
use crate::access::Action;

/// Most letters of a reason.
const REASON_CHARS_MAX: usize = 500;

/// `POST /files/:id/scan`: nobody reads the file until it was scanned once more.
pub(super) async fn again(call: &Call<'_>) -> Result<Answer, FilesError> {
    let known = call.named().await?;
    let store = call.open(Action::PutObject, &known.file).await?;
    if !call.inner.outward.scans {
        return Err(Code::SCAN_OFF.into());
    }
    refuse_unless_there(known.file.state)?;
    let change = |file: &mut File| file.state = FileState::Scanning;
    let bucket = &call.caller.bucket;
    let file = store.change_file(bucket, known.id, Some(known.rev), change).await?;
    Ok(Answer::ok(view::file(known.id, &file, call.place(), Eyes::Owner)))
}

/// `POST /files/:id/release`: the file is as if it had been found clean. `reason` says why.
pub(super) async fn release(call: &Call<'_>, fields: &Fields) -> Result<Answer, FilesError> {
    let known = call.named().await?;
    let store = call.open(Action::PutObject, &known.file).await?;
    let reason = fields.need("reason")?;
    if reason.chars().count() > REASON_CHARS_MAX {
        return Err(FilesError::field(format!(
            "reason has at most {REASON_CHARS_MAX} characters."
        )));
    }
    if !matches!(known.file.state, FileState::Quarantined | FileState::Scanning) {
        return Err(state(known.file.state));
    }
    let now = call.time();
    let released = Release {
        by: who(call),
        reason: reason.to_owned(),
        at: now,
    };
    let change = |file: &mut File| {
        file.state = FileState::Active;
        let said = file.scan.take().unwrap_or(ScanRecord {
            verdict: ScanVerdict::NotScanned,
            engine: String::new(),
            signature: None,
            at: now,
            released: None,
        });
        file.scan = Some(ScanRecord {
            released: Some(released.clone()),
            ..said
        });
    };
    let bucket = &call.caller.bucket;
    let file = store.change_file(bucket, known.id, Some(known.rev), change).await?;
    tracing::warn!(%bucket, id = %known.id, by = released.by, "the bytes of a file were released from quarantine");
    Ok(Answer::ok(view::file(known.id, &file, call.place(), Eyes::Owner)))
}

/// The key, and for whom it was used.
fn who(call: &Call<'_>) -> String {
    match &call.caller.user {
        Some(user) => format!("key {} for {}", call.caller.key_id, user.subject),
        None => format!("key {}", call.caller.key_id),
    }
}

fn refuse_unless_there(found: FileState) -> Result<(), FilesError> {
    match found {
        FileState::Active | FileState::Scanning | FileState::Quarantined => Ok(()),
        FileState::Pending | FileState::Received | FileState::Trashed | FileState::Rejected => Err(state(found)),
    }
}

fn state(found: FileState) -> FilesError {
    FilesError::because(
        Code::STATE,
        format!("This cannot be done: the file is {}.", found.name()),
    )
}
