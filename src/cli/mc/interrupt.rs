//! The end before the end: ^C, and being told to terminate. A verb is left where it waits, what it has open on servers is
//! taken back, and the exit code says what happened. It tells nothing but what could not be taken back.

use std::future::Future;
use std::io;
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{oneshot, watch};

use super::output::Failure;
use super::shell::Shell;

/// How long a verb that waits for a person or a pipe may take to leave.
const LEAVING: Duration = Duration::from_secs(2);
/// How long taking back may last.
const TAKING_BACK: Duration = Duration::from_secs(15);
/// What the first thread of a program has; verbs were made for that.
const STACK_BYTES: usize = 8 * 1024 * 1024;

/// How a command ended.
pub(super) enum Ended {
    Done(Result<(), Failure>),
    /// By a signal; with the exit code that shells know it by.
    Interrupted(u8),
}

struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn heard_from_now_on() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    /// The next one, as an exit code.
    async fn next(&mut self) -> u8 {
        tokio::select! {
            _ = self.interrupt.recv() => 130,
            _ = self.terminate.recv() => 143,
        }
    }
}

/// Does the work until its end, or until a signal. A second signal ends everything at once.
pub(super) fn conduct<F>(runtime: Runtime, shell: &Shell, work: impl FnOnce() -> F + Send + 'static) -> Ended
where
    F: Future<Output = Result<(), Failure>>,
{
    let unable = |error: io::Error| Ended::Done(Err(Failure::fatal("Unable to start.").because(&error.into())));
    let signals = {
        let _here = runtime.enter();
        Signals::heard_from_now_on()
    };
    let mut signals = match signals {
        Ok(signals) => signals,
        Err(error) => return unable(error),
    };
    let (stop, mut stopped) = watch::channel(false);
    let (tell, told) = oneshot::channel();
    let handle = runtime.handle().clone();
    // A thread of its own: a verb may wait for standard input, where no signal reaches it.
    let worker = std::thread::Builder::new()
        .name("verb".to_owned())
        .stack_size(STACK_BYTES);
    let worker = worker.spawn(move || {
        let ended = handle.block_on(async {
            tokio::select! {
                biased;
                done = work() => Some(done),
                _ = stopped.wait_for(|stopped| *stopped) => None,
            }
        });
        drop(tell.send(ended));
    });
    if let Err(error) = worker {
        return unable(error);
    }
    let ended = runtime.block_on(attend(shell, &mut signals, told, stop));
    // What still waits for standard input ends with the program.
    runtime.shutdown_background();
    ended
}

async fn attend(
    shell: &Shell,
    signals: &mut Signals,
    mut told: oneshot::Receiver<Option<Result<(), Failure>>>,
    stop: watch::Sender<bool>,
) -> Ended {
    let lost = || {
        Ended::Done(Err(Failure::fatal(
            "The command broke off; this is a bug, please report it.",
        )))
    };
    let code = tokio::select! {
        biased;
        done = &mut told => return done.ok().flatten().map_or_else(lost, Ended::Done),
        code = signals.next() => code,
    };
    stop.send_replace(true);
    let leave = async {
        if let Ok(Ok(Some(done))) = tokio::time::timeout(LEAVING, told).await {
            return Ended::Done(done);
        }
        match tokio::time::timeout(TAKING_BACK, shell.take_back()).await {
            Ok(left) => {
                for (url, error) in left {
                    shell.report(&Failure::error(format!("An upload to `{url}` was not taken back.")).because(&error));
                }
            }
            Err(_late) => shell.report(&Failure::error("Open uploads were not taken back in time.")),
        }
        Ended::Interrupted(code)
    };
    tokio::select! {
        ended = leave => ended,
        code = signals.next() => Ended::Interrupted(code),
    }
}
