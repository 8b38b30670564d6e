//! The rows of the projects, over the backend in memory.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::store_over;
use crate::backend::{Backend, Batch};
use crate::memory::MemoryBackend;
use crate::store::clock::Timestamp;
use crate::store::key::ProjectRow;
use crate::store::projects::{OfProject, ProjectChange, ProjectRows, RowName};
use crate::store::record::projects::{
    EnvironmentRecord, IssuerKeys, IssuerRecord, KeyKind, ProjectKeyRecord, ProjectRecord, UserRecord,
};
use crate::store::whole::{ChangeWholeError, put};

fn at(millis: u64) -> Timestamp {
    Timestamp::from_millis(millis)
}

fn one_of_each() -> Vec<ProjectChange> {
    let project = ProjectRecord {
        created: at(1),
        updated: at(1),
        description: "d".into(),
        envelope: None,
    };
    let environment = EnvironmentRecord {
        created: at(1),
        updated: at(1),
        bucket: "shop-dev".into(),
        logical: Vec::new(),
        images: None,
        webhooks: Vec::new(),
    };
    let key = ProjectKeyRecord {
        created: at(1),
        updated: at(1),
        project: "shop".into(),
        environment: "dev".into(),
        kind: KeyKind::Secret,
        name: String::new(),
        hash: [1; 32],
        text: None,
        scopes: vec!["files:*".into()],
        origins: Vec::new(),
        expires: None,
        revoked: None,
    };
    let issuer = IssuerRecord {
        created: at(1),
        updated: at(1),
        issuer: None,
        algorithm: "HS256".into(),
        keys: IssuerKeys::Secret(vec![1; 60]),
        audience: None,
        subject_claim: "sub".into(),
        groups_claim: "groups".into(),
        role_claim: "role".into(),
        admin_roles: Vec::new(),
    };
    let user = UserRecord {
        blocked: Some(at(7)),
        revoked: None,
    };
    vec![
        ProjectChange::Project("shop".into(), Some(project)),
        ProjectChange::Environment(OfProject::new("shop", "dev"), Some(environment)),
        ProjectChange::ProjectKey("0123".into(), Some(key)),
        ProjectChange::Issuer(OfProject::new("shop", "own"), Some(issuer)),
        ProjectChange::User(OfProject::new("shop", "dev/own|ann"), Some(user)),
    ]
}

#[tokio::test]
async fn what_was_changed_of_projects_is_read_back_at_its_revision_and_a_stale_change_is_not_made() {
    let store = store_over(Arc::new(MemoryBackend::new()), 1);
    assert_eq!(store.load_projects().await.unwrap(), ProjectRows::default());
    let first = store.change_projects(None, &one_of_each()).await.unwrap();
    let mut expected = ProjectRows::default();
    expected.apply(&one_of_each());
    expected.rev = Some(first);
    assert_eq!(store.load_projects().await.unwrap(), expected);

    let away = [
        ProjectChange::ProjectKey("0123".into(), None),
        ProjectChange::Issuer(OfProject::new("shop", "own"), None),
    ];
    let second = store.change_projects(Some(first), &away).await.unwrap();
    expected.apply(&away);
    expected.rev = Some(second);
    assert!(expected.keys.is_empty() && expected.issuers.is_empty() && expected.projects.len() == 1);
    for stale in [None, Some(first)] {
        let refused = store.change_projects(stale, &one_of_each()).await.unwrap_err();
        assert!(matches!(refused, ChangeWholeError::Stale), "{refused}");
    }
    assert_eq!(store.load_projects().await.unwrap(), expected);
    assert_eq!(store.load_directory().await.unwrap().rev, None, "it is another family");
}

#[tokio::test]
async fn rows_of_projects_that_do_not_read_are_told_one_by_one_and_mended_by_a_change() {
    let memory = MemoryBackend::new();
    let store = store_over(Arc::new(memory.clone()), 1);
    store.change_projects(None, &one_of_each()).await.unwrap();
    let (project, name) = ("shop", "dev");
    let (of_environment, of_issuer) = (OfProject::new(project, name), OfProject::new(project, "own"));
    let damaged = [
        (
            ProjectRow::Environment { project, name },
            RowName::Environment(of_environment),
        ),
        (ProjectRow::Issuer { project, alias: "own" }, RowName::Issuer(of_issuer)),
        (
            ProjectRow::User {
                project,
                name: "dev/own|ann",
            },
            RowName::User(OfProject::new(project, "dev/own|ann")),
        ),
        (ProjectRow::ProjectKey("0123"), RowName::ProjectKey("0123".into())),
        (ProjectRow::Project(project), RowName::Project(project.into())),
    ];
    let ops = damaged
        .iter()
        .map(|(row, _)| put(row.key(), bytes::Bytes::from_static(b"\x09newer")));
    let batch = Batch {
        require: Vec::new(),
        ops: ops.collect(),
    };
    memory.commit(batch).await.unwrap();
    let rows = store.load_projects().await.unwrap();
    let names = damaged.iter().map(|(_, name)| name.clone());
    assert_eq!(rows.unreadable, names.collect::<BTreeSet<_>>());
    assert!(rows.projects.is_empty() && rows.environments.is_empty() && rows.keys.is_empty());

    let rev = store.change_projects(rows.rev, &one_of_each()).await.unwrap();
    let mut mended = rows;
    mended.apply(&one_of_each());
    mended.rev = Some(rev);
    assert!(mended.unreadable.is_empty());
    assert_eq!(store.load_projects().await.unwrap(), mended);
}
