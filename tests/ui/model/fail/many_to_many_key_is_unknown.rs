use forge::prelude::*;

#[derive(Debug, Clone, Model)]
struct Enrolment {
    #[model(id)]
    id: i64,
    student_id: String,
    course_id: i64,
}

#[derive(Debug, Clone, Model)]
struct Student {
    #[model(id)]
    id: i64,
    #[model(many_to_many(through = Enrolment, key = student_id, other = curse_id))]
    courses: HasMany<Student>,
}

fn main() {}
