use serde::{Serialize, Serializer};

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
//
// Plural: the compiler spells `std::string::String` out in every message of a program where something else is public
// under the name `String`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SearchKind {
    /// Words, for `Search::text` and `Search::phrase`.
    Words,
    /// Beginnings of words, for `Search::autocomplete`.
    Autocomplete,
    /// Texts as a whole, for `Search::equals`, `Search::is_in` and `Search::range`.
    Token,
    /// Numbers.
    Numbers,
    /// Dates.
    Dates,
    /// True and false.
    Booleans,
    /// Object ids.
    ObjectIds,
    /// UUIDs.
    Uuids,
    /// Places and areas.
    Geo,
    /// Embeds, with everything that is in them.
    Documents,
}

impl Serialize for SearchKind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl SearchKind {
    /// The server's name: `"string"`, `"objectId"`.
    pub const fn name(self) -> &'static str {
        match self {
            SearchKind::Words => "string",
            SearchKind::Autocomplete => "autocomplete",
            SearchKind::Token => "token",
            SearchKind::Numbers => "number",
            SearchKind::Dates => "date",
            SearchKind::Booleans => "boolean",
            SearchKind::ObjectIds => "objectId",
            SearchKind::Uuids => "uuid",
            SearchKind::Geo => "geo",
            SearchKind::Documents => "document",
        }
    }

    /// Whether `Search::equals` finds values in it.
    pub const fn finds_values(self) -> bool {
        matches!(
            self,
            SearchKind::Token
                | SearchKind::Numbers
                | SearchKind::Dates
                | SearchKind::Booleans
                | SearchKind::ObjectIds
                | SearchKind::Uuids
        )
    }
}
