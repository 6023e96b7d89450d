//! The application that is measured: items on numbered boards.

use forge::prelude::*;

/// Something on a board.
#[derive(Debug, Clone, Model)]
#[model(collection = "items")]
#[model(index(board))]
pub(crate) struct Item {
    #[model(id)]
    id: i64,
    board: i32,
    title: String,
    note: String,
    votes: i32,
}

/// The items of a board: 20 of them are about 4 KB.
#[query]
async fn items(ctx: &QueryCtx, board: i32) -> Result<Vec<Item>> {
    ctx.db.find::<Item>().filter(|i| i.board.eq(board)).sort(|i| i.id.asc()).await
}

/// Fills boards `from..to` with items, `each` of them a board.
#[mutation]
async fn fill(ctx: &MutationCtx, from: i32, to: i32, each: i32) -> Result<u64> {
    let item = |board: i32, n: i32| NewItem {
        id: i64::from(board) * 100 + i64::from(n),
        board,
        title: format!("Item {n} of board {board}"),
        note: "One of those that are shown to everybody who looks at this board. ".repeat(2),
        votes: 0,
    };
    let new: Vec<_> = (from..to).flat_map(|board| (0..each).map(move |n| item(board, n))).collect();
    ctx.db.insert_many(new).await
}

/// One more vote for an item.
#[mutation]
async fn vote(ctx: &MutationCtx, id: i64) -> Result<i32> {
    Ok(ctx.db.update::<Item>(id).inc(|i| i.votes, 1).await?.votes)
}

/// One more vote for everything on the boards below `board`, in one commit.
#[mutation(transaction)]
async fn vote_below(ctx: &MutationCtx, board: i32) -> Result<u64> {
    ctx.db.update_many::<Item>().filter(|i| i.board.lt(board)).inc(|i| i.votes, 1).await
}
