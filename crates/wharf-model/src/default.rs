//! Leaves fields with their default out of JSON.

/// Whether `value` is what its type has when nothing is said.
pub(crate) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
