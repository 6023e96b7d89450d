//! What a program does before, after and around calls, and when they fail.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::BoxFuture;

use super::context::{HookContext, Method};
use super::error::{ServiceError, ServiceResult};

/// An async function over a call.
pub(super) type Hook =
    Arc<dyn Fn(HookContext) -> BoxFuture<'static, ServiceResult<HookContext>> + Send + Sync>;
type Around = Arc<dyn Fn(HookContext, Next) -> BoxFuture<'static, ServiceResult<HookContext>> + Send + Sync>;
/// What stands inside of all hooks.
pub(super) type Core =
    Arc<dyn Fn(HookContext) -> BoxFuture<'static, ServiceResult<HookContext>> + Send + Sync>;

/// The methods that a hook is for. Empty: all.
#[derive(Debug, Clone, Default)]
struct For(Vec<Method>);

impl For {
    fn new(methods: impl IntoIterator<Item = Method>) -> Self {
        Self(methods.into_iter().collect())
    }

    fn holds(&self, method: &Method) -> bool {
        self.0.is_empty() || self.0.contains(method)
    }
}

/// Hooks of a service, or of every service of a program.
///
/// Hooks are async functions that take the call and give it back. An empty list of methods means all of them. They run in
/// this order: `around` hooks (the program's, then the service's) up to their `next`, `before` hooks likewise, the method,
/// `after` hooks (the service's, then the program's), the rest of the `around` hooks; `error` hooks where any of these fails.
///
/// ```
/// use forge_server::services::{Hooks, Method};
///
/// let hooks = Hooks::new().before([Method::Create], |mut call| async move {
///     call.params.mongodb.upsert = false;
///     Ok(call)
/// });
/// ```
#[derive(Clone, Default)]
pub struct Hooks {
    around: Vec<(For, Around)>,
    before: Vec<(For, Hook)>,
    after: Vec<(For, Hook)>,
    error: Vec<(For, Hook)>,
}

impl fmt::Debug for Hooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = [self.around.len(), self.before.len(), self.after.len(), self.error.len()];
        f.debug_tuple("Hooks").field(&counts).finish()
    }
}

fn hook<F, R>(run: F) -> Hook
where
    F: Fn(HookContext) -> R + Send + Sync + 'static,
    R: Future<Output = ServiceResult<HookContext>> + Send + 'static,
{
    Arc::new(move |call| Box::pin(run(call)))
}

impl Hooks {
    /// No hooks.
    pub fn new() -> Self {
        Self::default()
    }

    /// Runs before these methods. An error ends the call; a result takes the place of the method.
    #[must_use]
    pub fn before<F, R>(mut self, methods: impl IntoIterator<Item = Method>, run: F) -> Self
    where
        F: Fn(HookContext) -> R + Send + Sync + 'static,
        R: Future<Output = ServiceResult<HookContext>> + Send + 'static,
    {
        self.before.push((For::new(methods), hook(run)));
        self
    }

    /// Runs after these methods, with their results.
    #[must_use]
    pub fn after<F, R>(mut self, methods: impl IntoIterator<Item = Method>, run: F) -> Self
    where
        F: Fn(HookContext) -> R + Send + Sync + 'static,
        R: Future<Output = ServiceResult<HookContext>> + Send + 'static,
    {
        self.after.push((For::new(methods), hook(run)));
        self
    }

    /// Runs where these methods fail: it gets the call as it was handed to the step that failed, and may change the error,
    /// or take it out and set a result.
    #[must_use]
    pub fn error<F, R>(mut self, methods: impl IntoIterator<Item = Method>, run: F) -> Self
    where
        F: Fn(HookContext) -> R + Send + Sync + 'static,
        R: Future<Output = ServiceResult<HookContext>> + Send + 'static,
    {
        self.error.push((For::new(methods), hook(run)));
        self
    }

    /// Runs around these methods: what stands before its `next.run(call)` and what stands after it.
    #[must_use]
    pub fn around<F, R>(mut self, methods: impl IntoIterator<Item = Method>, run: F) -> Self
    where
        F: Fn(HookContext, Next) -> R + Send + Sync + 'static,
        R: Future<Output = ServiceResult<HookContext>> + Send + 'static,
    {
        self.around.push((For::new(methods), Arc::new(move |call, next| Box::pin(run(call, next)))));
        self
    }

    /// These hooks inside of those of `outer`.
    pub(crate) fn within(self, outer: &Hooks) -> Hooks {
        let joined = |first: &[(For, Hook)], second: Vec<(For, Hook)>| {
            first.iter().cloned().chain(second).collect::<Vec<_>>()
        };
        Hooks {
            around: outer.around.iter().cloned().chain(self.around).collect(),
            before: joined(&outer.before, self.before),
            after: joined(&self.after, outer.after.clone()),
            error: joined(&self.error, outer.error.clone()),
        }
    }

    /// Whether there is any for this method.
    pub(super) fn are_for(&self, method: &Method) -> bool {
        let hooks = self.before.iter().chain(&self.after).chain(&self.error).map(|(of, _)| of);
        hooks.chain(self.around.iter().map(|(of, _)| of)).any(|of| of.holds(method))
    }

    /// Runs `core` inside of all hooks.
    pub(super) async fn run(self: &Arc<Self>, call: HookContext, core: Core) -> ServiceResult<HookContext> {
        let mended = self.error.iter().any(|(of, _)| of.holds(&call.method));
        let last = Last(mended.then(Arc::default));
        let next = Next { hooks: self.clone(), position: 0, core, last: last.clone() };
        match next.run(call).await {
            Err(error) => match last.take() {
                Some(call) => self.recover(call, error).await,
                None => Err(error),
            },
            done => done,
        }
    }

    async fn recover(&self, mut call: HookContext, error: ServiceError) -> ServiceResult<HookContext> {
        call.error = Some(error);
        let method = call.method.clone();
        for (_, hook) in self.error.iter().filter(|(of, _)| of.holds(&method)) {
            call = hook(call).await?;
        }
        match call.error.take() {
            Some(error) => Err(error),
            None => Ok(call),
        }
    }
}

/// The rest of a call, inside of an `around` hook.
pub struct Next {
    hooks: Arc<Hooks>,
    position: usize,
    core: Core,
    last: Last,
}

/// The call as it was handed to the last step that began, where `error` hooks want it: a step that fails gives none back.
#[derive(Clone)]
struct Last(Option<Arc<Mutex<Option<HookContext>>>>);

impl Last {
    fn keep(&self, call: &HookContext) {
        if let Some(kept) = &self.0 {
            *kept.lock().unwrap_or_else(PoisonError::into_inner) = Some(call.clone());
        }
    }

    fn take(&self) -> Option<HookContext> {
        self.0.as_ref()?.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl fmt::Debug for Next {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Next").field("position", &self.position).finish_non_exhaustive()
    }
}

impl Next {
    /// Runs it.
    ///
    /// # Errors
    /// What it answers.
    pub fn run(self, call: HookContext) -> BoxFuture<'static, ServiceResult<HookContext>> {
        Box::pin(async move {
            let Self { hooks, position, core, last } = self;
            let kept = last.clone();
            let rest = hooks.around.iter().enumerate().skip(position);
            let around =
                rest.filter(|(_, (of, _))| of.holds(&call.method)).map(|(at, (_, run))| (at, run.clone()));
            let done = match around.into_iter().next() {
                Some((at, run)) => {
                    last.keep(&call);
                    run(call, Next { hooks, position: at + 1, core, last }).await?
                }
                None => inner(&hooks, call, &core, &last).await?,
            };
            kept.keep(&done);
            Ok(done)
        })
    }
}

async fn inner(hooks: &Hooks, mut call: HookContext, core: &Core, last: &Last) -> ServiceResult<HookContext> {
    let method = call.method.clone();
    for (_, hook) in hooks.before.iter().filter(|(of, _)| of.holds(&method)) {
        last.keep(&call);
        call = hook(call).await?;
    }
    if call.result.is_none() {
        last.keep(&call);
        call = core(call).await?;
    }
    for (_, hook) in hooks.after.iter().filter(|(of, _)| of.holds(&method)) {
        last.keep(&call);
        call = hook(call).await?;
    }
    Ok(call)
}
