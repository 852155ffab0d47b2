//! Which texts are keys, and signatures compared with those of other implementations.

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
fn a_secret_needs_no_prefix_and_a_private_key_needs_no_public_half() {
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
fn an_invalid_key_is_reported_without_quoting_it() {
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
    let errors: Vec<_> = texts.map(|text| SigningKey::parse(text).unwrap_err().to_string()).to_vec();
    expect![[r#"
        got a secret of 0 bytes, expected at least 24
        the text after the prefix is not base64
        the text after the prefix is not base64
        got a secret of 23 bytes, expected at least 24
        got a key of 24 bytes, expected 32 (the seed) or 64 (the seed and its public key)
        got a public key, which can verify but not sign
        the public half does not belong to the private half"#]]
    .assert_eq(&errors.join("\n"));
    let raw = "a secret that is raw text - no base64";
    assert_eq!(format!("{:?}", SigningKey::parse(raw).unwrap()), "***");
}

/// Returns the webhook of a vector with this timestamp and these signatures.
fn webhook_of<'a>(vector: &'a Value, second: &'a str, signatures: &'a str) -> SignedWebhook<'a> {
    let text = |key: &str| vector[key].as_str().unwrap();
    SignedWebhook { webhook_id: text("id"), timestamp: second, signatures, body: text("body").as_bytes() }
}

#[test]
fn each_vector_is_verified_by_its_key_and_by_no_other() {
    for vector in vectors() {
        let second = vector["timestamp"].to_string();
        let now = Timestamp::from_second(second.parse().unwrap()).unwrap();
        let (secret, signature) = (vector["secret"].as_str().unwrap(), vector["signature"].as_str().unwrap());
        let key = VerifyingKey::parse(secret).unwrap();
        let other = VerifyingKey::parse("whsec_6Xb/dCcHpPea21PS1N9VY/NZW723CEc7").unwrap();
        let check = |keys: &[VerifyingKey], signed: SignedWebhook<'_>| verify(keys, &signed, now).as_str();
        let signed = webhook_of(&vector, &second, signature);
        let keys = [other.clone(), key.clone()];
        assert_eq!(check(&keys, signed), "ok", "{}", vector["source"]);
        assert_eq!(check(std::slice::from_ref(&other), signed), "wrong");
        assert_eq!(check(&[], signed), "not checked");
        assert_eq!(check(&keys, webhook_of(&vector, &second, " ")), "none");
        // Senders rotate keys, and some signatures are of unknown schemes.
        let several = format!("v9,AAAA v1,nonsense v1 {signature}");
        assert_eq!(check(&keys, webhook_of(&vector, &second, &several)), "ok");
        for (field, changed) in [
            ("id", SignedWebhook { webhook_id: "msg_other", ..signed }),
            ("second", SignedWebhook { timestamp: "1", ..signed }),
            ("body", SignedWebhook { body: b"{}", ..signed }),
            ("scheme", SignedWebhook { signatures: &signature.replace("v1", "v2"), ..signed }),
        ] {
            assert_eq!(check(&keys, changed), "wrong", "{field}");
        }
        for (seconds, verdict) in
            [(300, "ok"), (-300, "ok"), (301, "stale timestamp"), (-301, "stale timestamp")]
        {
            let later = now + jiff::SignedDuration::from_secs(seconds);
            assert_eq!(verify(&keys, &signed, later).as_str(), verdict, "{seconds}");
        }
    }
}

#[test]
fn a_public_key_verifies_the_signatures_of_its_private_half() {
    let key = SigningKey::parse(&format!("whsk_{}", STANDARD.encode([7; SEED_BYTES]))).unwrap();
    let SigningMaterial::Private(pair) = &key.0 else { panic!("a private key") };
    let public = ring::signature::KeyPair::public_key(pair.as_ref()).as_ref().to_vec();
    let public = VerifyingKey::parse(&format!("whpk_{}", STANDARD.encode(public))).unwrap();
    let now = Timestamp::from_second(1_800_000_000).unwrap();
    let signatures = signatures(&[key], "msg_1", now, b"{}");
    let signed =
        SignedWebhook { webhook_id: "msg_1", timestamp: "1800000000", signatures: &signatures, body: b"{}" };
    assert_eq!(verify(std::slice::from_ref(&public), &signed, now), SignatureVerdict::Good);
    assert_eq!(
        verify(std::slice::from_ref(&public), &SignedWebhook { body: b"[]", ..signed }, now),
        SignatureVerdict::Wrong
    );
    assert_eq!(format!("{public:?}"), "***");
    assert_eq!(VerifyingKey::parse("whpk_AAAA").unwrap_err(), KeyError::PublicLength(3));
}
