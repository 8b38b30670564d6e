//! An app user's story: four files of one app, five kinds of caller, four verbs, every door; then everything is turned
//! around, and every answer changes at once, also of links that were signed before. And what a share to write may not do.

use std::collections::BTreeMap;

use storage_engine::store::record::labels::{Labels, Visibility};

use super::{Door, LINK, Scene, WRITING_LINK, Who, head, presign, share, shares, signer};

const CALLERS: [Who; 5] = [Who::Anonymous, Who::Other, Who::Owner, Who::Reader, Who::Holder];
const FILES: [&str; 4] = ["public", "protected", "shared", "private"];

/// Who may read a file of this level.
fn may_read(level: &str, who: Who) -> bool {
    match (level, who) {
        (_, Who::Owner) | ("public", _) => true,
        ("protected", who) => who.key().is_some(),
        ("shared", who) => matches!(who, Who::Reader | Who::Holder),
        _ => false,
    }
}

async fn turn(scene: &Scene, key: &str, level: &str) {
    let visibility = Visibility::ALL.into_iter().find(|known| known.name() == level).unwrap();
    let change = |labels: &mut Labels| {
        labels.visibility = Some(visibility);
        labels.shares = shares();
    };
    scene.label(key, change).await;
}

/// Asks for every file as everybody at every door; `levels` says of what level each is.
async fn everybody_gets_what_is_theirs(scene: &Scene, levels: &BTreeMap<&str, &str>, signed_before: &[Link]) {
    for (key, level) in levels {
        let target = format!("/app/{key}");
        for who in CALLERS {
            let reads = may_read(level, who);
            let writes = who == Who::Owner;
            for door in Door::ALL {
                for verb in ["GET", "HEAD", "PUT"] {
                    if !door.admits(who, verb) {
                        continue;
                    }
                    let answer = scene.send(who, door, verb, &target, "").await;
                    let expected = if verb == "PUT" { writes } else { reads };
                    let told = format!("{verb} {key} ({level}) by {who:?}, {door:?}: {}", answer.status);
                    assert_eq!(answer.status / 100 == 2, expected, "{told}");
                    assert!(expected || answer.status == 403, "{told}");
                    if verb == "PUT" && expected {
                        turn(scene, key, level).await;
                    }
                }
            }
            // What the owner deletes is gone; nobody else deletes anything.
            if who != Who::Owner {
                let door = if who.key().is_some() {
                    Door::Signed
                } else {
                    Door::Anonymous
                };
                scene.send(who, door, "DELETE", &target, "").await.is(403);
            }
        }
    }
    for link in signed_before {
        let level = levels[link.key];
        let answer = scene.deliver(link.head.clone(), "").await;
        assert_eq!(
            answer.status == 200,
            may_read(level, link.who),
            "{} of {:?}",
            link.key,
            link.who
        );
    }
}

/// A link that somebody signed.
struct Link {
    who: Who,
    key: &'static str,
    head: http::request::Parts,
}

fn sign_links() -> Vec<Link> {
    let mut links = Vec::new();
    for key in FILES {
        for who in [Who::Other, Who::Owner, Who::Reader] {
            let mut head = head("GET", &format!("/app/{key}"), "");
            presign(&signer(who.key().unwrap()), &mut head);
            links.push(Link { who, key, head });
        }
        for who in [Who::Holder, Who::Anonymous] {
            let query = who
                .link()
                .map(|token| format!("?drystone-share={token}"))
                .unwrap_or_default();
            let head = head("GET", &format!("/app/{key}{query}"), "");
            links.push(Link { who, key, head });
        }
    }
    links
}

#[tokio::test]
async fn an_app_user_s_files_are_open_to_whom_they_should_be_and_follow_every_change_at_once() {
    let scene = Scene::new().await;
    let links = sign_links();
    let mut levels = BTreeMap::new();
    for key in FILES {
        scene.write(key, "stone").await;
        turn(&scene, key, key).await;
        levels.insert(key, key);
    }
    everybody_gets_what_is_theirs(&scene, &levels, &links).await;
    for by in 1..=FILES.len() {
        for (at, key) in FILES.into_iter().enumerate() {
            let level = FILES[(at + by) % FILES.len()];
            turn(&scene, key, level).await;
            levels.insert(key, level);
        }
        everybody_gets_what_is_theirs(&scene, &levels, &links).await;
    }
    scene
        .send(Who::Owner, Door::Presigned, "DELETE", "/app/private", "")
        .await
        .is(204);
    scene
        .send(Who::Owner, Door::Signed, "GET", "/app/private", "")
        .await
        .is(404);
}

#[tokio::test]
async fn a_share_that_is_taken_back_or_ends_opens_nothing_any_more() {
    let scene = Scene::new().await;
    scene.write("doc", "stone").await;
    scene.label("doc", share).await;
    let read = |who: Who, door: Door| scene.send(who, door, "GET", "/app/doc", "");
    let insiders = [
        (Who::Reader, Door::Presigned),
        (Who::Member, Door::Signed),
        (Who::Addressee, Door::Signed),
        (Who::Holder, Door::Anonymous),
    ];
    for (at, (who, door)) in insiders.into_iter().enumerate() {
        read(who, door).await.is(200);
        let target = shares()[if who == Who::Holder { 5 } else { at }].target.clone();
        scene
            .label("doc", |labels| labels.shares.retain(|share| share.target != target))
            .await;
        read(who, door).await.is(403);
    }
    let (now, hour) = (time::OffsetDateTime::now_utc().unix_timestamp() as u64, 3_600);
    for (expires, status) in [(now + hour, 200), (now - 1, 403)] {
        let expires = storage_engine::store::clock::Timestamp::from_millis(expires * 1_000);
        let end = |labels: &mut Labels| labels.shares.iter_mut().for_each(|share| share.expires = Some(expires));
        scene.label("doc", end).await;
        read(Who::Writer, Door::Signed).await.is(status);
        read(Who::WritingHolder, Door::Anonymous).await.is(status);
    }
}

#[tokio::test]
async fn who_may_write_by_a_share_puts_other_bytes_in_its_place_and_nothing_else_changes() {
    let scene = Scene::new().await;
    scene.write("doc", "stone").await;
    scene.label("doc", share).await;
    for (who, door) in [
        (Who::Writer, Door::Signed),
        (Who::Writer, Door::Presigned),
        (Who::Writer, Door::Post),
        (Who::WritingHolder, Door::Anonymous),
    ] {
        let put = scene.send(who, door, "PUT", "/app/doc", "slate").await;
        assert_eq!(put.status / 100, 2, "{who:?} {door:?}: {}", put.text());
        assert_eq!(
            scene
                .send(Who::Reader, Door::Signed, "GET", "/app/doc", "")
                .await
                .is(200)
                .body,
            "slate"
        );
        let acl = scene
            .send(Who::Owner, Door::Signed, "GET", "/app/doc?acl", "")
            .await
            .is(200);
        assert_eq!(
            acl.elements("ID").first().map(String::as_str),
            Some("id-of-olga"),
            "{who:?}"
        );
        scene.write("doc", "stone").await;
    }
}

#[tokio::test]
async fn who_may_write_by_a_share_does_nothing_else() {
    let scene = Scene::new().await;
    scene.write("doc", "stone").await;
    scene.label("doc", share).await;
    // Neither more than that object, nor anything about it, nor an upload in parts.
    let owner = || scene.send(Who::Owner, Door::Signed, "GET", "/app/doc?acl", "");
    let before = owner().await.text();
    for (target, body) in [
        ("/app/other", "x"),
        ("/app/doc?acl", ""),
        ("/app/doc?tagging", "<Tagging><TagSet/></Tagging>"),
    ] {
        scene.send(Who::Writer, Door::Signed, "PUT", target, body).await.is(403);
    }
    for (verb, target) in [
        ("POST", "/app/doc?uploads"),
        ("DELETE", "/app/doc"),
        ("GET", "/app/doc?acl"),
    ] {
        scene.send(Who::Writer, Door::Signed, verb, target, "").await.is(403);
        scene
            .send(Who::WritingHolder, Door::Anonymous, verb, target, "")
            .await
            .is(403);
    }
    for (name, value) in [
        ("x-amz-acl", "private"),
        ("x-amz-acl", "public-read"),
        ("x-amz-tagging", "a=b"),
    ] {
        let mut head = head("PUT", &format!("/app/doc?drystone-share={WRITING_LINK}"), "mine");
        head.headers.insert(name, value.parse().unwrap());
        scene.deliver(head, "mine").await.fails(403, "AccessDenied");
    }
    let mut copy = head("PUT", &format!("/app/doc?drystone-share={WRITING_LINK}"), "");
    copy.headers.insert("x-amz-copy-source", "app/doc".parse().unwrap());
    scene.deliver(copy, "").await.fails(403, "AccessDenied");
    assert_eq!(owner().await.text(), before);
    assert_eq!(
        scene
            .send(Who::Reader, Door::Signed, "GET", "/app/doc", "")
            .await
            .is(200)
            .body,
        "stone"
    );
}

#[tokio::test]
async fn what_is_served_by_a_link_acts_as_no_page_and_is_kept_by_nobody_in_between() {
    let scene = Scene::new().await;
    scene.write("doc", "<script>").await;
    scene.label("doc", share).await;
    let answer = scene
        .send(Who::Holder, Door::Anonymous, "GET", "/app/doc", "")
        .await
        .is(200);
    let policy = answer.header("content-security-policy").unwrap();
    assert!(
        policy.starts_with("default-src 'none';") && policy.ends_with("; sandbox"),
        "{policy}"
    );
    assert_eq!(answer.header("referrer-policy"), Some("no-referrer"));
    assert_eq!(answer.header("cache-control"), Some("private, no-cache"));
    for wrong in ["", "x", &LINK[1..], &LINK.replace('l', "L")] {
        let head = head("GET", &format!("/app/doc?drystone-share={wrong}"), "");
        scene.deliver(head, "").await.fails(403, "AccessDenied");
    }
    // Signed in, with a link: it opens what it opens.
    let mut signed = head("GET", &format!("/app/doc?drystone-share={LINK}"), "");
    presign(&signer("bob"), &mut signed);
    scene.deliver(signed, "").await.is(200);
    scene
        .label("doc", |labels| labels.visibility = Some(Visibility::Private))
        .await;
    scene
        .send(Who::Holder, Door::Anonymous, "GET", "/app/doc", "")
        .await
        .fails(403, "AccessDenied");
}
