//! Services that models declare, as data: `#[model(service(…))]`.

use std::fmt;

use crate::json_form::JsonForm;
use crate::traits::Model;

/// What a model says about the service over it.
#[derive(Clone, Copy)]
pub struct ServiceDef {
    /// The model, as clients see it.
    pub form: fn() -> JsonForm,
    /// Where it answers; none for the name of the collection.
    pub path: Option<&'static str>,
    /// How many documents an answer holds where the query does not say; none for plain lists.
    pub page: Option<u64>,
    /// At most how many, whatever the query says.
    pub max_page: Option<u64>,
    /// Which methods take many documents: of `create`, `patch`, `remove`.
    pub multi: &'static [&'static str],
    /// The methods that clients may call; none for all six.
    pub methods: Option<&'static [&'static str]>,
    /// Operators that queries may use beside the usual ones.
    pub operators: &'static [&'static str],
    /// Update operators that patches do without; none for the usual ones.
    pub disabled_operators: Option<&'static [&'static str]>,
    /// Parameters that queries may have at the top beside the usual ones.
    pub filters: &'static [&'static str],
    /// The field that names a document in paths, by its name for clients; none for the id.
    pub id: Option<&'static str>,
    /// Events of its own.
    pub events: &'static [&'static str],
    /// Whether the total of all documents may be what the database thinks it is.
    pub estimated_count: bool,
}

impl ServiceDef {
    /// A service over `M` without options.
    pub const fn of<M: Model>() -> Self {
        Self {
            form: JsonForm::of::<M>,
            path: None,
            page: None,
            max_page: None,
            multi: &[],
            methods: None,
            operators: &[],
            disabled_operators: None,
            filters: &[],
            id: None,
            events: &[],
            estimated_count: false,
        }
    }
}

impl fmt::Debug for ServiceDef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceDef").field("path", &self.path).finish_non_exhaustive()
    }
}

inventory::collect!(ServiceDef);

/// Every service that a model of the program declares.
pub fn declared_services() -> impl Iterator<Item = &'static ServiceDef> {
    inventory::iter::<ServiceDef>.into_iter()
}
