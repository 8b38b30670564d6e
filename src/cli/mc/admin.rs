//! `mc admin`: what of it a server of this project answers without a sealed body. The words of `drystone admin` are more.

use std::ffi::OsString;

use aws_lc_rs::hmac::{HMAC_SHA512, Key, sign};
use clap::{Args, Subcommand, ValueEnum};
use http::{HeaderMap, Method, header};
use serde_json::{Value, json};
use time::{Duration, OffsetDateTime};

use super::client::{Ask, Client, ClientError, header_value};
use super::output::{Failure, human};
use super::shell::Shell;

/// How long a token for metrics is good: as long as other clients make it.
const TOKEN_DAYS: i64 = 36_500;

#[derive(Debug, Subcommand)]
pub(super) enum AdminVerb {
    /// The store, its drives, and what is wrong with them
    Info(Server),
    /// Restart or stop a server
    #[command(subcommand)]
    Service(ServiceVerb),
    /// Metrics
    #[command(subcommand)]
    Prometheus(PrometheusVerb),
    #[command(external_subcommand)]
    Other(Vec<OsString>),
}

#[derive(Debug, Args)]
pub(super) struct Server {
    #[arg(value_name = "ALIAS")]
    alias: String,
}

#[derive(Debug, Subcommand)]
pub(super) enum ServiceVerb {
    /// Execute the server's program anew
    Restart(Server),
    /// End it
    Stop(Server),
}

#[derive(Debug, Subcommand)]
pub(super) enum PrometheusVerb {
    /// The lines for Prometheus' configuration, with a token
    Generate(Metrics),
    /// The metrics themselves
    Metrics(Metrics),
}

#[derive(Debug, Args)]
pub(super) struct Metrics {
    #[arg(value_name = "ALIAS")]
    alias: String,
    #[arg(value_name = "KIND", default_value = "cluster")]
    kind: Kind,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Kind {
    Cluster,
    Node,
    Bucket,
    Resource,
}

impl Kind {
    fn path(self) -> &'static str {
        match self {
            Self::Cluster => "minio/v2/metrics/cluster",
            Self::Node => "minio/v2/metrics/node",
            Self::Bucket => "minio/v2/metrics/bucket",
            Self::Resource => "minio/v2/metrics/resource",
        }
    }

    /// The job's name in a configuration.
    fn job(self) -> &'static str {
        match self {
            Self::Cluster => "minio-job",
            Self::Node => "minio-job-node",
            Self::Bucket => "minio-job-bucket",
            Self::Resource => "minio-job-resource",
        }
    }
}

pub(super) async fn run(shell: &Shell, verb: AdminVerb) -> Result<(), Failure> {
    match verb {
        AdminVerb::Info(server) => info(shell, server.alias.trim_end_matches('/')).await,
        AdminVerb::Service(ServiceVerb::Restart(server)) => service(shell, &server.alias, "restart").await,
        AdminVerb::Service(ServiceVerb::Stop(server)) => service(shell, &server.alias, "stop").await,
        AdminVerb::Prometheus(PrometheusVerb::Generate(metrics)) => generate(shell, &metrics),
        AdminVerb::Prometheus(PrometheusVerb::Metrics(metrics)) => show_metrics(shell, &metrics).await,
        AdminVerb::Other(words) => {
            let verb = words
                .first()
                .map(|verb| verb.to_string_lossy().into_owned())
                .unwrap_or_default();
            let hint = "See `drystone admin --help` for what can be asked of a store of ours";
            Err(Failure::fatal(format!("`admin {verb}` is not built yet in this client.")).hint(hint))
        }
    }
}

async fn info(shell: &Shell, alias: &str) -> Result<(), Failure> {
    let client = shell.client(alias)?;
    let failed = |error: ClientError| Failure::fatal("Unable to display service info.").because(&error);
    let text = client
        .text(&Ask::of(Method::GET, "", "minio/admin/v3/info"))
        .await
        .map_err(failed)?;
    let info: Value = serde_json::from_str(&text).map_err(|error| {
        failed(ClientError::Answer {
            reason: format!("the answer is not JSON: {error}"),
        })
    })?;
    let shown = described(&info);
    shell.out.say(&json!({ "status": "success", "info": info }), &shown);
    Ok(())
}

fn number(value: &Value, pointer: &str) -> u64 {
    value.pointer(pointer).and_then(Value::as_u64).unwrap_or_default()
}

fn described(info: &Value) -> String {
    let mut text = String::new();
    for server in info.pointer("/servers").and_then(Value::as_array).into_iter().flatten() {
        let word = |name: &str| server.get(name).and_then(Value::as_str).unwrap_or_default();
        let drives = server.get("drives").and_then(Value::as_array);
        let good = |drive: &&Value| drive.get("state").and_then(Value::as_str) == Some("ok");
        let well = drives.into_iter().flatten().filter(good).count();
        let all = drives.map_or(0, Vec::len);
        let minutes = number(server, "/uptime") / 60;
        let (days, hours) = (minutes / 1440, minutes / 60 % 24);
        text.push_str(&format!(
            "●  {}\n   Uptime: {days}d {hours}h {}m\n   Version: {}\n   Drives: {well}/{all} OK\n\n",
            word("endpoint"),
            minutes % 60,
            word("version"),
        ));
    }
    for name in ["buckets", "objects"] {
        // A figure that the server does not have is left out, never shown as none.
        if let Some(count) = info
            .get(name)
            .and_then(|figure| figure.get("count").filter(|_| figure.get("error").is_none()))
        {
            text.push_str(&format!("{count} {name}, "));
        }
    }
    if let Some(size) = info
        .pointer("/usage/size")
        .and_then(Value::as_u64)
        .filter(|_| info.pointer("/usage/error").is_none())
    {
        text.push_str(&format!("{} used\n", human(size)));
    }
    text.push_str(&format!(
        "{} drives online, {} drives offline, EC:{}",
        number(info, "/backend/onlineDisks"),
        number(info, "/backend/offlineDisks"),
        number(info, "/backend/standardSCParity"),
    ));
    text
}

async fn service(shell: &Shell, alias: &str, action: &str) -> Result<(), Failure> {
    let alias = alias.trim_end_matches('/');
    let client = shell.client(alias)?;
    let ask = Ask {
        query: &[("action", action), ("dry-run", "false"), ("type", "2")],
        ..Ask::of(Method::POST, "", "minio/admin/v3/service")
    };
    let answer = client.text(&ask).await;
    let answer = answer.map_err(|error| Failure::fatal(format!("Unable to {action} the server.")).because(&error))?;
    let result: Value = serde_json::from_str(&answer).unwrap_or_default();
    let value = json!({ "status": "success", "serverURL": alias, "action": action, "result": result });
    let done = if action == "stop" { "stopped" } else { "restarted" };
    shell.out.say(&value, &format!("`{alias}` is being {done}."));
    Ok(())
}

/// A token for metrics, signed with the secret key; the server is not asked.
fn token(client: &Client) -> String {
    let alias = client.alias();
    let expiry = OffsetDateTime::now_utc() + Duration::days(TOKEN_DAYS);
    let part = |value: &Value| base64_simd::URL_SAFE_NO_PAD.encode_to_string(value.to_string());
    let head = part(&json!({ "alg": "HS512", "typ": "JWT" }));
    let claims = part(&json!({ "iss": "prometheus", "sub": alias.access_key, "exp": expiry.unix_timestamp() }));
    let signed = format!("{head}.{claims}");
    let key = Key::new(HMAC_SHA512, alias.secret_key.expose().as_bytes());
    let signature = base64_simd::URL_SAFE_NO_PAD.encode_to_string(sign(&key, signed.as_bytes()).as_ref());
    format!("{signed}.{signature}")
}

fn generate(shell: &Shell, metrics: &Metrics) -> Result<(), Failure> {
    let client = shell.client(metrics.alias.trim_end_matches('/'))?;
    let host = &client.alias().host;
    let scheme = if host.tls { "https" } else { "http" };
    let (token, target, job, path) = (
        token(&client),
        host.authority(),
        metrics.kind.job(),
        metrics.kind.path(),
    );
    let value = json!({
        "jobName": job,
        "bearerToken": token,
        "metricsPath": format!("/{path}"),
        "scheme": scheme,
        "staticConfigs": [{ "targets": [target] }],
    });
    let text = format!(
        "scrape_configs:\n- job_name: {job}\n  bearer_token: {token}\n  metrics_path: /{path}\n  scheme: {scheme}\n  static_configs:\n  - targets: ['{target}']"
    );
    shell.out.say(&value, &text);
    Ok(())
}

async fn show_metrics(shell: &Shell, metrics: &Metrics) -> Result<(), Failure> {
    let client = shell.client(metrics.alias.trim_end_matches('/'))?;
    let failed = |error: ClientError| Failure::fatal("Unable to get metrics.").because(&error);
    let bearer = header_value(&format!("Bearer {}", token(&client))).map_err(failed)?;
    let ask = Ask {
        headers: HeaderMap::from_iter([(header::AUTHORIZATION, bearer)]),
        ..Ask::of(Method::GET, "", metrics.kind.path())
    };
    let text = client.unsigned(&ask).await.map_err(failed)?;
    shell
        .out
        .say(&json!({ "status": "success", "metrics": text }), text.trim_end());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_that_a_server_does_not_have_are_not_shown() {
        let info = json!({
            "buckets": { "count": 0, "error": "not counted" },
            "objects": { "count": 7 },
            "usage": { "size": 2048 },
            "backend": { "onlineDisks": 3, "offlineDisks": 1, "standardSCParity": 2 },
            "servers": [{ "endpoint": "h:9000", "version": "1", "uptime": 3_700, "drives": [{ "state": "ok" }, { "state": "offline" }] }],
        });
        let text = described(&info);
        assert!(text.contains("Drives: 1/2 OK") && text.contains("0d 1h 1m"), "{text}");
        assert!(
            text.contains("7 objects, 2.0 KiB used") && !text.contains("buckets"),
            "{text}"
        );
        assert!(text.ends_with("3 drives online, 1 drives offline, EC:2"), "{text}");
    }
}
