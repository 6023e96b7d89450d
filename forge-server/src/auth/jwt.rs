//! JSON Web Tokens: signatures by `jsonwebtoken`, claims by us, with the clock of the program.

mod keys;
mod remote;

use std::time::Duration;

use async_trait::async_trait;
use forge_core::{Auth, DateTime, Error, Result};
use jsonwebtoken::Validation;
use serde_json::{Map, Value};

use self::keys::{Key, Keys};
use super::{AuthResolver, Credentials};

/// Reads JSON Web Tokens: HS, RS, PS, ES and EdDSA signatures, by one key or a key set.
///
/// A token needs `exp` and `sub`, which becomes the subject; all its claims can be read by handlers. A key is only ever
/// used for the algorithms of its own kind.
///
/// ```ignore
/// forge::App::new().auth(Jwt::public_key(&std::fs::read("issuer.pem")?)?.issuer("https://issuer.example"))
/// ```
///
/// Without it in the program, the environment decides: `FORGE_JWT_SECRET`, `FORGE_JWT_PUBLIC_KEY` or `FORGE_JWT_JWKS`.
#[derive(Debug)]
pub struct Jwt {
    keys: Keys,
    issuer: Option<String>,
    audience: Option<String>,
    roles: Vec<String>,
    leeway: Duration,
}

impl Jwt {
    fn new(keys: Keys) -> Self {
        Self {
            keys,
            issuer: None,
            audience: None,
            roles: vec!["roles".into()],
            leeway: Duration::from_secs(30),
        }
    }

    /// Tokens signed with a shared secret (HS256, HS384, HS512).
    ///
    /// # Errors
    /// `bad_request` for a secret below 32 bytes: it could be guessed.
    pub fn secret(secret: impl AsRef<[u8]>) -> Result<Self> {
        Ok(Self::new(Keys::fixed(vec![Key::secret(secret.as_ref())?])))
    }

    /// Tokens signed with the private half of this RSA, EC or Ed25519 key in PEM.
    ///
    /// # Errors
    /// `bad_request` for a text that is no such key.
    pub fn public_key(pem: impl AsRef<[u8]>) -> Result<Self> {
        Ok(Self::new(Keys::fixed(vec![Key::pem(pem.as_ref())?])))
    }

    /// Tokens signed with one of the keys of this JSON Web Key Set.
    ///
    /// # Errors
    /// `bad_request` for a text that is no key set, or holds no key for signatures.
    pub fn jwks(json: &str) -> Result<Self> {
        Ok(Self::new(Keys::fixed(keys::parse_set(json)?)))
    }

    /// Tokens signed with one of the keys of the JSON Web Key Set in a file. It is read again when a token names a key
    /// that is not in it, every ten seconds at most: keys can change while the program runs.
    ///
    /// # Errors
    /// As [`Jwt::jwks`], and for a file that cannot be read.
    pub fn jwks_file(path: impl Into<std::path::PathBuf>) -> Result<Self> {
        Ok(Self::new(Keys::file(path.into())?))
    }

    /// Tokens signed with one of the keys of the JSON Web Key Set at an address: `https`, or `http` on this machine.
    ///
    /// It is fetched for the first token, and again when a token names a key that is not in it, every ten seconds at most, or
    /// when the time that the issuer gives it (`Cache-Control: max-age`, otherwise an hour) is over. Known keys are used
    /// while others are fetched, and for as long as the issuer does not answer. Before the first answer, calls with a token
    /// fail with `unavailable`.
    ///
    /// # Errors
    /// `bad_request` for another kind of address.
    pub fn jwks_url(url: &str) -> Result<Self> {
        Ok(Self::new(Keys::remote(url)?))
    }

    /// Takes only tokens of this issuer (`iss`).
    #[must_use]
    pub fn issuer(mut self, issuer: impl Into<String>) -> Self {
        self.issuer = Some(issuer.into());
        self
    }

    /// Takes only tokens for this audience (`aud`).
    #[must_use]
    pub fn audience(mut self, audience: impl Into<String>) -> Self {
        self.audience = Some(audience.into());
        self
    }

    /// The claim that holds the roles, as a list or separated by spaces; `realm_access.roles` is one inside another.
    /// Default: `roles`.
    #[must_use]
    pub fn roles_claim(mut self, path: &str) -> Self {
        self.roles = path.split('.').map(str::to_owned).collect();
        self
    }

    /// By how much the clocks of issuer and server may differ. Default: 30 s.
    #[must_use]
    pub fn leeway(mut self, leeway: Duration) -> Self {
        self.leeway = leeway;
        self
    }

    /// What the environment asks for: the variables `FORGE_JWT_…` of `docs/configuration.md`.
    ///
    /// # Errors
    /// `bad_request` naming the variable that is wrong.
    pub(crate) fn from_settings(read: impl Fn(&str) -> Option<String>) -> Result<Option<Self>> {
        const VARIABLES: [&str; 3] = ["FORGE_JWT_SECRET", "FORGE_JWT_PUBLIC_KEY", "FORGE_JWT_JWKS"];
        let set: Vec<_> = VARIABLES.into_iter().filter_map(|name| Some((name, read(name)?))).collect();
        let (name, value) = match set.as_slice() {
            [] => return Ok(None),
            [one] => one,
            [(first, _), (second, _), ..] => {
                return Err(Error::bad_request(format!(
                    "{first} and {second} are both set; keep one of them"
                )));
            }
        };
        let jwt = match *name {
            "FORGE_JWT_SECRET" => Self::secret(value),
            "FORGE_JWT_PUBLIC_KEY" => keys::read(value.as_ref()).and_then(Self::public_key),
            _ if value.contains("://") => Self::jwks_url(value),
            _ => Self::jwks_file(value),
        };
        let mut jwt = jwt.map_err(|error| error.context(name))?;
        (jwt.issuer, jwt.audience) = (read("FORGE_JWT_ISSUER"), read("FORGE_JWT_AUDIENCE"));
        if let Some(path) = read("FORGE_JWT_ROLES") {
            jwt = jwt.roles_claim(&path);
        }
        Ok(Some(jwt))
    }

    async fn verify(&self, token: &str, now: DateTime) -> Result<Auth> {
        let header = jsonwebtoken::decode_header(token).map_err(|_| refused("is no JSON Web Token"))?;
        let keys = self.keys.candidates(header.kid.as_deref()).await?;
        let mut usable = keys.iter().filter(|key| key.suits(header.kid.as_deref(), header.alg)).peekable();
        if usable.peek().is_none() {
            return Err(refused("is signed with a key or algorithm that is not accepted here"));
        }
        let claims = usable.find_map(|key| {
            let mut validation = Validation::new(header.alg);
            // Signatures only; claims are checked below, by the clock of the program.
            (validation.validate_exp, validation.validate_nbf, validation.validate_aud) =
                (false, false, false);
            validation.required_spec_claims.clear();
            jsonwebtoken::decode::<Map<String, Value>>(token, &key.key, &validation).ok()
        });
        self.check(claims.ok_or_else(|| refused("has a wrong signature"))?.claims, now)
    }

    /// The identity that the claims of an authentic token make.
    fn check(&self, claims: Map<String, Value>, now: DateTime) -> Result<Auth> {
        let leeway = i64::try_from(self.leeway.as_millis()).unwrap_or(i64::MAX);
        let expires =
            millis(&claims, "exp")?.ok_or_else(|| refused("has no `exp`: it would never expire"))?;
        let expires = expires.saturating_add(leeway);
        if now.millis() >= expires {
            return Err(super::expired());
        }
        if millis(&claims, "nbf")?.is_some_and(|from| from.saturating_sub(leeway) > now.millis()) {
            return Err(refused("is not valid yet"));
        }
        let text = |name: &str| claims.get(name).and_then(Value::as_str);
        if self.issuer.as_deref().is_some_and(|issuer| text("iss") != Some(issuer)) {
            return Err(refused("is from another issuer"));
        }
        if self.audience.as_deref().is_some_and(|audience| !names(claims.get("aud"), audience)) {
            return Err(refused("is for another audience"));
        }
        let subject = text("sub").filter(|subject| !subject.is_empty());
        let subject = subject.ok_or_else(|| refused("has no `sub`: it does not say who it is for"))?;
        let mut auth = Auth::new(subject).expires_at(DateTime::from_millis(expires));
        auth.roles = self.roles_in(&claims).map(str::to_owned).collect();
        auth.claims = claims;
        Ok(auth)
    }

    fn roles_in<'c>(&self, claims: &'c Map<String, Value>) -> impl Iterator<Item = &'c str> {
        let (first, rest) = self.roles.split_first().map_or(("", [].as_slice()), |(a, b)| (a.as_str(), b));
        let found = rest.iter().try_fold(claims.get(first), |value, name| Some(value?.get(name))).flatten();
        let list = found.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
        let words = found.and_then(Value::as_str).unwrap_or("").split_ascii_whitespace();
        list.chain(words)
    }
}

/// A time claim, in seconds since 1970, as milliseconds. One that is no number is an error, not a missing one.
fn millis(claims: &Map<String, Value>, name: &str) -> Result<Option<i64>> {
    let Some(value) = claims.get(name) else { return Ok(None) };
    match value.as_f64().filter(|seconds| seconds.is_finite()) {
        // The cast saturates: a date that far ahead is never.
        Some(seconds) => Ok(Some((seconds * 1_000.0) as i64)),
        None => Err(refused("has a time that is no number")),
    }
}

/// Whether an `aud` names this audience.
fn names(claim: Option<&Value>, audience: &str) -> bool {
    match claim {
        Some(Value::String(one)) => one == audience,
        Some(Value::Array(all)) => all.iter().any(|one| one == audience),
        _ => false,
    }
}

fn refused(why: &str) -> Error {
    Error::unauthorized(format!("the token {why}"))
}

#[async_trait]
impl AuthResolver for Jwt {
    async fn resolve(&self, credentials: Credentials) -> Result<Option<Auth>> {
        match credentials.token {
            Some(token) => self.verify(&token, credentials.db.env().now()).await.map(Some),
            None => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests;
