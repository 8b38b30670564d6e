//! `drystone visibility`: who may read an object or put it without a policy, asked of and told to a running server.
//!
//! It reads the command line and prints; what a change means is the server's to say.

use std::time::Duration;

use clap::{Args, Subcommand};
use http::Method;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::admin::Request;
use crate::admin::visibility::{
    BucketChange, BucketReport, NewShare, ObjectChange, ObjectReport, ShareReport, SharesReport,
};

/// What to do about visibility.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum VisibilityVerb {
    /// How open a bucket or an object is
    Get {
        #[arg(value_name = "BUCKET[/KEY]")]
        target: String,
    },
    /// Make an object public, private, protected or shared, or that of a bucket's objects which name nothing themselves
    Set {
        #[arg(value_name = "BUCKET[/KEY]")]
        target: String,
        /// public: everybody reads it; protected: everybody who is signed in; private: its owner; shared: its owner and
        /// whom it is shared with; default (objects only): as its bucket says
        #[arg(value_name = "LEVEL", required_unless_present = "anonymous")]
        level: Option<String>,
        /// What everybody may do in a bucket, or below BUCKET/PREFIX, written into the bucket policy as `mc anonymous` does:
        /// none, download, upload or public
        #[arg(long, value_name = "ACCESS", conflicts_with = "level")]
        anonymous: Option<String>,
    },
    /// Whom an object is shared with
    #[command(subcommand)]
    Share(ShareVerb),
}

/// What to do about shares.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum ShareVerb {
    /// Share an object; it becomes `shared` by that
    Add(ShareAdd),
    /// Whom it is shared with
    #[command(visible_alias = "ls")]
    List {
        #[arg(value_name = "BUCKET/KEY")]
        target: String,
    },
    /// Take a share back, at once
    #[command(visible_alias = "rm")]
    Remove {
        #[arg(value_name = "BUCKET/KEY")]
        target: String,
        /// As `share list` shows it
        #[arg(value_name = "SHARE")]
        share: String,
    },
}

/// A share to make.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct ShareAdd {
    #[arg(value_name = "BUCKET/KEY")]
    target: String,
    #[command(flatten)]
    with: With,
    /// They may put other bytes in its place, too
    #[arg(long)]
    write: bool,
    /// When it ends: in 30m, 12h, 7d, or at 2030-01-31T12:00:00Z
    #[arg(long, value_name = "TIME")]
    expires: Option<String>,
    /// What to call it
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Args)]
#[group(required = true, multiple = false)]
struct With {
    /// With a user of this store
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// With the members of a group of this store
    #[arg(long, value_name = "NAME")]
    group: Option<String>,
    /// With whom an identity provider vouches to have this address
    #[arg(long, value_name = "ADDRESS")]
    email: Option<String>,
    /// With whoever has the link that is printed, this once
    #[arg(long)]
    link: bool,
}

/// Asks the server once; the error is what to tell the operator.
pub type Ask<'a> = &'a dyn Fn(Request) -> Result<Vec<u8>, String>;

/// Carries out a verb, and gives the text to print.
pub fn answer(verb: &VisibilityVerb, json: bool, now: OffsetDateTime, ask: Ask<'_>) -> Result<String, String> {
    match verb {
        VisibilityVerb::Get { target } => match split(target)? {
            (bucket, None) => shown(ask(question(Method::GET, &of_bucket(bucket), &())?)?, json, bucket_text),
            (bucket, Some(key)) => {
                let request = question(Method::GET, &of_object("object", bucket, key), &())?;
                shown(ask(request)?, json, object_text)
            }
        },
        VisibilityVerb::Set {
            target,
            level,
            anonymous,
        } => set(target, level.as_deref(), anonymous.as_deref(), json, ask),
        VisibilityVerb::Share(ShareVerb::Add(add)) => {
            let (bucket, key) = object(&add.target)?;
            let request = question(Method::POST, &of_object("shares", bucket, key), &new_share(add, now)?)?;
            shown(ask(request)?, json, added_text)
        }
        VisibilityVerb::Share(ShareVerb::List { target }) => {
            let (bucket, key) = object(target)?;
            let request = question(Method::GET, &of_object("shares", bucket, key), &())?;
            shown(ask(request)?, json, shares_text)
        }
        VisibilityVerb::Share(ShareVerb::Remove { target, share }) => {
            let (bucket, key) = object(target)?;
            let path = format!("{}&share={}", of_object("shares", bucket, key), written(share));
            shown(ask(question(Method::DELETE, &path, &())?)?, json, shares_text)
        }
    }
}

fn set(target: &str, level: Option<&str>, anonymous: Option<&str>, json: bool, ask: Ask<'_>) -> Result<String, String> {
    match (split(target)?, level, anonymous) {
        ((bucket, Some(key)), Some(level), _) => {
            let change = ObjectChange {
                visibility: level.to_owned(),
            };
            let request = question(Method::PUT, &of_object("object", bucket, key), &change)?;
            shown(ask(request)?, json, object_text)
        }
        ((bucket, prefix), level, anonymous) => {
            let change = BucketChange {
                visibility: level.map(str::to_owned),
                anonymous: anonymous.map(str::to_owned),
                prefix: prefix.unwrap_or_default().to_owned(),
            };
            let request = question(Method::PUT, &of_bucket(bucket), &change)?;
            shown(ask(request)?, json, bucket_text)
        }
    }
}

/// Bucket, and key if one is named.
fn split(target: &str) -> Result<(&str, Option<&str>), String> {
    let (bucket, key) = target.split_once('/').unwrap_or((target, ""));
    match bucket {
        "" => Err(format!("'{target}' names no bucket; write BUCKET or BUCKET/KEY")),
        bucket => Ok((bucket, Some(key).filter(|key| !key.is_empty()))),
    }
}

fn object(target: &str) -> Result<(&str, &str), String> {
    match split(target)? {
        (bucket, Some(key)) => Ok((bucket, key)),
        (_, None) => Err(format!(
            "'{target}' names no object; write BUCKET/KEY, since objects are shared one by one"
        )),
    }
}

pub(super) fn written(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

fn of_bucket(bucket: &str) -> String {
    format!("/v1/admin/visibility/bucket?bucket={}", written(bucket))
}

fn of_object(what: &str, bucket: &str, key: &str) -> String {
    format!(
        "/v1/admin/visibility/{what}?bucket={}&key={}",
        written(bucket),
        written(key)
    )
}

pub(super) fn question<T: Serialize>(method: Method, path: &str, document: &T) -> Result<Request, String> {
    let body = match method {
        Method::PUT | Method::POST => serde_json::to_vec(document).map_err(|error| error.to_string())?,
        _ => Vec::new(),
    };
    Ok(Request {
        method,
        path: path.to_owned(),
        body,
    })
}

fn new_share(add: &ShareAdd, now: OffsetDateTime) -> Result<NewShare, String> {
    let With {
        user,
        group,
        email,
        link: _,
    } = &add.with;
    let (kind, id) = match (user, group, email) {
        (Some(name), _, _) => ("user", name.as_str()),
        (_, Some(name), _) => ("group", name.as_str()),
        (_, _, Some(address)) => ("email", address.as_str()),
        (None, None, None) => ("link", ""),
    };
    Ok(NewShare {
        kind: kind.to_owned(),
        id: id.to_owned(),
        access: if add.write { "write" } else { "read" }.to_owned(),
        expires: add.expires.as_deref().map(|text| ends(text, now)).transpose()?,
        name: add.name.clone(),
    })
}

/// A time, given as such or as how long from now, as RFC 3339 writes it.
pub(super) fn ends(text: &str, now: OffsetDateTime) -> Result<String, String> {
    let unclear = || format!("'{text}' is no time; write 30m, 12h, 7d, or 2030-01-31T12:00:00Z");
    if let Ok(time) = OffsetDateTime::parse(text, &Rfc3339) {
        return time.format(&Rfc3339).map_err(|_| unclear());
    }
    let unit = text.chars().last().ok_or_else(unclear)?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        _ => return Err(unclear()),
    };
    let count: u64 = text.trim_end_matches(unit).parse().map_err(|_| unclear())?;
    let after = Duration::from_secs(count.checked_mul(seconds).ok_or_else(unclear)?);
    let after = time::Duration::try_from(after).map_err(|_| unclear())?;
    let time = now.checked_add(after).ok_or_else(unclear)?;
    time.format(&Rfc3339).map_err(|_| unclear())
}

pub(super) fn shown<T: DeserializeOwned + Serialize>(
    body: Vec<u8>,
    json: bool,
    text: fn(&T) -> String,
) -> Result<String, String> {
    let report: T = serde_json::from_slice(&body).map_err(|error| format!("the answer is no Drystone's: {error}"))?;
    if json {
        let line = serde_json::to_string(&report).map_err(|error| error.to_string())?;
        return Ok(line + "\n");
    }
    Ok(text(&report))
}

fn bucket_text(report: &BucketReport) -> String {
    let mut text = format!(
        "{}\n  Objects that name nothing themselves are {}\n  Everybody may, by its policy: {}\n  ACL of the bucket itself: {}\n",
        report.bucket, report.visibility, report.anonymous, report.acl
    );
    for prefix in &report.prefixes {
        text.push_str(&format!(
            "  Everybody may, below {}: {}\n",
            prefix.prefix, prefix.anonymous
        ));
    }
    if report.ignores_public {
        text.push_str("  What is public or protected COUNTS AS PRIVATE (public access block, or object ownership)\n");
    }
    text
}

fn object_text(report: &ObjectReport) -> String {
    let from = if report.inherited { ", as its bucket says" } else { "" };
    format!(
        "{}/{}\n  It is {}{from}; its owner is {}\n  Everybody may, by the bucket's policy: {}\n  Shares: {}\n",
        report.bucket, report.key, report.visibility, report.owner, report.anonymous, report.shares
    )
}

fn line(share: &ShareReport) -> String {
    let with = match share.kind.as_str() {
        "link" => "whoever has the link".to_owned(),
        kind => format!("{kind} {}", share.id),
    };
    let until = match (&share.expires, share.ended) {
        (None, _) => String::new(),
        (Some(time), false) => format!(", until {time}"),
        (Some(time), true) => format!(", ENDED {time}"),
    };
    let name = share
        .name
        .as_ref()
        .map(|name| format!("  \"{name}\""))
        .unwrap_or_default();
    format!("  {}  {with} may {}{until}{name}\n", share.share, share.access)
}

fn added_text(share: &ShareReport) -> String {
    let mut text = line(share);
    if let Some(link) = &share.link {
        text.push_str(&format!(
            "{link}\nThe link is told this once; nobody can show it again.\n"
        ));
    }
    text
}

fn shares_text(report: &SharesReport) -> String {
    let mut text = format!("{}/{}", report.bucket, report.key);
    text.push_str(match (report.shares.is_empty(), report.counting) {
        (true, _) => " is shared with nobody\n",
        (false, true) => "\n",
        (false, false) => ": its visibility is not shared, so these do NOT COUNT\n",
    });
    text.extend(report.shares.iter().map(line));
    text
}

#[cfg(test)]
mod tests {
    use parking_lot::Mutex;
    use time::macros::datetime;

    use super::*;

    const NOW: OffsetDateTime = datetime!(2030-01-01 0:00 UTC);

    fn share() -> ShareReport {
        ShareReport {
            share: "0123456789abcdef".into(),
            kind: "link".into(),
            id: String::new(),
            access: "read".into(),
            made: "2030-01-01T00:00:00Z".into(),
            expires: Some("2030-01-08T00:00:00Z".into()),
            name: Some("for the press".into()),
            ended: false,
            link: Some("http://h/b/k?drystone-share=token".into()),
        }
    }

    #[test]
    fn times_are_read_as_people_write_them() {
        for (text, expected) in [
            ("90s", "2030-01-01T00:01:30Z"),
            ("30m", "2030-01-01T00:30:00Z"),
            ("12h", "2030-01-01T12:00:00Z"),
            ("7d", "2030-01-08T00:00:00Z"),
            ("2031-02-03T04:05:06Z", "2031-02-03T04:05:06Z"),
        ] {
            assert_eq!(ends(text, NOW).as_deref(), Ok(expected));
        }
        for text in [
            "",
            "d",
            "7",
            "7w",
            "-1d",
            "99999999999999999999d",
            "18446744073709551615d",
            "tomorrow",
        ] {
            assert!(ends(text, NOW).unwrap_err().contains("7d"), "{text}");
        }
    }

    #[test]
    fn a_share_is_asked_for_and_its_link_is_told() {
        let asked = Mutex::new(None);
        let ask = |request: Request| {
            *asked.lock() = Some((request.method, request.path, String::from_utf8(request.body).unwrap()));
            Ok(serde_json::to_vec(&share()).unwrap())
        };
        let add = ShareAdd {
            target: "b/a key/ü".into(),
            with: With {
                user: None,
                group: None,
                email: None,
                link: true,
            },
            write: false,
            expires: Some("7d".into()),
            name: None,
        };
        let verb = VisibilityVerb::Share(ShareVerb::Add(add));
        let text = answer(&verb, false, NOW, &ask).unwrap();
        assert!(
            text.contains("may read, until 2030-01-08T00:00:00Z") && text.contains("drystone-share=token"),
            "{text}"
        );
        let expected = (
            Method::POST,
            "/v1/admin/visibility/shares?bucket=b&key=a%20key%2F%C3%BC".to_owned(),
            r#"{"type":"link","access":"read","expires":"2030-01-08T00:00:00Z"}"#.to_owned(),
        );
        assert_eq!(asked.lock().take(), Some(expected));
        let json = answer(&verb, true, NOW, &ask).unwrap();
        assert_eq!(serde_json::from_str::<ShareReport>(&json).unwrap(), share());
    }

    #[test]
    fn what_names_nothing_is_refused_before_anything_is_asked() {
        let never = |_: Request| -> Result<Vec<u8>, String> { panic!("something was asked") };
        for target in ["b", "b/"] {
            let verb = VisibilityVerb::Share(ShareVerb::List { target: target.into() });
            assert!(answer(&verb, false, NOW, &never).unwrap_err().contains("BUCKET/KEY"));
        }
        let verb = VisibilityVerb::Get { target: "/k".into() };
        assert!(
            answer(&verb, false, NOW, &never)
                .unwrap_err()
                .contains("names no bucket")
        );
    }

    #[test]
    fn shares_that_do_not_count_are_told_as_such() {
        let report = SharesReport {
            bucket: "b".into(),
            key: "k".into(),
            counting: false,
            shares: vec![ShareReport {
                ended: true,
                kind: "user".into(),
                id: "ann".into(),
                ..share()
            }],
        };
        let text = shares_text(&report);
        assert!(
            text.contains("do NOT COUNT") && text.contains("user ann may read, ENDED"),
            "{text}"
        );
    }
}
