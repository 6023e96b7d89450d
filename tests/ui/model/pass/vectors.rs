use forge::Model as _;
use forge::model::Similarity;
use forge::prelude::*;

#[derive(Debug, Clone, Model)]
#[model(timestamps)]
#[serde(rename_all = "camelCase")]
pub struct Post {
    #[model(id)]
    pub id: Id<Post>,
    pub main_topic: String,
    #[model(vector(dims = 3, similarity = dot_product, filter(main_topic, created_at)))]
    pub text_vector: Vec<f32>,
    #[model(vector(dims = 2))]
    pub picture: Option<Vec<f32>>,
}

fn main() {
    let vectors = Post::def().vectors;
    assert_eq!(vectors[0].path, "textVector");
    assert_eq!((vectors[0].dims, vectors[0].similarity), (3, Similarity::DotProduct));
    assert_eq!(vectors[0].filters, ["mainTopic", "createdAt"]);
    assert_eq!((vectors[1].similarity, vectors[1].filters.len()), (Similarity::Cosine, 0));
}
