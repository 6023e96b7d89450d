//! Who is behind a socket, for as long as that holds.

use std::sync::Arc;
use std::time::Duration;

use forge_core::{Auth, Caller, Error, ErrorCode};
use tokio::time::Instant;

use crate::auth::expired;
use crate::calls::Calls;
use crate::live::hub::Subscriber;
use crate::protocol;

/// For sockets without an identity: nothing is due before somebody signs in.
const NEVER: Duration = Duration::from_secs(24 * 60 * 60);

/// The caller behind a socket.
pub(super) struct Identity {
    pub(super) caller: Caller,
    calls: Calls,
    session: Arc<str>,
    subscriber: Arc<Subscriber>,
    /// The token that `caller.auth` is from; none where it is from the headers alone.
    token: Option<String>,
    /// When the token is looked at again.
    recheck: Instant,
}

impl Identity {
    /// The caller who opened the socket.
    pub(super) fn new(calls: &Calls, caller: Caller, session: Arc<str>, subscriber: Arc<Subscriber>) -> Self {
        // It was read without a failure for `caller.auth`.
        let token = crate::auth::bearer(&caller.headers).ok().flatten();
        let recheck = Instant::now() + calls.limits.auth_recheck;
        Self { caller, calls: calls.clone(), session, subscriber, token, recheck }
    }

    /// When [`Identity::check`] has something to do.
    pub(super) fn due(&self) -> Instant {
        let now = Instant::now();
        let Some(auth) = &self.caller.auth else { return now + NEVER };
        let left = auth
            .expires_at
            .map(|at| at.millis().saturating_sub(self.calls.runtime.db().env().now().millis()));
        let left = left.map_or(NEVER, |millis| Duration::from_millis(u64::try_from(millis).unwrap_or(0)));
        self.recheck.min(now + left.min(NEVER))
    }

    /// Ends an identity that has expired, and looks again at one that may have been revoked or changed.
    pub(super) async fn check(&mut self) {
        let Some(auth) = self.caller.auth.clone() else { return };
        if !auth.is_valid(self.calls.runtime.db().env().now()) {
            return self.lose(&expired()).await;
        }
        if Instant::now() < self.recheck {
            return;
        }
        self.recheck = Instant::now() + self.calls.limits.auth_recheck;
        match self.calls.identify(self.token.clone(), &self.caller.headers).await {
            Ok(Some(now)) if now == auth => {}
            Ok(Some(now)) => self.switch(Some(now), None).await,
            Ok(None) => self.lose(&expired()).await,
            Err(error) if matches!(error.code(), ErrorCode::Unauthorized | ErrorCode::Forbidden) => {
                self.lose(&error).await;
            }
            // Nobody can tell now: it holds until it expires.
            Err(error) => tracing::warn!(%error, "a token could not be looked at again"),
        }
    }

    /// Takes the identity of `token`, or none; one that is refused leaves the socket anonymous.
    pub(super) async fn authenticate(&mut self, token: Option<String>) {
        match self.calls.identify(token.clone(), &self.caller.headers).await {
            Ok(auth) => {
                self.token = token;
                self.recheck = Instant::now() + self.calls.limits.auth_recheck;
                self.switch(auth, Some(self.session.clone())).await;
            }
            Err(error) => self.lose(&error).await,
        }
    }

    async fn switch(&mut self, auth: Option<Arc<Auth>>, session: Option<Arc<str>>) {
        self.caller.auth = auth;
        self.subscriber.identify(self.caller.clone(), session).await;
    }

    async fn lose(&mut self, error: &Error) {
        self.token = None;
        if self.caller.auth.is_some() {
            self.switch(None, None).await;
        }
        self.subscriber.outbox.text(protocol::error_body(None, &crate::calls::refusal(error).body));
    }
}
