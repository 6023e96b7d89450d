use forge::prelude::*;

macro_rules! ring {
    ($($model:ident -> $next:ident),+ $(,)?) => {
        $(
            #[derive(Debug, Clone, PartialEq, Model)]
            struct $model {
                #[model(id)]
                id: Id<Self>,
                next_id: Option<Id<$next>>,
                #[model(belongs_to(key = next_id, on_delete = set_null))]
                next: BelongsTo<$next>,
            }
        )+
    };
}

ring! {
    A0 -> A1, A1 -> A2, A2 -> A3, A3 -> A4, A4 -> A5, A5 -> A6, A6 -> A7, A7 -> A8, A8 -> A9, A9 -> B0,
    B0 -> B1, B1 -> B2, B2 -> B3, B3 -> B4, B4 -> B5, B5 -> B6, B6 -> B7, B7 -> B8, B8 -> B9, B9 -> C0,
    C0 -> C1, C1 -> C2, C2 -> C3, C3 -> C4, C4 -> C5, C5 -> C6, C6 -> C7, C7 -> C8, C8 -> C9, C9 -> D0,
    D0 -> D1, D1 -> D2, D2 -> D3, D3 -> D4, D4 -> D5, D5 -> D6, D6 -> D7, D7 -> D8, D8 -> D9, D9 -> E0,
    E0 -> E1, E1 -> E2, E2 -> E3, E3 -> E4, E4 -> E5, E5 -> E6, E6 -> E7, E7 -> E8, E8 -> E9, E9 -> A0,
}

fn main() {
    assert_eq!(forge::Catalog::collect().unwrap().models().len(), 50);
}
