//! The order of a start. Steps up to the first change of the root only read; a start that cannot write ends in a
//! read-only store with the tail served from the old segment, nothing sealed, cut or deleted.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;

use super::adopt::{Replacement, UNLIKE, plan};
use super::adoption::{NotAdopted, adopt};
use super::find::{Found, FoundDrive, Look, OpenError, find, look_in_time};
use super::format::{FIRST_EPOCH, format};
use super::identity;
use super::index_build::build;
use super::patience::Patience;
use super::replay::{LogEnd, Verdict};
use super::tail::pending_ops;
use super::unfinished::left_by_a_first_format;
use crate::backend::{Key, ServiceState};
use crate::embedded::core::{Shared, nonce};
use crate::embedded::damage_log::DamageLog;
use crate::embedded::drive::{Drive, DriveOptions, holds_anything, leftovers};
use crate::embedded::erasure::{Codec, Codecs, Geometry};
use crate::embedded::heal::{HealOptions, keep_doubt};
use crate::embedded::id::DriveId;
use crate::embedded::log::{BatchOps, Fault, Head, NewSegment, PendingOp, RecordFacts, write_new_segment};
use crate::embedded::root::{Election, LogSegment, MEMBERS_MAX, Member, Refusal, Root, RootKeeper, RootSlot, elect};
use crate::embedded::segment::{DamageSink, Drives, SegmentReader};
use crate::embedded::service::Service;
#[cfg(test)]
use crate::{embedded::id::SegmentId, planted};

/// How to open a store.
#[derive(Clone, Debug, Default)]
pub struct OpenOptions {
    /// The drives' directories.
    pub drives: Vec<PathBuf>,
    /// Parity shards for a store that is formatted now; without it the number of drives decides.
    pub parity: Option<u8>,
    /// Where the index lives; by default under the first usable drive.
    pub index_dir: Option<PathBuf>,
    /// The operator's word that missing drives are gone and empty directories replace them.
    pub adopt: bool,
    /// The operator's word that empty directories at given paths where no drive of the store was ever seen are new
    /// drives for it.
    pub add: bool,
    pub drive: DriveOptions,
    pub heal: HealOptions,
}

/// How long a start waits for the file systems to tell their space.
const LOOK_WITHIN: Duration = Duration::from_secs(2);

/// Which start of this process it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Occasion {
    /// The only one that may format.
    First,
    /// This process has seen the store: paths that are all empty now are drives that are not mounted.
    Again,
}

/// A store ready to serve.
pub struct Started {
    pub shared: Arc<Shared>,
    /// The new open segment; `None` when read-only.
    pub open: Option<NewSegment>,
    pub next_seq: u64,
    /// Given paths that are not in use, and why.
    pub absent: Vec<(PathBuf, String)>,
}

/// Opens the store at the given paths, or formats one where nothing knows a store.
pub async fn start(options: &OpenOptions, patience: &Patience, occasion: Occasion) -> Result<Started, OpenError> {
    if options.drives.is_empty() {
        return Err(OpenError::NoDrives);
    }
    if options.drives.len() > MEMBERS_MAX {
        return Err(OpenError::TooMany(options.drives.len()));
    }
    crate::embedded::erasure::cpu_supported().map_err(OpenError::Cpu)?;
    match start_adopting(options, patience, occasion, &[]).await? {
        Begun::Started(started) => Ok(*started),
        Begun::Again(NotAdopted { refused }) => {
            for (path, reason) in &refused {
                tracing::error!(path = %path.display(), %reason, "the store starts without this drive");
            }
            match start_adopting(options, patience, Occasion::Again, &refused).await? {
                Begun::Started(started) => Ok(*started),
                Begun::Again(NotAdopted { refused }) => {
                    let reasons = refused.iter().map(|(path, why)| format!("{}: {why}", path.display()));
                    Err(OpenError::Write(reasons.collect::<Vec<_>>().join("; ")))
                }
            }
        }
    }
}

/// What a start came to.
enum Begun {
    Started(Box<Started>),
    /// Drives could not be adopted, and what the others hold by now is to be looked at anew.
    Again(NotAdopted),
}

/// Empty directories in `refused` are not adopted, for the reason that stands there.
async fn start_adopting(
    options: &OpenOptions,
    patience: &Patience,
    occasion: Occasion,
    refused: &[(PathBuf, String)],
) -> Result<Begun, OpenError> {
    let mut found = find_or_format(options, patience, occasion).await?;
    found.empty.retain(|directory| {
        let reason = refused.iter().find(|(path, _)| *path == directory.path);
        found.absent.extend(reason.cloned());
        reason.is_none()
    });
    let slots: Vec<_> = found.drives.iter().map(|d| d.slot.clone()).collect();
    let mut election = elect(&slots).map_err(|refusal| with_paths(refusal, &found.drives))?;
    let mut parting = refuse_gone(&mut found, &election);
    identity::restore(&options.drive, &mut found, &election, patience).await;
    let doubted = doubted(&found, &election, &slots);
    let plan = replacements(options, &mut found, &election);
    let mut faults = Vec::new();
    if election.majority || !plan.is_empty() {
        faults = keep_doubts(options, patience, &found, &doubted).await;
    }
    if !plan.is_empty() {
        let unfit: Vec<DriveId> = Fault::failed(&faults).collect();
        if let Err(refusal) = adopt(options, &mut found, &mut parting, &mut election, plan, &unfit) {
            return Ok(Begun::Again(refusal));
        }
    }
    begin(options, found, parting, election, doubted, faults)
        .await
        .map(|started| Begun::Started(Box::new(started)))
}

/// Serves what was found.
async fn begin(
    options: &OpenOptions,
    found: Found,
    parting: Vec<FoundDrive>,
    election: Election,
    doubted: Vec<DriveId>,
    mut faults: Vec<Fault>,
) -> Result<Started, OpenError> {
    let drives = Arc::new(Drives::default());
    for found in &found.drives {
        drives.insert(found.drive.id(), Arc::clone(&found.drive));
    }
    let damage = Arc::new(DamageLog::default());
    let reader = SegmentReader::new(
        Arc::clone(&drives),
        Arc::new(Codecs::default()),
        Arc::clone(&damage) as Arc<dyn DamageSink>,
    );
    let of_root = found.drives.iter().chain(&parting);
    let slots = of_root.map(|d| (Arc::clone(&d.drive), d.next_slot));
    let mut keeper = RootKeeper::new(election.root.clone(), slots.collect());
    let mut read_only = match election.majority {
        true => readmit_all(&mut keeper, &found, &mut faults),
        false => Some("exactly half of the drives are present".to_owned()),
    };
    let built = build(options, &election.root, for_index(&found, &election), &reader).await?;
    let service = Service::new(ServiceState::ReadWrite, damage);
    service.heal.doubt(doubted);
    service.add_metadata(built.end.metadata_bytes);
    let shared = Shared::new(
        election.root.store,
        service,
        built.index,
        built.table,
        drives,
        reader,
        keeper,
    );
    let mut started = Started {
        shared: Arc::new(shared),
        open: None,
        next_seq: 0,
        absent: found.absent,
    };
    tell_of_paths_without_a_member(&started);
    // For health, and for the choice of drives; one that does not answer is not waited for long.
    let _ = started.shared.look_at_space(LOOK_WITHIN, None).await;
    if read_only.is_none() {
        read_only = begin_log(&mut started, &built.end, faults).await?;
    }
    if let Some(reason) = read_only {
        serve_read_only(&started, &built.end, reason)?;
    }
    Ok(started)
}

/// The drives of a store, or of a new one where neither a path nor an index directory nor this process knows of any.
async fn find_or_format(options: &OpenOptions, patience: &Patience, occasion: Occasion) -> Result<Found, OpenError> {
    let mut found = find(&options.drives, &options.drive, patience).await?;
    let nothing = found.drives.is_empty() && found.absent.is_empty();
    if nothing && occasion == Occasion::First && !index_knows_a_store(options) {
        match unfinished(&found.nameless, options, patience).await {
            Ok(()) => found = format(options).await?,
            Err(reasons) => {
                found.nameless.clear();
                found.absent.extend(reasons);
            }
        }
    }
    look_where_members_were(&mut found, options, patience).await;
    let missing = |path| (path, "there is no such directory".to_owned());
    found.absent.extend(found.unborn.drain(..).map(missing));
    if found.drives.is_empty() {
        let emptied = |path: PathBuf| (path, "it is empty; is the drive mounted?".to_owned());
        found
            .absent
            .extend(found.empty.drain(..).map(|directory| emptied(directory.path)));
        found.absent.extend(identity::leave_nameless(&mut found.nameless));
        let reason = |(path, why): &(PathBuf, String)| format!("{}: {why}", path.display());
        return Err(OpenError::Unusable(found.absent.iter().map(reason).collect()));
    }
    finish_first_format(options, &mut found, patience).await;
    Ok(found)
}

/// A first format that was cut off between its roots is finished: all else that it makes is on stable media before the
/// first of them, so whoever has none yet is told by the files that it holds. Only where every member is here, and no
/// start after that format was.
async fn finish_first_format(options: &OpenOptions, found: &mut Found, patience: &Patience) {
    let Some(root) = found.drives.first().map(|drive| drive.slot.root.clone()) else {
        return;
    };
    let all_here = found.drives.len() + found.nameless.len() == root.members.len();
    let all_first = root.epoch == FIRST_EPOCH && found.drives.iter().all(|drive| drive.slot.root == root);
    if found.nameless.is_empty() || !all_here || !all_first {
        return;
    }
    if unfinished(&found.nameless, options, patience).await.is_ok() {
        let election = Election { root, majority: true };
        identity::restore(&options.drive, found, &election, patience).await;
    }
}

/// A root of the same store, older than this one or of the change after it.
fn is_near(other: &Root, root: &Root) -> bool {
    other.store == root.store && other.epoch <= root.epoch.saturating_add(1)
}

/// A drive that was added while the store ran is found again where it was last seen, whatever the command line says by
/// now. Copies of drives must not be mixed with the drives: nobody looks elsewhere unless every drive that was found is
/// where the root says, and only the drive that the root names is taken. Its root may be older, as that of any drive that
/// was away, or of a change that was on its way when the store ended.
async fn look_where_members_were(found: &mut Found, options: &OpenOptions, patience: &Patience) {
    let newest = found
        .drives
        .iter()
        .map(|known| &known.slot.root)
        .max_by_key(|root| root.age());
    let Some(root) = newest.cloned() else { return };
    let in_place = |known: &FoundDrive| {
        let member = root.member(known.slot.drive);
        member.is_none_or(|member| Path::new(&member.path) == known.path)
    };
    let one_store = found.drives.iter().all(|known| known.slot.root.store == root.store);
    if !one_store || !found.drives.iter().all(in_place) {
        return;
    }
    let is_found = |member: &Member| found.drives.iter().any(|known| known.slot.drive == member.id);
    // A drive whose removal is not settled counts, too.
    let members = root.members.iter().chain(root.parting());
    let unseen = members.filter(|member| !is_found(member));
    let elsewhere: Vec<(DriveId, PathBuf)> = unseen
        .map(|member| (member.id, PathBuf::from(&member.path)))
        .filter(|(_, path)| !options.drives.contains(path))
        .collect();
    let looks = join_all(
        elsewhere
            .iter()
            .map(|(_, path)| look_in_time(path, &options.drive, patience)),
    )
    .await;
    for ((id, path), (_, look)) in elsewhere.into_iter().zip(looks) {
        match look {
            Look::Member(drive) if drive.slot.drive == id && is_near(&drive.slot.root, &root) => {
                tracing::info!(path = %path.display(), drive = %id, "a drive that was added is found where it was last seen");
                found.drives.push(*drive);
            }
            Look::Member(_) | Look::Empty(_) | Look::Nameless | Look::Unborn | Look::Foreign(_) | Look::Absent(_) => {}
        }
    }
}

/// Whether each of these paths holds nothing but what a first format left that was cut off before its first root.
async fn unfinished(
    nameless: &[PathBuf],
    options: &OpenOptions,
    patience: &Patience,
) -> Result<(), Vec<(PathBuf, String)>> {
    let mut reasons = Vec::new();
    let mut refused = false;
    for path in nameless {
        let judge = |path: &Path| match leftovers(path) {
            Ok(left) => left_by_a_first_format(&left),
            Err(error) => Err(error.to_string()),
        };
        let judged = patience.ask(path, options.drive.answer_within, judge).await.flatten();
        refused |= judged.is_err();
        let why = judged
            .err()
            .unwrap_or_else(|| "as a first start leaves them that is cut off".into());
        reasons.push((
            path.clone(),
            format!("it holds shard files but no readable root: {why}"),
        ));
    }
    if refused {
        return Err(reasons);
    }
    if !nameless.is_empty() {
        tracing::warn!(paths = ?nameless, "a first start was cut off before there was a store");
    }
    Ok(())
}

/// Which path belongs to which store says more than the stores' ids.
fn with_paths(refusal: Refusal, drives: &[FoundDrive]) -> OpenError {
    let Refusal::TwoStores(stores) = &refusal else {
        return refusal.into();
    };
    let of_store = |store| {
        let theirs = drives.iter().filter(|drive| drive.slot.root.store == store);
        let paths: Vec<String> = theirs.map(|drive| drive.path.display().to_string()).collect();
        format!("{} of store {store}", paths.join(", "))
    };
    OpenError::Mixed(stores.iter().map(|store| of_store(*store)).collect())
}

/// An index directory outside the drives remembers that a store exists: then empty drives are missing ones.
fn index_knows_a_store(options: &OpenOptions) -> bool {
    options.index_dir.as_deref().is_some_and(holds_anything)
}

/// A drive that the newest root calls gone, or does not name, is not used: it needs an operator. Gives those that only a
/// change which is not settled takes out: they hold nothing for the store, and count for the root until it is.
fn refuse_gone(found: &mut Found, election: &Election) -> Vec<FoundDrive> {
    let mut parting = Vec::new();
    let (members, others): (Vec<_>, Vec<_>) = found
        .drives
        .drain(..)
        .partition(|d| election.root.member(d.slot.drive).is_some());
    found.drives = members;
    for other in others {
        let reason = format!(
            "drive {} is no member of the store any more; it is left untouched",
            other.slot.drive
        );
        found.absent.push((other.path.clone(), reason));
        if election.root.parting().any(|member| member.id == other.slot.drive) {
            parting.push(other);
        }
    }
    parting
}

/// Which empty directories take the place of missing members, by the rules or the operator's word; the others are
/// absent.
fn replacements(options: &OpenOptions, found: &mut Found, election: &Election) -> Vec<Replacement> {
    let present = found.mounts();
    let empty = std::mem::take(&mut found.empty);
    let plan = plan(&election.root, &present, &empty, election.majority, options.adopt);
    for directory in empty {
        if !plan.iter().any(|replacement| replacement.new == directory) {
            found.absent.push((directory.path, UNLIKE.to_owned()));
        }
    }
    plan
}

/// The drives in the order in which the index may live on them: one that is drained comes last.
fn for_index(found: &Found, election: &Election) -> Vec<Arc<Drive>> {
    let drained = |id: DriveId| {
        election
            .root
            .member(id)
            .is_some_and(|member| member.state.is_draining())
    };
    let mut drives: Vec<Arc<Drive>> = found.drives.iter().map(|d| Arc::clone(&d.drive)).collect();
    drives.sort_by_key(|drive| drained(drive.id()));
    drives
}

/// Drives that failed, were late, missed changes of the root or lost theirs: what they hold has to be verified.
fn doubted(found: &Found, election: &Election, knew: &[RootSlot]) -> Vec<DriveId> {
    let root = &election.root;
    let is_out = |id: DriveId| root.member(id).is_some_and(|member| !member.state.serves());
    let restored = |id: DriveId| knew.iter().all(|slot| slot.drive != id);
    let drives = found
        .drives
        .iter()
        .map(|found| (found.slot.drive, found.slot.root.age()));
    let doubted = drives.filter(|(id, age)| is_out(*id) || *age < root.age() || restored(*id));
    doubted.map(|(id, _)| id).collect()
}

/// The drives that are here and answer are in again, but for those in `faults`; who does not take the change is added
/// there. Says why the store can only be read.
fn readmit_all(keeper: &mut RootKeeper, found: &Found, faults: &mut Vec<Fault>) -> Option<String> {
    let unfit: Vec<DriveId> = Fault::failed(faults).collect();
    let present = found.mounts();
    let edit = |root: &mut Root| {
        let well = found.drives.iter().filter(|drive| !unfit.contains(&drive.slot.drive));
        well.for_each(|drive| root.readmit(drive.slot.drive, &drive.path, &present));
        root.put_out(&unfit);
    };
    match keeper.change(nonce(), edit) {
        Ok(failed) => {
            faults.extend(failed.into_iter().map(unchanged));
            None
        }
        Err(error) => Some(error.to_string()),
    }
}

/// Notes on each of the drives that it is in doubt; one that does not take that is not taken in, either.
async fn keep_doubts(options: &OpenOptions, patience: &Patience, found: &Found, doubted: &[DriveId]) -> Vec<Fault> {
    let theirs = found.drives.iter().filter(|found| doubted.contains(&found.slot.drive));
    let kept = theirs.map(|found| async {
        let drive = Arc::clone(&found.drive);
        let keep = move |_: &Path| keep_doubt(&drive).map_err(|e| e.to_string());
        let kept = patience.ask(&found.path, options.drive.answer_within, keep).await;
        let error = io::Error::other(format!("a doubt is not kept: {}", kept.flatten().err()?));
        Some(Fault::from_io(found.slot.drive, &error))
    });
    join_all(kept).await.into_iter().flatten().collect()
}

/// A drive that is here and did not take a change of the root.
fn unchanged(drive: DriveId) -> Fault {
    let error = io::Error::other("it did not take a change of the root");
    Fault::from_io(drive, &error)
}

/// Writes the kept tail, or nothing, at the head of a new segment and seals the old one. `Some` says why that could
/// not be done and the store is read-only. Drives that fail on the way, and those in `faults`, are out in the root that
/// names the segment: a drive that cannot be written must not look as if it carried anything.
async fn begin_log(started: &mut Started, end: &LogEnd, mut faults: Vec<Fault>) -> Result<Option<String>, OpenError> {
    let shared = Arc::clone(&started.shared);
    if let Some(tail) = &end.tail
        && tail.verdict == Verdict::Undecided
    {
        return Ok(Some("too few drives are present to decide the last batch".to_owned()));
    }
    let (shape, candidates) = shared.log_candidates(&faults);
    let unfit: Vec<DriveId> = Fault::failed(&faults).collect();
    let geometry = Geometry::for_log(candidates.len(), shape.0).filter(|_| shared.writable_without(&unfit));
    let Some(codec) = geometry.and_then(|geometry| Codec::new(geometry).ok()) else {
        return Ok(Some("too few drives are present to write with full parity".to_owned()));
    };
    let root = shared.keeper.lock().root().clone();
    let (mut ops, mut facts) = (Vec::new(), RecordFacts::default());
    if let (Some(tail), Some(open)) = (&end.tail, root.open_log())
        && tail.verdict == Verdict::Keep
    {
        match pending_ops(&tail.record, &open.segment, &codec, &shared.reader).await {
            Ok(pending) => ops = pending,
            Err(error) => return Ok(Some(format!("the last batch cannot be read: {error}"))),
        }
        facts.segments.clone_from(&tail.record.record.segments);
        facts.removed.clone_from(&tail.record.record.removed);
    }
    let epoch = root.epoch + 1;
    facts.seq = epoch << 32;
    let told = facts.clone();
    let sealed = end.committed.map(|position| (position.segment, position.offset));
    #[cfg(test)]
    let sealed = seal_as_planted(&shared, end, &mut ops, &told)?.or(sealed);
    let writer = Arc::clone(&shared);
    let before = faults.clone();
    let made =
        tokio::task::spawn_blocking(move || write_head(&writer, epoch, (shape, candidates), facts, &mut ops, &before));
    let (made, more) = made.await.map_err(|e| OpenError::Write(e.to_string()))?;
    faults.extend(more);
    let Some(new) = made else {
        return Ok(Some("no new log segment could be written".to_owned()));
    };
    let out: Vec<DriveId> = Fault::failed(&faults).collect();
    let opened = LogSegment {
        segment: new.segment.clone(),
        valid_len: None,
        epoch,
    };
    let changed = shared.change_root(|root| {
        if let Some((segment, len)) = sealed {
            root.seal(segment, len);
        }
        root.old_members = None;
        root.put_out(&out);
        root.log.push(opened);
    });
    if let Err(error) = changed {
        return Ok(Some(error.to_string()));
    }
    leave_out(started, faults);
    shared.table.declare(new.segment.clone());
    shared.table.add_body_bytes(new.segment.id, new.head.body_bytes);
    shared
        .apply(&new.head.ops, &told.segments, told.removed.iter().copied())
        .map_err(|e| OpenError::Index(e.to_string()))?;
    shared.service.set_log_codec(new.codec.clone());
    shared.service.set_start_epoch(epoch);
    started.next_seq = (epoch << 32) + 1;
    started.open = Some(new);
    Ok(None)
}

/// The planted bug: the last batch is served from where it was found, and the seal is set behind it.
#[cfg(test)]
fn seal_as_planted(
    shared: &Shared,
    end: &LogEnd,
    ops: &mut Vec<PendingOp>,
    told: &RecordFacts,
) -> Result<Option<(SegmentId, u64)>, OpenError> {
    let kept = end.tail.as_ref().filter(|tail| tail.verdict == Verdict::Keep);
    let Some((tail, position)) = kept.zip(end.committed) else {
        return Ok(None);
    };
    if !planted::is(planted::Bug::TailNotRewritten) {
        return Ok(None);
    }
    ops.clear();
    shared
        .apply(&tail.record.record.ops, &told.segments, std::iter::empty())
        .map_err(|e| OpenError::Index(e.to_string()))?;
    Ok(Some((position.segment, tail.record.offset + tail.record.record.len)))
}

/// A path that is in use nowhere and was nobody's before shows in no list of drives: it must not pass unnoticed.
fn tell_of_paths_without_a_member(started: &Started) {
    let keeper = started.shared.keeper.lock();
    let known = |path: &PathBuf| {
        keeper
            .root()
            .members
            .iter()
            .any(|member| path.as_os_str() == member.path.as_str())
    };
    for (path, reason) in started.absent.iter().filter(|(path, _)| !known(path)) {
        tracing::warn!(path = %path.display(), %reason, "this path is not used: it belongs to no drive of the store, which keeps the number of drives it was made with");
    }
}

/// The drives that the root now calls out serve nothing; why is told where the missing ones are.
fn leave_out(started: &mut Started, faults: Vec<Fault>) {
    for fault in faults.into_iter().filter(Fault::is_failure) {
        if let Some(drive) = started.shared.drives.get(&fault.drive) {
            started.absent.push((drive.path().to_owned(), fault.reason));
        }
        started.shared.drop_drives(&[fault.drive]);
    }
}

/// Writes the head of the new segment; answers also which drives could not take part. `before`: those known already.
fn write_head(
    shared: &Shared,
    epoch: u64,
    (shape, candidates): ((u8, usize), Vec<Arc<Drive>>),
    facts: RecordFacts,
    ops: &mut [PendingOp],
    before: &[Fault],
) -> (Option<NewSegment>, Vec<Fault>) {
    let head = Head {
        batches: vec![BatchOps { rev: facts.seq, ops }],
        facts,
    };
    let writable = |faults: &[Fault]| {
        let out: Vec<DriveId> = Fault::failed(before).chain(Fault::failed(faults)).collect();
        shared.writable_without(&out)
    };
    let (made, faults) = write_new_segment(shared.store, epoch, shape, candidates, head, writable);
    for fault in &faults {
        tracing::warn!(drive = %fault.drive, reason = %fault.reason, "a drive could not take the new log segment");
    }
    (made, faults)
}

/// The tail is shown if it is whole; its keys answer 503 if nobody can tell. Nothing is written.
fn serve_read_only(started: &Started, end: &LogEnd, reason: String) -> Result<(), OpenError> {
    tracing::warn!(%reason, "the store is read-only");
    if let Some(tail) = &end.tail {
        match tail.verdict {
            Verdict::Keep => started
                .shared
                .apply(
                    &tail.record.record.ops,
                    &tail.record.record.segments,
                    tail.record.record.removed.iter().copied(),
                )
                .map_err(|e| OpenError::Index(e.to_string()))?,
            Verdict::Drop => {}
            Verdict::Undecided => {
                let keys = tail.record.record.ops.iter().map(|op| Key::new(op.key().to_vec()));
                started.shared.service.mark_unknown(keys);
            }
        }
    }
    started.shared.service.set_state(ServiceState::ReadOnly(reason));
    Ok(())
}
