//! The commands: a file each.

mod demo;
mod running;
mod serve;

pub use demo::Demo;
pub use running::{CannotRun, Running};
pub use serve::Serve;
