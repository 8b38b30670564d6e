//! The benchmark's command line.

use anyhow::Result;
use clap::Parser as _;
use compat_tests::bench::{Arguments, floor, run};

fn main() -> Result<()> {
    if std::env::args().nth(1).as_deref() == Some(floor::FLOOR) {
        return tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()?
            .block_on(floor::serve());
    }
    run(&Arguments::parse())
}
