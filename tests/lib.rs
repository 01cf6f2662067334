//! What the end-to-end tests share: random networks, and a reference engine that is as plain as can be.

pub mod network;
pub mod reference;
