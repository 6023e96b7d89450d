//! Views, computed and stored.

use std::sync::Arc;

use forge::adapter::{Exec, PushAction, PushSettings, ReadLog};
use forge::ir::{Operation, Select};
use forge::model::ModelRef;
use forge::{ErrorCode, Model};
use forge_mongo::Driver as _;
use forge_tests::courses::{Enrolment, NewCourse, NewEnrolment, NewStudent};
use forge_tests::engine::{catalog, skip};
use forge_tests::schema_models::{
    BigRegion, CourseLoad, MergedTotal, NewSale, RegionTotal, Sale, StoredTotal,
};
use forge_tests::{Fixture, Result, conformance};

fn sale(id: i64, region: &str, amount: i32) -> NewSale {
    NewSale { id, region: region.into(), amount }
}

async fn seeded(t: &Fixture) -> Result<()> {
    t.push().await?;
    t.db.insert_many([sale(1, "west", 60), sale(2, "west", 70), sale(3, "east", 5)]).await?;
    Ok(())
}

fn total(region: &str, total: i64) -> RegionTotal {
    RegionTotal { region: region.into(), total }
}

conformance! {
    async fn a_view_is_read_like_a_collection(t) {
        seeded(t).await?;
        let all = t.db.find::<RegionTotal>().sort(|r| r.total.desc()).await?;
        assert_eq!(all, [total("west", 130), total("east", 5)]);
        assert_eq!(t.db.find::<RegionTotal>().filter(|r| r.total.lt(100)).await?, [total("east", 5)]);
        assert_eq!(t.db.find::<RegionTotal>().count().await?, 2);
        assert_eq!(t.db.find::<RegionTotal>().sort(|r| r.total.asc()).skip(1).limit(1).await?, [total("west", 130)]);
        assert_eq!(t.db.get::<RegionTotal>("east".to_owned()).await?, Some(total("east", 5)));
        t.db.insert(sale(4, "east", 200)).await?;
        assert_eq!(t.db.get::<RegionTotal>("east".to_owned()).await?, Some(total("east", 205)));
    }

    async fn a_typed_pipeline_makes_a_view_that_leaves_deleted_documents_out(t) {
        t.push().await?;
        t.db.insert_many([("rust", 40), ("go", 0), ("sql", 10)].map(|(id, hours)| NewCourse { id: id.into(), hours })).await?;
        t.db.insert_many([1_i64, 2].map(|id| NewStudent { id, name: format!("s{id}") })).await?;
        let pairs = [(1, 1, "rust"), (2, 2, "rust"), (3, 1, "go"), (4, 1, "sql"), (5, 2, "sql")];
        t.db.insert_many(pairs.map(|(id, student_id, course)| NewEnrolment {
            id, student_id, course_id: course.into(), grade: None,
        })).await?;
        t.db.delete::<Enrolment>(5_i64).await?;
        let loads = t.db.find::<CourseLoad>().sort(|c| c.students.desc()).await?;
        let load = |course: &str, hours, students| CourseLoad { course: course.into(), hours, students };
        assert_eq!(loads, [load("rust", 40, 2), load("sql", 10, 1)]);
        let log = Arc::new(ReadLog::default());
        let exec = Exec { reads: Some(log.clone()), ..Exec::default() };
        t.adapter.execute(&exec, Operation::Select(Select::new(ModelRef(CourseLoad::def())))).await?;
        let mut reads: Vec<_> = log.take().into_iter().map(|read| read.collection.to_string()).collect();
        reads.sort();
        assert_eq!(reads, ["courses", "enrolments"]);
    }

    async fn views_stand_on_views(t) {
        seeded(t).await?;
        let big = t.db.find::<BigRegion>().await?;
        assert_eq!(big, [BigRegion { region: "west".into(), total: 130 }]);
    }

    async fn a_view_cannot_be_written(t) {
        seeded(t).await?;
        let deleted = t.db.delete::<RegionTotal>("west".to_owned()).await.map(|_| ()).unwrap_err();
        assert_eq!(deleted.code(), ErrorCode::Unsupported, "{deleted}");
        assert!(deleted.to_string().contains("RegionTotal is a view"), "{deleted}");
        let updated = t.db.update::<StoredTotal>("west".to_owned()).set(|r| r.total, 5_i64).await.map(|_| ()).unwrap_err();
        assert_eq!(updated.code(), ErrorCode::Unsupported, "{updated}");
    }

    async fn a_read_of_a_view_depends_on_what_it_reads(t) {
        seeded(t).await?;
        let log = Arc::new(ReadLog::default());
        let exec = Exec { reads: Some(log.clone()), ..Exec::default() };
        t.adapter.execute(&exec, Operation::Select(Select::new(ModelRef(BigRegion::def())))).await?;
        let reads: Vec<_> = log.take().into_iter().map(|read| read.collection.to_string()).collect();
        assert_eq!(reads, ["sales"]);
    }

    async fn a_view_that_differs_is_changed_in_place(t) {
        if t.stand_in {
            skip("the stand-in server takes `collMod` of a view, and forgets it");
            return Ok(());
        }
        seeded(t).await?;
        let other = bson::doc! { "collMod": "region_totals", "viewOn": "sales", "pipeline": [{ "$limit": 1 }] };
        t.driver.admin(t.name(), &other).await?;
        let of_view = async |apply: bool| -> Result<Vec<PushAction>> {
            let settings = if apply { PushSettings::apply() } else { PushSettings::plan() };
            let plan = t.adapter.push_with(t.name(), &catalog(), &settings).await?;
            Ok(plan.steps.iter().filter(|s| s.collection == "region_totals").map(|s| s.action).collect())
        };
        assert_eq!(of_view(true).await?, [PushAction::Modify]);
        assert_eq!(of_view(true).await?, [PushAction::Keep]);
        assert_eq!(t.db.find::<RegionTotal>().count().await?, 2);
    }

    async fn a_collection_in_the_place_of_a_view_is_a_conflict(t) {
        t.seed("region_totals", [bson::doc! { "_id": "x", "total": 1 }]).await?;
        let plan = t.push().await?;
        let step = plan.steps.iter().find(|step| step.collection == "region_totals").unwrap();
        assert_eq!(step.action, PushAction::Conflict, "{step:?}");
    }

    async fn a_stored_view_is_as_of_its_refresh(t) {
        seeded(t).await?;
        assert_eq!(t.db.find::<StoredTotal>().count().await?, 0);
        t.db.refresh::<StoredTotal>().await?;
        t.db.refresh::<MergedTotal>().await?;
        let all = async || t.db.find::<StoredTotal>().sort(|r| r.total.desc()).await;
        assert_eq!(all().await?.iter().map(|r| (r.region.as_str(), r.total)).collect::<Vec<_>>(), [("west", 130), ("east", 5)]);
        t.db.insert(sale(4, "east", 200)).await?;
        t.db.delete_many::<Sale>().filter(|s| s.region.eq("west")).await?;
        assert_eq!(all().await?.len(), 2, "it is as it was");
        t.db.refresh::<StoredTotal>().await?;
        t.db.refresh::<MergedTotal>().await?;
        assert_eq!(all().await?.iter().map(|r| (r.region.as_str(), r.total)).collect::<Vec<_>>(), [("east", 205)]);
        assert_eq!(t.db.find::<MergedTotal>().count().await?, 2, "merging keeps what is not named");
        if t.stand_in {
            skip("the stand-in server loses the indexes of a collection by `$out`");
            return Ok(());
        }
        let listed = t.driver.list_indexes(t.name(), "stored_totals").await?;
        assert!(listed.iter().any(|index| index.get_str("name").ok() == Some("total_-1")), "{listed:?}");
    }

    async fn what_is_no_stored_view_is_not_refreshed(t) {
        seeded(t).await?;
        let error = t.db.refresh::<RegionTotal>().await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::BadRequest, "{error}");
        assert_eq!(t.db.refresh::<Sale>().await.unwrap_err().code(), ErrorCode::BadRequest);
    }
}
