//! Drives that fill up or go away in the middle of an upload: the client is told, what was there stays, nothing is left
//! behind, and the next upload works.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use compat_tests::mounts::Mounted;
use compat_tests::s3::{Payload, Target, between};
use compat_tests::tree;
use compat_tests::upload::{Said, Upload};
use http::Method;
use tokio::runtime::Runtime;

use crate::stage::{Needs, Stage, Test, runtime};

/// Room for the reserve of a drive and some objects; the images are sparse.
const DRIVE_BYTES: u64 = 600 << 20;
/// Less than the reserve, and enough for the log.
const LEFT_BYTES: u64 = 90 << 20;
const BLOCK: usize = 1 << 20;
/// Seed and length of the only part of an upload.
const PART: (u64, usize) = (88, 6_000_000);
/// The engine looks at the space of its drives every ten seconds.
const NOTICED: Duration = Duration::from_secs(45);

pub(crate) fn tests() -> Vec<Test> {
    let mounted = |name, play| Test {
        name,
        needs: Needs::Mounts,
        play,
    };
    vec![
        mounted("an_upload_that_fills_the_drives_leaves_all_as_it_was", full_in_mid_put),
        mounted(
            "below_the_reserve_deletes_go_on_and_uploads_again_when_there_is_room",
            below_the_reserve,
        ),
        mounted("a_drive_that_dies_in_mid_put_costs_at_most_that_put", dead_in_mid_put),
        mounted("drives_that_die_in_mid_get_are_read_around", dead_in_mid_get),
        Test::alone("a_drive_taken_away_in_mid_put_costs_at_most_that_put", taken_in_mid_put),
    ]
}

fn mounted(stage: &Stage) -> Result<Vec<Mounted>> {
    stage
        .setup
        .drives
        .iter()
        .map(|drive| Mounted::at(drive, DRIVE_BYTES))
        .collect()
}

/// A store with objects in it that every test must find again.
struct Kept {
    runtime: Runtime,
    target: Target,
    /// Seed and length of each.
    objects: Vec<(String, u64, usize)>,
}

impl Kept {
    fn put(stage: &Stage) -> Result<Self> {
        let target = Target::suite(&stage.setup.endpoint())?;
        let mut objects: Vec<(String, u64, usize)> = (0..60)
            .map(|n| (format!("/kept/small/{n}"), n, 4_000 + n as usize))
            .collect();
        objects.push(("/kept/large".to_owned(), 99, 5_000_001));
        let kept = Self {
            runtime: runtime()?,
            target,
            objects,
        };
        kept.ask(Method::PUT, "/kept", Bytes::new())?;
        for (path, seed, length) in &kept.objects {
            kept.ask(Method::PUT, path, tree::bytes(*seed, *length).into())?;
        }
        Ok(kept)
    }

    fn ask(&self, method: Method, path: &str, body: Bytes) -> Result<Bytes> {
        self.runtime.block_on(self.target.ask(method, path, "", body))
    }

    /// Everything is there, byte for byte, and nothing else is.
    fn check(&self) -> Result<()> {
        for (path, seed, length) in &self.objects {
            let found = self.ask(Method::GET, path, Bytes::new())?;
            ensure!(
                found == tree::bytes(*seed, *length),
                "{path} is not what was put: {} bytes",
                found.len()
            );
        }
        let listed = self.runtime.block_on(self.target.list("kept"))?;
        let mut keys: Vec<&str> = self.objects.iter().filter_map(|o| o.0.strip_prefix("/kept/")).collect();
        keys.sort_unstable();
        ensure!(
            listed.iter().map(|entry| entry.key.as_str()).eq(keys),
            "the listing has {} objects",
            listed.len()
        );
        Ok(())
    }

    /// Deletes one of the small objects.
    fn delete_one(&mut self) -> Result<()> {
        let (path, _, _) = self.objects.remove(0);
        self.ask(Method::DELETE, &path, Bytes::new()).map(drop)
    }

    /// Begins an upload of one part.
    fn begin_upload(&self, path: &str) -> Result<String> {
        let said = self
            .runtime
            .block_on(self.target.ask(Method::POST, path, "uploads=", ""))?;
        let upload = between(&String::from_utf8_lossy(&said), "UploadId").map(str::to_owned);
        let upload = upload.context("an upload id")?;
        let query = format!("partNumber=1&uploadId={upload}");
        let part = tree::bytes(PART.0, PART.1);
        self.runtime
            .block_on(self.target.ask(Method::PUT, path, &query, part))?;
        Ok(upload)
    }

    /// Completes it with the tag that is listed.
    fn complete_upload(&mut self, path: &str, upload: &str) -> Result<()> {
        let query = format!("uploadId={upload}");
        let ask = |method, body: String| self.runtime.block_on(self.target.ask(method, path, &query, body));
        let listed = ask(Method::GET, String::new())?;
        let listed = String::from_utf8_lossy(&listed);
        let tag = between(&listed, "ETag").context("the tag of the part")?;
        let document = format!(
            "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{tag}</ETag></Part></CompleteMultipartUpload>"
        );
        ask(Method::POST, document)?;
        self.objects.retain(|(known, _, _)| known != path);
        self.objects.push((path.to_owned(), PART.0, PART.1));
        Ok(())
    }

    /// A PUT of this many bytes that must work, and come back.
    fn put_works(&mut self, path: &str, length: usize) -> Result<()> {
        let seed = self.objects.len() as u64 + 1_000;
        self.ask(Method::PUT, path, tree::bytes(seed, length).into())?;
        self.objects.retain(|(known, _, _)| known != path);
        self.objects.push((path.to_owned(), seed, length));
        let found = self.ask(Method::GET, path, Bytes::new())?;
        ensure!(found == tree::bytes(seed, length), "{path} does not come back");
        Ok(())
    }

    /// As [`Self::put_works`], once the store has left out the drive that it was just told of.
    fn put_soon_works(&mut self, path: &str, length: usize) -> Result<()> {
        within(Duration::from_secs(10), "the next upload is still refused", || {
            Ok(self.put_works(path, length).is_ok())
        })
    }
}

/// The shard files of large bodies on all drives.
fn extents(stage: &Stage) -> Result<usize> {
    fn count(folder: &Path) -> Result<usize> {
        let mut files = 0;
        for entry in fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))? {
            let entry = entry?;
            files += if entry.file_type()?.is_dir() {
                count(&entry.path())?
            } else {
                1
            };
        }
        Ok(files)
    }
    let folder = |drive: &Path| drive.join(".drystone/extent");
    stage.setup.drives.iter().map(|drive| count(&folder(drive))).sum()
}

fn within(limit: Duration, what: &str, mut holds: impl FnMut() -> Result<bool>) -> Result<()> {
    let start = Instant::now();
    while !holds()? {
        ensure!(start.elapsed() < limit, "{what} after {limit:?}");
        std::thread::sleep(Duration::from_millis(200));
    }
    Ok(())
}

fn full_in_mid_put(stage: &mut Stage) -> Result<()> {
    let _mounts = mounted(stage)?;
    let server = stage.start()?;
    let mut kept = Kept::put(stage)?;
    let block = tree::bytes(7, BLOCK);
    for round in 0..2 {
        let before = extents(stage)?;
        // More than all drives together hold, over an object that is there.
        let blocks = 4 * DRIVE_BYTES / BLOCK as u64;
        let mut upload = Upload::begin(&kept.target, "/kept/large", "", blocks * BLOCK as u64)?;
        let mut sent = 0;
        while sent < blocks && upload.send(&block)? {
            sent += 1;
            if sent % 40 == 0 && sent <= 400 {
                kept.delete_one().context("a DELETE beside it")?;
            }
        }
        let said = upload.answer().with_context(|| format!("after {sent} MiB"))?;
        println!("round {round}: {} after {sent} MiB of {blocks}", said.status);
        ensure!(said.is(507, "XMinioStorageFull"), "{said:?}");
        ensure!(sent < blocks, "all of it was sent before the answer");
        kept.delete_one().context("a DELETE right after it")?;
        kept.check()?;
        within(Duration::from_secs(30), "shard files are left behind", || {
            Ok(extents(stage)? == before)
        })?;
        within(NOTICED, "uploads are still refused", || {
            Ok(kept.put_works("/kept/after", 3_000_000).is_ok())
        })?;
        kept.put_works("/kept/after-small", 100)?;
    }
    kept.check()?;
    server.kill()?;
    let server = stage.start().context("after a kill")?;
    kept.check().context("after a kill")?;
    server.stop()
}

fn below_the_reserve(stage: &mut Stage) -> Result<()> {
    let mounts = mounted(stage)?;
    let server = stage.start()?;
    let mut kept = Kept::put(stage)?;
    let upload = kept.begin_upload("/kept/large")?;
    for mount in &mounts {
        mount.fill_up_to(LEFT_BYTES)?;
    }
    let refused = |kept: &Kept, path: &str| -> Result<Said> {
        let mut upload = Upload::begin(&kept.target, path, "", 100)?;
        upload.send(&[7; 100])?;
        upload.answer()
    };
    within(NOTICED, "uploads are still taken", || {
        let said = refused(&kept, "/kept/small/59")?;
        if said.status == 200 {
            kept.objects.retain(|(path, _, _)| path != "/kept/small/59");
            return Ok(false);
        }
        ensure!(said.is(507, "XMinioStorageFull"), "{said:?}");
        Ok(true)
    })?;
    let overwritten = !kept.objects.iter().any(|(path, _, _)| path == "/kept/small/59");
    for _ in 0..20 {
        kept.delete_one().context("a DELETE below the reserve")?;
    }
    if overwritten {
        kept.ask(Method::DELETE, "/kept/small/59", Bytes::new())?;
    }
    let mut part = Upload::begin(
        &kept.target,
        "/kept/large",
        &format!("partNumber=2&uploadId={upload}"),
        100,
    )?;
    part.send(&[7; 100])?;
    let said = part.answer()?;
    ensure!(said.is(507, "XMinioStorageFull"), "a part: {said:?}");
    // Room for the list of its parts is all that a Complete may want for.
    let completed = kept.complete_upload("/kept/large", &upload);
    if let Err(error) = &completed {
        ensure!(
            error.to_string().contains("507"),
            "a Complete below the reserve: {error:#}"
        );
    }
    kept.check()?;
    for mount in &mounts {
        mount.make_room()?;
    }
    within(NOTICED, "uploads are still refused", || {
        Ok(kept.put_works("/kept/after", 3_000_000).is_ok())
    })?;
    if completed.is_err() {
        kept.complete_upload("/kept/large", &upload)
            .context("the Complete that there was no room for")?;
    }
    kept.check()?;
    server.stop()
}

/// Half of an upload, then something happens to a drive, then the other half: done or refused, never in between.
fn upload_around(kept: &mut Kept, happens: impl FnOnce() -> Result<()>) -> Result<u16> {
    let length = 160 * BLOCK;
    let body = tree::bytes(77, length);
    let (first, second) = body.split_at_checked(length / 2).context("two halves")?;
    let mut upload = Upload::begin(&kept.target, "/kept/large", "", length as u64)?;
    ensure!(upload.send(first)?, "the first half was refused");
    happens()?;
    upload.send(second)?;
    let said = upload.answer()?;
    println!("the upload was answered {}", said.status);
    ensure!(said.status == 200 || said.status == 503, "{said:?}");
    if said.status == 200 {
        kept.objects.retain(|(path, _, _)| path != "/kept/large");
        kept.objects.push(("/kept/large".to_owned(), 77, length));
    }
    Ok(said.status)
}

fn dead_in_mid_put(stage: &mut Stage) -> Result<()> {
    let mounts = mounted(stage)?;
    let server = stage.start()?;
    let mut kept = Kept::put(stage)?;
    let dying = mounts.get(2).context("a third drive")?;
    upload_around(&mut kept, || dying.cut())?;
    kept.check().context("right after it")?;
    kept.put_soon_works("/kept/after", 3_000_000)?;
    kept.put_works("/kept/after-small", 300)?;
    kept.delete_one()?;
    kept.check()?;
    server.kill()?;
    let server = stage.start().context("with one drive dead, after a kill")?;
    kept.check().context("with one drive dead, after a kill")?;
    kept.put_works("/kept/later", 3_000_000)?;
    server.stop()
}

fn dead_in_mid_get(stage: &mut Stage) -> Result<()> {
    let mounts = mounted(stage)?;
    let server = stage.start()?;
    let mut kept = Kept::put(stage)?;
    let length = 128 * BLOCK;
    kept.put_works("/kept/read", length)?;
    let seed = kept.objects.last().context("what was just put")?.1;
    let get = kept
        .target
        .request(Method::GET, "/kept/read", "", Bytes::new(), Payload::Signed)?;
    let (mut found, mut dead, mut cut) = (Vec::with_capacity(length), 0, Ok(()));
    let (status, _) = kept.runtime.block_on(async {
        let mut connection = kept.target.connect().await?;
        let take = |bytes: &[u8]| {
            found.extend_from_slice(bytes);
            // As many as the parity stands for, one after the other.
            if found.len() > (dead + 1) * length / 3
                && let (Some(mount), true) = (mounts.get(dead + 1), dead < 2)
            {
                dead += 1;
                if let Err(error) = mount.cut() {
                    cut = Err(error);
                }
            }
        };
        connection.each(get, take).await
    })?;
    cut?;
    ensure!(dead == 2 && status == 200, "{dead} drives died, status {status}");
    ensure!(found == tree::bytes(seed, length), "other bytes came: {}", found.len());
    kept.check().context("with two drives dead")?;
    server.kill()
}

fn taken_in_mid_put(stage: &mut Stage) -> Result<()> {
    let server = stage.start()?;
    let mut kept = Kept::put(stage)?;
    let drive = stage.setup.drives.get(1).context("a second drive")?.clone();
    let away = drive.with_extension("away");
    upload_around(&mut kept, || Ok(fs::rename(&drive, &away)?))?;
    kept.check().context("right after it")?;
    kept.put_soon_works("/kept/after", 3_000_000)?;
    kept.put_works("/kept/after-small", 300)?;
    ensure!(!drive.exists(), "a folder was made where the drive had been");
    server.kill()?;
    let server = stage.start().context("without the drive, after a kill")?;
    kept.check().context("without the drive, after a kill")?;
    kept.put_works("/kept/later", 3_000_000)?;
    server.stop()?;
    fs::rename(&away, &drive)?;
    let server = stage.start().context("with the drive back")?;
    kept.check().context("with the drive back")?;
    kept.put_works("/kept/at-last", 3_000_000)?;
    server.stop()
}
