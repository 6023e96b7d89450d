//! The keys that tokens are checked with.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use forge_core::{Error, Result};
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde_json::Value;

use super::remote::{Fetched, Remote};

/// Keys are looked for this often at most.
const PAUSE: Duration = Duration::from_secs(10);
/// The same, where there are none so far.
const RETRY: Duration = Duration::from_secs(1);
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

/// The keys, and where new ones come from. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Keys(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    known: Mutex<Known>,
    source: Source,
    /// Held by whoever looks at the source.
    turn: tokio::sync::Mutex<()>,
}

#[derive(Debug)]
struct Known {
    /// None before the first look that succeeded.
    keys: Option<Arc<[Key]>>,
    /// The last look, successful or not.
    read: Option<Instant>,
    fresh_for: Duration,
}

#[derive(Debug)]
enum Source {
    None,
    File(PathBuf),
    Url(Box<Remote>),
}

/// What is to be done before a token is checked.
#[derive(Debug, PartialEq, Eq)]
enum Look {
    /// Nothing.
    Not,
    /// The keys do, and others are fetched meanwhile.
    Meanwhile,
    /// The right one may be among those that are fetched now.
    First,
}

impl Keys {
    pub(super) fn fixed(keys: Vec<Key>) -> Self {
        Self::new(Source::None, Some(keys.into()))
    }

    pub(super) fn file(path: PathBuf) -> Result<Self> {
        let keys = parse_set(&read(&path)?).map_err(|error| error.context(path.display()))?;
        Ok(Self::new(Source::File(path), Some(keys.into())))
    }

    pub(super) fn remote(url: &str) -> Result<Self> {
        Ok(Self::new(Source::Url(Box::new(Remote::new(url)?)), None))
    }

    fn new(source: Source, keys: Option<Arc<[Key]>>) -> Self {
        let read = keys.is_some().then(Instant::now);
        let known = Mutex::new(Known { keys, read, fresh_for: Duration::MAX });
        Self(Arc::new(Inner { known, source, turn: tokio::sync::Mutex::default() }))
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All keys, after another look where none has the id `id`.
    ///
    /// # Errors
    /// `unavailable` where no look has ever succeeded.
    pub(super) async fn candidates(&self, id: Option<&str>) -> Result<Arc<[Key]>> {
        if let Look::First = self.look(id) {
            let _turn = self.0.turn.lock().await;
            // Somebody else may have looked while this waited.
            if self.look(id) != Look::Not {
                self.renew().await;
            }
        } else if let Look::Meanwhile = self.look(id)
            && self.0.turn.try_lock().is_ok()
        {
            let keys = self.clone();
            tokio::spawn(async move {
                let _turn = keys.0.turn.lock().await;
                if keys.look(None) == Look::Meanwhile {
                    keys.renew().await;
                }
            });
        }
        let keys = self.known().keys.clone();
        keys.ok_or_else(|| Error::unavailable("the keys that tokens are checked with cannot be fetched now"))
    }

    fn look(&self, id: Option<&str>) -> Look {
        if matches!(self.0.source, Source::None) {
            return Look::Not;
        }
        let known = self.known();
        let age = known.read.map_or(Duration::MAX, |read| read.elapsed());
        let Some(keys) = &known.keys else {
            return if age >= RETRY { Look::First } else { Look::Not };
        };
        let missing = id.is_some_and(|id| keys.iter().all(|key| key.id.as_deref() != Some(id)));
        match age >= PAUSE {
            true if missing => Look::First,
            true if age >= known.fresh_for => Look::Meanwhile,
            _ => Look::Not,
        }
    }

    /// Takes the keys from the source again. Where that fails, they stay as they are.
    async fn renew(&self) {
        let fetched = match &self.0.source {
            Source::None => return,
            Source::File(path) => {
                let path = path.clone();
                let read = tokio::task::spawn_blocking(move || read(&path)).await;
                read.unwrap_or_else(|stopped| Err(Error::internal(stopped.to_string())))
                    .map(|text| Fetched { text, fresh_for: Duration::MAX })
            }
            Source::Url(remote) => remote.fetch().await,
        };
        let fresh = fetched.and_then(|Fetched { text, fresh_for }| Ok((parse_set(&text)?, fresh_for)));
        let mut known = self.known();
        known.read = Some(Instant::now());
        match fresh {
            Ok((keys, fresh_for)) => (known.keys, known.fresh_for) = (Some(keys.into()), fresh_for),
            Err(error) => {
                tracing::warn!(%error, "the key set could not be read; the keys stay as they are");
            }
        }
    }

    /// Lets the next look happen at once.
    #[cfg(test)]
    pub(super) fn forget_pause(&self) {
        self.known().read = Instant::now().checked_sub(PAUSE);
    }

    /// As if the issuer's time for the keys were over.
    #[cfg(test)]
    pub(super) fn expire(&self) {
        self.known().fresh_for = Duration::ZERO;
        self.forget_pause();
    }
}
