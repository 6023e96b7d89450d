//! The services of a program, by their paths.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use forge_core::{Auth, Db, RequestHeaders};
use futures_util::FutureExt as _;

use super::answer::Answer;
use super::context::{HookContext, Method, Provider};
use super::error::{ErrorKind, ServiceError, ServiceResult};
use super::handle::Handle;
use super::hooks::{Core, Hook, Hooks};
use super::methods::unsupported;
use super::options::Options;
use super::realtime::{Channels, Publishers, Realtime};
use crate::auth::Authenticator;

/// A service, ready to be called.
pub(super) struct Bound {
    pub(super) path: Arc<str>,
    pub(super) options: Options,
    pub(super) methods: BTreeSet<Method>,
    pub(super) custom: BTreeMap<Arc<str>, Hook>,
    pub(super) hooks: Arc<Hooks>,
    /// Events of its own. Those that calls would make are left to the program.
    pub(super) events: BTreeSet<Arc<str>>,
    pub(super) publishers: Publishers,
}

/// The services of a program. Cheap to clone.
#[derive(Clone, Default)]
pub struct Services(Arc<Inner>);

#[derive(Default)]
struct Inner {
    /// What comes before the paths in URLs: `"services"`, or nothing.
    prefix: String,
    bound: Vec<Arc<Bound>>,
    realtime: Realtime,
    tokens: Tokens,
}

/// How services find out whose a token is.
#[derive(Default)]
pub(crate) struct Tokens {
    pub(crate) authenticator: Authenticator,
    /// How long that may take.
    pub(crate) deadline: Duration,
}

impl fmt::Debug for Services {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.bound.iter().map(|service| &service.path)).finish()
    }
}

/// What a path names.
pub(crate) struct Target {
    pub(super) service: Arc<Bound>,
    pub(super) route: BTreeMap<String, String>,
    pub(super) id: Option<String>,
}

impl Services {
    pub(super) fn new(prefix: &str, bound: Vec<Bound>, realtime: Realtime, tokens: Tokens) -> Self {
        let prefix = prefix.trim_matches('/').to_owned();
        let bound = bound.into_iter().map(Arc::new).collect();
        Self(Arc::new(Inner { prefix, bound, realtime, tokens }))
    }

    /// The identity behind a token.
    ///
    /// # Errors
    /// As [`Authenticator::identify`].
    pub(super) async fn identify(
        &self,
        token: String,
        headers: &RequestHeaders,
        db: &Db,
    ) -> ServiceResult<Option<Arc<Auth>>> {
        let Tokens { authenticator, deadline } = &self.0.tokens;
        Ok(authenticator.identify(Some(token), headers, db, *deadline).await?)
    }

    /// What the program says about connections and events.
    pub(super) fn realtime(&self) -> &Realtime {
        &self.0.realtime
    }

    /// The channels that connections are in.
    pub fn channels(&self) -> &Channels {
        &self.0.realtime.channels
    }

    /// All of them.
    pub(super) fn bound(&self) -> impl Iterator<Item = &Bound> {
        self.0.bound.iter().map(|bound| &**bound)
    }

    /// What comes before the paths in URLs: `/services`, or nothing.
    pub(super) fn base(&self) -> String {
        if self.0.prefix.is_empty() { String::new() } else { format!("/{}", self.0.prefix) }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.bound.is_empty()
    }

    /// The service at `path`, to be called by the program itself on `db`: with hooks, without a network.
    ///
    /// # Errors
    /// `NotFound` where there is none.
    pub fn service(&self, path: &str, db: &Db) -> ServiceResult<Handle> {
        let path = path.trim_matches('/');
        let bound = self.0.bound.iter().find(|bound| *bound.path == *path);
        let bound = bound.ok_or_else(|| {
            let shown: String = path.chars().take(64).collect();
            ServiceError::new(ErrorKind::NotFound, format!("Can not find service '{shown}'"))
        })?;
        Ok(Handle::new(self.clone(), bound.clone(), db.clone()))
    }

    /// The field that names the documents of the service at `path`, as clients call it.
    pub(super) fn key(&self, path: &str) -> &str {
        let service = self.bound().find(|bound| *bound.path == *path);
        service.map_or("_id", |service| &service.options.key.client)
    }

    /// What the path of a URL names; its segments are percent-encoded.
    pub(super) fn resolve(&self, path: &str) -> Option<Target> {
        let path = path.trim_matches('/');
        let rest = match self.0.prefix.as_str() {
            "" => path,
            prefix => path.strip_prefix(prefix)?.strip_prefix('/')?,
        };
        let segments = rest.split('/').map(decoded).collect::<Option<Vec<_>>>()?;
        self.0.bound.iter().find_map(|service| {
            let (route, id) = fit(&service.path, &segments)?;
            Some(Target { service: service.clone(), route, id })
        })
    }

    /// The service that a path names by itself, and the parameters of its route.
    pub(super) fn named(&self, path: &str) -> Option<(Arc<Bound>, BTreeMap<String, String>)> {
        let segments: Vec<_> = path.trim_matches('/').split('/').map(Cow::Borrowed).collect();
        self.0.bound.iter().find_map(|service| match fit(&service.path, &segments)? {
            (route, None) => Some((service.clone(), route)),
            _ => None,
        })
    }

    /// Runs one call with its hooks, and tells of it.
    pub(super) async fn call(
        &self,
        service: &Arc<Bound>,
        mut call: Box<HookContext>,
    ) -> ServiceResult<Box<HookContext>> {
        // A service that lists an event makes it itself.
        call.event = call.event.filter(|event| !service.events.contains(&**event));
        // What the program asks for itself is not for the list of clients to say.
        let by_client = call.params.provider != Provider::Internal;
        if by_client && !service.methods.contains(&call.method) {
            return Err(unsupported(call.method.name()));
        }
        if !service.hooks.are_for(&call.method) && !service.is_own(&call.method) {
            return self.call_plainly(service, call).await;
        }
        self.call_hooked(service, *call).boxed().await
    }

    async fn call_hooked(&self, service: &Arc<Bound>, call: HookContext) -> ServiceResult<Box<HookContext>> {
        let bound = service.clone();
        let core: Core = Arc::new(move |call| {
            let bound = bound.clone();
            Box::pin(async move { bound.perform(call).await })
        });
        // A transaction that a hook opens has ended when the hooks have: what waits is one around the whole call.
        let db = call.db.clone();
        let done = service.hooks.run(call, core).await?;
        self.tell_of_call(service, &db, &done);
        Ok(Box::new(done))
    }

    /// Runs one call that has no hooks, and tells of it.
    async fn call_plainly(
        &self,
        service: &Arc<Bound>,
        mut call: Box<HookContext>,
    ) -> ServiceResult<Box<HookContext>> {
        let answer = service.options.run(&mut call).await?;
        if call.as_text && !self.tells_of(service, &call) {
            call.text = Some(answer.into_text(&service.options)?);
            return Ok(call);
        }
        service.conclude(&mut call, answer)?;
        self.tell_of_call(service, &call.db, &call);
        Ok(call)
    }
}

impl Bound {
    /// Whether the program itself does what this method does.
    fn is_own(&self, method: &Method) -> bool {
        matches!(method, Method::Custom(_)) || self.custom.contains_key(method.name())
    }

    async fn perform(&self, mut call: HookContext) -> ServiceResult<HookContext> {
        if let Some(run) = self.custom.get(call.method.name()) {
            return run(call).await;
        }
        let answer = self.options.run(&mut call).await?;
        self.conclude(&mut call, answer)?;
        Ok(call)
    }

    /// Gives a call its result.
    fn conclude(&self, call: &mut HookContext, answer: Answer) -> ServiceResult<()> {
        if !call.method.is_read() && self.options.documents.model().policy.is_some() {
            call.written = answer.written();
        }
        call.result = Some(answer.into_value(&self.options)?);
        Ok(())
    }
}

fn decoded(segment: &str) -> Option<Cow<'_, str>> {
    percent_encoding::percent_decode_str(segment).decode_utf8().ok()
}

/// Where a path stands among others, so that the first that fits is the one that says most: parts of its own come before
/// placeholders, and both before ids.
pub(super) fn precedence(path: &str) -> Vec<u8> {
    let parts = path.split('/').map(|part| u8::from(part.starts_with(':')));
    parts.chain([2]).collect()
}

/// The route parameters and the id, where the segments are those of `path` with at most one more.
fn fit(path: &str, segments: &[Cow<'_, str>]) -> Option<(BTreeMap<String, String>, Option<String>)> {
    let mut route = BTreeMap::new();
    let mut rest = segments.iter();
    for expected in path.split('/') {
        let segment = rest.next()?;
        match expected.strip_prefix(':') {
            Some(name) => {
                route.insert(name.to_owned(), segment.to_string());
            }
            None if expected == segment => {}
            None => return None,
        }
    }
    match (rest.next(), rest.next()) {
        (id, None) => Some((route, id.map(Cow::to_string))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fits(path: &str, url: &str) -> Option<(BTreeMap<String, String>, Option<String>)> {
        fit(path, &url.split('/').map(|part| decoded(part).unwrap()).collect::<Vec<_>>())
    }

    #[test]
    fn paths_name_a_service_and_at_most_one_id() {
        assert_eq!(fits("people", "people"), Some((BTreeMap::new(), None)));
        assert_eq!(fits("people", "people/a%2Fb"), Some((BTreeMap::new(), Some("a/b".into()))));
        assert_eq!(fits("people", "People"), None);
        assert_eq!(fits("people", "people/a/b"), None);
        let (route, id) = fits("users/:user/notes", "users/7/notes/x").unwrap();
        assert_eq!((route["user"].as_str(), id.as_deref()), ("7", Some("x")));
    }

    #[test]
    fn paths_that_say_more_come_first() {
        let mut paths = ["users", "users/:user", ":any", "users/:user/notes", "users/me", "users/me/notes"];
        paths.sort_by_key(|path| precedence(path));
        let expected = ["users/me/notes", "users/me", "users/:user/notes", "users/:user", "users", ":any"];
        assert_eq!(paths, expected);
    }
}
