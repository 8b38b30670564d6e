//! `drystone inspect`: prints what stands on the raw drives of a store. It reads only, asks for no lock, and needs no
//! server; the engine looks, this prints.

use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::{Value, json};
use storage_engine::embedded::inspect::{FrameSeen, InspectError, Inspection, Placement, RootSeen, ShardSeen, Verdict};
use storage_engine::store::key;
use storage_engine::store::name::{BucketName, ObjectKey};

use super::admin::bytes;
use super::args::{InspectCommand, InspectVerb};
use super::print;
use crate::server::exit;

/// What was asked for is not on the drives, or they cannot be read.
const NOT_FOUND: u8 = 1;
/// It is there, and not whole.
const DAMAGED: u8 = 3;

/// What is printed, and whether all of it was good.
struct Report {
    document: Value,
    text: String,
    whole: bool,
}

/// Runs one command: 0 when what was asked for is whole, 3 when it is damaged, 1 when it is not there.
pub fn run(command: &InspectCommand) -> ExitCode {
    let paths = match command.paths() {
        Ok(paths) => paths,
        Err(error) => {
            print::problem(format_args!("drystone: {error}"));
            return ExitCode::from(exit::USAGE);
        }
    };
    match report(&paths, &command.verb) {
        Ok(report) => {
            if command.json {
                print::line(report.document);
            } else {
                print::text(report.text);
            }
            ExitCode::from(if report.whole { 0 } else { DAMAGED })
        }
        Err(error) => {
            print::problem(format_args!("drystone: {error}"));
            ExitCode::from(NOT_FOUND)
        }
    }
}

fn report(paths: &[PathBuf], verb: &InspectVerb) -> Result<Report, String> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    let runtime = runtime.map_err(|error| format!("cannot start: {error}"))?;
    let inspection = Inspection::open(paths).map_err(|error| error.to_string())?;
    let looked = match verb {
        InspectVerb::Store { .. } => store(&inspection),
        InspectVerb::Segment { id, frames, .. } => segment(&inspection, id, None, *frames),
        InspectVerb::Frame { id, offset, .. } => segment(&inspection, id, Some(*offset), true),
        InspectVerb::Object { object, .. } => {
            let (bucket, name) = object.split_once('/').ok_or("an object is named BUCKET/KEY")?;
            let bucket = BucketName::parse(bucket).map_err(|error| error.to_string())?;
            let name = ObjectKey::parse(name).map_err(|error| error.to_string())?;
            let placed = runtime.block_on(inspection.row(&key::current(&bucket, &name)));
            let placed = placed.and_then(|placed| placed.ok_or(InspectError::NoRow));
            placed.map(|placement| placed_object(object, &placement))
        }
    };
    let mut report = looked.map_err(|error| error.to_string())?;
    warn(&inspection, &mut report);
    Ok(report)
}

/// Says who uses the drives meanwhile, and what is wrong with a path.
fn warn(inspection: &Inspection, report: &mut Report) {
    let mut head = String::new();
    let users = inspection.drives().iter().filter_map(|drive| drive.used_by);
    let mut users: Vec<u32> = users.collect();
    users.sort_unstable();
    users.dedup();
    if !users.is_empty() {
        let shown: Vec<String> = users.iter().map(ToString::to_string).collect();
        head.push_str(&format!(
            "NOTE: the store seems to be running (process {}); what it writes now may look torn\n",
            shown.join(", ")
        ));
    }
    for drive in inspection.drives().iter().filter(|drive| !drive.problem.is_empty()) {
        head.push_str(&format!("NOTE: {}: {}\n", drive.path.display(), drive.problem));
    }
    report.text.insert_str(0, &head);
    if let Some(document) = report.document.as_object_mut() {
        document.insert("used_by".into(), json!(users));
        document.insert("drives".into(), drives(inspection));
    }
}

fn drives(inspection: &Inspection) -> Value {
    let shown = inspection.drives().iter().map(|drive| {
        json!({
            "path": drive.path,
            "id": drive.id,
            "epoch": drive.epoch,
            "problem": drive.problem,
            "used_by": drive.used_by,
            "shard_files": drive.shard_files,
        })
    });
    shown.collect()
}

fn store(inspection: &Inspection) -> Result<Report, InspectError> {
    let root = inspection.root()?;
    let behind = |epoch: Option<u64>| epoch.is_none_or(|epoch| epoch < root.epoch);
    let mut text = format!(
        "Store {}, epoch {}, EC:{}\nDrives\n",
        root.store, root.epoch, root.parity
    );
    for drive in inspection.drives() {
        let epoch = drive
            .epoch
            .map_or_else(|| "no root".into(), |epoch| format!("epoch {epoch}"));
        let late = if behind(drive.epoch) { "  BEHIND" } else { "" };
        let (path, id) = (drive.path.display(), &drive.id);
        text.push_str(&format!(
            "  {path}  {id}  {epoch}{late}, {} shard files\n",
            drive.shard_files
        ));
    }
    text.push_str(&members(&root));
    let named = |segments: &[storage_engine::embedded::inspect::NamedSegment]| -> Vec<Value> {
        let shown = segments.iter().map(|segment| {
            json!({
                "segment": segment.id,
                "kind": format!("{:?}", segment.kind).to_lowercase(),
                "data": segment.data,
                "parity": segment.parity,
                "valid_bytes": segment.valid_bytes,
            })
        });
        shown.collect()
    };
    let members: Vec<Value> = root
        .members
        .iter()
        .map(|(id, path, state)| json!({ "id": id, "path": path, "state": state }))
        .collect();
    let whole = !inspection.drives().iter().any(|drive| behind(drive.epoch));
    let document = json!({
        "store": root.store,
        "epoch": root.epoch,
        "parity": root.parity,
        "members": members,
        "gone": root.gone,
        "log": named(&root.log),
        "checkpoints": named(&root.checkpoints),
    });
    Ok(Report { document, text, whole })
}

fn members(root: &RootSeen) -> String {
    let mut text = String::from("Members, by the newest root\n");
    for (id, path, state) in &root.members {
        text.push_str(&format!("  {state:<8} {id}  {path}\n"));
    }
    for id in &root.gone {
        text.push_str(&format!("  gone     {id}\n"));
    }
    text.push_str("Log segments, oldest first\n");
    for log in &root.log {
        let valid = log
            .valid_bytes
            .map_or_else(|| "open".into(), |len| format!("valid to {len}"));
        text.push_str(&format!("  {}  {}+{}  {valid}\n", log.id, log.data, log.parity));
    }
    text.push_str("Checkpoints, oldest first\n");
    for checkpoint in &root.checkpoints {
        let (data, parity) = (checkpoint.data, checkpoint.parity);
        text.push_str(&format!("  {}  {data}+{parity}\n", checkpoint.id));
    }
    text
}

fn segment(inspection: &Inspection, id: &str, offset: Option<u64>, frames: bool) -> Result<Report, InspectError> {
    let mut shards = inspection.segment(id)?;
    if let Some(offset) = offset {
        shards
            .iter_mut()
            .for_each(|shard| shard.frames.retain(|frame| frame.offset == offset));
        if shards.iter().all(|shard| shard.frames.is_empty()) {
            return Err(InspectError::NoFrame);
        }
    }
    shards.sort_by_key(|shard| shard.shard);
    let whole = shards
        .iter()
        .all(|shard| shard.header.is_ok() && shard.damaged() == 0 && shard.problem.is_empty());
    let text = shards.iter().map(|shard| shard_text(shard, frames)).collect();
    let document =
        json!({ "segment": id, "whole": whole, "shards": shards.iter().map(shard_json).collect::<Vec<_>>() });
    Ok(Report { document, text, whole })
}

fn shard_text(shard: &ShardSeen, frames: bool) -> String {
    let verdict = match (&shard.header, shard.damaged(), shard.problem.as_str()) {
        (Err(error), _, _) => format!("HEADER UNREADABLE: {error}"),
        (Ok(_), _, problem) if !problem.is_empty() => format!("UNREADABLE: {problem}"),
        (Ok(_), 0, _) => "good".to_owned(),
        (Ok(_), count, _) => format!("{count} FRAMES DAMAGED"),
    };
    let path = shard.drive.display();
    let mut text = format!(
        "shard {} on {path}: {}, {} frames, {verdict}\n",
        shard.shard,
        bytes(shard.bytes),
        shard.frames.len()
    );
    if let Ok(header) = &shard.header {
        let (data, parity, unit) = (header.geometry.data, header.geometry.parity, header.geometry.unit);
        text.push_str(&format!(
            "  {:?} of store {}, {data}+{parity}, unit {unit}, made in epoch {}\n",
            header.kind, header.store, header.created_epoch
        ));
    }
    for frame in shard.frames.iter().filter(|frame| frames || !frame.problem.is_empty()) {
        text.push_str(&format!("  {}\n", frame_text(frame)));
    }
    if shard.rest_bytes > 0 {
        text.push_str(&format!("  {} behind the last frame\n", bytes(shard.rest_bytes)));
    }
    text
}

fn frame_text(frame: &FrameSeen) -> String {
    let kind = frame
        .kind
        .map_or_else(|| "?".into(), |kind| format!("{kind:?}").to_lowercase());
    let verdict = if frame.problem.is_empty() {
        "good"
    } else {
        frame.problem.as_str()
    };
    let record = frame.record.as_ref().map(|record| {
        format!(
            "  seq {} mark {} puts {} deletes {} bodies {}",
            record.seq, record.mark, record.puts, record.deletes, record.bodies
        )
    });
    let (offset, payload) = (frame.offset, frame.payload_bytes);
    format!(
        "{offset:>12}  {kind:<7} {payload:>8} B{}  {verdict}",
        record.unwrap_or_default()
    )
}

fn shard_json(shard: &ShardSeen) -> Value {
    let header = match &shard.header {
        Ok(header) => json!({
            "format": header.format,
            "store": header.store.to_string(),
            "kind": format!("{:?}", header.kind).to_lowercase(),
            "data": header.geometry.data,
            "parity": header.geometry.parity,
            "unit": header.geometry.unit,
            "created_epoch": header.created_epoch,
        }),
        Err(error) => json!({ "problem": error }),
    };
    let frames = shard.frames.iter().map(|frame| {
        let record = frame.record.as_ref().map(|record| {
            json!({
                "seq": record.seq,
                "mark": record.mark,
                "bytes": record.bytes,
                "puts": record.puts,
                "deletes": record.deletes,
                "bodies": record.bodies,
            })
        });
        json!({
            "offset": frame.offset,
            "kind": frame.kind.map(|kind| format!("{kind:?}").to_lowercase()),
            "payload_bytes": frame.payload_bytes,
            "data_bytes": frame.data_bytes,
            "good": frame.problem.is_empty(),
            "problem": frame.problem,
            "record": record,
        })
    });
    json!({
        "drive": shard.drive,
        "shard": shard.shard,
        "bytes": shard.bytes,
        "header": header,
        "damaged": shard.damaged(),
        "rest_bytes": shard.rest_bytes,
        "problem": shard.problem,
        "frames": frames.collect::<Vec<_>>(),
    })
}

fn verdict_name(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Whole => "whole",
        Verdict::Degraded => "degraded",
        Verdict::Lost => "lost",
    }
}

fn placed_object(object: &str, placement: &Placement) -> Report {
    let mut text = format!(
        "{object}: {} in {} pieces, {}\n",
        bytes(placement.bytes),
        placement.pieces.len(),
        verdict_name(placement.verdict).to_uppercase()
    );
    let mut pieces = Vec::new();
    for piece in &placement.pieces {
        let kind = piece
            .kind
            .map_or_else(|| "unknown".into(), |kind| format!("{kind:?}").to_lowercase());
        text.push_str(&format!(
            "  {} {} at {}, {} in {} stripes of {}+{}: {}\n",
            kind,
            piece.segment,
            piece.offset,
            bytes(piece.bytes),
            piece.stripes,
            piece.data,
            piece.parity,
            verdict_name(piece.verdict)
        ));
        let mut shards = Vec::new();
        for shard in &piece.shards {
            let path = shard.path.as_ref().map(|path| path.display().to_string());
            let verdict = if shard.problem.is_empty() {
                "good"
            } else {
                shard.problem.as_str()
            };
            let place = path.clone().unwrap_or_else(|| format!("drive {}", shard.drive_id));
            text.push_str(&format!("    shard {:>2}  {place}  {verdict}\n", shard.shard));
            shards.push(json!({
                "shard": shard.shard,
                "drive_id": shard.drive_id,
                "drive": path,
                "good_frames": shard.good_frames,
                "problem": shard.problem,
            }));
        }
        pieces.push(json!({
            "segment": piece.segment,
            "kind": kind,
            "offset": piece.offset,
            "bytes": piece.bytes,
            "stripes": piece.stripes,
            "data": piece.data,
            "parity": piece.parity,
            "verdict": verdict_name(piece.verdict),
            "shards": shards,
        }));
    }
    let document = json!({
        "object": object,
        "rev": placement.rev,
        "row_bytes": placement.value_bytes,
        "bytes": placement.bytes,
        "joined": placement.joined,
        "verdict": verdict_name(placement.verdict),
        "pieces": pieces,
    });
    let whole = placement.verdict == Verdict::Whole;
    Report { document, text, whole }
}
