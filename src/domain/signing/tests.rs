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
fn a_private_key_needs_no_public_half() {
    let vector = vectors().into_iter().find(|vector| vector["scheme"] == "v1a").unwrap();
    let key = STANDARD.decode(vector["secret"].as_str().unwrap().trim_start_matches("whsk_")).unwrap();
    let seed = format!("whsk_{}", STANDARD.encode(&key[..SEED_BYTES]));
    assert_eq!(sign(&[&seed], &vector), vector["signature"].as_str().unwrap());
}

#[test]
fn a_text_that_is_almost_a_key_is_no_key() {
    const SECRET: &str = "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let of_bytes = |prefix: &str, count| format!("{prefix}{}", STANDARD.encode(vec![7; count]));
    let prefix = KeyError::Prefix;
    let not_base64 = KeyError::NotBase64;
    for (text, expected) in [
        (format!("whsec_{SECRET}"), None),
        (of_bytes("whsec_", 24), None),
        (of_bytes("whsec_", 64), None),
        (of_bytes("whsec_", 23), Some(KeyError::SecretLength(23))),
        (of_bytes("whsec_", 65), Some(KeyError::SecretLength(65))),
        (of_bytes("whsec_", 512), Some(KeyError::SecretLength(512))),
        (format!("WHSEC_{SECRET}"), Some(prefix)),
        (format!("Whsec_{SECRET}"), Some(prefix)),
        (format!("whsec-{SECRET}"), Some(prefix)),
        (format!("whsec{SECRET}"), Some(prefix)),
        (format!(" whsec_{SECRET}"), Some(prefix)),
        (format!("\u{feff}whsec_{SECRET}"), Some(prefix)),
        (format!("\"whsec_{SECRET}\""), Some(prefix)),
        (SECRET.to_owned(), Some(prefix)),
        ("a secret that is raw text - no base64".to_owned(), Some(prefix)),
        (String::new(), Some(prefix)),
        (format!("whsec_{SECRET} "), Some(not_base64)),
        (format!("whsec_ {SECRET}"), Some(not_base64)),
        (format!("whsec_whsec_{SECRET}"), Some(not_base64)),
        (format!("whsec_{}", &SECRET[1..]), Some(not_base64)),
        (format!("whsec_{SECRET}="), Some(not_base64)),
        (format!("whsec_{}", "_-".repeat(20)), Some(not_base64)),
        (of_bytes("whsk_", 32), None),
        (of_bytes("whsk_", 31), Some(KeyError::Length(31))),
        (of_bytes("whsk_", 33), Some(KeyError::Length(33))),
        (of_bytes("whsk_", 64), Some(KeyError::Mismatch)),
        (of_bytes("WHSK_", 32), Some(prefix)),
        (of_bytes("whpk_", 32), Some(KeyError::Public)),
    ] {
        assert_eq!(SigningKey::parse(&text).err(), expected, "{text:?}");
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
        "hunter2 hunter2 hunter2 hunter2 hunter2",
        "whsk_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4=",
        &other_half,
    ];
    let errors: Vec<_> = texts.map(|text| SigningKey::parse(text).unwrap_err().to_string()).to_vec();
    expect![[r#"
        got a secret of 0 bytes, expected 24 to 64
        the text after the prefix is not base64: expected letters, digits, + and /, padded with =
        the text after the prefix is not base64: expected letters, digits, + and /, padded with =
        expected whsec_ or whsk_ in lower case, and base64 after it
        got a key of 24 bytes, expected 32 (the seed) or 64 (the seed and its public key)
        got a public key, which can verify but not sign
        the public half does not belong to the private half"#]]
    .assert_eq(&errors.join("\n"));
    assert_eq!(
        format!("{:?}", SigningKey::parse(&format!("whsk_{}", STANDARD.encode([7; 32]))).unwrap()),
        "***"
    );
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
