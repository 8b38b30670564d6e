//! `mc cat` and `mc head`: bytes of objects and files to standard output.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};

use bytes::Bytes;
use clap::Args;
use http_body_util::BodyExt;

use super::client::ClientError;
use super::output::Failure;
use super::place::Place;
use super::shell::Shell;

const PIECE_BYTES: usize = 256 * 1024;

#[derive(Debug, Args)]
pub(super) struct CatArgs {
    /// Begin behind so many bytes
    #[arg(long, value_name = "BYTES", default_value_t = 0, conflicts_with = "tail")]
    offset: u64,
    /// Only so many bytes at the end
    #[arg(long, value_name = "BYTES")]
    tail: Option<u64>,
    #[arg(value_name = "TARGET", required = true)]
    targets: Vec<String>,
}

pub(super) async fn cat(shell: &Shell, args: CatArgs) -> Result<(), Failure> {
    for target in &args.targets {
        let place = named(shell, target)?;
        let failed = |error: ClientError| unread(target, &error);
        let offset = match args.tail {
            Some(tail) => size(&place).await.map_err(failed)?.saturating_sub(tail),
            None => args.offset,
        };
        each_piece(&place, offset, &mut |piece| write(&piece).map(|()| true))
            .await
            .map_err(failed)?;
    }
    Ok(())
}

#[derive(Debug, Args)]
pub(super) struct HeadArgs {
    /// So many lines of each
    #[arg(long, short = 'n', value_name = "LINES", default_value_t = 10)]
    lines: u64,
    #[arg(value_name = "TARGET", required = true)]
    targets: Vec<String>,
}

pub(super) async fn head(shell: &Shell, args: HeadArgs) -> Result<(), Failure> {
    for target in &args.targets {
        let place = named(shell, target)?;
        let mut left = args.lines;
        let mut take = |piece: Bytes| {
            let ends = piece.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
            let Some(last) = left.checked_sub(1) else {
                return Ok(false);
            };
            let cut = ends.clone().nth(usize::try_from(last).unwrap_or(usize::MAX));
            left = left.saturating_sub(u64::try_from(ends.count()).unwrap_or(u64::MAX));
            match cut.and_then(|(at, _)| piece.get(..=at)) {
                Some(rest) => write(rest).map(|()| false),
                None => write(&piece).map(|()| true),
            }
        };
        each_piece(&place, 0, &mut take)
            .await
            .map_err(|error| unread(target, &error))?;
    }
    Ok(())
}

fn unread(target: &str, error: &ClientError) -> Failure {
    Failure::fatal(format!("Unable to read from `{target}`.")).because(error)
}

fn named(shell: &Shell, target: &str) -> Result<Place, Failure> {
    let place = shell.place(target)?;
    if let Place::Remote(remote) = &place
        && remote.key.is_empty()
    {
        return Err(Failure::fatal(format!("Unable to read from `{target}`.")).hint("Object name cannot be empty."));
    }
    Ok(place)
}

async fn size(place: &Place) -> Result<u64, ClientError> {
    match place {
        Place::Remote(remote) => Ok(remote.client.stat(&remote.bucket, &remote.key).await?.size),
        Place::Local(path) => Ok(std::fs::metadata(path).map_err(ClientError::file(path))?.len()),
    }
}

/// Whoever closes our output has read enough.
fn write(piece: &[u8]) -> Result<(), ClientError> {
    let mut out = std::io::stdout().lock();
    match tokio::task::block_in_place(|| out.write_all(piece).and_then(|()| out.flush())) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => std::process::exit(0),
        result => Ok(result?),
    }
}

/// Hands on what is there from `offset` on, until `take` says that it is enough.
async fn each_piece(
    place: &Place,
    offset: u64,
    take: &mut dyn FnMut(Bytes) -> Result<bool, ClientError>,
) -> Result<(), ClientError> {
    match place {
        Place::Remote(remote) if offset == 0 => {
            // Goes on where a connection breaks, in the very same object.
            let mut reading = remote.client.read(&remote.bucket, &remote.key).await?;
            while let Some(data) = reading.next().await? {
                if !take(data)? {
                    break;
                }
            }
            Ok(())
        }
        Place::Remote(remote) => {
            let (stat, answer) = match remote.client.get(&remote.bucket, &remote.key, offset, None).await {
                // From the end on there is nothing, which is no mistake.
                Err(error) if error.code() == "InvalidRange" => return Ok(()),
                result => result?,
            };
            let mut body = answer.into_body();
            let mut came = 0_u64;
            while let Some(frame) = body.frame().await {
                let Ok(data) = frame.map_err(|cut| cut.of("the object"))?.into_data() else {
                    continue;
                };
                came += u64::try_from(data.len()).unwrap_or_default();
                if !take(data)? {
                    return Ok(());
                }
            }
            if came != stat.size {
                return Err(ClientError::Answer {
                    reason: format!("{} bytes were announced, and {came} came", stat.size),
                });
            }
            Ok(())
        }
        Place::Local(path) => {
            let mut file = File::open(path).map_err(ClientError::file(path))?;
            file.seek(SeekFrom::Start(offset)).map_err(ClientError::file(path))?;
            loop {
                let mut piece = Vec::new();
                let limit = u64::try_from(PIECE_BYTES).unwrap_or(u64::MAX);
                (&mut file)
                    .take(limit)
                    .read_to_end(&mut piece)
                    .map_err(ClientError::file(path))?;
                if piece.is_empty() || !take(piece.into())? {
                    return Ok(());
                }
            }
        }
    }
}
