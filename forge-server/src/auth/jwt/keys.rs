//! The keys that tokens are checked with.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use forge_core::{Error, Result};
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde_json::Value;

/// A file of keys is read this often at most.
const PAUSE: Duration = Duration::from_secs(10);
/// The shortest secret, in bytes: as long as the shortest signature.
const MIN_SECRET: usize = 32;

const HMAC: &[Algorithm] = &[Algorithm::HS256, Algorithm::HS384, Algorithm::HS512];
const RSA: &[Algorithm] = &[
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
];
const EC: &[Algorithm] = &[Algorithm::ES256, Algorithm::ES384];
const ED: &[Algorithm] = &[Algorithm::EdDSA];

/// One key, and what it may be used for.
#[derive(Clone)]
pub(super) struct Key {
    id: Option<String>,
    algorithms: Vec<Algorithm>,
    pub(super) key: DecodingKey,
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key")
            .field("id", &self.id)
            .field("algorithms", &self.algorithms)
            .finish_non_exhaustive()
    }
}

impl Key {
    pub(super) fn secret(secret: &[u8]) -> Result<Self> {
        if secret.len() < MIN_SECRET {
            return Err(Error::bad_request(format!(
                "the secret of tokens has {} bytes; at least {MIN_SECRET} random ones keep it from being guessed",
                secret.len()
            )));
        }
        Ok(Self { id: None, algorithms: HMAC.to_vec(), key: DecodingKey::from_secret(secret) })
    }

    pub(super) fn pem(pem: &[u8]) -> Result<Self> {
        let rsa = || Some((DecodingKey::from_rsa_pem(pem).ok()?, RSA));
        let ec = || Some((DecodingKey::from_ec_pem(pem).ok()?, EC));
        let ed = || Some((DecodingKey::from_ed_pem(pem).ok()?, ED));
        let (key, algorithms) = rsa().or_else(ec).or_else(ed).ok_or_else(|| {
            Error::bad_request(
                "this is no public key of RSA, EC or Ed25519 in PEM (-----BEGIN PUBLIC KEY-----)",
            )
        })?;
        Ok(Self { id: None, algorithms: algorithms.to_vec(), key })
    }

    /// A key of a set; none where it is of no use for signatures.
    fn jwk(value: &Value) -> Option<Self> {
        let jwk: Jwk = serde_json::from_value(value.clone()).ok()?;
        if jwk.common.public_key_use.as_ref().is_some_and(|used| *used != PublicKeyUse::Signature) {
            return None;
        }
        let of_kind: &[Algorithm] = match &jwk.algorithm {
            AlgorithmParameters::RSA(_) => RSA,
            AlgorithmParameters::OctetKey(_) => HMAC,
            AlgorithmParameters::OctetKeyPair(_) => ED,
            AlgorithmParameters::EllipticCurve(ec) => match ec.curve {
                EllipticCurve::P256 => &[Algorithm::ES256],
                EllipticCurve::P384 => &[Algorithm::ES384],
                _ => return None,
            },
        };
        let named = jwk.common.key_algorithm.map(|named| named.to_string());
        let suits =
            |algorithm: &&Algorithm| named.as_ref().is_none_or(|named| *named == format!("{algorithm:?}"));
        let algorithms: Vec<_> = of_kind.iter().filter(suits).copied().collect();
        let key = DecodingKey::from_jwk(&jwk).ok().filter(|_| !algorithms.is_empty())?;
        Some(Self { id: jwk.common.key_id, algorithms, key })
    }

    /// Whether a token with this header may be checked with this key.
    pub(super) fn suits(&self, id: Option<&str>, algorithm: Algorithm) -> bool {
        let named = match (&self.id, id) {
            (Some(mine), Some(wanted)) => mine == wanted,
            _ => true,
        };
        named && self.algorithms.contains(&algorithm)
    }
}

/// The keys of a JSON Web Key Set.
///
/// # Errors
/// `bad_request` for a text that is no set, or without a key for signatures.
pub(super) fn parse_set(json: &str) -> Result<Vec<Key>> {
    let set: Value = serde_json::from_str(json)
        .map_err(|error| Error::bad_request(format!("the key set is not valid JSON: {error}")))?;
    let keys = set.get("keys").and_then(Value::as_array);
    let keys = keys.ok_or_else(|| Error::bad_request("a key set is an object with a list `keys`"))?;
    let usable: Vec<_> = keys.iter().filter_map(Key::jwk).collect();
    if usable.is_empty() {
        return Err(Error::bad_request("the key set has no key for signatures of RSA, EC, Ed25519 or HMAC"));
    }
    Ok(usable)
}

/// The text of a file.
///
/// # Errors
/// `bad_request` naming the file.
pub(super) fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path)
        .map_err(|error| Error::bad_request(format!("{} cannot be read: {error}", path.display())))
}

/// The keys, and where new ones come from.
#[derive(Debug)]
pub(super) struct Keys {
    known: Mutex<Known>,
    path: Option<PathBuf>,
}

#[derive(Debug)]
struct Known {
    keys: Arc<[Key]>,
    read: Instant,
}

impl Keys {
    pub(super) fn fixed(keys: Vec<Key>) -> Self {
        Self { known: Mutex::new(Known { keys: keys.into(), read: Instant::now() }), path: None }
    }

    pub(super) fn file(path: PathBuf) -> Result<Self> {
        let keys = parse_set(&read(&path)?).map_err(|error| error.context(path.display()))?;
        Ok(Self { path: Some(path), ..Self::fixed(keys) })
    }

    /// All keys, after another look at the file where none has the id `id`.
    pub(super) async fn candidates(&self, id: Option<&str>) -> Arc<[Key]> {
        let (keys, path) = {
            let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            let missing = id.is_some_and(|id| known.keys.iter().all(|key| key.id.as_deref() != Some(id)));
            let path = self.path.clone().filter(|_| missing && known.read.elapsed() >= PAUSE);
            if path.is_some() {
                known.read = Instant::now();
            }
            (known.keys.clone(), path)
        };
        let Some(path) = path else { return keys };
        let fresh = tokio::task::spawn_blocking(move || parse_set(&read(&path)?)).await;
        match fresh {
            Ok(Ok(fresh)) => {
                let fresh: Arc<[Key]> = fresh.into();
                self.known.lock().unwrap_or_else(PoisonError::into_inner).keys = fresh.clone();
                fresh
            }
            Ok(Err(error)) => {
                tracing::warn!(%error, "the key set could not be read again; the keys stay as they are");
                keys
            }
            Err(_) => keys,
        }
    }

    /// Lets the next look at the file happen at once.
    #[cfg(test)]
    pub(super) fn forget_pause(&self) {
        let long_ago = Instant::now().checked_sub(PAUSE).unwrap();
        self.known.lock().unwrap().read = long_ago;
    }
}
