//! Lists of references, and relations through a model.

use forge_tests::courses::{
    Course, Enrolment, Memo, NewCourse, NewEnrolment, NewMemo, NewStudent, NewTag, Student, Tag,
};
use forge_tests::{Fixture, Result, conformance};

async fn notes(t: &Fixture) -> Result<()> {
    for (id, name) in [(1, "red"), (2, "green"), (3, "blue"), (4, "gone")] {
        t.db.insert(NewTag { id, name: name.into(), weight: Some(id as i32) }).await?;
    }
    t.db.delete::<Tag>(4).await?;
    for (id, tags) in [(1, vec![3, 1, 3, 99]), (2, vec![2, 4]), (3, vec![]), (4, vec![1, 2, 3])] {
        let title = format!("n{id}");
        t.db.insert(NewMemo { id, title, secret: None, tag_ids: Some(tags), place: None }).await?;
    }
    t.driver.take();
    Ok(())
}

async fn enrol(t: &Fixture) -> Result<()> {
    t.db.insert_many(
        ["Ann", "Bob", "Cid"].into_iter().zip(1..).map(|(name, id)| NewStudent { id, name: name.into() }),
    )
    .await?;
    t.db.insert_many(
        [("art", 3), ("law", 1), ("zen", 2)].map(|(id, hours)| NewCourse { id: id.into(), hours }),
    )
    .await?;
    let links = [(1, 1, "zen"), (2, 1, "art"), (3, 2, "art"), (4, 1, "law"), (5, 2, "law")];
    t.db.insert_many(links.map(|(id, student_id, course)| NewEnrolment {
        id,
        student_id,
        course_id: course.into(),
        grade: None,
    }))
    .await?;
    t.db.delete::<Enrolment>(5).await?;
    t.driver.take();
    Ok(())
}

fn names(note: &Memo) -> Vec<&str> {
    note.tags.get().iter().map(|tag| tag.name.as_str()).collect()
}

fn ids(student: &Student) -> Vec<&str> {
    student.courses.get().iter().map(|course| course.id.as_str()).collect()
}

conformance! {
    async fn a_list_of_references_is_included_in_its_order_by_one_command(t) {
        notes(t).await?;
        let notes = t.db.find::<Memo>().sort(|n| n.id.asc()).include(|n| n.tags).await?;
        assert_eq!(t.driver.take().len(), 2);
        let found: Vec<_> = notes.iter().map(names).collect();
        assert_eq!(found, [vec!["blue", "red"], vec!["green"], vec![], vec!["red", "green", "blue"]]);
    }

    async fn a_list_of_references_takes_every_option_per_parent(t) {
        notes(t).await?;
        let find = || t.db.find::<Memo>().sort(|n| n.id.asc());
        let sorted = find().include(|n| n.tags.sort(|g| g.weight.desc()).limit(2)).await?;
        assert_eq!(sorted.iter().map(names).collect::<Vec<_>>(), [vec!["blue", "red"], vec!["green"], vec![], vec!["blue", "green"]]);
        let skipped = find().include(|n| n.tags.sort(|g| g.name.asc()).skip(1)).await?;
        assert_eq!(skipped.iter().map(names).collect::<Vec<_>>(), [vec!["red"], vec![], vec![], vec!["green", "red"]]);
        let filtered = find().include(|n| n.tags.filter(|g| g.weight.gt(1))).await?;
        assert_eq!(filtered.iter().map(names).collect::<Vec<_>>(), [vec!["blue"], vec!["green"], vec![], vec!["green", "blue"]]);
        let deleted = find().include(|n| n.tags.with_deleted()).await?;
        assert_eq!(names(&deleted[1]), ["green", "gone"]);
        t.driver.take();
        let none = find().include(|n| n.tags.limit(0)).await?;
        assert!(none.iter().all(|note| note.tags.is_loaded() && note.tags.get().is_empty()));
        assert_eq!(t.driver.take().len(), 1, "nothing is asked for where nothing is wanted");
        let counted = find().include(|n| n.tags.count()).await?;
        assert_eq!(counted.iter().map(|n| n.tags.count()).collect::<Vec<_>>(), [Some(2), Some(1), Some(0), Some(3)]);
        assert_eq!(t.driver.take().len(), 2);
    }

    async fn relation_filters_reach_through_lists(t) {
        notes(t).await?;
        let ids = async |filter: fn(&'static <Memo as forge::Model>::Fields) -> forge::query::Filter<Memo>| {
            t.db.find::<Memo>().filter(filter).sort(|n| n.id.asc()).select(|n| n.id).await
        };
        assert_eq!(ids(|n| n.tags.some(|g| g.name.eq("red"))).await?, [1, 4]);
        assert_eq!(ids(|n| n.tags.none(|g| g.name.eq("red"))).await?, [2, 3]);
        assert_eq!(ids(|n| n.tags.every(|g| g.weight.gt(1))).await?, [2, 3]);
        assert_eq!(ids(|n| n.tags.some(|g| g.name.eq("gone"))).await?, [0; 0], "deleted");
    }

    async fn a_relation_through_a_model_costs_two_commands(t) {
        enrol(t).await?;
        let students = t.db.find::<Student>().sort(|s| s.id.asc()).include(|s| s.courses.sort(|c| c.id.asc())).await?;
        assert_eq!(t.driver.take().len(), 3);
        assert_eq!(students.iter().map(ids).collect::<Vec<_>>(), [vec!["art", "law", "zen"], vec!["art"], vec![]]);
        let back = t.db.find::<Course>().sort(|c| c.id.asc()).include(|c| c.students.sort(|s| s.name.desc())).await?;
        let names = |c: &Course| c.students.get().iter().map(|s| s.name.clone()).collect::<Vec<_>>();
        assert_eq!(back.iter().map(names).collect::<Vec<_>>(), [vec!["Bob", "Ann"], vec!["Ann"], vec!["Ann"]]);
    }

    async fn a_relation_through_a_model_takes_every_option_per_parent(t) {
        enrol(t).await?;
        let find = || t.db.find::<Student>().sort(|s| s.id.asc());
        let limited = find().include(|s| s.courses.sort(|c| c.hours.desc()).limit(2)).await?;
        assert_eq!(limited.iter().map(ids).collect::<Vec<_>>(), [vec!["art", "zen"], vec!["art"], vec![]]);
        let filtered = find().include(|s| s.courses.filter(|c| c.hours.lt(3)).sort(|c| c.id.asc()).skip(1)).await?;
        assert_eq!(filtered.iter().map(ids).collect::<Vec<_>>(), [vec!["zen"], vec![], vec![]]);
        let counted = find().include(|s| (s.courses.count(), s.enrolments.count())).await?;
        assert_eq!(counted.iter().map(|s| (s.courses.count(), s.enrolments.count())).collect::<Vec<_>>(),
            [(Some(3), Some(3)), (Some(1), Some(1)), (Some(0), Some(0))]);
        let deep = find().limit(1).include(|s| s.courses.filter(|c| c.id.eq("art")).include(|c| c.students.sort(|s| s.id.asc()))).await?;
        assert_eq!(deep[0].courses.get()[0].students.get().len(), 2);
    }

    async fn relation_filters_reach_through_a_model(t) {
        enrol(t).await?;
        let found = async |filter: fn(&'static <Student as forge::Model>::Fields) -> forge::query::Filter<Student>| {
            t.db.find::<Student>().filter(filter).sort(|s| s.id.asc()).select(|s| s.id).await
        };
        assert_eq!(found(|s| s.courses.some(|c| c.id.eq("art"))).await?, [1, 2]);
        assert_eq!(found(|s| s.courses.some(|c| c.id.eq("law"))).await?, [1], "the other link is deleted");
        assert_eq!(found(|s| s.courses.none(|c| c.hours.gt(2))).await?, [3]);
        assert_eq!(found(|s| s.courses.every(|c| c.hours.gt(2))).await?, [2, 3]);
        assert_eq!(found(|s| s.courses.some(|c| c.students.some(|o| o.name.eq("Bob")))).await?, [1, 2]);
    }

    async fn what_is_deleted_for_good_is_taken_out_of_lists(t) {
        notes(t).await?;
        t.db.delete::<Tag>(3).purge().await?;
        let lists = t.db.find::<Memo>().sort(|n| n.id.asc()).select(|n| n.tag_ids).await?;
        assert_eq!(lists, [vec![1, 99], vec![2, 4], vec![], vec![1, 2]]);
    }

    async fn the_keys_of_a_list_are_indexed(t) {
        let plan = t.push().await?;
        assert!(plan.steps.iter().any(|step| step.collection == "memos" && step.index == "tag_ids_1"), "{plan:?}");
    }
}
