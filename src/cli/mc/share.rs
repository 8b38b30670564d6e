//! `mc share`: links and forms that let others in for a while, and the list of those that were made here.

use clap::{Args, Subcommand, ValueEnum};
use http::Method;
use serde_json::{Map, Value, json};
use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime};

use super::alias::replace;
use super::client::ClientError;
use super::output::{Failure, seconds};
use super::place::Remote;
use super::shell::Shell;
use super::walk::{Walk, folder_key};

/// The longest a signature may be good for.
const SECONDS_MAX: u64 = 604_800;

#[derive(Debug, Subcommand)]
pub(super) enum ShareVerb {
    /// Links to download by
    Download(DownloadArgs),
    /// Commands to upload by
    Upload(UploadArgs),
    /// Show what was shared from here and is still good
    #[command(visible_alias = "ls")]
    List {
        #[arg(value_name = "KIND")]
        kind: Kind,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Kind {
    Download,
    Upload,
}

impl Kind {
    fn file(self) -> &'static str {
        match self {
            Self::Download => "share/downloads.json",
            Self::Upload => "share/uploads.json",
        }
    }
}

#[derive(Debug, Args)]
pub(super) struct DownloadArgs {
    /// Everything below
    #[arg(long, short)]
    recursive: bool,
    /// Good for so long, at most 168h
    #[arg(long, short = 'E', value_name = "SPAN", default_value = "168h", value_parser = span)]
    expire: u32,
    #[arg(value_name = "TARGET", required = true)]
    targets: Vec<String>,
}

#[derive(Debug, Args)]
pub(super) struct UploadArgs {
    /// Any name below a prefix
    #[arg(long, short)]
    recursive: bool,
    /// Good for so long, at most 168h
    #[arg(long, short = 'E', value_name = "SPAN", default_value = "168h", value_parser = span)]
    expire: u32,
    /// Only this type
    #[arg(long, short = 'T', value_name = "TYPE")]
    content_type: Option<String>,
    #[arg(value_name = "TARGET", required = true)]
    targets: Vec<String>,
}

fn span(text: &str) -> Result<u32, String> {
    let seconds = seconds(text).filter(|seconds| (1..=SECONDS_MAX).contains(seconds));
    let seconds = seconds.and_then(|seconds| u32::try_from(seconds).ok());
    seconds.ok_or_else(|| "not a span such as 12h30m, of a second to seven days".to_owned())
}

pub(super) async fn run(shell: &Shell, verb: ShareVerb) -> Result<(), Failure> {
    match verb {
        ShareVerb::Download(args) => download(shell, &args).await,
        ShareVerb::Upload(args) => upload(shell, &args),
        ShareVerb::List { kind } => list(shell, kind),
    }
}

/// One thing that was shared.
struct Shared {
    url: String,
    share: String,
    seconds: u32,
    content_type: Option<String>,
}

async fn download(shell: &Shell, args: &DownloadArgs) -> Result<(), Failure> {
    let mut shared = Vec::new();
    for target in &args.targets {
        let remote = shell.bucket(target)?;
        let failed = |error: ClientError| Failure::fatal(format!("Unable to share target `{target}`.")).because(&error);
        for key in keys(args, &remote).await.map_err(failed)? {
            let link = remote
                .client
                .presign(Method::GET, &remote.bucket, &key, args.expire)
                .map_err(failed)?;
            shared.push(Shared {
                url: remote.client.url_of(&remote.bucket, &key),
                share: link,
                seconds: args.expire,
                content_type: None,
            });
        }
    }
    keep(shell, Kind::Download, &shared)?;
    shared
        .iter()
        .for_each(|shared| say(shell, shared, Duration::seconds(i64::from(shared.seconds))));
    Ok(())
}

/// The keys to share: the one named, which must be there, or those below it.
async fn keys(args: &DownloadArgs, remote: &Remote) -> Result<Vec<String>, ClientError> {
    if !args.recursive && !remote.is_folder_by_name() {
        remote.client.stat(&remote.bucket, &remote.key).await?;
        return Ok(vec![remote.key.clone()]);
    }
    let mut walk = Walk::remote(remote, &folder_key(&remote.key), "", args.recursive);
    let mut keys = Vec::new();
    while let Some(entry) = walk.next().await? {
        keys.extend((!entry.folder).then_some(entry.full));
    }
    Ok(keys)
}

fn upload(shell: &Shell, args: &UploadArgs) -> Result<(), Failure> {
    let mut shared = Vec::new();
    for target in &args.targets {
        let remote = shell.bucket(target)?;
        if remote.is_folder_by_name() && !args.recursive {
            return Err(Failure::fatal(
                "Use --recursive flag to generate curl command for prefixes.",
            ));
        }
        let content_type = args.content_type.as_deref();
        let form = remote
            .client
            .post_form((&remote.bucket, &remote.key), args.recursive, content_type, args.expire);
        let form =
            form.map_err(|error| Failure::fatal(format!("Unable to share target `{target}`.")).because(&error))?;
        let fields = form
            .fields
            .iter()
            .map(|(name, value)| format!("-F {}", quoted(&format!("{name}={value}"))));
        let fields: Vec<String> = fields.collect();
        shared.push(Shared {
            url: remote.client.url_of(&remote.bucket, &remote.key),
            share: format!("curl {} {} -F file=@<FILE>", quoted(&form.url), fields.join(" ")),
            seconds: args.expire,
            content_type: args.content_type.clone(),
        });
    }
    keep(shell, Kind::Upload, &shared)?;
    shared
        .iter()
        .for_each(|shared| say(shell, shared, Duration::seconds(i64::from(shared.seconds))));
    Ok(())
}

/// As a shell reads it: quoted where it would see more than a word.
fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=+@%,".contains(c);
    if text.chars().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

fn say(shell: &Shell, shared: &Shared, left: Duration) {
    let nanoseconds = i64::try_from(left.whole_nanoseconds()).unwrap_or(i64::MAX);
    let mut value = json!({ "status": "success", "url": shared.url, "share": shared.share, "timeLeft": nanoseconds });
    if let (Some(fields), Some(kind)) = (value.as_object_mut(), &shared.content_type) {
        fields.insert("contentType".into(), json!(kind));
    }
    let text = format!(
        "URL: {}\nExpire: {}\nShare: {}\n",
        shared.url,
        spelled(left),
        shared.share
    );
    shell.out.say(&value, &text);
}

/// `6 days 23 hours 59 minutes 59 seconds`, from the largest part that is there on.
fn spelled(left: Duration) -> String {
    let total = left.whole_seconds().max(0);
    let parts = [
        (total / 86_400, "days"),
        (total / 3_600 % 24, "hours"),
        (total / 60 % 60, "minutes"),
        (total % 60, "seconds"),
    ];
    let from = parts.iter().position(|(count, _)| *count > 0).unwrap_or(3);
    let parts: Vec<String> = parts
        .iter()
        .skip(from)
        .map(|(count, unit)| format!("{count} {unit}"))
        .collect();
    parts.join(" ")
}

/// What is in the file of shares, without what is over.
fn kept(shell: &Shell, kind: Kind) -> Result<Map<String, Value>, Failure> {
    let file = shell.config_dir()?.join(kind.file());
    let text = match std::fs::read_to_string(&file) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Map::new()),
        Err(error) => {
            return Err(Failure::fatal(format!("Unable to read `{}`.", file.display())).because(&error.into()));
        }
    };
    let document: Value = serde_json::from_str(&text).unwrap_or_default();
    let shares = document
        .get("shares")
        .and_then(Value::as_object)
        .cloned()
        .unwrap_or_default();
    let now = OffsetDateTime::now_utc();
    Ok(shares
        .into_iter()
        .filter(|(_, entry)| left(entry, now).is_positive())
        .collect())
}

fn left(entry: &Value, now: OffsetDateTime) -> Duration {
    let made = entry.get("date").and_then(Value::as_str).unwrap_or_default();
    let expiry = entry.get("expiry").and_then(Value::as_i64).unwrap_or_default();
    match OffsetDateTime::parse(made, &Rfc3339) {
        Ok(made) => made + Duration::nanoseconds(expiry) - now,
        Err(_) => Duration::ZERO,
    }
}

fn keep(shell: &Shell, kind: Kind, shared: &[Shared]) -> Result<(), Failure> {
    let mut shares = kept(shell, kind)?;
    let now = OffsetDateTime::now_utc().format(&Rfc3339).unwrap_or_default();
    for shared in shared {
        let mut entry = json!({
            "share": shared.url,
            "versionID": "",
            "date": now,
            "expiry": i64::from(shared.seconds) * 1_000_000_000,
        });
        if let (Some(fields), Some(kind)) = (entry.as_object_mut(), &shared.content_type) {
            fields.insert("contentType".into(), json!(kind));
        }
        shares.insert(shared.share.clone(), entry);
    }
    let file = shell.config_dir()?.join(kind.file());
    let document = json!({ "version": "1", "shares": shares });
    // Links are as good as keys: the file is its owner's alone.
    replace(&file, &format!("{document:#}\n"))
        .map_err(|error| Failure::fatal(format!("Unable to write `{}`.", file.display())).because(&error.into()))
}

fn list(shell: &Shell, kind: Kind) -> Result<(), Failure> {
    let now = OffsetDateTime::now_utc();
    for (share, entry) in kept(shell, kind)? {
        let text = |name: &str| entry.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let shared = Shared {
            url: text("share"),
            share,
            seconds: 0,
            content_type: Some(text("contentType")).filter(|kind| !kind.is_empty()),
        };
        say(shell, &shared, left(&entry, now));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_spelled_and_bounded() {
        assert_eq!(spelled(Duration::seconds(3_600)), "1 hours 0 minutes 0 seconds");
        assert_eq!(spelled(Duration::seconds(59)), "59 seconds");
        assert_eq!((span("168h"), span("1m")), (Ok(604_800), Ok(60)));
        assert!(span("169h").is_err() && span("0s").is_err() && span("x").is_err());
    }

    #[test]
    fn a_key_with_a_shells_signs_in_it_stays_one_word() {
        assert_eq!(quoted("key=a/b"), "key=a/b");
        assert_eq!(quoted("key=a b;rm '$x'"), r"'key=a b;rm '\''$x'\'''");
        assert_eq!(quoted("key=up/<NAME>"), "'key=up/<NAME>'");
    }
}
