//! The committer: one thread that takes what waits, writes it to every drive of the open segment with one sync per
//! drive, applies it to the index and answers. It owns the open segment and the order of records; it never checks
//! conditions (requests do, under their locks) and never reads the log.

use std::sync::Arc;
use std::sync::mpsc;

use tokio::sync::oneshot;

use super::append::{DriveJob, Fault, FaultKind, on_all};
use super::assemble::{Assembled, BatchOps, RecordFacts, assemble};
use super::company::{Company, Waiting};
use super::locks::HeldLocks;
use super::pending::PendingOp;
use super::reseat::{Head, NewSegment, write_new_segment};
use crate::backend::{CommitError, Key, Rev, ServiceState};
use crate::embedded::checkpoint::Position;
use crate::embedded::core::Shared;
use crate::embedded::detached;
use crate::embedded::drive::{Drive, ShardFile};
use crate::embedded::erasure::Codec;
use crate::embedded::frame::RECORD_ALIGN;
use crate::embedded::id::{DriveId, SegmentId};
use crate::embedded::root::{LogSegment, RootError};
use crate::embedded::segment::{Segment, StagedSegment};
use crate::embedded::table::{Pin, TableSnapshot};
#[cfg(test)]
use crate::planted;

/// Most bytes per shard file one record takes before the rest waits for the next.
const RECORD_BYTES_MAX: usize = 4 * 1024 * 1024;
/// A log segment is rolled when the next record would make its shard files longer than this.
pub const LOG_SEGMENT_BYTES: u64 = 64 * 1024 * 1024;

/// A batch whose conditions hold, with its locks.
pub struct Queued {
    pub ops: Vec<PendingOp>,
    /// Segments the batch makes visible; their files stay once it is committed.
    pub staged: Vec<StagedSegment>,
    /// Segments whose bodies change their owner; held until the batch is applied or refused.
    pub pins: Vec<Pin>,
    /// Segments whose deletion this record notes.
    pub removed: Vec<SegmentId>,
    /// Released when the batch has been applied or refused; kept for ever when its outcome is unknown.
    pub locks: HeldLocks,
    pub reply: oneshot::Sender<Result<Rev, CommitError>>,
}

impl Queued {
    fn record_bytes(&self) -> usize {
        self.ops.iter().map(PendingOp::record_bytes).sum::<usize>() + self.staged.len() * 512
    }

    fn keys(&self) -> impl Iterator<Item = Key> + '_ {
        self.ops.iter().map(|op| match op {
            PendingOp::Put(put) => put.key.clone(),
            PendingOp::Delete(key) => key.clone(),
        })
    }

    fn refuse(self, error: CommitError) {
        let _ = self.reply.send(Err(error));
    }
}

/// Where everything applied so far ends, with the live counters of exactly that moment.
pub struct PositionReport {
    pub position: Position,
    pub table: TableSnapshot,
}

enum Message {
    Commit(Box<Queued>),
    Position(oneshot::Sender<Option<PositionReport>>),
    LeaveOut(Fault, oneshot::Sender<()>),
    Lose(Fault),
    Roll(oneshot::Sender<()>),
    /// Writes a last mark and ends; answers with the end of the log.
    Close(oneshot::Sender<Option<Position>>),
}

/// The way to the committer's thread. When the last handle is dropped the thread ends.
#[derive(Clone)]
pub struct Committer {
    messages: mpsc::Sender<Message>,
}

impl Committer {
    /// Starts the thread on the open segment `open` (`None`: the first batch makes one).
    pub fn start(shared: Arc<Shared>, open: Option<NewSegment>, next_seq: u64) -> std::io::Result<Self> {
        let (messages, inbox) = mpsc::channel();
        let open = open.map(OpenSegment::from);
        let writer = Writer {
            shared,
            open,
            next_seq,
            company: Company::default(),
        };
        detached::spawn("committer", move || writer.run(&inbox))?;
        Ok(Self { messages })
    }

    /// Hands a batch over. From here on it happens or is refused whatever becomes of the caller.
    pub fn queue(&self, batch: Queued) {
        if let Err(mpsc::SendError(Message::Commit(batch))) = self.messages.send(Message::Commit(Box::new(batch))) {
            batch.refuse(CommitError::Unavailable("the store is closing".into()));
        }
    }

    /// The end of what has been applied; `None` when there is no open segment.
    pub async fn position(&self) -> Option<PositionReport> {
        let (reply, answer) = oneshot::channel();
        self.messages.send(Message::Position(reply)).ok()?;
        answer.await.ok()?
    }

    /// Says that a drive failed outside the log. It leaves at the next turn, if the store can write without it. Who wants to
    /// know when that was tried waits for the answer; an error says that the thread has ended.
    pub fn leave_out(&self, fault: Fault) -> oneshot::Receiver<()> {
        let (reply, answer) = oneshot::channel();
        let _ = self.messages.send(Message::LeaveOut(fault, reply));
        answer
    }

    /// Says that a drive is not there any more. It leaves at the next turn, also if the store can then only be read:
    /// what the log still writes to it is lost.
    pub fn lose(&self, fault: Fault) {
        let _ = self.messages.send(Message::Lose(fault));
    }

    /// Begins a new segment, so that what is dead in the present one can be freed. Returns when that was tried.
    pub async fn roll(&self) {
        let (reply, answer) = oneshot::channel();
        if self.messages.send(Message::Roll(reply)).is_ok() {
            let _ = answer.await;
        }
    }

    /// Ends the log after what is queued; the end of the log if everything up to it is applied and synced.
    pub async fn close(&self) -> Option<Position> {
        let (reply, answer) = oneshot::channel();
        self.messages.send(Message::Close(reply)).ok()?;
        answer.await.ok()?
    }
}

struct OpenSegment {
    segment: Segment,
    codec: Codec,
    files: Vec<(Arc<Drive>, ShardFile)>,
    /// Where the next record goes: everything before is acknowledged.
    end: u64,
    /// Epoch of the root that opened it.
    epoch: u64,
}

impl From<NewSegment> for OpenSegment {
    fn from(new: NewSegment) -> Self {
        Self {
            segment: new.segment,
            codec: new.codec,
            files: new.files,
            end: new.end,
            epoch: new.epoch,
        }
    }
}

struct Writer {
    shared: Arc<Shared>,
    open: Option<OpenSegment>,
    next_seq: u64,
    company: Company,
}

/// How a batch ended when it did not simply succeed.
enum Failure {
    Refused(CommitError),
    Unknown(String),
}

/// A committer that panics leaves a batch in an unknown state: nothing is served until a start has read the log.
struct Poison(Arc<Shared>);

impl Drop for Poison {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let reason = "the committer failed; this is a bug".to_owned();
            self.0.service.fall_back(ServiceState::NotReady(reason));
        }
    }
}

impl Writer {
    fn run(mut self, inbox: &mpsc::Receiver<Message>) {
        let _poison = Poison(Arc::clone(&self.shared));
        while let Ok(message) = inbox.recv() {
            let mut next = Some(message);
            while let Some(message) = next.take() {
                match message {
                    Message::Commit(first) => {
                        let (batches, stopped_at) = self.gather(*first, inbox);
                        self.commit(batches);
                        next = stopped_at;
                    }
                    Message::Position(reply) => {
                        let _ = reply.send(self.position());
                    }
                    Message::LeaveOut(fault, reply) => {
                        self.leave_out(fault);
                        let _ = reply.send(());
                    }
                    Message::Lose(fault) => self.lose(fault),
                    Message::Roll(reply) => {
                        self.roll();
                        let _ = reply.send(());
                    }
                    Message::Close(reply) => {
                        let _ = reply.send(self.close());
                        return;
                    }
                }
            }
        }
    }

    /// Takes what waits, up to the size of one record; a message of another kind ends it.
    fn gather(&mut self, first: Queued, inbox: &mpsc::Receiver<Message>) -> (Vec<Queued>, Option<Message>) {
        let mut bytes = first.record_bytes();
        let mut batches = vec![first];
        let mut waiting = Waiting::default();
        let mut stopped_at = None;
        while bytes < RECORD_BYTES_MAX {
            match inbox.try_recv() {
                Ok(Message::Commit(batch)) => {
                    bytes += batch.record_bytes();
                    batches.push(*batch);
                }
                Ok(other) => {
                    stopped_at = Some(other);
                    break;
                }
                Err(_) => match self.company.pause(&mut waiting, batches.len()) {
                    Some(pause) => std::thread::sleep(pause),
                    None => break,
                },
            }
        }
        self.company.note(batches.len());
        (batches, stopped_at)
    }

    fn position(&self) -> Option<PositionReport> {
        let open = self.open.as_ref()?;
        let position = Position {
            segment: open.segment.id,
            offset: open.end,
            seq: self.next_seq.saturating_sub(1),
            epoch: open.epoch,
        };
        Some(PositionReport {
            position,
            table: self.shared.table.snapshot(),
        })
    }

    /// A last record without operations: its mark says that everything before it was acknowledged.
    fn close(&mut self) -> Option<Position> {
        if self.shared.service.refuses_writes().is_none() && self.open.is_some() {
            self.write(&mut []).ok()?;
        }
        let open = self.open.as_ref()?;
        Some(Position {
            segment: open.segment.id,
            offset: open.end,
            seq: self.next_seq.saturating_sub(1),
            epoch: open.epoch,
        })
    }

    fn commit(&mut self, mut batches: Vec<Queued>) {
        if let Some(reason) = self.shared.service.refuses_writes() {
            for batch in batches {
                batch.refuse(CommitError::Unavailable(reason.clone()));
            }
            return;
        }
        match self.write(&mut batches) {
            Ok(assembled) => self.finish(batches, &assembled),
            Err(Failure::Refused(error)) => {
                for batch in batches {
                    let again = match &error {
                        CommitError::Full(why) => CommitError::Full(why.clone()),
                        other => CommitError::Unavailable(other.to_string()),
                    };
                    batch.refuse(again);
                }
            }
            Err(Failure::Unknown(reason)) => self.leave_unknown(batches, &reason),
        }
    }

    /// Applies what is durable, then answers.
    fn finish(&self, mut batches: Vec<Queued>, assembled: &Assembled) {
        let segments: Vec<Segment> = staged_segments(&batches);
        for batch in &mut batches {
            batch.staged.drain(..).for_each(|staged| drop(staged.keep()));
        }
        self.shared.service.add_metadata(assembled.metadata_len);
        if let Some(open) = &self.open {
            self.shared.table.add_body_bytes(open.segment.id, assembled.body_bytes);
        }
        #[cfg(test)]
        if planted::is(planted::Bug::AnswerBeforeApply) {
            for (rev, batch) in (assembled.seq..).zip(&mut batches) {
                let nobody = oneshot::channel().0;
                let _ = std::mem::replace(&mut batch.reply, nobody).send(Ok(Rev(rev)));
            }
            std::thread::sleep(std::time::Duration::from_millis(3));
        }
        let removed = batches.iter().flat_map(|batch| batch.removed.iter().copied());
        let applied = self.shared.apply(&assembled.ops, &segments, removed);
        if let Err(error) = applied {
            // Durable but not visible: only a rebuilt index may answer for these keys.
            self.leave_unknown(batches, &format!("the index failed: {error}"));
            return;
        }
        for (rev, batch) in (assembled.seq..).zip(batches) {
            drop((batch.locks, batch.pins));
            let _ = batch.reply.send(Ok(Rev(rev)));
        }
    }

    /// The keys stay locked until a start has decided; nothing of the batch may be deleted.
    fn leave_unknown(&self, batches: Vec<Queued>, reason: &str) {
        let keys: Vec<Key> = batches.iter().flat_map(Queued::keys).collect();
        self.shared.service.mark_unknown(keys);
        self.shared.service.fall_back(ServiceState::ReadOnly(reason.to_owned()));
        for mut batch in batches {
            batch.staged.drain(..).for_each(|staged| drop(staged.keep()));
            let _ = batch.reply.send(Err(CommitError::Unknown(reason.to_owned())));
            self.shared.hold_for_ever(batch.locks);
        }
    }

    /// Makes the record durable: in the open segment if it fits and all its drives do their part, else at the head of
    /// a new one.
    fn write(&mut self, batches: &mut [Queued]) -> Result<Assembled, Failure> {
        let bytes = batches.iter().map(Queued::record_bytes).sum::<usize>() as u64;
        let (mut faults, mut tried) = (Vec::new(), false);
        if let Some(open) = &self.open
            && open.end + bytes + RECORD_ALIGN <= LOG_SEGMENT_BYTES
        {
            tried = true;
            match self.append(batches) {
                Ok(assembled) => return Ok(assembled),
                Err(new) => faults = new,
            }
        }
        self.reseat(batches, faults, tried)
    }

    fn facts(&mut self, batches: &[Queued]) -> RecordFacts {
        let seq = self.next_seq;
        self.next_seq += batches.len().max(1) as u64;
        let removed = batches.iter().flat_map(|batch| batch.removed.iter().copied()).collect();
        RecordFacts {
            seq,
            segments: staged_segments(batches),
            removed,
        }
    }

    fn append(&mut self, batches: &mut [Queued]) -> Result<Assembled, Vec<Fault>> {
        let facts = self.facts(batches);
        let Some(open) = &mut self.open else { return Err(vec![]) };
        let mut ops = batch_ops(batches, facts.seq);
        let Ok(assembled) = assemble(&open.segment, &open.codec, open.end, facts, &mut ops) else {
            return Err(vec![]);
        };
        let jobs = open.files.iter().zip(&assembled.shards).map(|((drive, file), bytes)| {
            let (file, bytes, offset) = (file.clone(), bytes.clone(), open.end);
            let job: DriveJob<()> = Box::new(move || {
                file.write_vectored_at(offset, &[bytes])?;
                #[cfg(test)]
                if planted::is(planted::Bug::EarlyAnswer) {
                    std::thread::spawn(move || {
                        std::thread::sleep(std::time::Duration::from_millis(300));
                        file.sync_data()
                    });
                    return Ok(());
                }
                file.sync_data()
            });
            (Arc::clone(drive), job)
        });
        let late_max = usize::from(open.segment.geometry.parity);
        let answers = on_all(jobs.collect(), late_max, |late| self.shared.writable_without(late));
        let faults: Vec<Fault> = answers.into_iter().filter_map(Result::err).collect();
        if !faults.is_empty() {
            return Err(faults);
        }
        open.end += assembled.len;
        Ok(assembled)
    }

    /// A drive that takes log records and nothing else would fail every large body while it looks well. It stays where
    /// the store could not write without it: then small bodies at least are taken.
    fn leave_out(&mut self, fault: Fault) {
        if self.shared.writable_without(&[fault.drive]) {
            self.lose(fault);
        }
    }

    fn lose(&mut self, fault: Fault) {
        let gone = self.shared.drives.get(&fault.drive).is_none();
        if !gone && self.shared.service.refuses_writes().is_none() {
            self.reseat_empty(vec![fault]);
        }
    }

    fn roll(&mut self) {
        if self.open.is_some() && self.shared.service.refuses_writes().is_none() {
            self.reseat_empty(Vec::new());
        }
    }

    /// A reseat without a batch that waits for it.
    fn reseat_empty(&mut self, faults: Vec<Fault>) {
        match self.reseat(&mut [], faults, false) {
            Ok(_head) => {}
            Err(Failure::Refused(error)) => tracing::warn!(%error, "no new log segment could be begun"),
            Err(Failure::Unknown(reason)) => self.leave_unknown(Vec::new(), &reason),
        }
    }

    /// The one procedure to roll a segment, leave drives out, and void or save a batch. `tried`: the batch may stand
    /// in the open segment on some drives, so only a change of the root can void it.
    fn reseat(&mut self, batches: &mut [Queued], faults: Vec<Fault>, tried: bool) -> Result<Assembled, Failure> {
        for fault in &faults {
            tracing::warn!(drive = %fault.drive, reason = %fault.reason, kind = ?fault.kind, "a drive is left out");
        }
        let epoch = self.shared.keeper.lock().root().epoch + 1;
        self.next_seq = self.next_seq.max(epoch << 32);
        let facts = self.facts(batches);
        let seq = facts.seq;
        let head = Head {
            facts,
            batches: batch_ops(batches, seq),
        };
        let (shape, candidates) = self.shared.log_candidates(&faults);
        let writable = |new: &[Fault]| {
            let out: Vec<DriveId> = Fault::failed(&faults).chain(Fault::failed(new)).collect();
            self.shared.writable_without(&out)
        };
        let (made, more) = write_new_segment(self.shared.store, epoch, shape, candidates, head, writable);
        let full = faults.iter().chain(&more).any(|fault| fault.kind == FaultKind::Full);
        let out: Vec<DriveId> = Fault::failed(&faults).chain(Fault::failed(&more)).collect();
        for fault in faults.iter().chain(&more).filter(|fault| fault.is_failure()) {
            let suspicions = &self.shared.service.damage.suspicions;
            suspicions.left_out(fault.drive, &fault.reason);
        }
        match made {
            Some(new) => self.switch_to(new, &out, tried),
            None => Err(self.void(&out, full, tried)),
        }
    }

    /// The change of the root that seals the old segment and commits the new one's head.
    fn switch_to(&mut self, new: NewSegment, out: &[DriveId], tried: bool) -> Result<Assembled, Failure> {
        let sealed = self.open.as_ref().map(|open| (open.segment.id, open.end));
        let opened = |epoch| LogSegment {
            segment: new.segment.clone(),
            valid_len: None,
            epoch,
        };
        let changed = self.shared.change_root(|root| {
            if let Some((segment, end)) = sealed {
                root.seal(segment, end);
            }
            root.put_out(out);
            root.log.push(opened(root.epoch + 1));
        });
        match changed {
            Ok(()) => {
                self.shared.drop_drives(out);
                self.shared.service.set_log_codec(new.codec.clone());
                self.shared.table.declare(new.segment.clone());
                let NewSegment {
                    segment,
                    codec,
                    files,
                    head,
                    end,
                    epoch,
                } = new;
                self.open = Some(OpenSegment {
                    segment,
                    codec,
                    files,
                    end,
                    epoch,
                });
                Ok(head)
            }
            Err(RootError::NoMajority { .. }) if !tried => {
                let reason = "too few drives are in reach to open a log segment".to_owned();
                self.shared.service.fall_back(ServiceState::ReadOnly(reason.clone()));
                Err(Failure::Refused(CommitError::Unavailable(reason)))
            }
            Err(error) => Err(Failure::Unknown(error.to_string())),
        }
    }

    /// No new segment can be made: the batch is voided by sealing the open one before it.
    fn void(&mut self, out: &[DriveId], full: bool, tried: bool) -> Failure {
        let sealed = self.open.as_ref().map(|open| (open.segment.id, open.end));
        let needs_change = tried && sealed.is_some();
        if needs_change {
            let changed = self.shared.change_root(|root| {
                if let Some((segment, end)) = sealed {
                    root.seal(segment, end);
                }
                root.put_out(out);
            });
            if let Err(error) = changed {
                return Failure::Unknown(error.to_string());
            }
            self.open = None;
        }
        if full {
            return Failure::Refused(CommitError::Full("no drive can take the log".into()));
        }
        let reason = "too few drives are well enough to take writes with full parity".to_owned();
        self.shared.service.fall_back(ServiceState::ReadOnly(reason.clone()));
        Failure::Refused(CommitError::Unavailable(reason))
    }
}

fn staged_segments(batches: &[Queued]) -> Vec<Segment> {
    batches
        .iter()
        .flat_map(|batch| &batch.staged)
        .map(|staged| staged.segment().clone())
        .collect()
}

fn batch_ops(batches: &mut [Queued], first_rev: u64) -> Vec<BatchOps<'_>> {
    (first_rev..)
        .zip(batches)
        .map(|(rev, batch)| BatchOps {
            rev,
            ops: &mut batch.ops,
        })
        .collect()
}
