use forge::prelude::*;

#[derive(Model)]
#[model(service = "people")]
struct NoList {
    #[model(id)]
    id: Id<NoList>,
}

#[derive(Model)]
#[model(service(pth = "people", path = 7, estimated_count = true, id = slug))]
struct Misspelt {
    #[model(id)]
    id: Id<Misspelt>,
}

#[derive(Model)]
#[model(service(path = "/people", paginate(default = 0, size = 3), multi = create))]
struct Malformed {
    #[model(id)]
    id: Id<Malformed>,
}

#[derive(Model)]
#[model(service(paginate(default = 60, max = 50), events = [typing, 3], path = "a", path = "b"))]
struct Contradicting {
    #[model(id)]
    id: Id<Contradicting>,
}

fn main() {}
