//! The soak's command line.

use anyhow::Result;
use clap::Parser as _;
use compat_tests::soak::{Arguments, run};

fn main() -> Result<()> {
    run(&Arguments::parse())
}
