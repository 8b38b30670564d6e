//! Where the frames of a segment stand, one after the other, and where it ends. Pure: the caller reads what stands at
//! each place and tells.

use std::collections::VecDeque;

use crate::embedded::erasure::Geometry;
use crate::embedded::frame::{RECORD_ALIGN, SHARD_HEADER_BYTES};
use crate::embedded::record::LogRecord;
use crate::embedded::segment::{SegmentKind, stripe_file_bytes};

/// What is known of a segment's end before it is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ends {
    /// A log segment that the root names: its valid length, to the byte.
    At(u64),
    /// At the first place where no shard file has a frame, once so many bytes of bodies were seen.
    After(u64),
}

/// What stands next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// A record's metadata frame.
    Record(u64),
    /// A stripe; of an extent or a pack only its frames say how much data it holds.
    Stripe {
        offset: u64,
        data_len: Option<usize>,
    },
    End,
}

/// What stands in a frame contradicts what stands around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("what stands at {0} cannot stand there")]
pub struct Misplaced(pub u64);

/// A way through a segment from its first frame to its end.
#[derive(Clone, Debug)]
pub struct Walk {
    is_log: bool,
    geometry: Geometry,
    ends: Ends,
    /// Where the next record or stripe begins.
    at: u64,
    /// Stripes of the present record that are still to come: offset and bytes of data.
    stripes: VecDeque<(u64, usize)>,
    /// Bytes of bodies passed so far.
    seen: u64,
}

impl Walk {
    pub fn new(kind: SegmentKind, geometry: Geometry, ends: Ends) -> Self {
        Self {
            is_log: kind == SegmentKind::Log,
            geometry,
            ends,
            at: SHARD_HEADER_BYTES,
            stripes: VecDeque::new(),
            seen: 0,
        }
    }

    pub fn step(&self) -> Step {
        if let Some((offset, data_len)) = self.stripes.front() {
            return Step::Stripe {
                offset: *offset,
                data_len: Some(*data_len),
            };
        }
        match self.ends {
            Ends::At(end) if self.at >= end => Step::End,
            _ if self.is_log => Step::Record(self.at),
            _ => Step::Stripe {
                offset: self.at,
                data_len: None,
            },
        }
    }

    /// The record at this step.
    pub fn pass_record(&mut self, record: &LogRecord) -> Result<(), Misplaced> {
        let wrong = Misplaced(self.at);
        let end = self.at.checked_add(record.len).ok_or(wrong)?;
        let aligned = record.len >= RECORD_ALIGN && record.len.is_multiple_of(RECORD_ALIGN);
        let mut at = self.at.saturating_add(u64::from(record.body_at));
        for data_len in &record.stripes {
            let data_len = usize::try_from(*data_len).map_err(|_| wrong)?;
            if !self.holds(data_len) {
                return Err(wrong);
            }
            self.stripes.push_back((at, data_len));
            at = at.saturating_add(stripe_file_bytes(self.geometry, data_len));
        }
        let within = match self.ends {
            Ends::At(valid) => end <= valid,
            Ends::After(_) => true,
        };
        if !aligned || at > end || !within {
            return Err(wrong);
        }
        self.at = end;
        Ok(())
    }

    /// The stripe at this step, with what its frames say of its data.
    pub fn pass_stripe(&mut self, data_len: usize) -> Result<(), Misplaced> {
        if !self.holds(data_len) {
            return Err(Misplaced(self.at));
        }
        if self.stripes.pop_front().is_none() {
            self.at = self.at.saturating_add(stripe_file_bytes(self.geometry, data_len));
        }
        self.seen += data_len as u64;
        Ok(())
    }

    fn holds(&self, data_len: usize) -> bool {
        data_len > 0 && data_len <= self.geometry.stripe_bytes_max()
    }

    /// Nothing readable stands at this step: whether that is the segment's end rather than damage.
    pub fn may_end_here(&self) -> bool {
        match self.ends {
            Ends::At(end) => self.at >= end && self.stripes.is_empty(),
            Ends::After(bytes) => self.seen >= bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GEOMETRY: Geometry = Geometry {
        data: 2,
        parity: 1,
        unit: 100,
    };

    fn record(len: u64, body_at: u32, stripes: &[u32]) -> LogRecord {
        LogRecord {
            seq: 1,
            mark: 0,
            len,
            body_at,
            stripes: stripes.to_vec(),
            segments: vec![],
            removed: vec![],
            ops: vec![],
        }
    }

    #[test]
    fn an_extent_goes_on_until_its_bytes_were_seen_and_nothing_follows() {
        let mut walk = Walk::new(SegmentKind::Extent, GEOMETRY, Ends::After(250));
        for (offset, data_len) in [(4096, 200), (4244, 50)] {
            assert_eq!(walk.step(), Step::Stripe { offset, data_len: None });
            assert!(!walk.may_end_here());
            walk.pass_stripe(data_len).unwrap();
        }
        assert!(walk.may_end_here());
        assert_eq!(walk.pass_stripe(201), Err(Misplaced(4317)));
        assert_eq!(walk.pass_stripe(0), Err(Misplaced(4317)));
    }

    #[test]
    fn a_log_segment_ends_at_its_valid_length_whatever_follows() {
        let mut walk = Walk::new(SegmentKind::Log, GEOMETRY, Ends::At(12288));
        assert_eq!(walk.step(), Step::Record(4096));
        walk.pass_record(&record(4096, 512, &[200, 20])).unwrap();
        let stripe = |offset, len| Step::Stripe {
            offset,
            data_len: Some(len),
        };
        assert_eq!(walk.step(), stripe(4608, 200));
        assert!(!walk.may_end_here());
        walk.pass_stripe(200).unwrap();
        assert_eq!(walk.step(), stripe(4756, 20));
        walk.pass_stripe(20).unwrap();
        assert_eq!(walk.step(), Step::Record(8192));
        assert!(!walk.may_end_here(), "a record is missing");
        assert!(
            walk.clone().pass_record(&record(8192, 512, &[])).is_err(),
            "it is too long"
        );
        walk.pass_record(&record(4096, 512, &[])).unwrap();
        assert_eq!(walk.step(), Step::End);
    }

    #[test]
    fn a_log_segment_of_unknown_length_ends_only_when_all_its_bodies_were_seen() {
        let mut walk = Walk::new(SegmentKind::Log, GEOMETRY, Ends::After(30));
        walk.pass_record(&record(4096, 512, &[20])).unwrap();
        walk.pass_stripe(20).unwrap();
        assert!(!walk.may_end_here(), "a hole, not the end");
        walk.pass_record(&record(4096, 512, &[10])).unwrap();
        assert!(!walk.may_end_here());
        walk.pass_stripe(10).unwrap();
        assert!(walk.may_end_here());
    }

    #[test]
    fn records_that_cannot_be_are_refused() {
        let walk = Walk::new(SegmentKind::Log, GEOMETRY, Ends::After(0));
        for wrong in [
            record(0, 64, &[]),
            record(5000, 64, &[]),
            record(4096, 64, &[201]),
            record(4096, 4095, &[1]),
            record(u64::MAX, 64, &[]),
        ] {
            assert!(walk.clone().pass_record(&wrong).is_err(), "{wrong:?}");
        }
    }
}
