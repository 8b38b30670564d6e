//! `mc ping`: whether servers are alive, and how long they take to say so.

use std::time::{Duration, Instant};

use clap::Args;
use http::Method;
use serde_json::json;

use super::client::{Ask, Client};
use super::output::Failure;
use super::shell::Shell;

const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Debug, Args)]
pub(super) struct PingArgs {
    /// Ask so often; 0 asks for ever
    #[arg(long, short, value_name = "TIMES", default_value_t = 0)]
    count: u64,
    /// Give up after so many errors; 0 never does
    #[arg(long, short, value_name = "ERRORS", default_value_t = 0)]
    error_count: u64,
    /// Be done when a server has answered
    #[arg(long, short = 'x')]
    exit: bool,
    /// Seconds between questions
    #[arg(long, short, value_name = "SECONDS", default_value_t = 1)]
    interval: u64,
    #[arg(value_name = "ALIAS", required = true)]
    targets: Vec<String>,
}

#[derive(Default)]
struct Times {
    min: Option<Duration>,
    max: Duration,
    sum: Duration,
    answers: u32,
    errors: u64,
}

pub(super) async fn run(shell: &Shell, args: PingArgs) -> Result<(), Failure> {
    for target in &args.targets {
        let client = shell.client(target.trim_end_matches('/'))?;
        let mut times = Times::default();
        for number in 1.. {
            let error = once(&client, &mut times).await;
            say(shell, &client, number, &times, error.as_deref());
            if args.error_count > 0 && times.errors >= args.error_count {
                return Err(Failure::fatal(format!(
                    "`{target}` did not answer {} times.",
                    times.errors
                )));
            }
            if number == args.count || (args.exit && error.is_none()) {
                break;
            }
            tokio::time::sleep(Duration::from_secs(args.interval)).await;
        }
    }
    Ok(())
}

async fn once(client: &Client, times: &mut Times) -> Option<String> {
    let begun = Instant::now();
    let ask = Ask::of(Method::GET, "", "minio/health/live");
    let error = match tokio::time::timeout(PATIENCE, client.health(&ask)).await {
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some(error.to_string()),
        Err(_) => Some("no answer in time".to_owned()),
    };
    if error.is_some() {
        times.errors += 1;
        return error;
    }
    let took = begun.elapsed();
    times.min = Some(times.min.map_or(took, |min| min.min(took)));
    times.max = times.max.max(took);
    times.sum += took;
    times.answers += 1;
    None
}

fn say(shell: &Shell, client: &Client, number: u64, times: &Times, error: Option<&str>) {
    let shown = |time: Duration| format!("{:.2}ms", time.as_secs_f64() * 1000.0);
    let min = shown(times.min.unwrap_or_default());
    let (max, average) = (shown(times.max), shown(times.sum / times.answers.max(1)));
    let host = &client.alias().host;
    let scheme = if host.tls { "https" } else { "http" };
    let mut server = json!({
        "endpoint": { "Scheme": scheme, "Host": host.authority() },
        "min": min,
        "max": max,
        "average": average,
        "error-count": times.errors.to_string(),
    });
    if let (Some(fields), Some(error)) = (server.as_object_mut(), error) {
        fields.insert("error".into(), json!(error));
    }
    let status = if error.is_some() { "error" } else { "success" };
    let value = json!({ "status": status, "counter": format!("{number:>3}"), "servers": [server] });
    let told = error.map(|error| format!("   {error}")).unwrap_or_default();
    let errors = times.errors;
    let text = format!(
        "{number:>3}: {}   min={min}   max={max}   average={average}   errors={errors}{told}",
        client.url()
    );
    shell.out.say(&value, &text);
}
