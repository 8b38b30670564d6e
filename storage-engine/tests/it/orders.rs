//! Orders about drives that cannot be carried out, or only in part: what is answered, and that nothing else happened.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use storage_engine::backend::Backend;
use storage_engine::embedded::Embedded;
use storage_engine::embedded::fleet::FleetError;

use crate::scene::{Bodies, Scene, files_below};

const BODIES: Bodies = Bodies {
    count: 3,
    large: 200_000,
};

async fn scene_of(drives: usize) -> (Scene, Arc<Embedded>) {
    let scene = Scene::new(drives);
    let store = scene.try_open(scene.healing()).await.unwrap();
    BODIES.fill(&store, 1).await;
    (scene, store)
}

/// An empty directory for a new drive.
fn directory(scene: &Scene, n: usize) -> PathBuf {
    let path = scene.drive(n);
    std::fs::create_dir(&path).unwrap();
    path
}

fn paths(store: &Embedded) -> Vec<String> {
    store.health().drives.into_iter().map(|drive| drive.path).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn of_several_directories_none_is_added_if_one_of_them_cannot_be_a_drive() {
    let (scene, store) = scene_of(3).await;
    let (good, other, foreign) = (directory(&scene, 4), directory(&scene, 5), directory(&scene, 6));
    std::fs::write(foreign.join("photo.jpg"), b"mine").unwrap();
    let before = paths(&store);
    match store.add_drives(&[good.clone(), foreign.clone()], false).await {
        Err(FleetError::Refused(told)) => {
            assert!(
                told.starts_with(&foreign.display().to_string()) && told.contains("photo.jpg"),
                "{told}"
            );
        }
        answer => panic!("{answer:?}"),
    }
    for (order, why) in [
        (vec![], "at least one"),
        (vec![good.clone(), other.clone(), good.clone()], "twice"),
        (vec![good.clone(), good.join("inside")], "inside"),
    ] {
        match store.add_drives(&order, false).await {
            Err(FleetError::Invalid(told)) => assert!(told.contains(why), "{told}"),
            answer => panic!("{order:?}: {answer:?}"),
        }
    }
    assert_eq!(paths(&store), before);
    assert_eq!(files_below(&good), [], "nothing was made");
    assert_eq!(store.add_drives(&[good, other], false).await.unwrap().len(), 2);
    BODIES.check(&store, 1).await;
    BODIES.fill(&store, 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_a_later_directory_fails_the_answer_names_what_was_added_before() {
    let (scene, store) = scene_of(3).await;
    let (good, taken) = (directory(&scene, 4), directory(&scene, 5));
    // Another process has it open: that is seen when it is locked.
    std::fs::create_dir(taken.join(".drystone")).unwrap();
    let lock = std::fs::File::create(taken.join(".drystone/lock")).unwrap();
    lock.lock().unwrap();
    match store.add_drives(&[good.clone(), taken.clone()], false).await {
        Err(FleetError::Refused(told)) => {
            let added = format!("{} was added", good.display());
            let why = format!("{}: ", taken.display());
            assert!(
                told.starts_with(&added) && told.contains(&why) && told.contains("in use"),
                "{told}"
            );
        }
        answer => panic!("{answer:?}"),
    }
    assert!(paths(&store).contains(&good.display().to_string()));
    assert!(!paths(&store).contains(&taken.display().to_string()));
    drop(lock);
    assert_eq!(store.add_drives(&[taken], false).await.unwrap().len(), 1);
    BODIES.check(&store, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_about_drives_that_nobody_knows_change_nothing() {
    let (scene, store) = scene_of(3).await;
    let (new, before) = (directory(&scene, 4), paths(&store));
    let unknown = || FleetError::Unknown("/nowhere".into());
    for lost in [false, true] {
        let answer = store.replace_drive("/nowhere", &new, lost, false).await;
        assert_eq!(answer.unwrap_err(), unknown());
        assert_eq!(store.remove_drive("/nowhere", lost).await.unwrap_err(), unknown());
    }
    assert_eq!(store.drain_drive("/nowhere").await.unwrap_err(), unknown());
    assert_eq!(store.keep_drive("/nowhere").await.unwrap_err(), unknown());
    assert!(unknown().to_string().contains("drive list"), "{}", unknown());
    assert_eq!(paths(&store), before);
    assert_eq!(files_below(&new), [], "nothing was made");
}

#[tokio::test(flavor = "multi_thread")]
async fn parity_may_be_none_and_no_number_of_percent_is_refused_as_such() {
    let (_scene, store) = scene_of(3).await;
    store.set_parity(0).await.unwrap();
    assert_eq!(store.health().parity, 0);
    BODIES.fill(&store, 2).await;
    // Counted anew every few seconds.
    for _ in 0..100 {
        if store.health().tolerated_losses == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(store.health().tolerated_losses, 0, "what is new is lost with any drive");
    BODIES.check(&store, 1).await;
    BODIES.check(&store, 2).await;
    for percent in [0, 101] {
        let answer = store.rebalance(Some(percent)).await;
        assert!(matches!(answer, Err(FleetError::Invalid(_))), "{answer:?}");
    }
    assert!(matches!(store.set_parity(3).await, Err(FleetError::Refused(_))));
}
