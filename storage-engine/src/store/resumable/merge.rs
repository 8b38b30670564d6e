//! Many small parts become few: which of them are written anew as one, and doing it.
//!
//! A client may send its body in pieces of a few bytes. Those ride in the log, which is cheap, but cannot be joined, and
//! an object is not to be made of a million of them. So the newest parts are *loose* until they are written anew as one
//! part of at least a 512th of what came before (1 MiB at least), which then stays as it is. While they are fewer bytes
//! than that, no more than 64 of them stand: then the newest are made one, as far back as they are not much larger than
//! what follows them, so that a byte is written anew as often as the logarithm of their number says, not as their number.
//! An upload of 5 TiB has about ten thousand parts at most.

use futures::{StreamExt, TryStreamExt, stream};

use crate::backend::{Batch, BlobClass, BodyRef, BodySource, Key, NewBody as RowBody, Op, Put, Require, SourceError};
use crate::limits::LIST_ITEMS_MAX;
use crate::store::body::{ChecksumRequest, NewBody, take_in};
use crate::store::error::{BodyError, CommitRefused, Fault, TakeInError};
use crate::store::record::Record;
use crate::store::record::resumable::{AppendedPart, Loose};
use crate::store::resumable::Open;
use crate::store::{Store, key};

/// Most loose parts.
const LOOSE_MAX: u32 = 64;
/// Parts of fewer bytes are never left as they are, while others follow.
const SETTLED_BYTES_MIN: u64 = 1024 * 1024;
/// Where a body that goes on is cut into parts: what is lost at most when the server dies in the midst of it.
const PART_BYTES: u64 = 64 * 1024 * 1024;
/// The part of an upload that one of its parts is to be, at least.
const SHARE_OF_UPLOAD: u64 = 512;

/// A part as it is stored.
#[derive(Clone, Debug)]
pub(super) struct StoredPart {
    pub(super) number: u32,
    pub(super) part: AppendedPart,
    pub(super) body: BodyRef,
}

/// Which loose parts are to be written anew as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// All of them.
    All,
    /// All but the last, which is large enough to stay as it is.
    AllButLast,
    /// The newest.
    Newest,
}

/// How large a part is at least that stays as it is, behind `offset` bytes.
fn settled_bytes(offset: u64) -> u64 {
    SETTLED_BYTES_MIN.max(offset / SHARE_OF_UPLOAD)
}

/// How large a part of a long body behind `offset` bytes is.
pub(super) fn part_bytes(offset: u64) -> u64 {
    PART_BYTES.max(offset / SHARE_OF_UPLOAD)
}

/// What is loose once this part was put behind `offset` bytes, and what is due then.
pub(super) fn with_part(loose: Loose, number: u32, part: &AppendedPart, offset: u64) -> (Loose, Option<Due>) {
    let enough = settled_bytes(offset);
    let stays = part.joinable && part.size >= enough;
    if stays && loose.count == 0 {
        return (settled_behind(number), None);
    }
    let from = if loose.count == 0 { number } else { loose.from };
    let loose = Loose {
        from,
        count: loose.count + 1,
        bytes: loose.bytes + part.size,
    };
    let due = match loose {
        _ if stays => Some(Due::AllButLast),
        Loose { bytes, .. } if bytes >= enough => Some(Due::All),
        Loose { count, .. } if count >= LOOSE_MAX => Some(Due::Newest),
        _ => None,
    };
    (loose, due)
}

fn settled_behind(number: u32) -> Loose {
    Loose {
        from: number.saturating_add(1),
        ..Loose::default()
    }
}

/// Where the newest parts begin that are written anew together.
fn newest(sizes: &[u64]) -> usize {
    let (mut sum, mut taken) = (0_u64, 0);
    for size in sizes.iter().rev() {
        if taken >= 2 && *size > sum.saturating_mul(2) {
            break;
        }
        sum = sum.saturating_add(*size);
        taken += 1;
    }
    sizes.len() - taken
}

impl Store {
    /// Does what is due. The upload is the same whether or not it succeeds.
    pub(super) async fn merge_due(&self, open: &mut Open<'_>, due: Due) -> Result<(), Fault> {
        let loose = self.stored_parts(open, open.record.loose.from).await?;
        let Some(last) = loose.last().map(|stored| stored.number) else {
            return Ok(());
        };
        match due {
            Due::All => self.merge(open, &loose, settled_behind(last)).await,
            Due::AllButLast => {
                let before = loose.split_last().map(|(_, before)| before);
                self.merge(open, before.unwrap_or_default(), settled_behind(last)).await
            }
            Due::Newest => {
                let sizes: Vec<u64> = loose.iter().map(|stored| stored.part.size).collect();
                let (_, run) = loose.split_at(newest(&sizes));
                let merged = u32::try_from(run.len().saturating_sub(1)).unwrap_or(u32::MAX);
                let left = Loose {
                    count: open.record.loose.count.saturating_sub(merged),
                    ..open.record.loose
                };
                self.merge(open, run, left).await
            }
        }
    }

    /// Makes one part of those that cannot be joined, so that all can be.
    pub(super) async fn make_joinable(&self, open: &mut Open<'_>) -> Result<(), Fault> {
        let loose = self.stored_parts(open, open.record.loose.from).await?;
        let small = |stored: &StoredPart| !stored.part.joinable;
        let (Some(first), Some(end)) = (loose.iter().position(small), loose.iter().rposition(small)) else {
            return Ok(());
        };
        let run = loose.get(first..=end).unwrap_or_default();
        let last = loose.last().map_or(0, |stored| stored.number);
        self.merge(open, run, settled_behind(last)).await
    }

    /// Writes these parts anew as one in the place of the first, and notes what is loose then.
    async fn merge(&self, open: &mut Open<'_>, run: &[StoredPart], loose: Loose) -> Result<(), Fault> {
        let (Some(first), true) = (
            run.first(),
            run.iter().any(|stored| !stored.part.joinable) || run.len() > 1,
        ) else {
            // Nothing to write anew: one part that can be joined, or none.
            open.record.loose = loose;
            return Ok(());
        };
        let size = run.iter().map(|stored| stored.part.size).sum();
        let body = NewBody {
            source: self.bytes_of(run),
            len: Some(size),
            content_md5: None,
            checksum: ChecksumRequest::None,
        };
        let taken = take_in(self.inner.backend.as_ref(), BlobClass::Part, body).await;
        let (blob, digests) = taken.map_err(fault_of_own_bytes)?;
        let merged = AppendedPart {
            size,
            md5: digests.md5,
            joinable: true,
        };
        let pile = key::pile(open.bucket, &open.id);
        let record = crate::store::record::resumable::Resumable {
            loose,
            ..open.record.clone()
        };
        let mut ops = vec![
            open.put(&record),
            Op::Put(Put {
                key: key::pile_part(&pile, first.number),
                value: merged.to_value(),
                body: RowBody::Blob(blob),
                parent_len: Some(pile.as_bytes().len()),
            }),
        ];
        let rest = run.iter().skip(1);
        ops.extend(rest.map(|stored| Op::Delete(key::pile_part(&pile, stored.number))));
        let require = vec![Require::RevIs(open.row_key(), open.rev)];
        let rev = self
            .commit(Batch { require, ops })
            .await
            .map_err(CommitRefused::into_fault)?;
        open.record = record;
        open.rev = rev;
        Ok(())
    }

    /// The bytes of these parts, one after the other.
    pub(super) fn bytes_of(&self, parts: &[StoredPart]) -> BodySource<'static> {
        let bodies: Vec<BodyRef> = parts.iter().map(|stored| stored.body.clone()).collect();
        let backend = std::sync::Arc::clone(&self.inner.backend);
        let bytes = stream::iter(bodies).then(move |body| {
            let backend = std::sync::Arc::clone(&backend);
            async move { backend.get_blob(&body, 0..body.len).await }
        });
        Box::pin(bytes.try_flatten().map_err(SourceError::from))
    }

    /// The parts of an upload whose numbers are not less than `from`, in their order.
    pub(super) async fn stored_parts(&self, open: &Open<'_>, from: u32) -> Result<Vec<StoredPart>, Fault> {
        let pile = key::pile(open.bucket, &open.id);
        let Some(end) = pile.after_prefix() else {
            return Ok(Vec::new());
        };
        let (mut all, mut start): (Vec<StoredPart>, Key) = (Vec::new(), key::pile_part(&pile, from));
        loop {
            let page = self.inner.backend.scan(start..end.clone(), LIST_ITEMS_MAX).await?;
            for (row_key, row) in &page.items {
                let parsed = key::parse_resumable(row_key);
                let (Some(key::ResumableKind::Part(number)), Some(body)) = (parsed.map(|row| row.kind), &row.body)
                else {
                    return Err(Fault::Corrupt(format!("an appended part with the key {row_key:?}")));
                };
                all.push(StoredPart {
                    number,
                    part: AppendedPart::from_value(&row.value)?,
                    body: body.clone(),
                });
            }
            match page.items.last() {
                Some((last, _)) if page.more => start = last.successor(),
                Some(_) | None => return Ok(all),
            }
        }
    }
}

/// What went wrong with bytes that come from this store.
pub(super) fn fault_of_own_bytes(error: TakeInError) -> Fault {
    match error {
        TakeInError::Fault(fault) => fault,
        TakeInError::Body(BodyError::Source(source)) => match source.downcast::<crate::backend::ReadError>() {
            Ok(error) => Fault::from(*error),
            Err(error) => Fault::Internal(error.to_string()),
        },
        TakeInError::Body(error) => Fault::Internal(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::limits::SMALL_BODY_BYTES_MAX;

    /// Parts and bytes written anew, for pieces of these sizes.
    struct Simulated {
        parts: Vec<(u32, u64)>,
        loose: Loose,
        offset: u64,
        rewritten: u64,
    }

    impl Simulated {
        fn new() -> Self {
            Self {
                parts: Vec::new(),
                loose: Loose::default(),
                offset: 0,
                rewritten: 0,
            }
        }

        fn append(&mut self, number: u32, size: u64) {
            let part = AppendedPart {
                size,
                md5: [0; 16],
                joinable: size > SMALL_BODY_BYTES_MAX as u64,
            };
            let (loose, due) = with_part(self.loose, number, &part, self.offset);
            self.parts.push((number, size));
            self.offset += size;
            self.loose = loose;
            let at = self.parts.partition_point(|(number, _)| *number < loose.from);
            let Some(due) = due else { return };
            let end = self.parts.len();
            let (run, left) = match due {
                Due::All => (at..end, settled_behind(number)),
                Due::AllButLast => (at..end - 1, settled_behind(number)),
                Due::Newest => {
                    let sizes: Vec<u64> = self.parts[at..].iter().map(|(_, size)| *size).collect();
                    let start = at + newest(&sizes);
                    let count = loose.count - (end - start - 1) as u32;
                    (start..end, Loose { count, ..loose })
                }
            };
            if run.len() > 1 {
                let sum = self.parts[run.clone()].iter().map(|(_, size)| *size).sum::<u64>();
                let first = self.parts[run.start].0;
                self.parts.splice(run, [(first, sum)]);
                self.rewritten += sum;
            }
            self.loose = left;
            let loose = &self.parts[self.parts.partition_point(|(number, _)| *number < left.from)..];
            assert_eq!(loose.len() as u32, left.count);
            assert_eq!(loose.iter().map(|(_, size)| *size).sum::<u64>(), left.bytes);
        }
    }

    #[test]
    fn however_small_the_pieces_are_parts_are_few_and_a_byte_is_written_anew_a_few_times() {
        for (piece, count) in [
            (1, 300_000),
            (700, 200_000),
            (100_000, 60_000),
            (300_000, 60_000),
            (6 << 20, 50_000),
        ] {
            let mut simulated = Simulated::new();
            for number in 0..count {
                simulated.append(number, piece);
                assert!(simulated.loose.count <= LOOSE_MAX, "{piece}");
            }
            let whole = simulated.offset;
            let parts = simulated.parts.len();
            let allowed = if piece == 1 { 14 } else { 6 };
            assert!(
                simulated.rewritten <= whole * allowed,
                "{piece}: {} of {whole}",
                simulated.rewritten
            );
            assert!(parts <= 64 + 8_000, "{piece}: {parts} parts of {whole} bytes");
        }
    }

    #[test]
    fn pieces_of_64_mib_and_more_are_left_as_they_are_up_to_the_largest_object() {
        let mut simulated = Simulated::new();
        let mut number = 0;
        while simulated.offset < crate::limits::OBJECT_BYTES_MAX {
            let size = part_bytes(simulated.offset);
            simulated.append(number, size);
            number += 1;
        }
        assert_eq!(simulated.rewritten, 0);
        assert!(simulated.parts.len() < 10_000, "{}", simulated.parts.len());
    }

    proptest! {
        #[test]
        fn what_is_loose_is_counted_right_whatever_comes(sizes in prop::collection::vec(
            prop_oneof![1..2_000_u64, 100_000..200_000_u64, 1_000_000..90_000_000_u64], 1..400)
        ) {
            let mut simulated = Simulated::new();
            for (number, size) in (0..).zip(&sizes) {
                simulated.append(number, *size);
            }
            prop_assert_eq!(simulated.parts.iter().map(|(_, size)| size).sum::<u64>(), sizes.iter().sum::<u64>());
        }
    }
}
