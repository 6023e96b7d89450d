//! The order in which a client wrote the fields of what it sent: documents keep it, [`Value`](serde_json::Value) does not.

use std::collections::HashMap;
use std::fmt;

use bson::{Bson, Document};
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// The order of the fields of one JSON value, and of those inside of it.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) enum Order {
    /// There is none, or it is not known: as the value has them.
    #[default]
    Unknown,
    /// The places of an object's fields.
    Fields(HashMap<String, (usize, Order)>),
    /// Those of a list's items.
    Items(Vec<Order>),
}

const UNKNOWN: &Order = &Order::Unknown;

impl Order {
    /// The order in a JSON text; unknown where it is none.
    pub(super) fn of(text: &[u8]) -> Self {
        serde_json::from_slice(text).unwrap_or_default()
    }

    /// That of a field's value.
    pub(super) fn field(&self, name: &str) -> &Order {
        match self {
            Order::Fields(fields) => fields.get(name).map_or(UNKNOWN, |(_, order)| order),
            _ => UNKNOWN,
        }
    }

    /// That of an item of a list. What is no list is its own only item.
    pub(super) fn item(&self, index: usize) -> &Order {
        match self {
            Order::Items(items) => items.get(index).unwrap_or(UNKNOWN),
            other if index == 0 => other,
            _ => UNKNOWN,
        }
    }

    /// Where a field stands; what the client did not write comes last.
    pub(super) fn place(&self, name: &str) -> usize {
        match self {
            Order::Fields(fields) => fields.get(name).map_or(usize::MAX, |(place, _)| *place),
            _ => usize::MAX,
        }
    }

    /// `value` with its fields in this order; others follow as they stand.
    pub(super) fn arrange(&self, value: Bson) -> Bson {
        match (self, value) {
            (Order::Fields(_), Bson::Document(document)) => {
                let mut fields: Vec<_> = document.into_iter().collect();
                fields.sort_by_key(|(name, _)| self.place(name));
                let arranged = fields.into_iter().map(|(name, value)| {
                    let value = self.field(&name).arrange(value);
                    (name, value)
                });
                arranged.collect::<Document>().into()
            }
            (Order::Items(_), Bson::Array(items)) => {
                items.into_iter().enumerate().map(|(index, item)| self.item(index).arrange(item)).collect()
            }
            (_, value) => value,
        }
    }
}

impl Order {
    /// Makes the `$sort` of a query with several keys a list of objects with one key each, in their order.
    pub(super) fn list_sort(&self, query: &mut Map<String, Value>) {
        let order = self.field("$sort");
        let Some(Value::Object(sort)) = query.get_mut("$sort").filter(|_| *order != Order::Unknown) else {
            return;
        };
        let mut keys: Vec<_> = std::mem::take(sort).into_iter().collect();
        keys.sort_by_key(|(name, _)| order.place(name));
        let keys = keys.into_iter().map(|key| Value::Object(Map::from_iter([key])));
        query.insert("$sort".to_owned(), keys.collect());
    }
}

impl<'de> Deserialize<'de> for Order {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(OrderVisitor)
    }
}

struct OrderVisitor;

impl<'de> Visitor<'de> for OrderVisitor {
    type Value = Order;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Order, E> {
        Ok(Order::Unknown)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Order, E> {
        Ok(Order::Unknown)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Order, E> {
        Ok(Order::Unknown)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Order, E> {
        Ok(Order::Unknown)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Order, E> {
        Ok(Order::Unknown)
    }

    fn visit_str<E>(self, _: &str) -> Result<Order, E> {
        Ok(Order::Unknown)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Order, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = list.next_element()? {
            items.push(item);
        }
        let known = items.iter().any(|item| *item != Order::Unknown);
        Ok(if known { Order::Items(items) } else { Order::Unknown })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Order, A::Error> {
        let mut fields = HashMap::new();
        while let Some(name) = object.next_key()? {
            let place = fields.len();
            fields.insert(name, (place, object.next_value()?));
        }
        Ok(Order::Fields(fields))
    }
}

#[cfg(test)]
mod tests {
    use bson::bson;

    use super::*;

    #[test]
    fn fields_stand_as_they_were_written_at_every_depth() {
        let text = br#"{"z":1,"a":{"y":1,"b":2},"list":[{"d":1,"c":2},3]}"#;
        let value = bson!({ "a": { "b": 2, "y": 1 }, "added": 9, "list": [{ "c": 2, "d": 1 }, 3], "z": 1 });
        let arranged = Order::of(text).arrange(value);
        let expected =
            bson!({ "z": 1, "a": { "y": 1, "b": 2 }, "list": [{ "d": 1, "c": 2 }, 3], "added": 9 });
        assert_eq!(arranged.to_string(), expected.to_string());
    }

    #[test]
    fn the_keys_of_a_sort_become_a_list() {
        let text = r#"{"$sort":{"b":1,"a":-1},"x":1}"#;
        let mut query = serde_json::from_str(text).unwrap();
        Order::of(text.as_bytes()).list_sort(&mut query);
        assert_eq!(Value::Object(query), serde_json::json!({ "$sort": [{ "b": 1 }, { "a": -1 }], "x": 1 }));
    }

    #[test]
    fn what_has_no_order_stays_as_it_is() {
        let value = bson!([{ "b": 1, "a": 2 }]);
        for text in ["3", "{bad", "[1, 2]", "{\"b\":1}"] {
            let arranged = Order::of(text.as_bytes()).arrange(value.clone());
            assert_eq!(arranged.to_string(), value.to_string(), "{text}");
        }
    }
}
