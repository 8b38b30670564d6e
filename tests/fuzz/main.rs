//! Fuzz targets on the stable toolchain: every decoder of bytes that come from a drive or from a client.
//!
//! Each target is a plain function from bytes to nothing that panics when something is wrong; `fuzz/` runs the same
//! functions under cargo-fuzz. `DRYSTONE_FUZZ_SECONDS` is the time per target, `DRYSTONE_FUZZ_SEED` where it starts.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "in a fuzz target a panic is the answer"
)]

mod driver;
mod targets;

/// One test per target, so that they run beside each other and are named in the report.
macro_rules! fuzzed {
    ($($name:ident),+ $(,)?) => {
        $(
            #[test]
            fn $name() {
                driver::run(targets::find(stringify!($name)));
            }
        )+

        #[test]
        fn every_target_is_a_test() {
            let tests = [$(stringify!($name)),+];
            let all: Vec<&str> = targets::TARGETS.iter().map(|target| target.name).collect();
            assert_eq!(tests.as_slice(), all);
        }
    };
}

fuzzed!(
    frame,
    shard_header,
    log_record,
    row,
    checkpoint,
    root_slot,
    scrub_pass,
    aws_chunked,
    aws_chunked_signed,
    signature,
    xml_body,
    range_header,
    http_date,
    list_token,
    policy,
    names,
    sealed_body,
    link_token,
    file_name,
    media_type,
    first_bytes,
    image_header,
    image_url,
);
