//! The `drystone` binary: the allocator, and the way into `cli`.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    drystone::cli::run(std::env::args_os().collect())
}
