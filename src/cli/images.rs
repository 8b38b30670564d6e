//! `drystone project images`: what is set on the images of an environment, asked of and told to a running server.
//!
//! It reads the command line and prints; what a preset or a host may be is the server's to say.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use http::Method;

use super::admin::Request;
use super::projects::{of_project, secret, split};
use super::visibility::{question, written};
use crate::admin::projects::{ImagesAsked, ImagesReport};

const IMAGES: &str = "/v1/admin/projects/images";
const ON: &str = "on";
const OFF: &str = "off";

/// What to do about the images of an environment.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum ImagesVerb {
    /// What is set; of the signing key no more than that there is one
    Show {
        #[arg(value_name = "PROJECT/ENV")]
        environment: String,
    },
    /// Set what is named; what is left out stays
    Set(Box<ImagesSet>),
}

/// What to set.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct ImagesSet {
    #[arg(value_name = "PROJECT/ENV")]
    environment: String,
    #[command(flatten)]
    named: Named,
}

#[derive(Clone, Debug, PartialEq, Eq, Args)]
#[group(required = true, multiple = true)]
struct Named {
    /// Make a new key that signs URLs, and print it this once; what the old one signed is signed no more
    #[arg(long, conflicts_with = "signing_key_file")]
    new_signing_key: bool,
    /// File with a key of your own that signs URLs, 16 to 512 bytes: that of an image server which is there already
    #[arg(long, value_name = "FILE")]
    signing_key_file: Option<PathBuf>,
    /// Whether URLs that are neither signed nor of a preset are refused: on or off
    #[arg(long, value_name = "WHETHER", value_parser = [ON, OFF])]
    signed_only: Option<String>,
    /// Options under a name, such as card=fit-in/400x300; may be repeated. They take the place of all presets
    #[arg(long = "preset", value_name = "NAME=OPTIONS", conflicts_with = "no_presets")]
    presets: Vec<String>,
    /// There are no presets
    #[arg(long)]
    no_presets: bool,
    /// How many different images of one file URLs without signature may have made in an hour
    #[arg(long, value_name = "COUNT")]
    unsigned_per_hour: Option<u32>,
    /// What is chosen by itself for browsers that take it: avif or webp; may be repeated. They take the place of all
    #[arg(long = "auto-format", value_name = "FORMAT", conflicts_with = "no_auto_formats")]
    auto_formats: Vec<String>,
    /// Nothing is chosen by itself
    #[arg(long)]
    no_auto_formats: bool,
    /// Name of a host that serves these images and nothing else; may be repeated. They take the place of all
    #[arg(long = "host", value_name = "NAME", conflicts_with = "no_hosts")]
    hosts: Vec<String>,
    /// No host of their own serves them
    #[arg(long)]
    no_hosts: bool,
}

/// What a verb asks the server.
pub(super) fn request(verb: &ImagesVerb) -> Result<Request, String> {
    match verb {
        ImagesVerb::Show { environment } => {
            let (project, environment) = split(environment)?;
            let of = format!("&environment={}", written(environment));
            question(Method::GET, &(of_project(IMAGES, project) + &of), &())
        }
        ImagesVerb::Set(set) => question(Method::PUT, IMAGES, &asked(set)?),
    }
}

fn asked(set: &ImagesSet) -> Result<ImagesAsked, String> {
    let (project, environment) = split(&set.environment)?;
    let named = &set.named;
    let presets = named.presets.iter().map(|preset| pair(preset));
    let presets: BTreeMap<String, String> = presets.collect::<Result<_, _>>()?;
    if presets.len() < named.presets.len() {
        return Err("a preset is named twice".to_owned());
    }
    Ok(ImagesAsked {
        project: project.to_owned(),
        environment: environment.to_owned(),
        new_signing_key: named.new_signing_key,
        signing_key: named.signing_key_file.as_ref().map(secret).transpose()?,
        signed_only: named.signed_only.as_deref().map(|whether| whether == ON),
        presets: (named.no_presets || !presets.is_empty()).then_some(presets),
        unsigned_variants_per_hour: named.unsigned_per_hour,
        auto_formats: all(&named.auto_formats, named.no_auto_formats),
        hosts: all(&named.hosts, named.no_hosts),
    })
}

/// Those that are named, or that there are none; `None`: as they were.
fn all(named: &[String], none: bool) -> Option<Vec<String>> {
    (none || !named.is_empty()).then(|| named.to_vec())
}

fn pair(preset: &str) -> Result<(String, String), String> {
    let both = preset.split_once('=').filter(|(name, _)| !name.is_empty());
    let (name, options) = both.ok_or_else(|| format!("'{preset}' is no preset; write NAME=OPTIONS"))?;
    Ok((name.to_owned(), options.to_owned()))
}

pub(super) fn text(report: &ImagesReport) -> String {
    let or_none = |names: &[String]| match names {
        [] => "none".to_owned(),
        names => names.join(" "),
    };
    let signs = match (report.has_signing_key, report.signed_only) {
        (true, true) => "there is one; URLs that are neither signed nor of a preset are refused",
        (true, false) => "there is one",
        (false, true) => "none; URLs that are not of a preset are refused",
        (false, false) => "none",
    };
    let mut text = format!(
        "{}/{}\n  signing key: {signs}\n  unsigned: {} different images of a file in an hour\n  auto formats: {}\n  hosts: {}\n",
        report.project,
        report.environment,
        report.unsigned_variants_per_hour,
        or_none(&report.auto_formats),
        or_none(&report.hosts)
    );
    let presets = report.presets.iter();
    text.extend(presets.map(|(name, options)| format!("  preset {name}: {options}\n")));
    if let Some(key) = &report.signing_key {
        text.push_str(&format!(
            "{key}\nThe key is told this once; nobody can show it again.\n"
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use serde_json::{Value, json};

    use super::super::args::{Command, parse};
    use super::super::projects::{AppVerb, ProjectVerb};
    use super::*;

    fn verb(line: &str) -> Result<ImagesVerb, clap::Error> {
        match parse(line.split_whitespace().map(std::ffi::OsString::from).collect())? {
            Command::Apps(command) => match command.verb {
                AppVerb::Project(ProjectVerb::Images(verb)) => Ok(verb),
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        }
    }

    /// What a command line asks.
    fn body(line: &str) -> Value {
        let request = request(&verb(line).unwrap()).unwrap();
        assert_eq!((request.method, request.path.as_str()), (Method::PUT, IMAGES));
        serde_json::from_slice(&request.body).unwrap()
    }

    #[test]
    fn what_is_named_is_asked_and_nothing_else() {
        let line = "drystone project images set shop/prod --new-signing-key --signed-only on \
                    --preset card=fit-in/4x3/filters:quality(80) --preset s=1x1 --unsigned-per-hour 5 \
                    --auto-format avif --auto-format webp --host img.a.test";
        let expected = json!({ "project": "shop", "environment": "prod", "new_signing_key": true, "signed_only": true,
            "presets": { "card": "fit-in/4x3/filters:quality(80)", "s": "1x1" }, "unsigned_variants_per_hour": 5,
            "auto_formats": ["avif", "webp"], "hosts": ["img.a.test"] });
        assert_eq!(body(line), expected);
        let line = "drystone project images set shop/prod --signed-only off --no-presets --no-auto-formats --no-hosts";
        let expected = json!({ "project": "shop", "environment": "prod", "new_signing_key": false,
            "signed_only": false, "presets": {}, "auto_formats": [], "hosts": [] });
        assert_eq!(body(line), expected);
        let show = request(&verb("drystone project images show shop/prod").unwrap()).unwrap();
        assert_eq!(show.path, format!("{IMAGES}?project=shop&environment=prod"));
    }

    #[test]
    fn a_key_of_ones_own_is_read_from_a_file() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        writeln!(file, "the-key-of-another-server").unwrap();
        let line = format!(
            "drystone project images set shop/prod --signing-key-file {}",
            file.path().display()
        );
        assert_eq!(body(&line)["signing_key"], json!("the-key-of-another-server"));
        let missing = verb("drystone project images set shop/prod --signing-key-file /none/of/it").unwrap();
        assert!(request(&missing).err().unwrap().contains("/none/of/it"));
    }

    #[test]
    fn what_makes_no_sense_is_refused_before_anything_is_asked() {
        for wrong in [
            "drystone project images set shop/prod",
            "drystone project images set shop/prod --new-signing-key --signing-key-file a",
            "drystone project images set shop/prod --preset a=1x1 --no-presets",
            "drystone project images set shop/prod --signed-only yes",
            "drystone project images show",
        ] {
            assert!(verb(wrong).unwrap_err().use_stderr(), "{wrong}");
        }
        for (wrong, told) in [
            ("drystone project images set shop --no-hosts", "PROJECT/ENV"),
            ("drystone project images set shop/prod --preset card", "NAME=OPTIONS"),
            ("drystone project images set shop/prod --preset =1x1", "NAME=OPTIONS"),
            (
                "drystone project images set shop/prod --preset a=1x1 --preset a=2x2",
                "twice",
            ),
        ] {
            let error = request(&verb(wrong).unwrap()).err().unwrap();
            assert!(error.contains(told), "{error}");
        }
    }

    #[test]
    fn what_is_set_is_shown_and_a_key_that_was_made_once() {
        let report = json!({ "project": "shop", "environment": "prod", "has_signing_key": true, "signing_key": "abc",
            "signed_only": true, "presets": { "card": "4x3" }, "unsigned_variants_per_hour": 32,
            "auto_formats": ["webp"], "hosts": [] });
        let mut report: ImagesReport = serde_json::from_value(report).unwrap();
        let shown = text(&report);
        for line in [
            "  auto formats: webp\n",
            "  hosts: none\n",
            "  preset card: 4x3\n",
            "\nabc\n",
            "are refused",
        ] {
            assert!(shown.contains(line), "{shown}");
        }
        report.signing_key = None;
        assert!(!text(&report).contains("told this once"));
    }
}
