//! Questions to paths that may never answer: each on a thread of its own and for a limited time. A path that still owes
//! an answer is not asked again, so that a hung drive costs one thread and one wait. It knows paths and time only.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::embedded::detached;

/// Remembers which paths owe an answer.
#[derive(Debug, Default)]
pub struct Patience {
    owing: Arc<Mutex<BTreeSet<PathBuf>>>,
}

/// Settles the debt of a path, however its question ended.
struct Owed {
    path: PathBuf,
    owing: Arc<Mutex<BTreeSet<PathBuf>>>,
}

impl Drop for Owed {
    fn drop(&mut self) {
        self.owing.lock().remove(&self.path);
    }
}

impl Patience {
    /// Asks a path; the error says for the operator why there is no answer. What answers too late is dropped.
    pub async fn ask<T: Send + 'static>(
        &self,
        path: &Path,
        within: Duration,
        question: impl FnOnce(&Path) -> T + Send + 'static,
    ) -> Result<T, String> {
        let path = path.to_owned();
        if !self.owing.lock().insert(path.clone()) {
            return Err("it still does not answer".into());
        }
        let owing = Arc::clone(&self.owing);
        let owed = Owed { path, owing };
        let (send, answer) = oneshot::channel();
        let asking = detached::spawn("drive-look", move || {
            let given = question(&owed.path);
            drop(owed);
            drop(send.send(given));
        });
        asking.map_err(|e| e.to_string())?;
        match tokio::time::timeout(within, answer).await {
            Ok(Ok(given)) => Ok(given),
            Ok(Err(_)) => Err("looking at it failed; this is a bug".into()),
            Err(_) => Err(format!("it did not answer within {} s", within.as_secs())),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn a_path_that_hangs_is_waited_for_once_and_asked_again_when_it_answered() {
        let patience = Patience::default();
        let (path, short) = (Path::new("/hung"), Duration::from_millis(50));
        let (release, hung) = mpsc::channel::<()>();
        let late = patience.ask(path, short, move |_| hung.recv().is_ok()).await;
        assert!(late.unwrap_err().contains("did not answer"));
        let owed = patience.ask(path, Duration::from_secs(60), |_| ()).await;
        assert!(owed.unwrap_err().contains("still"));
        assert_eq!(patience.ask(Path::new("/well"), short * 100, |_| 7).await, Ok(7));
        drop(release);
        while patience.ask(path, short * 100, |_| ()).await.is_err() {
            tokio::time::sleep(short).await;
        }
    }

    #[tokio::test]
    async fn a_question_that_panics_settles_its_debt() {
        let patience = Patience::default();
        let (path, long) = (Path::new("/x"), Duration::from_secs(60));
        assert!(patience.ask(path, long, |_| panic!("planted")).await.is_err());
        assert_eq!(patience.ask(path, long, |_| 1).await, Ok(1));
    }
}
