use forge::prelude::*;

fn even(number: i32) -> std::result::Result<(), forge::__private::validator::ValidationError> {
    if number % 2 == 0 { Ok(()) } else { Err(forge::__private::validator::ValidationError::new("even")) }
}

/// Without arguments.
#[query]
async fn nothing(_: &QueryCtx) -> Result<()> {
    Ok(())
}

/// With every form of argument.
#[query(internal)]
pub(crate) async fn everything(
    ctx: &forge::QueryCtx,
    /// How many.
    #[validate(range(min = 0, max = 10), custom(function = even))]
    minutes: i32,
    mut names: Vec<String>,
    place: Option<GeoPoint>,
    #[validate(length(min = 1))] args: String,
    __private: std::collections::BTreeMap<String, i64>,
) -> forge::Result<Vec<String>> {
    let _ = (ctx, minutes, place, __private);
    names.push(args);
    Ok(names)
}

mod inner {
    pub type Answer<T> = std::result::Result<T, forge::Error>;
}

#[query]
async fn with_another_result(_ctx: &QueryCtx) -> inner::Answer<bool> {
    Ok(nothing(_ctx).await.is_ok())
}

#[query]
async fn args(_ctx: &QueryCtx) -> Result<i32> {
    Ok(5)
}

fn main() {
    fn local() -> &'static str {
        #[query]
        async fn inside_a_function(_ctx: &QueryCtx) -> Result<i32> {
            Ok(5)
        }
        "local"
    }
    assert_eq!(local(), "local");
    let registry = forge::Registry::collect().unwrap();
    let found: Vec<_> = registry.iter().map(|handler| (handler.name, handler.internal, handler.docs)).collect();
    assert_eq!(
        found,
        [
            ("args", false, ""),
            ("everything", true, "With every form of argument."),
            ("inside_a_function", false, ""),
            ("nothing", false, "Without arguments."),
            ("with_another_result", false, ""),
        ]
    );
    let shape = (registry.iter().nth(1).unwrap().args)();
    assert_eq!(shape.fields.iter().map(|field| field.name).collect::<Vec<_>>(), ["minutes", "names", "place", "args", "__private"]);
    assert_eq!(shape.fields[0].docs, "How many.");
}
