//! The table of visibility: what each level, each canned ACL of a bucket and each canned bucket policy lets whom do. Every
//! case is asked at every door it can come in by.

use drystone::policy::anonymous::{Level, with_level};
use storage_engine::store::record::labels::Visibility;
use storage_engine::store::record::settings::{BucketAcl, PublicAccessBlock};

use super::{Door, OPEN, Scene, Who, shares};

/// How things stand when they are asked for.
#[derive(Clone, Copy, Debug)]
enum Standing {
    /// No visibility is set, on object or bucket.
    Unset,
    /// The object's own.
    Own(Visibility),
    /// The bucket's default; the object names none.
    Default(Visibility),
    /// As [`Self::Own`], and the public access block ignores what is public.
    Ignored(Visibility),
    /// The bucket's ACL, and a private object in it.
    Acl(BucketAcl),
    /// The bucket policy that `mc anonymous set` writes, and a private object.
    Canned(&'static str),
}

/// What is let: G, H, P, D (GET, HEAD, PUT, DELETE of the object), O (a PUT that opens it to everybody) and L (listing the
/// bucket).
const ALL: &str = "GHPDOL";
/// All of it that a canned bucket policy lets.
const BY_POLICY: &str = "GHPDL";

struct Row {
    standing: Standing,
    /// Of nobody known.
    anonymous: &'static str,
    /// Of a user whom nothing concerns.
    other: &'static str,
    /// Of whom it is shared with to read: user, group, address.
    reader: &'static str,
    /// Of whom it is shared with to write.
    writer: &'static str,
    /// Of whoever brings a link to read.
    holder: &'static str,
    /// Of whoever brings a link to write.
    writing_holder: &'static str,
}

const fn row(standing: Standing, anonymous: &'static str, others: [&'static str; 5]) -> Row {
    let [other, reader, writer, holder, writing_holder] = others;
    Row {
        standing,
        anonymous,
        other,
        reader,
        writer,
        holder,
        writing_holder,
    }
}

/// The owner, whose policy lets it do everything in its own buckets, and root may everything everywhere.
#[rustfmt::skip]
const TABLE: &[Row] = &[
    //                                                     anonymous  other    reader   writer   holder   writing holder
    row(Standing::Unset,                                   "",       ["",      "",      "",      "",      ""]),
    row(Standing::Own(Visibility::Private),                "",       ["",      "",      "",      "",      ""]),
    row(Standing::Own(Visibility::Public),                 "GH",     ["GH",    "GH",    "GH",    "GH",    "GH"]),
    row(Standing::Own(Visibility::Protected),              "",       ["GH",    "GH",    "GH",    "",      ""]),
    row(Standing::Own(Visibility::Shared),                 "",       ["",      "GH",    "GHP",   "GH",    "GHP"]),
    row(Standing::Default(Visibility::Private),            "",       ["",      "",      "",      "",      ""]),
    row(Standing::Default(Visibility::Public),             "GH",     ["GH",    "GH",    "GH",    "GH",    "GH"]),
    row(Standing::Default(Visibility::Protected),          "",       ["GH",    "GH",    "GH",    "",      ""]),
    row(Standing::Default(Visibility::Shared),             "",       ["",      "GH",    "GHP",   "GH",    "GHP"]),
    row(Standing::Ignored(Visibility::Public),             "",       ["",      "",      "",      "",      ""]),
    row(Standing::Ignored(Visibility::Protected),          "",       ["",      "",      "",      "",      ""]),
    row(Standing::Ignored(Visibility::Shared),             "",       ["",      "GH",    "GHP",   "",      ""]),
    row(Standing::Acl(BucketAcl::PublicRead),              "L",      ["L",     "L",     "L",     "L",     "L"]),
    row(Standing::Acl(BucketAcl::PublicReadWrite),         "POL",    ["POL",   "POL",   "POL",   "POL",   "POL"]),
    row(Standing::Acl(BucketAcl::AuthenticatedRead),       "",       ["L",     "L",     "L",     "",      ""]),
    row(Standing::Canned("none"),                          "",       ["",      "",      "",      "",      ""]),
    row(Standing::Canned("download"),                      "GHL",    ["GHL",   "GHL",   "GHL",   "GHL",   "GHL"]),
    row(Standing::Canned("upload"),                        "PD",     ["PD",    "PD",    "PD",    "PD",    "PD"]),
    row(Standing::Canned("public"),                        BY_POLICY, [BY_POLICY, BY_POLICY, BY_POLICY, BY_POLICY, BY_POLICY]),
];

impl Row {
    fn of(&self, who: Who) -> &'static str {
        match who {
            Who::Anonymous => self.anonymous,
            Who::Other | Who::Late => self.other,
            Who::Reader | Who::Member | Who::Addressee => self.reader,
            Who::Writer => self.writer,
            Who::Holder => self.holder,
            Who::WritingHolder => self.writing_holder,
            Who::Owner | Who::Root => ALL,
        }
    }

    async fn scene(&self) -> Scene {
        let scene = Scene::new().await;
        scene.write("doc", "stone").await;
        let own = match self.standing {
            Standing::Own(visibility) | Standing::Ignored(visibility) => Some(visibility),
            Standing::Acl(_) | Standing::Canned(_) => Some(Visibility::Private),
            Standing::Unset | Standing::Default(_) => None,
        };
        let label = |labels: &mut storage_engine::store::record::labels::Labels| {
            labels.visibility = own;
            labels.shares = shares();
        };
        scene.label("doc", label).await;
        let set = |settings: &mut storage_engine::store::record::settings::BucketSettings| match self.standing {
            Standing::Default(visibility) => settings.visibility = Some(visibility),
            Standing::Acl(acl) => settings.acl = Some(acl),
            Standing::Canned(word) => {
                settings.policy = with_level("", "app", "", Level::parse(word).unwrap()).unwrap();
            }
            Standing::Ignored(_) => {
                settings.public_access_block = Some(PublicAccessBlock {
                    ignore_public_acls: true,
                    ..PublicAccessBlock::default()
                });
            }
            Standing::Unset | Standing::Own(_) => {}
        };
        scene.set(set).await;
        scene
    }

    /// What is wrong with the row, if anything is.
    async fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let mut scene = self.scene().await;
        for who in Who::ALL {
            for (letter, verb, target) in VERBS {
                for door in Door::ALL.into_iter().filter(|door| door.admits(who, verb)) {
                    let expected = self.of(who).contains(letter);
                    let answer = scene.send(who, door, verb, target, "slate").await;
                    let found = match answer.status {
                        200..300 => true,
                        403 => false,
                        other => panic!("{other} for {verb} by {who:?}: {}", answer.text()),
                    };
                    if found != expected {
                        faults.push(format!(
                            "{:?}: {verb} by {who:?}, {door:?}: {}",
                            self.standing, answer.status
                        ));
                    }
                    // Whatever was changed by it stands again for the next.
                    if found && matches!(verb, "PUT" | OPEN | "DELETE") {
                        scene = self.scene().await;
                    }
                }
            }
        }
        faults
    }
}

const VERBS: [(char, &str, &str); 6] = [
    ('G', "GET", "/app/doc"),
    ('H', "HEAD", "/app/doc"),
    ('P', "PUT", "/app/doc"),
    ('D', "DELETE", "/app/doc"),
    ('O', OPEN, "/app/doc"),
    ('L', "GET", "/app?list-type=2"),
];

#[tokio::test]
async fn every_level_lets_everybody_do_exactly_what_the_table_says_at_every_door() {
    for row in TABLE {
        assert_eq!(row.faults().await, [""; 0]);
    }
}

#[tokio::test]
async fn a_row_planted_wrong_is_found() {
    let shared = Standing::Own(Visibility::Shared);
    for planted in [
        row(Standing::Own(Visibility::Private), "GH", ["", "", "", "", ""]),
        row(Standing::Own(Visibility::Protected), "", ["GHP", "GH", "GH", "", ""]),
        row(shared, "", ["", "GH", "GH", "GH", "GHP"]),
        row(shared, "", ["", "GH", "GHP", "", "GHP"]),
        row(Standing::Canned("upload"), "PD", ["GPD", "PD", "PD", "PD", "PD"]),
        row(Standing::Acl(BucketAcl::PublicRead), "", ["L", "L", "L", "L", "L"]),
        row(
            Standing::Acl(BucketAcl::PublicReadWrite),
            "PL",
            ["POL", "POL", "POL", "POL", "POL"],
        ),
        row(Standing::Canned("upload"), "PDO", ["PD", "PD", "PD", "PD", "PD"]),
    ] {
        assert!(!planted.faults().await.is_empty(), "{:?}", planted.standing);
    }
}
