use forge::prelude::*;

#[derive(Debug, Clone, Model)]
struct Student {
    #[model(id)]
    id: i64,
    #[model(many_to_many(through = "Enrolment", key = student_id, on_delete = cascade))]
    courses: HasMany<Student>,
    #[model(many_to_many(key = student_id, otter = course_id))]
    others: BelongsTo<Student>,
}

fn main() {}
