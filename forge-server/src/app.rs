//! The program: commands, start-up, serving.

mod clusters;
mod declared;

use std::marker::PhantomData;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use clap::{Parser, Subcommand};
use forge_core::adapter::{Adapter, PushAction, PushPlan};
use forge_core::feed::FanOut;
use forge_core::{Catalog, Db, Env, Error, Registry, Result, Runtime};
use futures_util::future::BoxFuture;
use tokio::net::TcpListener;

pub(crate) use self::clusters::NamedCluster;
use crate::auth::{AuthResolver, Authenticator};
use crate::databases::{DatabaseResolver, Databases};
use crate::gates::Gates;
use crate::idempotency::{IdempotencyStore, MemoryStore};
use crate::jobs::Jobs;
use crate::metrics::Metrics;
use crate::operators::Operators;
use crate::server::{Parts, Server};
use crate::services::{self, Declared, Services, Tokens};
use crate::settings::Settings;
use crate::trace::SpanHook;
use crate::{Limits, bind, commands, console};

/// What a server needs of the crate that knows engines and the machine. `forge` brings it.
pub trait Platform: 'static {
    /// Opens the database behind `url`.
    fn connect(url: String, catalog: Arc<Catalog>, env: Env) -> BoxFuture<'static, Result<Arc<dyn Adapter>>>;

    /// The clock and the randomness.
    fn env() -> Env;
}

type OnStart = Box<dyn FnOnce(Db) -> BoxFuture<'static, Result<()>> + Send>;

/// A program: handlers and models that are linked in, settings from the environment, and what is set here.
///
/// ```ignore
/// #[tokio::main]
/// async fn main() -> forge::Result<()> {
///     forge::App::new().run().await
/// }
/// ```
pub struct App<P> {
    platform: PhantomData<fn() -> P>,
    router: Router,
    index: Option<&'static str>,
    on_start: Option<OnStart>,
    banner: Option<fn(SocketAddr) -> String>,
    limits: Limits,
    database: Option<String>,
    clusters: Vec<NamedCluster>,
    idempotency: Option<Arc<dyn IdempotencyStore>>,
    auth: Option<Arc<dyn AuthResolver>>,
    databases: Databases,
    metrics: Option<bool>,
    declared: Declared,
    fan_out: Option<Arc<dyn FanOut>>,
    span_hook: Option<SpanHook>,
}

impl<P> std::fmt::Debug for App<P> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("App").field("limits", &self.limits).finish_non_exhaustive()
    }
}

/// The commands of every program.
#[derive(Debug, Parser)]
#[command(about = None, disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve HTTP and WebSocket (the default)
    Serve,
    #[command(flatten)]
    Admin(commands::Admin),
}

/// What ended a program.
enum Failure {
    /// It could not start: exit code 2.
    Start(Error),
    /// It started, and failed: exit code 1.
    Run(Error),
    /// It has said all itself, and ends with this code.
    Code(i32),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Failure::Start(error)
    }
}

impl<P: Platform> Default for App<P> {
    fn default() -> Self {
        Self::new()
    }
}

impl<P: Platform> App<P> {
    /// A program on the handlers and models that are linked in.
    pub fn new() -> Self {
        Self {
            platform: PhantomData,
            router: Router::new(),
            index: None,
            on_start: None,
            banner: None,
            limits: Limits::default(),
            database: None,
            clusters: Vec::new(),
            idempotency: None,
            auth: None,
            databases: Databases::default(),
            metrics: None,
            declared: Declared { at: "/services".to_owned(), ..Declared::default() },
            fan_out: None,
            span_hook: None,
        }
    }

    /// Adds routes. Forge's own (`/api`, `/ws`, `/healthz`, `/readyz`) come first; the router's fallback is not used.
    ///
    /// They get request ids, log lines and answers to panics. Which pages may call them is theirs to decide: Forge checks
    /// the `Origin` of its own routes only.
    #[must_use]
    pub fn router(mut self, router: Router) -> Self {
        self.router = router;
        self
    }

    /// The page at `/`. Without it (and without such a route) the page lists the handlers.
    #[must_use]
    pub fn index(mut self, html: &'static str) -> Self {
        self.index = Some(html);
        self
    }

    /// Runs `work` before the server listens, when the indexes are there: loading data, for example. Its handle is
    /// trusted: policies are not asked. An error ends the program with exit code 2.
    #[must_use]
    pub fn on_start<F>(mut self, work: impl FnOnce(Db) -> F + Send + 'static) -> Self
    where
        F: Future<Output = Result<()>> + Send + 'static,
    {
        self.on_start = Some(Box::new(move |db| Box::pin(work(db))));
        self
    }

    /// What is printed once the server listens, in place of one line with its address.
    #[must_use]
    pub fn banner(mut self, banner: fn(SocketAddr) -> String) -> Self {
        self.banner = Some(banner);
        self
    }

    /// The bounds of work.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// The database to use, whatever the environment says.
    #[must_use]
    pub fn database(mut self, url: impl Into<String>) -> Self {
        self.database = Some(url.into());
        self
    }

    /// Another cluster, whose databases handlers reach as `ctx.cluster(name)`, whatever the environment says: there the
    /// variable `FORGE_DATABASE_URL_ARCHIVE` is the URL of the cluster `archive`. Names with the same URL share one connection.
    ///
    /// Live queries follow what they read of it. Its indexes are made by `push`, with its URL as `FORGE_DATABASE_URL`.
    #[must_use]
    pub fn cluster(mut self, name: &str, url: impl AsRef<str>) -> Self {
        self.clusters.push(NamedCluster::new(name, url.as_ref()));
        self
    }

    /// Where answers to mutations with an idempotency key are kept, in place of this process's memory and the database of
    /// the request.
    #[must_use]
    pub fn idempotency(mut self, store: impl IdempotencyStore) -> Self {
        self.idempotency = Some(Arc::new(store));
        self
    }

    /// How callers are known: by an [`auth::Jwt`](crate::auth::Jwt), or an async closure over
    /// [`auth::Credentials`](crate::auth::Credentials). Without one, tokens are refused, unless the environment sets up
    /// JSON Web Tokens.
    ///
    /// It is asked for every HTTP request and when a WebSocket opens, with or without a token; for the `auth` frames of
    /// a WebSocket; and again every [`Limits::auth_recheck`] while the socket is open.
    #[must_use]
    pub fn auth(mut self, resolver: impl AuthResolver) -> Self {
        self.auth = Some(Arc::new(resolver));
        self
    }

    /// Which database a request is about, by its headers: for programs with a database for each tenant. `ctx.db` of every
    /// handler is that database then, and so is everything that belongs to it: live queries, idempotency keys, jobs.
    ///
    /// It is asked for every HTTP request and when a WebSocket opens. Headers are the client's word: who may use which
    /// database is for the resolver, a guard or a policy to say. See [`DatabaseResolver`].
    #[must_use]
    pub fn databases(mut self, resolver: impl DatabaseResolver) -> Self {
        self.databases = Databases(Some(Arc::new(resolver)));
        self
    }

    /// Whether `/metrics` answers, whatever `FORGE_METRICS` says. It names handlers and tells how much is going on: keep
    /// it from the public.
    #[must_use]
    pub fn metrics(mut self, on: bool) -> Self {
        self.metrics = Some(on);
        self
    }

    /// How the processes of a deployment tell each other of changes, whatever `FORGE_FANOUT_URL` says. Without one, each
    /// follows the database itself.
    #[must_use]
    pub fn fan_out(mut self, fan_out: impl FanOut) -> Self {
        self.fan_out = Some(Arc::new(fan_out));
        self
    }

    /// Calls `hook` with the span of each HTTP request, before anything happens in it, and with the request's headers:
    /// to give the span the caller's trace as its parent. It is only called where somebody listens to the span: target
    /// `forge::http`, level `debug`.
    ///
    /// ```ignore
    /// App::new().on_request_span(|span, headers| {
    ///     let parent = global::get_text_map_propagator(|p| p.extract(&HeaderExtractor(headers)));
    ///     let _ = span.set_parent(parent);
    /// })
    /// ```
    #[must_use]
    pub fn on_request_span(
        mut self,
        hook: impl Fn(&tracing::Span, &axum::http::HeaderMap) + Send + Sync + 'static,
    ) -> Self {
        self.span_hook = Some(Arc::new(hook));
        self
    }

    /// Does what the command line asks for; without a command, serves until SIGINT or SIGTERM.
    ///
    /// This is the end of `main`: a failure is printed to standard error as one line and the process exits, with code
    /// 2 where the program could not start (a wrong setting or argument, an unreachable or damaged database, a port
    /// in use) and code 1 where it started and then failed. `doctor` ends with 3 where it has warnings, and 4 where
    /// something does not work.
    ///
    /// # Errors
    /// None: see above. The type lets `main` return it.
    pub async fn run(self) -> Result<()> {
        let command = Cli::parse().command.unwrap_or(Command::Serve);
        let (error, code) = match self.execute(command).await {
            Ok(()) => return Ok(()),
            Err(Failure::Start(error)) => (error, 2),
            Err(Failure::Run(error)) => (error, 1),
            Err(Failure::Code(code)) => std::process::exit(code),
        };
        console::error(&error);
        std::process::exit(code)
    }

    async fn execute(self, command: Command) -> Result<(), Failure> {
        console::init_logging()?;
        let settings = Settings::from_env(self.database.clone())?;
        match command {
            Command::Serve => self.serve(&settings).await,
            Command::Admin(admin) => {
                if let Some(done) = admin.ask_server(&settings).await {
                    return match done.map_err(Failure::Run)? {
                        0 => Ok(()),
                        code => Err(Failure::Code(code)),
                    };
                }
                let runtime = self.connect(&settings).await?;
                let done = admin.run(&runtime, &settings).await;
                runtime.db().adapter().close().await;
                match done.map_err(Failure::Run)? {
                    0 => Ok(()),
                    code => Err(Failure::Code(code)),
                }
            }
        }
    }

    async fn serve(self, settings: &Settings) -> Result<(), Failure> {
        let banner = self.banner;
        // Reserved before any work, so that a port in use is known at once; connections are accepted only after it.
        let socket = bind::reserve(&settings.host, settings.port).await?;
        let server = self.start(settings).await?;
        let listener = bind::listen(socket, settings.port)?;
        let address =
            listener.local_addr().map_err(|error| Error::internal(error.to_string()).with_source(error))?;
        let line = banner.map_or_else(|| format!("Listening on http://{address}"), |banner| banner(address));
        console::out(&line);
        server.serve(listener, bind::stop_signal()).await.map_err(Failure::Run)
    }

    /// Checks, connects, pushes indexes and runs [`on_start`](App::on_start): everything but listening. For tests, and
    /// for programs that bring their own listener.
    ///
    /// # Errors
    /// What keeps the program from starting.
    pub async fn build(self) -> Result<Server> {
        let settings = Settings::from_env(self.database.clone())?;
        self.start(&settings).await
    }

    /// Serves on `listener` until SIGINT or SIGTERM, without looking at the command line.
    ///
    /// # Errors
    /// As [`App::build`].
    pub async fn serve_on(self, listener: TcpListener) -> Result<()> {
        self.build().await?.serve(listener, bind::stop_signal()).await
    }

    async fn start(mut self, settings: &Settings) -> Result<Server> {
        let runtime = self.connect(settings).await?;
        let clusters = self.connect_clusters(runtime.db(), settings).await?;
        let runtime = runtime.with_clusters(clusters);
        if runtime.registry().iter().next().is_none() && self.declared.is_empty() {
            tracing::warn!(
                "no handlers are registered; if they are in a library crate, name it in the binary: use mylib as _;"
            );
        }
        let db = runtime.db();
        let named = || settings.fan_out.clone().map(|named| named.0);
        if let Some(fan_out) = self.fan_out.take().or_else(named) {
            db.set_fan_out(fan_out);
        }
        let plan = db.adapter().push(db.name(), db.catalog(), true).await;
        log_plan(&plan.map_err(|error| error.context("creating indexes"))?);
        let auth = match self.auth.take() {
            Some(resolver) => Authenticator::new(Some(resolver)),
            None => settings.auth.clone(),
        };
        let services = self.bind_services(db, &auth).await?;
        if let Some(work) = self.on_start.take() {
            work(db.without_policies()).await?;
        }
        let limits = self.limits;
        let metrics = Metrics::new(self.metrics.unwrap_or(settings.metrics));
        let jobs = Jobs::new(limits.jobs, limits.job_lease, metrics.clone());
        let runtime = runtime.with_scheduler(Arc::new(jobs.clone())).with_extension(services.clone());
        let gates = Gates::new(runtime.registry(), &limits);
        jobs.start(runtime.clone(), gates.clone())?;
        let durable = self.idempotency.is_none();
        let store = self
            .idempotency
            .unwrap_or_else(|| Arc::new(MemoryStore::new(limits.idempotency_keys, limits.idempotency_age)));
        let origins = settings.origins.clone();
        let operators = Operators { token: settings.operator.clone(), span_hook: self.span_hook };
        let (router, index) = (self.router, self.index);
        let parts = Parts {
            limits,
            gates,
            store,
            durable,
            databases: self.databases,
            auth,
            metrics,
            origins,
            operators,
            router,
            services,
            index,
        };
        Ok(Server::new(runtime, parts)?.with_jobs(jobs))
    }

    /// Checks the services, and makes the indexes of those without a model.
    async fn bind_services(&mut self, db: &Db, auth: &Authenticator) -> Result<Services> {
        let tokens = Tokens { authenticator: auth.clone(), deadline: self.limits.deadline };
        let (services, raw) = services::bind(std::mem::take(&mut self.declared), db.catalog(), tokens)?;
        if !raw.is_empty() {
            let plan = db.adapter().push(db.name(), &Catalog::new(raw)?, true).await;
            log_plan(&plan.map_err(|error| error.context("creating indexes of services"))?);
        }
        Ok(services)
    }

    async fn connect(&self, settings: &Settings) -> Result<Runtime> {
        let catalog = Arc::new(Catalog::collect()?);
        let registry = Registry::collect()?;
        let env = P::env();
        let database = &settings.database;
        let adapter = P::connect(database.url.clone(), catalog.clone(), env.clone())
            .await
            .map_err(|error| error.context(&database.variable))?;
        adapter.ping().await.map_err(|error| error.context(&database.variable))?;
        tracing::info!(adapter = adapter.name(), database = adapter.default_database(), "connected");
        let db = Db::new(adapter, catalog, env);
        if settings.slow.is_some() {
            db.log_slower_than(settings.slow);
        }
        Ok(Runtime::new(registry, db))
    }
}

fn log_plan(plan: &PushPlan) {
    let mut created = 0;
    for step in &plan.steps {
        let (collection, index, note) = (&step.collection, &step.index, step.note.as_deref().unwrap_or(""));
        match step.action {
            PushAction::Create => {
                created += 1;
                tracing::debug!(collection, index, note, "index created");
            }
            PushAction::Rebuild => tracing::info!(collection, index, note, "index rebuilt"),
            PushAction::Modify => tracing::info!(collection, index, note, "schema changed in place"),
            PushAction::Conflict => {
                tracing::warn!(collection, index, note, "schema differs and is left as it is");
            }
            PushAction::Skip => tracing::warn!(collection, index, note, "not supported here"),
            _ => tracing::debug!(collection, index, note, "index kept"),
        }
    }
    if created > 0 {
        tracing::info!(created, "indexes created");
    }
}
