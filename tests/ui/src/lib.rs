//! What the macros accept, and what they say about the rest: see `tests/macros.rs`.
