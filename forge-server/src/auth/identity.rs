//! Who is behind a socket, for as long as that holds.

use std::sync::Arc;
use std::time::Duration;

use forge_core::{Auth, Caller, Error, ErrorCode};
use tokio::time::Instant;

use super::expired;
use crate::calls::Calls;

/// For sockets without an identity: nothing is due before somebody signs in.
const NEVER: Duration = Duration::from_secs(24 * 60 * 60);

/// The caller behind a socket.
pub(crate) struct Identity {
    pub(crate) caller: Caller,
    calls: Calls,
    /// The token that `caller.auth` is from; none where it is from the headers alone.
    token: Option<String>,
    /// When the token is looked at again.
    recheck: Instant,
}

/// What became of an identity. `caller.auth` has changed already.
pub(crate) enum Verdict {
    /// It holds.
    Same,
    /// It is another one.
    Changed,
    /// It holds no more: the caller is nobody now.
    Lost(Error),
}

impl Identity {
    /// The caller who opened the socket.
    pub(crate) fn new(calls: &Calls, caller: Caller) -> Self {
        // It was read without a failure for `caller.auth`.
        let token = super::bearer(&caller.headers).ok().flatten();
        let recheck = Instant::now() + calls.limits.auth_recheck;
        Self { caller, calls: calls.clone(), token, recheck }
    }

    /// When [`Identity::check`] has something to do.
    pub(crate) fn due(&self) -> Instant {
        let now = Instant::now();
        let Some(auth) = &self.caller.auth else { return now + NEVER };
        let left = auth
            .expires_at
            .map(|at| at.millis().saturating_sub(self.calls.runtime.db().env().now().millis()));
        let left = left.map_or(NEVER, |millis| Duration::from_millis(u64::try_from(millis).unwrap_or(0)));
        self.recheck.min(now + left.min(NEVER))
    }

    /// Ends an identity that has expired, and looks again at one that may have been revoked or changed.
    pub(crate) async fn check(&mut self) -> Verdict {
        let Some(auth) = self.caller.auth.clone() else { return Verdict::Same };
        if !auth.is_valid(self.calls.runtime.db().env().now()) {
            return self.lose(expired());
        }
        if Instant::now() < self.recheck {
            return Verdict::Same;
        }
        self.recheck = Instant::now() + self.calls.limits.auth_recheck;
        match self.calls.identify(self.token.clone(), &self.caller.headers).await {
            Ok(Some(now)) if now == auth => Verdict::Same,
            Ok(Some(now)) => self.become_known(Some(now)),
            Ok(None) => self.lose(expired()),
            Err(error) if matches!(error.code(), ErrorCode::Unauthorized | ErrorCode::Forbidden) => {
                self.lose(error)
            }
            // Nobody can tell now: it holds until it expires.
            Err(error) => {
                tracing::warn!(%error, "a token could not be looked at again");
                Verdict::Same
            }
        }
    }

    /// Takes the identity of `token`, or none; one that is refused leaves the socket anonymous.
    pub(crate) async fn authenticate(&mut self, token: Option<String>) -> Verdict {
        match self.calls.identify(token.clone(), &self.caller.headers).await {
            Ok(auth) => {
                self.token = token;
                self.recheck = Instant::now() + self.calls.limits.auth_recheck;
                self.become_known(auth)
            }
            Err(error) => self.lose(error),
        }
    }

    /// Takes an identity that is known to be that of a token, or none.
    #[cfg(feature = "socketio")]
    pub(crate) fn take_over(&mut self, known: Option<(String, Arc<Auth>)>) {
        let (token, auth) = known.unzip();
        (self.token, self.caller.auth) = (token, auth);
        self.recheck = Instant::now() + self.calls.limits.auth_recheck;
    }

    fn become_known(&mut self, auth: Option<Arc<Auth>>) -> Verdict {
        self.caller.auth = auth;
        Verdict::Changed
    }

    fn lose(&mut self, error: Error) -> Verdict {
        self.token = None;
        self.caller.auth = None;
        Verdict::Lost(error)
    }
}
