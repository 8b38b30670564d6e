//! The scopes of a project key: what it may be used for, whoever comes with it. Pure.

use std::collections::BTreeSet;

/// What can be done with files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Operation {
    Read,
    List,
    Create,
    Update,
    Delete,
}

impl Operation {
    pub const ALL: [Self; 5] = [Self::Read, Self::List, Self::Create, Self::Update, Self::Delete];

    /// As scopes spell it after the colon.
    pub fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::List => "list",
            Self::Create => "create",
            Self::Update => "update",
            Self::Delete => "delete",
        }
    }
}

/// A text that is no scope.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is no scope; there are files:read, files:list, files:create, files:update, files:delete and files:*")]
pub struct UnknownScope(pub String);

/// What a key may be used for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scopes(BTreeSet<Operation>);

impl Scopes {
    /// Everything there is.
    pub fn all() -> Self {
        Self(Operation::ALL.into_iter().collect())
    }

    /// These and no others.
    pub(super) fn of(operations: impl IntoIterator<Item = Operation>) -> Self {
        Self(operations.into_iter().collect())
    }

    /// Reads `files:OPERATION`; a `*` on either side stands for all.
    pub fn parse<T: AsRef<str>>(texts: &[T]) -> Result<Self, UnknownScope> {
        let mut allowed = BTreeSet::new();
        for text in texts {
            let text = text.as_ref();
            let unknown = || UnknownScope(text.to_owned());
            let (_, operation) = text
                .split_once(':')
                .filter(|(table, _)| matches!(*table, "files" | "*"))
                .ok_or_else(unknown)?;
            if operation == "*" {
                allowed.extend(Operation::ALL);
                continue;
            }
            let known = Operation::ALL.into_iter().find(|known| known.name() == operation);
            allowed.insert(known.ok_or_else(unknown)?);
        }
        Ok(Self(allowed))
    }

    /// Whether they let it.
    pub fn allow(&self, operation: Operation) -> bool {
        self.0.contains(&operation)
    }
}

#[cfg(test)]
mod tests {
    use super::{Operation, Scopes};

    #[test]
    fn scopes_are_read_and_what_is_none_is_refused() {
        let table: [(&[&str], &[Operation]); 6] = [
            (&[], &[]),
            (&["files:read"], &[Operation::Read]),
            (
                &["files:read", "files:list", "files:read"],
                &[Operation::Read, Operation::List],
            ),
            (&["*:delete"], &[Operation::Delete]),
            (&["files:*"], &Operation::ALL),
            (&["*:*", "files:read"], &Operation::ALL),
        ];
        for (texts, allowed) in table {
            let scopes = Scopes::parse(texts).unwrap();
            for operation in Operation::ALL {
                assert_eq!(
                    scopes.allow(operation),
                    allowed.contains(&operation),
                    "{texts:?} {operation:?}"
                );
            }
        }
        assert_eq!(Scopes::parse(&["*:*"]).unwrap(), Scopes::all());
        for wrong in [
            "",
            "files",
            "files:",
            "files:write",
            "posts:read",
            "files:read:x",
            "Files:Read",
            "*",
        ] {
            assert!(Scopes::parse(&["files:read", wrong]).is_err(), "{wrong}");
        }
    }
}
