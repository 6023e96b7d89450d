//! The server of Forge.
