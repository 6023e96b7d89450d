use forge::prelude::*;

#[derive(Debug, Clone, Model)]
pub struct Post {
    #[model(id)]
    pub id: Id<Post>,
    #[model(vector)]
    pub bare: Vec<f32>,
    #[model(vector(similarity = cosine))]
    pub without_dims: Vec<f32>,
    #[model(vector(dims = 0, similarity = "cosine", filter(topic = 1)))]
    pub wrong: Vec<f32>,
    #[model(vector(dims = 3, filter(subject), metric = cosine))]
    pub unknown: Vec<f32>,
    #[model(vector(dims = 3))]
    pub whole: Vec<i32>,
    pub topic: String,
}

#[derive(Debug, Clone, Embed)]
pub struct Part {
    #[model(vector(dims = 3))]
    pub inside: Vec<f32>,
}

fn main() {}
