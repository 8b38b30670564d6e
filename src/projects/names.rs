//! The names of projects, environments, issuers and logical buckets: what they may be, and whether they are there. Pure.

use storage_engine::store::name::BucketName;
use storage_engine::store::projects::OfProject;

use super::admit::KEY_ALIAS;
use super::error::ProjectsError;
use super::snapshot::Snapshot;

/// Longest name of a project: with an environment's behind it, it is a bucket's.
const PROJECT_BYTES_MAX: usize = 46;
/// Longest name of an environment, and longest alias of an issuer.
const SHORT_BYTES_MAX: usize = 16;

fn made_of(name: &str, max: usize, hyphens: bool) -> bool {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || (hyphens && byte == b'-');
    !name.is_empty() && name.len() <= max && name.bytes().all(fits) && !name.starts_with('-') && !name.ends_with('-')
}

fn must(holds: bool, rule: &str) -> Result<(), ProjectsError> {
    match holds {
        true => Ok(()),
        false => Err(ProjectsError::Invalid(rule.to_owned())),
    }
}

/// Refuses what cannot be a project's name.
pub(super) fn check_project(name: &str) -> Result<(), ProjectsError> {
    let rule = "A project's name has 1 to 46 lower-case letters, digits and hyphens, and a hyphen at neither end";
    must(made_of(name, PROJECT_BYTES_MAX, true), rule)
}

/// Refuses what cannot be an issuer's alias.
pub(super) fn check_alias(alias: &str) -> Result<(), ProjectsError> {
    let rule = "An issuer's alias has 1 to 16 lower-case letters, digits and hyphens, and is not 'key'";
    must(made_of(alias, SHORT_BYTES_MAX, true) && alias != KEY_ALIAS, rule)
}

/// Refuses what cannot be a logical bucket's name.
pub(super) fn check_logical(name: &str) -> Result<(), ProjectsError> {
    let rule = "A logical bucket's name has 1 to 46 lower-case letters, digits and hyphens";
    must(made_of(name, PROJECT_BYTES_MAX, true), rule)
}

/// The app bucket of an environment; refuses what cannot be an environment's name.
pub(super) fn bucket_of(project: &str, environment: &str) -> Result<BucketName, ProjectsError> {
    let rule = "An environment's name has 1 to 16 lower-case letters and digits";
    must(made_of(environment, SHORT_BYTES_MAX, false), rule)?;
    let bucket = BucketName::parse(format!("{project}-{environment}"));
    bucket.map_err(|error| ProjectsError::Invalid(format!("The project's name makes no bucket name: {error}")))
}

/// Refuses if there is no such project.
pub(super) fn project(snapshot: &Snapshot, name: &str) -> Result<(), ProjectsError> {
    match snapshot.rows.projects.contains_key(name) {
        true => Ok(()),
        false => Err(ProjectsError::NoSuchProject(name.to_owned())),
    }
}

/// Refuses if there is no such environment.
pub(super) fn environment(snapshot: &Snapshot, project_name: &str, name: &str) -> Result<(), ProjectsError> {
    project(snapshot, project_name)?;
    match snapshot
        .rows
        .environments
        .contains_key(&OfProject::new(project_name, name))
    {
        true => Ok(()),
        false => Err(ProjectsError::NoSuchEnvironment(name.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_make_bucket_names_that_no_other_pair_of_names_makes() {
        assert_eq!(bucket_of("shop", "dev").unwrap().as_str(), "shop-dev");
        let long = "a".repeat(46);
        assert!(check_project(&long).is_ok() && bucket_of(&long, &"e".repeat(16)).is_ok());
        for wrong in ["", "Shop", "a_b", "-a", "a-", "a.b", "a/b", "a|b", &"a".repeat(47)] {
            assert!(check_project(wrong).is_err(), "{wrong}");
        }
        // With a hyphen in both, shop-x and dev would be shop and x-dev.
        for wrong in ["", "x-dev", "Dev", "e/v", &"e".repeat(17)] {
            assert!(bucket_of("shop", wrong).is_err(), "{wrong}");
        }
        assert!(check_alias("own").is_ok() && check_alias("my-idp").is_ok());
        for wrong in ["key", "", "a|b", "a/b", "A"] {
            assert!(check_alias(wrong).is_err(), "{wrong}");
        }
    }
}
