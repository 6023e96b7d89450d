use forge::prelude::*;

#[derive(Debug, Clone, Model)]
struct Airport {
    #[model(id)]
    iata: String,
    delay: i32,
    #[model(embed)]
    address: Option<Address>,
}

#[derive(Debug, Clone, Embed)]
struct Address {
    city: String,
}

fn required(db: &Db) {
    let _ = db.find::<Airport>().omit(|a| a.delay);
}

fn required_in_an_embed(db: &Db) {
    let _ = db.find::<Airport>().omit(|a| a.address.city);
}

fn main() {}
