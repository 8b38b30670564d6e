//! Opens a store on four drives, puts a body, loses two drives and gets it back.
//!
//! `cargo run -p storage-engine --example put_get`

use bytes::Bytes;
use futures::TryStreamExt;
use storage_engine::backend::{Backend, Batch, BlobClass, Key, NewBody, Op, Put};
use storage_engine::embedded::{Embedded, OpenOptions};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = tempfile::tempdir()?;
    let drives: Vec<_> = (1..=4).map(|n| dir.path().join(format!("data{n}"))).collect();
    let options = OpenOptions {
        drives: drives.clone(),
        ..OpenOptions::default()
    };

    let store = Embedded::open(options.clone()).await?;
    let body = Bytes::from(vec![7; 1_000_000]);
    let source = Box::pin(futures::stream::iter([Ok(body.clone())]));
    let blob = store.put_blob(BlobClass::Object, source, None).await?;
    let put = Put {
        key: Key::new("greeting"),
        value: "text/plain".into(),
        body: NewBody::Blob(blob),
        parent_len: None,
    };
    // When this returns the body is on stable media of all four drives.
    store
        .commit(Batch {
            require: vec![],
            ops: vec![Op::Put(put)],
        })
        .await?;
    store.close().await;
    drop(store);

    for lost in drives.iter().step_by(2) {
        std::fs::remove_dir_all(lost)?;
    }
    let store = Embedded::open(options).await?;
    let row = store.get(&Key::new("greeting")).await?.ok_or("lost")?;
    let found = row.body.ok_or("no body")?;
    let chunks: Vec<Bytes> = store.get_blob(&found, 0..found.len).await?.try_collect().await?;
    assert_eq!(chunks.concat(), body);
    println!(
        "two of four drives are gone; {:?}; all {} bytes are back",
        store.health().state,
        found.len
    );
    Ok(())
}
