//! Texts of a policy that may hold wildcards and variables, and whether one matches.
//!
//! `*` is any run of characters, `?` exactly one, `${name}` a value of the request, `${name, 'default'}` one with a
//! stand-in, and `${*}` `${?}` `${$}` the characters themselves. What a variable stands for is never read as a wildcard.
//! Matching takes time linear in the text, whatever the pattern ([`glob`]).

mod glob;

use std::borrow::Cow;

use self::glob::{Atom, Glob};
use super::keys::{Keys, Name};

/// Most characters of a part between two `*` that holds a `?`; a machine word of bits tells where such a part is.
pub(super) const MAX_MIXED: usize = glob::MAX_MIXED;

/// What a text of the policy may hold beside plain characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Syntax {
    pub(super) wildcards: bool,
    pub(super) variables: bool,
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Text(String),
    /// `?`
    One,
    /// `*`
    Any,
    Variable {
        name: Name,
        default: Option<String>,
    },
}

/// A text with wildcards and variables, made ready once.
#[derive(Clone, Debug)]
pub(super) struct Pattern(Shape);

#[derive(Clone, Debug)]
enum Shape {
    /// Nothing in it depends on the request.
    Closed(Glob<'static>),
    /// Variables are filled in anew for every request.
    Open(Vec<Token>),
}

/// A pattern with its variables filled in.
#[derive(Debug)]
pub(super) enum Filled<'p> {
    Closed(&'p Glob<'static>),
    Open(Glob<'p>),
}

impl Filled<'_> {
    pub(super) fn matches(&self, text: &str) -> bool {
        match self {
            Self::Closed(glob) => glob.matches(text),
            Self::Open(glob) => glob.matches(text),
        }
    }

    /// As [`Self::matches`], without regard to case. The pattern must have been made from lower case.
    pub(super) fn matches_folded(&self, text: &str) -> bool {
        match self {
            Self::Closed(glob) => glob.matches(&text.to_lowercase()),
            Self::Open(glob) => glob.to_lowercase().matches(&text.to_lowercase()),
        }
    }
}

impl Pattern {
    /// Reads `text`; the error says what is wrong with it.
    pub(super) fn parse(text: &str, syntax: Syntax) -> Result<Self, String> {
        Self::ready(tokens(text, syntax)?, text)
    }

    /// Splits at the first `count - 1` colons outside of variables, one pattern each; `None` if there are fewer.
    pub(super) fn parse_parts(text: &str, count: usize, syntax: Syntax) -> Result<Option<Vec<Self>>, String> {
        let mut parts = vec![Vec::new()];
        for token in tokens(text, syntax)? {
            let Token::Text(plain) = token else {
                parts.last_mut().into_iter().for_each(|part| part.push(token.clone()));
                continue;
            };
            for (index, piece) in plain.splitn(count + 1 - parts.len(), ':').enumerate() {
                if index > 0 {
                    parts.push(Vec::new());
                }
                if let (Some(part), false) = (parts.last_mut(), piece.is_empty()) {
                    part.push(Token::Text(piece.to_owned()));
                }
            }
        }
        if parts.len() < count {
            return Ok(None);
        }
        let patterns: Result<Vec<_>, _> = parts.into_iter().map(|part| Self::ready(part, text)).collect();
        patterns.map(Some)
    }

    fn ready(tokens: Vec<Token>, text: &str) -> Result<Self, String> {
        check_mixed(&tokens, text)?;
        if tokens.iter().any(|token| matches!(token, Token::Variable { .. })) {
            return Ok(Self(Shape::Open(tokens)));
        }
        let atoms = tokens.into_iter().map(|token| match token {
            Token::Text(text) => Atom::Text(Cow::Owned(text)),
            Token::One => Atom::One,
            // No variable is left here.
            Token::Any | Token::Variable { .. } => Atom::Any,
        });
        Ok(Self(Shape::Closed(Glob::new(atoms))))
    }

    /// With every variable filled in; `None` if one is missing that has no default.
    pub(super) fn fill<'p>(&'p self, keys: &dyn Keys) -> Option<Filled<'p>> {
        let tokens = match &self.0 {
            Shape::Closed(glob) => return Some(Filled::Closed(glob)),
            Shape::Open(tokens) => tokens,
        };
        let mut atoms = Vec::with_capacity(tokens.len());
        for token in tokens {
            atoms.push(match token {
                Token::Text(text) => Atom::Text(Cow::Borrowed(text.as_str())),
                Token::One => Atom::One,
                Token::Any => Atom::Any,
                Token::Variable { name, default } => match (keys.get(name.as_str()).single(), default) {
                    (Some(value), _) => Atom::Text(Cow::Owned(value)),
                    (None, Some(default)) => Atom::Text(Cow::Borrowed(default.as_str())),
                    (None, None) => return None,
                },
            });
        }
        Some(Filled::Open(Glob::new(atoms.into_iter())))
    }

    /// Whether it matches `text` for this request; `None` if a variable is missing.
    pub(super) fn matches(&self, text: &str, keys: &dyn Keys) -> Option<bool> {
        Some(self.fill(keys)?.matches(text))
    }

    /// Whether it may match a text that begins with `start` and goes on, for some request.
    pub(super) fn may_go_beyond(&self, start: &str) -> bool {
        self.loose().goes_beyond(start)
    }

    /// Whether it may match `text` for some request.
    pub(super) fn may_match(&self, text: &str) -> bool {
        match &self.0 {
            Shape::Closed(glob) => glob.matches(text),
            Shape::Open(_) => self.loose().matches(text),
        }
    }

    /// Every variable read as any run of characters.
    fn loose(&self) -> Glob<'_> {
        match &self.0 {
            Shape::Closed(glob) => glob.clone(),
            Shape::Open(tokens) => Glob::new(tokens.iter().map(|token| match token {
                Token::Text(text) => Atom::Text(Cow::Borrowed(text.as_str())),
                Token::One => Atom::One,
                Token::Any | Token::Variable { .. } => Atom::Any,
            })),
        }
    }

    /// Whether it matches one text only, whatever the request.
    pub(super) fn is_fixed(&self) -> bool {
        match &self.0 {
            Shape::Closed(glob) => glob.is_fixed(),
            Shape::Open(_) => false,
        }
    }

    /// The names of the values of the request it needs.
    pub(super) fn variables(&self) -> impl Iterator<Item = &Name> {
        let tokens = match &self.0 {
            Shape::Closed(_) => &[],
            Shape::Open(tokens) => tokens.as_slice(),
        };
        tokens.iter().filter_map(|token| match token {
            Token::Variable { name, .. } => Some(name),
            Token::Text(_) | Token::One | Token::Any => None,
        })
    }
}

fn check_mixed(tokens: &[Token], text: &str) -> Result<(), String> {
    let parts: Vec<_> = tokens.split(|token| *token == Token::Any).collect();
    let inner = parts.iter().skip(1).take(parts.len().saturating_sub(2));
    for part in inner.filter(|part| part.contains(&Token::One)) {
        let length: usize = part
            .iter()
            .map(|token| match token {
                Token::Text(text) => text.chars().count(),
                Token::One => 1,
                Token::Any | Token::Variable { .. } => MAX_MIXED + 1,
            })
            .sum();
        if length > MAX_MIXED {
            return Err(format!(
                "\"{text}\" has a \"?\" in a part between two \"*\" that is longer than {MAX_MIXED} characters or holds \
                 a variable"
            ));
        }
    }
    Ok(())
}

fn tokens(text: &str, syntax: Syntax) -> Result<Vec<Token>, String> {
    let mut tokens = Vec::new();
    let mut plain = String::new();
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        let special = match next {
            '*' if syntax.wildcards => Some((Token::Any, 1)),
            '?' if syntax.wildcards => Some((Token::One, 1)),
            '$' if rest.starts_with("${") => {
                if !syntax.variables {
                    return Err(format!("\"{text}\" holds a variable where none is allowed"));
                }
                let (token, length) = variable(rest).map_err(|reason| format!("\"{text}\": {reason}"))?;
                match token {
                    Token::Text(character) => {
                        plain.push_str(&character);
                        rest = rest.get(length..).unwrap_or_default();
                        continue;
                    }
                    token => Some((token, length)),
                }
            }
            _ => None,
        };
        let Some((token, length)) = special else {
            plain.push(next);
            rest = rest.get(next.len_utf8()..).unwrap_or_default();
            continue;
        };
        if !plain.is_empty() {
            tokens.push(Token::Text(std::mem::take(&mut plain)));
        }
        // Two stars in a row say no more than one.
        if !(token == Token::Any && tokens.last() == Some(&Token::Any)) {
            tokens.push(token);
        }
        rest = rest.get(length..).unwrap_or_default();
    }
    if !plain.is_empty() {
        tokens.push(Token::Text(plain));
    }
    Ok(tokens)
}

/// The variable at the start of `text`, which begins with `${`, and its length in bytes.
fn variable(text: &str) -> Result<(Token, usize), String> {
    let body = text.strip_prefix("${").unwrap_or(text);
    for character in ["*", "?", "$"] {
        if body.strip_prefix(character).is_some_and(|rest| rest.starts_with('}')) {
            return Ok((Token::Text(character.to_owned()), "${*}".len()));
        }
    }
    let unclosed = || "a variable has no closing brace".to_owned();
    let end = body.find([',', '}']).ok_or_else(unclosed)?;
    let (name, tail) = body.split_at(end);
    let name = Name::parse(name.trim()).ok_or_else(|| format!("there is no variable \"{}\"", name.trim()))?;
    if name.is_multivalued() {
        return Err(format!(
            "\"{}\" has many values and cannot be a variable",
            name.as_str()
        ));
    }
    if tail.starts_with('}') {
        return Ok((Token::Variable { name, default: None }, "${".len() + end + 1));
    }
    let quoted = tail.strip_prefix(',').unwrap_or(tail).trim_start();
    let default = quoted
        .strip_prefix('\'')
        .ok_or("the default of a variable stands between single quotes")?;
    let close = default
        .find('\'')
        .ok_or("the default of a variable stands between single quotes")?;
    let (default, after) = default.split_at(close);
    let after = after.strip_prefix('\'').unwrap_or(after).trim_start();
    let left = after.strip_prefix('}').ok_or_else(unclosed)?;
    let default = Some(default.to_owned());
    Ok((Token::Variable { name, default }, text.len() - left.len()))
}

#[cfg(test)]
mod tests;
