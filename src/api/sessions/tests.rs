//! Links and wrong tries as time passes.

use axum::http::header::COOKIE;

use super::*;
use crate::config::{self, ApiKey, HttpConfig, Secret};
use crate::domain::access::{Access, ClientCrons, PageAccess};
use crate::domain::bounds::LINK_LASTS;
use crate::store::Execution;
use crate::store::tests::open_store;

const KEY: &str = "act-key-of-16-characters";

fn http(keys: &[(&str, &str)]) -> HttpConfig {
    let key = |(name, secret): &(&str, &str)| ApiKey {
        name: (*name).to_owned(),
        secret: Secret::new(secret),
        access: Access::Act,
    };
    HttpConfig {
        listen: None,
        keys: keys.iter().map(key).collect(),
        allow_origins: Vec::new(),
        client_crons: ClientCrons::Open,
        page: PageAccess::On,
        open_probes: true,
        socket: None,
        socket_group: None,
        disable_webhooks: false,
        disabled_by_files: false,
    }
}

fn sessions(folder: &std::path::Path, keys: &[(&str, &str)]) -> Sessions {
    let store = open_store(folder, Execution::Inline);
    let rules = config::live(AccessRules::of_config(&http(keys))).1;
    Sessions::new(store, Clock::system(), rules, None)
}

/// Returns what somebody sends who has this cookie.
fn with_cookie(cookie: &HeaderValue) -> HeaderMap {
    let pair = cookie.to_str().unwrap().split(';').next().unwrap();
    HeaderMap::from_iter([(COOKIE, format!("other=1; {pair}").parse().unwrap())])
}

#[tokio::test(start_paused = true)]
async fn a_link_works_once_within_a_minute() {
    let folder = tempfile::tempdir().unwrap();
    let sessions = sessions(folder.path(), &[]);
    let link = sessions.new_link(Some(1000), LINK_LASTS).unwrap();
    tokio::time::advance(LINK_LASTS - Duration::from_millis(1)).await;
    let cookie = sessions.open(&link, None).await.unwrap();
    let holder = sessions.holder(&with_cookie(&cookie)).await;
    assert_eq!(holder, Some(Caller::Socket { uid: Some(1000) }));
    assert!(matches!(sessions.open(&link, None).await, Err(LoginError::Wrong)), "it works once");
    let late = sessions.new_link(None, LINK_LASTS).unwrap();
    tokio::time::advance(LINK_LASTS).await;
    assert!(matches!(sessions.open(&late, None).await, Err(LoginError::Wrong)), "it is too late");
    // Whoever asks for many pushes out the oldest.
    let links: Vec<_> = (0..=LINKS_MAX).map(|_| sessions.new_link(None, LINK_LASTS).unwrap()).collect();
    assert!(sessions.open(&links[0], None).await.is_err());
    assert!(
        sessions.open(&links[1], None).await.is_ok() && sessions.open(&links[LINKS_MAX], None).await.is_ok()
    );
}

#[tokio::test(start_paused = true)]
async fn an_address_has_a_few_wrong_tries_a_minute_and_others_have_their_own() {
    let folder = tempfile::tempdir().unwrap();
    let sessions = sessions(folder.path(), &[("ops", KEY)]);
    let (one, other) = (Some("127.0.0.1".parse().unwrap()), Some("127.0.0.2".parse().unwrap()));
    for _ in 0..LOGIN_TRIES_PER_MINUTE {
        assert!(matches!(sessions.open("wrong", one).await, Err(LoginError::Wrong)));
    }
    assert!(matches!(sessions.open(KEY, one).await, Err(LoginError::TooManyTries)));
    assert!(sessions.open(KEY, other).await.is_ok());
    tokio::time::advance(MINUTE).await;
    assert!(sessions.open(KEY, one).await.is_ok(), "a minute later");
    // However many addresses try, what is kept of them is bounded, and who has a key comes in.
    for number in 0..u32::try_from(LOGIN_ADDRESSES_MAX).unwrap() * 2 {
        let address = IpAddr::from(number.to_be_bytes());
        assert!(sessions.open("wrong", Some(address)).await.is_err());
    }
    assert!(lock(&sessions.tries).0.len() <= LOGIN_ADDRESSES_MAX);
    assert!(sessions.open(KEY, other).await.is_ok());
}

#[tokio::test]
async fn a_session_is_that_of_its_key_and_ends_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let store = open_store(folder.path(), Execution::Inline);
    let (writer, rules) = config::live(AccessRules::of_config(&http(&[("ops", KEY)])));
    let sessions = Sessions::new(store, Clock::system(), rules, None);
    let cookie = sessions.open(KEY, None).await.unwrap();
    assert!(!cookie.to_str().unwrap().contains(KEY));
    let headers = with_cookie(&cookie);
    let holder = Some(Caller::Key { name: "ops".to_owned(), access: Access::Act });
    assert_eq!(sessions.holder(&headers).await, holder);
    writer.put(AccessRules::of_config(&http(&[("ops", "another-key-of-16-characters")])));
    assert_eq!(sessions.holder(&headers).await, None, "the key was changed");
    writer.put(AccessRules::of_config(&http(&[("other", "another-key-of-16-characters"), ("ops", KEY)])));
    assert_eq!(sessions.holder(&headers).await, holder, "the key is there again");
    sessions.end(&headers).await.unwrap();
    assert_eq!(sessions.holder(&headers).await, None);
    for cookie in ["agentcron_session=", "agentcron_session=x", "agentcron_session=\"", "x"] {
        let headers = HeaderMap::from_iter([(COOKIE, cookie.parse().unwrap())]);
        assert_eq!(sessions.holder(&headers).await, None, "{cookie}");
    }
}
