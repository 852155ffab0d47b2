//! Sessions: how somebody shows once who they are, and is known by a cookie from then on.
//!
//! There are two ways in: a key of the configuration, and a link that `agentcron open` prints, which works once. The cookie has a
//! random token and no key. The session of the holder of a key has that key's rights of now, and ends when the key changes.

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::http::header::COOKIE;
use axum::http::{HeaderMap, HeaderValue};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::{SecureRandom, SystemRandom};
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::admission::AccessRules;
use crate::clock::Clock;
use crate::config::Live;
use crate::domain::access::{Caller, Intent, Subject};
use crate::domain::bounds::{
    LINKS_MAX, LOGIN_ADDRESSES_MAX, LOGIN_TRIES_PER_MINUTE, SESSION_LOOKUPS_AT_ONCE,
};
use crate::store::{Store, StoreError};

/// No `Path`: the browser takes the folder of the login, whatever prefix it sees. No `__Host-` prefix, which would demand one.
const COOKIE_NAME: &str = "agentcron_session";
const TOKEN_BYTES: usize = 32;
const MINUTE: Duration = Duration::from_secs(60);
/// What stands for the key in the digest of a session without one.
const NO_KEY: [u8; 32] = [0; 32];

/// The sessions of one daemon. Cheap to clone.
#[derive(Clone)]
pub struct Sessions {
    store: Store,
    clock: Clock,
    rules: Live<AccessRules>,
    lookups: Arc<Semaphore>,
    links: Arc<Mutex<VecDeque<Link>>>,
    tries: Arc<Mutex<Tries>>,
    /// Where the daemon listens.
    address: Option<SocketAddr>,
}

/// A link that works once.
struct Link {
    digest: [u8; 32],
    uid: Option<u32>,
    until: Instant,
}

/// The wrong tries of the last minute, by address.
#[derive(Default)]
struct Tries(HashMap<Option<IpAddr>, Vec<Instant>>);

/// Why somebody does not come in.
#[derive(Debug, thiserror::Error)]
pub(super) enum LoginError {
    #[error(
        "this is no key in [http], and no code that `agentcron open` printed within the last minute and nobody has used"
    )]
    Wrong,
    #[error("this key may use the agent server's API only (access = \"client\")")]
    NotForThePage,
    #[error("too many tries: wait a minute")]
    TooManyTries,
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Sessions {
    pub fn new(store: Store, clock: Clock, rules: Live<AccessRules>, address: Option<SocketAddr>) -> Self {
        let lookups = Arc::new(Semaphore::new(SESSION_LOOKUPS_AT_ONCE));
        Self { store, clock, rules, lookups, links: Arc::default(), tries: Arc::default(), address }
    }

    /// Returns where the daemon listens.
    pub(super) fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    /// Returns the code of a new link, by which this user comes in once within this time.
    pub(super) fn new_link(&self, uid: Option<u32>, lasts: Duration) -> Result<String, StoreError> {
        let token = new_token()?;
        let mut links = lock(&self.links);
        while links.len() >= LINKS_MAX {
            links.pop_front();
        }
        links.push_back(Link { digest: digest(&NO_KEY, &token), uid, until: Instant::now() + lasts });
        Ok(token)
    }

    /// Returns the holder of the session that a request names, or `None` if it names none that lasts.
    pub(in crate::api) async fn holder(&self, headers: &HeaderMap) -> Option<Caller> {
        let (digests, holders) = self.candidates(&token_of(headers)?);
        let _place = self.lookups.acquire().await.ok()?;
        let now = self.clock.now();
        let wanted = digests.clone();
        let session = self.store.read(move |reader| reader.session(&wanted, now)).await.ok()??;
        // That it is in use is worth less than the request.
        let _ = self.store.touch_session(&session, now).await;
        let place = digests.iter().position(|digest| *digest == session.digest)?;
        Some(holders.get(place)?.clone().unwrap_or(Caller::Socket { uid: session.uid }))
    }

    /// Opens a session for whoever shows a key or the code of a link, and returns the cookie.
    pub(super) async fn open(
        &self,
        secret: &str,
        address: Option<IpAddr>,
    ) -> Result<HeaderValue, LoginError> {
        if lock(&self.tries).are_too_many(address) {
            return Err(LoginError::TooManyTries);
        }
        let token = new_token()?;
        let (digest, uid) = match (self.take_link(secret), self.rules.now().keys.holder(secret.as_bytes())) {
            (Some(uid), _) => (digest(&NO_KEY, &token), uid),
            (None, Some(holder)) if !holder.may(Intent::See, Subject::Page) => {
                return Err(LoginError::NotForThePage);
            }
            (None, Some(_)) => (digest(&Sha256::digest(secret).into(), &token), None),
            (None, None) => {
                lock(&self.tries).count(address);
                tracing::warn!(hourly = "", "a wrong key or code at the login of the web page");
                return Err(LoginError::Wrong);
            }
        };
        self.store.open_session(hex(&digest), uid, self.clock.now()).await?;
        Ok(cookie(&token, "").unwrap_or(HeaderValue::from_static("")))
    }

    /// Ends the session that a request names, and returns the cookie that removes its own.
    pub(super) async fn end(&self, headers: &HeaderMap) -> Result<HeaderValue, StoreError> {
        if let Some(token) = token_of(headers) {
            self.store.end_session(self.candidates(&token).0).await?;
        }
        Ok(cookie("", "; Max-Age=0").unwrap_or(HeaderValue::from_static("")))
    }

    /// Returns the digests by which a session with this token may be known, and the holder of each, `None` for that of the socket.
    fn candidates(&self, token: &str) -> (Vec<String>, Vec<Option<Caller>>) {
        let rules = self.rules.now();
        let keys = rules.keys.each().map(|(key, holder)| (hex(&digest(key, token)), Some(holder.clone())));
        std::iter::once((hex(&digest(&NO_KEY, token)), None)).chain(keys).unzip()
    }

    fn take_link(&self, code: &str) -> Option<Option<u32>> {
        let (wanted, mut links) = (digest(&NO_KEY, code), lock(&self.links));
        links.retain(|link| link.until > Instant::now());
        let place = links.iter().position(|link| link.digest == wanted)?;
        links.remove(place).map(|link| link.uid)
    }
}

impl Tries {
    fn are_too_many(&mut self, address: Option<IpAddr>) -> bool {
        let Some(tries) = self.0.get_mut(&address) else { return false };
        tries.retain(|at| at.elapsed() < MINUTE);
        tries.len() >= LOGIN_TRIES_PER_MINUTE
    }

    fn count(&mut self, address: Option<IpAddr>) {
        if self.0.len() >= LOGIN_ADDRESSES_MAX {
            self.0.retain(|_, tries| tries.iter().any(|at| at.elapsed() < MINUTE));
        }
        if self.0.len() < LOGIN_ADDRESSES_MAX || self.0.contains_key(&address) {
            self.0.entry(address).or_default().push(Instant::now());
        }
    }
}

fn new_token() -> Result<String, StoreError> {
    let mut bytes = [0; TOKEN_BYTES];
    let filled = SystemRandom::new().fill(&mut bytes);
    filled.map_err(|_| StoreError::Lost("the system gives no random numbers".to_owned()))?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

fn digest(key: &[u8; 32], token: &str) -> [u8; 32] {
    Sha256::new().chain_update(key).chain_update(token).finalize().into()
}

fn hex(digest: &[u8; 32]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Returns the value of this cookie (RFC 6265 §4.2).
pub(super) fn cookie_of(headers: &HeaderMap, name: &str) -> Option<String> {
    let lines = headers.get_all(COOKIE).iter().filter_map(|line| line.to_str().ok());
    let mut pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(found, _)| *found == name).map(|(_, value)| value.to_owned())
}

/// Returns the token in the cookies of a request, if it may be one of ours.
fn token_of(headers: &HeaderMap) -> Option<String> {
    let token = cookie_of(headers, COOKIE_NAME)?;
    (URL_SAFE_NO_PAD.decode(&token).ok()?.len() == TOKEN_BYTES).then_some(token)
}

/// `Secure` is left out: over plain HTTP on loopback, some browsers would drop it.
fn cookie(token: &str, more: &str) -> Option<HeaderValue> {
    HeaderValue::from_str(&format!("{COOKIE_NAME}={token}; HttpOnly; SameSite=Strict{more}")).ok()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing under these locks can be left half changed.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
