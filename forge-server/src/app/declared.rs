//! What a program says about its services.

use std::sync::Arc;

use super::{App, Platform};
use crate::services::{Audience, Channels, Connection, Event, Hooks, Service};

impl<P: Platform> App<P> {
    /// Adds a service: find, get, create, update, patch and remove by REST, at `/services/{path}`.
    ///
    /// ```ignore
    /// App::new().service(Service::<Person>::new().path("people").paginate(Paginate::new(10).max(50)))
    /// ```
    #[must_use]
    pub fn service<M>(mut self, service: Service<M>) -> Self {
        self.declared.drafts.push(service.into());
        self
    }

    /// Adds the service of every model that has `#[model(service(…))]`. One whose path another service of the program has
    /// is left out: start from `Service::<Person>::declared()` to add hooks, methods or publishers to it.
    #[must_use]
    pub fn model_services(mut self) -> Self {
        self.declared.of_models = true;
        self
    }

    /// Where services answer, in place of `/services`: `"/"` is the root, where Forge's own routes come first.
    #[must_use]
    pub fn services_at(mut self, path: impl Into<String>) -> Self {
        self.declared.at = path.into();
        self
    }

    /// What runs before, after and around the methods of every service, outside of their own hooks. Those of a later call
    /// run inside of those of an earlier one.
    #[must_use]
    pub fn service_hooks(mut self, hooks: Hooks) -> Self {
        self.declared.hooks = hooks.within(&self.declared.hooks);
        self
    }

    /// What happens when a socket is opened, and when its caller becomes another: to put it into channels. A connection
    /// whose caller changes has left its channels before. Several are called in the order in which they are given.
    ///
    /// ```ignore
    /// App::new().on_connection(|connection, channels| channels.channel("everybody").join(connection))
    /// ```
    #[must_use]
    pub fn on_connection(mut self, run: impl Fn(&Connection, &Channels) + Send + Sync + 'static) -> Self {
        self.declared.realtime.on_connection.push(Arc::new(run));
        self
    }

    /// What happens after [`on_connection`](App::on_connection) where the caller is known, be it from the start or by
    /// signing in later.
    #[must_use]
    pub fn on_login(mut self, run: impl Fn(&Connection, &Channels) + Send + Sync + 'static) -> Self {
        self.declared.realtime.on_login.push(Arc::new(run));
        self
    }

    /// Who hears of events of services that have no publisher of their own for them. Without any publisher nobody does.
    ///
    /// ```ignore
    /// App::new().publish(|_event, channels| channels.channel("everybody"))
    /// ```
    #[must_use]
    pub fn publish<A: Into<Audience>>(
        mut self,
        publisher: impl Fn(&Event, &Channels) -> A + Send + Sync + 'static,
    ) -> Self {
        self.declared.realtime.publishers.add(None, publisher);
        self
    }

    /// Who hears of one event of services that have no publisher of their own for it.
    #[must_use]
    pub fn publish_event<A: Into<Audience>>(
        mut self,
        event: &str,
        publisher: impl Fn(&Event, &Channels) -> A + Send + Sync + 'static,
    ) -> Self {
        self.declared.realtime.publishers.add(Some(event), publisher);
        self
    }

    /// The channels of the program: to send to them from outside of calls, ask who is there, or move connections.
    pub fn channels(&self) -> Channels {
        self.declared.realtime.channels.clone()
    }
}
