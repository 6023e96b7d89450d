//! Every model and handler of the program, collected at link time, with the checks that no macro can make.

use std::collections::BTreeMap;

use crate::error::{Error, Result};
use crate::model::{ModelDef, OnDelete, RelationDef, RelationKind, ThroughDef};
use crate::schema::{check_indexes, check_shard_key, check_view};

/// A model's registration, submitted by `derive(Model)`.
#[doc(hidden)]
pub struct Registered(pub &'static ModelDef);

inventory::collect!(Registered);

/// Every model that is linked into the program.
///
/// Models of a library crate are linked only if the program names the crate: `use my_models as _;`.
pub fn registered_models() -> impl Iterator<Item = &'static ModelDef> {
    inventory::iter::<Registered>.into_iter().map(|registered| registered.0)
}

/// The models of a program, checked against each other.
#[derive(Debug, Clone)]
pub struct Catalog {
    models: Vec<&'static ModelDef>,
    referrers: BTreeMap<&'static str, Vec<Referrer>>,
    tenants: bool,
    policies: bool,
}

/// A `belongs_to` or `references_many` that points at a model.
#[derive(Debug, Clone, Copy)]
pub struct Referrer {
    /// The model that holds the key.
    pub model: &'static ModelDef,
    /// Its relation.
    pub relation: &'static RelationDef,
}

impl Catalog {
    /// The models that are linked into the program.
    ///
    /// # Errors
    /// As [`Catalog::new`].
    pub fn collect() -> Result<Self> {
        Self::new(registered_models())
    }

    /// These models, in the order of their names.
    ///
    /// # Errors
    /// [`ErrorCode::Internal`](crate::ErrorCode::Internal) with every defect found, a line each: two models of one name
    /// or one collection, a relation to a model that is not among them, a key that no field has, `set_null` on a key
    /// that cannot be null, an index or a shard key over a path that no field has, a view of itself.
    pub fn new(models: impl IntoIterator<Item = &'static ModelDef>) -> Result<Self> {
        let mut models: Vec<_> = models.into_iter().collect();
        models.sort_by_key(|model| model.name);
        let mut problems = Vec::new();
        check_names(&models, &mut problems);
        for model in &models {
            check_relations(model, &models, &mut problems);
            check_indexes(model, &mut problems);
            check_shard_key(model, &mut problems);
            check_view(model, &models, &mut problems);
        }
        if !problems.is_empty() {
            return Err(Error::internal(format!(
                "the models do not fit together:\n  - {}",
                problems.join("\n  - ")
            )));
        }
        let mut referrers: BTreeMap<_, Vec<_>> = BTreeMap::new();
        // What a view shows goes with its source.
        for model in models.iter().filter(|model| model.view.is_none()) {
            for relation in model.relations.iter().filter(|relation| relation.holds_key()) {
                referrers.entry((relation.target)().name).or_default().push(Referrer { model, relation });
            }
        }
        let tenants = models.iter().any(|model| model.tenant.is_some());
        let policies = models.iter().any(|model| model.policy.is_some());
        Ok(Self { models, referrers, tenants, policies })
    }

    /// The models, in the order of their names.
    pub fn models(&self) -> &[&'static ModelDef] {
        &self.models
    }

    /// The model with this Rust name.
    pub fn model(&self, name: &str) -> Option<&'static ModelDef> {
        self.models.iter().copied().find(|model| model.name == name)
    }

    /// The model whose documents are in `collection`.
    pub fn by_collection(&self, collection: &str) -> Option<&'static ModelDef> {
        self.models.iter().copied().find(|model| model.collection == collection)
    }

    /// Whether any model belongs to tenants.
    pub fn has_tenants(&self) -> bool {
        self.tenants
    }

    /// Whether any model has a policy.
    pub fn has_policies(&self) -> bool {
        self.policies
    }

    /// Every `belongs_to` and `references_many` that points at `model`.
    pub fn referrers(&self, model: &ModelDef) -> &[Referrer] {
        self.referrers.get(model.name).map_or(&[], Vec::as_slice)
    }
}

fn check_names(models: &[&'static ModelDef], problems: &mut Vec<String>) {
    for (i, model) in models.iter().enumerate() {
        for other in &models[i + 1..] {
            if model.name == other.name {
                problems.push(format!("two models are named {}; rename one", model.name));
            }
            if model.collection == other.collection {
                problems.push(format!(
                    "{} and {} both use the collection {:?}; give one of them another #[model(collection = …)]",
                    model.name, other.name, model.collection
                ));
            }
        }
    }
}

fn check_relations(model: &'static ModelDef, models: &[&'static ModelDef], problems: &mut Vec<String>) {
    for relation in model.relations {
        let (name, target) = (format!("{}.{}", model.name, relation.name), (relation.target)());
        if !models.iter().any(|candidate| std::ptr::eq(*candidate, target)) {
            problems.push(format!(
                "the relation {name} leads to {}, which is not among the models of this program; if it is in a library \
                 crate, name the crate in the binary (`use that_crate as _;`)",
                target.name
            ));
        }
        let (holder, key) = match relation.kind {
            RelationKind::BelongsTo | RelationKind::ReferencesMany => (model, relation.local()),
            RelationKind::HasOne | RelationKind::HasMany => (target, relation.foreign),
            RelationKind::ManyToMany => {
                check_through(&name, relation, models, problems);
                continue;
            }
        };
        let Some(field) = holder.stored_field(key) else {
            problems.push(format!(
                "the relation {name} uses the key {key:?}, which {} does not have",
                holder.name
            ));
            continue;
        };
        // An id is taken out of a list; the list stays.
        let needs_null = relation.kind == RelationKind::BelongsTo && relation.on_delete == OnDelete::SetNull;
        if needs_null && !field.optional {
            problems.push(format!(
                "the relation {name} is on_delete = set_null, but its key {} is not an Option",
                field.name
            ));
        }
    }
}

fn check_through(
    name: &str,
    relation: &RelationDef,
    models: &[&'static ModelDef],
    problems: &mut Vec<String>,
) {
    let Some(ThroughDef { model, local, foreign }) = relation.through else {
        problems.push(format!("the relation {name} is many_to_many and leads through no model"));
        return;
    };
    let through = model();
    if !models.iter().any(|candidate| std::ptr::eq(*candidate, through)) {
        problems.push(format!(
            "the relation {name} leads through {}, which is not among the models of this program; if it is in a \
             library crate, name the crate in the binary (`use that_crate as _;`)",
            through.name
        ));
    }
    for key in [local, foreign] {
        if through.stored_field(key).is_none() {
            problems.push(format!(
                "the relation {name} uses the key {key:?}, which {} does not have",
                through.name
            ));
        }
    }
}
