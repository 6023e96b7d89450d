use serde::Serialize;

/// The search index of a model: what `$search` looks into. `#[model(search)]` on fields, `#[model(search(dynamic))]` on
/// the struct.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct SearchDef {
    /// Whether fields that are not named are in it too, each as its type says.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub dynamic: bool,
    /// How text is cut into words, where it is not the server's own way: `"lucene.german"`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub analyzer: Option<&'static str>,
    /// Stored paths, each with how it is kept; a path may stand in it more than once.
    pub fields: &'static [(&'static str, SearchKind)],
}

/// How a search index keeps a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SearchKind {
    /// Words, for `Search::text` and `Search::phrase`.
    String,
    /// Beginnings of words, for `Search::autocomplete`.
    Autocomplete,
    /// Texts as a whole, for `Search::equals`.
    Token,
    /// Numbers.
    Number,
    /// Dates.
    Date,
    /// True and false.
    Boolean,
    /// Object ids.
    ObjectId,
    /// UUIDs.
    Uuid,
    /// Places and areas.
    Geo,
    /// Embeds, with everything that is in them.
    Document,
}

impl SearchKind {
    /// The server's name: `"string"`, `"objectId"`.
    pub const fn name(self) -> &'static str {
        match self {
            SearchKind::String => "string",
            SearchKind::Autocomplete => "autocomplete",
            SearchKind::Token => "token",
            SearchKind::Number => "number",
            SearchKind::Date => "date",
            SearchKind::Boolean => "boolean",
            SearchKind::ObjectId => "objectId",
            SearchKind::Uuid => "uuid",
            SearchKind::Geo => "geo",
            SearchKind::Document => "document",
        }
    }

    /// Whether `Search::equals` finds values in it.
    pub const fn finds_values(self) -> bool {
        matches!(
            self,
            SearchKind::Token
                | SearchKind::Number
                | SearchKind::Date
                | SearchKind::Boolean
                | SearchKind::ObjectId
                | SearchKind::Uuid
        )
    }
}
