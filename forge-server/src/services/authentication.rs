//! Signing in by a service, as `@feathersjs/authentication-client` does it.

use std::sync::Arc;

use forge_core::Auth;
use serde_json::{Value, json};

use super::context::{HookContext, Method};
use super::error::{ErrorKind, ServiceError, ServiceResult};
use super::realtime::Audience;
use super::service::{Raw, Service};

/// The one strategy that the service knows by itself.
const STRATEGY: &str = "jwt";

/// What became of who calls, during a call: a socket takes it over.
#[derive(Debug, Clone)]
#[cfg_attr(
    not(feature = "socketio"),
    expect(dead_code, reason = "sockets of Forge's own protocol send `auth` frames")
)]
pub(crate) enum Login {
    /// They signed in with this token.
    In(String, Arc<Auth>),
    /// They signed out.
    Out,
}

/// The service `authentication`, for `@feathersjs/authentication-client`: `create` with `{ strategy: "jwt", accessToken }`
/// signs in with a token that the program's resolver knows (`App::auth`), `remove` signs out. Over socket.io the socket is
/// the caller's from then on; over HTTP clients send the token with each request.
///
/// Other strategies are the program's: a `before` hook that exchanges what was sent for a token.
///
/// ```ignore
/// App::new().auth(tokens).service(authentication().hooks(Hooks::new().before([Method::Create], |mut call| async move {
///     let sent = call.data.take().unwrap_or_default();
///     call.data = Some(match sent["strategy"].as_str() {
///         Some("local") => json!({ "strategy": "jwt", "accessToken": token_for(&call.db, &sent).await? }),
///         _ => sent,
///     });
///     Ok(call)
/// })))
/// ```
pub fn authentication() -> Service<Raw> {
    let events: fn(&_, &_) -> _ = |_, _| Audience::nobody();
    Service::raw("authentication")
        .methods([])
        .replaced(Method::Create, |call| Box::pin(sign_in(call)))
        .replaced(Method::Remove, |call| Box::pin(sign_out(call)))
        .publish(events)
}

async fn sign_in(mut call: HookContext) -> ServiceResult<HookContext> {
    let field = |name: &str| call.data.as_ref().and_then(|data| data.get(name)).and_then(Value::as_str);
    if field("strategy") != Some(STRATEGY) {
        return Err(refused("the strategy is not known here: `jwt` is, with an `accessToken`"));
    }
    let token = field("accessToken").ok_or_else(|| refused("the `accessToken` is missing"))?.to_owned();
    call.authenticate(&token).await?;
    call.result = Some(json!({ "accessToken": token, "authentication": { "strategy": STRATEGY } }));
    Ok(call)
}

async fn sign_out(mut call: HookContext) -> ServiceResult<HookContext> {
    if call.id.is_some() {
        return Err(ServiceError::bad_request("signing out takes no id"));
    }
    call.sign_out();
    call.result = Some(json!({ "authentication": { "strategy": STRATEGY } }));
    Ok(call)
}

fn refused(message: &str) -> ServiceError {
    ServiceError::new(ErrorKind::NotAuthenticated, message)
}

impl HookContext {
    /// Finds out whose `token` is, as the program's resolver does, and makes them the caller: of the rest of this call
    /// and, where it comes over socket.io, of the socket.
    ///
    /// # Errors
    /// `NotAuthenticated` for a token that is not known; what the resolver answers.
    pub async fn authenticate(&mut self, token: &str) -> ServiceResult<Arc<Auth>> {
        let (headers, db) = (self.params.caller.headers.clone(), self.db.without_policies());
        let found = self.services.identify(token.to_owned(), &headers, &db).await?;
        let auth = found.ok_or_else(|| refused("the token is not known"))?;
        self.become_caller(Some(auth.clone()));
        self.login = Some(Login::In(token.to_owned(), auth.clone()));
        Ok(auth)
    }

    /// Makes the caller nobody: for the rest of this call and, where it comes over socket.io, for the socket.
    pub fn sign_out(&mut self) {
        self.become_caller(None);
        self.login = Some(Login::Out);
    }

    fn become_caller(&mut self, auth: Option<Arc<Auth>>) {
        self.params.caller.auth = auth;
        if !self.db.policy_scope().is_lifted() {
            self.db = self.db.on_behalf_of(&self.params.caller);
        }
    }
}
