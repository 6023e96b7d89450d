//! From commits to typed changes: which are meant, and what they say.

use std::sync::Arc;

use bson::RawDocumentBuf;
use futures_core::stream::BoxStream;
use futures_util::StreamExt;

use super::event::typed;
use super::{Change, Watch};
use crate::adapter::{ChangeEvent, ChangeKind, Commit, ResumeToken, WatchOptions};
use crate::error::{Error, Result};
use crate::ir::Filter;
use crate::matcher::Matcher;
use crate::tenant::TenantScope;
use crate::traits::Model;

/// What one commit changed of what is watched.
pub(super) struct Batch<M: Model> {
    /// The place after it.
    pub(super) token: ResumeToken,
    /// The changes; the last has the token.
    pub(super) changes: Vec<Result<Change<M>>>,
}

/// An open feed with what is wanted of it.
pub(super) struct Source<M> {
    feed: BoxStream<'static, Result<Commit>>,
    collection: &'static str,
    /// None: everything.
    wanted: Option<Matcher>,
    /// What the policy lets the caller see; none: everything.
    readable: Option<Matcher>,
    /// Whether the stream is for one tenant.
    one_tenant: bool,
    lenient: bool,
    _model: std::marker::PhantomData<fn() -> M>,
}

impl<M: Model> Source<M> {
    pub(super) async fn open(watch: &Watch<M>, progress: bool) -> Result<Self> {
        if let Some(error) = &watch.error {
            return Err(Error::new(error.code(), error.message().to_owned()));
        }
        let (model, exec) = (M::def(), &watch.handle.exec);
        let tenant = exec.tenant.condition(model)?;
        let one_tenant = tenant != Filter::All;
        let adapter = &watch.handle.shared.adapter;
        let capabilities = adapter.capabilities();
        let told_apart = capabilities.always_pre_images || (capabilities.pre_images && model.pre_images);
        if one_tenant && !told_apart && matches!(exec.tenant, TenantScope::One(_)) {
            let name = model.name;
            return Err(Error::unsupported(format!(
                "the deletes of one tenant's {name} cannot be told from others': add #[model(pre_images)] to {name} and \
                 push, on MongoDB 6.0 or newer"
            )));
        }
        let readable = exec.policy.readable(model)?;
        if readable.is_some() && !told_apart {
            let name = model.name;
            return Err(Error::unsupported(format!(
                "which {name} a caller may see the end of cannot be told: add #[model(pre_images)] to {name} and push, on \
                 MongoDB 6.0 or newer, or use db.without_policies()"
            )));
        }
        let filter = tenant.and(watch.filter.clone());
        if filter.has_relations() || readable.as_ref().is_some_and(Filter::has_relations) {
            return Err(Error::unsupported(
                "a change stream is filtered by the model's own fields, not by its relations",
            ));
        }
        let options = WatchOptions {
            resume: watch.resume.clone(),
            start_at: watch.start_at,
            collections: vec![Arc::from(model.collection)],
            progress,
        };
        let readable = readable.as_ref().map(Matcher::new).transpose()?;
        let wanted = if filter == Filter::All { None } else { Some(Matcher::new(&filter)?) };
        let feed = adapter.watch_with(watch.handle.database(), options).await?;
        let _model = std::marker::PhantomData;
        Ok(Self {
            feed,
            collection: model.collection,
            wanted,
            readable,
            one_tenant,
            lenient: watch.lenient,
            _model,
        })
    }

    /// The next commit, of interest or not.
    pub(super) async fn next(&mut self) -> Option<Result<Batch<M>>> {
        let commit = match self.feed.next().await? {
            Ok(commit) => commit,
            Err(error) => return Some(Err(error)),
        };
        let Commit { version, token, changes } = commit;
        let mut changes: Vec<_> =
            changes.into_iter().filter_map(|event| self.change(version, event).transpose()).collect();
        if let Some(Ok(last)) = changes.last_mut() {
            last.token = Some(token.clone());
        }
        Some(Ok(Batch { token, changes }))
    }

    /// The change as the caller may see it: what leaves their view is gone, and what enters it has no past.
    fn narrowed(&self, mut event: ChangeEvent) -> Option<ChangeEvent> {
        let Some(readable) = &self.readable else { return Some(event) };
        if event.kind == ChangeKind::Drop {
            return Some(event);
        }
        let seen = |state: &mut Option<RawDocumentBuf>| {
            *state = state.take().filter(|document| readable.matches(document));
            state.is_some()
        };
        let (was, is) = (seen(&mut event.before), seen(&mut event.after));
        if !is {
            event.updated = None;
            event.touched = None;
            event.kind = ChangeKind::Delete;
        }
        (was || is).then_some(event)
    }

    fn change(&self, version: u64, event: ChangeEvent) -> Result<Option<Change<M>>> {
        if &*event.collection != self.collection {
            return Ok(None);
        }
        if self.one_tenant && event.kind == ChangeKind::Delete && event.before.is_none() {
            let name = M::def().name;
            return Err(Error::unsupported(format!(
                "a {name} was deleted that cannot be told to be this tenant's or another's: run push, so that the \
                 database keeps documents as they were"
            )));
        }
        let Some(event) = self.narrowed(event) else { return Ok(None) };
        let (mut before, mut now) = (None, None);
        match &self.wanted {
            Some(wanted) if !wanted.affected_by(&event) => return Ok(None),
            Some(wanted) => {
                before = event.before.as_deref().map(|document| wanted.matches(document));
                now = event.after.as_deref().map(|document| wanted.matches(document));
            }
            None => {
                before = before.or(Some(true));
                now = now.or(Some(true));
            }
        }
        match event.kind {
            ChangeKind::Insert => before = Some(false),
            ChangeKind::Delete | ChangeKind::Drop => now = Some(false),
            _ => {}
        }
        match typed(event) {
            Ok(event) => {
                Ok(Some(Change { event, version, token: None, matched_before: before, matches_now: now }))
            }
            Err(error) if self.lenient => {
                tracing::warn!(%error, "a change is passed over");
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}
