use serde::Serialize;

/// A field that holds vectors, and how near ones are found: `#[model(vector(dims = 384, similarity = cosine))]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct VectorDef {
    /// The stored path.
    pub path: &'static str,
    /// How many numbers a vector has.
    pub dims: u32,
    /// What makes two vectors alike.
    pub similarity: Similarity,
    /// The stored paths of the fields that a search may filter by.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub filters: &'static [&'static str],
}

/// What makes two vectors alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Similarity {
    /// The angle between them, whatever their length.
    Cosine,
    /// Their dot product; vectors have length 1.
    DotProduct,
    /// How far apart they are.
    Euclidean,
}

impl Similarity {
    /// MongoDB's name: `"cosine"`, `"dotProduct"`, `"euclidean"`.
    pub const fn name(self) -> &'static str {
        match self {
            Similarity::Cosine => "cosine",
            Similarity::DotProduct => "dotProduct",
            Similarity::Euclidean => "euclidean",
        }
    }

    /// The similarity of that name.
    pub fn named(name: &str) -> Option<Self> {
        [Similarity::Cosine, Similarity::DotProduct, Similarity::Euclidean]
            .into_iter()
            .find(|similarity| similarity.name() == name)
    }

    /// How alike `a` and `b` are, as the score of a search: 0 to 1, and 1 for equal vectors (of length 1, for dot
    /// products). None where they have different lengths, or one of them no direction.
    ///
    /// ```
    /// use forge_core::model::Similarity;
    ///
    /// assert_eq!(Similarity::Cosine.score(&[3.0, 0.0], &[1.0, 0.0]), Some(1.0));
    /// assert_eq!(Similarity::Euclidean.score(&[0.0, 0.0], &[0.0, 1.0]), Some(0.5));
    /// assert_eq!(Similarity::DotProduct.score(&[1.0], &[1.0, 0.0]), None);
    /// ```
    pub fn score(self, a: &[f32], b: &[f32]) -> Option<f64> {
        if a.len() != b.len() {
            return None;
        }
        let pairs = || a.iter().zip(b).map(|(x, y)| (f64::from(*x), f64::from(*y)));
        let dot = || pairs().map(|(x, y)| x * y).sum::<f64>();
        match self {
            Similarity::Cosine => {
                let length =
                    |vector: &[f32]| vector.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
                let lengths = length(a) * length(b);
                (lengths > 0.0).then(|| (1.0 + (dot() / lengths).clamp(-1.0, 1.0)) / 2.0)
            }
            Similarity::DotProduct => Some((1.0 + dot()) / 2.0),
            Similarity::Euclidean => Some(1.0 / (1.0 + pairs().map(|(x, y)| (x - y).powi(2)).sum::<f64>())),
        }
    }
}
