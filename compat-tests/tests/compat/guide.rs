//! What docs/files-api.md tells a developer to paste: its first use and the story after it, run as it stands, and looked at
//! from outside afterwards.

use std::collections::HashMap;
use std::fs;
use std::io::Cursor;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use compat_tests::clients::Client;
use compat_tests::s3::told_http;
use compat_tests::server::{ACCESS_KEY, SECRET_KEY, binary, workspace};
use image::{DynamicImage, ImageFormat, RgbImage};

use crate::stage::{Stage, Test, good, same_bytes, same_file};

const FROM: &str = "### First use, in five minutes";
const TO: &str = "### Who somebody is";
/// Variables of the story that are looked at when it is over.
const TOLD: [&str; 8] = ["key", "token", "id", "film", "resumed", "report", "offset", "enveloped"];

pub(crate) fn tests() -> Vec<Test> {
    vec![Test::with_all(
        &[Client::Curl, Client::Jq, Client::Openssl],
        "the_commands_of_the_files_api_guide_work_as_pasted",
        pasted,
    )]
}

fn pasted(stage: &mut Stage) -> Result<()> {
    let server = stage.start()?;
    let picture = picture()?;
    stage.file("cat.jpg", &picture)?;
    let printed = paste(stage)?;
    let said = |title: &str| {
        let found = printed
            .get(title)
            .with_context(|| format!("no commands under '{title}'"));
        found.map(|text| text.trim().to_owned())
    };
    let variables = said("variables")?;
    let variable = |name: &str| {
        let mut lines = variables.lines().filter_map(|line| line.split_once('='));
        let found = lines.find(|(told, value)| *told == name && !value.is_empty() && *value != "null");
        let (_, value) = found.with_context(|| format!("the story left no {name}"))?;
        Ok::<_, anyhow::Error>(value.to_owned())
    };

    let size = picture.len();
    let id = variable("id")?;
    let listed = format!("[\"{id}\",\"cat.jpg\",{size}]");
    ensure!(said("Lists")?.starts_with(&listed), "{}", said("Lists")?);
    for (title, expected) in [
        ("An address to read it from", ""),
        (
            "Open to everybody, and closed again",
            "public: 200\nprivate\nprivate: 403",
        ),
        ("Shared with somebody, and by a link", "cat.jpg\ntaken back: 403"),
        ("A large file in parts", "[\"film\",15000000,\"active\"]"),
        (
            "A file that goes on where it broke off",
            "[\"film\",15000000,\"active\"]",
        ),
        ("A server in one call", "month,sales\nmay,12"),
        ("Into the trash, and back", "active"),
    ] {
        ensure!(said(title)? == expected, "{title}: {}", said(title)?);
    }
    same_file(&stage.files.join("copy.jpg"), &picture)?;
    same_file(&stage.files.join("printed.jpg"), &picture)?;
    ensure!(variable("offset")? == "4000000", "it goes on elsewhere");
    ensure!(variable("enveloped")? == id, "the field under data is another one");
    ensure!(variable("film")? != variable("resumed")?, "there is one film");
    for (name, file) in [
        ("id", "cat.jpg"),
        ("film", "film"),
        ("resumed", "film"),
        ("report", "report.csv"),
    ] {
        let url = format!("{}/v1/files/{}/content", stage.setup.endpoint(), variable(name)?);
        let token = format!("Bearer {}", variable("token")?);
        let headers = [("x-api-key", &*variable("key")?), ("authorization", &*token)];
        let (status, body) = told_http("GET", &url, &headers, b"")?;
        ensure!(status == 200, "{name}: {status}");
        same_bytes(&body, &fs::read(stage.files.join(file))?, name)?;
    }
    for (file, sides) in [("small.jpg", (300, 200)), ("box.jpg", (400, 300))] {
        let image = image::load_from_memory(&fs::read(stage.files.join(file))?).with_context(|| file.to_owned())?;
        let found = (image.width(), image.height());
        ensure!(found == sides, "{file}: {found:?}");
    }
    server.stop()
}

/// Pastes all commands into one shell, in their order, and gives what was printed under each title.
fn paste(stage: &Stage) -> Result<HashMap<String, String>> {
    let page = fs::read_to_string(workspace()?.join("docs/files-api.md"))?;
    let mut script = String::new();
    for (title, commands) in blocks(&page)? {
        script.push_str(&format!("printf '\\n=== %s\\n' '{title}'\n{commands}"));
    }
    script.push_str("printf '\\n=== variables\\n'\nenveloped=$(jq -r .data.id <<< \"$made\")\n");
    for name in TOLD {
        script.push_str(&format!("printf '%s=%s\\n' {name} \"${name}\"\n"));
    }
    let server = binary()?;
    let folder = server.parent().context("a program in a folder")?;
    let path = format!("{}:{}", folder.display(), std::env::var("PATH")?);
    let mut shell = stage.command(Path::new("bash"));
    shell
        .env("PATH", path)
        .env("DRYSTONE_ENDPOINT", stage.setup.endpoint())
        .env("MINIO_ROOT_USER", ACCESS_KEY)
        .env("MINIO_ROOT_PASSWORD", SECRET_KEY)
        .args(["-e", "-u", "-o", "pipefail"])
        .arg(stage.file("story.sh", script.as_bytes())?);
    let text = good(&mut shell)?.text();
    let mut printed: HashMap<String, String> = HashMap::new();
    for part in text.split("\n=== ").skip(1) {
        let (title, said) = part.split_once('\n').unwrap_or((part, ""));
        printed.entry(title.to_owned()).or_default().push_str(said);
    }
    Ok(printed)
}

/// The blocks of commands between the two headings, each with the heading it stands under.
fn blocks(page: &str) -> Result<Vec<(&str, String)>> {
    let (mut title, mut commands, mut found) = ("", None::<String>, Vec::new());
    let lines = page.lines().skip_while(|line| *line != FROM);
    for line in lines.take_while(|line| *line != TO) {
        match commands.take() {
            Some(block) if line == "```" => found.push((title, block)),
            Some(block) => commands = Some(block + line + "\n"),
            None if line == "```sh" => commands = Some(String::new()),
            None if line.starts_with('#') => title = line.trim_start_matches(['#', ' ']),
            None => {}
        }
    }
    ensure!(
        commands.is_none() && !found.is_empty(),
        "no commands from '{FROM}' to '{TO}'"
    );
    Ok(found)
}

/// A picture of 640 by 480 in which no two places look the same.
fn picture() -> Result<Vec<u8>> {
    let shade = |at: u32| u8::try_from(at % 256).unwrap_or(u8::MAX);
    let image = RgbImage::from_fn(640, 480, |x, y| image::Rgb([shade(x), shade(y), shade(x * y / 64)]));
    let mut bytes = Cursor::new(Vec::new());
    DynamicImage::ImageRgb8(image).write_to(&mut bytes, ImageFormat::Jpeg)?;
    Ok(bytes.into_inner())
}
