//! Environments: made, mended, emptied and removed, by two servers at once too.

use storage_engine::store::bucket::NewBucket;
use storage_engine::store::name::{BucketName, ObjectKey};
use storage_engine::store::projects::{OfProject, ProjectChange};
use storage_engine::store::record::labels::Visibility;
use storage_engine::store::record::settings::BucketSettings;

use super::{Ground, admit, by_secret, key, new_key, put, refused, shop, take_away};
use crate::projects::{Confirm, Gc, KeyKind, LogicalBucket, ProjectsError, Scan, Sizes};

#[tokio::test]
async fn an_environment_is_made_with_its_bucket_and_asking_again_mends_what_is_missing() {
    let ground = Ground::new().await;
    let projects = shop(&ground).await;
    let bucket = BucketName::parse("shop-dev").unwrap();
    let settings = ground.store.settings_of(&bucket).await.unwrap();
    assert!(settings.files && settings.visibility == Some(Visibility::Private));
    assert!(settings.cors[0].expose.iter().any(|name| name == "ETag"));
    assert_eq!(ground.store.head_bucket(&bucket).await.unwrap().region, "here");
    projects.add_environment("shop", "dev").await.unwrap();

    // The bucket was made, and then the machine stopped.
    let left = NewBucket {
        name: BucketName::parse("shop-prod").unwrap(),
        region: "here".into(),
        owner: None,
        settings: BucketSettings {
            files: true,
            ..BucketSettings::default()
        },
    };
    ground.store.make_bucket(left).await.unwrap();
    projects.add_environment("shop", "prod").await.unwrap();
    assert_eq!(projects.project("shop").unwrap().environments.len(), 2);
    // The bucket was removed, and then the machine stopped.
    ground.store.delete_bucket(&bucket).await.unwrap();
    projects.remove_environment("shop", "dev").await.unwrap();
    projects.add_environment("shop", "dev").await.unwrap();
    assert!(ground.store.settings_of(&bucket).await.unwrap().files);

    let foreign = BucketName::parse("shop-staging").unwrap();
    ground.store.create_bucket(&foreign, "here").await.unwrap();
    let taken = projects.add_environment("shop", "staging").await;
    assert!(matches!(taken, Err(ProjectsError::BucketTaken(_))));
    for (project, environment) in [("shop", "x-y"), ("shop", "")] {
        let wrong = projects.add_environment(project, environment).await;
        assert!(matches!(wrong, Err(ProjectsError::Invalid(_))), "{environment}");
    }
    let wrong = projects.add_environment("other", "dev").await;
    assert!(matches!(wrong, Err(ProjectsError::NoSuchProject(_))));
    let other = BucketName::parse("other-dev").unwrap();
    assert!(ground.store.head_bucket(&other).await.is_err());
}

#[tokio::test]
async fn an_environment_with_files_stays_and_an_empty_one_goes_with_its_keys() {
    let ground = Ground::new().await;
    let projects = shop(&ground).await;
    projects.add_issuer(by_secret()).await.unwrap();
    let key = key(&projects, KeyKind::Secret, &[]).await;
    let bucket = BucketName::parse("shop-dev").unwrap();
    let (store, name) = (ground.store.clone(), ObjectKey::parse("f/a.txt").unwrap());
    put(&store, &bucket, &name).await;
    assert!(matches!(
        projects.remove_environment("shop", "dev").await,
        Err(ProjectsError::HasFiles)
    ));
    assert!(matches!(
        projects.remove_project("shop").await,
        Err(ProjectsError::HasEnvironments)
    ));
    assert!(admit(&projects, &key, None).await.is_ok());
    take_away(&store, &bucket, &name).await;
    projects.remove_environment("shop", "dev").await.unwrap();
    assert_eq!(refused(admit(&projects, &key, None).await), (401, "UNAUTHORIZED"));
    assert!(store.head_bucket(&bucket).await.is_err());
    projects.remove_project("shop").await.unwrap();
    assert!(projects.list().unwrap().is_empty());
    assert!(matches!(
        projects.remove_project("shop").await,
        Err(ProjectsError::NoSuchProject(_))
    ));
    let rows = ground.store.load_projects().await.unwrap();
    assert!(rows.keys.is_empty() && rows.issuers.is_empty() && rows.environments.is_empty());
}

#[tokio::test]
async fn an_environment_with_as_many_keys_as_it_takes_still_goes_with_them() {
    let ground = Ground::new().await;
    let projects = shop(&ground).await;
    key(&projects, KeyKind::Publishable, &[]).await;
    let rows = ground.store.load_projects().await.unwrap();
    let (_, first) = rows.keys.first_key_value().unwrap();
    let more = (1..500_u16).map(|n| {
        let mut record = first.clone();
        record.hash[..2].copy_from_slice(&n.to_be_bytes());
        ProjectChange::ProjectKey(format!("{n:016x}"), Some(record))
    });
    let more: Vec<ProjectChange> = more.collect();
    ground.store.change_projects(rows.rev, &more).await.unwrap();
    let projects = ground.open().await;
    assert_eq!(projects.keys("shop", Some("dev")).unwrap().len(), 500);
    let one_more = projects.make_key(new_key(KeyKind::Secret, &[])).await;
    assert!(matches!(one_more, Err(ProjectsError::TooMany(_))));
    projects.remove_environment("shop", "dev").await.unwrap();
    assert!(ground.store.load_projects().await.unwrap().keys.is_empty());
}

#[tokio::test]
async fn two_servers_over_one_store_lose_no_change_and_a_restart_knows_all() {
    let ground = Ground::new().await;
    let (one, other) = (shop(&ground).await, ground.open().await);
    let limits = LogicalBucket {
        max_size: Some(5),
        types: vec!["image/*".into()],
        visibility: Some(Visibility::Public),
        ttl_seconds: Some(60),
        gc: Gc::Unreferenced,
        confirm: Confirm::Required,
        scan: Scan::Off,
        sizes: Sizes::Exact,
        guest_upload: true,
    };
    let of = OfProject::new("shop", "dev");
    one.set_logical(of.clone(), "images", Some(limits.clone()))
        .await
        .unwrap();
    let keys = futures::future::join_all((0..8).map(|n| {
        let projects = if n % 2 == 0 { one.clone() } else { other.clone() };
        async move { key(&projects, KeyKind::Publishable, &[]).await }
    }));
    let keys = keys.await;
    let again = ground.open().await;
    assert_eq!(again.keys("shop", Some("dev")).unwrap().len(), 8);
    for key in &keys {
        let caller = admit(&again, key, None).await.unwrap();
        assert_eq!(caller.logical("images"), Some(&limits));
    }
    again.set_logical(of.clone(), "images", None).await.unwrap();
    assert_eq!(admit(&again, &keys[0], None).await.unwrap().logical("images"), None);
    for wrong in ["", "image", "image/", "image/**", "a b/c"] {
        let wrong = LogicalBucket {
            types: vec![wrong.into()],
            ..limits.clone()
        };
        let refused = again.set_logical(of.clone(), "images", Some(wrong)).await;
        assert!(matches!(refused, Err(ProjectsError::Invalid(_))));
    }
    for ttl_seconds in [0, 59, 315_360_001, u64::MAX] {
        let wrong = LogicalBucket {
            ttl_seconds: Some(ttl_seconds),
            ..limits.clone()
        };
        let refused = again.set_logical(of.clone(), "images", Some(wrong)).await;
        assert!(matches!(refused, Err(ProjectsError::Invalid(_))), "{ttl_seconds}");
    }
}
