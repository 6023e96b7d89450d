//! What derived code does: names, defaults, access, rules.

use forge::__private::validator::{Validate, ValidationError};
use forge::__private::{NewRecord, Record};
use forge::env::Source;
use forge::prelude::*;
use serde_json::json;

/// An address.
#[derive(Debug, Clone, PartialEq, Embed)]
#[serde(rename_all = "camelCase")]
struct Address {
    #[validate(length(min = 1))]
    street_name: String,
    #[model(private)]
    code: Option<String>,
}

fn calm(name: &str) -> std::result::Result<(), ValidationError> {
    if name.contains('!') { Err(ValidationError::new("calm")) } else { Ok(()) }
}

/// A person.
#[derive(Debug, Clone, Model)]
#[model(timestamps)]
#[serde(rename_all = "camelCase")]
struct Person {
    #[model(id)]
    id: Id<Person>,
    #[serde(rename = "name")]
    #[validate(length(min = 2), custom(function = "calm"), contains(pattern = "a"))]
    full_name: String,
    #[validate(range(min = 0, max = 150))]
    age: Option<i32>,
    #[validate(email)]
    mail: Option<String>,
    #[model(default = "open")]
    status: String,
    #[model(default = 3)]
    limit: Option<i64>,
    #[serde(default = "Self::two")]
    tries: i32,
    #[model(private)]
    secret: String,
    #[model(readonly, default)]
    balance: i64,
    #[model(embed)]
    home: Address,
    #[model(embed_many)]
    #[validate(length(max = 2))]
    past: Vec<Address>,
    boss_id: Option<Id<Self>>,
    #[model(belongs_to(key = boss_id))]
    boss: BelongsTo<Self>,
    created_at: DateTime,
}

impl Person {
    fn two() -> i32 {
        2
    }
}

struct Fixed;

impl Source for Fixed {
    fn now(&self) -> DateTime {
        DateTime::from_millis(5_000)
    }
    fn random(&self) -> [u8; 16] {
        [7; 16]
    }
}

fn env() -> forge::Env {
    forge::Env::new(Fixed)
}

fn address(street: &str) -> Address {
    Address { street_name: street.to_owned(), code: Some("canary".to_owned()) }
}

fn ada() -> NewPerson {
    NewPerson {
        id: None,
        full_name: "Ada".to_owned(),
        age: Some(36),
        mail: None,
        status: None,
        limit: None,
        tries: None,
        secret: Some("canary".to_owned()),
        balance: None,
        home: address("St James's Square"),
        past: vec![],
        boss_id: None,
    }
}

fn broken(value: &impl Validate) -> Vec<String> {
    let errors = value.validate().expect_err("a rule is broken");
    let mut paths: Vec<String> = errors.errors().keys().map(ToString::to_string).collect();
    paths.sort();
    paths
}

#[test]
fn inserts_fill_in_ids_and_defaults_and_keep_what_is_given() {
    let mut new = ada();
    new.fill(&env());
    assert!(new.id.is_some());
    assert_eq!(
        (new.status.as_deref(), new.limit, new.tries, new.balance),
        (Some("open"), Some(3), Some(2), Some(0))
    );
    let mut given = NewPerson { status: Some("closed".to_owned()), limit: Some(9), ..ada() };
    given.fill(&env());
    assert_eq!((given.status.as_deref(), given.limit), (Some("closed"), Some(9)));
}

#[test]
fn inserts_report_what_only_the_server_can_give() {
    let mut missing = Vec::new();
    NewPerson { secret: None, ..ada() }.missing(&mut |field| missing.push(field));
    assert_eq!(missing, ["secret"]);
}

#[test]
fn inserts_store_the_id_first() {
    let mut new = ada();
    new.fill(&env());
    let stored = bson::serialize_to_raw_document_buf(&new).unwrap();
    let keys: Vec<String> = stored.iter().map(|element| element.unwrap().0.to_string()).collect();
    let want = ["_id", "name", "age", "status", "limit", "tries", "secret", "balance", "home", "past"];
    assert_eq!(keys, want);
    assert_eq!(stored.get_document("home").unwrap().get_str("streetName").unwrap(), "St James's Square");
}

#[test]
fn clients_write_public_fields_under_client_names_only() {
    let sent = json!({ "name": "Ada", "home": { "streetName": "x" }, "past": [], "bossId": null });
    let new: NewPerson = serde_json::from_value(sent.clone()).unwrap();
    assert_eq!((new.full_name.as_str(), new.tries, new.boss_id), ("Ada", None, None));
    for (key, value) in
        [("secret", json!("x")), ("balance", json!(5)), ("createdAt", json!(5)), ("full_name", json!("x"))]
    {
        let mut more = sent.clone();
        more[key] = value;
        let error = serde_json::from_value::<NewPerson>(more).unwrap_err().to_string();
        assert!(error.contains(&format!("unknown field `{key}`")), "{error}");
    }
    let private = json!({ "name": "Ada", "home": { "streetName": "x", "code": "y" }, "past": [] });
    let error = serde_json::from_value::<NewPerson>(private).unwrap_err().to_string();
    assert!(error.contains("unknown field `code`"), "{error}");
}

#[test]
fn documents_are_read_back_and_shown_without_private_fields() {
    let mut new = ada();
    new.fill(&env());
    let mut stored = bson::Document::try_from(bson::serialize_to_raw_document_buf(&new).unwrap()).unwrap();
    stored.insert("createdAt", bson::DateTime::from_millis(5_000));
    stored.remove("tries");
    let person: Person = bson::deserialize_from_slice(&stored.to_vec().unwrap()).unwrap();
    assert_eq!((person.tries, person.secret.as_str()), (2, "canary"));
    let shown = serde_json::to_string(&person).unwrap();
    assert!(!shown.contains("canary"), "{shown}");
    let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(shown["createdAt"], "1970-01-01T00:00:05.000Z");
    assert_eq!((&shown["name"], &shown["home"]["streetName"]), (&json!("Ada"), &json!("St James's Square")));
    assert!(shown.get("boss").is_none(), "a relation that is not loaded is left out");
}

#[test]
fn rules_hold_for_inserts_and_their_embeds() {
    assert!(ada().validate().is_ok());
    let wrong = NewPerson { age: Some(200), mail: Some("x".to_owned()), full_name: "A".to_owned(), ..ada() };
    assert_eq!(broken(&wrong), ["age", "full_name", "mail"]);
    let nested = NewPerson { home: address(""), past: vec![address("a"), address("")], ..ada() };
    assert_eq!(broken(&nested), ["home", "past"]);
    let loud = NewPerson { full_name: "Ada!".to_owned(), past: vec![address("a"); 3], ..ada() };
    assert_eq!(broken(&loud), ["full_name", "past"]);
}

#[test]
fn rules_hold_for_what_a_partial_change_holds() {
    assert!(PersonPatch::default().validate().is_ok());
    assert!(PersonPatch { age: Some(None), mail: Some(None), ..PersonPatch::default() }.validate().is_ok());
    let wrong = PersonPatch {
        age: Some(Some(-1)),
        full_name: Some("A".to_owned()),
        home: Some(address("")),
        ..PersonPatch::default()
    };
    assert_eq!(broken(&wrong), ["age", "full_name", "home"]);
}

#[test]
fn docs_and_shapes_describe_the_struct() {
    assert_eq!(<Person as forge::Model>::def().docs, "A person.");
    assert_eq!(
        (Person::shape().name, NewPerson::shape().name, PersonPatch::shape().name),
        ("Person", "NewPerson", "PersonPatch")
    );
    assert_eq!(<Person as forge::Model>::FIELDS.updated_at.path(), "updatedAt");
}
