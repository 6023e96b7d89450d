use forge::prelude::*;
use std::collections::BTreeMap;

#[derive(Debug, Clone, Model)]
#[model(search(dynamik, analyzer = 5))]
pub struct Post {
    #[model(id)]
    pub id: Id<Post>,
    #[model(search(words, string, string, token = 1))]
    pub title: String,
    #[model(search(string))]
    pub year: i32,
    #[model(search)]
    pub names: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Model)]
#[model(search(analyzer = "lucene.german"))]
pub struct Empty {
    #[model(id)]
    pub id: Id<Empty>,
}

#[derive(Debug, Clone, Embed)]
pub struct Part {
    #[model(search)]
    pub inside: String,
}

fn main() {}
