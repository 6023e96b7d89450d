//! Models with policies.

#![allow(missing_docs, reason = "names of test models say what they are")]

use forge::Error;
use forge::prelude::*;
use forge::query::Filter;

/// What every letter of others holds. It must never reach a caller who may not read it.
pub const SEALED: &str = "sealed-51e0";

/// A box that members read and its owner changes.
#[derive(Debug, Clone, PartialEq, Model)]
#[model(collection = "mailboxes")]
pub struct Mailbox {
    #[model(id)]
    pub id: String,
    #[model(default)]
    pub members: Vec<String>,
    #[model(has_many(key = mailbox_id))]
    pub letters: HasMany<Letter>,
}

/// Read by its author and the members of its box, and changed by its author; editors read and change all.
#[derive(Debug, Clone, PartialEq, Model)]
#[model(collection = "letters", soft_delete, pre_images, policy = Letters)]
pub struct Letter {
    #[model(id)]
    pub id: i64,
    pub author: String,
    pub mailbox_id: String,
    pub text: String,
    #[model(default)]
    pub stamps: i32,
    #[model(belongs_to(key = mailbox_id, on_delete = cascade))]
    pub mailbox: BelongsTo<Mailbox>,
    #[model(has_many(key = letter_id))]
    pub replies: HasMany<Reply>,
}

/// Read and written by its author alone.
#[derive(Debug, Clone, PartialEq, Model)]
#[model(collection = "replies", pre_images, policy = OwnReplies)]
pub struct Reply {
    #[model(id)]
    pub id: i64,
    pub author: String,
    pub letter_id: i64,
    pub text: String,
    #[model(belongs_to(key = letter_id, on_delete = cascade))]
    pub letter: BelongsTo<Letter>,
}

/// The policy of [`Letter`].
#[derive(Debug)]
pub struct Letters;

impl Policy<Letter> for Letters {
    fn read(caller: &PolicyCtx) -> Result<Filter<Letter>> {
        if caller.auth.has_role("editor") {
            return Ok(Filter::everything());
        }
        let me = caller.auth.require()?;
        Ok(Filter::<Letter>::on(|l| l.author.eq(me) | l.mailbox.is(|b| b.members.has(me))))
    }

    fn write(caller: &PolicyCtx, write: Write<'_, Letter>) -> Result<()> {
        if caller.auth.has_role("editor") {
            return Ok(());
        }
        let me = caller.auth.require()?;
        match write.states().all(|letter| letter.author == me) {
            true => Ok(()),
            false => Err(Error::forbidden("letters are their author's to write")),
        }
    }
}

/// The policy of [`Reply`].
#[derive(Debug)]
pub struct OwnReplies;

impl Policy<Reply> for OwnReplies {
    fn read(caller: &PolicyCtx) -> Result<Filter<Reply>> {
        Ok(match caller.auth.subject() {
            Some(me) => Filter::<Reply>::on(|r| r.author.eq(me)),
            None => Filter::nothing(),
        })
    }

    fn write(caller: &PolicyCtx, write: Write<'_, Reply>) -> Result<()> {
        let me = caller.auth.require()?;
        match write.states().all(|reply| reply.author == me) {
            true => Ok(()),
            false => Err(Error::forbidden("replies are their author's to write")),
        }
    }
}

/// A letter with nothing but what is required.
pub fn letter(id: i64, author: &str, mailbox: &str, text: &str) -> NewLetter {
    NewLetter {
        id,
        author: author.to_owned(),
        mailbox_id: mailbox.to_owned(),
        text: text.to_owned(),
        stamps: None,
    }
}

/// A reply.
pub fn reply(id: i64, author: &str, letter: i64, text: &str) -> NewReply {
    NewReply { id, author: author.to_owned(), letter_id: letter, text: text.to_owned() }
}

#[query]
async fn my_replies(ctx: &QueryCtx) -> Result<Vec<Reply>> {
    ctx.db.find::<Reply>().sort(|r| r.id.asc()).await
}

#[query]
async fn letters(ctx: &QueryCtx) -> Result<Vec<Letter>> {
    ctx.db.find::<Letter>().sort(|l| l.id.asc()).include(|l| l.replies).await
}

#[mutation]
async fn send_reply(ctx: &MutationCtx, reply: NewReply) -> Result<Reply> {
    ctx.db.insert(reply).await
}

/// Replies in another cluster.
#[query]
async fn archived_replies(ctx: &QueryCtx) -> Result<Vec<Reply>> {
    ctx.cluster("archive")?.find::<Reply>().await
}

#[mutation]
async fn archive_reply(ctx: &MutationCtx, reply: NewReply) -> Result<Reply> {
    ctx.cluster("archive")?.insert(reply).await
}

#[mutation]
async fn change_reply(ctx: &MutationCtx, id: i64, patch: ReplyPatch) -> Result<Reply> {
    ctx.db.update::<Reply>(id).patch(patch).await
}

/// Tries what may not be, and goes on as if nothing had happened.
#[mutation(transaction)]
async fn steal_quietly(ctx: &MutationCtx, id: i64, thief: String) -> Result<bool> {
    Ok(ctx.db.update::<Reply>(id).set(|r| r.author, thief).await.is_err())
}
