//! Files that are downloaded so often and no more, by every way through the whole server.

use serde_json::{Value, json};

use super::links::{App, GIF, fails};
use super::projects::on_s3;
use super::stack::start;
use super::support::status;

impl App {
    /// A public picture of ann's which is given out so often; its id, and its address on S3.
    async fn counted(&self, most: u32) -> (String, String) {
        let (file, upload) = self
            .announce(json!({ "filename": "a.gif", "visibility": "public", "maxDownloads": most }))
            .await;
        assert_eq!(status(&self.put(&upload, GIF).await), 200);
        (file, upload.split('?').next().unwrap().to_owned())
    }

    async fn left(&self, file: &str) -> Value {
        let (code, told) = self.ask(Some("ann"), "GET", &format!("/{file}"), json!({})).await;
        assert_eq!(code, 200, "{told}");
        told["downloadsLeft"].clone()
    }
}

#[tokio::test]
async fn each_way_to_a_file_counts_and_the_last_one_closes_all() {
    let server = start(&[]).await;
    let app = App::new(server.addresses()[0]).await;
    let (file, at) = app.counted(3).await;
    let path = at.split_once(&app.address.to_string()).unwrap().1.to_owned();
    // What brings no bytes is no download.
    assert_eq!(status(&app.send("HEAD", &at, "", "").await), 200);
    assert_eq!(status(&app.send("GET", &at, "If-None-Match: *\r\n", "").await), 304);
    fails(
        &app.send("GET", &at, "Range: bytes=999-\r\n", "").await,
        416,
        "InvalidRange",
    );
    let image = format!(
        "http://{}/v1/img/shop/prod{}",
        app.address,
        path.replacen("/shop-prod", "", 1)
    );
    assert_eq!(status(&app.get(&image).await), 403, "no image of it is made, nor shown");
    assert_eq!(app.left(&file).await, json!(3));

    let answer = app.get(&at).await;
    assert!(status(&answer) == 200 && answer.ends_with(GIF), "{answer}");
    assert!(
        answer
            .to_ascii_lowercase()
            .contains("\r\ncache-control: private, no-store\r\n"),
        "{answer}"
    );
    assert_eq!(app.left(&file).await, json!(2));
    let link = app.download_url(None, &file).await;
    let answer = app.get(&link).await;
    assert!(status(&answer) == 200 && answer.ends_with(GIF), "{answer}");
    assert!(
        answer
            .to_ascii_lowercase()
            .contains("\r\ncache-control: private, no-store\r\n"),
        "{answer}"
    );
    assert_eq!(app.left(&file).await, json!(1));

    let told = futures::future::join_all((0..6).map(|_| app.get(&at))).await;
    let won = told.iter().filter(|answer| status(answer) == 200).count();
    assert_eq!(won, 1, "{told:?}");
    for answer in &told {
        assert!(matches!(status(answer), 200 | 403 | 404), "{answer}");
    }
    for address in [&at, &link] {
        assert_eq!(status(&app.get(address).await), 403);
    }
    assert_eq!(app.ask(Some("ann"), "GET", &format!("/{file}"), json!({})).await.0, 404);
    // Root's own reads count, too, and what lies in the trash it reads by no version.
    let (file, at) = app.counted(2).await;
    let path = at.split_once(&app.address.to_string()).unwrap().1.to_owned();
    assert_eq!(status(&on_s3(app.address, "GET", &path, "").await), 200);
    assert_eq!(app.left(&file).await, json!(1));
    server.stop().await.unwrap();
}
