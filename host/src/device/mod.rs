//! Real boards: talking with a device that runs an image.

pub mod link;
pub mod run;
pub mod session;
