//! Where the commands print. Whoever reads them may go away before the end (`drystone inspect … | head`): then nothing
//! more is printed, and the command ends as it would have ended.

use std::fmt::Display;
use std::io::{Write, stderr, stdout};

use crate::media::is_invisible;

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

/// Prints a line to standard error. It may quote a server, or names that strangers gave: nothing in it moves the cursor, colours
/// the terminal or turns the direction of writing.
pub fn problem(text: impl Display) {
    put(&mut stderr().lock(), format_args!("{}\n", harmless(&text.to_string())));
}

/// The text, with a replacement character for each that a terminal would obey.
pub fn harmless(text: &str) -> String {
    let shown = |c: char| match c {
        '\n' | '\t' => c,
        c if c.is_control() || is_invisible(c) => char::REPLACEMENT_CHARACTER,
        c => c,
    };
    text.chars().map(shown).collect()
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
    fn what_a_terminal_would_obey_is_not_printed() {
        let told = "a\u{1b}[31mred\r\u{7}\u{202e}txt\n\tnext";
        assert_eq!(harmless(told), "a\u{fffd}[31mred\u{fffd}\u{fffd}\u{fffd}txt\n\tnext");
    }

    #[test]
    fn a_reader_that_went_away_is_no_failure() {
        assert!(!put(&mut Closed, format_args!("{}\n", "a line")));
        let mut open = Vec::new();
        assert!(put(&mut open, format_args!("{}\n", "a line")));
        assert_eq!(open, b"a line\n");
    }
}
