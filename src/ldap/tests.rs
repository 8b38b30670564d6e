//! Servers that say what the test makes them say: what the conversation is, and that nothing of it can hurt.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::ber::{Elements, INTEGER, SEQUENCE, unsigned};
use super::message::tests::{answer, entry};
use super::{Ldap, LdapError, LdapSetupError, Pace, SignedIn};
use crate::config::{LdapGroups, LdapSecurity, LdapServer, Secret};

const BIND: u8 = 0x60;
const BOUND: u8 = 0x61;
const UNBIND: u8 = 0x42;
const SEARCH: u8 = 0x63;
const DONE: u8 = 0x65;
const EXTENDED: u8 = 0x77;
const EXTENDED_DONE: u8 = 0x78;

const ANN: &str = "uid=ann,ou=people,dc=x";
const SECRET: &[u8] = b"anns-secret";

/// What a server answers to a request, by its id, its kind and its content; `None`: it closes the connection.
type Mouth = dyn Fn(u32, u8, &[u8]) -> Option<Vec<u8>> + Send + Sync;

/// A server on a port of this machine.
struct TestServer {
    settings: LdapServer,
    /// The kinds of all requests, in order.
    heard: Arc<parking_lot::Mutex<Vec<u8>>>,
}

fn settings(port: u16) -> LdapServer {
    LdapServer {
        host: "127.0.0.1".into(),
        port,
        security: LdapSecurity::Plain,
        verified: true,
        bind_dn: "cn=search,dc=x".into(),
        bind_password: Secret::new("search-secret"),
        user_bases: vec!["ou=people,dc=x".into()],
        user_filter: "(uid=%s)".into(),
        groups: Some(LdapGroups {
            bases: vec!["ou=groups,dc=x".into()],
            filter: "(member=%d)".into(),
        }),
    }
}

impl TestServer {
    async fn start(mouth: impl Fn(u32, u8, &[u8]) -> Option<Vec<u8>> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Self {
            settings: settings(listener.local_addr().unwrap().port()),
            heard: Arc::default(),
        };
        let (mouth, heard): (Arc<Mouth>, _) = (Arc::new(mouth), Arc::clone(&server.heard));
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let (mouth, heard) = (Arc::clone(&mouth), Arc::clone(&heard));
                tokio::spawn(async move {
                    let mut bytes = Vec::new();
                    while stream.read_buf(&mut bytes).await.is_ok_and(|read| read > 0) {
                        let mut messages = Elements(&bytes);
                        let Some(message) = messages.take(SEQUENCE) else {
                            continue;
                        };
                        let mut parts = Elements(message);
                        let id = parts.take(INTEGER).and_then(unsigned).unwrap();
                        let (kind, content) = parts.read().unwrap();
                        heard.lock().push(kind);
                        let Some(said) = mouth(id, kind, content) else { return };
                        drop(stream.write_all(&said).await);
                        bytes.clear();
                    }
                });
            }
        });
        server
    }

    fn ldap(&self) -> Ldap {
        quick(self.settings.clone())
    }
}

fn quick(settings: LdapServer) -> Ldap {
    let pace = Pace {
        patience: Duration::from_secs(20),
        failure: Duration::from_millis(1),
    };
    Ldap::new(Some(settings), pace).unwrap()
}

fn holds(content: &[u8], text: &[u8]) -> bool {
    content.windows(text.len()).any(|window| window == text)
}

/// A server that knows Ann, and two people of the name `twins`.
fn well(id: u32, kind: u8, content: &[u8]) -> Option<Vec<u8>> {
    let done = answer(id, DONE, 0, "");
    Some(match kind {
        BIND if holds(content, b"cn=search") && holds(content, b"search-secret") => answer(id, BOUND, 0, ""),
        BIND if holds(content, ANN.as_bytes()) && holds(content, SECRET) => answer(id, BOUND, 0, ""),
        BIND => answer(id, BOUND, 49, "no"),
        SEARCH if holds(content, b"ou=groups") && holds(content, ANN.as_bytes()) => {
            let groups = ["cn=b,ou=groups,dc=x", "CN=a , ou=groups,dc=x", "cn=lonely"];
            [groups.map(|dn| entry(id, dn)).concat(), done].concat()
        }
        SEARCH if holds(content, b"twins") => {
            let twins = ["uid=twins,ou=people,dc=x", "uid=twins,ou=more,ou=people,dc=x"];
            [twins.map(|dn| entry(id, dn)).concat(), done].concat()
        }
        SEARCH if holds(content, b"ann") => [entry(id, ANN), done].concat(),
        SEARCH => done,
        _ => return None,
    })
}

#[tokio::test]
async fn who_the_server_accepts_is_told_with_name_and_groups() {
    let server = TestServer::start(well).await;
    let signed_in = server.ldap().sign_in("ann", "anns-secret", None).await;
    let expected = SignedIn {
        dn: ANN.into(),
        name: "ann".into(),
        groups: vec!["cn=a,ou=groups,dc=x".into(), "cn=b,ou=groups,dc=x".into()],
    };
    assert_eq!(signed_in, Ok(expected));
    // The last of them is answered by nobody.
    let start = Instant::now();
    while server.heard.lock().len() < 6 && start.elapsed() < Duration::from_secs(60) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(*server.heard.lock(), [BIND, SEARCH, BIND, BIND, SEARCH, UNBIND]);
    assert_eq!(server.ldap().user("ann").await, Ok(Some(ANN.into())));
    assert_eq!(server.ldap().user("bob").await, Ok(None));
    assert_eq!(server.ldap().user("uid=ann,ou=elsewhere,dc=x").await, Ok(None));
    assert_eq!(server.ldap().group("ann").await, Ok(None));
}

#[tokio::test]
async fn a_name_in_another_case_or_with_blanks_around_it_is_the_same_name() {
    let server = TestServer::start(well).await;
    let ldap = server.ldap();
    for name in ["ann", "ANN", "Ann ", " aNN  "] {
        let signed_in = ldap.sign_in(name, "anns-secret", None).await;
        assert_eq!(
            signed_in.map(|somebody| somebody.name).as_deref(),
            Ok("ann"),
            "{name:?}"
        );
    }
    assert_eq!(ldap.user(" ANN").await, Ok(Some(ANN.into())));
    assert_eq!(super::one_form("  Ann \u{a0} MARIE Åse "), "ann marie åse");
    // Failures count for one name, however it is written.
    let names = ["ann", "ANN", " ann", "aNn "].into_iter().cycle().take(12);
    let told = futures::future::join_all(names.map(|name| ldap.sign_in(name, "wrong", None))).await;
    assert!(told.contains(&Err(LdapError::TooOften)), "{told:?}");
}

#[tokio::test]
async fn a_base_of_groups_that_is_not_there_lets_nobody_in_and_one_of_users_holds_nobody() {
    let without = |base: &'static [u8]| {
        move |id: u32, kind: u8, content: &[u8]| match kind {
            SEARCH if holds(content, base) => Some(answer(id, DONE, 32, "no such object")),
            _ => well(id, kind, content),
        }
    };
    let server = TestServer::start(without(b"ou=groups,dc=x")).await;
    let told = server.ldap().sign_in("ann", "anns-secret", None).await;
    assert_eq!(told, Err(LdapError::Unreachable));
    // One of several that is gone may be the one whose groups are denied something.
    let server = TestServer::start(without(b"ou=more-groups,dc=x")).await;
    let mut settings = server.settings.clone();
    let bases = &mut settings.groups.as_mut().unwrap().bases;
    bases.push("ou=more-groups,dc=x".into());
    let told = quick(settings).sign_in("ann", "anns-secret", None).await;
    assert_eq!(told, Err(LdapError::Unreachable));
    let mut settings = settings_of_nobody(&server.settings);
    settings.groups = None;
    let server = quick(settings);
    assert_eq!(server.sign_in("ann", "anns-secret", None).await, Err(LdapError::Wrong));
    assert_eq!(server.user("ann").await, Ok(None));
}

/// Whose users stand where nothing is.
fn settings_of_nobody(settings: &LdapServer) -> LdapServer {
    LdapServer {
        user_bases: vec!["ou=more-groups,dc=x".into()],
        ..settings.clone()
    }
}

#[tokio::test]
async fn who_it_does_not_accept_is_told_nothing_more() {
    let server = TestServer::start(well).await;
    let ldap = server.ldap();
    for (name, password) in [
        ("ann", "wrong"),
        ("bob", "anns-secret"),
        ("twins", "anns-secret"),
        ("*", "anns-secret"),
        ("a\nn", "anns-secret"),
        (" ", "anns-secret"),
        (&"n".repeat(257), "anns-secret"),
        ("ann", &"p".repeat(1_025)),
    ] {
        assert_eq!(
            ldap.sign_in(name, password, None).await,
            Err(LdapError::Wrong),
            "{name:?}"
        );
    }
}

#[tokio::test]
async fn an_empty_password_never_reaches_the_server() {
    // One that takes whatever it is given, as servers take a bind without a password.
    let server = TestServer::start(|id, kind, _| match kind {
        BIND => Some(answer(id, BOUND, 0, "")),
        _ => Some([entry(id, ANN), answer(id, DONE, 0, "")].concat()),
    })
    .await;
    let ldap = server.ldap();
    assert_eq!(ldap.sign_in("ann", "", None).await, Err(LdapError::Wrong));
    assert!(server.heard.lock().is_empty());
    assert!(ldap.sign_in("ann", " ", None).await.is_ok());
    let mut without = server.settings.clone();
    without.bind_password = Secret::new("");
    assert!(Ldap::new(Some(without), Pace::default()).is_err());
}

#[tokio::test]
async fn answers_that_make_no_sense_end_the_conversation_and_nothing_else() {
    let deep: Vec<u8> = [0x30, 0x82, 0xff, 0xf0].repeat(20_000);
    let answers: [&[u8]; 9] = [
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        &[0x30, 0x84, 0x7f, 0xff, 0xff, 0xff],
        &[0x30, 0x80, 0, 0],
        &[0x30, 0],
        &deep,
        &answer(77, BOUND, 0, ""),
        &answer(1, DONE, 0, ""),
        &answer(0, EXTENDED_DONE, 52, "going away"),
        &answer(1, BOUND, 0, "")[..6],
    ];
    for said in answers {
        let bytes = said.to_vec();
        let last = std::sync::atomic::AtomicBool::new(false);
        let server = TestServer::start(move |_, _, _| {
            // The second request never comes; one that does is a failure that shows as another answer.
            (!last.swap(true, std::sync::atomic::Ordering::Relaxed)).then(|| bytes.clone())
        })
        .await;
        let mut quick = server.settings.clone();
        quick.groups = None;
        let pace = Pace {
            patience: Duration::from_secs(2),
            failure: Duration::ZERO,
        };
        let ldap = Ldap::new(Some(quick), pace).unwrap();
        let told = ldap.sign_in("ann", "anns-secret", None).await;
        assert_eq!(told, Err(LdapError::Unreachable), "{:?}", said.get(..said.len().min(8)));
    }
}

#[tokio::test]
async fn a_server_that_is_silent_or_gone_or_never_ends_is_given_up() {
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let gone = quick(settings(closed.port()));
    assert_eq!(gone.sign_in("ann", "x", None).await, Err(LdapError::Unreachable));

    let silent = TestServer::start(|_, _, _| Some(Vec::new())).await;
    let pace = Pace {
        patience: Duration::from_millis(200),
        failure: Duration::ZERO,
    };
    let ldap = Ldap::new(Some(silent.settings.clone()), pace).unwrap();
    assert_eq!(ldap.sign_in("ann", "x", None).await, Err(LdapError::Unreachable));

    let endless = TestServer::start(|id, kind, content| match kind {
        SEARCH => Some(entry(id, ANN).repeat(200_000)),
        _ => well(id, kind, content),
    })
    .await;
    assert_eq!(
        endless.ldap().sign_in("ann", "x", None).await,
        Err(LdapError::Unreachable)
    );
}

#[tokio::test]
async fn no_password_goes_out_where_start_tls_is_refused() {
    let server = TestServer::start(|id, kind, content| match kind {
        EXTENDED => Some(answer(id, EXTENDED_DONE, 53, "no TLS here")),
        _ => well(id, kind, content),
    })
    .await;
    let mut settings = server.settings.clone();
    settings.security = LdapSecurity::StartTls;
    let told = quick(settings).sign_in("ann", "anns-secret", None).await;
    assert_eq!(told, Err(LdapError::Unreachable));
    assert_eq!(*server.heard.lock(), [EXTENDED]);
}

#[tokio::test]
async fn failures_are_answered_late_and_are_not_without_end() {
    let server = TestServer::start(well).await;
    let pace = Pace {
        patience: Duration::from_secs(20),
        failure: Duration::from_millis(100),
    };
    let ldap = Ldap::new(Some(server.settings.clone()), pace).unwrap();
    let began = Instant::now();
    assert_eq!(ldap.sign_in("nobody", "x", None).await, Err(LdapError::Wrong));
    assert!(began.elapsed() >= pace.failure);
    let tries = (0..12).map(|_| ldap.sign_in("ann", "wrong", None));
    let told = futures::future::join_all(tries).await;
    let too_often = told.iter().filter(|told| **told == Err(LdapError::TooOften)).count();
    assert!((1..=2).contains(&too_often), "{told:?}");
}

#[tokio::test]
async fn somebody_in_more_groups_than_a_credential_carries_is_refused_in_words() {
    let server = TestServer::start(|id, kind, content| match kind {
        SEARCH if holds(content, b"ou=groups") => {
            let groups = (0..500).map(|number| entry(id, &format!("cn=group-{number},ou=groups,dc=x")));
            Some([groups.collect::<Vec<_>>().concat(), answer(id, DONE, 0, "")].concat())
        }
        _ => well(id, kind, content),
    })
    .await;
    let told = server.ldap().sign_in("ann", "anns-secret", None).await;
    assert_eq!(told, Err(LdapError::TooManyGroups));
}

#[test]
fn settings_that_would_let_in_the_wrong_people_are_refused_by_name() {
    let refused = |change: fn(&mut LdapServer)| {
        let mut settings = settings(389);
        change(&mut settings);
        match Ldap::new(Some(settings), Pace::default()) {
            Err(LdapSetupError::Setting { setting, .. }) => Some(setting),
            Err(LdapSetupError::Tls(_)) | Ok(_) => None,
        }
    };
    for (setting, change) in [
        (
            "USER_DN_SEARCH_FILTER",
            (|all| all.user_filter = "(uid=ann)".into()) as fn(&mut LdapServer),
        ),
        ("USER_DN_SEARCH_FILTER", |all| {
            all.user_filter = "(|(uid=%s)(dn=%d))".into()
        }),
        ("USER_DN_SEARCH_FILTER", |all| all.user_filter = "uid=%s".into()),
        ("USER_DN_SEARCH_BASE_DN", |all| all.user_bases = vec!["people".into()]),
        ("USER_DN_SEARCH_BASE_DN", |all| all.user_bases = Vec::new()),
        ("GROUP_SEARCH_FILTER", |all| {
            all.groups.as_mut().unwrap().filter = "(objectClass=group)".into();
        }),
        ("GROUP_SEARCH_BASE_DN", |all| {
            all.groups.as_mut().unwrap().bases = vec!["x".into()]
        }),
    ] {
        assert_eq!(refused(change), Some(setting));
    }
    assert_eq!(refused(|_| ()), None);
}
