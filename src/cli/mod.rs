//! The commands: a file each.

mod running;
mod serve;

pub use running::{CannotRun, Running};
pub use serve::Serve;
