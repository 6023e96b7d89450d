//! A small application: boards with notes.

#![allow(missing_docs, reason = "names of test handlers say what they do")]

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use forge::prelude::*;
use forge::{Error, ErrorCode};

/// What every note keeps in its private field. It must never leave the server.
pub const CANARY: &str = "canary-7f3a9c";

#[derive(Debug, Clone, PartialEq, Model)]
#[model(collection = "notes", timestamps)]
#[model(index(board, votes = -1))]
pub struct Note {
    #[model(id)]
    pub id: Id<Note>,
    pub board: String,
    #[validate(length(min = 1, max = 40))]
    pub title: String,
    #[model(default)]
    #[validate(range(min = 0))]
    pub votes: i32,
    #[model(unique)]
    pub slug: Option<String>,
    #[model(default)]
    pub tags: Vec<String>,
    #[model(embed)]
    pub frame: Option<Frame>,
    #[model(private, default = CANARY)]
    pub secret: String,
    #[model(readonly, default)]
    pub pinned: bool,
}

#[derive(Debug, Clone, PartialEq, Embed)]
pub struct Frame {
    pub colour: String,
    #[model(private)]
    pub hidden: Option<String>,
}

/// Keeps notes from going.
#[derive(Debug, Clone, PartialEq, Model)]
#[model(collection = "pins")]
pub struct Pin {
    #[model(id)]
    pub id: i64,
    pub note_id: Id<Note>,
    #[model(belongs_to(key = note_id, on_delete = restrict))]
    pub note: BelongsTo<Note>,
}

/// Notes of a board, most votes first.
#[query]
async fn notes(ctx: &QueryCtx, board: String) -> Result<Vec<Note>> {
    ctx.db.find::<Note>().filter(|n| n.board.eq(board)).sort(|n| (n.votes.desc(), n.title.asc())).await
}

#[query]
async fn note_count(ctx: &QueryCtx, board: String) -> Result<u64> {
    ctx.db.find::<Note>().filter(|n| n.board.eq(board)).count().await
}

/// As `note_count`, of the archive: a database of the same name in another cluster.
#[query]
async fn archived_count(ctx: &QueryCtx, board: String) -> Result<u64> {
    ctx.cluster("archive")?.find::<Note>().filter(|n| n.board.eq(board)).count().await
}

/// Moves the notes of a board into the archive.
#[mutation]
async fn archive_board(ctx: &MutationCtx, board: String) -> Result<u64> {
    let archive = ctx.cluster("archive")?;
    let notes = ctx.db.find::<Note>().filter(|n| n.board.eq(&board)).await?;
    for note in &notes {
        archive.insert(new_note(&board, &note.title)).await?;
    }
    ctx.db.delete_many::<Note>().filter(|n| n.board.eq(board)).await
}

/// The best notes of a board.
#[query]
async fn top(
    ctx: &QueryCtx,
    board: String,
    #[validate(range(min = 1, max = 100))] limit: i32,
) -> Result<Vec<Note>> {
    let limit = u64::try_from(limit).unwrap_or(1);
    ctx.db.find::<Note>().filter(|n| n.board.eq(board)).sort(|n| n.votes.desc()).skip(1).limit(limit).await
}

#[query]
async fn note(ctx: &QueryCtx, id: Id<Note>) -> Result<Option<Note>> {
    ctx.db.get::<Note>(id).await
}

#[query]
async fn tagged(
    ctx: &QueryCtx,
    tags: Vec<String>,
    #[validate(length(max = 10))] word: Option<String>,
) -> Result<Vec<String>> {
    let mut find = ctx.db.find::<Note>().filter(|n| n.tags.has_some(tags)).sort(|n| n.title.asc());
    if let Some(word) = word {
        find = find.filter(|n| n.title.contains(word));
    }
    Ok(find.await?.into_iter().map(|note| note.title).collect())
}

#[query]
async fn pins(ctx: &QueryCtx) -> Result<Vec<Pin>> {
    ctx.db.find::<Pin>().sort(|p| p.id.asc()).include(|p| p.note).await
}

#[query]
async fn votes_by_board(ctx: &QueryCtx) -> Result<Vec<(String, i64)>> {
    ctx.db.group_by::<Note, _>(|n| n.board).select(|n| n.votes.sum()).await
}

#[query]
async fn language(ctx: &QueryCtx) -> Result<String> {
    Ok(ctx.headers.get("accept-language").unwrap_or("none").to_owned())
}

/// The notes on the caller's own board.
#[query(auth)]
async fn my_notes(ctx: &QueryCtx) -> Result<Vec<Note>> {
    let me = ctx.auth.require()?.to_owned();
    ctx.db.find::<Note>().filter(|n| n.board.eq(me)).sort(|n| n.title.asc()).await
}

/// How many notes there are, for those who look after them.
#[query(roles("moderator"))]
async fn all_notes(ctx: &QueryCtx) -> Result<u64> {
    ctx.db.find::<Note>().count().await
}

/// Asks one that is for moderators.
#[query]
async fn through(ctx: &QueryCtx) -> Result<u64> {
    ctx.run_query("all_notes", serde_json::json!({})).await
}

/// Notes of a board by title, three a page.
#[query]
async fn pages(ctx: &QueryCtx, board: String) -> Result<Vec<String>> {
    let notes = ctx.db.find::<Note>().filter(|n| n.board.eq(board)).sort(|n| n.title.asc());
    Ok(notes.limit(ctx.window(3)).await?.into_iter().map(|note| note.title).collect())
}

#[mutation(auth)]
async fn add_mine(ctx: &MutationCtx, title: String) -> Result<Note> {
    let me = ctx.auth.require()?.to_owned();
    ctx.db.insert(new_note(&me, &title)).await
}

/// Only other handlers may call this.
#[query(internal)]
async fn whisper(_ctx: &QueryCtx) -> Result<String> {
    Ok(CANARY.to_owned())
}

#[query]
async fn panics(_ctx: &QueryCtx) -> Result<String> {
    panic!("{CANARY}")
}

/// Fails with the code that is asked for.
#[query]
async fn fails(_ctx: &QueryCtx, code: String) -> Result<String> {
    let code = ErrorCode::ALL.into_iter().find(|known| known.as_str() == code);
    Err(Error::new(
        code.unwrap_or(ErrorCode::Internal),
        if code == Some(ErrorCode::Internal) { CANARY } else { "as asked" },
    ))
}

#[mutation]
async fn add_note(ctx: &MutationCtx, note: NewNote) -> Result<Note> {
    ctx.db.insert(note).await
}

#[mutation]
async fn change_note(ctx: &MutationCtx, id: Id<Note>, patch: NotePatch) -> Result<Note> {
    ctx.db.update::<Note>(id).patch(patch).await
}

#[mutation]
async fn vote(ctx: &MutationCtx, id: Id<Note>, by: i32) -> Result<Note> {
    ctx.db.update::<Note>(id).inc(|n| n.votes, by).await
}

#[mutation]
async fn remove_note(ctx: &MutationCtx, id: Id<Note>) -> Result<Note> {
    ctx.db.delete::<Note>(id).await
}

#[mutation]
async fn pin(ctx: &MutationCtx, id: i64, note_id: Id<Note>) -> Result<Pin> {
    ctx.db.insert(NewPin { id, note_id }).await
}

/// Puts the same note on two boards, in one commit.
#[mutation(transaction)]
async fn add_to_both(ctx: &MutationCtx, first: String, second: String, title: String) -> Result<u64> {
    let note = |board: String| new_note(&board, &title);
    ctx.db.insert(note(first)).await?;
    ctx.db.insert(note(second)).await?;
    Ok(2)
}

/// Writes, and then fails.
#[mutation(transaction)]
async fn add_and_fail(ctx: &MutationCtx, board: String) -> Result<u64> {
    ctx.db.insert(new_note(&board, "gone")).await?;
    Err(Error::conflict("changed my mind"))
}

static COUNTED: AtomicU64 = AtomicU64::new(0);
static BEGUN: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Whether a run of `count_runs` with this label has begun.
pub fn begun(label: &str) -> bool {
    BEGUN.lock().unwrap().iter().any(|begun| begun == label)
}

/// How often it was run. Slow enough for two calls to meet.
#[mutation]
async fn count_runs(_ctx: &MutationCtx, label: String) -> Result<String> {
    BEGUN.lock().unwrap().push(label.clone());
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    Ok(format!("{label} {}", COUNTED.fetch_add(1, Ordering::SeqCst) + 1))
}

/// As `count_runs`, for longer than servers give mutations that say nothing.
#[mutation(deadline = "1m")]
async fn count_long_runs(_ctx: &MutationCtx, label: String) -> Result<String> {
    BEGUN.lock().unwrap().push(label.clone());
    tokio::time::sleep(std::time::Duration::from_millis(1_500)).await;
    Ok(format!("{label} {}", COUNTED.fetch_add(1, Ordering::SeqCst) + 1))
}

/// The slugs of `notes`, in order, all that were acknowledged among them.
pub fn kept_slugs(notes: &serde_json::Value, acknowledged: &[String]) -> Vec<String> {
    let slugs = notes.as_array().unwrap().iter().filter_map(|note| note["slug"].as_str());
    let mut stored: Vec<String> = slugs.map(str::to_owned).collect();
    stored.sort_unstable();
    let lost: Vec<_> = acknowledged.iter().filter(|slug| stored.binary_search(slug).is_err()).collect();
    assert!(
        lost.is_empty(),
        "{} of {} acknowledged writes are lost: {lost:?}",
        lost.len(),
        acknowledged.len()
    );
    stored
}

static TOLD: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// How often the effect of `add_and_tell` ran for this title.
pub fn told(title: &str) -> usize {
    TOLD.lock().unwrap().iter().filter(|told| *told == title).count()
}

/// Adds a note, and tells of it once it is there to stay; or fails after both.
#[mutation(transaction)]
async fn add_and_tell(ctx: &MutationCtx, title: String, fail: bool) -> Result<Note> {
    let note = ctx.db.insert(new_note("told", &title)).await?;
    ctx.after_commit(move || async move {
        TOLD.lock().unwrap().push(title);
        Ok(())
    });
    if fail { Err(Error::conflict("changed my mind")) } else { Ok(note) }
}

/// Adds a note, slowly enough for two calls to meet.
#[mutation(transaction)]
async fn add_slowly(ctx: &MutationCtx, board: String) -> Result<Note> {
    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    ctx.db.insert(new_note(&board, "slow")).await
}

#[query(deadline = "50ms")]
async fn dawdle(_ctx: &QueryCtx) -> Result<u64> {
    tokio::time::sleep(std::time::Duration::from_secs(20)).await;
    Ok(0)
}

/// Writes, and is too late.
#[mutation(transaction, deadline = "100ms")]
async fn add_too_late(ctx: &MutationCtx, board: String) -> Result<u64> {
    ctx.db.insert(new_note(&board, "late")).await?;
    tokio::time::sleep(std::time::Duration::from_secs(20)).await;
    Ok(0)
}

/// Goes on for longer than anybody waits.
#[mutation(concurrency = 1, deadline = "200ms")]
async fn hog(_ctx: &MutationCtx) -> Result<u64> {
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    Ok(0)
}

/// The most calls of it that were under way at the same time.
#[query(concurrency = 2)]
async fn crowd(_ctx: &QueryCtx) -> Result<usize> {
    static NOW: AtomicUsize = AtomicUsize::new(0);
    static MOST: AtomicUsize = AtomicUsize::new(0);
    MOST.fetch_max(NOW.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    NOW.fetch_sub(1, Ordering::SeqCst);
    Ok(MOST.load(Ordering::SeqCst))
}

#[mutation]
async fn clear_board(ctx: &MutationCtx, board: String) -> Result<u64> {
    ctx.db.delete_many::<Note>().filter(|n| n.board.eq(board)).await
}

#[mutation(internal)]
async fn wipe(ctx: &MutationCtx) -> Result<u64> {
    ctx.db.delete_many::<Note>().all().await
}

/// Adds a note later; answers with the id of the job.
#[mutation]
async fn add_later(ctx: &MutationCtx, board: String, title: String, millis: u32) -> Result<String> {
    let args = LateNote { board, title };
    ctx.schedule_in(std::time::Duration::from_millis(millis.into()), "add_late", args).await
}

/// Adds a note later, and then fails.
#[mutation(transaction)]
async fn add_later_and_fail(ctx: &MutationCtx, board: String) -> Result<String> {
    let args = LateNote { board, title: "gone".to_owned() };
    ctx.schedule_in(std::time::Duration::ZERO, "add_late", args).await?;
    Err(Error::conflict("changed my mind"))
}

/// Adds a note later, and takes the program down with it as soon as the job is there to stay, where the title asks for it.
#[mutation(transaction)]
async fn add_later_and_go(ctx: &MutationCtx, board: String, title: String) -> Result<String> {
    let goes = title == "last words";
    // Not at once: servers hold the locks of a dead client's transaction for a minute.
    let delay = std::time::Duration::from_secs(3);
    let id = ctx.schedule_in(delay, "add_late", LateNote { board, title }).await?;
    ctx.after_commit(move || async move { if goes { std::process::exit(9) } else { Ok(()) } });
    Ok(id)
}

/// Runs the mutation `name` later, without arguments or for a board.
#[mutation]
async fn run_later(ctx: &MutationCtx, name: String, board: Option<String>) -> Result<String> {
    let args = board.map_or_else(|| serde_json::json!({}), |board| serde_json::json!({ "board": board }));
    ctx.schedule_in(std::time::Duration::ZERO, &name, args).await
}

static JOSTLING: AtomicUsize = AtomicUsize::new(0);
static JOSTLED: AtomicUsize = AtomicUsize::new(0);

/// The most runs of `jostle` that were under way at the same time.
pub fn jostled() -> usize {
    JOSTLED.load(Ordering::SeqCst)
}

#[mutation(internal, concurrency = 1)]
async fn jostle(_ctx: &MutationCtx) -> Result<()> {
    JOSTLED.fetch_max(JOSTLING.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    JOSTLING.fetch_sub(1, Ordering::SeqCst);
    Ok(())
}

#[mutation]
async fn cancel_later(ctx: &MutationCtx, id: String) -> Result<bool> {
    ctx.cancel_scheduled(&id).await
}

/// The arguments of [`add_late`].
#[derive(serde::Serialize)]
struct LateNote {
    board: String,
    title: String,
}

/// Adds a note; one titled `flaky` only the second time that it is tried, one titled `slow` after a while.
#[mutation(internal, transaction)]
async fn add_late(ctx: &MutationCtx, board: String, title: String) -> Result<()> {
    static TRIED: AtomicU64 = AtomicU64::new(0);
    if title == "slow" {
        // Before it writes: servers hold the locks of a dead client's transaction for a minute.
        tokio::time::sleep(std::time::Duration::from_millis(1_500)).await;
    }
    ctx.db.insert(new_note(&board, &title)).await?;
    match title.as_str() {
        "flaky" if TRIED.fetch_add(1, Ordering::SeqCst) == 0 => Err(Error::unavailable("not yet")),
        _ => Ok(()),
    }
}

/// Every new year.
#[cron("0 0 1 1 *", transaction)]
async fn celebrate(ctx: &MutationCtx) -> Result<()> {
    ctx.db.insert(new_note("calendar", "new year")).await?;
    Ok(())
}

/// A note with nothing but what is required.
pub fn new_note(board: &str, title: &str) -> NewNote {
    NewNote {
        id: None,
        board: board.to_owned(),
        title: title.to_owned(),
        votes: None,
        slug: None,
        tags: None,
        frame: None,
        secret: None,
        pinned: None,
    }
}
