//! A started program: its routes, and its end.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use forge_core::{Db, Error, Result, Runtime};
use futures_util::future::join_all;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout_at};

use crate::auth::Authenticator;
use crate::calls::{Answers, Callers, Calls};
use crate::databases::Databases;
use crate::gates::Gates;
use crate::http::{Front, Routes};
use crate::idempotency::IdempotencyStore;
use crate::jobs::Jobs;
use crate::live::hub::Hub;
use crate::metrics::Metrics;
use crate::operators::Operators;
use crate::origin::Origins;
use crate::services::Services;
use crate::{Limits, connections};

/// How long `/readyz` fails before anything ends, so that whoever sends requests here can look elsewhere.
const NOTICE: Duration = Duration::from_millis(250);
const POLL: Duration = Duration::from_millis(10);
/// How often documents whose time is over are deleted, on engines that do not do so by themselves.
const PURGE: Duration = Duration::from_secs(60);

/// What a server is made of, beside its handlers and its database.
pub(crate) struct Parts {
    pub(crate) limits: Limits,
    /// How many calls of each handler run at a time.
    pub(crate) gates: Gates,
    pub(crate) store: Arc<dyn IdempotencyStore>,
    /// Whether answers to mutations with a key are kept in the database as well.
    pub(crate) durable: bool,
    /// Which database a request is about.
    pub(crate) databases: Databases,
    pub(crate) auth: Authenticator,
    pub(crate) metrics: Metrics,
    pub(crate) origins: Origins,
    pub(crate) operators: Operators,
    /// The program's own routes.
    pub(crate) router: Router,
    pub(crate) services: Services,
    /// The page at `/`.
    pub(crate) index: Option<&'static str>,
}

/// A started program: connected, its indexes in place, its live queries running. It does not listen by itself.
pub struct Server {
    calls: Calls,
    routes: Routes,
    router: Router,
    draining: watch::Sender<bool>,
    jobs: Option<Jobs>,
    services: Services,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").field("db", self.db()).finish_non_exhaustive()
    }
}

impl Server {
    /// # Errors
    /// `internal` where the handlers cannot be described.
    pub(crate) fn new(runtime: Runtime, parts: Parts) -> Result<Self> {
        let metrics = parts.metrics;
        let gates = parts.gates;
        let hub = Hub::start(runtime.clone(), parts.limits.clone(), metrics.clone(), gates.clone());
        let draining = watch::Sender::new(false);
        let limits = Arc::new(parts.limits);
        let answers = Answers { store: parts.store, durable: parts.durable };
        let callers = Callers { auth: parts.auth, databases: parts.databases };
        tokio::spawn(purge(runtime.clone(), draining.subscribe()));
        let calls =
            Calls::new(runtime, hub, limits, (callers, metrics, gates), answers, draining.subscribe());
        let services = parts.services;
        let routes = Routes::new(calls.clone(), parts.origins, services.clone(), parts.operators)?;
        let router = routes.clone().router(parts.router, parts.index);
        Ok(Self { calls, routes, router, draining, jobs: None, services })
    }

    /// The same server, which also runs jobs until it drains.
    pub(crate) fn with_jobs(mut self, jobs: Jobs) -> Self {
        self.jobs = Some(jobs);
        self
    }

    /// The routes, to call without a network or to nest in another server.
    pub fn router(&self) -> Router {
        self.router.clone()
    }

    /// The routes, as a listener serves them.
    pub(crate) fn front(&self) -> Front {
        Front::new(self.routes.clone(), self.router.clone())
    }

    /// The services of the program.
    pub fn services(&self) -> &Services {
        &self.services
    }

    /// The database.
    pub fn db(&self) -> &Db {
        self.calls.runtime.db()
    }

    /// Serves on `listener` until `stop` ends, then drains:
    ///
    /// `/readyz` answers 503 and new mutations are refused; mutations under way finish; sockets are closed with 1001 and
    /// change feeds end; connections finish what they are at; the database is closed. What is not done in the time of
    /// [`Limits::drain`] is cut off.
    ///
    /// # Errors
    /// `internal` where the listener fails.
    pub async fn serve(self, listener: TcpListener, stop: impl Future<Output = ()> + Send) -> Result<()> {
        let finish = watch::Sender::new(false);
        let (front, limits) = (self.front(), self.calls.limits.clone());
        let mut serving = tokio::spawn(connections::serve(listener, front, limits, finish.subscribe()));
        tokio::select! {
            ended = &mut serving => {
                let error = Error::internal(format!("the listener ended: {ended:?}"));
                self.drain(Instant::now() + self.calls.limits.drain).await;
                return Err(error);
            }
            () = stop => {}
        }
        tracing::info!("stopping");
        let deadline = Instant::now() + self.calls.limits.drain;
        self.draining.send_replace(true);
        sleep(NOTICE.min(self.calls.limits.drain)).await;
        if timeout_at(deadline, self.idle()).await.is_err() {
            tracing::warn!("mutations and jobs that are still under way are cut off");
        }
        self.calls.hub.shut_down();
        finish.send_replace(true);
        if timeout_at(deadline, &mut serving).await.is_err() {
            tracing::warn!("connections that are still open are cut off");
            serving.abort();
        }
        self.drain(deadline).await;
        tracing::info!("stopped");
        Ok(())
    }

    /// Ends live queries, sockets and the database, within the time of [`Limits::drain`]. For servers that were used
    /// through [`Server::router`].
    pub async fn shut_down(&self) {
        let deadline = Instant::now() + self.calls.limits.drain;
        self.draining.send_replace(true);
        let _ = timeout_at(deadline, self.idle()).await;
        self.drain(deadline).await;
    }

    /// Waits until no mutation is under way and no job runs; none is begun any more.
    async fn idle(&self) {
        let jobs = async {
            if let Some(jobs) = &self.jobs {
                jobs.stop().await;
            }
        };
        tokio::join!(self.calls.idle(), jobs);
    }

    async fn drain(&self, deadline: Instant) {
        self.calls.hub.shut_down();
        while self.calls.hub.open_sockets() > 0 && Instant::now() < deadline {
            sleep(POLL).await;
        }
        // Whoever closes a database with an open feed leaves its cursor behind on the server.
        if timeout_at(deadline, self.calls.hub.ended()).await.is_err() {
            tracing::warn!("live queries that are still open are cut off");
        }
        let databases = std::iter::once(self.db()).chain(self.calls.runtime.clusters());
        let closing = join_all(databases.map(|db| db.adapter().close()));
        let _ = timeout_at(deadline.max(Instant::now() + POLL), closing).await;
    }
}

/// Deletes documents whose time is over, until the server stops.
async fn purge(runtime: Runtime, mut draining: watch::Receiver<bool>) {
    loop {
        tokio::select! {
            _ = draining.wait_for(|draining| *draining) => return,
            () = sleep(PURGE) => {}
        }
        for db in std::iter::once(runtime.db()).chain(runtime.clusters()) {
            if let Err(error) = db.adapter().purge_expired(db.env().now()).await {
                tracing::warn!(%error, database = db.name(), "documents whose time is over could not be deleted");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use super::*;
    use crate::testing::{FakeAdapter, server};

    #[tokio::test(start_paused = true)]
    async fn documents_whose_time_is_over_go_without_a_write_until_the_server_stops() {
        let adapter = Arc::new(FakeAdapter::default());
        let server = server(adapter.clone(), Limits::default());
        sleep(PURGE * 3 + POLL).await;
        assert_eq!(adapter.purges.load(Ordering::SeqCst), 3);
        server.shut_down().await;
        sleep(PURGE * 3).await;
        assert_eq!(adapter.purges.load(Ordering::SeqCst), 3);
    }
}
