//! `mc find`.

use std::process::Command;

use clap::Args;
use regex::Regex;
use serde_json::json;
use time::OffsetDateTime;

use super::client::ClientError;
use super::output::{Failure, bytes, clock, human, stamp};
use super::place::{Place, Remote, base_name};
use super::remove::Age;
use super::shell::Shell;
use super::walk::{Entry, Walk, folder_key};

/// How long `{url}` lets others in: a week, the longest there is.
const URL_SECONDS: u32 = 604_800;

#[derive(Debug, Args)]
pub(super) struct FindArgs {
    /// Names that fit a pattern with * and ?
    #[arg(long, value_name = "PATTERN", value_parser = wildcard)]
    name: Option<Regex>,
    /// Whole paths that fit a pattern
    #[arg(long, value_name = "PATTERN", value_parser = wildcard)]
    path: Option<Regex>,
    /// Whole paths that fit a regular expression
    #[arg(long, value_name = "REGEX")]
    regex: Option<Regex>,
    /// Not what fits a pattern
    #[arg(long, value_name = "PATTERN", value_parser = wildcard)]
    ignore: Option<Regex>,
    /// Only what is larger, as 64MiB
    #[arg(long, value_name = "SIZE", value_parser = size)]
    larger: Option<u64>,
    /// Only what is smaller, as 64MiB
    #[arg(long, value_name = "SIZE", value_parser = size)]
    smaller: Option<u64>,
    #[command(flatten)]
    age: Age,
    /// Folders of this level, in the place of what is below them
    #[arg(long, value_name = "LEVELS", default_value_t = 0)]
    maxdepth: usize,
    /// What to print: {} {base} {dir} {size} {time} {url}
    #[arg(long, value_name = "FORMAT")]
    print: Option<String>,
    /// Run this for each, without a shell: words with {} {base} {dir} {size} {time} {url} in them
    #[arg(long, value_name = "COMMAND", conflicts_with = "print")]
    exec: Option<String>,
    #[arg(value_name = "TARGET")]
    target: String,
}

/// A pattern in which `*` stands for anything and `?` for one character.
pub(super) fn wildcard(pattern: &str) -> Result<Regex, regex::Error> {
    let text = regex::escape(pattern).replace(r"\*", ".*").replace(r"\?", ".");
    Regex::new(&format!("(?s)^{text}$"))
}

fn size(text: &str) -> Result<u64, String> {
    bytes(text).ok_or_else(|| "not a size such as 64MiB".to_owned())
}

pub(super) async fn run(shell: &Shell, args: FindArgs) -> Result<(), Failure> {
    let failed = |error: ClientError| Failure::fatal(format!("Unable to find in `{}`.", args.target)).because(&error);
    let places = match shell.place(&args.target)? {
        Place::Remote(remote) => {
            let buckets = shell.buckets_of(remote).await.map_err(failed)?;
            buckets.into_iter().map(Place::Remote).collect()
        }
        local @ Place::Local(_) => vec![local],
    };
    let words = match &args.exec {
        Some(command) => Some(split(command).ok_or_else(|| Failure::fatal("A quote in --exec is not closed."))?),
        None => None,
    };
    let now = OffsetDateTime::now_utc();
    for place in &places {
        let mut walk = match place {
            // A prefix need not be a folder here.
            Place::Remote(remote) => Walk::remote(remote, &folder_key(&remote.key), "", true),
            Place::Local(path) => Walk::local(path, true),
        };
        while let Some(entry) = walk.next().await.map_err(failed)? {
            let shown = match place {
                Place::Remote(remote) => remote.shown_key(&entry.full),
                Place::Local(_) => entry.full.clone(),
            };
            if args.wants(&entry, &shown, now) {
                tell(shell, &args, words.as_deref(), (place, &entry, &shown)).map_err(failed)?;
            }
        }
    }
    Ok(())
}

impl FindArgs {
    fn wants(&self, entry: &Entry, shown: &str, now: OffsetDateTime) -> bool {
        let fits = |pattern: &Option<Regex>, text: &str| pattern.as_ref().is_none_or(|pattern| pattern.is_match(text));
        let ignored = self.ignore.as_ref().is_some_and(|pattern| pattern.is_match(shown));
        fits(&self.name, base_name(shown))
            && fits(&self.path, shown)
            && fits(&self.regex, shown)
            && !ignored
            && self.larger.is_none_or(|limit| entry.size > limit)
            && self.smaller.is_none_or(|limit| entry.size < limit)
            && self.age.wants(entry.modified, now)
    }
}

fn tell(
    shell: &Shell,
    args: &FindArgs,
    words: Option<&[String]>,
    (place, entry, shown): (&Place, &Entry, &str),
) -> Result<(), ClientError> {
    let shown = &cut(shown, &args.target, args.maxdepth);
    let url = |format: &str| match place {
        Place::Remote(remote) if format.contains("{url}") => link(remote, &entry.full),
        Place::Remote(_) | Place::Local(_) => Ok(String::new()),
    };
    if let Some([program, arguments @ ..]) = words {
        let mut command = Command::new(program);
        for argument in arguments {
            command.arg(filled(argument, entry, shown, &url(argument)?));
        }
        let status = tokio::task::block_in_place(|| command.status());
        let status = status.map_err(|source| ClientError::File {
            path: program.into(),
            source,
        })?;
        if !status.success() {
            shell.report(&Failure::error(format!(
                "`{program}` for `{shown}` ended with {status}."
            )));
        }
        return Ok(());
    }
    let line = match &args.print {
        Some(format) => filled(format, entry, shown, &url(format)?),
        None => shown.clone(),
    };
    let value = json!({
        "status": "success",
        "type": "",
        "lastModified": stamp(entry.modified),
        "size": entry.size,
        "key": line,
        "etag": "",
    });
    shell.out.say(&value, &line);
    Ok(())
}

fn link(remote: &Remote, key: &str) -> Result<String, ClientError> {
    remote
        .client
        .presign(http::Method::GET, &remote.bucket, key, URL_SECONDS)
}

/// A path with no more levels below the target than this; 0 is no limit.
fn cut(shown: &str, target: &str, levels: usize) -> String {
    if levels == 0 {
        return shown.to_owned();
    }
    let depth = target.trim_end_matches('/').split('/').count() + levels - 1;
    let parts: Vec<&str> = shown.split_inclusive('/').collect();
    parts.get(..depth.min(parts.len())).unwrap_or_default().concat()
}

/// The text with what it names put in. One pass: what is put in is never looked at again.
fn filled(format: &str, entry: &Entry, shown: &str, url: &str) -> String {
    let folder = shown
        .trim_end_matches('/')
        .rsplit_once('/')
        .map_or("", |(folder, _)| folder);
    let mut text = String::new();
    let mut rest = format;
    while let Some((before, behind)) = rest.split_once('{') {
        text.push_str(before);
        let Some((word, after)) = behind.split_once('}') else {
            text.push('{');
            rest = behind;
            continue;
        };
        match word {
            "" => text.push_str(shown),
            "base" => text.push_str(base_name(shown)),
            "dir" => text.push_str(folder),
            "size" => text.push_str(&human(entry.size)),
            "time" => text.push_str(&clock(entry.modified)),
            "url" => text.push_str(url),
            _ => {
                text.push('{');
                rest = behind;
                continue;
            }
        }
        rest = after;
    }
    text.push_str(rest);
    text
}

/// Words as a shell would split them by blanks and quotes; nothing else is special. `None` when a quote is open.
fn split(command: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote: Option<char> = None;
    for character in command.chars() {
        match (quote, character) {
            (Some(open), _) if open == character => quote = None,
            (None, '"' | '\'') => {
                quote = Some(character);
                word.get_or_insert_default();
            }
            (None, ' ' | '\t') => words.extend(word.take()),
            (Some(_) | None, _) => word.get_or_insert_default().push(character),
        }
    }
    words.extend(word);
    quote.is_none().then_some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry() -> Entry {
        Entry {
            name: "x".into(),
            full: "x".into(),
            folder: false,
            size: 3000,
            modified: Some(OffsetDateTime::UNIX_EPOCH),
            etag: String::new(),
            storage_class: String::new(),
        }
    }

    #[test]
    fn a_pattern_is_not_a_regular_expression() {
        let fits = |pattern: &str, text: &str| wildcard(pattern).unwrap().is_match(text);
        assert!(fits("*.md", "a.md") && !fits("*.md", "amd") && !fits("*.md", "a.md5"));
        assert!(fits("a?c", "abc") && !fits("a?c", "ac") && fits("*/a/*", "x/a/b/c") && fits("[x]", "[x]"));
    }

    #[test]
    fn formats_are_filled_once() {
        let filled = |format| filled(format, &entry(), "st/b/{base}", "u");
        assert_eq!(filled("{} {base} {dir} {size}"), "st/b/{base} {base} st/b 2.9 KiB");
        assert_eq!(filled("{url}{nothing}{{}{"), "u{nothing}{st/b/{base}{");
        assert_eq!(cut("st/b/d/e", "st/b", 2), "st/b/d/");
        assert_eq!(cut("st/b/d/e", "st/b", 0), "st/b/d/e");
    }

    #[test]
    fn a_command_is_split_like_a_shell_does() {
        assert_eq!(
            split(r#"echo  "a b"'c' """#),
            Some(vec!["echo".into(), "a bc".into(), String::new()])
        );
        assert_eq!(split("echo 'a"), None);
    }
}
