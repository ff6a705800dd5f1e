//! The binary: arguments become a command. The only place that exits.

/// The process-wide allocator: a proxy allocates small and short-lived.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {}
