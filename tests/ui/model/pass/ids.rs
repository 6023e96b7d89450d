use forge::prelude::*;

#[derive(Debug, Clone, Model)]
struct ByObjectId {
    name: String,
    #[model(id)]
    #[serde(rename = "key")]
    id: Id<Self>,
}

#[derive(Debug, Clone, Model)]
struct ByUuid {
    #[model(id)]
    id: Uuid,
    parent_id: Option<Uuid>,
    #[model(belongs_to(key = parent_id, on_delete = no_action))]
    parent: BelongsTo<ByUuid>,
    #[model(has_many(key = parent_id))]
    children: HasMany<ByUuid>,
    #[model(has_one(key = parent_id))]
    child: HasOne<ByUuid>,
}

#[derive(Debug, Clone, Model)]
struct ByNumber {
    #[model(id)]
    number: i64,
}

macro_rules! keyed {
    ($model:ident, $id:ty, $reference:ty, $relation:ty) => {
        #[derive(Debug, Clone, Model)]
        struct $model {
            #[model(id)]
            key: $id,
            other_key: $reference,
            #[model(belongs_to(key = other_key))]
            other: $relation,
        }
    };
}
keyed!(ByMacro, Id<Self>, Option<Id<ByMacro>>, BelongsTo<ByMacro>);

fn main() {
    let _ = NewByObjectId { id: None, name: String::new() };
    let _ = NewByUuid { id: None, parent_id: None };
    let _ = NewByNumber { number: 5 };
    let catalog = forge::Catalog::collect().unwrap();
    let model = catalog.model("ByObjectId").unwrap();
    assert_eq!((model.id, model.id_field().stored, model.id_field().client), (1, "_id", "key"));
    assert_eq!(catalog.model("ByUuid").unwrap().relations[0].local(), "parent_id");
}
