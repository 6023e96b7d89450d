use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use forge_core::ErrorCode;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::json;

use super::*;

const SECRET: &str = "0123456789abcdef0123456789abcdef";
const NOW: i64 = 1_700_000_000;

fn now() -> DateTime {
    DateTime::from_millis(NOW * 1_000)
}

fn claims() -> Value {
    json!({ "sub": "ann", "exp": NOW + 60, "roles": ["admin"], "team": "blue" })
}

fn signed(algorithm: Algorithm, kid: Option<&str>, claims: &Value) -> String {
    let key = match algorithm {
        Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512 => EncodingKey::from_secret(SECRET.as_bytes()),
        Algorithm::ES256 => EncodingKey::from_ec_pem(include_bytes!("fixtures/ec.pem")).unwrap(),
        Algorithm::EdDSA => EncodingKey::from_ed_pem(include_bytes!("fixtures/ed.pem")).unwrap(),
        _ => EncodingKey::from_rsa_pem(include_bytes!("fixtures/rsa.pem")).unwrap(),
    };
    let header = Header { kid: kid.map(str::to_owned), ..Header::new(algorithm) };
    encode(&header, claims, &key).unwrap()
}

fn by_secret() -> Jwt {
    Jwt::secret(SECRET).unwrap()
}

async fn refusal(jwt: &Jwt, token: &str) -> String {
    let error = jwt.verify(token, now()).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::Unauthorized, "{error}");
    error.to_string()
}

async fn refused_claims(change: Value) -> String {
    let mut claims = claims();
    for (name, value) in change.as_object().unwrap() {
        claims[name] = value.clone();
    }
    refusal(&by_secret().issuer("us").audience("api"), &signed(Algorithm::HS256, None, &claims)).await
}

#[tokio::test]
async fn a_token_tells_who_may_do_what_until_when() {
    let auth = by_secret().verify(&signed(Algorithm::HS256, None, &claims()), now()).await.unwrap();
    assert_eq!((auth.subject.as_str(), auth.claims["team"].as_str()), ("ann", Some("blue")));
    assert!(auth.roles.contains("admin"));
    assert_eq!(auth.expires_at, Some(DateTime::from_millis((NOW + 90) * 1_000)), "with the leeway");
}

#[tokio::test]
async fn every_kind_of_key_checks_its_own_algorithms() {
    let pem = |text: &str| Jwt::public_key(text).unwrap();
    let (rsa, ec, ed) = (
        pem(include_str!("fixtures/rsa.pub.pem")),
        pem(include_str!("fixtures/ec.pub.pem")),
        pem(include_str!("fixtures/ed.pub.pem")),
    );
    let all = [by_secret(), rsa, ec, ed];
    for (at, algorithm) in [
        (0, Algorithm::HS512),
        (1, Algorithm::RS256),
        (1, Algorithm::PS384),
        (2, Algorithm::ES256),
        (3, Algorithm::EdDSA),
    ] {
        let token = signed(algorithm, None, &claims());
        assert_eq!(all[at].verify(&token, now()).await.unwrap().subject, "ann", "{algorithm:?}");
        for (_, other) in all.iter().enumerate().filter(|(place, _)| *place != at) {
            assert!(refusal(other, &token).await.contains("not accepted"), "{algorithm:?}");
        }
    }
}

#[tokio::test]
async fn a_public_key_is_no_secret() {
    // The classic confusion: an HMAC made with the text of the public key.
    let pem = include_str!("fixtures/rsa.pub.pem");
    let forged = encode(&Header::new(Algorithm::HS256), &claims(), &EncodingKey::from_secret(pem.as_bytes()));
    assert!(refusal(&Jwt::public_key(pem).unwrap(), &forged.unwrap()).await.contains("not accepted"));
    // And none at all.
    let none = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbm4iLCJleHAiOjk5OTk5OTk5OTl9.";
    assert!(refusal(&by_secret(), none).await.contains("no JSON Web Token"));
}

#[tokio::test]
async fn whatever_is_wrong_is_refused_with_its_reason() {
    let token = signed(Algorithm::HS256, None, &claims());
    let mut forged = token.clone();
    forged.replace_range(token.len() - 5..token.len() - 4, if forged.ends_with('A') { "B" } else { "_" });
    assert!(refusal(&by_secret(), &forged).await.contains("signature"));
    assert!(refusal(&by_secret(), "x").await.contains("no JSON Web Token"));
    assert!(refused_claims(json!({ "exp": NOW - 31 })).await.contains("expired"));
    assert!(refused_claims(json!({ "exp": null })).await.contains("no number"));
    assert!(refused_claims(json!({ "exp": "tomorrow" })).await.contains("no number"));
    assert!(refused_claims(json!({ "nbf": NOW + 31 })).await.contains("not valid yet"));
    assert!(refused_claims(json!({ "nbf": "later" })).await.contains("no number"));
    assert!(refused_claims(json!({ "iss": "them" })).await.contains("another issuer"));
    assert!(refused_claims(json!({ "iss": "us" })).await.contains("another audience"));
    assert!(refused_claims(json!({ "iss": "us", "aud": ["x"] })).await.contains("another audience"));
    assert!(refused_claims(json!({ "iss": "us", "aud": ["x", "api"], "sub": "" })).await.contains("sub"));
    let mut forever = claims();
    forever.as_object_mut().unwrap().remove("exp");
    assert!(refusal(&by_secret(), &signed(Algorithm::HS256, None, &forever)).await.contains("never expire"));
}

#[tokio::test]
async fn roles_are_found_where_the_issuer_puts_them() {
    let claims =
        json!({ "sub": "a", "exp": NOW + 1, "realm": { "roles": ["x", "y"] }, "scope": "read write" });
    let token = signed(Algorithm::HS256, None, &claims);
    for (path, expected) in [("realm.roles", ["x", "y"]), ("scope", ["read", "write"])] {
        let auth = by_secret().roles_claim(path).verify(&token, now()).await.unwrap();
        assert_eq!(auth.roles.into_iter().collect::<Vec<_>>(), expected);
    }
    assert!(by_secret().verify(&token, now()).await.unwrap().roles.is_empty());
}

#[tokio::test]
async fn a_key_set_is_searched_by_key_id_and_kind() {
    let jwt = Jwt::jwks(include_str!("fixtures/jwks.json")).unwrap();
    for (algorithm, kid) in
        [(Algorithm::RS256, Some("rsa-1")), (Algorithm::ES256, Some("ec-1")), (Algorithm::ES256, None)]
    {
        assert!(jwt.verify(&signed(algorithm, kid, &claims()), now()).await.is_ok(), "{kid:?}");
    }
    for (algorithm, kid) in [
        (Algorithm::RS256, Some("ec-1")),
        (Algorithm::RS256, Some("enc-1")),
        (Algorithm::RS512, Some("rsa-1")),
        (Algorithm::RS256, Some("other")),
    ] {
        assert!(refusal(&jwt, &signed(algorithm, kid, &claims())).await.contains("not accepted"), "{kid:?}");
    }
    for wrong in ["", "[]", "{\"keys\":[]}"] {
        assert_eq!(Jwt::jwks(wrong).unwrap_err().code(), ErrorCode::BadRequest, "{wrong}");
    }
}

#[tokio::test]
async fn a_file_of_keys_is_read_again_for_a_key_that_is_new() {
    let path = std::env::temp_dir().join(format!("forge-jwks-{}.json", std::process::id()));
    let all: Value = serde_json::from_str(include_str!("fixtures/jwks.json")).unwrap();
    std::fs::write(&path, json!({ "keys": [all["keys"][0]] }).to_string()).unwrap();
    let jwt = Jwt::jwks_file(&path).unwrap();
    let token = signed(Algorithm::ES256, Some("ec-1"), &claims());
    std::fs::write(&path, all.to_string()).unwrap();
    assert!(jwt.verify(&token, now()).await.is_err(), "the file was read a moment ago");
    jwt.keys.forget_pause();
    assert!(jwt.verify(&token, now()).await.is_ok());
    std::fs::remove_file(&path).unwrap();
    jwt.keys.forget_pause();
    assert!(refusal(&jwt, &signed(Algorithm::ES256, Some("z"), &claims())).await.contains("not accepted"));
    assert!(jwt.verify(&token, now()).await.is_ok(), "the keys that are known stay");
}

/// An issuer of keys on a port of its own: what it serves can be changed, and how often it was asked is counted.
async fn issuer(keys: &Arc<Mutex<Option<Value>>>, asked: &Arc<AtomicUsize>) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/keys", listener.local_addr().unwrap());
    let (keys, asked) = (keys.clone(), asked.clone());
    let answer = async move || {
        asked.fetch_add(1, Ordering::SeqCst);
        let keys = keys.lock().unwrap().clone();
        keys.map(|keys| keys.to_string()).ok_or(axum::http::StatusCode::BAD_GATEWAY)
    };
    let router = axum::Router::new().route("/keys", axum::routing::get(answer));
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

#[tokio::test]
async fn keys_of_an_address_are_fetched_once_and_again_for_a_key_that_is_new() {
    let all: Value = serde_json::from_str(include_str!("fixtures/jwks.json")).unwrap();
    let keys = Arc::new(Mutex::new(Some(json!({ "keys": [all["keys"][0]] }))));
    let asked = Arc::new(AtomicUsize::new(0));
    let jwt = Jwt::jwks_url(&issuer(&keys, &asked).await).unwrap();
    let (known, new) = (
        signed(Algorithm::RS256, Some("rsa-1"), &claims()),
        signed(Algorithm::ES256, Some("ec-1"), &claims()),
    );
    let first = futures_util::future::join_all((0..20).map(|_| jwt.verify(&known, now()))).await;
    assert!(first.iter().all(Result::is_ok));
    assert_eq!(asked.load(Ordering::SeqCst), 1);

    *keys.lock().unwrap() = Some(all);
    assert!(jwt.verify(&new, now()).await.is_err(), "they were fetched a moment ago");
    jwt.keys.forget_pause();
    assert!(jwt.verify(&new, now()).await.is_ok());
    assert_eq!(asked.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn known_keys_outlive_an_issuer_that_does_not_answer() {
    let all: Value = serde_json::from_str(include_str!("fixtures/jwks.json")).unwrap();
    let (keys, asked) = (Arc::new(Mutex::new(None)), Arc::new(AtomicUsize::new(0)));
    let jwt = Jwt::jwks_url(&issuer(&keys, &asked).await).unwrap();
    let token = signed(Algorithm::RS256, Some("rsa-1"), &claims());
    for _ in 0..5 {
        assert_eq!(jwt.verify(&token, now()).await.unwrap_err().code(), ErrorCode::Unavailable);
    }
    assert_eq!(asked.load(Ordering::SeqCst), 1, "not for every token");

    *keys.lock().unwrap() = Some(all);
    jwt.keys.forget_pause();
    assert!(jwt.verify(&token, now()).await.is_ok());

    *keys.lock().unwrap() = None;
    jwt.keys.expire();
    assert!(jwt.verify(&token, now()).await.is_ok());
    while asked.load(Ordering::SeqCst) < 3 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(jwt.verify(&token, now()).await.is_ok());
}

#[test]
fn settings_name_the_variable_that_is_wrong() {
    let from = |pairs: &[(&str, &str)]| {
        Jwt::from_settings(|name| {
            pairs.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        })
    };
    assert!(from(&[]).unwrap().is_none());
    let jwt = from(&[("FORGE_JWT_SECRET", SECRET), ("FORGE_JWT_ISSUER", "us"), ("FORGE_JWT_ROLES", "a.b")]);
    let jwt = jwt.unwrap().unwrap();
    assert_eq!((jwt.issuer.as_deref(), jwt.roles.len()), (Some("us"), 2));
    for (pairs, named) in [
        (&[("FORGE_JWT_SECRET", "short")][..], "FORGE_JWT_SECRET"),
        (&[("FORGE_JWT_PUBLIC_KEY", "/no/such/file")], "FORGE_JWT_PUBLIC_KEY"),
        (&[("FORGE_JWT_JWKS", "/no/such/file")], "FORGE_JWT_JWKS"),
        (&[("FORGE_JWT_JWKS", "http://issuer.example/keys")], "FORGE_JWT_JWKS"),
        (&[("FORGE_JWT_SECRET", SECRET), ("FORGE_JWT_JWKS", "x")], "FORGE_JWT_JWKS"),
    ] {
        let message = from(pairs).unwrap_err().to_string();
        assert!(message.contains(named) && !message.contains(SECRET), "{message}");
    }
}
