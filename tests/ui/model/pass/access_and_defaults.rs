use forge::model::{Access, Default as Origin};
use forge::prelude::*;

fn three() -> i32 {
    3
}

#[derive(Debug, Clone, PartialEq, Model)]
#[model(timestamps, soft_delete)]
#[serde(rename_all = "camelCase")]
struct User {
    #[model(id)]
    id: String,
    #[model(private)]
    password_hash: String,
    #[model(readonly)]
    balance: i64,
    #[model(default)]
    tags: Vec<String>,
    #[model(default = "open")]
    status: String,
    #[model(default = 5)]
    limit: Option<i32>,
    #[serde(default)]
    visits: i32,
    #[serde(default = "three")]
    tries: i32,
    #[serde(rename = "mail")]
    #[validate(email, length(max = 80))]
    e_mail: String,
    created_at: DateTime,
    updated_at: Option<DateTime>,
    deleted_at: Option<DateTime>,
}

fn main() {
    let def = forge::Catalog::collect().unwrap().model("User").unwrap();
    let field = |name: &str| def.field(name).unwrap();
    assert_eq!(field("password_hash").access, Access::Private);
    assert_eq!((field("balance").access, field("created_at").access), (Access::ReadOnly, Access::ReadOnly));
    assert_eq!((field("tags").default, field("visits").default), (Origin::Value, Origin::Value));
    assert_eq!((field("created_at").stored, field("created_at").client), ("createdAt", "createdAt"));
    assert_eq!((field("e_mail").stored, field("password_hash").stored), ("mail", "passwordHash"));
    let new = NewUser {
        id: "a".to_owned(),
        password_hash: None,
        balance: Some(0),
        tags: None,
        status: None,
        limit: None,
        visits: None,
        tries: None,
        e_mail: "a@b.org".to_owned(),
    };
    let patch = UserPatch { balance: Some(5), limit: Some(None), ..UserPatch::default() };
    let _ = (new, patch);
}
