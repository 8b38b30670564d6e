//! The table a benchmark prints: figures, the ratios that count, and whether each target is met.

use std::fmt;

/// What a figure is held against.
#[derive(Debug, Clone, Copy)]
pub(super) enum Target {
    /// Nothing: a fact to divide by.
    None,
    /// Must be at least this.
    AtLeast(f64),
    /// Must be at most this.
    AtMost(f64),
}

/// One line.
#[derive(Debug, Clone)]
pub(super) struct Row {
    what: String,
    figure: f64,
    unit: &'static str,
    target: Target,
}

/// All lines, in the order they were measured.
#[derive(Debug, Default)]
pub(super) struct Table {
    rows: Vec<Row>,
}

impl Table {
    /// Adds a line and prints it at once, so that a long run can be followed.
    pub(super) fn add(&mut self, what: impl Into<String>, figure: f64, unit: &'static str, target: Target) {
        let row = Row {
            what: what.into(),
            figure,
            unit,
            target,
        };
        println!("  {row}");
        self.rows.push(row);
    }

    /// A fact without a target.
    pub(super) fn fact(&mut self, what: impl Into<String>, figure: f64, unit: &'static str) {
        self.add(what, figure, unit, Target::None);
    }

    /// Lines with a target that is missed.
    #[must_use]
    pub(super) fn missed(&self) -> usize {
        self.rows.iter().filter(|row| row.met() == Some(false)).count()
    }

    /// Lines with a target.
    #[must_use]
    pub(super) fn targets(&self) -> usize {
        self.rows.iter().filter(|row| row.met().is_some()).count()
    }
}

impl Row {
    fn met(&self) -> Option<bool> {
        match self.target {
            Target::None => None,
            Target::AtLeast(least) => Some(self.figure >= least),
            Target::AtMost(most) => Some(self.figure <= most),
        }
    }
}

impl fmt::Display for Row {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:<64} {:>12} {:<8}", self.what, rounded(self.figure), self.unit)?;
        let (sign, bound) = match self.target {
            Target::None => return Ok(()),
            Target::AtLeast(bound) => (">=", bound),
            Target::AtMost(bound) => ("<=", bound),
        };
        let verdict = if self.met() == Some(true) { "met" } else { "MISSED" };
        write!(out, " {sign} {:<10} {verdict}", rounded(bound))
    }
}

impl fmt::Display for Table {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.rows.iter().try_for_each(|row| writeln!(out, "{row}"))
    }
}

fn rounded(figure: f64) -> String {
    if figure.abs() >= 100.0 {
        format!("{figure:.0}")
    } else {
        format!("{figure:.2}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_counted_and_judged() {
        let mut table = Table::default();
        table.fact("a", 1.0, "");
        table.add("b", 3.0, "x", Target::AtLeast(3.0));
        table.add("c", 3.1, "x", Target::AtMost(3.0));
        assert_eq!((table.targets(), table.missed()), (2, 1));
        assert!(table.to_string().contains("MISSED"));
    }
}
