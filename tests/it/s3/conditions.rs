//! Conditional reads and writes.

use super::Server;

const PAST: &str = "Wed, 21 Oct 2015 07:28:00 GMT";
const FUTURE: &str = "Thu, 01 Dec 2033 16:00:00 GMT";

#[tokio::test]
async fn reads_follow_their_conditions() {
    let server = Server::with_bucket().await;
    server.store("/bucket/a", "hello world").await;
    let etag = "\"5eb63bbbe01eeed093cb22bb8f5acdc3\"";
    let bare = etag.trim_matches('"');
    let list = format!("\"x\", {etag}");
    let table: &[(&[(&str, &str)], u16)] = &[
        (&[("if-match", etag)], 200),
        (&[("if-match", bare)], 200),
        (&[("if-match", "*")], 200),
        (&[("if-match", &list)], 200),
        (&[("if-match", "\"other\"")], 412),
        (&[("if-none-match", etag)], 304),
        (&[("if-none-match", bare)], 304),
        (&[("if-none-match", "*")], 304),
        (&[("if-none-match", "\"other\"")], 200),
        (&[("if-modified-since", PAST)], 200),
        (&[("if-modified-since", FUTURE)], 304),
        (&[("if-modified-since", "yesterday")], 200),
        (&[("if-unmodified-since", PAST)], 412),
        (&[("if-unmodified-since", FUTURE)], 200),
        (&[("if-unmodified-since", "0")], 200),
        (&[("if-match", etag), ("if-unmodified-since", PAST)], 200),
        (&[("if-none-match", "\"other\""), ("if-modified-since", FUTURE)], 200),
        (&[("if-none-match", etag), ("if-modified-since", PAST)], 304),
    ];
    for (headers, status) in table {
        for method in ["GET", "HEAD"] {
            let mut ask = server.ask(method, "/bucket/a");
            for (name, value) in *headers {
                ask = ask.header(name, value);
            }
            let answer = ask.send().await;
            assert_eq!(answer.status, *status, "{method} {headers:?}");
            if *status == 304 {
                assert_eq!((answer.header("etag"), answer.body.len()), (Some(etag), 0));
                assert!(answer.header("last-modified").is_some());
            }
        }
    }
}

#[tokio::test]
async fn a_range_with_if_range_is_for_that_object_only() {
    let server = Server::with_bucket().await;
    let stored = server.store("/bucket/a", "0123456789").await;
    let etag = stored.header("etag").unwrap().to_owned();
    let weak = format!("W/{etag}");
    for (validator, status, len) in [
        (etag.as_str(), 206, 2),
        ("\"other\"", 200, 10),
        (&weak, 200, 10),
        (PAST, 200, 10),
    ] {
        let ask = server
            .get("/bucket/a")
            .header("range", "bytes=0-1")
            .header("if-range", validator);
        assert_eq!(ask.send().await.is(status).body.len(), len, "{validator}");
    }
}

#[tokio::test]
async fn writes_follow_their_conditions() {
    let server = Server::with_bucket().await;
    let put = |name: &'static str, value: &str| server.put("/bucket/a").header(name, value).body("new");
    put("if-match", "\"x\"").send().await.fails(404, "NoSuchKey");
    put("if-none-match", "*").send().await.is(200);
    put("if-none-match", "*").send().await.fails(412, "PreconditionFailed");
    put("if-match", "\"x\"").send().await.fails(412, "PreconditionFailed");
    let etag = put("if-match", "*")
        .send()
        .await
        .is(200)
        .header("etag")
        .unwrap()
        .to_owned();
    put("if-none-match", &etag)
        .send()
        .await
        .fails(412, "PreconditionFailed");
    put("if-match", &etag).send().await.is(200);

    server
        .delete("/bucket/a")
        .header("if-match", "\"x\"")
        .send()
        .await
        .fails(412, "PreconditionFailed");
    server.get("/bucket/a").send().await.is(200);
    server
        .delete("/bucket/a")
        .header("if-match", &etag)
        .send()
        .await
        .is(204);
    server.get("/bucket/a").send().await.fails(404, "NoSuchKey");
}

#[tokio::test]
async fn of_many_writers_that_want_to_be_first_one_is() {
    let server = Server::with_bucket().await;
    let tries = (0..32).map(|i| {
        server
            .put("/bucket/a")
            .header("if-none-match", "*")
            .body(format!("{i}"))
            .send()
    });
    let answers = futures::future::join_all(tries).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1);
    assert!(answers.iter().all(|answer| matches!(answer.status, 200 | 412 | 409)));
}
