//! Models that belong to tenants.

#![allow(missing_docs, reason = "names of test models say what they are")]

use forge::prelude::*;

#[derive(Debug, Clone, PartialEq, Model)]
#[model(collection = "projects", timestamps, soft_delete, pre_images)]
pub struct Project {
    #[model(id)]
    pub id: Id<Project>,
    #[model(tenant_key)]
    pub org: String,
    #[model(unique)]
    pub name: String,
    #[model(unique)]
    pub slug: Option<String>,
    #[model(default)]
    pub points: i32,
    #[model(has_many(key = project_id))]
    pub tasks: HasMany<Task>,
}

#[derive(Debug, Clone, PartialEq, Model)]
#[model(collection = "tasks", pre_images)]
pub struct Task {
    #[model(id)]
    pub id: Id<Task>,
    #[model(tenant_key)]
    pub org: String,
    pub title: String,
    #[model(default)]
    pub points: i32,
    pub project_id: Id<Project>,
    #[model(belongs_to(key = project_id, on_delete = cascade))]
    pub project: BelongsTo<Project>,
    #[model(has_many(key = task_id))]
    pub comments: HasMany<Comment>,
}

/// Belongs to nobody in particular: what refers to it must stay apart all the same.
#[derive(Debug, Clone, PartialEq, Model)]
#[model(collection = "comments")]
pub struct Comment {
    #[model(id)]
    pub id: Id<Comment>,
    pub text: String,
    pub task_id: Id<Task>,
    #[model(belongs_to(key = task_id, on_delete = cascade))]
    pub task: BelongsTo<Task>,
}

/// A stored view that each tenant refreshes for itself.
#[derive(Debug, Clone, PartialEq, Model)]
#[model(collection = "standings", view(source = Project, pipeline = standings, materialized = merge))]
pub struct Standing {
    #[model(id)]
    pub id: Id<Standing>,
    #[model(tenant_key)]
    pub org: String,
    pub points: i32,
}

/// A stored view that is replaced as a whole.
#[derive(Debug, Clone, PartialEq, Model)]
#[model(collection = "all_standings", view(source = Project, pipeline = standings, materialized))]
pub struct AllStanding {
    #[model(id)]
    pub id: Id<AllStanding>,
    #[model(tenant_key)]
    pub org: String,
    pub points: i32,
}

fn standings() -> impl forge::query::pipeline::Stages {
    forge::query::pipeline::of::<Project>()
        .project(|p| [p.id.named("_id"), p.org.named("org"), p.points.named("points")])
}

/// A project with nothing but what is required.
pub fn project(name: &str) -> NewProject {
    NewProject { id: None, org: None, name: name.to_owned(), slug: None, points: None }
}

/// A task with nothing but what is required.
pub fn task(project: Id<Project>, title: &str) -> NewTask {
    NewTask { id: None, org: None, title: title.to_owned(), points: None, project_id: project }
}
