//! Values that hooks hand on with a call.

use std::any::{Any, TypeId, type_name};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// Values of any types, one of each: what one hook finds out and another needs. Clients cannot send any.
///
/// ```
/// use forge_server::services::{Hooks, ServiceError, ErrorKind};
///
/// struct Plan { seats: u32 }
///
/// let hooks = Hooks::new()
///     .before([], |mut call| async move {
///         call.params.extensions.insert(Plan { seats: 5 });
///         Ok(call)
///     })
///     .before([], |call| async move {
///         match call.params.extensions.get::<Plan>() {
///             Some(plan) if plan.seats > 0 => Ok(call),
///             _ => Err(ServiceError::new(ErrorKind::PaymentError, "the plan has no seats left")),
///         }
///     });
/// ```
#[derive(Clone, Default)]
pub struct Extensions(BTreeMap<TypeId, (&'static str, Arc<dyn Any + Send + Sync>)>);

impl Extensions {
    /// Keeps `value`, in place of the one of its type that was there.
    pub fn insert<T: Send + Sync + 'static>(&mut self, value: T) {
        self.0.insert(TypeId::of::<T>(), (type_name::<T>(), Arc::new(value)));
    }

    /// The value of this type.
    pub fn get<T: Send + Sync + 'static>(&self) -> Option<&T> {
        self.0.get(&TypeId::of::<T>())?.1.downcast_ref()
    }

    /// The same, to be kept for longer than the call.
    pub fn shared<T: Send + Sync + 'static>(&self) -> Option<Arc<T>> {
        self.0.get(&TypeId::of::<T>())?.1.clone().downcast().ok()
    }

    /// Takes the value of this type out; whether there was one.
    pub fn remove<T: Send + Sync + 'static>(&mut self) -> bool {
        self.0.remove(&TypeId::of::<T>()).is_some()
    }
}

impl fmt::Debug for Extensions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.values().map(|(name, _)| name)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_one_value_of_each_type() {
        let mut extensions = Extensions::default();
        extensions.insert(1_u32);
        extensions.insert("text");
        extensions.insert(2_u32);
        assert_eq!((extensions.get::<u32>(), extensions.get::<&str>()), (Some(&2), Some(&"text")));
        assert_eq!(extensions.clone().shared::<u32>().as_deref(), Some(&2));
        assert!(extensions.remove::<u32>() && !extensions.remove::<u32>());
        assert_eq!((extensions.get::<u32>(), extensions.get::<i32>()), (None, None));
        assert!(format!("{extensions:?}").contains("str"));
    }
}
