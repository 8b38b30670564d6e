//! Expansion of `{a...b}` in drive paths, by the rules that MinIO's users know.
//!
//! Pure: text in, texts out. It never looks at the file system.
//! `/data{1...4}` names four drives; several patterns in one argument multiply; `{01...16}` keeps its zeros.

/// Most drives that one argument may expand to.
pub const EXPANSION_MAX: usize = 1_024;

/// Why an argument with ellipses cannot be expanded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EllipsesError {
    #[error("'{0}': braces must hold a range with three dots, such as {{1...4}}")]
    NotARange(String),
    #[error("'{0}': a brace is opened and not closed; a range is written {{1...4}}")]
    NotClosed(String),
    #[error("'{0}': the range runs backwards")]
    Backwards(String),
    #[error("'{0}' names more than {EXPANSION_MAX} drives")]
    TooMany(String),
}

/// Every path that `argument` stands for, leftmost pattern slowest. Without a pattern: the argument itself.
pub fn expand(argument: &str) -> Result<Vec<String>, EllipsesError> {
    let mut expanded = vec![String::new()];
    let mut rest = argument;
    loop {
        let Some((before, tail)) = rest.split_once('{') else {
            if rest.contains('}') {
                return Err(EllipsesError::NotARange(argument.to_owned()));
            }
            append(&mut expanded, rest);
            return Ok(expanded);
        };
        let Some((range, after)) = tail.split_once('}') else {
            return Err(EllipsesError::NotClosed(argument.to_owned()));
        };
        if before.contains('}') || range.contains('{') {
            return Err(EllipsesError::NotARange(argument.to_owned()));
        }
        append(&mut expanded, before);
        let values = values(range, argument)?;
        if expanded.len().saturating_mul(values.len()) > EXPANSION_MAX {
            return Err(EllipsesError::TooMany(argument.to_owned()));
        }
        expanded = expanded
            .iter()
            .flat_map(|start| values.iter().map(move |value| format!("{start}{value}")))
            .collect();
        rest = after;
    }
}

fn append(all: &mut [String], text: &str) {
    for one in all {
        one.push_str(text);
    }
}

/// The texts that a range such as `1...4`, `01...16` or `a...f` (hexadecimal) stands for.
fn values(range: &str, argument: &str) -> Result<Vec<String>, EllipsesError> {
    let not_a_range = || EllipsesError::NotARange(argument.to_owned());
    let (start, end) = range.split_once("...").ok_or_else(not_a_range)?;
    let decimal = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let hexadecimal = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let radix = match (decimal(start) && decimal(end), hexadecimal(start) && hexadecimal(end)) {
        (true, _) => 10,
        (false, true) => 16,
        (false, false) => return Err(not_a_range()),
    };
    let first = u64::from_str_radix(start, radix).map_err(|_| not_a_range())?;
    let last = u64::from_str_radix(end, radix).map_err(|_| not_a_range())?;
    if first > last {
        return Err(EllipsesError::Backwards(argument.to_owned()));
    }
    if last - first >= EXPANSION_MAX as u64 {
        return Err(EllipsesError::TooMany(argument.to_owned()));
    }
    let padded = (start.len() > 1 && start.starts_with('0')) || (end.len() > 1 && end.starts_with('0'));
    let width = if padded { start.len().max(end.len()) } else { 0 };
    Ok((first..=last)
        .map(|value| {
            if radix == 10 {
                format!("{value:0width$}")
            } else {
                format!("{value:0width$x}")
            }
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(argument: &str) -> Vec<String> {
        expand(argument).unwrap()
    }

    #[test]
    fn a_plain_path_stands_for_itself() {
        assert_eq!(all("/data"), ["/data"]);
        assert_eq!(all("./my data"), ["./my data"]);
    }

    #[test]
    fn one_range_expands_in_order() {
        assert_eq!(all("/data{1...4}"), ["/data1", "/data2", "/data3", "/data4"]);
        assert_eq!(all("/mnt/{9...11}/d"), ["/mnt/9/d", "/mnt/10/d", "/mnt/11/d"]);
        assert_eq!(all("d{3...3}"), ["d3"]);
    }

    #[test]
    fn several_ranges_multiply() {
        assert_eq!(all("/r{1...2}/d{1...2}"), ["/r1/d1", "/r1/d2", "/r2/d1", "/r2/d2"]);
        assert_eq!(all("{1...2}{1...2}{1...2}").len(), 8);
    }

    #[test]
    fn zeros_and_hexadecimal_are_kept() {
        assert_eq!(all("d{01...03}"), ["d01", "d02", "d03"]);
        assert_eq!(all("d{08...10}"), ["d08", "d09", "d10"]);
        assert_eq!(all("d{a...c}"), ["da", "db", "dc"]);
        assert_eq!(all("d{0...2}"), ["d0", "d1", "d2"]);
    }

    #[test]
    fn what_is_no_range_is_refused() {
        for bad in [
            "/d{1..4}",
            "/d{1,2}",
            "/d}",
            "/d{}",
            "/d{1...}",
            "/d{...4}",
            "/d{{1...2}}",
            "/d{x...z}",
        ] {
            assert_eq!(expand(bad), Err(EllipsesError::NotARange(bad.to_owned())), "{bad}");
        }
        for open in ["/d{", "/d{1...4"] {
            assert_eq!(expand(open), Err(EllipsesError::NotClosed(open.to_owned())), "{open}");
        }
        assert_eq!(
            expand("/d{4...1}"),
            Err(EllipsesError::Backwards("/d{4...1}".to_owned()))
        );
    }

    #[test]
    fn an_expansion_is_bounded() {
        for huge in ["/d{1...2000}", "/d{0...18446744073709551615}", "/{1...100}/{1...100}"] {
            assert_eq!(expand(huge), Err(EllipsesError::TooMany(huge.to_owned())), "{huge}");
        }
    }
}
