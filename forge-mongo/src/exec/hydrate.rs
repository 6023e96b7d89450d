//! Documents with their relations: one command for each relation level, whatever the options.

use std::collections::HashMap;

use bson::{Bson, RawDocumentBuf};
use forge_core::ir::{Filter, Include, Included, Path, Predicate, Projection, Rows, Select};
use forge_core::model::{ModelRef, RelationDef, RelationKind};
use forge_core::{Error, Result};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::keys::{Key, owned, values_at};
use super::relations::visible;
use super::run::Run;
use crate::compile::{self, PerParent, is_inside};

/// Keys in one command: some 2 MB of ids. Only levels with more parents than this take another command.
const KEYS_PER_COMMAND: usize = 100_000;

impl Run<'_> {
    /// The documents that `select` asks for, with everything it includes.
    pub(super) async fn rows(&self, mut select: Select) -> Result<Rows> {
        select.filter = self.resolve(select.filter).await?;
        add_join_keys(&mut select.projection, local_keys(select.model, &select.include));
        self.record(&select.model, &select.filter);
        let documents = self.documents(&compile::select(&select)?).await?;
        let included = self.hydrate(select.model, &documents, &select.include).await?;
        Ok(Rows { documents, included })
    }

    fn hydrate<'f>(
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
        let join = Join::of(parents, relation.local())?;
        let documents = self.children(relation, &join, &include.select).await?;
        let groups = join.groups(&documents, relation)?;
        let included = self.hydrate(include.select.model, &documents, &include.select.include).await?;
        Ok(Included { relation: include.relation, rows: Rows { documents, included }, groups, counts: None })
    }

    async fn children(
        &self,
        relation: &RelationDef,
        join: &Join<'_>,
        wanted: &Select,
    ) -> Result<Vec<RawDocumentBuf>> {
        if join.values.is_empty() {
            return Ok(Vec::new());
        }
        let mut filter = self.resolve(wanted.filter.clone()).await?;
        if !wanted.with_deleted {
            filter = visible(&wanted.model, filter);
        }
        let mut projection = wanted.projection.clone();
        add_join_keys(&mut projection, local_keys(wanted.model, &wanted.include).chain([relation.foreign]));
        let mut documents = Vec::new();
        for keys in join.values.chunks(KEYS_PER_COMMAND) {
            let ours = Filter::Field(relation.foreign.into(), Predicate::In(keys.to_vec()));
            let select = Select {
                filter: ours.and(filter.clone()),
                sort: wanted.sort.clone(),
                projection: projection.clone(),
                options: wanted.options.clone(),
                ..Select::new(wanted.model)
            };
            self.record(&select.model, &select.filter);
            let artifact = match window(relation, wanted) {
                Some(per_parent) => compile::select_per_parent(&select, per_parent)?,
                None => compile::select(&select)?,
            };
            let found = self.documents(&artifact).await?;
            if documents.is_empty() { documents = found } else { documents.extend(found) }
        }
        Ok(documents)
    }
}

/// The limits that have to be kept per parent by the server.
fn window<'a>(relation: &'a RelationDef, wanted: &Select) -> Option<PerParent<'a>> {
    let (key, skip) = (relation.foreign, wanted.skip.unwrap_or(0));
    let limit = match relation.kind {
        // Of several documents where one was meant, the first in order is the one.
        RelationKind::HasOne if !wanted.sort.is_empty() => Some(wanted.limit.unwrap_or(1).min(1)),
        _ => wanted.limit,
    };
    let unique = relation.kind == RelationKind::BelongsTo && skip == 0 && limit != Some(0);
    if unique || (limit.is_none() && skip == 0) { None } else { Some(PerParent { key, skip, limit }) }
}

fn relation_of(parent: ModelRef, include: &Include) -> Result<&'static RelationDef> {
    let relation = parent.0.relations.get(include.relation);
    relation.filter(|relation| ModelRef((relation.target)()) == include.select.model).ok_or_else(|| {
        let target = include.select.model.name;
        Error::internal(format!("{} has no relation number {} to {target}", parent.name, include.relation))
    })
}

/// The paths on the documents of `model` that its includes join by.
fn local_keys(model: ModelRef, include: &[Include]) -> impl Iterator<Item = &'static str> {
    let relations = model.0.relations;
    include.iter().filter_map(move |include| relations.get(include.relation).map(RelationDef::local))
}

/// Widens a projection that would lose one of `keys`.
fn add_join_keys(projection: &mut Projection, keys: impl Iterator<Item = &'static str>) {
    let Projection::Only(paths) = projection else { return };
    for key in keys {
        let kept = key == "_id" || paths.iter().any(|path| path == key || is_inside(key, path));
        if !kept {
            paths.push(Path::Borrowed(key));
        }
    }
}

/// The keys of the parents of one level.
struct Join<'a> {
    /// Key → its position in `values`.
    positions: HashMap<Key<'a>, u32>,
    /// The distinct keys.
    values: Vec<Bson>,
    /// The key of each parent, or none.
    first: Vec<Option<u32>>,
    /// Parent and key, for parents with several keys: all but the first.
    more: Vec<(usize, u32)>,
}

impl<'a> Join<'a> {
    fn of(parents: &'a [RawDocumentBuf], path: &str) -> Result<Self> {
        let mut join = Self {
            positions: HashMap::with_capacity(parents.len()),
            values: Vec::new(),
            first: Vec::with_capacity(parents.len()),
            more: Vec::new(),
        };
        let mut raw = Vec::with_capacity(parents.len());
        for (at, parent) in parents.iter().enumerate() {
            join.first.push(None);
            values_at(parent, path, &mut |value| {
                let Some(key) = Key::of_raw(value) else { return };
                let next = raw.len() as u32;
                let position = *join.positions.entry(key).or_insert(next);
                if position == next {
                    raw.push(value);
                }
                match &mut join.first[at] {
                    Some(_) => join.more.push((at, position)),
                    none => *none = Some(position),
                }
            })?;
        }
        join.values = raw.into_iter().map(owned).collect::<Result<_>>()?;
        Ok(join)
    }

    /// For each parent, the positions of its own among `children`.
    fn groups(&self, children: &[RawDocumentBuf], relation: &RelationDef) -> Result<Vec<Vec<u32>>> {
        let mut by_key = vec![Vec::new(); self.values.len()];
        for (at, child) in children.iter().enumerate() {
            values_at(child, relation.foreign, &mut |value| {
                if let Some(position) = Key::of_raw(value).and_then(|key| self.positions.get(&key)) {
                    by_key[*position as usize].push(at as u32);
                }
            })?;
        }
        let shared = self.first.iter().flatten().count() + self.more.len() > self.values.len();
        let mut own = |key: u32| match &mut by_key[key as usize] {
            group if shared => group.clone(),
            group => std::mem::take(group),
        };
        let mut groups: Vec<Vec<u32>> =
            self.first.iter().map(|key| key.map_or_else(Vec::new, &mut own)).collect();
        for (parent, key) in &self.more {
            groups[*parent].extend(own(*key));
        }
        if relation.kind == RelationKind::HasOne {
            groups.iter_mut().for_each(|group| group.truncate(1));
        }
        Ok(groups)
    }
}
