//! Resumable uploads through the whole server: a checksum that follows the bytes, in a trailer of HTTP.

use super::admin::exchange_bytes;
use super::images::{Answer, send};
use super::links::{App, token};
use super::stack::start;
use super::support::status;

const BYTES: &str = "stone wall";
/// Of these bytes, each as `Upload-Checksum` has it.
const RIGHT: [&str; 4] = [
    "sha1 m20VU6bD/JGZ4RqZTjO+ayPVdQw=",
    "sha256 +KqHU8JU0Dn2Re8hMvuV1Pa5pq8P3Zoasg6Fq6Jk2dw=",
    "crc32 KrDAnA==",
    "md5 SzgBrAaU1sJvVY0gWuAuPg==",
];

impl App {
    fn of_tus(&self) -> String {
        format!(
            "X-API-Key: {}\r\nAuthorization: Bearer {}\r\nTus-Resumable: 1.0.0\r\n",
            self.key,
            token("ann")
        )
    }

    async fn tus(&self, method: &str, target: &str, headers: &str) -> Answer {
        let headers = format!("{}{headers}", self.of_tus());
        send(self.address, method, target, &headers, b"").await
    }

    /// Sends the bytes in two chunks, and what follows the last one; announces a trailer in any case.
    async fn trailed(&self, target: &str, trailer: &str) -> String {
        let (one, other) = BYTES.split_at(6);
        let request = format!(
            "PATCH {target} HTTP/1.1\r\nHost: {}\r\n{}Content-Type: application/offset+octet-stream\r\nUpload-Offset: 0\r\n\
             Transfer-Encoding: chunked\r\nTrailer: Upload-Checksum\r\nConnection: close\r\n\r\n\
             {:x}\r\n{one}\r\n{:x}\r\n{other}\r\n0\r\n{trailer}\r\n",
            self.address,
            self.of_tus(),
            one.len(),
            other.len()
        );
        let answer = exchange_bytes(self.address, request.as_bytes()).await;
        String::from_utf8(answer).unwrap()
    }
}

#[tokio::test]
async fn a_checksum_in_a_trailer_is_held_against_the_bytes_before_it() {
    let server = start(&[]).await;
    let app = App::new(server.addresses()[0]).await;
    let spoken = app.tus("OPTIONS", "/v1/tus", "").await;
    let extensions = spoken.header("tus-extension").unwrap();
    assert!(
        extensions.split(',').any(|one| one == "checksum-trailer"),
        "{extensions}"
    );
    let named = RIGHT.map(|right| right.split_once(' ').unwrap().0).join(",");
    assert_eq!(spoken.header("tus-checksum-algorithm"), Some(named.as_str()));
    for right in RIGHT {
        let length = format!("Upload-Length: {}\r\n", BYTES.len());
        let begun = app.tus("POST", "/v1/tus", &length).await;
        assert_eq!(begun.status, 201, "{}", begun.head);
        let address = begun.header("location").unwrap();
        let target = address.strip_prefix(&format!("http://{}", app.address)).unwrap();
        let other = right.replacen(' ', " AAAA", 1);
        let of_none = format!("Upload-Checksum: {}\r\n", right.split(' ').next().unwrap());
        for wrong in [
            // One that was announced and does not come, one of other bytes, and what is none.
            String::new(),
            format!("Upload-Checksum: sha1 {}\r\n", "A".repeat(27) + "="),
            format!("Upload-Checksum: {other}\r\n"),
            of_none,
            format!("X-Checksum: {right}\r\n"),
        ] {
            let answer = app.trailed(target, &wrong).await;
            assert_eq!(status(&answer), 460, "{wrong}{answer}");
            assert!(answer.contains("\"upload/checksum-mismatch\""), "{answer}");
            let look = app.tus("HEAD", target, "").await;
            assert_eq!((look.status, look.header("upload-offset")), (200, Some("0")), "{wrong}");
        }
        let answer = app.trailed(target, &format!("Upload-Checksum: {right}\r\n")).await;
        assert_eq!(status(&answer), 204, "{right}: {answer}");
        let look = app.tus("HEAD", target, "").await;
        assert_eq!(look.header("upload-offset"), Some("10"));
        let file = look.header("upload-file-id").unwrap();
        let read = app.tus("GET", &format!("/v1/files/{file}/content"), "").await;
        assert_eq!((read.status, read.body.as_slice()), (200, BYTES.as_bytes()));
    }
    server.stop().await.unwrap();
}
