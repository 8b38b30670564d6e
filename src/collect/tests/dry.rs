//! A dry pass says what the pass does, also of what several of its steps would take away, or one because of another.

use super::*;

#[tokio::test]
async fn what_several_steps_would_take_away_is_counted_once() {
    let scene = scene().await;
    let both = LogicalBucket {
        confirm: Confirm::Required,
        gc: Gc::Unreferenced,
        ..LogicalBucket::default()
    };
    scene.rules.0.lock().insert("posts".to_owned(), both);
    let ends = Timestamp::from_millis(scene.clock.now().millis() + 7 * DAY);
    let ending = |file: &mut File| {
        file.expires = Some(ends);
        file.bucket = Some("posts".to_owned());
    };
    // Announced, and ends by itself.
    scene.announce("k/a", ending).await;
    // Ends by itself, not registered and not referred to.
    let all = scene.announce("k/b", ending).await;
    scene.put("k/b").await;
    // Not registered and not referred to.
    let loose = scene.arrived("k/c", "posts").await;
    // Refused, and ends by itself.
    let refused = scene.announce("k/d", ending).await;
    scene.put("k/d").await;
    let (store, bucket) = (&scene.store, &scene.bucket);
    store.reject_file(bucket, refused, None, "no").await.unwrap();
    // In the trash, with what it was before.
    let trashed = scene.arrived("k/e", "posts").await;
    scene.replace("k/e").await;
    store.trash_file(bucket, trashed, None).await.unwrap();
    scene.go_on(7 * DAY);
    let did = scene.pass().await;
    let expected = Collected {
        announced: 1,
        ended: 1,
        unregistered: 1,
        versions: 1,
        trash: 1,
        rejected: did.rejected,
        ..Collected::default()
    };
    // What was refused no longer ends by itself.
    assert_eq!((did, did.rejected), (expected, 1));
    assert_eq!(scene.state(all).await, Some(FileState::Trashed));
    assert_eq!(scene.state(loose).await, Some(FileState::Trashed));
    assert_eq!(scene.pass().await, Collected::default());
}

#[tokio::test]
async fn resumable_uploads_that_expired_are_counted_with_the_files_they_were_for() {
    let scene = scene().await;
    let id = scene.announce("k/a", |_| {}).await;
    let upload = scene.resume_file("k/a", id).await;
    scene.append(upload, 0, "some").await.unwrap();
    // Pieces that were joined, one that was not, and one in its term.
    let whole = scene.announce("k/b", |_| {}).await;
    let mut partials = Vec::new();
    for _ in 0..3 {
        partials.push(scene.resume(Purpose::Partial { of: None }).await);
    }
    for piece in &partials {
        scene.append(*piece, 0, "some").await.unwrap();
    }
    let begin = BeginResumable {
        bucket: scene.bucket.clone(),
        purpose: Purpose::Final {
            target: scene.target("k/b", whole),
            partials: partials.iter().take(2).copied().collect(),
        },
        owner: None,
        length: None,
        size_max: None,
        life_ms: DAY,
        said: String::new(),
    };
    scene.store.begin_resumable(begin).await.unwrap();
    scene.go_on(DAY);
    let live = scene.announce("k/live", |_| {}).await;
    let going_on = scene.resume_file("k/live", live).await;
    scene.append(going_on, 0, "some").await.unwrap();
    assert_eq!(
        scene.pass().await,
        Collected::default(),
        "an upload lives to the end of its term"
    );
    scene.go_on(1);
    let gone = Collected {
        announced: 2,
        uploads: 3,
        ..Collected::default()
    };
    assert_eq!(scene.pass().await, gone);
    assert_eq!((scene.state(id).await, scene.state(whole).await), (None, None));
    scene.append(going_on, 4, "others").await.unwrap();
    assert_eq!(scene.state(live).await, Some(FileState::Received));
}

#[tokio::test]
async fn of_many_uploads_to_one_key_one_that_goes_on_keeps_its_file() {
    let scene = scene().await;
    let id = scene.announce("k/a", |_| {}).await;
    scene.begin("k/ab").await;
    for _ in 0..PAGE + 3 {
        scene.begin("k/a").await;
    }
    scene.go_on(DAY);
    let fresh = scene.begin("k/a").await;
    let stale = Collected {
        uploads: PAGE as u64 + 4,
        ..Collected::default()
    };
    assert_eq!(scene.pass().await, stale);
    scene.part("k/a", fresh).await;
    assert_eq!(scene.state(id).await, Some(FileState::Pending));
    scene.go_on(DAY);
    let rest = Collected {
        uploads: 1,
        announced: 1,
        ..Collected::default()
    };
    assert_eq!(scene.pass().await, rest);
}
