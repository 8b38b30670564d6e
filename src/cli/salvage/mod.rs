//! `drystone salvage`: every object that can still be read from raw drives, verified and copied to a folder, and a report
//! of all that was there. The engine reads and verifies; this knows what rows mean, compares MD5 sums, and writes the
//! folder. Nothing is ever written to a drive.

mod target;

use std::fs::File;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use bytes::Bytes;
use md5::{Digest as _, Md5};
use serde_json::{Value, json};
use storage_engine::embedded::salvage::{Account, LostPiece, Row, RowsFrom, Salvage, Sink};
use storage_engine::store::etag::ETag;
use storage_engine::store::key;
use storage_engine::store::record::Record as _;
use storage_engine::store::record::object::Object;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use self::target::Target;
use super::args::SalvageCommand;
use super::print;
use crate::server::exit;

/// Nothing could be had, or it could not be written.
const FAILED: u8 = 1;
/// Something is lost, or it is not known whether it is.
const LOST: u8 = 3;

/// What came out.
#[derive(Debug, Default)]
struct Counts {
    whole: u64,
    whole_bytes: u64,
    uncertain: u64,
    lost: u64,
    lost_bytes: u64,
    /// Rows with bodies that are no current version of a key: parts of uploads that were not completed.
    others: u64,
}

/// Runs the command: 0 when every object is whole and known, 3 when something is lost or not known, 1 when nothing could
/// be had or written.
pub fn run(command: &SalvageCommand) -> ExitCode {
    let paths = match command.paths() {
        Ok(paths) => paths,
        Err(error) => {
            print::problem(format_args!("drystone: {error}"));
            return ExitCode::from(exit::USAGE);
        }
    };
    match salvaged(command, &paths) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(LOST),
        Err(error) => {
            print::problem(format_args!("drystone: {error}"));
            ExitCode::from(FAILED)
        }
    }
}

fn salvaged(command: &SalvageCommand, paths: &[PathBuf]) -> Result<bool, String> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    let runtime = runtime.map_err(|error| format!("cannot start: {error}"))?;
    let _entered = runtime.enter();
    let salvage = Salvage::open(paths).map_err(|error| error.to_string())?;
    let target = Target::create(&command.to, paths)?;
    let counts = Counts::default();
    runtime.block_on(
        Work {
            salvage,
            target,
            counts,
        }
        .all(command.json),
    )
}

/// A run under way.
struct Work {
    salvage: Salvage,
    target: Target,
    counts: Counts,
}

/// The file of an object, and the MD5 of what went into it.
struct Copy {
    file: File,
    md5: Md5,
    /// What is left of the object; what follows it in its body is not its own.
    left: u64,
}

impl Sink for Copy {
    fn take(&mut self, bytes: &Bytes) -> io::Result<()> {
        let wanted = usize::try_from(self.left).unwrap_or(usize::MAX).min(bytes.len());
        let own = bytes.slice(..wanted);
        self.left -= own.len() as u64;
        self.md5.update(&own);
        self.file.write_all(&own)
    }
}

impl Work {
    async fn all(mut self, as_json: bool) -> Result<bool, String> {
        let unwritable = |error: io::Error| format!("cannot write to the folder: {error}");
        let (mut account, mut rows) = self.salvage.rows().await.map_err(|error| error.to_string())?;
        let store = self.store(&account);
        self.target.report(&store).map_err(unwritable)?;
        while let Some(row) = rows.next().await {
            self.row(&row).await.map_err(unwritable)?;
        }
        if let Some(reason) = rows.broke_off() {
            let note = format!(
                "the checkpoint could be read when it was looked through, and no more when its rows were read; objects \
                 are missing here that are not in the report: {reason}"
            );
            let line = json!({ "type": "broke_off", "why": note });
            self.target.report(&line).map_err(unwritable)?;
            account.notes.push(note);
        }
        for key in &account.undecided {
            if let Some((bucket, key)) = key::parse_current(key) {
                let line = json!({ "type": "undecided", "bucket": bucket, "key": key });
                self.target.report(&line).map_err(unwritable)?;
            }
        }
        let all = self.counts.lost == 0 && self.counts.uncertain == 0 && account.is_complete();
        let summary = self.summary(all);
        self.target.report(&summary).map_err(unwritable)?;
        self.target.sync().map_err(unwritable)?;
        if as_json {
            print::line(&summary);
        } else {
            print::text(self.told(&account, all));
        }
        Ok(all)
    }

    fn store(&self, account: &Account) -> Value {
        let drives = self.salvage.drives().iter().map(|drive| {
            json!({
                "path": drive.path,
                "epoch": drive.epoch,
                "problem": drive.problem,
                "used_by": drive.used_by,
            })
        });
        let rows_from = match account.rows_from {
            RowsFrom::Checkpoint => json!("checkpoint"),
            RowsFrom::PartOfCheckpoint { rows_read, rows_named } => {
                json!({ "part_of_checkpoint": { "rows_read": rows_read, "rows_named": rows_named } })
            }
            RowsFrom::LogOnly => json!("log"),
        };
        json!({
            "type": "store",
            "store": account.store,
            "root_epoch": account.root_epoch,
            "names_known_from": rows_from,
            "notes": account.notes,
            "drives": drives.collect::<Vec<_>>(),
        })
    }

    fn summary(&self, all: bool) -> Value {
        let counts = &self.counts;
        json!({
            "type": "summary",
            "complete": all,
            "whole": counts.whole,
            "whole_bytes": counts.whole_bytes,
            "uncertain": counts.uncertain,
            "lost": counts.lost,
            "lost_bytes": counts.lost_bytes,
            "parts_left_out": counts.others,
        })
    }

    fn told(&self, account: &Account, all: bool) -> String {
        let mut text = String::new();
        for drive in self.salvage.drives() {
            if let Some(process) = drive.used_by {
                text.push_str(&format!(
                    "NOTE: {} is in use by process {process}: stop it, or this is no copy of one moment\n",
                    drive.path.display()
                ));
            }
            if !drive.problem.is_empty() {
                text.push_str(&format!("NOTE: {}: {}\n", drive.path.display(), drive.problem));
            }
        }
        for note in &account.notes {
            text.push_str(&format!("NOTE: {note}\n"));
        }
        let counts = &self.counts;
        text.push_str(&format!(
            "{} objects whole ({}), {} lost ({})\n",
            counts.whole,
            super::admin::bytes(counts.whole_bytes),
            counts.lost,
            super::admin::bytes(counts.lost_bytes)
        ));
        if counts.uncertain > 0 {
            let uncertain = counts.uncertain;
            text.push_str(&format!(
                "{uncertain} of them may have been deleted or replaced since; the report marks them\n"
            ));
        }
        if counts.others > 0 {
            let others = counts.others;
            text.push_str(&format!(
                "{others} parts of uploads that were not completed are left out\n"
            ));
        }
        if !account.undecided.is_empty() {
            let undecided = account.undecided.len();
            text.push_str(&format!(
                "of the last change of {undecided} rows it is not known whether it counts\n"
            ));
        }
        let folder = self.target.folder().display();
        let verdict = if all {
            "everything is here"
        } else {
            "not everything is here"
        };
        text.push_str(&format!("{verdict}: {folder}/report.jsonl\n"));
        text
    }

    async fn row(&mut self, row: &Row) -> io::Result<()> {
        if let Some(bucket) = key::parse_bucket(&row.key) {
            self.target.bucket(bucket)?;
            return self.target.report(&json!({ "type": "bucket", "bucket": bucket }));
        }
        let Some((bucket, name)) = key::parse_current(&row.key) else {
            self.counts.others += u64::from(row.body.is_some());
            return Ok(());
        };
        let line = match Object::from_value(&row.value) {
            Ok(object) => self.object((bucket, name), &object, row).await?,
            Err(error) => {
                self.counts.lost += 1;
                json!({
                    "type": "object",
                    "bucket": bucket,
                    "key": name,
                    "status": "lost",
                    "why": error.to_string(),
                })
            }
        };
        self.target.report(&line)
    }

    /// Copies an object and gives its line of the report.
    async fn object(&mut self, (bucket, name): (&str, &str), object: &Object, row: &Row) -> io::Result<Value> {
        let mut copy = Copy {
            file: self.target.begin()?,
            md5: Md5::new(),
            left: object.size,
        };
        let lost = match &row.body {
            Some(body) => self.salvage.read(body, &mut copy).await?,
            None => Vec::new(),
        };
        let why = why_not(&lost, &copy, object);
        let mut line = described(bucket, name, object, row);
        let mut tell = |field: &str, value: Value| {
            if let Some(fields) = line.as_object_mut() {
                fields.insert(field.to_owned(), value);
            }
        };
        match why {
            None => {
                let modified = Duration::from_millis(object.modified.millis());
                let path = self.target.finish(bucket, name, &copy.file, modified)?;
                self.counts.whole += 1;
                self.counts.whole_bytes += object.size;
                self.counts.uncertain += u64::from(!row.is_certain);
                tell("status", json!("whole"));
                tell("path", json!(path));
            }
            Some(why) => {
                self.target.give_up()?;
                self.counts.lost += 1;
                self.counts.lost_bytes += object.size;
                tell("status", json!("lost"));
                tell("why", json!(why));
                tell("missing", lost.iter().map(missing).collect());
            }
        }
        Ok(line)
    }
}

/// Why what was copied is not the object; `None` if it is.
fn why_not(lost: &[LostPiece], copy: &Copy, object: &Object) -> Option<String> {
    if !lost.is_empty() {
        let runs = lost.len();
        return Some(format!("{runs} runs of its bytes cannot be read"));
    }
    if copy.left > 0 {
        let (left, size) = (copy.left, object.size);
        return Some(format!("its body ends {left} bytes before its {size}"));
    }
    let md5: [u8; 16] = copy.md5.clone().finalize().into();
    match object.etag {
        ETag::Md5(told) if told != md5 => Some("its bytes verify, and are not those of its ETag".into()),
        // The MD5 of a multipart ETag is that of the parts' sums; every frame of it was verified.
        ETag::Md5(_) | ETag::Multipart { .. } => None,
    }
}

fn missing(piece: &LostPiece) -> Value {
    json!({
        "segment": piece.segment,
        "offset": piece.offset,
        "bytes": piece.bytes,
        "why": piece.why,
    })
}

/// What is known of an object from its row.
fn described(bucket: &str, name: &str, object: &Object, row: &Row) -> Value {
    let nanoseconds = i128::from(object.modified.millis()) * 1_000_000;
    let modified = OffsetDateTime::from_unix_timestamp_nanos(nanoseconds).ok();
    let metadata = &object.metadata;
    json!({
        "type": "object",
        "bucket": bucket,
        "key": name,
        "version": "null",
        "bytes": object.size,
        "etag": object.etag.to_string(),
        "modified": modified.and_then(|modified| modified.format(&Rfc3339).ok()),
        "certain": row.is_certain,
        "content_type": metadata.content_type,
        "cache_control": metadata.cache_control,
        "content_disposition": metadata.content_disposition,
        "content_encoding": metadata.content_encoding,
        "content_language": metadata.content_language,
        "metadata": metadata.user.iter().cloned().collect::<std::collections::BTreeMap<_, _>>(),
    })
}
