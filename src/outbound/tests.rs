//! Calls to servers of the test's own, on loopback.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::TryStreamExt;
use http::{HeaderMap, StatusCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::dial::{LookUp, system};
use super::{Outbound, OutboundError, Patience, Rules};
use crate::http::trust;
use crate::policy::Network;

/// Answers each connection with one of the texts, in turn, the last for ever; how many connections there were.
async fn answering(answers: Vec<String>) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, count) = (listener.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
    let counted = Arc::clone(&count);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let at = counted.fetch_add(1, Ordering::SeqCst).min(answers.len() - 1);
            let mut request = vec![0; 64 * 1024];
            let _ = stream.read(&mut request).await;
            let _ = stream.write_all(answers[at].as_bytes()).await;
            let _ = stream.shutdown().await;
        }
    });
    (address, count)
}

fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

fn to(location: &str) -> String {
    format!("HTTP/1.1 302 Found\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n")
}

fn loopback() -> Rules {
    Rules {
        networks: vec![Network::parse("127.0.0.0/8").unwrap()],
        plain_http: true,
    }
}

fn outbound(rules: Rules, look_up: LookUp) -> Outbound {
    Outbound::with(rules, look_up, trust::of_machine().unwrap())
}

/// A name server of the test's own.
fn telling(addresses: &'static [&'static str]) -> LookUp {
    let asked = AtomicUsize::new(0);
    Arc::new(move |_, port| {
        let at = asked.fetch_add(1, Ordering::SeqCst).min(addresses.len() - 1);
        let told = addresses[at].split(' ');
        let told = told.map(|address| SocketAddr::new(address.parse().unwrap(), port));
        let told: Vec<SocketAddr> = told.collect();
        Box::pin(async move { Ok(told) })
    })
}

async fn fetched(outbound: &Outbound, url: &str) -> Result<Vec<u8>, OutboundError> {
    let url = outbound.check(url)?;
    let found = outbound.fetch(&url, Patience::default()).await?;
    let pieces: Vec<Bytes> = found
        .body
        .try_collect()
        .await
        .map_err(|error| error.downcast_ref::<OutboundError>().unwrap().clone())?;
    Ok(pieces.concat())
}

#[tokio::test]
async fn what_an_operator_lets_is_called_and_nothing_else() {
    let (address, count) = answering(vec![ok("stone")]).await;
    let url = format!("http://{address}/a");
    let open = outbound(loopback(), system());
    assert_eq!(fetched(&open, &url).await.unwrap(), b"stone");

    let closed = outbound(
        Rules {
            plain_http: true,
            ..Rules::default()
        },
        system(),
    );
    assert_eq!(fetched(&closed, &url).await, Err(OutboundError::Forbidden));
    for spelled in [
        format!("http://localhost:{}/", address.port()),
        format!("http://2130706433:{}/", address.port()),
        format!("http://0x7f.1:{}/", address.port()),
        format!("http://[::ffff:127.0.0.1]:{}/", address.port()),
        format!("http://0:{}/", address.port()),
    ] {
        assert_eq!(
            fetched(&closed, &spelled).await,
            Err(OutboundError::Forbidden),
            "{spelled}"
        );
    }
    assert_eq!(count.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn addresses_that_are_none_are_refused_before_anything_is_called() {
    let strict = outbound(Rules::default(), system());
    for wrong in [
        "",
        "stone",
        "http://files.test/",
        "ftp://files.test/",
        "file:///etc/passwd",
        "https://user@files.test/",
        "https://:word@files.test/",
        &format!("https://files.test/{}", "a".repeat(3_000)),
    ] {
        assert!(matches!(strict.check(wrong), Err(OutboundError::Url(_))), "{wrong}");
    }
    for own in ["https://10.0.0.1/", "https://[::1]/", "https://169.254.169.254/latest"] {
        assert_eq!(strict.check(own), Err(OutboundError::Forbidden), "{own}");
    }
    assert!(strict.check("https://files.test/a?b=c").is_ok());
}

#[tokio::test]
async fn a_name_that_tells_another_address_later_gains_nothing() {
    let (address, count) = answering(vec![ok("stone")]).await;
    let rules = Rules {
        plain_http: true,
        ..Rules::default()
    };
    // Public when it is judged, of this machine when it is called: there is one look, and both are of it.
    let url = format!("http://rebinding.test:{}/", address.port());
    let rebinding = outbound(rules.clone(), telling(&["127.0.0.1", "8.8.8.8"]));
    assert_eq!(fetched(&rebinding, &url).await, Err(OutboundError::Forbidden));
    let hidden = outbound(rules, telling(&["10.0.0.1 127.0.0.1 ::1"]));
    assert_eq!(fetched(&hidden, &url).await, Err(OutboundError::Forbidden));
    assert_eq!(count.load(Ordering::SeqCst), 0);
    let named = outbound(loopback(), telling(&["127.0.0.1"]));
    assert_eq!(fetched(&named, &url).await.unwrap(), b"stone");
}

#[tokio::test]
async fn each_hop_is_judged_as_the_first_address_was() {
    for (location, expected) in [
        ("http://10.0.0.1/", OutboundError::Forbidden),
        ("http://[fd00::1]/", OutboundError::Forbidden),
        ("//192.168.0.1/", OutboundError::Forbidden),
        (
            "file:///etc/passwd",
            OutboundError::Url("it must begin with https:// or http://"),
        ),
        ("http://u@127.0.0.1/", OutboundError::Url("it names a user")),
        ("http://", OutboundError::Url("a redirect leads to none")),
    ] {
        let (address, _) = answering(vec![to(location), ok("stone")]).await;
        let open = outbound(loopback(), system());
        let found = fetched(&open, &format!("http://{address}/")).await;
        assert_eq!(found, Err(expected), "{location}");
    }
    let hops = |count: usize| {
        let mut answers: Vec<String> = (0..count).map(|at| to(&format!("/hop/{at}"))).collect();
        answers.push(ok("stone"));
        answers
    };
    let open = outbound(loopback(), system());
    let (address, count) = answering(hops(5)).await;
    let url = format!("http://{address}/");
    assert_eq!(fetched(&open, &url).await.unwrap(), b"stone");
    assert_eq!(count.load(Ordering::SeqCst), 6);
    let (address, _) = answering(hops(6)).await;
    let url = format!("http://{address}/");
    assert_eq!(fetched(&open, &url).await, Err(OutboundError::Redirects));
}

#[tokio::test]
async fn what_is_no_whole_file_is_told() {
    let open = outbound(loopback(), system());
    let cases = [
        (
            "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n".to_owned(),
            "The other server answered 404 Not Found.",
        ),
        (
            "HTTP/1.1 206 Partial Content\r\ncontent-length: 1\r\n\r\na".to_owned(),
            "The other server answered 206 Partial Content.",
        ),
        (
            "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 1\r\n\r\na".to_owned(),
            "The other server sent an encoded body that was not asked for.",
        ),
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nstone".to_owned(),
            "The other server cannot be reached.",
        ),
        ("no words of HTTP".to_owned(), "The other server cannot be reached."),
    ];
    for (answer, expected) in cases {
        let (address, _) = answering(vec![answer.clone()]).await;
        let found = fetched(&open, &format!("http://{address}/")).await;
        assert_eq!(found.unwrap_err().to_string(), expected, "{answer}");
    }
}

#[tokio::test]
async fn a_server_that_stalls_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let open = outbound(loopback(), system());
    let url = open.check(&format!("http://{address}/")).unwrap();
    let short = Duration::from_millis(50);
    let patience = Patience {
        answer: short,
        ..Patience::default()
    };
    // It takes connections and says nothing.
    let found = open.fetch(&url, patience).await.map(drop);
    assert_eq!(found, Err(OutboundError::TimedOut));
    let posted = open.post(&url, (HeaderMap::new(), Bytes::new()), (short, 10)).await;
    assert_eq!(posted.unwrap_err(), OutboundError::TimedOut);
}

#[tokio::test]
async fn a_redirect_of_a_post_is_an_answer() {
    let (address, count) = answering(vec![to("/other"), ok("stone")]).await;
    let open = outbound(loopback(), system());
    let url = open.check(&format!("http://{address}/")).unwrap();
    let time = Duration::from_secs(20);
    let post = || open.post(&url, (HeaderMap::new(), Bytes::from_static(b"words")), (time, 100));
    assert_eq!(post().await.unwrap().status, StatusCode::FOUND);
    let answered = post().await.unwrap();
    assert_eq!((answered.status, &answered.body[..]), (StatusCode::OK, &b"stone"[..]));
    assert_eq!(count.load(Ordering::SeqCst), 2);
}
