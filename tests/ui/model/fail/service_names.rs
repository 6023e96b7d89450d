use forge::prelude::*;

#[derive(Model)]
#[model(service(multi = [update], methods = [find, gte], operators = [regx, regex, regex]))]
struct Lists {
    #[model(id)]
    id: Id<Lists>,
}

#[derive(Model)]
#[model(service(filters = ["$limit"], events = [typing, typing], id = "slag"))]
struct Names {
    #[model(id)]
    id: Id<Names>,
    slug: String,
    #[model(private)]
    secret: String,
}

#[derive(Model)]
#[model(service(id = "secret"))]
struct Hidden {
    #[model(id)]
    id: Id<Hidden>,
    #[model(private)]
    secret: String,
}

#[derive(Model)]
#[model(collection = "sums", view(source = Names, pipeline = sums), service(methods = [find, create]))]
struct Sum {
    #[model(id)]
    id: String,
}

fn sums() -> &'static str {
    "[]"
}

fn main() {}
