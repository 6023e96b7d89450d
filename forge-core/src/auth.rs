//! Who calls: the identity that the program's token resolver found, and what handlers see of it.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;
use serde_json::{Map, Value};

use crate::context::{Caller, Seen};
use crate::error::{Error, Result};
use crate::types::DateTime;

/// The identity behind a token.
///
/// ```
/// use forge_core::Auth;
///
/// let auth = Auth::new("user-7").role("editor").claim("team", "blue");
/// assert!(auth.roles.contains("editor"));
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct Auth {
    /// Who it is: the same for every token of one user, and never that of another.
    pub subject: String,
    /// What they may do, in the program's own words.
    pub roles: BTreeSet<String>,
    /// Everything else that is known of them.
    pub claims: Map<String, Value>,
    /// From when on this does not hold any more; none for never.
    pub expires_at: Option<DateTime>,
}

impl Auth {
    /// An identity without roles and claims that does not expire.
    pub fn new(subject: impl Into<String>) -> Self {
        Self { subject: subject.into(), ..Self::default() }
    }

    /// The same with one more role.
    #[must_use]
    pub fn role(mut self, role: impl Into<String>) -> Self {
        self.roles.insert(role.into());
        self
    }

    /// The same with one more claim.
    #[must_use]
    pub fn claim(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.claims.insert(name.into(), value.into());
        self
    }

    /// The same, until `at`.
    #[must_use]
    pub fn expires_at(mut self, at: DateTime) -> Self {
        self.expires_at = Some(at);
        self
    }

    /// Whether it still holds at `now`.
    pub fn is_valid(&self, now: DateTime) -> bool {
        self.expires_at.is_none_or(|at| now < at)
    }
}

/// Which facts about the caller's identity a handler looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct SeenAuth {
    /// Whether there is one.
    pub signed_in: bool,
    /// Who it is.
    pub subject: bool,
    /// Whether they have these roles.
    pub roles: BTreeSet<String>,
    /// All of their roles.
    pub all_roles: bool,
    /// These claims.
    pub claims: BTreeSet<String>,
    /// All claims.
    pub all_claims: bool,
    /// When it expires.
    pub expiry: bool,
}

/// The caller's identity as handlers see it: `ctx.auth`.
///
/// Whatever a query looks at becomes part of what its result depends on, and nothing else: a query that asks for the
/// role `admin` is run once for all callers who have it and once for all who do not.
///
/// ```ignore
/// #[query(auth)]
/// async fn my_orders(ctx: &QueryCtx) -> Result<Vec<Order>> {
///     let me = ctx.auth.require()?;
///     ctx.db.find::<Order>().filter(|o| o.owner.eq(me)).await
/// }
/// ```
#[derive(Clone)]
pub struct AuthContext {
    auth: Option<Arc<Auth>>,
    seen: Arc<Mutex<Seen>>,
}

impl AuthContext {
    pub(crate) fn new(caller: &Caller, seen: Arc<Mutex<Seen>>) -> Self {
        Self { auth: caller.auth.clone(), seen }
    }

    fn see(&self, what: impl FnOnce(&mut SeenAuth)) -> Option<&Auth> {
        what(&mut self.seen.lock().unwrap_or_else(PoisonError::into_inner).auth);
        self.auth.as_deref()
    }

    /// Whether the caller is known.
    pub fn is_signed_in(&self) -> bool {
        self.see(|seen| seen.signed_in = true).is_some()
    }

    /// Who calls; none for callers that are not signed in.
    pub fn subject(&self) -> Option<&str> {
        self.see(|seen| seen.subject = true).map(|auth| auth.subject.as_str())
    }

    /// Who calls.
    ///
    /// # Errors
    /// [`ErrorCode::Unauthorized`](crate::ErrorCode::Unauthorized) for callers that are not signed in.
    pub fn require(&self) -> Result<&str> {
        self.subject().ok_or_else(unknown)
    }

    /// Whether the caller has this role.
    pub fn has_role(&self, role: &str) -> bool {
        let auth = self.see(|seen| {
            seen.roles.insert(role.to_owned());
        });
        auth.is_some_and(|auth| auth.roles.contains(role))
    }

    /// Lets callers with this role pass.
    ///
    /// # Errors
    /// [`ErrorCode::Unauthorized`](crate::ErrorCode::Unauthorized) for callers that are not signed in, and
    /// [`ErrorCode::Forbidden`](crate::ErrorCode::Forbidden) for those without the role.
    pub fn require_role(&self, role: &str) -> Result<()> {
        self.require_any(&[role])
    }

    fn require_any(&self, roles: &[&str]) -> Result<()> {
        if roles.iter().any(|role| self.has_role(role)) {
            return Ok(());
        }
        Err(if self.is_signed_in() { lacking(roles) } else { unknown() })
    }

    /// All roles of the caller. Where only some matter, [`has_role`](AuthContext::has_role) lets more callers share a
    /// live query.
    pub fn roles(&self) -> impl Iterator<Item = &str> {
        let auth = self.see(|seen| seen.all_roles = true);
        auth.into_iter().flat_map(|auth| auth.roles.iter().map(String::as_str))
    }

    /// A claim of the caller.
    pub fn claim(&self, name: &str) -> Option<&Value> {
        let auth = self.see(|seen| {
            seen.claims.insert(name.to_owned());
        });
        auth?.claims.get(name)
    }

    /// All claims of the caller; none for callers that are not signed in.
    pub fn claims(&self) -> Option<&Map<String, Value>> {
        self.see(|seen| seen.all_claims = true).map(|auth| &auth.claims)
    }

    /// When the caller's token expires; none where it does not, and for callers that are not signed in.
    pub fn expires_at(&self) -> Option<DateTime> {
        self.see(|seen| seen.expiry = true)?.expires_at
    }
}

/// Who may call a handler.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Guard {
    /// Everybody.
    Open,
    /// Callers who are signed in: `#[query(auth)]`.
    SignedIn,
    /// Callers who have one of these roles: `#[query(roles("admin", "editor"))]`.
    Roles(&'static [&'static str]),
}

impl Guard {
    /// Lets those pass who may.
    ///
    /// # Errors
    /// As [`AuthContext::require_role`].
    pub(crate) fn check(self, auth: &AuthContext) -> Result<()> {
        match self {
            Guard::Open => Ok(()),
            Guard::SignedIn if auth.is_signed_in() => Ok(()),
            Guard::SignedIn => Err(unknown()),
            Guard::Roles(roles) => auth.require_any(roles),
        }
    }
}

fn unknown() -> Error {
    Error::unauthorized("this needs a signed-in caller; send a token")
}

fn lacking(roles: &[&str]) -> Error {
    Error::forbidden(match roles {
        [role] => format!("this needs the role {role}"),
        _ => format!("this needs one of the roles {}", roles.join(", ")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorCode;

    fn context(auth: Option<Auth>) -> (AuthContext, Arc<Mutex<Seen>>) {
        let seen = Arc::new(Mutex::new(Seen::default()));
        let caller = Caller { auth: auth.map(Arc::new), ..Caller::default() };
        (AuthContext::new(&caller, seen.clone()), seen)
    }

    fn looked_at(look: impl FnOnce(&AuthContext)) -> SeenAuth {
        let (context, seen) = context(Some(Auth::new("a").role("r").claim("c", 1)));
        look(&context);
        seen.lock().unwrap().auth.clone()
    }

    #[test]
    fn exactly_what_was_looked_at_is_noted() {
        let none = SeenAuth::default();
        assert_eq!(looked_at(|_| {}), none);
        assert_eq!(
            looked_at(|auth| assert!(auth.is_signed_in())),
            SeenAuth { signed_in: true, ..none.clone() }
        );
        let subject = SeenAuth { subject: true, ..none.clone() };
        assert_eq!(looked_at(|auth| assert_eq!(auth.subject(), Some("a"))), subject);
        let roles = SeenAuth { roles: ["r".to_owned()].into(), ..none.clone() };
        assert_eq!(looked_at(|auth| assert!(auth.has_role("r"))), roles);
        let claims = SeenAuth { claims: ["c".to_owned()].into(), ..none.clone() };
        assert_eq!(looked_at(|auth| assert_eq!(auth.claim("c"), Some(&1.into()))), claims);
        assert_eq!(
            looked_at(|auth| assert_eq!(auth.roles().count(), 1)),
            SeenAuth { all_roles: true, ..none.clone() }
        );
        assert_eq!(
            looked_at(|auth| assert!(auth.claims().is_some())),
            SeenAuth { all_claims: true, ..none.clone() }
        );
        assert_eq!(looked_at(|auth| _ = auth.expires_at()), SeenAuth { expiry: true, ..none });
    }

    #[test]
    fn unknown_callers_and_those_without_the_role_are_told_apart() {
        let check =
            |guard: Guard, auth: Option<Auth>| guard.check(&context(auth).0).map_err(|error| error.code());
        let roles = Guard::Roles(&["admin", "editor"]);
        assert_eq!(check(Guard::Open, None), Ok(()));
        assert_eq!(check(Guard::SignedIn, None), Err(ErrorCode::Unauthorized));
        assert_eq!(check(Guard::SignedIn, Some(Auth::new("a"))), Ok(()));
        assert_eq!(check(roles, None), Err(ErrorCode::Unauthorized));
        assert_eq!(check(roles, Some(Auth::new("a").role("reader"))), Err(ErrorCode::Forbidden));
        assert_eq!(check(roles, Some(Auth::new("a").role("editor"))), Ok(()));
    }

    #[test]
    fn a_refusal_depends_on_what_was_asked() {
        let (context, seen) = context(None);
        assert!(Guard::Roles(&["admin"]).check(&context).is_err());
        let seen = seen.lock().unwrap().auth.clone();
        assert!(seen.signed_in && seen.roles.contains("admin"), "{seen:?}");
    }

    #[test]
    fn an_identity_ends_when_it_expires() {
        let auth = Auth::new("a").expires_at(DateTime::from_millis(1_000));
        assert!(auth.is_valid(DateTime::from_millis(999)));
        assert!(!auth.is_valid(DateTime::from_millis(1_000)));
    }
}
