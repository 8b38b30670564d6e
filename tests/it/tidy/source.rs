//! One Rust file as tokens: which paths it names, how long its functions are, which of its lines are test code.
//!
//! Works on tokens, so comments and strings never count and the inside of macros does. It resolves no names: an alias
//! (`use std as other`) is beyond it and is left to review.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use proc_macro2::{Delimiter, Spacing, TokenStream, TokenTree};

/// A file of the tree. `path` is relative to the root of the project.
pub(crate) struct Source {
    pub(crate) path: String,
    pub(crate) text: String,
    /// The whole file is test code.
    pub(crate) all_test: bool,
    tokens: Vec<TokenTree>,
    test_lines: Vec<RangeInclusive<usize>>,
}

/// A path as written, `use` trees unfolded: `use std::{fs, io::Read}` names `std::fs` and `std::io::Read`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Named {
    pub(crate) segments: Vec<String>,
    pub(crate) line: usize,
}

pub(crate) struct Function {
    pub(crate) name: String,
    pub(crate) line: usize,
    /// Lines of the body with code on them; blank lines and comments do not count, as with clippy.
    pub(crate) code_lines: usize,
}

/// A `mod` item.
pub(crate) struct Module {
    pub(crate) name: String,
    pub(crate) line: usize,
    pub(crate) test: bool,
    /// It has a file of its own.
    pub(crate) in_file: bool,
}

impl Source {
    pub(crate) fn parse(path: &str, text: &str) -> Self {
        let tokens: TokenStream = text
            .parse()
            .unwrap_or_else(|error| panic!("{path} is not Rust: {error}"));
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let mut test_lines = Vec::new();
        find_test_items(&tokens, &mut test_lines);
        let name = path.rsplit('/').next().unwrap_or(path);
        let in_test_folder = path
            .split('/')
            .any(|part| matches!(part, "tests" | "benches" | "examples"));
        let all_test = in_test_folder || name == "tests.rs" || name.ends_with("_tests.rs") || is_test_file(&tokens);
        Self {
            path: path.to_owned(),
            text: text.to_owned(),
            all_test,
            tokens,
            test_lines,
        }
    }

    pub(crate) fn is_test_line(&self, line: usize) -> bool {
        self.all_test || self.test_lines.iter().any(|lines| lines.contains(&line))
    }

    /// Lines of the file that are not inline test code.
    pub(crate) fn production_lines(&self) -> usize {
        (1..=self.text.lines().count())
            .filter(|line| !self.test_lines.iter().any(|lines| lines.contains(line)))
            .count()
    }

    /// Every path outside test code.
    pub(crate) fn production_paths(&self) -> Vec<Named> {
        self.paths()
            .into_iter()
            .filter(|named| !self.is_test_line(named.line))
            .collect()
    }

    pub(crate) fn paths(&self) -> Vec<Named> {
        let mut found = Vec::new();
        find_paths(&self.tokens, &[], &mut found);
        found
    }

    pub(crate) fn functions(&self) -> Vec<Function> {
        let mut found = Vec::new();
        find_functions(&self.tokens, &mut found);
        found
    }

    /// Lines of `static` items outside test code.
    pub(crate) fn production_statics(&self) -> Vec<usize> {
        let mut found = Vec::new();
        find_statics(&self.tokens, &mut found);
        found.retain(|line| !self.is_test_line(*line));
        found
    }

    pub(crate) fn modules(&self) -> Vec<Module> {
        let mut found = Vec::new();
        find_modules(&self.tokens, &mut found);
        for module in &mut found {
            module.test |= self.is_test_line(module.line);
        }
        found
    }
}

fn line_of(token: &TokenTree) -> usize {
    token.span().start().line
}

fn is_ident(token: Option<&TokenTree>, word: &str) -> bool {
    matches!(token, Some(TokenTree::Ident(ident)) if ident == word)
}

fn is_punct(token: Option<&TokenTree>, sign: char) -> bool {
    matches!(token, Some(TokenTree::Punct(punct)) if punct.as_char() == sign)
}

/// `::` at `at`.
fn is_path_separator(tokens: &[TokenTree], at: usize) -> bool {
    matches!(tokens.get(at), Some(TokenTree::Punct(first)) if first.as_char() == ':' && first.spacing() == Spacing::Joint)
        && is_punct(tokens.get(at.wrapping_add(1)), ':')
}

/// The content of an attribute's brackets, if `tokens[at]` is the `#` of an outer attribute.
fn attribute(tokens: &[TokenTree], at: usize) -> Option<TokenStream> {
    match (tokens.get(at), tokens.get(at + 1)) {
        (Some(TokenTree::Punct(hash)), Some(TokenTree::Group(group)))
            if hash.as_char() == '#' && group.delimiter() == Delimiter::Bracket =>
        {
            Some(group.stream())
        }
        _ => None,
    }
}

/// `cfg(test)`, also inside `any` and `all`; never under `not`.
fn is_cfg_test(content: TokenStream) -> bool {
    let content: Vec<TokenTree> = content.into_iter().collect();
    if !is_ident(content.first(), "cfg") {
        return false;
    }
    let words: Vec<String> = content.get(1).map_or_else(Vec::new, |arguments| {
        let text = arguments.to_string();
        text.split(|c: char| !c.is_alphanumeric() && c != '_')
            .map(str::to_owned)
            .collect()
    });
    words.iter().any(|word| word == "test") && !words.iter().any(|word| word == "not")
}

/// `#![cfg(test)]` at the head of the file.
fn is_test_file(tokens: &[TokenTree]) -> bool {
    (0..tokens.len()).any(|at| {
        is_punct(tokens.get(at), '#')
            && is_punct(tokens.get(at + 1), '!')
            && matches!(tokens.get(at + 2), Some(TokenTree::Group(group)) if is_cfg_test(group.stream()))
    })
}

/// The index of the last token of the item that starts at `at`.
fn end_of_item(tokens: &[TokenTree], at: usize) -> usize {
    let is_use = tokens.iter().skip(at).take(3).any(|token| is_ident(Some(token), "use"));
    let end = tokens.iter().enumerate().skip(at).find(|(_, token)| match token {
        TokenTree::Punct(punct) => punct.as_char() == ';',
        TokenTree::Group(group) => group.delimiter() == Delimiter::Brace && !is_use,
        _ => false,
    });
    end.map_or(tokens.len().saturating_sub(1), |(index, _)| index)
}

fn find_test_items(tokens: &[TokenTree], found: &mut Vec<RangeInclusive<usize>>) {
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        match attribute(tokens, at) {
            Some(content) if is_cfg_test(content.clone()) || content.to_string() == "test" => {
                let mut item = at + 2;
                while attribute(tokens, item).is_some() {
                    item += 2;
                }
                let end = end_of_item(tokens, item);
                let last = tokens.get(end).map_or(usize::MAX, |token| token.span().end().line);
                found.push(line_of(token)..=last);
                at = end + 1;
                continue;
            }
            _ => {}
        }
        if let TokenTree::Group(group) = token {
            find_test_items(&group.stream().into_iter().collect::<Vec<_>>(), found);
        }
        at += 1;
    }
}

/// `prefix` is what stands before the braces of a `use` tree; empty elsewhere.
fn find_paths(tokens: &[TokenTree], prefix: &[String], found: &mut Vec<Named>) {
    let mut at = 0;
    let mut in_use = false;
    while let Some(token) = tokens.get(at) {
        match token {
            TokenTree::Ident(_) if is_ident(Some(token), "as") => at += 2,
            TokenTree::Ident(word) if word == "use" || word == "extern" => {
                in_use = true;
                at += 1;
            }
            TokenTree::Ident(_) => {
                let (segments, next) = read_path(tokens, at, prefix);
                match tokens.get(next) {
                    Some(TokenTree::Group(tree))
                        if tree.delimiter() == Delimiter::Brace && is_path_separator(tokens, next.wrapping_sub(2)) =>
                    {
                        find_paths(&tree.stream().into_iter().collect::<Vec<_>>(), &segments, found);
                        at = next + 1;
                    }
                    _ => {
                        if segments.len() > 1 || in_use {
                            found.push(Named {
                                segments,
                                line: line_of(token),
                            });
                        }
                        at = next;
                    }
                }
            }
            TokenTree::Group(group) => {
                find_paths(&group.stream().into_iter().collect::<Vec<_>>(), &[], found);
                at += 1;
            }
            TokenTree::Punct(punct) => {
                in_use &= punct.as_char() != ';';
                at += 1;
            }
            TokenTree::Literal(_) => at += 1,
        }
    }
}

/// Reads `a::b::c` from `at`. The returned index stands behind the path, and behind a `::` that follows it.
fn read_path(tokens: &[TokenTree], mut at: usize, prefix: &[String]) -> (Vec<String>, usize) {
    let mut segments = prefix.to_vec();
    while let Some(TokenTree::Ident(ident)) = tokens.get(at) {
        segments.push(ident.to_string());
        at += 1;
        if !is_path_separator(tokens, at) {
            break;
        }
        at += 2;
    }
    (segments, at)
}

fn find_functions(tokens: &[TokenTree], found: &mut Vec<Function>) {
    for (at, token) in tokens.iter().enumerate() {
        if let TokenTree::Group(group) = token {
            find_functions(&group.stream().into_iter().collect::<Vec<_>>(), found);
        }
        let Some(TokenTree::Ident(name)) = tokens.get(at + 1) else {
            continue;
        };
        if !is_ident(Some(token), "fn") {
            continue;
        }
        if let Some(TokenTree::Group(body)) = tokens.get(end_of_item(tokens, at)) {
            let mut lines = BTreeSet::new();
            collect_lines(body.stream(), &mut lines);
            found.push(Function {
                name: name.to_string(),
                line: line_of(token),
                code_lines: lines.len(),
            });
        }
    }
}

fn collect_lines(tokens: TokenStream, lines: &mut BTreeSet<usize>) {
    for token in tokens {
        if let TokenTree::Group(group) = token {
            lines.insert(group.span_open().start().line);
            lines.insert(group.span_close().end().line);
            collect_lines(group.stream(), lines);
        } else {
            lines.extend(token.span().start().line..=token.span().end().line);
        }
    }
}

fn find_modules(tokens: &[TokenTree], found: &mut Vec<Module>) {
    for (at, token) in tokens.iter().enumerate() {
        if let TokenTree::Group(group) = token {
            find_modules(&group.stream().into_iter().collect::<Vec<_>>(), found);
        }
        if let (true, Some(TokenTree::Ident(name))) = (is_ident(Some(token), "mod"), tokens.get(at + 1)) {
            let in_file = is_punct(tokens.get(at + 2), ';');
            found.push(Module {
                name: name.to_string(),
                line: line_of(token),
                test: false,
                in_file,
            });
        }
    }
}

fn find_statics(tokens: &[TokenTree], found: &mut Vec<usize>) {
    for (at, token) in tokens.iter().enumerate() {
        if let TokenTree::Group(group) = token {
            find_statics(&group.stream().into_iter().collect::<Vec<_>>(), found);
        }
        // `'static` is a sign and a word to the lexer; a closure may be `static` too, but an item has a name.
        let lifetime = at
            .checked_sub(1)
            .is_some_and(|before| is_punct(tokens.get(before), '\''));
        if is_ident(Some(token), "static") && !lifetime && matches!(tokens.get(at + 1), Some(TokenTree::Ident(_))) {
            found.push(line_of(token));
        }
    }
}
