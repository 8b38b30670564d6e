//! `mc admin prometheus`: what Prometheus needs to read a server's metrics, and the metrics themselves.

use aws_lc_rs::hmac::{HMAC_SHA512, Key, sign};
use clap::{Args, Subcommand};
use http::{HeaderMap, Method, header};
use serde_json::{Map, Value, json};
use time::{Duration, OffsetDateTime};

use crate::cli::mc::client::{Ask, Client, ClientError, header_value};
use crate::cli::mc::output::Failure;
use crate::cli::mc::shell::Shell;

/// How long a token for metrics is good: as long as other clients make it.
const TOKEN_DAYS: i64 = 36_500;
const KINDS_V2: [&str; 4] = ["bucket", "cluster", "node", "resource"];
const KINDS_V3: [&str; 10] = [
    "api",
    "audit",
    "cluster",
    "debug",
    "ilm",
    "logger",
    "notification",
    "replication",
    "scanner",
    "system",
];

#[derive(Debug, Subcommand)]
pub(in crate::cli::mc) enum PrometheusVerb {
    /// The lines for Prometheus' configuration, with a token
    Generate(GenerateArgs),
    /// The metrics themselves
    Metrics(Metrics),
}

#[derive(Debug, Args)]
pub(in crate::cli::mc) struct GenerateArgs {
    /// Without a token, for a server whose metrics everybody may read
    #[arg(long)]
    public: bool,
    #[command(flatten)]
    metrics: Metrics,
}

#[derive(Debug, Args)]
pub(in crate::cli::mc) struct Metrics {
    /// Which of the server's two families of metrics
    #[arg(long, value_name = "VERSION", default_value = "v2", value_parser = ["v2", "v3"])]
    api_version: String,
    /// Only of this bucket; with v3, and of api or replication
    #[arg(long, value_name = "BUCKET")]
    bucket: Option<String>,
    #[arg(value_name = "ALIAS")]
    alias: String,
    #[arg(value_name = "KIND")]
    kind: Option<String>,
}

impl Metrics {
    /// The job's name, and the path below the server.
    fn job(&self) -> Result<(String, String), Failure> {
        let v3 = self.api_version == "v3";
        let known: &[&str] = if v3 { &KINDS_V3 } else { &KINDS_V2 };
        if let Some(kind) = self.kind.as_deref().filter(|kind| !known.contains(kind)) {
            let hint = format!("It is one of {}", known.join(", "));
            return Err(Failure::fatal(format!("invalid metric type `{kind}`")).hint(hint));
        }
        let kind = self.kind.as_deref();
        let job = match kind {
            Some(kind) if v3 || kind != "cluster" => format!("minio-job-{kind}"),
            Some(_) | None => "minio-job".to_owned(),
        };
        let path = match (v3, kind, &self.bucket) {
            (true, Some(kind @ ("api" | "replication")), Some(bucket)) => {
                format!("minio/metrics/v3/bucket/{kind}/{bucket}")
            }
            (_, _, Some(_)) => {
                let hint = "It goes with --api-version v3 and the kinds api and replication";
                return Err(Failure::fatal("--bucket does not fit here").hint(hint));
            }
            (true, Some(kind), None) => format!("minio/metrics/v3/{kind}"),
            (true, None, None) => "minio/metrics/v3".to_owned(),
            (false, kind, None) => format!("minio/v2/metrics/{}", kind.unwrap_or("cluster")),
        };
        Ok((job, path))
    }
}

pub(super) async fn run(shell: &Shell, verb: PrometheusVerb) -> Result<(), Failure> {
    match verb {
        PrometheusVerb::Generate(args) => generate(shell, &args),
        PrometheusVerb::Metrics(metrics) => show(shell, &metrics).await,
    }
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

fn generate(shell: &Shell, args: &GenerateArgs) -> Result<(), Failure> {
    let (job, path) = args.metrics.job()?;
    let client = shell.client(args.metrics.alias.trim_end_matches('/'))?;
    let host = &client.alias().host;
    let (scheme, target) = (if host.tls { "https" } else { "http" }, host.authority());
    let token = (!args.public).then(|| token(&client));
    let mut value = Map::from_iter([
        ("jobName".to_owned(), json!(job)),
        ("metricsPath".to_owned(), json!(format!("/{path}"))),
        ("scheme".to_owned(), json!(scheme)),
        ("staticConfigs".to_owned(), json!([{ "targets": [target] }])),
    ]);
    let mut bearer = String::new();
    if let Some(token) = token {
        bearer = format!("  bearer_token: {token}\n");
        value.insert("bearerToken".into(), json!(token));
    }
    let text = format!(
        "scrape_configs:\n- job_name: {job}\n{bearer}  metrics_path: /{path}\n  scheme: {scheme}\n  static_configs:\n  - targets: ['{target}']"
    );
    shell.out.say(&Value::Object(value), &text);
    Ok(())
}

async fn show(shell: &Shell, metrics: &Metrics) -> Result<(), Failure> {
    let failed = |error: ClientError| Failure::fatal("Unable to list prometheus metrics.").because(&error);
    let (_, path) = metrics.job()?;
    let client = shell.client(metrics.alias.trim_end_matches('/'))?;
    let bearer = header_value(&format!("Bearer {}", token(&client))).map_err(failed)?;
    let ask = Ask {
        headers: HeaderMap::from_iter([(header::AUTHORIZATION, bearer)]),
        ..Ask::of(Method::GET, "", &path)
    };
    let text = client.unsigned(&ask).await.map_err(failed)?;
    shell.out.say(&families(&text), text.trim_end());
    Ok(())
}

/// The metrics as JSON: one object for each family, with its samples.
fn families(text: &str) -> Value {
    let mut families: Vec<Map<String, Value>> = Vec::new();
    let family = |name: &str| {
        Map::from_iter([
            ("name".to_owned(), json!(name)),
            ("help".to_owned(), json!("")),
            ("type".to_owned(), json!("UNTYPED")),
            ("metrics".to_owned(), json!([])),
        ])
    };
    for line in text.lines() {
        let said = line.strip_prefix("# ").and_then(|said| said.split_once(' '));
        let (name, field, value) = match said {
            Some((word @ ("HELP" | "TYPE"), rest)) => {
                let (name, text) = rest.split_once(' ').unwrap_or((rest, ""));
                match word {
                    "HELP" => (name, "help", json!(text)),
                    _ => (name, "type", json!(text.to_uppercase())),
                }
            }
            Some(_) | None if line.starts_with('#') || line.is_empty() => continue,
            Some(_) | None => {
                let Some((name, sample)) = sample(line) else { continue };
                (name, "", sample)
            }
        };
        // A counter's samples have `_total` behind the name of the family, a histogram's have more endings.
        let belongs = |family: &Map<String, Value>| {
            let own = family.get("name").and_then(Value::as_str).unwrap_or_default();
            let ending = name.strip_prefix(own);
            own == name
                || field.is_empty() && matches!(ending, Some("_total" | "_bucket" | "_sum" | "_count" | "_created"))
        };
        if !families.last().is_some_and(belongs) {
            families.push(family(name));
        }
        let Some(last) = families.last_mut() else { continue };
        if field.is_empty() {
            let samples = last.get_mut("metrics").and_then(Value::as_array_mut);
            samples.into_iter().for_each(|samples| samples.push(value.clone()));
        } else {
            last.insert(field.to_owned(), value);
        }
    }
    Value::Array(families.into_iter().map(Value::Object).collect())
}

/// A line of metrics: the name, and labels and value.
fn sample(line: &str) -> Option<(&str, Value)> {
    let (head, value) = line.rsplit_once(' ')?;
    let Some((name, labels)) = head.split_once('{') else {
        return Some((head, json!({ "value": value })));
    };
    let labels = labels.strip_suffix('}')?;
    let mut told = Map::new();
    let mut rest = labels;
    while let Some((label, after)) = rest.split_once("=\"") {
        let (text, after) = quoted(after)?;
        told.insert(label.trim_start_matches(',').to_owned(), json!(text));
        rest = after;
    }
    Some((name, json!({ "labels": told, "value": value })))
}

/// A label's value up to its closing quote, and what follows.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut letters = text.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return Some((value, text.get(at + 1..)?)),
            '\\' => match letters.next()?.1 {
                'n' => value.push('\n'),
                other => value.push(other),
            },
            other => value.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metrics(version: &str, kind: Option<&str>, bucket: Option<&str>) -> Metrics {
        Metrics {
            api_version: version.into(),
            bucket: bucket.map(str::to_owned),
            alias: "a".into(),
            kind: kind.map(str::to_owned),
        }
    }

    #[test]
    fn each_kind_has_its_job_and_path() {
        for (asked, job, path) in [
            (metrics("v2", None, None), "minio-job", "minio/v2/metrics/cluster"),
            (
                metrics("v2", Some("bucket"), None),
                "minio-job-bucket",
                "minio/v2/metrics/bucket",
            ),
            (metrics("v3", None, None), "minio-job", "minio/metrics/v3"),
            (
                metrics("v3", Some("api"), Some("b")),
                "minio-job-api",
                "minio/metrics/v3/bucket/api/b",
            ),
        ] {
            assert_eq!(asked.job().unwrap(), (job.to_owned(), path.to_owned()));
        }
        for asked in [
            metrics("v2", Some("api"), None),
            metrics("v2", None, Some("b")),
            metrics("v3", Some("node"), None),
        ] {
            assert!(asked.job().is_err(), "{asked:?}");
        }
    }

    #[test]
    fn samples_stand_with_their_family() {
        let text =
            "# HELP a What a is.\n# TYPE a counter\na_total{x=\"1,\\\"2\\\"\",y=\"z\"} 3\na_total 4\n# EOF\nb 5\n";
        let expected = json!([
            { "name": "a", "help": "What a is.", "type": "COUNTER", "metrics": [
                { "labels": { "x": "1,\"2\"", "y": "z" }, "value": "3" },
                { "value": "4" },
            ] },
            { "name": "b", "help": "", "type": "UNTYPED", "metrics": [{ "value": "5" }] },
        ]);
        assert_eq!(families(text), expected);
    }
}
