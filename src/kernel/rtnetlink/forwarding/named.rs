//! Names of interfaces by their indices.

use netkeel_core::name::link::LinkName;

/// Finds the name of an interface by its index.
pub(super) type Named<'a> = &'a dyn Fn(u32) -> Option<LinkName>;
