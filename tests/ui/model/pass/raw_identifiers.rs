use forge::prelude::*;

#[derive(Debug, Clone, Model)]
#[model(client(r#type, r#loop), index(r#type, r#loop = -1))]
struct r#Match {
    #[model(id)]
    r#type: String,
    #[validate(length(min = 1))]
    r#loop: Option<String>,
    r#as: Option<String>,
    #[model(belongs_to(key = r#as))]
    r#in: BelongsTo<r#Match>,
}

#[query]
async fn r#match(ctx: &QueryCtx, r#type: String) -> Result<Vec<r#Match>> {
    ctx.db.find::<r#Match>().filter(|f| f.r#type.eq(r#type)).include(|f| f.r#in).await
}

fn main() {
    let catalog = forge::Catalog::collect().unwrap();
    let model = catalog.model("Match").unwrap();
    assert_eq!(model.collection, "matches");
    assert_eq!(model.fields.iter().map(|field| (field.name, field.client)).collect::<Vec<_>>(), [
        ("type", "type"),
        ("loop", "loop"),
        ("as", "as"),
    ]);
    let _ = (NewMatch { r#type: String::new(), r#loop: None, r#as: None }, MatchPatch::default());
    assert_eq!(forge::Registry::collect().unwrap().iter().next().unwrap().name, "match");
}
