//! Which texts are keys, and the signatures that others have computed.

use expect_test::expect;
use serde_json::Value;

use super::*;

fn vectors() -> Vec<Value> {
    serde_json::from_str(include_str!("../../../tests/fixtures/webhooks/signatures.json")).unwrap()
}

fn sign(keys: &[&str], vector: &Value) -> String {
    let keys: Vec<_> = keys.iter().map(|key| SigningKey::parse(key).unwrap()).collect();
    let at = Timestamp::from_second(vector["timestamp"].as_i64().unwrap()).unwrap();
    signatures(&keys, vector["id"].as_str().unwrap(), at, vector["body"].as_str().unwrap().as_bytes())
}

#[test]
fn signatures_are_those_that_other_implementations_make() {
    for vector in vectors() {
        let secret = vector["secret"].as_str().unwrap();
        assert_eq!(sign(&[secret], &vector), vector["signature"].as_str().unwrap(), "{}", vector["source"]);
    }
}

#[test]
fn a_secret_needs_no_prefix_and_a_private_key_not_its_public_half() {
    for vector in vectors() {
        let text = vector["secret"].as_str().unwrap();
        let same = match text.strip_prefix("whsk_") {
            Some(key) => format!("whsk_{}", STANDARD.encode(&STANDARD.decode(key).unwrap()[..SEED_BYTES])),
            None => text.trim_start_matches("whsec_").to_owned(),
        };
        assert_eq!(sign(&[&same], &vector), vector["signature"].as_str().unwrap());
    }
}

#[test]
fn several_keys_sign_in_their_order() {
    let vectors = vectors();
    let secrets: Vec<_> = vectors.iter().map(|vector| vector["secret"].as_str().unwrap()).collect();
    let joined = sign(&secrets[..3], &vectors[1]);
    let single: Vec<_> = secrets[..3].iter().map(|secret| sign(&[secret], &vectors[1])).collect();
    assert_eq!(joined, single.join(" "));
    assert_eq!(sign(&[], &vectors[1]), "");
}

#[test]
fn what_is_no_key_is_told_without_quoting_it() {
    let other_half = format!("whsk_{}", STANDARD.encode([7; 64]));
    let texts = [
        "whsec_",
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS",
        "whsec_hunter2-hunter2-hunter2-hunter2-",
        "hunter2 hunter2 hunter2",
        "whsk_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4=",
        &other_half,
    ];
    let told: Vec<_> = texts.map(|text| SigningKey::parse(text).unwrap_err().to_string()).to_vec();
    expect![[r#"
        got a secret of 0 bytes, expected at least 24
        what follows its prefix is not base64
        what follows its prefix is not base64
        got a secret of 23 bytes, expected at least 24
        got a key of 24 bytes, expected 32 (the seed) or 64 (the seed and its public key)
        got a public key: it verifies, and cannot sign
        its public half does not belong to its private half"#]]
    .assert_eq(&told.join("\n"));
    let raw = "a secret that is raw text - no base64";
    assert_eq!(format!("{:?}", SigningKey::parse(raw).unwrap()), "***");
}
