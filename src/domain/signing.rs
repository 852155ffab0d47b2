//! Signatures by the Standard Webhooks specification: `v1` (HMAC-SHA256, secrets `whsec_…`) and `v1a`
//! (ed25519, keys `whsk_…`). A key is parsed once, when the configuration is read, and its debug output hides
//! it.

mod verify;

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use ring::{hmac, signature::Ed25519KeyPair};

pub use verify::{SignatureVerdict, SignedWebhook, VerifyingKey, verify};

/// How the secrets begin that sign: one that is shared, and the private half of a pair.
pub const SECRET_PREFIXES: [&str; 2] = [SHARED_PREFIX, PRIVATE_PREFIX];

const SHARED_PREFIX: &str = "whsec_";
const PRIVATE_PREFIX: &str = "whsk_";
const PUBLIC_PREFIX: &str = "whpk_";
/// 192 bits, the minimum of the specification.
const SECRET_BYTES_MIN: usize = 24;
/// 512 bits, the maximum of the specification.
const SECRET_BYTES_MAX: usize = 64;
/// An ed25519 seed; the public key may follow it.
const SEED_BYTES: usize = 32;

/// A key that signs webhooks. It is cheap to clone.
#[derive(Clone)]
pub struct SigningKey(SigningMaterial);

#[derive(Clone)]
enum SigningMaterial {
    Shared(hmac::Key),
    Private(Arc<Ed25519KeyPair>),
}

/// Why a text is not a key. None of these errors quotes the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Taken as it is, it would be another key than the receivers have.
    #[error("expected whsec_ or whsk_ in lower case, and base64 after it")]
    Prefix,
    #[error("the text after the prefix is not base64: expected letters, digits, + and /, padded with =")]
    NotBase64,
    /// A shorter secret could be guessed, and libraries of receivers refuse a longer one.
    #[error("got a secret of {0} bytes, expected {SECRET_BYTES_MIN} to {SECRET_BYTES_MAX}")]
    SecretLength(usize),
    #[error("got a key of {0} bytes, expected 32 (the seed) or 64 (the seed and its public key)")]
    Length(usize),
    #[error("the public half does not belong to the private half")]
    Mismatch,
    #[error("got a public key of {0} bytes, expected 32")]
    PublicLength(usize),
    /// `whpk_…` is the receiver's half.
    #[error("got a public key, which can verify but not sign")]
    Public,
}

impl SigningKey {
    /// Parses `whsec_` with base64, a shared secret, or `whsk_` with base64, a private key. Nothing else is a key: a
    /// text that was mistyped would otherwise sign as well, and every receiver would refuse the signature.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let decoded = |key: &str| STANDARD.decode(key).map_err(|_| KeyError::NotBase64);
        if let Some(key) = text.strip_prefix(SHARED_PREFIX) {
            shared(&decoded(key)?)
        } else if let Some(key) = text.strip_prefix(PRIVATE_PREFIX) {
            private(&decoded(key)?)
        } else if text.starts_with(PUBLIC_PREFIX) {
            Err(KeyError::Public)
        } else {
            Err(KeyError::Prefix)
        }
    }

    /// Returns `v1,…` or `v1a,…`.
    fn sign(&self, signed: &[u8]) -> String {
        match &self.0 {
            SigningMaterial::Shared(key) => format!("v1,{}", STANDARD.encode(hmac::sign(key, signed))),
            SigningMaterial::Private(key) => format!("v1a,{}", STANDARD.encode(key.sign(signed))),
        }
    }
}

/// Two keys are equal if they make the same signature: both schemes are deterministic.
impl PartialEq for SigningKey {
    fn eq(&self, other: &Self) -> bool {
        let text = b"a text to compare signatures of";
        self.sign(text) == other.sign(text)
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Returns the value of `webhook-signature`: one signature per key, so that knowing one of the keys is enough
/// to verify.
pub fn signatures(keys: &[SigningKey], webhook_id: &str, at: Timestamp, body: &[u8]) -> String {
    let signed = signed_bytes(webhook_id, &at.as_second().to_string(), body);
    keys.iter().map(|key| key.sign(&signed)).collect::<Vec<_>>().join(" ")
}

/// Returns the bytes that a signature covers: the id, the timestamp in seconds and the body.
fn signed_bytes(webhook_id: &str, second: &str, body: &[u8]) -> Vec<u8> {
    [webhook_id.as_bytes(), b".", second.as_bytes(), b".", body].concat()
}

fn shared(secret: &[u8]) -> Result<SigningKey, KeyError> {
    if !(SECRET_BYTES_MIN..=SECRET_BYTES_MAX).contains(&secret.len()) {
        return Err(KeyError::SecretLength(secret.len()));
    }
    Ok(SigningKey(SigningMaterial::Shared(hmac::Key::new(hmac::HMAC_SHA256, secret))))
}

fn private(key: &[u8]) -> Result<SigningKey, KeyError> {
    let pair = match key.split_at_checked(SEED_BYTES) {
        Some((seed, [])) => Ed25519KeyPair::from_seed_unchecked(seed),
        Some((seed, public)) if public.len() == SEED_BYTES => {
            Ed25519KeyPair::from_seed_and_public_key(seed, public)
        }
        Some(_) | None => return Err(KeyError::Length(key.len())),
    };
    pair.map(|pair| SigningKey(SigningMaterial::Private(Arc::new(pair)))).map_err(|_| KeyError::Mismatch)
}

#[cfg(test)]
mod tests;
