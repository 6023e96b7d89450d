//! Which of the documents of one level belong to which parent.

use std::collections::{HashMap, HashSet};

use bson::{Bson, RawDocumentBuf};
use forge_core::Result;
use forge_core::model::ThroughDef;

use super::keys::{Key, owned, values_at};

/// The keys of the parents of one level.
pub(super) struct Join<'a> {
    /// Key → its position in `values`.
    positions: HashMap<Key<'a>, u32>,
    /// The distinct keys.
    pub(super) values: Vec<Bson>,
    /// The key of each parent, or none.
    first: Vec<Option<u32>>,
    /// Parent and key, for parents with several keys: all but the first, in their order.
    more: Vec<(usize, u32)>,
}

impl<'a> Join<'a> {
    /// The keys that parents hold at `path`: the elements of lists one by one, each once.
    pub(super) fn of(parents: &'a [RawDocumentBuf], path: &str) -> Result<Self> {
        let mut gathered = Gathered::new(parents.len());
        for parent in parents {
            gathered.next_parent();
            values_at(parent, path, &mut |value| gathered.add(value))?;
        }
        gathered.finish()
    }

    /// The keys to which `links` lead the parents of `self`.
    pub(super) fn through<'l>(&self, links: &'l [RawDocumentBuf], through: &ThroughDef) -> Result<Join<'l>> {
        let mut by_key = vec![Vec::new(); self.values.len()];
        for (at, link) in links.iter().enumerate() {
            values_at(link, through.local, &mut |value| {
                if let Some(position) = self.position(value) {
                    by_key[position as usize].push(at);
                }
            })?;
        }
        let mut gathered = Gathered::new(self.first.len());
        for key in &self.first {
            gathered.next_parent();
            for link in key.map_or(&[][..], |key| by_key[key as usize].as_slice()) {
                values_at(&links[*link], through.foreign, &mut |value| gathered.add(value))?;
            }
        }
        gathered.finish()
    }

    fn position(&self, value: bson::RawBsonRef<'_>) -> Option<u32> {
        Key::of_raw(value).and_then(|key| self.positions.get(&key).copied())
    }

    /// For each parent, the positions of its own among `children`, which hold its key at `path`: those of its first key
    /// first, each key's in the order of the children.
    pub(super) fn groups(&self, children: &[RawDocumentBuf], path: &str) -> Result<Vec<Vec<u32>>> {
        let mut by_key = vec![Vec::new(); self.values.len()];
        for (at, child) in children.iter().enumerate() {
            values_at(child, path, &mut |value| {
                if let Some(position) = self.position(value) {
                    by_key[position as usize].push(at as u32);
                }
            })?;
        }
        let shared = self.first.iter().flatten().count() + self.more.len() > self.values.len();
        let mut own = |key: u32| match &mut by_key[key as usize] {
            group if shared => group.clone(),
            group => std::mem::take(group),
        };
        let mut groups: Vec<Vec<u32>> =
            self.first.iter().map(|key| key.map_or_else(Vec::new, &mut own)).collect();
        for (parent, key) in &self.more {
            groups[*parent].extend(own(*key));
        }
        Ok(groups)
    }

    /// For each parent, the sum of the numbers of its keys.
    pub(super) fn sums(&self, counts: &[(Bson, u64)]) -> Vec<u64> {
        let mut by_key = vec![0; self.values.len()];
        for (value, count) in counts {
            if let Some(position) = Key::of(value).and_then(|key| self.positions.get(&key)) {
                by_key[*position as usize] += count;
            }
        }
        let mut sums: Vec<u64> =
            self.first.iter().map(|key| key.map_or(0, |key| by_key[key as usize])).collect();
        for (parent, key) in &self.more {
            sums[*parent] += by_key[*key as usize];
        }
        sums
    }
}

/// A join that is being gathered, parent by parent.
struct Gathered<'a> {
    positions: HashMap<Key<'a>, u32>,
    raw: Vec<bson::RawBsonRef<'a>>,
    first: Vec<Option<u32>>,
    more: Vec<(usize, u32)>,
    /// The keys of the present parent, from its second on.
    seen: HashSet<u32>,
}

impl<'a> Gathered<'a> {
    fn new(parents: usize) -> Self {
        Self {
            positions: HashMap::with_capacity(parents),
            raw: Vec::with_capacity(parents),
            first: Vec::with_capacity(parents),
            more: Vec::new(),
            seen: HashSet::new(),
        }
    }

    fn next_parent(&mut self) {
        self.first.push(None);
        self.seen.clear();
    }

    fn add(&mut self, value: bson::RawBsonRef<'a>) {
        let Some(key) = Key::of_raw(value) else { return };
        let next = self.raw.len() as u32;
        let position = *self.positions.entry(key).or_insert(next);
        if position == next {
            self.raw.push(value);
        }
        let parent = self.first.len() - 1;
        match self.first[parent] {
            None => self.first[parent] = Some(position),
            Some(first) if first != position && self.seen.insert(position) => {
                self.more.push((parent, position));
            }
            Some(_) => {}
        }
    }

    fn finish(self) -> Result<Join<'a>> {
        let Self { positions, raw, first, more, .. } = self;
        let values = raw.into_iter().map(owned).collect::<Result<_>>()?;
        Ok(Join { positions, values, first, more })
    }
}

#[cfg(test)]
mod tests {
    use bson::rawdoc;

    use super::*;

    #[test]
    fn parents_with_lists_get_the_documents_of_each_key_once_and_in_the_order_of_the_list() {
        let parents = [rawdoc! { "ids": [3, 1, 3] }, rawdoc! { "ids": [1, null] }, rawdoc! {}];
        let join = Join::of(&parents, "ids").unwrap();
        assert_eq!(join.values, [Bson::Int32(3), Bson::Int32(1)]);
        let children = [rawdoc! { "_id": 1 }, rawdoc! { "_id": 3_i64 }, rawdoc! { "_id": 9 }];
        assert_eq!(join.groups(&children, "_id").unwrap(), [vec![1, 0], vec![0], vec![]]);
        assert_eq!(join.sums(&[(Bson::Int64(3), 5), (Bson::Int32(1), 2)]), [7, 2, 0]);
    }

    #[test]
    fn links_lead_from_parents_to_keys() {
        let parents = [rawdoc! { "_id": "a" }, rawdoc! { "_id": "b" }, rawdoc! { "_id": "c" }];
        let links = [
            rawdoc! { "p": "b", "c": 1 },
            rawdoc! { "p": "a", "c": 2 },
            rawdoc! { "p": "b", "c": 2 },
            rawdoc! { "p": "b", "c": 1 },
            rawdoc! { "p": "z", "c": 3 },
        ];
        let through = ThroughDef { model: || &crate::testing::AIRPORT, local: "p", foreign: "c" };
        let join = Join::of(&parents, "_id").unwrap().through(&links, &through).unwrap();
        assert_eq!(join.values, [Bson::Int32(2), Bson::Int32(1)]);
        let children = [rawdoc! { "_id": 1 }, rawdoc! { "_id": 2 }];
        assert_eq!(join.groups(&children, "_id").unwrap(), [vec![1], vec![0, 1], vec![]]);
    }
}
