//! Documents with their relations: one command for each relation level, whatever the options; two where a model stands
//! between.

use bson::{Bson, RawDocumentBuf};
use forge_core::ir::{
    Filter, Include, Included, Outcome, Path, Predicate, Projection, ReadOptions, Rows, Select,
};
use forge_core::model::{ModelRef, RelationDef, RelationKind, ThroughDef};
use forge_core::{Error, Result, order};
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, ready};

use super::join::Join;
use super::relations::visible;
use super::run::Run;
use crate::artifact::MongoArtifact;
use crate::compile::{self, Joined, PerParent, is_inside};

/// Keys in one command: some 2 MB of ids. Only levels with more parents than this take another command.
const KEYS_PER_COMMAND: usize = 100_000;

/// Whether a select is one command without relations: the usual read.
pub(super) fn is_plain(select: &Select) -> bool {
    select.include.is_empty() && select.search.is_none() && !select.filter.has_relations()
}

impl<'a> Run<'a> {
    /// As [`rows`](Run::rows) of a [plain](is_plain) select. The command is compiled before there is a future: small
    /// futures are what a read that waits for a server costs.
    pub(super) fn plain_rows(self, select: &Select) -> BoxFuture<'a, Result<Outcome>> {
        match self.plain(select) {
            Ok(artifact) => {
                let artifact = Box::new(artifact);
                async move {
                    let documents = self.documents(artifact).await?;
                    Ok(Outcome::Rows(Rows { documents, included: Vec::new() }))
                }
                .boxed()
            }
            Err(error) => ready(Err(error)).boxed(),
        }
    }
}

impl Run<'_> {
    /// The documents that `select` asks for, with everything it includes.
    pub(super) async fn rows(&self, mut select: Select) -> Result<Rows> {
        let (artifact, recorded) = self.prepared(&mut select).await?;
        let documents = self.documents(artifact.into()).await?;
        if let Some(number) = recorded {
            self.narrow(number, &select, &documents);
        }
        // The usual read includes nothing: it does without the box that a recursion needs.
        let included = match select.include.as_slice() {
            [] => Vec::new(),
            includes => self.hydrate(select.model, &documents, includes).await?,
        };
        Ok(Rows { documents, included })
    }

    /// The command of a select that reads the keys to join by; recorded as read, under the number.
    pub(super) async fn prepared(&self, select: &mut Select) -> Result<(MongoArtifact, Option<usize>)> {
        add_join_keys(&mut select.projection, local_keys(select.model, &select.include));
        pass_on(&select.options, &mut select.include);
        self.reading(select).await
    }

    /// What `documents` include.
    pub(super) fn hydrate<'f>(
        &'f self,
        parent: ModelRef,
        documents: &'f [RawDocumentBuf],
        includes: &'f [Include],
    ) -> BoxFuture<'f, Result<Vec<Included>>> {
        async move {
            let mut levels = Vec::with_capacity(includes.len());
            for include in includes {
                levels.push(self.level(parent, documents, include).await?);
            }
            Ok(levels)
        }
        .boxed()
    }

    async fn level(
        &self,
        parent: ModelRef,
        parents: &[RawDocumentBuf],
        include: &Include,
    ) -> Result<Included> {
        let relation = relation_of(parent, include)?;
        let run = self.within(relation, include.count);
        let join = Join::of(parents, relation.local())?;
        match &relation.through {
            None => run.joined(relation, &join, include).await,
            Some(through) => {
                let links = run.links(&join, through, &include.select.options).await?;
                run.joined(relation, &join.through(&links, through)?, include).await
            }
        }
    }

    /// The documents that link the parents of `join` with others.
    async fn links(
        &self,
        join: &Join<'_>,
        through: &ThroughDef,
        options: &ReadOptions,
    ) -> Result<Vec<RawDocumentBuf>> {
        let model = ModelRef((through.model)());
        let mut links = Vec::new();
        for keys in join.values.chunks(KEYS_PER_COMMAND) {
            let ours = Filter::Field(through.local.into(), Predicate::In(keys.to_vec()));
            let select = Select {
                filter: visible(&model, ours),
                projection: Projection::Only(vec![through.local.into(), through.foreign.into()]),
                options: options.clone(),
                ..Select::new(model)
            };
            self.record(&model, &select.filter);
            links.extend(self.documents(compile::select(&select)?.into()).await?);
        }
        Ok(links)
    }

    async fn joined(&self, relation: &RelationDef, join: &Join<'_>, include: &Include) -> Result<Included> {
        if include.count {
            let counts = Some(self.counts(relation, join, &include.select).await?);
            let (rows, groups) = (Rows::default(), Vec::new());
            return Ok(Included { relation: include.relation, rows, groups, counts });
        }
        let select = &include.select;
        let mut documents = self.related(relation, join, select).await?;
        let mut groups = join.groups(&documents, relation.foreign)?;
        if relation.kind == RelationKind::HasOne {
            groups.iter_mut().for_each(|group| group.truncate(1));
        }
        if by_list(relation) {
            own_window(&mut documents, &mut groups, select);
        }
        let included = self.hydrate(select.model, &documents, &select.include).await?;
        Ok(Included { relation: include.relation, rows: Rows { documents, included }, groups, counts: None })
    }

    async fn related(
        &self,
        relation: &RelationDef,
        join: &Join<'_>,
        wanted: &Select,
    ) -> Result<Vec<RawDocumentBuf>> {
        if join.values.is_empty() || wanted.limit == Some(0) {
            return Ok(Vec::new());
        }
        let seen = self.seen(wanted).await?;
        let mut projection = wanted.projection.clone();
        add_join_keys(&mut projection, local_keys(wanted.model, &wanted.include).chain([relation.foreign]));
        // The documents of one parent of a list may come by several commands, and have one order.
        let mixed = by_list(relation) && !wanted.sort.is_empty() && join.values.len() > KEYS_PER_COMMAND;
        if let (true, Projection::Only(paths)) = (mixed, &mut projection) {
            paths.extend(wanted.sort.iter().map(|key| key.path.clone()));
        }
        let mut documents = Vec::new();
        for keys in join.values.chunks(KEYS_PER_COMMAND) {
            let ours = Filter::Field(relation.foreign.into(), Predicate::In(keys.to_vec()));
            let mut joined = seen.narrowed(ours);
            let select = Select {
                filter: joined.take_own(),
                sort: wanted.sort.clone(),
                projection: projection.clone(),
                options: wanted.options.clone(),
                ..Select::new(wanted.model)
            };
            self.record_under(&select.options, &select.model, &select.filter);
            let found = self.documents(of_level(select, &joined, window(relation, wanted))?.into()).await?;
            if documents.is_empty() { documents = found } else { documents.extend(found) }
        }
        if mixed {
            documents.sort_by(|a, b| order::compare_documents(&wanted.sort, a, b));
        }
        Ok(documents)
    }

    /// How many related documents each parent has. One command as well: the server counts where a key is on the other
    /// side; of lists the ids come, since only those that lead to a document count.
    async fn counts(&self, relation: &RelationDef, join: &Join<'_>, wanted: &Select) -> Result<Vec<u64>> {
        if by_list(relation) {
            let only = Select {
                filter: wanted.filter.clone(),
                projection: Projection::Only(Vec::new()),
                with_deleted: wanted.with_deleted,
                options: wanted.options.clone(),
                ..Select::new(wanted.model)
            };
            let documents = self.related(relation, join, &only).await?;
            let groups = join.groups(&documents, relation.foreign)?;
            return Ok(groups.iter().map(|group| group.len() as u64).collect());
        }
        let seen = match join.values.is_empty() {
            true => Joined { filter: Some(Filter::Nothing), ..Joined::default() },
            false => self.seen(wanted).await?,
        };
        let mut counts = Vec::new();
        for keys in join.values.chunks(KEYS_PER_COMMAND) {
            let ours = Filter::Field(relation.foreign.into(), Predicate::In(keys.to_vec()));
            let mut joined = seen.narrowed(ours);
            let own = joined.take_own();
            self.record_under(&wanted.options, &wanted.model, &own);
            let counted =
                |filter| compile::count_per_parent(&wanted.model, filter, relation.foreign, &wanted.options);
            let artifact = match joined.lookups.is_empty() {
                true => counted(&own)?,
                false => compile::after(&joined, counted(&Filter::All)?)?,
            };
            for document in self.documents(artifact.into()).await? {
                let count = document.get("n")?.and_then(order::as_f64).unwrap_or(0.0);
                let key = document.get("_id")?.map(Bson::try_from).transpose()?;
                counts.push((key.unwrap_or(Bson::Null), count as u64));
            }
        }
        Ok(join.sums(&counts))
    }

    /// The condition on the documents of a level, but for the keys of their parents.
    async fn seen(&self, wanted: &Select) -> Result<Joined> {
        let joined = self.under(&wanted.options).resolve_joined(wanted.filter.clone()).await?;
        let filter = joined.filter.unwrap_or(Filter::All);
        let filter = if wanted.with_deleted { filter } else { visible(&wanted.model, filter) };
        Ok(Joined { filter: Some(filter), ..joined })
    }
}

/// The command for the documents of one level.
fn of_level(select: Select, joined: &Joined, window: Option<PerParent<'_>>) -> Result<MongoArtifact> {
    match (window, joined.lookups.is_empty()) {
        (None, true) => compile::select(&select),
        (None, false) => compile::select_joined(&select, joined),
        (Some(per_parent), true) => compile::select_per_parent(&select, per_parent),
        (Some(per_parent), false) => {
            let all = Select { filter: Filter::All, ..select };
            compile::after(joined, compile::select_per_parent(&all, per_parent)?)
        }
    }
}

/// Whether a parent finds its documents by a list of keys, its own or that of a model between.
fn by_list(relation: &RelationDef) -> bool {
    matches!(relation.kind, RelationKind::ReferencesMany | RelationKind::ManyToMany)
}

/// The limits that have to be kept per parent by the server.
fn window<'a>(relation: &'a RelationDef, wanted: &Select) -> Option<PerParent<'a>> {
    let (key, skip) = (relation.foreign, wanted.skip.unwrap_or(0));
    let limit = match relation.kind {
        RelationKind::ReferencesMany | RelationKind::ManyToMany => return None,
        // Of several documents where one was meant, the first in order is the one.
        RelationKind::HasOne if !wanted.sort.is_empty() => Some(wanted.limit.unwrap_or(1).min(1)),
        _ => wanted.limit,
    };
    let unique = relation.kind == RelationKind::BelongsTo && skip == 0 && limit != Some(0);
    if unique || (limit.is_none() && skip == 0) { None } else { Some(PerParent { key, skip, limit }) }
}

/// Orders and cuts the documents of each parent that has a list of them: by the sort, or in the order of the list.
fn own_window(documents: &mut Vec<RawDocumentBuf>, groups: &mut [Vec<u32>], wanted: &Select) {
    if !wanted.sort.is_empty() {
        groups.iter_mut().for_each(|group| group.sort_unstable());
    }
    if wanted.skip.is_none() && wanted.limit.is_none() {
        return;
    }
    let bound = |n: Option<u64>, default| n.map_or(default, |n| usize::try_from(n).unwrap_or(usize::MAX));
    let (skip, limit) = (bound(wanted.skip, 0), bound(wanted.limit, usize::MAX));
    for group in groups.iter_mut() {
        group.drain(..skip.min(group.len()));
        group.truncate(limit);
    }
    keep_used(documents, groups);
}

/// Drops the documents that no parent has any more, so that nothing is included for them.
fn keep_used(documents: &mut Vec<RawDocumentBuf>, groups: &mut [Vec<u32>]) {
    let mut places = vec![None; documents.len()];
    groups.iter().flatten().for_each(|at| places[*at as usize] = Some(0));
    for (next, place) in (0..).zip(places.iter_mut().flatten()) {
        *place = next;
    }
    let mut at = 0;
    documents.retain(|_| {
        at += 1;
        places[at - 1].is_some()
    });
    for at in groups.iter_mut().flatten() {
        *at = places[*at as usize].unwrap_or(0);
    }
}

fn relation_of(parent: ModelRef, include: &Include) -> Result<&'static RelationDef> {
    let relation = parent.0.relations.get(include.relation);
    relation.filter(|relation| ModelRef((relation.target)()) == include.select.model).ok_or_else(|| {
        let target = include.select.model.name;
        Error::internal(format!("{} has no relation number {} to {target}", parent.name, include.relation))
    })
}

/// Gives includes at every depth the options of the read, but for the hint, which is for one collection.
fn pass_on(options: &ReadOptions, includes: &mut [Include]) {
    if options.is_default() || includes.is_empty() {
        return;
    }
    let options = options.for_related();
    for include in includes {
        if include.select.options.is_default() {
            include.select.options.clone_from(&options);
        }
        pass_on(&options, &mut include.select.include);
    }
}

/// The paths on the documents of `model` that its includes join by.
fn local_keys(model: ModelRef, include: &[Include]) -> impl Iterator<Item = &'static str> {
    let relations = model.0.relations;
    include.iter().filter_map(move |include| relations.get(include.relation).map(RelationDef::local))
}

/// Widens a projection that would lose one of `keys`.
fn add_join_keys(projection: &mut Projection, keys: impl Iterator<Item = &'static str>) {
    match projection {
        Projection::All => {}
        Projection::Except(paths) => keys.for_each(|key| {
            paths.retain(|path| path != key && !is_inside(key, path) && !is_inside(path, key));
        }),
        Projection::Only(paths) => {
            for key in keys {
                let kept = key == "_id" || paths.iter().any(|path| path == key || is_inside(key, path));
                if !kept {
                    paths.push(Path::Borrowed(key));
                }
            }
        }
    }
}
