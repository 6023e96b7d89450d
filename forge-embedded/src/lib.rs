//! The embedded engine of Forge.
