//! What the end-to-end tests share: random networks, a reference engine that is as plain as can be,
//! and runs on emulated boards.

pub mod boards;
pub mod model;
pub mod network;
pub mod reference;
pub mod stepwise;
