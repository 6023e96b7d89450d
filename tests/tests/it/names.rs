//! `rename` and `rename_all` are honoured in storage, in JSON and in queries.

use bson::{Document, doc};
use forge_tests::models::{HomeBase, NewRenamed, Renamed, RenamedPatch};
use forge_tests::{conformance, engine};

fn new() -> NewRenamed {
    NewRenamed {
        short_code: "x1".into(),
        first_name: "Ann".into(),
        email_address: Some("a@example.org".into()),
        home_base: HomeBase { street_name: "Ring".into(), number: 4 },
        parent_code: Some("x1".into()),
    }
}

conformance! {
    async fn stored_documents_have_the_renamed_fields(t) {
        t.db.insert(new()).await?;
        let mut stored: Document = t.stored("renamed").await?.remove(0);
        assert!(stored.remove("createdAt").is_some() && stored.remove("updatedAt").is_some());
        assert_eq!(stored, doc! { "_id": "x1", "firstName": "Ann", "mail": "a@example.org", "homeBase": { "streetName": "Ring", "no": 4 }, "parentCode": "x1" });
    }

    async fn clients_see_and_send_the_renamed_fields(t) {
        let json = serde_json::json!({ "shortCode": "x1", "firstName": "Ann", "mail": "a@example.org", "homeBase": { "streetName": "Ring", "no": 4 }, "parentCode": null });
        let sent: NewRenamed = serde_json::from_value(json.clone()).unwrap();
        assert_eq!(serde_json::to_value(t.db.insert(sent).await?).unwrap(), json);
        let wrong = serde_json::from_str::<NewRenamed>(r#"{"short_code":"x1"}"#).unwrap_err();
        assert!(wrong.to_string().contains("unknown field `short_code`"), "{wrong}");
    }

    async fn queries_patches_and_relations_use_them(t) {
        t.db.insert(new()).await?;
        let found = t.db.find::<Renamed>()
            .filter(|r| r.first_name.eq("Ann") & r.home_base.street_name.eq("Ring") & r.home_base.number.gt(3))
            .sort(|r| r.email_address.asc())
            .include(|r| r.parent_of_it)
            .one().await?;
        assert_eq!(found.parent_of_it.get().unwrap().short_code, "x1");
        assert!(serde_json::to_value(&found).unwrap().get("parentOfIt").is_some());
        let patch: RenamedPatch = serde_json::from_str(r#"{"firstName":"Bea","mail":null}"#).unwrap();
        let changed = t.db.update::<Renamed>("x1").patch(patch).await?;
        assert_eq!((changed.first_name.as_str(), changed.email_address), ("Bea", None));
        assert!(!t.stored("renamed").await?[0].contains_key("mail"));
        assert!(engine::catalog().model("Renamed").is_some());
    }
}
