use forge::Model as _;
use forge::model::SearchKind as Kind;
use forge::prelude::*;

#[derive(Debug, Clone, Embed)]
pub struct Place {
    pub city: String,
}

#[derive(Debug, Clone, Model)]
#[model(search(analyzer = "lucene.german"))]
#[serde(rename_all = "camelCase")]
pub struct Post {
    #[model(id, search)]
    pub id: Id<Post>,
    #[model(search(string, autocomplete))]
    pub main_title: String,
    #[model(search)]
    pub tags: Vec<String>,
    #[model(search(token))]
    pub state: Option<String>,
    #[model(search)]
    pub year: Option<i32>,
    #[model(search)]
    pub published: DateTime,
    #[model(search)]
    pub open: bool,
    #[model(embed, search)]
    pub place: Place,
    pub body: String,
}

#[derive(Debug, Clone, Model)]
#[model(search(dynamic))]
pub struct Note {
    #[model(id)]
    pub id: Id<Note>,
    pub text: String,
}

fn main() {
    let search = Post::def().search.unwrap();
    assert_eq!((search.dynamic, search.analyzer), (false, Some("lucene.german")));
    let expected = [
        ("_id", Kind::ObjectIds),
        ("mainTitle", Kind::Words),
        ("mainTitle", Kind::Autocomplete),
        ("tags", Kind::Words),
        ("state", Kind::Token),
        ("year", Kind::Numbers),
        ("published", Kind::Dates),
        ("open", Kind::Booleans),
        ("place", Kind::Documents),
    ];
    assert_eq!(search.fields, expected);
    let dynamic = Note::def().search.unwrap();
    assert!(dynamic.dynamic && dynamic.fields.is_empty() && dynamic.analyzer.is_none());
}
