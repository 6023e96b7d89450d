//! Tenants: models with a `tenant_key` are read and written for one of them at a time.

use std::fmt;
use std::sync::Arc;

use bson::raw::RawBsonRef;
use bson::{Bson, RawBson, RawDocumentBuf};
use serde::Serialize;

use crate::db::{Db, Handle};
use crate::error::{Error, Result};
use crate::ir::Filter;
use crate::model::ModelDef;
use crate::traits::Model;
use crate::value::to_bson;

/// Whose documents a handle means, of models that belong to tenants.
#[derive(Clone, Default, PartialEq)]
pub enum TenantScope {
    /// Nobody was named: models that belong to tenants cannot be used.
    #[default]
    Unset,
    /// This tenant's.
    One(Arc<Bson>),
    /// Everybody's.
    Across,
    /// A tenant was named by something that names none.
    Broken(Arc<str>),
}

impl fmt::Debug for TenantScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TenantScope::Unset => "unset",
            TenantScope::One(_) => "one tenant",
            TenantScope::Across => "across tenants",
            TenantScope::Broken(_) => "no tenant",
        })
    }
}

impl TenantScope {
    /// The tenant that `value` names.
    pub fn of<T: Serialize + 'static>(value: &T) -> Self {
        match to_bson(value) {
            Ok(Bson::Null | Bson::Undefined) => Self::Broken("the tenant is null".into()),
            Ok(value @ (Bson::Array(_) | Bson::Document(_) | Bson::RegularExpression(_))) => {
                Self::Broken(format!("a tenant is one plain value, not {:?}", value.element_type()).into())
            }
            Ok(value) => Self::One(Arc::new(value)),
            Err(error) => Self::Broken(error.message().into()),
        }
    }

    /// The path and value that every document of `model` must have; none where the model or the handle is for everybody.
    ///
    /// # Errors
    /// [`ErrorCode::Internal`](crate::ErrorCode::Internal) where the model belongs to tenants and none is named.
    pub fn key(&self, model: &ModelDef) -> Result<Option<(&'static str, &Bson)>> {
        let Some(path) = model.tenant else { return self.allow_view(model).map(|()| None) };
        match self {
            TenantScope::One(value) => Ok(Some((path, value))),
            TenantScope::Across => Ok(None),
            TenantScope::Unset => Err(Error::internal(format!(
                "{0} belongs to tenants, and this database handle is for none: use db.tenant(…), or \
                 db.across_tenants() if every tenant's {0} is meant",
                model.name
            ))),
            TenantScope::Broken(why) => {
                Err(Error::internal(format!("{} belongs to tenants, and {why}", model.name)))
            }
        }
    }

    /// Refuses a view that shows the documents of many tenants and cannot tell them apart.
    fn allow_view(&self, model: &ModelDef) -> Result<()> {
        let mut view = model.view;
        while let Some(over) = view {
            let source = (over.source)();
            if source.tenant.is_some() && *self != TenantScope::Across {
                return Err(Error::internal(format!(
                    "{0} is a view over {1}, which belongs to tenants, and has no tenant key of its own: give it one, or \
                     use db.across_tenants()",
                    model.name, source.name
                )));
            }
            view = source.view;
        }
        Ok(())
    }

    /// The condition on documents of `model`.
    ///
    /// # Errors
    /// As [`key`](TenantScope::key).
    pub fn condition(&self, model: &ModelDef) -> Result<Filter> {
        Ok(self.key(model)?.map_or(Filter::All, |(path, value)| Filter::eq(path, value.clone())))
    }

    /// Gives a document to the tenant, unless it is the tenant's already.
    ///
    /// # Errors
    /// As [`key`](TenantScope::key); [`ErrorCode::Forbidden`](crate::ErrorCode::Forbidden) where the document names
    /// another tenant, [`ErrorCode::Validation`](crate::ErrorCode::Validation) where nobody names one.
    pub fn claim(&self, model: &ModelDef, document: &mut RawDocumentBuf) -> Result<()> {
        let Some(path) = model.tenant else { return Ok(()) };
        let key = self.key(model)?;
        let own = document.get(path).map_err(|error| Error::internal(format!("BSON: {error}")))?;
        match (own, key) {
            (None | Some(RawBsonRef::Null), None) => {
                let message = "is required across tenants".to_owned();
                let messages = [(path.to_owned(), vec![message])].into();
                Err(Error::validation(&format!("{}.insert", model.name), messages))
            }
            (Some(_), None) => Ok(()),
            (Some(own), Some((_, tenant))) => {
                if Bson::try_from(own).is_ok_and(|own| own == *tenant) {
                    Ok(())
                } else {
                    Err(foreign(model))
                }
            }
            (None, Some((_, tenant))) => {
                let tenant = RawBson::try_from(tenant.clone())?;
                let name = bson::raw::CString::try_from(path)?;
                document.append(name, tenant);
                Ok(())
            }
        }
    }
}

/// The error of a write that would give a document to, or take it from, another tenant.
pub fn foreign(model: &ModelDef) -> Error {
    Error::forbidden(format!("this {} would belong to another tenant", model.name))
}

impl Handle {
    /// Gives a new document to the handle's tenant.
    pub(crate) fn claim<M: Model>(&self, document: &mut RawDocumentBuf) -> Result<()> {
        self.exec.tenant.claim(M::def(), document)
    }
}

impl<A> Db<A> {
    /// The same database for one tenant: of models with a `tenant_key`, every read, include, relation filter, aggregate,
    /// count, update, delete, cascade, unique index and watched change is about this tenant's documents, and inserts
    /// are given to it. Other models are not touched.
    ///
    /// The value is the server's to choose, from a checked token for example; clients cannot send it.
    pub fn tenant<T: Serialize + 'static>(&self, tenant: T) -> Self {
        let mut db = self.clone();
        db.handle.exec.tenant = TenantScope::of(&tenant);
        db
    }

    /// The same database for all tenants at once: reports, migrations, clean-ups.
    pub fn across_tenants(&self) -> Self {
        let mut db = self.clone();
        db.handle.exec.tenant = TenantScope::Across;
        db
    }

    /// Whose documents this handle means.
    pub fn tenant_scope(&self) -> &TenantScope {
        &self.handle.exec.tenant
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorCode;
    use bson::rawdoc;

    static NOTE: ModelDef = ModelDef { tenant: Some("org"), ..ModelDef::new("Note", "notes", &[], 0) };

    #[test]
    fn nothing_that_names_no_tenant_is_one() {
        assert!(matches!(TenantScope::of(&None::<String>), TenantScope::Broken(_)));
        assert!(matches!(TenantScope::of(&vec!["a"]), TenantScope::Broken(_)));
        for scope in [TenantScope::Unset, TenantScope::of(&None::<String>)] {
            assert_eq!(scope.condition(&NOTE).unwrap_err().code(), ErrorCode::Internal);
        }
        assert_eq!(TenantScope::Across.condition(&NOTE).unwrap(), Filter::All);
        assert_eq!(TenantScope::of(&"a").condition(&NOTE).unwrap(), Filter::eq("org", "a"));
    }

    #[test]
    fn a_document_is_given_to_the_tenant_and_never_taken_from_another() {
        let (scope, mut document) = (TenantScope::of(&"a"), rawdoc! { "_id": 1 });
        scope.claim(&NOTE, &mut document).unwrap();
        assert_eq!(document, rawdoc! { "_id": 1, "org": "a" });
        scope.claim(&NOTE, &mut document).unwrap();
        let error = TenantScope::of(&"b").claim(&NOTE, &mut document).unwrap_err();
        assert_eq!(error.code(), ErrorCode::Forbidden);
        TenantScope::Across.claim(&NOTE, &mut document).unwrap();
        let error = TenantScope::Across.claim(&NOTE, &mut rawdoc! {}).unwrap_err();
        assert_eq!(error.code(), ErrorCode::Validation);
    }
}
