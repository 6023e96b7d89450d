use forge::prelude::*;

#[derive(Model)]
#[model(client(id, secret, id))]
struct Flight {
    #[model(id)]
    id: Id<Flight>,
    #[model(private)]
    secret: String,
}

fn main() {}
