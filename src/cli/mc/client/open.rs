//! Uploads that a command has open on servers, so that what an interrupted one began is taken back. It completes none.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::future::{join, join_all};
use http::Method;
use parking_lot::Mutex;
use tokio::sync::watch;

use super::{Ask, Client, ClientError};

/// See the module.
pub(in crate::cli::mc) struct OpenUploads {
    open: Mutex<BTreeMap<String, Arc<OpenUpload>>>,
    /// Uploads that are asked for, and whose id is not known yet.
    beginning: watch::Sender<usize>,
}

impl Default for OpenUploads {
    fn default() -> Self {
        Self {
            open: Mutex::default(),
            beginning: watch::Sender::new(0),
        }
    }
}

/// One of them.
pub(super) struct OpenUpload {
    pub(super) client: Arc<Client>,
    pub(super) bucket: String,
    pub(super) key: String,
    pub(super) id: String,
}

impl OpenUpload {
    /// Takes it back; one that is gone is.
    pub(super) async fn abort(&self) -> Result<(), ClientError> {
        let query = [("uploadId", self.id.as_str())];
        let abort = Ask {
            query: &query,
            ..Ask::of(Method::DELETE, &self.bucket, &self.key)
        };
        match self.client.ask(&abort).await {
            Err(error) if error.code() != "NoSuchUpload" => Err(error),
            Ok(_) | Err(_) => Ok(()),
        }
    }
}

/// An upload that is being asked for.
pub(super) struct Beginning(Arc<OpenUploads>);

impl Drop for Beginning {
    fn drop(&mut self) {
        self.0.beginning.send_modify(|count| *count = count.saturating_sub(1));
    }
}

impl Beginning {
    /// The server has it.
    pub(super) fn opened(self, upload: OpenUpload) -> Arc<OpenUpload> {
        let upload = Arc::new(upload);
        self.0.open.lock().insert(upload.id.clone(), Arc::clone(&upload));
        upload
    }
}

impl OpenUploads {
    /// An upload is asked for from now on.
    pub(super) fn begin(self: &Arc<Self>) -> Beginning {
        self.beginning.send_modify(|count| *count += 1);
        Beginning(Arc::clone(self))
    }

    /// It was completed, or taken back.
    pub(super) fn forget(&self, upload: &OpenUpload) {
        self.open.lock().remove(&upload.id);
    }

    /// Takes all of them back, also those that are just being asked for; gives those that stay, with the reason.
    pub(in crate::cli::mc) async fn take_back(&self) -> Vec<(String, ClientError)> {
        // Who waits has a bound of their own, and what is known does not wait for a server that does not answer.
        let later = async {
            drop(self.beginning.subscribe().wait_for(|count| *count == 0).await);
            self.abort_known().await
        };
        let (mut left, later) = join(self.abort_known(), later).await;
        left.extend(later);
        left
    }

    /// Takes those back whose ids are known by now; gives those that stay.
    async fn abort_known(&self) -> Vec<(String, ClientError)> {
        let open = std::mem::take(&mut *self.open.lock());
        let aborted = open.into_values().map(|upload| async move {
            let url = upload.client.url_of(&upload.bucket, &upload.key);
            upload.abort().await.err().map(|error| (url, error))
        });
        join_all(aborted).await.into_iter().flatten().collect()
    }
}
