//! What operators do with a database: push, refresh, examine, pull. The requests and the answers.

use std::fmt;
use std::sync::Arc;

use serde::Serialize;

/// What a push may do. The default changes nothing.
#[derive(Clone, Default)]
#[non_exhaustive]
pub struct PushSettings {
    /// Carry the plan out.
    pub apply: bool,
    /// Hide indexes that no model declares, and drop those that an earlier push has hidden.
    pub prune: bool,
    /// Shard the collections whose models have a shard key.
    pub shard: bool,
    /// Unique indexes, by name or as `collection.name`, that may be dropped and built anew although nothing checks their
    /// rule meanwhile.
    pub rebuild: Vec<String>,
    /// Is told of each step before it is carried out.
    pub progress: Option<Progress>,
}

/// See [`PushSettings::progress`].
pub type Progress = Arc<dyn Fn(&PushStep) + Send + Sync>;

impl PushSettings {
    /// Says what would be done.
    pub fn plan() -> Self {
        Self::default()
    }

    /// Does it.
    pub fn apply() -> Self {
        Self { apply: true, ..Self::default() }
    }

    /// Whether the unique index `name` of `collection` may be rebuilt.
    pub fn may_rebuild(&self, collection: &str, name: &str) -> bool {
        let is_it =
            |given: &String| given == name || given.strip_prefix(collection) == Some(&format!(".{name}"));
        self.rebuild.iter().any(is_it)
    }
}

impl fmt::Debug for PushSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { apply, prune, shard, rebuild, .. } = self;
        write!(f, "PushSettings {{ apply: {apply}, prune: {prune}, shard: {shard}, rebuild: {rebuild:?} }}")
    }
}

/// What `push` found and did.
#[derive(Debug, Clone, Default, Serialize)]
#[non_exhaustive]
pub struct PushPlan {
    /// One entry for each index and each other thing that is declared or found, in the order of the models.
    pub steps: Vec<PushStep>,
}

impl PushPlan {
    /// How many steps have this action.
    pub fn count(&self, action: PushAction) -> usize {
        self.steps.iter().filter(|step| step.action == action).count()
    }

    /// Whether everything is as declared.
    pub fn is_settled(&self) -> bool {
        self.steps.iter().all(|step| !step.action.changes() && step.action != PushAction::Conflict)
    }
}

/// One line of a [`PushPlan`].
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PushStep {
    /// The collection.
    pub collection: String,
    /// What the step is about.
    pub kind: PushKind,
    /// The name of the index; of other things what they are.
    pub index: String,
    /// What push does about it.
    pub action: PushAction,
    /// Why, where that is not obvious.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// What a step of a [`PushPlan`] is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum PushKind {
    /// An index.
    Index,
    /// An index of Atlas Search, or over vectors.
    SearchIndex,
    /// The `$jsonSchema` of a collection.
    Validator,
    /// A view.
    View,
    /// Whether change events carry documents as they were.
    PreImages,
    /// How a collection is sharded.
    ShardKey,
}

/// What push does about a part of the schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum PushAction {
    /// It is as declared.
    Keep,
    /// It is as declared, under another name, and serves as it is.
    Adopt,
    /// It is missing: create it.
    Create,
    /// It differs in what can be changed in place.
    Modify,
    /// It differs: drop and create it.
    Rebuild,
    /// It differs, and a rebuild would leave a unique rule unchecked meanwhile: left to a person.
    Conflict,
    /// The server has no such thing.
    Skip,
    /// It is there and not declared: left alone.
    Extra,
    /// It is there and not declared: hidden from queries, so that they show whether they miss it.
    Hide,
    /// It is there, not declared, and hidden since an earlier push: dropped.
    Drop,
}

impl PushAction {
    /// Whether it changes something.
    pub const fn changes(self) -> bool {
        matches!(self, Self::Create | Self::Modify | Self::Rebuild | Self::Hide | Self::Drop)
    }
}

/// Something that a person should know about a deployment.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// What it is about, as one word or two: `"indexes"`, `"clock"`.
    pub topic: String,
    /// What is the case, and where.
    pub message: String,
    /// What to do about it, where something should be done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advice: Option<String>,
}

/// How bad a [`Finding`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Good to know.
    Info,
    /// It works, and costs something.
    Warning,
    /// Something does not work.
    Error,
}

impl Finding {
    /// A finding without advice.
    pub fn new(severity: Severity, topic: &str, message: impl Into<String>) -> Self {
        Self { severity, topic: topic.to_owned(), message: message.into(), advice: None }
    }

    /// The same, with what to do.
    #[must_use]
    pub fn advise(mut self, advice: impl Into<String>) -> Self {
        self.advice = Some(advice.into());
        self
    }
}

/// Which part of a database [`Adapter::pull`](crate::adapter::Adapter::pull) looks at.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PullSettings {
    /// The most documents of a collection that are looked at.
    pub sample: u32,
    /// The collections; all of them where none is named.
    pub collections: Vec<String>,
}

impl Default for PullSettings {
    fn default() -> Self {
        Self { sample: 1_000, collections: Vec::new() }
    }
}

/// A Rust file that describes a part of a database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PulledFile {
    /// Its name, without a folder: `"flight.rs"`.
    pub name: String,
    /// What is in it.
    pub text: String,
}
