//! Many uploads at once by links, and one that is larger than any memory: both come back byte for byte.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use aws_lc_rs::digest::{self, SHA256};
use bytes::Bytes;
use compat_tests::s3::{Connection, Payload, Target, between};
use compat_tests::tree;
use compat_tests::upload::Upload;
use http::{HeaderValue, Method, Request, StatusCode, header};
use http_body_util::Full;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::{Value, json};
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use crate::files;
use crate::stage::{Stage, Test, runtime};

const LINKS: usize = 2_000;
const PART_BYTES: usize = 64 << 20;
/// Length of the large object in parts: 6 GiB, or what `DRYSTONE_COMPAT_PARTS` says.
const PARTS: usize = 96;
/// Its length where the temporary folder has no room for it twice over.
const PARTS_SMALL: usize = 10;
const ROOM_BYTES: u64 = 20 << 30;
/// No multiple of a stripe, a part or a page.
const RANGE_BYTES: u64 = 100_000_007;

pub(crate) fn tests() -> Vec<Test> {
    vec![
        Test::alone("two_thousand_uploads_at_once_by_links_all_come_back", by_links),
        Test::alone("two_thousand_users_of_an_app_at_once_have_their_files", by_addresses),
        Test::alone("a_large_upload_with_a_part_sent_again_comes_back", in_parts),
    ]
}

/// The body behind link `number`: mostly small, some as large as what leaves the log.
fn linked(number: usize) -> Bytes {
    let length = match number % 100 {
        7 => 1_500_000,
        50 => 0,
        other => other * 197,
    };
    tree::bytes(number as u64, length).into()
}

/// Lets this process have as many files open as there are links.
fn open_many() -> Result<()> {
    let now = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: now.maximum,
        maximum: now.maximum,
    };
    setrlimit(Resource::Nofile, raised).context("allowing as many open files as there are links")
}

/// Has as many as there are links do something, each over a connection of its own, once all of them are connected.
async fn at_once<D>(target: &Target, does: impl Fn(Connection, usize) -> D + Clone + Send + 'static) -> Result<Duration>
where
    D: Future<Output = Result<()>> + Send,
{
    let all_connected = Arc::new(Barrier::new(LINKS));
    let (mut running, start) = (JoinSet::new(), Instant::now());
    for number in 0..LINKS {
        let (target, does, all_connected) = (target.clone(), does.clone(), Arc::clone(&all_connected));
        running.spawn(async move {
            let connected = target.connect().await;
            all_connected.wait().await;
            does(connected?, number)
                .await
                .with_context(|| format!("number {number}"))
        });
    }
    while let Some(done) = running.join_next().await {
        done??;
    }
    Ok(start.elapsed())
}

fn by_links(stage: &mut Stage) -> Result<()> {
    open_many()?;
    let server = stage.start()?;
    let target = Target::suite(&stage.setup.endpoint())?;
    let runtime = runtime()?;
    let took = runtime.block_on(async {
        target.ask(Method::PUT, "/links", "", Bytes::new()).await?;
        let to = target.clone();
        let took = at_once(&target, move |mut connection, number| {
            let target = to.clone();
            async move {
                let put = target.link("PUT", &format!("/links/{number}"));
                send(&mut connection, (&target, Method::PUT, &put), &[], linked(number)).await?;
                Ok(())
            }
        })
        .await?;
        let mut connection = target.connect().await?;
        for number in 0..LINKS {
            let path = format!("/links/{number}");
            let get = target.request(Method::GET, &path, "", Bytes::new(), Payload::Signed)?;
            let (status, body) = connection.send(get).await?;
            ensure!(status == StatusCode::OK, "{number} answered {status}");
            ensure!(body == linked(number), "{number}: {} bytes come back", body.len());
        }
        let listed = target.list("links").await?.len();
        ensure!(listed == LINKS, "{listed} objects are listed");
        anyhow::Ok(took)
    })?;
    println!("{LINKS} uploads at once by links took {:.1} s", took.as_secs_f64());
    server.stop()
}

/// Sends a request that is not signed; what is answered to it, if that is 200.
async fn send(
    connection: &mut Connection,
    (target, method, path): (&Target, Method, &str),
    headers: &[(&str, &str)],
    body: Bytes,
) -> Result<Bytes> {
    let mut request = Request::builder()
        .method(&method)
        .uri(path)
        .header(header::HOST, &target.authority)
        .header(header::CONTENT_LENGTH, body.len());
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let (status, said) = connection.send(request.body(Full::new(body))?).await?;
    ensure!(
        status == StatusCode::OK,
        "{method} {path} answered {status}: {}",
        String::from_utf8_lossy(&said)
    );
    Ok(said)
}

/// As users of an app upload: each announces a file, sends it to the address given out, and reads it back.
fn by_addresses(stage: &mut Stage) -> Result<()> {
    open_many()?;
    let server = stage.start()?;
    let project = Arc::new(files::project(stage)?);
    let target = Target::suite(&stage.setup.endpoint())?;
    let took = runtime()?.block_on(async {
        let (to, users) = (target.clone(), Arc::clone(&project));
        let took = at_once(&target, move |connection, number| {
            let who = users.user(&format!("user-{number}"));
            user(connection, to.clone(), who, number)
        })
        .await?;
        let all = "/v1/files?limit=1";
        let key = [("x-api-key", project.secret())];
        let listed = send(
            &mut target.connect().await?,
            (&target, Method::GET, all),
            &key,
            Bytes::new(),
        )
        .await?;
        let listed: Value = serde_json::from_slice(&listed)?;
        let total = listed.pointer("/pagination/total").and_then(Value::as_u64);
        ensure!(total == Some(LINKS as u64), "{total:?} files are listed");
        anyhow::Ok(took)
    })?;
    println!("{LINKS} users at once took {:.1} s", took.as_secs_f64());
    server.stop()
}

async fn user(
    mut connection: Connection,
    target: Target,
    who: [(&'static str, String); 2],
    number: usize,
) -> Result<()> {
    let mut headers: Vec<(&str, &str)> = who.iter().map(|(name, value)| (*name, value.as_str())).collect();
    headers.push(("content-type", "application/json"));
    let body = linked(number);
    let asked =
        json!({ "filename": format!("{number}.bin"), "contentType": "application/x-own", "fileSize": body.len() });
    let announce = (&target, Method::POST, "/v1/files/presigned-url");
    let told = send(&mut connection, announce, &headers, asked.to_string().into()).await?;
    let told: Value = serde_json::from_slice(&told)?;
    let text = |name: &str| {
        told.get(name)
            .and_then(Value::as_str)
            .with_context(|| format!("{name} in {told}"))
    };
    let own = format!("http://{}", target.authority);
    let address = text("url")?.strip_prefix(&own).context("an address of this server")?;
    let kind = [("content-type", "application/x-own")];
    send(&mut connection, (&target, Method::PUT, address), &kind, body.clone()).await?;
    let content = format!("/v1/files/{}/content", text("fileId")?);
    let read = send(
        &mut connection,
        (&target, Method::GET, &content),
        &headers,
        Bytes::new(),
    )
    .await?;
    ensure!(read == body, "{} bytes come back", read.len());
    Ok(())
}

/// The bytes of a part: one block for all, with the part's number on every page.
fn part(block: &[u8], number: usize) -> Bytes {
    let mut bytes = block.to_vec();
    for page in bytes.chunks_mut(4096) {
        if let Some(stamp) = page.first_chunk_mut() {
            *stamp = (number as u64).to_le_bytes();
        }
    }
    bytes.into()
}

/// The most memory a process ever held, in MiB.
fn peak_mib(id: u32) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{id}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok());
    Ok(kib.context("VmHWM of a process")? / 1024)
}

/// How many parts the large object has.
fn parts(folder: &Path) -> Result<usize> {
    if let Ok(asked) = std::env::var("DRYSTONE_COMPAT_PARTS") {
        return asked.parse().context("DRYSTONE_COMPAT_PARTS is no number");
    }
    let space = rustix::fs::statvfs(folder).context("asking for free space")?;
    let room = space.f_bavail * space.f_frsize >= ROOM_BYTES;
    Ok(if room { PARTS } else { PARTS_SMALL })
}

fn in_parts(stage: &mut Stage) -> Result<()> {
    let parts = parts(&stage.files)?;
    let server = stage.start()?;
    let target = Target::suite(&stage.setup.endpoint())?;
    let (runtime, block) = (runtime()?, tree::bytes(6, PART_BYTES));
    let said = runtime.block_on(async {
        target.ask(Method::PUT, "/large", "", Bytes::new()).await?;
        target
            .ask(Method::PUT, "/large/object", "", tree::bytes(1, 300_000))
            .await?;
        target
            .ask(Method::POST, "/large/object", "uploads=", Bytes::new())
            .await
    })?;
    let upload = between(&String::from_utf8_lossy(&said), "UploadId")
        .context("an upload id")?
        .to_owned();
    let start = Instant::now();
    let sent = send_parts(&runtime, &target, &upload, &block, parts)?;
    let uploaded = start.elapsed();
    runtime.block_on(complete(&target, &upload, parts))?;
    let start = Instant::now();
    let length = (parts * PART_BYTES) as u64;
    let read = runtime.block_on(read_by_ranges(&target, length))?;
    let read_in = start.elapsed();
    ensure!(read.as_ref() == sent.as_ref(), "another hash came back");
    let rate = |took: Duration| (length >> 20) as f64 / took.as_secs_f64();
    println!(
        "{} MiB in {parts} parts: sent at {:.0} MiB/s, read by ranges at {:.0} MiB/s; at most {} MiB in the server",
        length >> 20,
        rate(uploaded),
        rate(read_in),
        peak_mib(server.id())?
    );
    runtime.block_on(target.ask(Method::DELETE, "/large/object", "", Bytes::new()))?;
    ensure!(runtime.block_on(target.list("large"))?.is_empty(), "it is still listed");
    server.stop()
}

/// Sends all parts, one of them half and again, another with other bytes and again; gives the hash of the whole.
fn send_parts(
    runtime: &tokio::runtime::Runtime,
    target: &Target,
    upload: &str,
    block: &[u8],
    parts: usize,
) -> Result<digest::Digest> {
    let query = |number: usize| format!("partNumber={number}&uploadId={upload}");
    let mut whole = digest::Context::new(&SHA256);
    let mut connection = runtime.block_on(target.connect())?;
    for number in 1..=parts {
        let bytes = part(block, number);
        whole.update(&bytes);
        if number == 3 {
            let mut broken = Upload::begin(target, "/large/object", &query(number), PART_BYTES as u64)?;
            broken.send(bytes.get(..PART_BYTES / 2).unwrap_or_default())?;
        }
        let tries = if number == 5 {
            vec![part(block, 0), bytes]
        } else {
            vec![bytes]
        };
        for bytes in tries {
            // Both ways to sign a part's bytes.
            let how = if number % 2 == 0 {
                Payload::Signed
            } else {
                Payload::Unsigned
            };
            let put = target.request(Method::PUT, "/large/object", &query(number), bytes, how)?;
            let (status, said) = runtime.block_on(connection.send(put))?;
            let said = String::from_utf8_lossy(&said);
            ensure!(status == StatusCode::OK, "part {number} answered {status}: {said}");
        }
    }
    Ok(whole.finish())
}

/// Completes with what the server says it has of each part; the object before is there until then.
async fn complete(target: &Target, upload: &str, parts: usize) -> Result<()> {
    let before = target.ask(Method::GET, "/large/object", "", Bytes::new()).await?;
    ensure!(before == tree::bytes(1, 300_000), "the object before is not intact");
    let query = format!("uploadId={upload}");
    let said = target.ask(Method::GET, "/large/object", &query, Bytes::new()).await?;
    let mut document = "<CompleteMultipartUpload>".to_owned();
    let said = String::from_utf8_lossy(&said);
    for entry in said.split("<Part>").skip(1) {
        let field = |name| between(entry, name).unwrap_or_default();
        let (number, tag, size) = (field("PartNumber"), field("ETag"), field("Size"));
        ensure!(size == PART_BYTES.to_string(), "part {number} has {size} bytes");
        document.push_str(&format!(
            "<Part><PartNumber>{number}</PartNumber><ETag>{tag}</ETag></Part>"
        ));
    }
    document.push_str("</CompleteMultipartUpload>");
    ensure!(
        document.matches("<Part>").count() == parts,
        "other parts are listed: {said}"
    );
    target.ask(Method::POST, "/large/object", &query, document).await?;
    Ok(())
}

async fn read_by_ranges(target: &Target, length: u64) -> Result<digest::Digest> {
    let mut whole = digest::Context::new(&SHA256);
    let mut connection = target.connect().await?;
    for first in (0..length).step_by(usize::try_from(RANGE_BYTES)?) {
        let last = (first + RANGE_BYTES).min(length) - 1;
        let mut get = target.request(Method::GET, "/large/object", "", Bytes::new(), Payload::Signed)?;
        let range = HeaderValue::try_from(format!("bytes={first}-{last}"))?;
        get.headers_mut().insert(header::RANGE, range);
        let (status, count) = connection.each(get, |bytes| whole.update(bytes)).await?;
        ensure!(
            status == StatusCode::PARTIAL_CONTENT && count == last + 1 - first,
            "bytes {first} to {last} answered {status} with {count} bytes"
        );
    }
    Ok(whole.finish())
}
