//! The receiver's side of signatures: what the signature of a received webhook proves.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use ring::hmac;
use ring::signature::{ED25519, KeyPair, UnparsedPublicKey};

use super::{KeyError, PUBLIC_PREFIX, SigningKey, SigningMaterial, signed_bytes};
use crate::domain::bounds::SIGNATURE_AGE_MAX;
use crate::domain::words::words;

/// The length of an ed25519 public key.
const PUBLIC_BYTES: usize = 32;

words!(
    /// What a signature proves.
    SignatureVerdict {
        /// One of the keys has signed these bytes, recently.
        Good = "ok",
        /// None of the keys has signed these bytes.
        Wrong = "wrong",
        Missing = "none",
        /// One of the keys has signed these bytes, but not recently, so this may be a replay by somebody
        /// else.
        Stale = "stale timestamp",
        /// The receiver knows no key to verify with.
        Unchecked = "not checked",
    }
);

/// A key that verifies the webhooks of a sender. It is cheap to clone, and its debug output hides it.
#[derive(Clone)]
pub struct VerifyingKey(VerifyingMaterial);

#[derive(Clone)]
enum VerifyingMaterial {
    Shared(hmac::Key),
    Public([u8; PUBLIC_BYTES]),
}

/// A received webhook, with its headers as they were sent. An absent header is an empty text.
#[derive(Clone, Copy, Debug)]
pub struct SignedWebhook<'a> {
    /// `webhook-id`
    pub webhook_id: &'a str,
    /// `webhook-timestamp`, in seconds.
    pub timestamp: &'a str,
    /// `webhook-signature`: signatures separated by spaces.
    pub signatures: &'a str,
    /// The exact bytes that were received.
    pub body: &'a [u8],
}

impl VerifyingKey {
    /// Parses everything that [`SigningKey::parse`] accepts, and `whpk_` with base64, the public half of an
    /// ed25519 key.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let Some(key) = text.strip_prefix(PUBLIC_PREFIX) else {
            return SigningKey::parse(text).map(|key| Self::of(&key));
        };
        let key = STANDARD.decode(key).map_err(|_| KeyError::NotBase64)?;
        let key = <[u8; PUBLIC_BYTES]>::try_from(key).map_err(|key| KeyError::PublicLength(key.len()))?;
        Ok(Self(VerifyingMaterial::Public(key)))
    }

    /// Returns the key that verifies the signatures of `key`.
    pub fn of(key: &SigningKey) -> Self {
        Self(match &key.0 {
            SigningMaterial::Shared(key) => VerifyingMaterial::Shared(key.clone()),
            SigningMaterial::Private(pair) => {
                let mut public = [0; PUBLIC_BYTES];
                public.copy_from_slice(pair.public_key().as_ref());
                VerifyingMaterial::Public(public)
            }
        })
    }

    /// Returns whether the key made this signature. HMAC signatures are compared in constant time.
    fn has_made(&self, signature: &str, signed: &[u8]) -> bool {
        match (&self.0, signature.split_once(',')) {
            (VerifyingMaterial::Shared(key), Some(("v1", text))) => {
                STANDARD.decode(text).is_ok_and(|made| hmac::verify(key, signed, &made).is_ok())
            }
            (VerifyingMaterial::Public(key), Some(("v1a", text))) => STANDARD
                .decode(text)
                .is_ok_and(|made| UnparsedPublicKey::new(&ED25519, key).verify(signed, &made).is_ok()),
            (VerifyingMaterial::Shared(_) | VerifyingMaterial::Public(_), Some(_) | None) => false,
        }
    }
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Returns what the signatures prove to a receiver with these keys. One good signature is enough.
pub fn verify(keys: &[VerifyingKey], webhook: &SignedWebhook<'_>, now: Timestamp) -> SignatureVerdict {
    if webhook.signatures.trim().is_empty() {
        return SignatureVerdict::Missing;
    }
    if keys.is_empty() {
        return SignatureVerdict::Unchecked;
    }
    let bytes = signed_bytes(webhook.webhook_id, webhook.timestamp, webhook.body);
    let mut signatures = webhook.signatures.split_whitespace();
    if !signatures.any(|signature| keys.iter().any(|key| key.has_made(signature, &bytes))) {
        return SignatureVerdict::Wrong;
    }
    let signed_at = webhook.timestamp.parse().ok().and_then(|second| Timestamp::from_second(second).ok());
    match signed_at.map(|signed_at| now.duration_since(signed_at).unsigned_abs()) {
        Some(age) if age <= SIGNATURE_AGE_MAX => SignatureVerdict::Good,
        Some(_) | None => SignatureVerdict::Stale,
    }
}
