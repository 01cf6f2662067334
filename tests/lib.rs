//! Support for the end-to-end tests: random networks, a reference engine that is as plain as can be, and runs
//! on emulated boards.

#![forbid(unsafe_code)]

pub mod bench;
pub mod boards;
pub mod counts;
pub mod deployment;
pub mod device;
pub mod flash;
pub mod ideal;
pub mod mnist;
pub mod model;
pub mod network;
pub mod numbers;
pub mod power_cuts;
pub mod reference;
