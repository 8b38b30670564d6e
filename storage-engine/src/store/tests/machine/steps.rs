//! What can happen in a sequence, and how likely it is: few keys and sizes near every border, so that steps meet.

use proptest::prelude::*;
use proptest::sample::select;

use super::reference::{Body, Condition, Range};

/// Which parts a Complete names.
#[derive(Clone, Copy, Debug)]
pub(super) enum Naming {
    All,
    /// The last of those that were sent, as one.
    Last,
    None,
    /// In the wrong order.
    Reversed,
    /// One more than were sent.
    OneMore,
    /// With the ETag of something else.
    WrongETag,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Pages {
    Objects,
    Versions,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum File {
    Log,
    Extent,
    Checkpoint,
    Root,
}

#[derive(Clone, Debug)]
pub(super) enum Step {
    Put {
        key: String,
        body: Body,
        typed: bool,
        condition: Condition,
    },
    Get {
        key: String,
        range: Range,
    },
    Delete {
        key: String,
        condition: Condition,
    },
    Copy {
        from: String,
        to: String,
        typed: bool,
    },
    List {
        prefix: String,
        delimiter: String,
        limit: usize,
        pages: Pages,
    },
    Begin {
        key: String,
    },
    /// An upload is chosen among all that were begun, open or not.
    Part {
        upload: usize,
        number: u16,
        body: Body,
    },
    Complete {
        upload: usize,
        naming: Naming,
    },
    Abort {
        upload: usize,
    },
    ListParts {
        upload: usize,
        limit: usize,
    },
    ListUploads {
        limit: usize,
    },
    /// Begin, two parts and Complete.
    Upload {
        key: String,
        second: Body,
    },
    /// Something happens to a file or an appendable upload; what, follows from the number and from what they are.
    Life(u16),
    /// The same, and the power is cut in the middle of it.
    LifeCut(u16),
    CleanRestart,
    /// The process is killed and the power cut, perhaps in the middle of a PUT.
    DirtyReboot {
        under_way: Option<(String, Body)>,
    },
    /// Every operation on the drive errs until it returns.
    FailDrive(usize),
    ReturnDrive,
    WipeDrive(usize),
    FlipByte {
        drive: usize,
        file: File,
        which: u16,
        at: u32,
        bit: u8,
    },
    Checkpoint,
    Compact,
    /// Everything is verified and made whole again; drives that were harmed are well afterwards.
    Heal,
    /// A drive fails, something is written without it, it returns, and what it missed is written anew.
    Widen {
        drive: usize,
        key: String,
        body: Body,
    },
    ClockJump {
        back: bool,
    },
}

const DRIVES: usize = 4;
const EDGES: [u64; 12] = [
    0, 1, 2, 9, 100, 131_071, 131_072, 131_073, 262_143, 262_144, 262_145, 300_000,
];

fn key() -> impl Strategy<Value = String> {
    let long = "k".repeat(1024);
    select(vec![
        "a".to_owned(),
        "a/".into(),
        "a/b".into(),
        "a//b".into(),
        "..".into(),
        "\u{ffff}".into(),
        long,
    ])
}

fn body() -> impl Strategy<Value = Body> {
    let len = prop_oneof![
        6 => select(vec![0_usize, 1, 10, 4096]),
        4 => select(vec![131_071_usize, 131_072, 131_073]),
        2 => select(vec![262_143_usize, 262_144, 262_145, 300_000]),
    ];
    (0..3_u8, len).prop_map(|(seed, len)| Body { seed, len })
}

fn condition() -> impl Strategy<Value = Condition> {
    prop_oneof![
        6 => Just(Condition::None),
        1 => Just(Condition::Absent),
        1 => body().prop_map(Condition::Is),
        1 => Just(Condition::Current),
    ]
}

fn range() -> impl Strategy<Value = Range> {
    let edge = || select(EDGES.to_vec());
    prop_oneof![
        3 => Just(Range::Whole),
        3 => (edge(), prop::option::of(edge())).prop_map(|(first, last)| Range::From(first, last)),
        1 => edge().prop_map(Range::Last),
    ]
}

fn requests() -> impl Strategy<Value = Step> {
    let prefix = select(vec!["", "a", "a/", "a//", ".", "z"]).prop_map(str::to_owned);
    let delimiter = select(vec!["", "/", "//", "b"]).prop_map(str::to_owned);
    let pages = select(vec![Pages::Objects, Pages::Objects, Pages::Versions]);
    prop_oneof![
        12 => (key(), body(), any::<bool>(), condition())
            .prop_map(|(key, body, typed, condition)| Step::Put { key, body, typed, condition }),
        8 => (key(), range()).prop_map(|(key, range)| Step::Get { key, range }),
        4 => (key(), condition()).prop_map(|(key, condition)| Step::Delete { key, condition }),
        3 => (key(), key(), any::<bool>()).prop_map(|(from, to, typed)| Step::Copy { from, to, typed }),
        5 => (prefix, delimiter, 1..=3_usize, pages)
            .prop_map(|(prefix, delimiter, limit, pages)| Step::List { prefix, delimiter, limit, pages }),
    ]
}

fn uploads() -> impl Strategy<Value = Step> {
    let upload = || 0..8_usize;
    let naming = prop_oneof![
        3 => Just(Naming::All),
        3 => Just(Naming::Last),
        1 => select(vec![Naming::None, Naming::Reversed, Naming::OneMore, Naming::WrongETag]),
    ];
    prop_oneof![
        3 => key().prop_map(|key| Step::Begin { key }),
        4 => (upload(), 1..=3_u16, body()).prop_map(|(upload, number, body)| Step::Part { upload, number, body }),
        4 => (upload(), naming).prop_map(|(upload, naming)| Step::Complete { upload, naming }),
        1 => upload().prop_map(|upload| Step::Abort { upload }),
        1 => (upload(), 1..=2_usize).prop_map(|(upload, limit)| Step::ListParts { upload, limit }),
        1 => (1..=2_usize).prop_map(|limit| Step::ListUploads { limit }),
        1 => (key(), body()).prop_map(|(key, second)| Step::Upload { key, second }),
    ]
}

fn events() -> impl Strategy<Value = Step> {
    let drive = || 0..DRIVES;
    let file = select(vec![
        File::Log,
        File::Log,
        File::Extent,
        File::Extent,
        File::Checkpoint,
        File::Root,
    ]);
    let flip =
        (drive(), file, any::<u16>(), any::<u32>(), 0..8_u8).prop_map(|(drive, file, which, at, bit)| Step::FlipByte {
            drive,
            file,
            which,
            at,
            bit,
        });
    prop_oneof![
        4 => Just(Step::CleanRestart),
        6 => prop::option::of((key(), body())).prop_map(|under_way| Step::DirtyReboot { under_way }),
        4 => drive().prop_map(Step::FailDrive),
        4 => Just(Step::ReturnDrive),
        2 => drive().prop_map(Step::WipeDrive),
        8 => flip,
        6 => Just(Step::Checkpoint),
        6 => Just(Step::Compact),
        2 => any::<bool>().prop_map(|back| Step::ClockJump { back }),
        1 => (drive(), key(), body()).prop_map(|(drive, key, body)| Step::Widen { drive, key, body }),
        // It takes a second: healing lets a start settle first.
        1 => Just(Step::Heal),
    ]
}

fn lives() -> impl Strategy<Value = Step> {
    prop_oneof![
        5 => any::<u16>().prop_map(Step::Life),
        1 => any::<u16>().prop_map(Step::LifeCut),
    ]
}

/// One sequence. Every step means something in every state, so that leaving steps out never breaks the rest.
pub(super) fn sequence() -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec(
        prop_oneof![8 => requests(), 3 => uploads(), 3 => events(), 3 => lives()],
        40,
    )
}
