//! The AWS SDK for Rust: streams, checksums, presigned requests, and errors as types.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use aws_sdk_s3::Client;
use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_s3::error::ProvideErrorMetadata as _;
use aws_sdk_s3::presigning::PresigningConfig;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{
    ChecksumAlgorithm, ChecksumMode, CompletedMultipartUpload, CompletedPart, Delete, ObjectIdentifier,
};
use compat_tests::server::{ACCESS_KEY, SECRET_KEY};
use compat_tests::tree;

use crate::stage::{Stage, Test, plain_http, same_bytes};

const MIB: usize = 1024 * 1024;
const BUCKET: &str = "aws-sdk-rust";

pub(crate) fn tests() -> Vec<Test> {
    vec![Test::alone("aws_sdk_rust_does_every_operation", life)]
}

fn client(endpoint: &str, access: &str, secret: &str) -> Client {
    let config = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .endpoint_url(endpoint)
        .force_path_style(true)
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new(access, secret, None, None, "suite"))
        .build();
    Client::from_conf(config)
}

fn life(stage: &mut Stage) -> Result<()> {
    let server = stage.start()?;
    let endpoint = stage.setup.endpoint();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let s3 = client(&endpoint, ACCESS_KEY, SECRET_KEY);
        s3.create_bucket().bucket(BUCKET).send().await?;
        objects(&s3, stage).await?;
        multipart(&s3).await?;
        listing(&s3).await?;
        errors(&s3, &endpoint).await
    })?;
    links(&runtime, &client(&endpoint, ACCESS_KEY, SECRET_KEY))?;
    runtime.block_on(deletion(&client(&endpoint, ACCESS_KEY, SECRET_KEY)))?;
    server.stop()
}

async fn body(s3: &Client, key: &str) -> Result<Vec<u8>> {
    let got = s3
        .get_object()
        .bucket(BUCKET)
        .key(key)
        .checksum_mode(ChecksumMode::Enabled)
        .send()
        .await?;
    Ok(got.body.collect().await?.to_vec())
}

async fn objects(s3: &Client, stage: &Stage) -> Result<()> {
    for (key, length) in [("small +ü", 1_000), ("empty", 0), ("large", 21 * MIB + 7)] {
        let content = tree::bytes(1, length);
        s3.put_object()
            .bucket(BUCKET)
            .key(key)
            .metadata("one", "1")
            .body(content.clone().into())
            .send()
            .await?;
        same_bytes(&body(s3, key).await?, &content, key)?;
        let head = s3.head_object().bucket(BUCKET).key(key).send().await?;
        ensure!(head.content_length() == i64::try_from(length).ok(), "{head:?}");
        ensure!(
            head.metadata().and_then(|all| all.get("one")).map(String::as_str) == Some("1"),
            "{head:?}"
        );
    }
    let file = stage.file("body", &tree::bytes(2, 9 * MIB))?;
    s3.put_object()
        .bucket(BUCKET)
        .key("file")
        .body(ByteStream::from_path(&file).await?)
        .send()
        .await?;
    same_bytes(&body(s3, "file").await?, &tree::bytes(2, 9 * MIB), "a file as a stream")?;
    let algorithms = [
        ChecksumAlgorithm::Crc32,
        ChecksumAlgorithm::Crc32C,
        ChecksumAlgorithm::Crc64Nvme,
        ChecksumAlgorithm::Sha1,
        ChecksumAlgorithm::Sha256,
    ];
    for algorithm in algorithms {
        let content = tree::bytes(3, 200_000);
        let put = s3
            .put_object()
            .bucket(BUCKET)
            .key("sum")
            .checksum_algorithm(algorithm.clone());
        put.body(content.clone().into())
            .send()
            .await
            .with_context(|| format!("{algorithm:?}"))?;
        same_bytes(&body(s3, "sum").await?, &content, algorithm.as_str())?;
    }
    ranges_and_copies(s3).await
}

async fn ranges_and_copies(s3: &Client) -> Result<()> {
    let range = s3
        .get_object()
        .bucket(BUCKET)
        .key("large")
        .range("bytes=1000000-2000000")
        .send()
        .await?;
    ensure!(
        range.content_range() == Some(format!("bytes 1000000-2000000/{}", 21 * MIB + 7).as_str()),
        "{range:?}"
    );
    let got = range.body.collect().await?.to_vec();
    same_bytes(
        &got,
        tree::bytes(1, 21 * MIB + 7)
            .get(1_000_000..2_000_001)
            .unwrap_or_default(),
        "a range",
    )?;
    s3.copy_object()
        .bucket(BUCKET)
        .key("copied")
        .copy_source(format!("{BUCKET}/small%20%2B%C3%BC"))
        .send()
        .await?;
    same_bytes(&body(s3, "copied").await?, &tree::bytes(1, 1_000), "a copy")
}

async fn multipart(s3: &Client) -> Result<()> {
    let made = s3.create_multipart_upload().bucket(BUCKET).key("parts").send().await?;
    let upload = made.upload_id().context("an upload id")?;
    let parts = [tree::bytes(4, 5 * MIB), tree::bytes(5, 5 * MIB), tree::bytes(6, 10)];
    let mut completed = CompletedMultipartUpload::builder();
    for (number, part) in (1..).zip(&parts) {
        let sent = s3
            .upload_part()
            .bucket(BUCKET)
            .key("parts")
            .upload_id(upload)
            .part_number(number);
        let sent = sent.body(part.clone().into()).send().await?;
        let part = CompletedPart::builder()
            .part_number(number)
            .set_e_tag(sent.e_tag)
            .set_checksum_crc32(sent.checksum_crc32);
        completed = completed.parts(part.build());
    }
    let complete = s3
        .complete_multipart_upload()
        .bucket(BUCKET)
        .key("parts")
        .upload_id(upload);
    let done = complete.multipart_upload(completed.build()).send().await?;
    ensure!(done.e_tag().is_some_and(|tag| tag.ends_with("-3\"")), "{done:?}");
    let got = s3
        .get_object()
        .bucket(BUCKET)
        .key("parts")
        .send()
        .await?
        .body
        .collect()
        .await?
        .to_vec();
    same_bytes(&got, &parts.concat(), "three parts")
}

async fn listing(s3: &Client) -> Result<()> {
    let keys: Vec<String> = (0..1_210)
        .map(|number| format!("list/{}/key {number:04}", number % 3))
        .collect();
    for some in keys.chunks(32) {
        let puts = some.iter().map(|key| {
            s3.put_object()
                .bucket(BUCKET)
                .key(key)
                .body(key.clone().into_bytes().into())
                .send()
        });
        let tasks: Vec<_> = puts.map(tokio::spawn).collect();
        for task in tasks {
            task.await??;
        }
    }
    let mut pages = s3
        .list_objects_v2()
        .bucket(BUCKET)
        .prefix("list/")
        .max_keys(500)
        .into_paginator()
        .send();
    let mut found = Vec::new();
    let mut count = 0;
    while let Some(page) = pages.next().await {
        count += 1;
        found.extend(
            page?
                .contents()
                .iter()
                .filter_map(|object| object.key().map(str::to_owned)),
        );
    }
    let mut expected = keys;
    expected.sort();
    ensure!(count == 3 && found == expected, "{} keys on {count} pages", found.len());
    let below = s3
        .list_objects_v2()
        .bucket(BUCKET)
        .prefix("list/")
        .delimiter("/")
        .send()
        .await?;
    ensure!(below.common_prefixes().len() == 3, "{below:?}");
    Ok(())
}

async fn errors(s3: &Client, endpoint: &str) -> Result<()> {
    let absent = s3.get_object().bucket(BUCKET).key("absent").send().await;
    ensure!(
        absent.is_err_and(|error| error.into_service_error().is_no_such_key()),
        "NoSuchKey is typed"
    );
    let absent = s3.head_object().bucket(BUCKET).key("absent").send().await;
    ensure!(
        absent.is_err_and(|error| error.into_service_error().is_not_found()),
        "NotFound is typed"
    );
    let absent = s3.list_objects_v2().bucket("absent-bucket").send().await;
    ensure!(
        absent.is_err_and(|error| error.into_service_error().is_no_such_bucket()),
        "NoSuchBucket is typed"
    );
    let again = s3.create_bucket().bucket(BUCKET).send().await;
    ensure!(
        again.is_err_and(|error| error.into_service_error().is_bucket_already_owned_by_you()),
        "owned is typed"
    );
    for (access, secret, code) in [
        ("nobody-here", SECRET_KEY, "InvalidAccessKeyId"),
        (ACCESS_KEY, "wrong-secret", "SignatureDoesNotMatch"),
    ] {
        let error = client(endpoint, access, secret)
            .list_buckets()
            .send()
            .await
            .err()
            .context("must be refused")?;
        ensure!(error.code() == Some(code), "{code} was expected: {error:?}");
    }
    let wrong = s3
        .put_object()
        .bucket(BUCKET)
        .key("bad")
        .checksum_crc32("AAAAAA==")
        .body(b"x".to_vec().into())
        .send()
        .await;
    ensure!(
        wrong.is_err_and(|error| error.code() == Some("BadDigest")),
        "a wrong checksum is BadDigest"
    );
    s3.put_object()
        .bucket(BUCKET)
        .key("once")
        .if_none_match("*")
        .body(b"1".to_vec().into())
        .send()
        .await?;
    let twice = s3
        .put_object()
        .bucket(BUCKET)
        .key("once")
        .if_none_match("*")
        .body(b"2".to_vec().into())
        .send()
        .await;
    ensure!(
        twice.is_err_and(|error| error.code() == Some("PreconditionFailed")),
        "only once"
    );
    Ok(())
}

fn links(runtime: &tokio::runtime::Runtime, s3: &Client) -> Result<()> {
    let soon = || PresigningConfig::expires_in(Duration::from_secs(60));
    let content = tree::bytes(7, 3_333);
    let put = runtime.block_on(s3.put_object().bucket(BUCKET).key("signed +ü").presigned(soon()?))?;
    let (status, said) = plain_http("PUT", put.uri(), &content)?;
    ensure!(
        status == 200,
        "a presigned PUT answered {status}: {}",
        String::from_utf8_lossy(&said)
    );
    let get = runtime.block_on(s3.get_object().bucket(BUCKET).key("signed +ü").presigned(soon()?))?;
    let (status, got) = plain_http("GET", get.uri(), b"")?;
    ensure!(status == 200, "a presigned GET answered {status}");
    same_bytes(&got, &content, "by a link")
}

async fn deletion(s3: &Client) -> Result<()> {
    loop {
        let page = s3.list_objects_v2().bucket(BUCKET).send().await?;
        let mut delete = Delete::builder();
        for key in page.contents().iter().filter_map(|object| object.key()) {
            delete = delete.objects(ObjectIdentifier::builder().key(key).build()?);
        }
        if page.contents().is_empty() {
            break;
        }
        let gone = s3
            .delete_objects()
            .bucket(BUCKET)
            .delete(delete.build()?)
            .send()
            .await?;
        ensure!(
            gone.errors().is_empty() && gone.deleted().len() == page.contents().len(),
            "{gone:?}"
        );
    }
    s3.delete_bucket().bucket(BUCKET).send().await?;
    Ok(())
}
