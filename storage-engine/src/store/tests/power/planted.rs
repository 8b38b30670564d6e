//! Each planted bug and the cut that brings it to light: the same story must be green without it and red with it.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::machine::{DRIVES, Kind, Layout};
use super::process::Load;
use super::{Rig, Tally, skip_or_fail, until_an_answer, until_mid_load};
use crate::planted::Bug;

/// A story with one power cut or more, that ends with everything told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Story {
    /// Cuts right after an answer.
    RightAfterAnAnswer,
    /// A clean stop, then a load, then a cut.
    AfterACleanStop,
    /// A process is killed with a batch in the page cache; the next one shows it, and then the power goes.
    TailThenCut,
    /// A batch was refused; the power goes later.
    VoidedThenCut,
    /// The index lost a row before the checkpoints were made.
    RowLostFromTheIndex,
    /// Two shard files of one segment change places while the power is off.
    ShardsSwapped,
    /// Two drives rot at different places; the power goes while they are healed, and a third is late.
    HealingCut,
    /// A drive rots and is healed; right after, the power goes, and two others are late.
    HealedThenCut,
    /// A file gets its bytes, and the power goes before the next batch is synced.
    LifeThenCut,
}

const ALL: [usize; DRIVES] = [0, 1, 2, 3];

/// Which story brings which bug to light.
const STORIES: [(Bug, Story); 11] = [
    (Bug::SkippedSync, Story::RightAfterAnAnswer),
    (Bug::EarlyAnswer, Story::RightAfterAnAnswer),
    (Bug::NoDirectorySync, Story::HealedThenCut),
    (Bug::IndexTrusted, Story::AfterACleanStop),
    (Bug::CheckpointFromIndex, Story::RowLostFromTheIndex),
    (Bug::ShardNotBound, Story::ShardsSwapped),
    (Bug::TailNotRewritten, Story::TailThenCut),
    (Bug::RepairInPlace, Story::HealingCut),
    (Bug::SealIgnored, Story::VoidedThenCut),
    (Bug::CatalogueApart, Story::LifeThenCut),
    (Bug::EventsApart, Story::LifeThenCut),
];

impl Story {
    /// What was violated.
    fn tell(self, kind: Kind, bug: Option<Bug>) -> Result<Vec<String>, String> {
        let layout = match self {
            Self::RightAfterAnAnswer => Layout::One,
            _ => Layout::Each,
        };
        let mut rig = Rig::new(kind, layout, bug)?;
        match self {
            Self::RightAfterAnAnswer => {
                for answers in [2, 3, 5, 4] {
                    rig.cut_after_answers(answers)?;
                }
            }
            Self::AfterACleanStop => {
                rig.cut_after_answers(6)?;
                rig.stop_cleanly()?;
                let mut running = rig.start(Load::Busy, false)?;
                running.word();
                until_mid_load(&mut rig, &running, 40, 30);
                rig.cut(running, &ALL);
                rig.machine.power_on(&ALL, &[])?;
            }
            Self::TailThenCut => {
                rig.play(Load::HungSync, "hung", &[])?;
                // Only the process has died until here.
                let running = rig.start(Load::None, false)?;
                rig.cut(running, &ALL);
                rig.machine.power_on(&ALL, &[])?;
            }
            Self::VoidedThenCut => rig.play(Load::Voided, "voided", &ALL)?,
            Self::LifeThenCut => rig.play(Load::HungLife, "hung", &ALL)?,
            Self::RowLostFromTheIndex => rig.play(Load::LostRow, "checkpointed", &ALL)?,
            Self::ShardsSwapped => {
                rig.cut_after_answers(6)?;
                rig.swap_shards()?;
            }
            Self::HealingCut => {
                rig.cut_after_answers(6)?;
                rig.rot(0, 0)?;
                rig.rot(1, 1)?;
                rig.play(Load::HungHeal, "hung", &ALL)?;
                rig.machine.take_away(2)?;
            }
            Self::HealedThenCut => {
                rig.cut_after_answers(2)?;
                rig.rot(0, 0)?;
                rig.play(Load::Healed, "healed", &ALL)?;
                rig.machine.take_away(2)?;
                rig.machine.take_away(3)?;
            }
        }
        if rig.violations.is_empty() {
            drop(rig.start(Load::None, false)?);
        }
        Ok(rig.violations.clone())
    }
}

impl Rig {
    fn cut_after_answers(&mut self, answers: u64) -> Result<(), String> {
        let mut running = self.start(Load::Calm, false)?;
        running.word();
        until_an_answer(self, &mut running, answers, &mut Tally::default());
        self.cut(running, &ALL);
        self.machine.power_on(&ALL, &[])
    }

    fn stop_cleanly(&mut self) -> Result<(), String> {
        let mut running = self.start(Load::Close, false)?;
        running.word();
        running.child.wait().map(drop).map_err(|e| e.to_string())
    }

    /// Plays a load to this stage, then cuts the power of these drives; of none: the process is killed.
    fn play(&mut self, load: Load, stage: &str, cut: &[usize]) -> Result<(), String> {
        let mut running = self.start(load, false)?;
        running.word();
        self.until(&running, stage);
        if cut.is_empty() {
            running.kill();
            return Ok(());
        }
        self.cut(running, cut);
        self.machine.power_on(cut, &[])
    }

    /// Exchanges the two data shards of every extent; each file keeps its name.
    fn swap_shards(&mut self) -> Result<(), String> {
        let files = ALL.into_iter().flat_map(|n| self.machine.shard_files(n, "extent"));
        let files: Vec<PathBuf> = files.map(|(path, _)| path).collect();
        let mut swapped = 0;
        for one in files
            .iter()
            .filter(|path| path.extension().is_some_and(|shard| shard == "00"))
        {
            let other = |path: &&PathBuf| {
                path.file_stem() == one.file_stem() && path.extension().is_some_and(|shard| shard == "01")
            };
            let two = files.iter().find(other).ok_or("an extent without its second shard")?;
            let (first, second) = (read(one)?, read(two)?);
            let written = std::fs::write(one, second).and_then(|()| std::fs::write(two, first));
            written.map_err(|e| e.to_string())?;
            swapped += 1;
        }
        (swapped > 0)
            .then_some(())
            .ok_or("there is no extent to swap".to_owned())
    }

    /// Flips a byte in a stripe of every extent that a drive has.
    fn rot(&mut self, drive: usize, stripe: u64) -> Result<(), String> {
        let mut rotten = 0;
        for (path, len) in self.machine.shard_files(drive, "extent") {
            // Frames of stripes begin behind the header of the file and are a little longer than 128 KiB.
            let at = 4096 + 1000 + stripe * (128 << 10);
            // All in extents of two stripes: healing any of them must be what the story is about.
            if 4096 + (128 << 10) + 2000 > len {
                continue;
            }
            let file = File::options().read(true).write(true).open(&path);
            let file = file.map_err(|e| e.to_string())?;
            let mut byte = [0];
            let flip = file.read_exact_at(&mut byte, at);
            flip.and_then(|()| file.write_all_at(&[byte[0] ^ 4], at))
                .and_then(|()| file.sync_all())
                .map_err(|e| e.to_string())?;
            rotten += 1;
        }
        (rotten > 0).then_some(()).ok_or("there is nothing to rot".to_owned())
    }
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|e| e.to_string())
}

#[test]
fn stories_that_bring_planted_bugs_to_light_are_green_without_them() {
    let mut stories: Vec<Story> = STORIES.into_iter().map(|(_, story)| story).collect();
    stories.dedup();
    for story in stories {
        for kind in [Kind::Xfs, Kind::Ext4] {
            match story.tell(kind, None) {
                Err(reason) => return skip_or_fail(&reason),
                Ok(violations) => assert!(violations.is_empty(), "{story:?} on {kind:?}: {violations:#?}"),
            }
        }
    }
}

/// How often a story is told with a bug before the bug counts as not caught. A kernel may write what was never synced at any
/// time by itself, and does on a busy machine: then a bug that leaves a sync out leaves nothing to be seen.
const TELLINGS: usize = 4;

#[test]
fn every_bug_planted_for_crashes_is_caught_by_a_power_cut() {
    let mut survivors = Vec::new();
    for (bug, story) in STORIES {
        for kind in [Kind::Xfs, Kind::Ext4] {
            match first_violation(story, kind, bug) {
                Err(reason) => return skip_or_fail(&reason),
                Ok(Some(first)) => println!("{bug:?} on {kind:?} caught: {first}"),
                Ok(None) => survivors.push((bug, kind)),
            }
        }
    }
    assert!(survivors.is_empty(), "not caught: {survivors:?}");
    assert!(
        Bug::OF_CRASHES
            .iter()
            .all(|bug| STORIES.iter().any(|(told, _)| told == bug))
    );
}

fn first_violation(story: Story, kind: Kind, bug: Bug) -> Result<Option<String>, String> {
    for _ in 0..TELLINGS {
        if let Some(first) = story.tell(kind, Some(bug))?.into_iter().next() {
            return Ok(Some(first));
        }
        println!("{bug:?} on {kind:?}: nothing seen, told once more");
    }
    Ok(None)
}
