//! The writing methods of the database handle.

use crate::db::{CanWrite, Db};
use crate::query::{
    Delete, DeleteMany, Insert, InsertMany, Replace, Restore, RestoreMany, Update, UpdateFirst, UpdateMany,
    Upsert,
};
use crate::traits::{Model, NewRecord, encode_new};
use crate::value::{IntoValue, id_to_bson};

// The bound stands on the methods: on the block, a query that writes would be told that the method does not exist.
impl<A> Db<A> {
    /// Inserts a document and gives it back as stored; [`with`](Insert::with) also writes related documents.
    pub fn insert<N: NewRecord>(&self, new: N) -> Insert<N, N::Model>
    where
        A: CanWrite,
    {
        Insert::new(self.handle.clone(), new)
    }

    /// Inserts documents, in order; answers with how many.
    ///
    /// ```ignore
    /// let count = db.insert_many(flights).await?;
    /// let done = db.insert_many(lines.map(parse)).skip_duplicates().await?;
    /// for skipped in &done.skipped {
    ///     println!("line {} is there already: same {:?}", skipped.position, skipped.fields);
    /// }
    /// ```
    pub fn insert_many<'a, N, I>(&self, new: I) -> InsertMany<'a, N>
    where
        A: CanWrite,
        N: NewRecord,
        I: IntoIterator<Item = N>,
        I::IntoIter: Send + 'a,
    {
        InsertMany::new(self.handle.clone(), new.into_iter())
    }

    /// Inserts a document, or changes the one that is there already.
    pub fn upsert<N: NewRecord>(&self, new: N) -> Upsert<N::Model>
    where
        A: CanWrite,
    {
        Upsert::new(self.handle.clone(), encode_new(new, self.env()))
    }

    /// Changes the document with this id.
    pub fn update<M: Model>(&self, id: impl IntoValue<M::Id>) -> Update<M>
    where
        A: CanWrite,
    {
        Update::new(self.handle.clone(), id_to_bson::<M>(id))
    }

    /// Changes the first document that matches, in the order asked for.
    ///
    /// ```ignore
    /// let job = db.update_first::<Job>().filter(|j| j.owner.is_null()).sort(|j| j.due.asc()).set(|j| j.owner, me).await?;
    /// ```
    pub fn update_first<M: Model>(&self) -> UpdateFirst<M>
    where
        A: CanWrite,
    {
        UpdateFirst::new(self.handle.clone())
    }

    /// Changes every document that matches.
    pub fn update_many<M: Model>(&self) -> UpdateMany<M>
    where
        A: CanWrite,
    {
        UpdateMany::new(self.handle.clone())
    }

    /// Puts a whole new state in place of the document with this id.
    pub fn replace<M: Model>(&self, id: impl IntoValue<M::Id>, new: M::New) -> Replace<M>
    where
        A: CanWrite,
    {
        Replace::new(self.handle.clone(), id_to_bson::<M>(id), encode_new(new, self.env()))
    }

    /// Writes a loaded document back, every field of it.
    ///
    /// With a `#[model(version)]` only if nobody has changed it since it was read; without, the last one wins. The time of
    /// creation, the version and fields that the struct does not declare are not taken from it.
    pub fn save<M: Model>(&self, document: &M) -> Replace<M>
    where
        A: CanWrite,
    {
        Replace::save(self.handle.clone(), document)
    }

    /// Deletes the document with this id and what its relations say.
    pub fn delete<M: Model>(&self, id: impl IntoValue<M::Id>) -> Delete<M>
    where
        A: CanWrite,
    {
        Delete::new(self.handle.clone(), id_to_bson::<M>(id))
    }

    /// Deletes every document that matches and what their relations say.
    pub fn delete_many<M: Model>(&self) -> DeleteMany<M>
    where
        A: CanWrite,
    {
        DeleteMany::new(self.handle.clone())
    }

    /// Ends the soft delete of the document with this id.
    pub fn restore<M: Model>(&self, id: impl IntoValue<M::Id>) -> Restore<M>
    where
        A: CanWrite,
    {
        Restore::new(self.handle.clone(), id_to_bson::<M>(id))
    }

    /// Ends the soft delete of every document that matches.
    pub fn restore_many<M: Model>(&self) -> RestoreMany<M>
    where
        A: CanWrite,
    {
        RestoreMany::new(self.handle.clone())
    }
}
