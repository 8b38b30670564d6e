//! The token service over a directory in memory, and what its credentials open.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt, Full};
use storage_engine::memory::MemoryBackend;
use storage_engine::store::clock::{SystemClock, Timestamp};
use storage_engine::store::{Epoch, Store};
use time::{Duration, OffsetDateTime};

use super::error::StsError;
use super::{StsService, is_sts};
use crate::auth::sign::Signer;
use crate::auth::{Account, AuthError, Authenticator, Federated, Identity, Kind, PayloadMode, SecretKey};
use crate::config::{Grants, OpenIdProvider};
use crate::http::edge::{HEAD_BYTES_MAX, head_bytes};
use crate::identity::{
    Directory, FederationRights, KeyParent, NewAccessKey, NewUser, Person, Root, SealKeys, Target, Temporary,
};
use crate::ldap::Ldap;
use crate::openid::tests::{Mood, Pair, TestIssuer, by_claim, eager};
use crate::openid::{Provider, Providers};

pub(super) const ROOT: (&str, &str) = ("rootkey", "root-password");
pub(super) const ALICE: (&str, &str) = ("alice", "alice-secret");
pub(super) const READ_X: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::x/*"}]}"#;

pub(super) struct Ground {
    pub(super) directory: Directory,
    pub(super) authenticator: Arc<Authenticator>,
    sts: StsService,
}

pub(super) async fn ground() -> Ground {
    ground_with(Vec::new()).await
}

/// With these identity providers, as the server wires them.
pub(super) async fn ground_with(settings: Vec<OpenIdProvider>) -> Ground {
    let providers = Providers::new(settings, None, eager()).unwrap();
    let rights = |provider: &Provider| match provider.grants() {
        Grants::Claim(_) => FederationRights::OwnClaims,
        Grants::Role(policies) => FederationRights::Policies(policies.clone()),
    };
    let federation = providers
        .iter()
        .map(|provider| (provider.id(), rights(provider)))
        .collect();
    let store = Store::new(Arc::new(MemoryBackend::new()), Arc::new(SystemClock), Epoch([1; 16]));
    let keys = SealKeys {
        operator: None,
        old_operator: None,
        password: SecretKey::new(ROOT.1),
        old_password: None,
    };
    let root = Root {
        access_key: ROOT.0.to_owned(),
        secret: SecretKey::new(ROOT.1),
    };
    let directory = Directory::open(store, Arc::new(SystemClock), root, keys, federation).await;
    let alice = NewUser {
        name: ALICE.0.to_owned(),
        secret: SecretKey::new(ALICE.1),
        enabled: true,
    };
    directory.put_user(&Identity::Root, alice).await.unwrap();
    let authenticator = Arc::new(Authenticator::new(Arc::new(directory.clone()), None).unwrap());
    let sts = StsService::new(
        Arc::clone(&authenticator),
        directory.clone(),
        providers,
        Ldap::default(),
    );
    Ground {
        directory,
        authenticator,
        sts,
    }
}

/// A temporary credential as its XML tells it.
#[derive(Clone, Debug)]
pub(super) struct Given {
    access_key: String,
    secret: String,
    token: String,
}

pub(super) fn element(xml: &str, name: &str) -> String {
    let after = xml
        .split_once(&format!("<{name}>"))
        .unwrap_or_else(|| panic!("no {name} in {xml}"))
        .1;
    after.split_once('<').unwrap().0.to_owned()
}

impl Given {
    pub(super) fn of(xml: &str) -> Self {
        Self {
            access_key: element(xml, "AccessKeyId"),
            secret: element(xml, "SecretAccessKey"),
            token: element(xml, "SessionToken"),
        }
    }

    pub(super) fn signer(&self) -> Signer {
        signer((&self.access_key, &self.secret)).with_session_token(&self.token)
    }
}

pub(super) fn signer((access_key, secret): (&str, &str)) -> Signer {
    Signer::new(access_key, SecretKey::new(secret), "us-east-1")
}

impl Ground {
    pub(super) async fn ask(&self, signer: Option<&Signer>, form: &str) -> (StatusCode, String) {
        let request = Request::post("/")
            .header(header::HOST, "localhost")
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded; charset=utf-8");
        let body = Bytes::from(form.to_owned());
        let mut request = request.body(Full::new(body.clone())).unwrap();
        assert!(is_sts(&request));
        if let Some(signer) = signer {
            let (mut parts, body_again) = request.into_parts();
            let mode = PayloadMode::SignedBody(crate::auth::sign::body_hash(&body));
            let service = if form.contains("Version=2010-05-08") {
                "iam"
            } else {
                "sts"
            };
            let signer = signer.clone().for_service(service);
            signer.sign(&mut parts, &mode, OffsetDateTime::now_utc()).unwrap();
            request = Request::from_parts(parts, body_again);
        }
        let request = request.map(|body| body.map_err(|never: Infallible| match never {}).boxed());
        let response = self.sts.handle(request).await;
        let status = response.status();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    pub(super) async fn given(&self, by: (&str, &str), form: &str) -> Given {
        let (status, xml) = self.ask(Some(&signer(by)), form).await;
        assert_eq!(status, StatusCode::OK, "{xml}");
        Given::of(&xml)
    }

    /// Who a signed GET comes from, at a time.
    pub(super) fn caller_at(&self, signer: &Signer, now: OffsetDateTime) -> Result<Identity, AuthError> {
        let request = Request::get("/x/key").header(header::HOST, "localhost");
        let (mut parts, body) = request.body(Full::new(Bytes::new())).unwrap().into_parts();
        let mode = PayloadMode::SignedBody(crate::auth::sign::body_hash(b""));
        signer.sign(&mut parts, &mode, now).unwrap();
        let known = self
            .authenticator
            .authenticate_at(Request::from_parts(parts, body), now);
        known.map(|known| known.identity)
    }

    pub(super) fn caller(&self, signer: &Signer) -> Result<Identity, AuthError> {
        self.caller_at(signer, OffsetDateTime::now_utc())
    }
}

const ASSUME: &str =
    "Action=AssumeRole&Version=2011-06-15&RoleArn=arn%3Aaws%3Aiam%3A%3A0%3Arole%2Fx&RoleSessionName=me";

#[tokio::test]
async fn a_user_gets_a_credential_of_its_own_account_narrowed_by_the_policy_it_names() {
    let ground = ground().await;
    let narrow = format!(
        "{ASSUME}&DurationSeconds=900&Policy={}",
        percent_encoding::utf8_percent_encode(READ_X, percent_encoding::NON_ALPHANUMERIC)
    );
    let before = OffsetDateTime::now_utc();
    let given = ground.given(ALICE, &narrow).await;
    let Ok(Identity::Caller(caller)) = ground.caller(&given.signer()) else {
        panic!("not let in");
    };
    assert_eq!(caller.account, Account::User("alice".into()));
    assert_eq!(caller.session.as_ref().unwrap().text(), READ_X);
    let Kind::Temporary { expires } = caller.kind else {
        panic!("{:?}", caller.kind)
    };
    assert!(expires >= before + Duration::seconds(899) && expires <= before + Duration::seconds(960));

    let late = expires + Duration::seconds(1);
    let ended = ground.caller_at(&given.signer(), late).unwrap_err();
    assert_eq!(ended.code(), "ExpiredToken");

    let roots = ground.given(ROOT, ASSUME).await;
    let Ok(Identity::Caller(caller)) = ground.caller(&roots.signer()) else {
        panic!("not let in");
    };
    assert_eq!((&caller.account, &caller.session), (&Account::Root, &None));
}

#[tokio::test]
async fn a_token_opens_nothing_without_its_own_access_key_and_secret() {
    let ground = ground().await;
    let (one, other) = (ground.given(ALICE, ASSUME).await, ground.given(ALICE, ASSUME).await);
    let code = |given: &Given| ground.caller(&given.signer()).unwrap_err().code();
    let swapped = Given {
        token: other.token.clone(),
        ..one.clone()
    };
    assert_eq!(code(&swapped), "InvalidAccessKeyId");
    let wrong_secret = Given {
        secret: other.secret.clone(),
        ..one.clone()
    };
    assert_eq!(code(&wrong_secret), "SignatureDoesNotMatch");
    let mut bent = one.token.clone().into_bytes();
    bent[30] = if bent[30] == b'A' { b'B' } else { b'A' };
    let bent = Given {
        token: String::from_utf8(bent).unwrap(),
        ..one.clone()
    };
    assert_eq!(code(&bent), "InvalidAccessKeyId");
    let without = ground.caller(&signer((&one.access_key, &one.secret))).unwrap_err();
    assert_eq!(without.code(), "InvalidAccessKeyId");
    let with_users_key = ground
        .caller(&signer(ALICE).with_session_token(&one.token))
        .unwrap_err();
    assert_eq!(with_users_key.code(), "InvalidToken");
    assert!(ground.caller(&one.signer()).is_ok());
}

#[tokio::test]
async fn temporary_credentials_end_with_their_user_and_when_they_are_revoked() {
    let ground = ground().await;
    let given = ground.given(ALICE, ASSUME).await;
    let by = Identity::Root;
    ground.directory.set_user_status(&by, "alice", false).await.unwrap();
    assert_eq!(ground.caller(&given.signer()).unwrap_err().code(), "InvalidAccessKeyId");
    ground.directory.set_user_status(&by, "alice", true).await.unwrap();
    assert!(ground.caller(&given.signer()).is_ok());

    ground
        .directory
        .revoke_temporary(&KeyParent::User("alice".into()))
        .await
        .unwrap();
    assert_eq!(ground.caller(&given.signer()).unwrap_err().code(), "InvalidAccessKeyId");
    assert!(ground.caller(&signer(ALICE)).is_ok());

    let roots = ground.given(ROOT, ASSUME).await;
    ground.directory.revoke_temporary(&KeyParent::Root).await.unwrap();
    assert!(ground.caller(&roots.signer()).is_err());
}

#[tokio::test]
async fn a_user_made_anew_takes_over_no_temporary_credential() {
    let ground = ground().await;
    let given = ground.given(ALICE, ASSUME).await;
    ground.directory.remove_user(&Identity::Root, "alice").await.unwrap();
    let again = NewUser {
        name: ALICE.0.to_owned(),
        secret: SecretKey::new(ALICE.1),
        enabled: true,
    };
    ground.directory.put_user(&Identity::Root, again).await.unwrap();
    assert!(ground.caller(&signer(ALICE)).is_ok());
    assert_eq!(ground.caller(&given.signer()).unwrap_err().code(), "InvalidAccessKeyId");
}

#[tokio::test]
async fn only_root_and_users_themselves_are_given_temporary_credentials() {
    let ground = ground().await;
    let key = NewAccessKey {
        access_key: Some("alices-key".into()),
        secret: Some(SecretKey::new("alices-key-secret")),
        ..NewAccessKey::of(KeyParent::User("alice".into()))
    };
    ground.directory.add_access_key(&Identity::Root, key).await.unwrap();
    let temporary = ground.given(ALICE, ASSUME).await.signer();
    let child = signer(("alices-key", "alices-key-secret"));
    let (stranger, wrong) = (signer(("bob", "bobs-secret")), signer((ALICE.0, "wrong-secret")));
    for (by, status, code) in [
        (None, 403, "AccessDenied"),
        (Some(&child), 403, "AccessDenied"),
        (Some(&temporary), 403, "AccessDenied"),
        (Some(&stranger), 403, "InvalidClientTokenId"),
        (Some(&wrong), 403, "SignatureDoesNotMatch"),
    ] {
        let (found, xml) = ground.ask(by, ASSUME).await;
        assert_eq!(
            (found.as_u16(), element(&xml, "Code").as_str()),
            (status, code),
            "{xml}"
        );
    }
}

#[tokio::test]
async fn everybody_who_is_signed_in_learns_who_they_are() {
    let ground = ground().await;
    let who = "Action=GetCallerIdentity&Version=2011-06-15";
    let temporary = ground.given(ALICE, ASSUME).await.signer();
    for (by, arn) in [
        (signer(ROOT), "arn:aws:iam::000000000000:root"),
        (signer(ALICE), "arn:aws:iam::000000000000:user/alice"),
        (temporary, "arn:aws:iam::000000000000:user/alice"),
    ] {
        let (status, xml) = ground.ask(Some(&by), who).await;
        assert_eq!((status, element(&xml, "Arn").as_str()), (StatusCode::OK, arn), "{xml}");
        assert_eq!(element(&xml, "Account"), "000000000000");
    }
    let (status, _) = ground.ask(None, who).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn what_is_wrong_or_not_built_is_said_and_gives_out_nothing() {
    let ground = ground().await;
    let alice = signer(ALICE);
    let large = format!("{ASSUME}&Policy={}", "x".repeat(2_049));
    let of_role = |rest: &str| format!("{ASSUME}&{rest}");
    for (form, status, code) in [
        ("", 400, "MissingParameter"),
        ("Action=Nonsense", 400, "InvalidAction"),
        (
            "Action=AssumeRole&Action=GetCallerIdentity",
            400,
            "InvalidParameterValue",
        ),
        (&of_role("DurationSeconds=899"), 400, "InvalidParameterValue"),
        (&of_role("DurationSeconds=604801"), 400, "InvalidParameterValue"),
        (&of_role("DurationSeconds=x"), 400, "InvalidParameterValue"),
        (&of_role("Policy=%7B"), 400, "MalformedPolicyDocument"),
        (&large, 400, "PackedPolicyTooLarge"),
        (&of_role("PolicyArns.member.1.arn=a"), 501, "NotImplemented"),
        ("Action=AssumeRoleWithCertificate", 501, "NotImplemented"),
        ("Action=AssumeRoleWithLDAPIdentity", 400, "MissingParameter"),
        (
            "Action=AssumeRoleWithLDAPIdentity&LDAPUsername=ann&LDAPPassword=",
            400,
            "MissingParameter",
        ),
        (
            "Action=AssumeRoleWithLDAPIdentity&LDAPUsername=ann&LDAPPassword=x",
            400,
            "InvalidParameterValue",
        ),
        ("Action=AssumeRoleWithWebIdentity", 400, "MissingParameter"),
        ("Action=AssumeRoleWithClientGrants", 400, "MissingParameter"),
        (
            "Action=AssumeRoleWithWebIdentity&WebIdentityToken=a.b.c",
            400,
            "InvalidParameterValue",
        ),
        (
            "Action=AssumeRoleWithWebIdentity&WebIdentityToken=a.b.c&ProviderId=x",
            501,
            "NotImplemented",
        ),
    ] {
        let (found, xml) = ground.ask(Some(&alice), form).await;
        assert_eq!(
            (found.as_u16(), element(&xml, "Code").as_str()),
            (status, code),
            "{form}: {xml}"
        );
    }
    let oversized = "a=".to_owned() + &"b".repeat(70_000);
    let (status, _) = ground.ask(Some(&alice), &oversized).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn what_is_signed_for_one_service_opens_nothing_at_the_other() {
    let ground = ground().await;
    let for_sts = ground.caller(&signer(ALICE).for_service("sts")).unwrap_err();
    assert_eq!(for_sts.code(), "AuthorizationHeaderMalformed");
    let body = crate::auth::sign::body_hash(b"");
    let (mut parts, ()) = Request::post("/")
        .header(header::HOST, "localhost")
        .body(())
        .unwrap()
        .into_parts();
    let mode = PayloadMode::SignedBody(body);
    signer(ALICE)
        .sign(&mut parts, &mode, OffsetDateTime::now_utc())
        .unwrap();
    let request = Request::from_parts(parts, Full::new(Bytes::new()));
    let at_sts = ground
        .authenticator
        .authenticate_in(crate::auth::Realm::Sts, request, OffsetDateTime::now_utc());
    assert_eq!(at_sts.err().unwrap().code(), "AuthorizationHeaderMalformed");
}

#[tokio::test]
async fn a_url_presigned_before_its_user_was_disabled_opens_nothing_after() {
    let ground = ground().await;
    let given = ground.given(ALICE, ASSUME).await;
    let presigned = |signer: &Signer| {
        let (mut parts, ()) = Request::get("/x/key")
            .header(header::HOST, "localhost")
            .body(())
            .unwrap()
            .into_parts();
        signer.presign(&mut parts, 600, OffsetDateTime::now_utc()).unwrap();
        parts
    };
    let urls = [presigned(&signer(ALICE)), presigned(&given.signer())];
    let codes = || {
        urls.clone().map(|parts| {
            let request = Request::from_parts(parts, Full::new(Bytes::new()));
            let known = ground.authenticator.authenticate_at(request, OffsetDateTime::now_utc());
            known.err().map(|error| error.code())
        })
    };
    assert_eq!(codes(), [None, None]);
    ground
        .directory
        .set_user_status(&Identity::Root, "alice", false)
        .await
        .unwrap();
    assert_eq!(codes(), [Some("InvalidAccessKeyId"), Some("InvalidAccessKeyId")]);
}

#[tokio::test]
async fn a_policy_can_deny_temporary_credentials_to_whom_it_is_attached() {
    let ground = ground().await;
    let deny = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"sts:AssumeRole"}]}"#;
    ground.directory.put_policy("no-tokens", deny.as_bytes()).await.unwrap();
    let alice = Target::User("alice".into());
    ground
        .directory
        .attach(&alice, &["no-tokens".to_owned()])
        .await
        .unwrap();
    let (status, xml) = ground.ask(Some(&signer(ALICE)), ASSUME).await;
    assert_eq!(
        (status.as_u16(), element(&xml, "Code").as_str()),
        (403, "AccessDenied"),
        "{xml}"
    );
    let who = "Action=GetCallerIdentity&Version=2011-06-15";
    assert_eq!(ground.ask(Some(&signer(ALICE)), who).await.0, StatusCode::OK);
}

/// A form that a token comes with.
pub(super) fn by_token(token: &str, rest: &str) -> String {
    format!("Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleSessionName=me&WebIdentityToken={token}{rest}")
}

async fn issuer() -> (TestIssuer, Pair) {
    let pair = Pair::p256();
    let issuer = TestIssuer::start(serde_json::json!({"keys": [pair.public("k")]})).await;
    (issuer, pair)
}

#[tokio::test]
async fn a_token_of_an_identity_provider_is_changed_for_a_credential_with_the_rights_it_names() {
    let (issuer, pair) = issuer().await;
    let ground = ground_with(vec![issuer.provider(by_claim())]).await;
    let token = pair.token("ES256", Some("k"), &issuer.claims());
    let role = "&RoleArn=arn%3Aaws%3Aiam%3A%3A0%3Arole%2Fx&DurationSeconds=3600";
    let (status, xml) = ground.ask(None, &by_token(&token, role)).await;
    assert_eq!(status, StatusCode::OK, "{xml}");
    assert_eq!(element(&xml, "SubjectFromWebIdentityToken"), "ann");
    assert_eq!(
        (element(&xml, "Audience"), element(&xml, "Provider")),
        ("store".into(), issuer.url.clone())
    );
    let given = Given::of(&xml);
    let Ok(Identity::Caller(caller)) = ground.caller(&given.signer()) else {
        panic!("not let in");
    };
    assert_eq!(
        caller.account,
        Account::Federated(Federated::new(&format!("{}#ann", issuer.url)))
    );
    assert_eq!((caller.policies.len(), caller.canonical_id.len()), (2, 64));
    assert_eq!(caller.claims["jwt:sub"], ["ann"]);
    // The token ends in a minute, and the hour that was asked for with it.
    let Kind::Temporary { expires } = caller.kind else {
        panic!("{:?}", caller.kind)
    };
    assert!(expires <= OffsetDateTime::now_utc() + Duration::seconds(120));

    let grants = format!("Action=AssumeRoleWithClientGrants&Version=2011-06-15&Token={token}");
    let (status, xml) = ground.ask(None, &grants).await;
    assert_eq!(
        (status, element(&xml, "SubjectFromToken").as_str()),
        (StatusCode::OK, "ann"),
        "{xml}"
    );

    let narrow = percent_encoding::utf8_percent_encode(READ_X, percent_encoding::NON_ALPHANUMERIC);
    let (_, xml) = ground.ask(None, &by_token(&token, &format!("&Policy={narrow}"))).await;
    let Ok(Identity::Caller(narrowed)) = ground.caller(&Given::of(&xml).signer()) else {
        panic!("not let in");
    };
    assert_eq!(narrowed.session.as_ref().unwrap().text(), READ_X);
    let who = "Action=GetCallerIdentity&Version=2011-06-15";
    let (_, xml) = ground.ask(Some(&given.signer()), who).await;
    assert!(element(&xml, "Arn").ends_with("#ann"), "{xml}");
    let (status, _) = ground.ask(Some(&given.signer()), ASSUME).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn fields_in_the_query_count_where_nobody_signs_and_there_is_no_form() {
    let (issuer, pair) = issuer().await;
    let ground = ground_with(vec![issuer.provider(by_claim())]).await;
    let token = pair.token("ES256", Some("k"), &issuer.claims());
    let request = Request::post(format!("/?{}", by_token(&token, ""))).header(header::HOST, "localhost");
    let request = request.body(Full::new(Bytes::new())).unwrap();
    assert!(is_sts(&request));
    assert!(!is_sts(
        &Request::post("/?delete&x=Action=AssumeRoleWithWebIdentity")
            .body(())
            .unwrap()
    ));
    let request = request.map(|body| body.map_err(|never: Infallible| match never {}).boxed());
    let response = ground.sts.handle(request).await;
    assert_eq!(response.status(), StatusCode::OK);
}

#[tokio::test]
async fn what_a_token_opens_ends_with_its_policies_its_provider_and_its_revocation() {
    let (issuer, pair) = issuer().await;
    let ground = ground_with(vec![issuer.provider(by_claim())]).await;
    let mut claims = issuer.claims();
    claims["policy"] = serde_json::json!(["mine", "unheard-of"]);
    let token = pair.token("ES256", Some("k"), &claims);
    let code = |xml: &str| element(xml, "Code");
    let (status, xml) = ground.ask(None, &by_token(&token, "")).await;
    assert_eq!(
        (status.as_u16(), code(&xml).as_str()),
        (400, "InvalidParameterValue"),
        "{xml}"
    );

    ground.directory.put_policy("mine", READ_X.as_bytes()).await.unwrap();
    let (_, xml) = ground.ask(None, &by_token(&token, "")).await;
    let given = Given::of(&xml);
    let Ok(Identity::Caller(caller)) = ground.caller(&given.signer()) else {
        panic!("not let in");
    };
    assert_eq!(
        caller.policies.iter().map(|policy| policy.text()).collect::<Vec<_>>(),
        [READ_X]
    );
    ground.directory.remove_policy("mine").await.unwrap();
    assert_eq!(ground.caller(&given.signer()).unwrap_err().code(), "InvalidAccessKeyId");
    ground.directory.put_policy("mine", READ_X.as_bytes()).await.unwrap();
    assert!(ground.caller(&given.signer()).is_ok());

    let name = format!("{}#ann", issuer.url);
    ground.directory.revoke_person(&format!("{name}2")).await.unwrap();
    assert!(ground.caller(&given.signer()).is_ok());
    ground.directory.revoke_person(&name).await.unwrap();
    assert_eq!(ground.caller(&given.signer()).unwrap_err().code(), "InvalidAccessKeyId");
    let (_, xml) = ground.ask(None, &by_token(&token, "")).await;
    assert!(ground.caller(&Given::of(&xml).signer()).is_ok());

    let deny = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"sts:AssumeRoleWithWebIdentity"}]}"#;
    ground.directory.put_policy("mine", deny.as_bytes()).await.unwrap();
    let (status, xml) = ground.ask(None, &by_token(&token, "")).await;
    assert_eq!((status.as_u16(), code(&xml).as_str()), (403, "AccessDenied"), "{xml}");
}

#[tokio::test]
async fn the_policies_of_a_role_are_those_of_the_settings_and_not_of_the_token() {
    let (issuer, pair) = issuer().await;
    let role = Grants::Role(vec!["diagnostics".to_owned()]);
    let ground = ground_with(vec![issuer.provider(role)]).await;
    let token = pair.token("ES256", Some("k"), &issuer.claims());
    let (status, _) = ground.ask(None, &by_token(&token, "")).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    let arn = ground
        .sts
        .providers
        .iter()
        .next()
        .unwrap()
        .role_arn()
        .unwrap()
        .to_owned();
    let arn = percent_encoding::utf8_percent_encode(&arn, percent_encoding::NON_ALPHANUMERIC);
    let (_, xml) = ground.ask(None, &by_token(&token, &format!("&RoleArn={arn}"))).await;
    let Ok(Identity::Caller(caller)) = ground.caller(&Given::of(&xml).signer()) else {
        panic!("not let in");
    };
    let diagnostics = ground.directory.policy("diagnostics").unwrap().text;
    assert_eq!(
        caller.policies.iter().map(|policy| policy.text()).collect::<Vec<_>>(),
        [diagnostics]
    );
}

#[tokio::test]
async fn a_token_that_ended_and_an_issuer_that_is_down_are_told_apart() {
    let (issuer, pair) = issuer().await;
    let ground = ground_with(vec![issuer.provider(by_claim())]).await;
    let mut claims = issuer.claims();
    let token = pair.token("ES256", Some("k"), &claims);
    claims["exp"] = serde_json::json!(1_700_000_000);
    let ended = pair.token("ES256", Some("k"), &claims);
    issuer.set_mood(Mood::Failing);
    for (token, mood, status, code) in [
        (&token, Mood::Failing, 503, "IDPCommunicationError"),
        (&ended, Mood::Well, 400, "ExpiredToken"),
    ] {
        issuer.set_mood(mood);
        let (found, xml) = ground.ask(None, &by_token(token, "")).await;
        assert_eq!(
            (found.as_u16(), element(&xml, "Code").as_str()),
            (status, code),
            "{xml}"
        );
        assert!(!xml.contains(token.as_str()));
    }
}

#[tokio::test]
async fn a_credential_that_is_given_out_fits_into_a_request_and_a_larger_one_is_refused_in_words() {
    let (issuer, _) = issuer().await;
    let ground = ground_with(vec![issuer.provider(by_claim())]).await;
    let provider = ground.sts.providers.iter().next().unwrap().id();
    let issue = |bytes: usize| {
        let person = Person {
            provider: provider.clone(),
            name: "https://id.example.com#ann".to_owned(),
            groups: Vec::new(),
            claims: [("jwt:note".to_owned(), vec!["x".repeat(bytes)])].into(),
            policies: vec!["readonly".to_owned()],
            ends: Timestamp::from_millis(u64::MAX),
        };
        ground.directory.issue_to_person(person, None, None)
    };
    let (mut good, mut bad) = (8_000, 10_000);
    while bad - good > 1 {
        let middle = usize::midpoint(good, bad);
        match issue(middle).await {
            Ok(_) => good = middle,
            Err(_) => bad = middle,
        }
    }
    let text = |secret: &SecretKey| String::from_utf8(secret.expose().to_vec()).unwrap();
    let Temporary {
        access_key,
        secret,
        token,
        ..
    } = issue(good).await.unwrap();
    let given = Given {
        access_key,
        secret: text(&secret),
        token: text(&token),
    };
    assert!((12_200..=12_288).contains(&given.token.len()), "{}", given.token.len());
    assert!(ground.caller(&given.signer()).is_ok());
    // The longest name of an object goes beside it, in a header and in a URL.
    for presigned in [false, true] {
        let request = Request::put(format!("/bucket/{}", "k".repeat(1_024))).header(header::HOST, "store.example.com");
        let (mut parts, ()) = request.body(()).unwrap().into_parts();
        let (signer, now) = (given.signer(), OffsetDateTime::now_utc());
        match presigned {
            true => signer.presign(&mut parts, 900, now).unwrap(),
            false => drop(signer.sign(&mut parts, &PayloadMode::Unsigned, now).unwrap()),
        }
        let bytes = head_bytes(&parts.method, &parts.uri, &parts.headers);
        assert!(bytes + 1_024 < HEAD_BYTES_MAX, "{bytes}");
    }
    let refused = StsError::from(issue(bad).await.unwrap_err());
    assert_eq!(refused.status(), StatusCode::BAD_REQUEST);
    let xml = refused.to_xml(crate::auth::Realm::Sts, "1");
    assert_eq!(element(&xml, "Code"), "PackedPolicyTooLarge");
    assert!(xml.contains("what the identity provider says of the user"), "{xml}");
}
