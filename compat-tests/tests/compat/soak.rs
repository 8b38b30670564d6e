//! The soak in its short form; `cargo run --release -p compat-tests --bin soak` is the long one.

use compat_tests::soak::{Arguments, run};

use crate::stage::{Needs, Stage, Test};

pub(crate) fn tests() -> Vec<Test> {
    vec![
        Test::alone("a_store_soaked_while_its_drives_fail_loses_nothing", |stage| {
            run(&arguments(stage))
        }),
        Test {
            name: "eight_drives_survive_two_wiped_at_once_one_hung_and_one_returned_stale",
            needs: Needs::Strace,
            play: |stage| run(&losses(stage)),
        },
    ]
}

/// As much as the parity bears, at once; `DRYSTONE_LOSSES_HOLD` for longer.
fn losses(stage: &Stage) -> Arguments {
    let hold = std::env::var("DRYSTONE_LOSSES_HOLD").ok();
    Arguments {
        losses: true,
        hold: hold.and_then(|text| text.parse().ok()).unwrap_or(4.0),
        ..arguments(stage)
    }
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
