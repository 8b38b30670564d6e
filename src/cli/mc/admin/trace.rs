//! `mc admin trace` and `mc support top api`: what a server does while it does it. The server tells all calls of the kinds
//! asked for; which of them are shown is decided here.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use clap::Args;
use http::{Method, StatusCode};
use regex::Regex;
use serde_json::{Map, Value, json};

use super::{Api, is_silent, number, word};
use crate::cli::mc::client::{ClientError, Documents};
use crate::cli::mc::find::wildcard;
use crate::cli::mc::output::{Failure, bytes, human};
use crate::cli::mc::shell::Shell;

/// Between two tables of sums.
const TABLE_EVERY: Duration = Duration::from_secs(1);

/// Kinds of calls: the parameter that asks for them, another name, and the bit that names them in the stream.
const KINDS: [(&str, &str, u64, &str); 17] = [
    ("os", "", 1, "OS"),
    ("storage", "", 2, "Storage"),
    ("s3", "", 4, "S3"),
    ("internal", "", 8, "Internal"),
    ("scanner", "", 16, "Scanner"),
    ("decommission", "decom", 32, "Decommission"),
    ("healing", "heal", 64, "Healing"),
    ("batch-replication", "brep", 128, "BatchReplication"),
    ("batch-keyrotation", "brot", 256, "BatchKeyRotation"),
    ("batch-expire", "bexp", 512, "BatchExpire"),
    ("rebalance", "", 1024, "Rebalance"),
    ("replication-resync", "resync", 2048, "ReplicationResync"),
    ("bootstrap", "", 4096, "Bootstrap"),
    ("ftp", "", 8192, "FTP"),
    ("ilm", "", 16_384, "ILM"),
    ("kms", "", 32_768, "KMS"),
    ("formatting", "", 65_536, "Formatting"),
];

#[derive(Debug, Args)]
pub(in crate::cli::mc) struct TraceArgs {
    /// Every call with its headers
    #[arg(long, short)]
    verbose: bool,
    /// All kinds of calls
    #[arg(long, short)]
    all: bool,
    /// Calls of this kind; may be given again [default: s3]
    #[arg(long, value_name = "KIND", value_parser = kind, value_delimiter = ',')]
    call: Vec<&'static str>,
    /// Sums of all calls instead of the calls
    #[arg(long)]
    stats: bool,
    #[command(flatten)]
    wanted: Wanted,
    #[arg(value_name = "ALIAS")]
    target: String,
}

/// Which calls are shown.
#[derive(Debug, Default, Args)]
pub(in crate::cli::mc) struct Wanted {
    /// Only answers with this status; may be given again
    #[arg(long, value_name = "STATUS")]
    status_code: Vec<u64>,
    /// Only this method; may be given again
    #[arg(long, value_name = "METHOD")]
    method: Vec<String>,
    /// Only calls whose name fits a pattern with * and ?; may be given again
    #[arg(long, visible_alias = "name", value_name = "PATTERN", value_parser = wildcard)]
    funcname: Vec<Regex>,
    /// Only paths that fit a pattern; may be given again
    #[arg(long, value_name = "PATTERN", value_parser = wildcard)]
    path: Vec<Regex>,
    /// Only servers that fit a pattern; may be given again
    #[arg(long, value_name = "PATTERN", value_parser = wildcard)]
    node: Vec<Regex>,
    /// Only requests with this header, as `name: value` or a pattern of it
    #[arg(long, value_name = "PATTERN", value_parser = wildcard)]
    request_header: Vec<Regex>,
    /// Only requests with this in the query, as name=value or a pattern of it
    #[arg(long, value_name = "PATTERN", value_parser = wildcard)]
    request_query: Vec<Regex>,
    /// Only what failed
    #[arg(long, short)]
    errors: bool,
    /// Only what took longer, as 5ms or 2s
    #[arg(long, value_name = "SPAN", value_parser = nanos)]
    response_duration: Option<u64>,
    /// Only requests with more bytes than --filter-size
    #[arg(long, requires = "filter_size")]
    filter_request: bool,
    /// Only answers with more bytes than --filter-size
    #[arg(long, requires = "filter_size")]
    filter_response: bool,
    #[arg(long, value_name = "SIZE", value_parser = size)]
    filter_size: Option<u64>,
}

fn kind(text: &str) -> Result<&'static str, String> {
    let found = KINDS
        .iter()
        .find(|(name, other, ..)| *name == text || *other == text && !text.is_empty());
    let names = || KINDS.map(|(name, ..)| name).join(", ");
    found
        .map(|(name, ..)| *name)
        .ok_or_else(|| format!("it is one of {}", names()))
}

fn size(text: &str) -> Result<u64, String> {
    bytes(text).ok_or_else(|| "not a size such as 1MiB".to_owned())
}

/// Nanoseconds of `5ms`, `1.5s`, `2m`.
fn nanos(text: &str) -> Result<u64, String> {
    let unfit = || "not a span of time such as 5ms".to_owned();
    let split = text.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(unfit)?;
    let (number, unit) = text.split_at_checked(split).ok_or_else(unfit)?;
    let unit = match unit {
        "ns" => 1.0,
        "us" | "µs" => 1e3,
        "ms" => 1e6,
        "s" => 1e9,
        "m" => 60e9,
        "h" => 3600e9,
        _ => return Err(unfit()),
    };
    number
        .parse::<f64>()
        .map(|number| (number * unit) as u64)
        .map_err(|_| unfit())
}

fn pattern_fits(patterns: &[Regex], text: &str) -> bool {
    patterns.is_empty() || patterns.iter().any(|pattern| pattern.is_match(text))
}

impl Wanted {
    fn fits(&self, call: &Call<'_>) -> bool {
        let request = call.request();
        let sizes = |asked: bool, field: &str| {
            !asked
                || self
                    .filter_size
                    .is_none_or(|size| number(call.0, &format!("/http/stats/{field}")) > size)
        };
        let headers = || {
            let found = request.get("headers").and_then(Value::as_object).into_iter().flatten();
            found
                .map(|(name, values)| format!("{name}: {}", joined(values)))
                .collect::<Vec<_>>()
        };
        let any = |patterns: &[Regex], texts: &[String]| {
            patterns.is_empty() || patterns.iter().any(|one| texts.iter().any(|text| one.is_match(text)))
        };
        let query = || {
            word(request, "rawquery")
                .split('&')
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        (self.status_code.is_empty() || self.status_code.contains(&call.status()))
            && (self.method.is_empty()
                || self
                    .method
                    .iter()
                    .any(|one| one.eq_ignore_ascii_case(word(request, "method"))))
            && pattern_fits(&self.funcname, word(call.0, "funcname"))
            && (pattern_fits(&self.path, call.path()) || pattern_fits(&self.path, call.path().trim_start_matches('/')))
            && pattern_fits(&self.node, word(call.0, "nodename"))
            && (!self.errors || call.failed())
            && self.response_duration.is_none_or(|limit| call.duration() > limit)
            && sizes(self.filter_request, "inputbytes")
            && sizes(self.filter_response, "outputbytes")
            && any(&self.request_header, &headers())
            && any(&self.request_query, &query())
    }
}

/// The values of a header, as one text.
fn joined(values: &Value) -> String {
    match values {
        Value::Array(values) => values.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", "),
        Value::String(text) => text.clone(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => String::new(),
    }
}

/// One call, as the stream tells it.
struct Call<'v>(&'v Value);

impl Call<'_> {
    fn request(&self) -> &Value {
        self.0.pointer("/http/request").unwrap_or(&Value::Null)
    }

    fn response(&self) -> &Value {
        self.0.pointer("/http/response").unwrap_or(&Value::Null)
    }

    fn is_http(&self) -> bool {
        self.0.get("http").is_some_and(Value::is_object)
    }

    fn status(&self) -> u64 {
        number(self.0, "/http/response/statuscode")
    }

    fn failed(&self) -> bool {
        !word(self.0, "error").is_empty() || self.status() >= 400
    }

    fn duration(&self) -> u64 {
        number(self.0, "/dur")
    }

    fn path(&self) -> &str {
        match word(self.request(), "path") {
            "" => word(self.0, "path"),
            path => path,
        }
    }

    fn kind(&self) -> &'static str {
        let bit = number(self.0, "/type");
        KINDS.iter().find(|kind| kind.2 == bit).map_or("", |kind| kind.3)
    }

    fn status_text(&self) -> &'static str {
        let status = u16::try_from(self.status()).ok();
        let status = status.and_then(|status| StatusCode::from_u16(status).ok());
        status.and_then(|status| status.canonical_reason()).unwrap_or_default()
    }

    fn sums(&self) -> Value {
        json!({
            "rx": number(self.0, "/http/stats/inputbytes"),
            "tx": number(self.0, "/http/stats/outputbytes"),
            "duration": self.duration(),
            "timeToFirstByte": number(self.0, "/http/stats/timetofirstbyte"),
        })
    }

    fn told(&self) -> Value {
        let call = self.0;
        let mut told = json!({
            "status": "success",
            "host": word(call, "nodename"),
            "time": word(call, "time"),
            "client": word(self.request(), "client"),
            "duration": self.duration(),
            "timeToFirstByte": 0,
            "api": word(call, "funcname"),
            "path": self.path(),
            "query": word(self.request(), "rawquery"),
            "statusCode": self.status(),
            "statusMsg": self.status_text(),
            "type": self.kind(),
            "error": word(call, "error"),
            "extra": call.get("custom"),
        });
        if let Some(fields) = told.as_object_mut() {
            let size = number(call, "/bytes");
            fields.extend((size > 0).then(|| ("size".to_owned(), json!(size))));
            fields.extend(self.is_http().then(|| ("callStats".to_owned(), self.sums())));
        }
        told
    }

    fn told_whole(&self) -> Value {
        let call = self.0;
        let lean = |fields: Map<String, Value>| -> Value {
            fields
                .into_iter()
                .filter(|(_, value)| !is_silent(value))
                .collect::<Map<_, _>>()
                .into()
        };
        let headers = |of: &Value| {
            let found = of.get("headers").and_then(Value::as_object).into_iter().flatten();
            let found: Map<String, Value> = found
                .map(|(name, values)| (name.clone(), json!(joined(values))))
                .collect();
            if found.is_empty() {
                Value::Null
            } else {
                Value::Object(found)
            }
        };
        let fields = |pairs: &[(&str, Value)]| -> Map<String, Value> {
            pairs
                .iter()
                .map(|(name, value)| ((*name).to_owned(), value.clone()))
                .collect()
        };
        let (request, response) = (self.request(), self.response());
        let mut told = fields(&[
            ("type", json!(self.kind())),
            ("host", json!(word(call, "nodename"))),
            ("api", json!(word(call, "funcname"))),
            ("time", json!(word(call, "time"))),
            ("duration", json!(self.duration())),
            ("path", json!(self.path())),
            ("error", json!(word(call, "error"))),
            ("extra", call.get("custom").cloned().unwrap_or_default()),
        ]);
        if self.is_http() {
            let asked = fields(&[
                ("time", json!(word(request, "time"))),
                ("proto", json!(word(request, "proto"))),
                ("method", json!(word(request, "method"))),
                ("path", json!(word(request, "path"))),
                ("rawQuery", json!(word(request, "rawquery"))),
                ("headers", headers(request)),
            ]);
            let answered = fields(&[
                ("time", json!(word(response, "time"))),
                ("headers", headers(response)),
                ("statusCode", json!(self.status())),
            ]);
            told.insert("request".into(), lean(asked));
            told.insert("response".into(), lean(answered));
            told.insert("callStats".into(), self.sums());
        }
        lean(told)
    }

    fn line(&self) -> String {
        let call = self.0;
        let (time, name, node) = (word(call, "time"), word(call, "funcname"), word(call, "nodename"));
        let time = time.get(..23).unwrap_or(time);
        let took = span(self.duration());
        if !self.is_http() {
            let error = match word(call, "error") {
                "" => String::new(),
                error => format!("  {error}"),
            };
            return format!(
                "{time} [{}] {name} {node} {} {took}{error}",
                self.kind().to_uppercase(),
                self.path()
            );
        }
        let query = match word(self.request(), "rawquery") {
            "" => String::new(),
            query => format!("?{query}"),
        };
        format!(
            "{time} [{} {}] {name} {node}{}{query} {}  {took}  ↑ {} ↓ {}",
            self.status(),
            self.status_text(),
            self.path(),
            word(self.request(), "client"),
            human(number(call, "/http/stats/inputbytes")),
            human(number(call, "/http/stats/outputbytes")),
        )
    }

    fn whole(&self) -> String {
        let mut text = self.line();
        let (request, response) = (self.request(), self.response());
        if self.is_http() {
            let target = format!("{} {}", word(request, "method"), word(request, "path"));
            text.push_str(&format!("\n  > {target} {}", word(request, "proto")));
        }
        for (mark, message) in [('>', request), ('<', response)] {
            for (name, values) in message.get("headers").and_then(Value::as_object).into_iter().flatten() {
                text.push_str(&format!("\n  {mark} {name}: {}", joined(values)));
            }
        }
        for (name, value) in self.0.get("custom").and_then(Value::as_object).into_iter().flatten() {
            text.push_str(&format!("\n  {name}={}", value.as_str().unwrap_or_default()));
        }
        text
    }
}

/// Nanoseconds as people read them.
fn span(nanos: u64) -> String {
    match nanos {
        0..1_000 => format!("{nanos}ns"),
        1_000..1_000_000 => format!("{:.1}µs", nanos as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1}ms", nanos as f64 / 1e6),
        _ => format!("{:.2}s", nanos as f64 / 1e9),
    }
}

/// Opens the stream of calls of some kinds.
async fn open(api: &Api, kinds: &[&str], wanted: &Wanted) -> Result<Documents, ClientError> {
    let threshold = format!("{}ns", wanted.response_duration.unwrap_or_default());
    let truth = |asked: bool| if asked { "true" } else { "false" };
    let mut query = vec![
        ("err", truth(wanted.errors)),
        (
            "threshold",
            if wanted.response_duration.is_some() {
                &threshold
            } else {
                "0s"
            },
        ),
    ];
    query.extend(KINDS.map(|(name, ..)| (name, truth(kinds.contains(&name)))));
    api.stream(Method::GET, "trace", &query).await
}

pub(super) async fn run(shell: &Shell, args: &TraceArgs) -> Result<(), Failure> {
    let kinds: Vec<&str> = match (args.all, args.call.is_empty()) {
        (true, _) => KINDS.map(|(name, ..)| name).to_vec(),
        (false, true) => vec!["s3"],
        (false, false) => args.call.clone(),
    };
    let api = Api::of(shell, &args.target)?;
    if args.stats {
        return sums(shell, &api, &kinds, &args.wanted).await;
    }
    let failed = |error: ClientError| Failure::fatal("Unable to listen to http trace").because(&error);
    let mut stream = open(&api, &kinds, &args.wanted).await.map_err(failed)?;
    while let Some(document) = stream.next().await.map_err(failed)? {
        let call = Call(&document);
        if !args.wanted.fits(&call) {
            continue;
        }
        let heard = match args.verbose {
            true => shell.out.say_on(&call.told_whole(), &call.whole()),
            false => shell.out.say_on(&call.told(), &call.line()),
        };
        if !heard {
            return Ok(());
        }
    }
    Err(Failure::fatal("Unable to listen to http trace").hint("The server ended the stream"))
}

/// The sums of calls of one name.
#[derive(Clone, Copy, Default)]
struct Sum {
    count: u64,
    errors: u64,
    nanos: u64,
    slowest: u64,
    received: u64,
    sent: u64,
}

/// Tells the sums of all calls, as long as the stream lasts.
pub(super) async fn sums(shell: &Shell, api: &Api, kinds: &[&str], wanted: &Wanted) -> Result<(), Failure> {
    let failed = |error: ClientError| Failure::fatal("Unable to fetch http trace statistics").because(&error);
    let mut stream = open(api, kinds, wanted).await.map_err(failed)?;
    let mut sums: BTreeMap<String, Sum> = BTreeMap::new();
    let (mut shown, mut changed) = (Instant::now(), false);
    loop {
        let wait = TABLE_EVERY.saturating_sub(shown.elapsed());
        match tokio::time::timeout(wait, stream.next()).await {
            Ok(Ok(Some(document))) => {
                let call = Call(&document);
                if wanted.fits(&call) {
                    let name = word(&document, "funcname").to_owned();
                    sums.entry(name).or_default().add(&call);
                    changed = true;
                }
            }
            Ok(Ok(None)) => break,
            Ok(Err(error)) => return Err(failed(error)),
            Err(_late) => {}
        }
        if shown.elapsed() >= TABLE_EVERY {
            if std::mem::take(&mut changed) && !tell(shell, &sums) {
                return Ok(());
            }
            shown = Instant::now();
        }
    }
    if changed && !tell(shell, &sums) {
        return Ok(());
    }
    Err(Failure::fatal("Unable to fetch http trace statistics").hint("The server ended the stream"))
}

impl Sum {
    fn add(&mut self, call: &Call<'_>) {
        self.count += 1;
        self.errors += u64::from(call.failed());
        self.nanos += call.duration();
        self.slowest = self.slowest.max(call.duration());
        self.received += number(call.0, "/http/stats/inputbytes");
        self.sent += number(call.0, "/http/stats/outputbytes");
    }

    fn average(&self) -> u64 {
        self.nanos.checked_div(self.count).unwrap_or_default()
    }
}

/// Tells the sums; gives whether somebody may still listen.
fn tell(shell: &Shell, sums: &BTreeMap<String, Sum>) -> bool {
    let told = sums.iter().map(|(name, sum)| {
        json!({
            "name": name,
            "count": sum.count,
            "errors": sum.errors,
            "averageDuration": sum.average(),
            "maxDuration": sum.slowest,
            "rx": sum.received,
            "tx": sum.sent,
        })
    });
    let value = json!({ "status": "success", "calls": told.collect::<Vec<_>>() });
    let width = sums.keys().map(String::len).max().unwrap_or_default().max(4);
    let mut text = format!(
        "{:<width$}  {:>8} {:>8} {:>10} {:>10}",
        "Call", "Count", "Errors", "Average", "Slowest"
    );
    for (name, sum) in sums {
        let (average, slowest) = (span(sum.average()), span(sum.slowest));
        text.push_str(&format!(
            "\n{name:<width$}  {:>8} {:>8} {average:>10} {slowest:>10}  ↑ {} ↓ {}",
            sum.count,
            sum.errors,
            human(sum.received),
            human(sum.sent)
        ));
    }
    shell.out.say_on(&value, &text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call() -> Value {
        json!({
            "type": 4, "nodename": "n1:9000", "funcname": "s3.PutObject", "time": "2026-11-21T18:00:00.123456789Z",
            "path": "/one/a", "dur": 1_234_567, "bytes": 10,
            "http": {
                "request": { "method": "PUT", "path": "/one/a", "rawquery": "x=1", "headers": { "A": ["1", "2"] }, "client": "c" },
                "response": { "statuscode": 404, "headers": {} },
                "stats": { "inputbytes": 100, "outputbytes": 200, "timetofirstbyte": 5 },
            },
        })
    }

    #[test]
    fn a_call_is_told_with_the_fields_that_scripts_know() {
        let document = call();
        let told = Call(&document).told();
        assert_eq!((word(&told, "type"), word(&told, "statusMsg")), ("S3", "Not Found"));
        assert_eq!(number(&told, "/callStats/rx"), 100);
        assert_eq!((number(&told, "/size"), told.get("extra")), (10, Some(&Value::Null)));
        let whole = Call(&document).told_whole();
        assert_eq!(whole.pointer("/request/headers/A"), Some(&json!("1, 2")));
        assert_eq!(whole.pointer("/response/headers"), None);
        assert!(
            Call(&document)
                .line()
                .contains("[404 Not Found] s3.PutObject n1:9000/one/a?x=1 c  1.2ms")
        );
    }

    #[test]
    fn only_calls_that_fit_every_filter_are_shown() {
        let document = call();
        let fits = |wanted: Wanted| wanted.fits(&Call(&document));
        let pattern = |text: &str| vec![wildcard(text).unwrap()];
        assert!(fits(Wanted {
            errors: true,
            ..Wanted::default()
        }));
        assert!(fits(Wanted {
            funcname: pattern("s3.Put*"),
            path: pattern("/one/*"),
            ..Wanted::default()
        }));
        assert!(fits(Wanted {
            request_header: pattern("A: 1*"),
            request_query: pattern("x=1"),
            ..Wanted::default()
        }));
        assert!(fits(Wanted {
            path: pattern("one/*"),
            ..Wanted::default()
        }));
        assert!(!fits(Wanted {
            status_code: vec![200],
            ..Wanted::default()
        }));
        assert!(!fits(Wanted {
            method: vec!["get".into()],
            ..Wanted::default()
        }));
        assert!(!fits(Wanted {
            response_duration: Some(2_000_000),
            ..Wanted::default()
        }));
        assert!(!fits(Wanted {
            filter_request: true,
            filter_size: Some(100),
            ..Wanted::default()
        }));
        assert!(fits(Wanted {
            filter_response: true,
            filter_size: Some(100),
            ..Wanted::default()
        }));
    }

    #[test]
    fn spans_are_read_and_shown() {
        assert_eq!((nanos("5ms"), nanos("1.5s")), (Ok(5_000_000), Ok(1_500_000_000)));
        assert!(nanos("5").is_err() && nanos("x").is_err() && nanos("1d").is_err());
        assert_eq!(
            (span(999), span(1_500), span(2_000_000_000)),
            ("999ns".into(), "1.5µs".into(), "2.00s".into())
        );
        assert!(kind("decom") == Ok("decommission") && kind("").is_err());
    }
}
