//! `mc mb` and `mc rb`.

use clap::Args;
use serde_json::json;

use super::client::ClientError;
use super::output::Failure;
use super::place::{Place, Remote};
use super::remove::remove_below;
use super::shell::Shell;

#[derive(Debug, Args)]
pub(super) struct MbArgs {
    /// Region of the new bucket
    #[arg(long, value_name = "REGION", default_value = "us-east-1")]
    region: String,
    /// Be content with a bucket that is there already
    #[arg(long, short = 'p')]
    ignore_existing: bool,
    /// With object lock
    #[arg(long, short = 'l')]
    with_lock: bool,
    /// With versioning on
    #[arg(long)]
    with_versioning: bool,
    #[arg(value_name = "TARGET", required = true)]
    targets: Vec<String>,
}

pub(super) async fn make(shell: &Shell, args: MbArgs) -> Result<(), Failure> {
    for target in &args.targets {
        let made = match shell.place(target)? {
            Place::Local(path) => std::fs::create_dir_all(&path).map_err(ClientError::file(&path)),
            Place::Remote(remote) if remote.bucket.is_empty() => {
                let hint = "Bucket name cannot be empty";
                let message = format!("Unable to make bucket, please use `mc mb {target}/your-bucket-name`.");
                return Err(Failure::fatal(message).hint(hint));
            }
            Place::Remote(remote) => make_one(&args, &remote).await,
        };
        let named = target.trim_end_matches('/');
        match made {
            Ok(()) => {
                let value = json!({ "status": "success", "bucket": named, "region": region(&args) });
                shell
                    .out
                    .say(&value, &format!("Bucket created successfully `{named}`."));
            }
            Err(error) => shell.report(&Failure::error(format!("Unable to make bucket `{named}`.")).because(&error)),
        }
    }
    Ok(())
}

fn region(args: &MbArgs) -> &str {
    if args.region == "us-east-1" { "" } else { &args.region }
}

async fn make_one(args: &MbArgs, remote: &Remote) -> Result<(), ClientError> {
    check_name(&remote.bucket)?;
    if !remote.key.is_empty() {
        return Err(ClientError::Unfit(format!(
            "`{}` is a bucket and a prefix; only buckets are made",
            remote.shown()
        )));
    }
    let existing = ["BucketAlreadyOwnedByYou", "BucketAlreadyExists"];
    match remote
        .client
        .make_bucket(&remote.bucket, &args.region, args.with_lock)
        .await
    {
        Err(error) if !(args.ignore_existing && existing.contains(&error.code())) => return Err(error),
        Ok(()) | Err(_) => {}
    }
    if args.with_versioning {
        let document = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>";
        remote
            .client
            .put_document((&remote.bucket, ""), "versioning", document.to_owned())
            .await?;
    }
    Ok(())
}

/// Says in words what a server would only call an invalid name.
fn check_name(bucket: &str) -> Result<(), ClientError> {
    let problem = match bucket.len() {
        0..3 => "Bucket name cannot be shorter than 3 characters",
        64.. => "Bucket name cannot be longer than 63 characters",
        _ => return Ok(()),
    };
    Err(ClientError::Unfit(problem.to_owned()))
}

#[derive(Debug, Args)]
pub(super) struct RbArgs {
    /// With everything in it
    #[arg(long)]
    force: bool,
    /// Together with --force: all buckets of a server
    #[arg(long)]
    dangerous: bool,
    #[arg(value_name = "TARGET", required = true)]
    targets: Vec<String>,
}

pub(super) async fn remove(shell: &Shell, args: RbArgs) -> Result<(), Failure> {
    for target in &args.targets {
        let remote = shell.remote(target)?;
        if remote.bucket.is_empty() && !(args.force && args.dangerous) {
            let message = "This operation results in **site-wide** removal of buckets.";
            let hint = "If you are really sure, retry this command with ‘--force’ and ‘--dangerous’ flags";
            return Err(Failure::fatal(message).hint(hint));
        }
        if !remote.key.is_empty() {
            return Err(Failure::fatal(format!("`{target}` is not a bucket.")).hint("Use `mc rm` to remove objects"));
        }
        let failed =
            |error: &ClientError| Failure::error(format!("Unable to validate target `{target}`.")).because(error);
        match shell.buckets_of(remote).await {
            Ok(buckets) => {
                for bucket in buckets {
                    remove_one(shell, &args, &bucket).await?;
                }
            }
            Err(error) => shell.report(&failed(&error)),
        }
    }
    Ok(())
}

async fn remove_one(shell: &Shell, args: &RbArgs, remote: &Remote) -> Result<(), Failure> {
    let shown = remote.shown();
    let failed = |what: &str, error: &ClientError| Failure::error(format!("{what} `{shown}`.")).because(error);
    match remote.client.has_keys(&remote.bucket, "").await {
        Err(error) => {
            shell.report(&failed("Unable to validate target", &error));
            return Ok(());
        }
        Ok(true) if !args.force => {
            return Err(Failure::fatal(format!(
                "`{shown}` is not empty. Retry this command with ‘--force’ flag if you want to remove `{shown}` and all its contents"
            )));
        }
        Ok(_) => {}
    }
    let removed = async {
        if args.force {
            remove_below(remote, "", &mut |_| true, &mut |_, _| {}).await?;
        }
        remote.client.remove_bucket(&remote.bucket).await
    };
    match removed.await {
        Ok(()) => {
            let value = json!({ "status": "success", "bucket": shown });
            shell.out.say(&value, &format!("Removed `{shown}` successfully."));
        }
        Err(error) => shell.report(&failed("Failed to remove", &error)),
    }
    Ok(())
}
