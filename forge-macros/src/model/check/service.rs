//! The service of a model.

use super::super::ast::Struct;
use super::{Access, Stored};
use crate::attr::service::Service;
use crate::diag::Diag;
use crate::names;

const READS: [&str; 2] = ["find", "get"];

/// The service that the attribute asks for; that of a view reads only.
pub(super) fn service(ast: &Struct, stored: &[Stored<'_>], diag: &Diag) -> Option<Service> {
    let service = ast.attrs.service.get()?.clone();
    if let Some(id) = service.id.get() {
        let readable = stored.iter().filter(|field| field.access != Access::Private);
        let mut clients = readable.map(|field| field.client.as_str());
        let name = id.value();
        if !clients.clone().any(|client| client == name) {
            let meant = names::closest(&name, clients.clone())
                .map_or(String::new(), |meant| format!("; did you mean {meant:?}?"));
            diag.hint(
                id,
                format_args!("clients read no field {name:?}{meant}"),
                format_args!("name a field as clients see it: {}", names::listed(&mut clients)),
            );
        }
    }
    if ast.attrs.view.is_set() {
        let methods = service.methods.get().into_iter().flatten();
        let writes = methods.filter(|method| !READS.contains(&method.as_str())).count();
        let key = service.methods.key().filter(|_| writes > 0).or_else(|| service.multi.key());
        if let Some(key) = key {
            diag.hint(key, "a view is only read", "write `methods = [find, get]`, or leave it out");
        }
    }
    Some(service)
}
