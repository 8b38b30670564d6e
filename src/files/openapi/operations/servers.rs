//! What is set up and counted: logical buckets, usage, webhooks.

use serde_json::Value;

use super::super::super::bucket::TYPES_MAX;
use super::super::super::error::Code;
use super::super::super::routes::Route;
use super::super::components::{quota_fields, user_fields, visibility, webhook_fields};
use super::super::described::{Described, Tag};
use super::super::refusals::CHANGE;
use super::super::schema::{Field, asked, closed, count, flag, list_of, one_of, shared, text, within};
use super::Entry;
use crate::projects::{Confirm, Gc, Scan, Sizes, TTL_SECONDS_RANGE};

pub(super) const ALL: &[Entry] = &[
    (Route::Usage, usage),
    (Route::Quotas, quotas),
    (Route::QuotasSet, quotas_set),
    (Route::Users, users),
    (Route::UserBlock, user_block),
    (Route::UserUnblock, user_unblock),
    (Route::UserRevokeUrls, user_revoke_urls),
    (Route::UserFiles, user_files),
    (Route::Buckets, buckets),
    (Route::Bucket, bucket),
    (Route::BucketSet, bucket_set),
    (Route::ScanAgain, scan_again),
    (Route::Release, release),
    (Route::WebhookAdd, webhook_add),
    (Route::Webhooks, webhooks),
    (Route::WebhookGet, webhook_get),
    (Route::WebhookPatch, webhook_patch),
    (Route::WebhookDelete, webhook_delete),
    (Route::WebhookTest, webhook_test),
    (Route::WebhookDeliveries, webhook_deliveries),
];

const HOOK: &[Code] = &[Code::NO_SUCH_WEBHOOK];
const RECEIVER: &[Code] = &[Code::INVALID_URL, Code::URL_NOT_ALLOWED];

fn usage() -> Described {
    Described::new("getUsage", Tag::Buckets, "What files take up")
        .says("Your own; of an admin and a server everybody's, or of whom they name.")
        .query("ownerId", text(), "Of admins and servers: one owner's.")
        .query("issuer", text(), "With a secret key: the issuer that knows the owner.")
        .query("breakdown", flag(), "Without it `quota` alone is told, at no cost.")
        .tells(200, "Usage")
}

fn quotas() -> Described {
    Described::new(
        "getQuotas",
        Tag::Buckets,
        "How much files may take up, and what is used",
    )
    .tells(200, "Quotas")
}

fn quotas_set() -> Described {
    Described::new("setQuotas", Tag::Buckets, "How much files may take up")
        .says("What is named is set, null takes it away, and the rest stays.")
        .may_ask(closed(asked(Vec::new(), quota_fields())))
        .tells(200, "Quotas")
        .refuses(&[&[Code::SIZE_NEGATIVE, Code::TOO_MANY]])
}

fn users() -> Described {
    Described::new(
        "listUsers",
        Tag::Users,
        "Those who are shut out, or whose links were revoked",
    )
    .says("A revocation is listed as long as a link from before it could last.")
    .tells(200, "Users")
}

/// A body that names a user, and says this as well.
fn user_named(must: Vec<Field>, may: Vec<Field>) -> Value {
    let (sub, issuer) = user_fields().into_iter().partition(|(name, ..)| *name == "sub");
    asked([sub, must].concat(), [issuer, may].concat())
}

fn user_block() -> Described {
    Described::new("blockUser", Tag::Users, "That nothing is let to a user any more")
        .says("Neither by their tokens nor by what they were given before. Their files stay as they are.")
        .asks(user_named(Vec::new(), Vec::new()))
        .tells(200, "User")
        .refuses(&[&[Code::TOO_MANY]])
}

fn user_unblock() -> Described {
    Described::new("unblockUser", Tag::Users, "That a user is let in again")
        .says("What they were given before they were blocked stays revoked.")
        .asks(user_named(Vec::new(), Vec::new()))
        .tells(200, "User")
        .refuses(&[&[Code::TOO_MANY]])
}

fn user_revoke_urls() -> Described {
    Described::new(
        "revokeUserUrls",
        Tag::Users,
        "That nothing that a user was given opens anything any more",
    )
    .says("All addresses they asked for, all to their files, credentials for uploads and upload tokens in their name. Users do it for themselves, and name nobody; servers for whom they name.")
    .may_ask(asked(Vec::new(), user_fields()))
    .tells(200, "User")
    .refuses(&[&[Code::TOO_MANY]])
}

fn user_files() -> Described {
    let then = ("then", one_of(&["trash", "purge", "reassign"]), "");
    let to = user_named(Vec::new(), Vec::new());
    let may = vec![("to", to, "With `reassign`: whose they are then.")];
    Described::new("dealWithUserFiles", Tag::Users, "What becomes of the files of a user")
        .says("Of 1,000 at a time; send it again while there may be `more`.")
        .asks(user_named(vec![then], may))
        .tells(200, "UserFiles")
        .refuses(&[CHANGE, &[Code::QUOTA]])
}

fn buckets() -> Described {
    Described::new(
        "listBuckets",
        Tag::Buckets,
        "The logical buckets, and what may be put into them",
    )
    .tells(200, "Buckets")
}

fn bucket() -> Described {
    Described::new(
        "getBucket",
        Tag::Buckets,
        "A logical bucket, and what may be put into it",
    )
    .tells(200, "Bucket")
    .refuses(&[&[Code::NO_SUCH_ROUTE]])
}

fn bucket_set() -> Described {
    let may = vec![
        ("name", text(), "That of the path, if it is said."),
        ("maxSize", count(), "Most bytes of a file."),
        (
            "allowedTypes",
            list_of(&text(), (0, TYPES_MAX)),
            "Such as `image/*`; empty: any.",
        ),
        ("defaultVisibility", visibility(), ""),
        (
            "ttlSeconds",
            within((*TTL_SECONDS_RANGE.start(), *TTL_SECONDS_RANGE.end())),
            "Seconds after which files go to the trash by themselves.",
        ),
        ("gc", one_of(&Gc::ALL.map(Gc::name)), ""),
        ("confirm", one_of(&Confirm::ALL.map(Confirm::name)), ""),
        ("scan", one_of(&Scan::ALL.map(Scan::name)), ""),
        (
            "sizes",
            one_of(&Sizes::ALL.map(Sizes::name)),
            "What an announced size is: the most bytes a file may have, or what it must have.",
        ),
        (
            "guestUpload",
            flag(),
            "Guests put files into it: of `maxSize` bytes, or 10 MiB where it has none.",
        ),
    ];
    Described::new(
        "setBucket",
        Tag::Buckets,
        "The rules of a logical bucket, in the place of all that were set",
    )
    .may_ask(closed(asked(Vec::new(), may)))
    .tells(200, "Bucket")
    .refuses(&[&[Code::SIZE_NEGATIVE, Code::TOO_MANY]])
}

fn scan_again() -> Described {
    Described::new("scanFile", Tag::Files, "That it is scanned again")
        .says("Nobody reads it until then.")
        .tells(200, "SeenFile")
        .refuses(&[CHANGE, &[Code::SCAN_OFF]])
}

fn release() -> Described {
    let reason = vec![("reason", text(), "Kept with the file.")];
    Described::new(
        "releaseFile",
        Tag::Files,
        "That its bytes may be read whatever a scanner said",
    )
    .asks(asked(reason, Vec::new()))
    .tells(200, "SeenFile")
    .refuses(&[CHANGE])
}

fn webhook_add() -> Described {
    let mut fields = webhook_fields();
    let url = fields.pop().into_iter().collect();
    Described::new("addWebhook", Tag::Webhooks, "A receiver of events")
        .says("At most 16.")
        .asks(closed(asked(url, fields)))
        .tells(201, "MadeWebhook")
        .refuses(&[RECEIVER, &[Code::TOO_MANY]])
}

fn webhooks() -> Described {
    Described::new("listWebhooks", Tag::Webhooks, "The receivers").tells(200, "Webhooks")
}

fn webhook_get() -> Described {
    Described::new("getWebhook", Tag::Webhooks, "A receiver")
        .tells(200, "Webhook")
        .refuses(&[HOOK])
}

fn webhook_patch() -> Described {
    Described::new("changeWebhook", Tag::Webhooks, "Another URL, other events, or a pause")
        .may_ask(shared("WebhookChange"))
        .tells(200, "Webhook")
        .refuses(&[HOOK, RECEIVER])
}

fn webhook_delete() -> Described {
    Described::new("deleteWebhook", Tag::Webhooks, "That it hears nothing any more")
        .tells(200, "Nothing")
        .refuses(&[HOOK])
}

fn webhook_test() -> Described {
    Described::new(
        "testWebhook",
        Tag::Webhooks,
        "That it is told of an event of the type `test`, once and now",
    )
    .tells(200, "Delivery")
    .refuses(&[HOOK])
}

fn webhook_deliveries() -> Described {
    Described::new("listDeliveries", Tag::Webhooks, "What became of deliveries")
        .query(
            "status",
            one_of(&["ended", "waiting"]),
            "`ended` by itself, newest first; those that wait oldest first.",
        )
        .query("limit", within((1_u16, 100)), "50 by itself.")
        .query("after", text(), "An `eventId`.")
        .tells(200, "Deliveries")
        .refuses(&[HOOK])
}
