//! The derive and attribute macros of Forge.
