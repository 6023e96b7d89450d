//! What a socket and its client are told of who is behind it.

use std::ops::Deref;
use std::sync::Arc;

use forge_core::{Caller, Error};

use crate::auth::identity::{Identity, Verdict};
use crate::calls::Calls;
use crate::live::hub::Subscriber;
use crate::protocol;
use crate::services::Joined;

/// The identity behind a socket.
pub(super) struct Known {
    identity: Identity,
    session: Arc<str>,
    subscriber: Arc<Subscriber>,
    /// What hears of events of services.
    pub(super) joined: Option<Joined>,
}

impl Deref for Known {
    type Target = Identity;

    fn deref(&self) -> &Identity {
        &self.identity
    }
}

impl Known {
    /// The caller who opened the socket.
    pub(super) fn new(
        calls: &Calls,
        caller: Caller,
        session: Arc<str>,
        subscriber: Arc<Subscriber>,
        joined: Option<Joined>,
    ) -> Self {
        Self { identity: Identity::new(calls, caller), session, subscriber, joined }
    }

    /// Ends an identity that has expired, and looks again at one that may have been revoked or changed.
    pub(super) async fn check(&mut self) {
        match self.identity.check().await {
            Verdict::Same => {}
            Verdict::Changed => self.switch(None).await,
            Verdict::Lost(error) => {
                self.switch(None).await;
                self.tell(&error);
            }
        }
    }

    /// Takes the identity of `token`, or none; one that is refused leaves the socket anonymous.
    pub(super) async fn authenticate(&mut self, token: Option<String>) {
        let before = self.caller.auth.is_some();
        match self.identity.authenticate(token).await {
            Verdict::Same => {}
            Verdict::Changed => self.switch(Some(self.session.clone())).await,
            Verdict::Lost(error) => {
                if before {
                    self.switch(None).await;
                }
                self.tell(&error);
            }
        }
    }

    async fn switch(&mut self, session: Option<Arc<str>>) {
        if let Some(joined) = &self.joined {
            joined.identify(self.caller.clone());
        }
        self.subscriber.identify(self.caller.clone(), session).await;
    }

    fn tell(&self, error: &Error) {
        self.subscriber.outbox.text(protocol::error_body(None, &crate::calls::refusal(error).body));
    }
}
