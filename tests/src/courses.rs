//! Models with lists of references, a model between two others, and projections of them.

#![allow(missing_docs, reason = "names of test models say what they are")]

use forge::prelude::*;

/// Holds the ids of its tags; those of deleted tags are taken out of the list.
#[derive(Debug, Clone, PartialEq, Model)]
#[model(collection = "memos")]
pub struct Memo {
    #[model(id)]
    pub id: i64,
    pub title: String,
    #[model(private)]
    pub secret: Option<String>,
    #[model(default)]
    pub tag_ids: Vec<i64>,
    #[model(embed)]
    pub place: Option<Place>,
    #[model(references_many(key = tag_ids, on_delete = set_null))]
    pub tags: HasMany<Tag>,
}

#[derive(Debug, Clone, PartialEq, Embed)]
pub struct Place {
    pub room: String,
    pub shelf: Option<i32>,
}

#[derive(Debug, Clone, PartialEq, Model)]
#[model(collection = "tags", soft_delete)]
pub struct Tag {
    #[model(id)]
    pub id: i64,
    pub name: String,
    pub weight: Option<i32>,
}

#[derive(Debug, Clone, PartialEq, Model)]
#[model(collection = "students")]
pub struct Student {
    #[model(id)]
    pub id: i64,
    pub name: String,
    #[model(many_to_many(through = Enrolment, key = student_id, other = course_id))]
    pub courses: HasMany<Course>,
    #[model(has_many(key = student_id))]
    pub enrolments: HasMany<Enrolment>,
}

#[derive(Debug, Clone, PartialEq, Model)]
#[model(collection = "courses")]
pub struct Course {
    #[model(id)]
    pub id: String,
    pub hours: i32,
    #[model(many_to_many(through = Enrolment, key = course_id, other = student_id))]
    pub students: HasMany<Student>,
}

/// Links a student with a course.
#[derive(Debug, Clone, PartialEq, Model)]
#[model(collection = "enrolments", soft_delete)]
pub struct Enrolment {
    #[model(id)]
    pub id: i64,
    pub student_id: i64,
    pub course_id: String,
    pub grade: Option<i32>,
    #[model(belongs_to(key = student_id, on_delete = cascade))]
    pub student: BelongsTo<Student>,
    #[model(belongs_to(key = course_id, on_delete = cascade))]
    pub course: BelongsTo<Course>,
}

/// Its binders go with it, and come back with it.
#[derive(Debug, Clone, PartialEq, Model)]
#[model(collection = "drawers", soft_delete)]
pub struct Drawer {
    #[model(id)]
    pub id: i64,
}

#[derive(Debug, Clone, PartialEq, Model)]
#[model(collection = "binders", timestamps, soft_delete)]
pub struct Binder {
    #[model(id)]
    pub id: i64,
    pub drawer_id: i64,
    #[model(belongs_to(key = drawer_id, on_delete = cascade))]
    pub drawer: BelongsTo<Drawer>,
}

#[derive(Debug, Clone, PartialEq, Model)]
#[model(collection = "sheets", soft_delete)]
pub struct Sheet {
    #[model(id)]
    pub id: i64,
    pub binder_id: i64,
    #[model(belongs_to(key = binder_id, on_delete = cascade))]
    pub binder: BelongsTo<Binder>,
}

/// A part of a note.
#[derive(Debug, Clone, PartialEq, Projection)]
#[projection(model = Memo)]
#[serde(rename_all = "camelCase")]
pub struct NoteCard {
    pub id: i64,
    /// What it is called.
    pub title: String,
    pub secret: Option<String>,
    #[projection(path = place.room)]
    pub room_name: Option<String>,
    pub tags: Vec<TagName>,
    #[projection(count = tags)]
    pub tag_count: u64,
}

#[derive(Debug, Clone, PartialEq, Projection)]
#[projection(model = Tag)]
pub struct TagName {
    pub name: String,
}

#[derive(Debug, Clone, PartialEq, Projection)]
#[projection(model = Enrolment)]
pub struct EnrolmentCard {
    pub grade: Option<i32>,
    pub student: Option<Student>,
    pub course: Option<CourseCard>,
}

#[derive(Debug, Clone, PartialEq, Projection)]
#[projection(model = Course)]
pub struct CourseCard {
    #[serde(rename = "name")]
    pub id: String,
    #[projection(count = students)]
    pub students: u64,
}
