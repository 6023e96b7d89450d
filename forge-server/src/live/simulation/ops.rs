//! What happens to the server in a simulation.

use proptest::prelude::*;

use crate::live::event::SubId;

#[derive(Debug, Clone)]
pub(in crate::live) enum Op {
    Subscribe { socket: u64, id: SubId, query: &'static str, arg: i32 },
    Unsubscribe { socket: u64, id: SubId },
    Page { socket: u64, id: SubId },
    Identify { socket: u64, language: usize },
    Close { socket: u64 },
    Reconnect { socket: u64 },
    Write { socket: Option<u64>, changes: Vec<(usize, i32, i32)>, pre_images: bool },
    WriteAbroad { id: usize, value: i32 },
    LoseHistory,
    FailFeed { lasts: u64 },
}

/// Any of them.
pub(super) fn op() -> impl Strategy<Value = Op> {
    let query =
        prop::sample::select(vec!["group", "doc", "all", "follow", "spoken", "windowed", "fussy", "abroad"]);
    let change = (0..5_usize, 0..3, 0..5);
    prop_oneof![
        4 => (0..4_u64, 0..6_u64, query, 0..3).prop_map(|(socket, id, query, arg)| Op::Subscribe { socket, id, query, arg }),
        1 => (0..4_u64, 0..6_u64).prop_map(|(socket, id)| Op::Unsubscribe { socket, id }),
        2 => (0..4_u64, 0..6_u64).prop_map(|(socket, id)| Op::Page { socket, id }),
        2 => (0..4_u64, 0..2_usize).prop_map(|(socket, language)| Op::Identify { socket, language }),
        1 => (0..4_u64).prop_map(|socket| Op::Close { socket }),
        2 => (0..4_u64).prop_map(|socket| Op::Reconnect { socket }),
        8 => (prop::option::of(0..4_u64), prop::collection::vec(change, 1..4), any::<bool>())
            .prop_map(|(socket, changes, pre_images)| Op::Write { socket, changes, pre_images }),
        4 => (0..3_usize, 0..5).prop_map(|(id, value)| Op::WriteAbroad { id, value }),
        1 => Just(Op::LoseHistory),
        1 => (1..100_u64).prop_map(|lasts| Op::FailFeed { lasts }),
    ]
}
