//! What a policy means, once more and by definition: over the raw JSON, slow, and without any of the evaluator's code.

use std::collections::BTreeMap;

use serde_json::Value;

/// A request: action, resource, the user's name (none: anonymous) and the values of its condition keys.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(super) action: &'static str,
    pub(super) resource: &'static str,
    pub(super) user: Option<&'static str>,
    /// By lower-case name.
    pub(super) keys: BTreeMap<&'static str, Vec<&'static str>>,
}

/// `Deny`, `Allow` or nothing.
pub(super) fn judge(document: &Value, request: &Request) -> Option<&'static str> {
    let statements = list(&document["Statement"]);
    let matching: Vec<_> = statements.into_iter().filter(|one| applies(one, request)).collect();
    ["Deny", "Allow"]
        .into_iter()
        .find(|effect| matching.iter().any(|one| one["Effect"] == **effect))
}

fn list(value: &Value) -> Vec<Value> {
    match value {
        Value::Array(items) => items.clone(),
        one => vec![one.clone()],
    }
}

fn texts(value: &Value) -> Vec<String> {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    list(value).iter().map(text).collect()
}

fn applies(statement: &Value, request: &Request) -> bool {
    let actions = |name: &str| {
        texts(&statement[name])
            .iter()
            .any(|pattern| matches(&pattern.to_lowercase(), &request.action.to_lowercase(), request) == Some(true))
    };
    let action = match statement.get("Action") {
        Some(_) => actions("Action"),
        None => !actions("NotAction"),
    };
    let resources = |name: &str| -> Vec<Option<bool>> {
        texts(&statement[name])
            .iter()
            .map(|pattern| matches(pattern, request.resource, request))
            .collect()
    };
    let resource = match statement.get("Resource") {
        Some(_) => resources("Resource").contains(&Some(true)),
        // A pattern that cannot be filled in spares nothing from a Deny, and opens nothing by an Allow.
        None if statement["Effect"] == "Deny" => !resources("NotResource").contains(&Some(true)),
        None => resources("NotResource").iter().all(|matched| *matched == Some(false)),
    };
    let principal = match (statement.get("Principal"), statement.get("NotPrincipal")) {
        (Some(named), _) => names(named, request.user),
        (None, Some(spared)) => !names(spared, request.user),
        (None, None) => true,
    };
    action && resource && principal && conditions(&statement["Condition"], statement["Effect"] == "Deny", request)
}

fn names(principal: &Value, user: Option<&str>) -> bool {
    let all = if principal == "*" {
        vec!["*".to_owned()]
    } else {
        texts(&principal["AWS"])
    };
    all.iter()
        .any(|name| name == "*" || user.is_some_and(|user| *name == format!("arn:aws:iam:::user/{user}")))
}

fn conditions(condition: &Value, deny: bool, request: &Request) -> bool {
    let Some(operators) = condition.as_object() else {
        return true;
    };
    operators.iter().all(|(operator, keys)| {
        let keys = keys.as_object().unwrap();
        keys.iter()
            .all(|(key, values)| holds(operator, &key.to_lowercase(), &texts(values), (deny, request)))
    })
}

fn holds(operator: &str, key: &str, values: &[String], (deny, request): (bool, &Request)) -> bool {
    let found = request.keys.get(key).cloned().unwrap_or_default();
    if operator == "Null" {
        return (values == ["true"]) == found.is_empty();
    }
    let (quantifier, rest) = operator.split_once(':').unwrap_or(("", operator));
    let (plain, if_exists) = match rest.strip_suffix("IfExists") {
        Some(plain) => (plain, true),
        None => (rest, false),
    };
    let negated = plain.contains("Not");
    // A value that cannot be filled in equals nothing, and an Allow takes no comfort from that.
    let unknown = plain.starts_with("String") && values.iter().any(|value| symbols(value, request).is_none());
    if unknown && !deny && (negated || found.is_empty()) {
        return false;
    }
    let equal = |found: &str| {
        values
            .iter()
            .any(|value| same(&plain.replace("Not", ""), value, found, request))
    };
    let one = |found: &&str| equal(found) != negated;
    if found.is_empty() && if_exists {
        return true;
    }
    match quantifier {
        "ForAllValues" => found.iter().all(one),
        "ForAnyValue" => found.iter().any(one),
        _ if negated => found.iter().all(one),
        _ => found.iter().any(one),
    }
}

fn same(operator: &str, value: &str, found: &str, request: &Request) -> bool {
    let number = |text: &str| text.parse::<f64>().unwrap();
    match operator {
        "StringEquals" => plain(value, request).as_deref() == Some(found),
        "StringEqualsIgnoreCase" => {
            plain(value, request).is_some_and(|value| value.to_lowercase() == found.to_lowercase())
        }
        "StringLike" => matches(value, found, request) == Some(true),
        "NumericEquals" => number(found) == number(value),
        "NumericLessThan" => number(found) < number(value),
        "NumericGreaterThanEquals" => number(found) >= number(value),
        "Bool" => value == found,
        "IpAddress" => {
            let (net, bits) = value.split_once('/').unwrap_or((value, "32"));
            let number = |text: &str| {
                text.split('.')
                    .fold(0_u64, |sum, byte| sum * 256 + byte.parse::<u64>().unwrap())
            };
            let size = 1_u64 << (32 - bits.parse::<u32>().unwrap());
            number(net) / size == number(found) / size
        }
        other => panic!("no such operator: {other}"),
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Symbol {
    Is(char),
    Any,
    One,
}

/// A pattern with its variables filled in, character by character; nothing if one is missing.
fn symbols(pattern: &str, request: &Request) -> Option<Vec<Symbol>> {
    let mut symbols = Vec::new();
    let mut rest = pattern;
    while let Some(next) = rest.chars().next() {
        if let Some(tail) = rest.strip_prefix("${") {
            let (name, after) = tail.split_once('}').unwrap();
            rest = after;
            let (name, default) = match name.split_once(',') {
                Some((name, default)) => (name, Some(default.trim().trim_matches('\''))),
                None => (name, None),
            };
            let value = match (name, request.keys.get(name.to_lowercase().as_str()).map(Vec::as_slice)) {
                ("*" | "?" | "$", _) => name,
                (_, Some([value])) => value,
                _ => default?,
            };
            symbols.extend(value.chars().map(Symbol::Is));
            continue;
        }
        symbols.push(match next {
            '*' => Symbol::Any,
            '?' => Symbol::One,
            other => Symbol::Is(other),
        });
        rest = &rest[next.len_utf8()..];
    }
    Some(symbols)
}

/// Without wildcards: `*` and `?` are themselves.
fn plain(value: &str, request: &Request) -> Option<String> {
    let symbols = symbols(value, request)?;
    let character = |symbol: Symbol| match symbol {
        Symbol::Is(character) => character,
        Symbol::Any => '*',
        Symbol::One => '?',
    };
    Some(symbols.into_iter().map(character).collect())
}

fn matches(pattern: &str, text: &str, request: &Request) -> Option<bool> {
    fn walk(pattern: &[Symbol], text: &[char]) -> bool {
        match pattern.split_first() {
            None => text.is_empty(),
            Some((Symbol::Any, after)) => (0..=text.len()).any(|taken| walk(after, &text[taken..])),
            Some((Symbol::One, after)) => !text.is_empty() && walk(after, &text[1..]),
            Some((Symbol::Is(expected), after)) => text.first() == Some(expected) && walk(after, &text[1..]),
        }
    }
    Some(walk(&symbols(pattern, request)?, &text.chars().collect::<Vec<_>>()))
}
