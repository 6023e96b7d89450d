//! Differences of lists. Items are recognized by what identifies them, so that one that moves costs a `move`, and one
//! that changes costs what changed in it; finding that out takes `n log n` steps.

use std::collections::{HashMap, HashSet};

use serde_json::value::RawValue;

use super::{Member, Patch, Patched, find, items, members};

/// Makes the list at the current path `new`.
pub(super) fn patch(patch: &mut Patch, old: &[&RawValue], new: &[&RawValue]) -> Patched {
    let same = |(a, b): &(&&RawValue, &&RawValue)| a.get() == b.get();
    let start = old.iter().zip(new).take_while(same).count();
    let end = old[start..].iter().rev().zip(new[start..].iter().rev()).take_while(same).count();
    let (old, new) = (&old[start..old.len() - end], &new[start..new.len() - end]);
    match identities(old, new) {
        Some((before, after)) => Moves::new(&before, &after, start).patch(patch, old, new),
        None => by_position(patch, old, new, start),
    }
}

/// Items without an identity are held against those in the same place.
fn by_position(patch: &mut Patch, old: &[&RawValue], new: &[&RawValue], start: usize) -> Patched {
    for (position, (before, after)) in old.iter().zip(new).enumerate() {
        at(patch, start + position, |patch| patch.value(before, after))?;
    }
    for position in (new.len()..old.len()).rev() {
        at(patch, start + position, |patch| patch.write("remove", None, None))?;
    }
    for (position, item) in new.iter().enumerate().skip(old.len()) {
        at(patch, start + position, |patch| patch.write("add", None, Some(item.get())))?;
    }
    Ok(())
}

fn at(patch: &mut Patch, position: usize, work: impl FnOnce(&mut Patch) -> Patched) -> Patched {
    patch.at(&position.to_string(), work)
}

type Identities<'a> = (Vec<&'a str>, Vec<&'a str>);

/// What tells the items of either list apart: an id, the first member of objects, the first item of lists, or else the
/// whole text. None where not even that is unique and found again.
fn identities<'a>(old: &[&'a RawValue], new: &[&'a RawValue]) -> Option<Identities<'a>> {
    let all = || old.iter().chain(new).map(|item| item.get());
    let objects: Option<Vec<_>> = all().map(members).collect();
    let by = |name: &str| {
        let value = |object: &Vec<Member<'a>>| find(object, name).map(|(_, value)| value.get());
        split(objects.as_ref()?.iter().map(value), old.len())
    };
    let first_member = || by(&objects.as_ref()?.first()?.first()?.0);
    let first_item = || split(all().map(|row| Some(items(row)?.first()?.get())), old.len());
    let whole = || {
        let (before, after) = unique(all().take(old.len()).collect(), all().skip(old.len()).collect())?;
        // What has nothing in common may still be alike in the same place.
        let known: HashSet<_> = before.iter().copied().collect();
        after.iter().any(|text| known.contains(text)).then_some((before, after))
    };
    by("id").or_else(|| by("_id")).or_else(first_member).or_else(first_item).or_else(whole)
}

/// The identities of the old and of the new items, where all have one and it is a scalar.
fn split<'a>(all: impl Iterator<Item = Option<&'a str>>, old: usize) -> Option<Identities<'a>> {
    let scalar = |text: &&str| !text.starts_with(['{', '[']);
    let mut before = all.map(|text| text.filter(scalar)).collect::<Option<Vec<_>>>()?;
    let after = before.split_off(old);
    unique(before, after)
}

fn unique<'a>(before: Vec<&'a str>, after: Vec<&'a str>) -> Option<Identities<'a>> {
    let distinct = |list: &[&str]| list.iter().collect::<HashSet<_>>().len() == list.len();
    (distinct(&before) && distinct(&after)).then_some((before, after))
}

/// How to bring a list into the order of another.
///
/// Items that both lists have keep their place where their order is the same (a longest increasing subsequence); the
/// others move. The new list is made from the front: what belongs next is moved or added there, while items that belong
/// further back stay in the way until it is their turn.
struct Moves {
    /// The position of the first item within the whole list.
    start: usize,
    /// Old positions of items that go, in ascending order.
    removed: Vec<usize>,
    /// For each new item, its old position.
    origins: Vec<Option<usize>>,
    /// For each new item, its rank among the old items that stay in the list.
    ranks: Vec<Option<usize>>,
    /// By rank: whether the item keeps its order.
    fixed: Vec<bool>,
    /// By rank: how many items that keep their order come before.
    fixed_before: Vec<usize>,
    /// The new positions of items that keep their order, in that order.
    fixed_at: Vec<usize>,
}

impl Moves {
    fn new(before: &[&str], after: &[&str], start: usize) -> Self {
        let places: HashMap<&str, usize> = before.iter().enumerate().map(|(at, key)| (*key, at)).collect();
        let origins: Vec<Option<usize>> = after.iter().map(|key| places.get(key).copied()).collect();
        let mut stays = vec![false; before.len()];
        for origin in origins.iter().flatten() {
            stays[*origin] = true;
        }
        let (rank_of, count) = counted_before(&stays);
        let ranks: Vec<Option<usize>> = origins.iter().map(|origin| Some(rank_of[(*origin)?])).collect();
        let fixed_at = longest_increasing(&ranks);
        let mut fixed = vec![false; count];
        for rank in fixed_at.iter().filter_map(|at| ranks[*at]) {
            fixed[rank] = true;
        }
        let (fixed_before, _) = counted_before(&fixed);
        let removed = (0..before.len()).filter(|at| !stays[*at]).collect();
        Self { start, removed, origins, ranks, fixed, fixed_before, fixed_at }
    }

    fn patch(&self, patch: &mut Patch, old: &[&RawValue], new: &[&RawValue]) -> Patched {
        for position in self.removed.iter().rev() {
            at(patch, self.start + position, |patch| patch.write("remove", None, None))?;
        }
        self.order(patch, new)?;
        for (position, (origin, item)) in self.origins.iter().zip(new).enumerate() {
            if let Some(origin) = origin {
                at(patch, self.start + position, |patch| patch.value(old[*origin], item))?;
            }
        }
        Ok(())
    }

    /// Moves and adds.
    fn order(&self, patch: &mut Patch, new: &[&RawValue]) -> Patched {
        let mut waiting = Waiting::new(&self.fixed);
        // How many of those that keep their order are in place, and how many that wait stand before the last of them.
        let (mut passed, mut behind) = (0, 0);
        for (position, item) in new.iter().enumerate() {
            match self.ranks[position] {
                Some(rank) if self.fixed[rank] => {
                    passed += 1;
                    behind = waiting.before(rank);
                }
                Some(rank) => {
                    let skipped = self.fixed_before[rank];
                    let is_behind = skipped < passed;
                    let next = if is_behind { self.fixed_at[skipped] } else { position + skipped - passed };
                    let from = next + waiting.before(rank);
                    waiting.remove(rank);
                    behind -= usize::from(is_behind);
                    self.move_item(patch, from, position + behind)?;
                }
                None => {
                    let place = self.start + position + behind;
                    at(patch, place, |patch| patch.write("add", None, Some(item.get())))?;
                }
            }
        }
        Ok(())
    }

    fn move_item(&self, patch: &mut Patch, from: usize, to: usize) -> Patched {
        if from == to {
            return Ok(());
        }
        let source = format!("{}/{}", patch.path, self.start + from);
        at(patch, self.start + to, |patch| patch.write("move", Some(&source), None))
    }
}

/// For each place how many before it are set, and how many there are in all.
fn counted_before(flags: &[bool]) -> (Vec<usize>, usize) {
    let mut count = 0;
    let mut before = Vec::with_capacity(flags.len());
    for flag in flags {
        before.push(count);
        count += usize::from(*flag);
    }
    (before, count)
}

/// The positions of a longest run of growing values, in `n log n` steps.
fn longest_increasing(values: &[Option<usize>]) -> Vec<usize> {
    // By length: the end of the run of that length with the smallest last value.
    let mut ends: Vec<(usize, usize)> = Vec::new();
    let mut previous = vec![None; values.len()];
    for (at, value) in values.iter().enumerate() {
        let Some(value) = *value else { continue };
        let length = ends.partition_point(|(last, _)| *last < value);
        previous[at] = length.checked_sub(1).map(|shorter| ends[shorter].1);
        match ends.get_mut(length) {
            Some(end) => *end = (value, at),
            None => ends.push((value, at)),
        }
    }
    let mut run = Vec::with_capacity(ends.len());
    let mut next = ends.last().map(|(_, at)| *at);
    while let Some(at) = next {
        run.push(at);
        next = previous[at];
    }
    run.reverse();
    run
}

/// Which items wait to be moved, by rank: counts prefixes in `log n` steps (a Fenwick tree).
struct Waiting(Vec<usize>);

impl Waiting {
    fn new(fixed: &[bool]) -> Self {
        let mut tree = vec![0; fixed.len() + 1];
        for (rank, fixed) in fixed.iter().enumerate() {
            let node = rank + 1;
            tree[node] += usize::from(!fixed);
            let parent = node + (node & node.wrapping_neg());
            if parent < tree.len() {
                tree[parent] += tree[node];
            }
        }
        Self(tree)
    }

    /// How many wait with a lower rank.
    fn before(&self, rank: usize) -> usize {
        let (mut node, mut sum) = (rank, 0);
        while node > 0 {
            sum += self.0[node];
            node &= node - 1;
        }
        sum
    }

    fn remove(&mut self, rank: usize) {
        let mut node = rank + 1;
        while node < self.0.len() {
            self.0[node] -= 1;
            node += node & node.wrapping_neg();
        }
    }
}
