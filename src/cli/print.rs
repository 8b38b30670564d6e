//! Where the commands print. Whoever reads them may go away before the end (`drystone inspect … | head`): then nothing
//! more is printed, and the command ends as it would have ended.

use std::fmt::Display;
use std::io::{Write, stderr, stdout};

/// Prints to standard output as it is.
pub fn text(text: impl Display) {
    put(&mut stdout().lock(), format_args!("{text}"));
}

/// Prints a line to standard output.
pub fn line(text: impl Display) {
    put(&mut stdout().lock(), format_args!("{text}\n"));
}

/// Prints a line to standard output, and gives whether somebody may still read there: what goes on for ever asks.
pub fn line_heard(text: impl Display) -> bool {
    put(&mut stdout().lock(), format_args!("{text}\n"))
}

/// Prints a line to standard error.
pub fn problem(text: impl Display) {
    put(&mut stderr().lock(), format_args!("{text}\n"));
}

/// Whether it was printed; to most it is no matter that nobody listens.
fn put(to: &mut impl Write, text: std::fmt::Arguments<'_>) -> bool {
    to.write_fmt(text).and_then(|()| to.flush()).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Closed;

    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Err(std::io::ErrorKind::BrokenPipe.into())
        }
    }

    #[test]
    fn a_reader_that_went_away_is_no_failure() {
        assert!(!put(&mut Closed, format_args!("{}\n", "a line")));
        let mut open = Vec::new();
        assert!(put(&mut open, format_args!("{}\n", "a line")));
        assert_eq!(open, b"a line\n");
    }
}
