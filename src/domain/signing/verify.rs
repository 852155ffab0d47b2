//! The receiver's side of signatures: what the signature of a webhook that has arrived proves.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use ring::hmac;
use ring::signature::{ED25519, KeyPair, UnparsedPublicKey};

use super::{KeyError, Kind, SigningKey, signed_bytes};
use crate::domain::bounds::SIGNATURE_AGE_MAX;
use crate::domain::words::words;

/// An ed25519 public key.
const PUBLIC_BYTES: usize = 32;

words!(
    /// What a signature proves.
    SignatureVerdict {
        /// One of the keys has signed these bytes, lately.
        Good = "ok",
        /// None of the keys has signed these bytes.
        Wrong = "wrong",
        /// There is no signature.
        Missing = "none",
        /// One of the keys has signed these bytes, but not lately: somebody may be sending them again.
        Stale = "stale timestamp",
        /// No key is known to hold it against.
        Unchecked = "not checked",
    }
);

/// What a receiver knows a sender by. Cheap to clone; it shows itself nowhere.
#[derive(Clone)]
pub struct VerifyingKey(Known);

#[derive(Clone)]
enum Known {
    Shared(hmac::Key),
    Public([u8; PUBLIC_BYTES]),
}

/// What is signed and how, as it stands in the headers of a webhook; empty what is absent.
#[derive(Clone, Copy, Debug)]
pub struct Signed<'a> {
    /// `webhook-id`
    pub webhook_id: &'a str,
    /// `webhook-timestamp`, in seconds.
    pub timestamp: &'a str,
    /// `webhook-signature`: signatures with blanks between them.
    pub signatures: &'a str,
    /// The exact bytes.
    pub body: &'a [u8],
}

impl VerifyingKey {
    /// Whatever [`SigningKey::parse`] takes, or `whpk_` and base64, the public half of an ed25519 key.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let Some(key) = text.strip_prefix("whpk_") else {
            return SigningKey::parse(text).map(|key| Self::of(&key));
        };
        let key = STANDARD.decode(key).map_err(|_| KeyError::NotBase64)?;
        let key = <[u8; PUBLIC_BYTES]>::try_from(key).map_err(|key| KeyError::PublicLength(key.len()))?;
        Ok(Self(Known::Public(key)))
    }

    /// What the signatures of this key are verified by.
    pub fn of(key: &SigningKey) -> Self {
        Self(match &key.0 {
            Kind::Shared(key) => Known::Shared(key.clone()),
            Kind::Private(pair) => {
                let mut public = [0; PUBLIC_BYTES];
                public.copy_from_slice(pair.public_key().as_ref());
                Known::Public(public)
            }
        })
    }

    /// Whether this is one of its signatures. A secret's are compared in constant time.
    fn has_made(&self, signature: &str, signed: &[u8]) -> bool {
        match (&self.0, signature.split_once(',')) {
            (Known::Shared(key), Some(("v1", text))) => {
                STANDARD.decode(text).is_ok_and(|made| hmac::verify(key, signed, &made).is_ok())
            }
            (Known::Public(key), Some(("v1a", text))) => STANDARD
                .decode(text)
                .is_ok_and(|made| UnparsedPublicKey::new(&ED25519, key).verify(signed, &made).is_ok()),
            (Known::Shared(_) | Known::Public(_), Some(_) | None) => false,
        }
    }
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// What the signature proves to somebody who knows these keys; one good signature is enough.
pub fn verify(keys: &[VerifyingKey], signed: &Signed<'_>, now: Timestamp) -> SignatureVerdict {
    if signed.signatures.trim().is_empty() {
        return SignatureVerdict::Missing;
    }
    if keys.is_empty() {
        return SignatureVerdict::Unchecked;
    }
    let bytes = signed_bytes(signed.webhook_id, signed.timestamp, signed.body);
    let mut signatures = signed.signatures.split_whitespace();
    if !signatures.any(|signature| keys.iter().any(|key| key.has_made(signature, &bytes))) {
        return SignatureVerdict::Wrong;
    }
    let signed_at = signed.timestamp.parse().ok().and_then(|second| Timestamp::from_second(second).ok());
    match signed_at.map(|signed_at| now.duration_since(signed_at).unsigned_abs()) {
        Some(age) if age <= SIGNATURE_AGE_MAX => SignatureVerdict::Good,
        Some(_) | None => SignatureVerdict::Stale,
    }
}
