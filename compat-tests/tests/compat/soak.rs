//! The soak in its short form; `cargo run --release -p compat-tests --bin soak` is the long one.

use compat_tests::soak::{Arguments, run};

use crate::stage::{Stage, Test};

pub(crate) fn tests() -> Vec<Test> {
    vec![Test::alone(
        "a_store_soaked_while_its_drives_fail_loses_nothing",
        |stage| run(&arguments(stage)),
    )]
}

/// Each thing once, briefly; `DRYSTONE_SOAK_MINUTES` for longer.
fn arguments(stage: &Stage) -> Arguments {
    let minutes = std::env::var("DRYSTONE_SOAK_MINUTES").ok();
    Arguments {
        minutes: minutes.and_then(|text| text.parse().ok()).unwrap_or(1.25),
        clients: 16,
        keys: 208,
        hold: 3.0,
        calm: 2.0,
        losses: false,
        folder: Some(stage.files.clone()),
    }
}
