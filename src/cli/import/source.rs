//! Which files there are to bring: what is below a folder, or what a list names.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};
use std::time::UNIX_EPOCH;

use storage_engine::store::record::labels::Visibility;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::item::{Item, Owner, Place};
use super::shapes::{Shape, convex_rows};
use super::{ImportArgs, Source, rows};
use crate::media::FileName;

/// A file to bring, or one that is named and cannot be: by what name, and why.
pub(super) type Found = Result<Item, (String, String)>;

/// Everything there is, in the order it is found.
pub(super) fn items(args: &ImportArgs) -> Result<Vec<Found>, String> {
    let mut found = match args.from {
        Source::Folder => folder(&args.source)?,
        Source::Convex => {
            let (folder, rows) = convex_rows(&args.source)?;
            let shape = Shape::new(args, folder);
            rows.iter().enumerate().map(|(at, row)| shape.item(at, row)).collect()
        }
        Source::Manifest | Source::Bkend | Source::Supabase => {
            // What stands in no folder stands in this one.
            let beside = args.source.parent().filter(|folder| !folder.as_os_str().is_empty());
            let beside = beside.unwrap_or(Path::new("."));
            let folder = args.files.clone().unwrap_or_else(|| beside.to_path_buf());
            let shape = Shape::new(args, folder);
            let rows = rows::read(&args.source)?;
            rows.iter().enumerate().map(|(at, row)| shape.item(at, row)).collect()
        }
    };
    let mut seen = BTreeSet::new();
    for found in &mut found {
        let Ok(item) = found else { continue };
        if !seen.insert(item.id.clone()) {
            let why = "another file has the same id; only the first is brought".to_owned();
            *found = Err((item.id.clone(), why));
            continue;
        }
        if let Err(why) = settle(item, args) {
            *found = Err((item.id.clone(), why));
        }
    }
    Ok(found)
}

/// What the command line says of files that say nothing themselves; and what no server would take is told here, so that a
/// rehearsal tells it, too.
fn settle(item: &mut Item, args: &ImportArgs) -> Result<(), String> {
    let or = |own: &mut Option<String>, given: &Option<String>| {
        if own.is_none() {
            own.clone_from(given);
        }
    };
    or(&mut item.visibility, &args.visibility);
    or(&mut item.bucket, &args.bucket);
    FileName::parse(&item.name).map_err(|error| error.to_string())?;
    if let Some(level) = &item.visibility
        && Visibility::parse(level).is_none()
    {
        return Err(format!(
            "its visibility '{level}' is none of public, private, protected and shared"
        ));
    }
    if args.no_owners {
        item.owner = None;
        return Ok(());
    }
    if item.owner.is_none() {
        let given = args.owner.clone().zip(args.issuer.clone());
        item.owner = given.map(|(subject, issuer)| Owner { subject, issuer });
    }
    match &item.owner {
        Some(owner) if owner.issuer.is_empty() => Err(format!(
            "it is {}'s; say with --issuer who knows them, or --no-owners",
            owner.subject
        )),
        Some(_) | None => Ok(()),
    }
}

/// Every file below a folder. What is a link is not followed: it may lead anywhere.
fn folder(root: &Path) -> Result<Vec<Found>, String> {
    let named = |path: &Path, error: std::io::Error| format!("{}: {error}", path.display());
    let (mut found, mut folders) = (Vec::new(), vec![root.to_path_buf()]);
    while let Some(folder) = folders.pop() {
        let entries = std::fs::read_dir(&folder).map_err(|error| named(&folder, error))?;
        let mut entries: Vec<_> = entries
            .collect::<Result<_, _>>()
            .map_err(|error| named(&folder, error))?;
        entries.sort_by_key(std::fs::DirEntry::file_name);
        let mut below = Vec::new();
        for entry in entries {
            let path = entry.path();
            let kind = entry.file_type().map_err(|error| named(&path, error))?;
            if kind.is_dir() {
                below.push(path);
            } else if kind.is_file() {
                found.push(below_root(root, &path));
            }
        }
        folders.extend(below.into_iter().rev());
    }
    Ok(found)
}

fn below_root(root: &Path, path: &Path) -> Found {
    let relative = path.strip_prefix(root).unwrap_or(path);
    let parts: Vec<_> = relative
        .components()
        .map(|part| part.as_os_str().to_string_lossy())
        .collect();
    let id = parts.join("/");
    let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
        return Err((id, "its name is no text (UTF-8)".to_owned()));
    };
    let mut item = Item::new(id, Place::File(path.to_path_buf()), name.to_owned());
    item.created = path
        .metadata()
        .ok()
        .and_then(|about| about.modified().ok())
        .and_then(|time| {
            let since = time.duration_since(UNIX_EPOCH).ok()?;
            let time = OffsetDateTime::from_unix_timestamp(i64::try_from(since.as_secs()).ok()?).ok()?;
            time.format(&Rfc3339).ok()
        });
    Ok(item)
}

/// A file that a list names, which must be in `folder`: a list that somebody else made leads nowhere else.
pub(super) fn inside(folder: &Path, named: &str) -> Result<PathBuf, String> {
    let relative = Path::new(named);
    let plain = relative
        .components()
        .all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    let outside = || format!("'{named}' leads out of {}", folder.display());
    if !plain || named.is_empty() {
        return Err(outside());
    }
    let path = folder.join(relative);
    let missing = |error: std::io::Error| format!("{}: {error}", path.display());
    let real = path.canonicalize().map_err(missing)?;
    let folder = folder.canonicalize().map_err(missing)?;
    match real.starts_with(&folder) {
        true => Ok(real),
        false => Err(outside()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_leads_nowhere_but_into_its_folder() {
        let ground = tempfile::tempdir().unwrap();
        let folder = ground.path().join("files");
        std::fs::create_dir_all(folder.join("a")).unwrap();
        std::fs::write(folder.join("a/b.txt"), "b").unwrap();
        std::fs::write(ground.path().join("secret"), "s").unwrap();
        std::os::unix::fs::symlink(ground.path().join("secret"), folder.join("link")).unwrap();
        assert!(inside(&folder, "a/b.txt").unwrap().ends_with("files/a/b.txt"));
        assert!(inside(&folder, "./a/b.txt").is_ok());
        let absolute = ground.path().join("secret").display().to_string();
        for wrong in ["../secret", "a/../../secret", "link", "", &absolute] {
            assert!(inside(&folder, wrong).unwrap_err().contains("leads out"), "{wrong}");
        }
        assert!(inside(&folder, "a/none").unwrap_err().contains("none"));
    }
}
