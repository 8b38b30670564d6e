//! What is set on the images of an environment: the key that signs their URLs, and presets.
//!
//! The key is sealed by the directory of users, as an issuer's secret is, and told once, when it is made. What the options
//! of a preset mean is `images`'s to say.

use std::collections::BTreeMap;

use storage_engine::store::projects::{OfProject, ProjectChange};
use storage_engine::store::record::projects::{ImagesRecord, PresetRecord};

use super::directory::Projects;
use super::error::ProjectsError;
use super::names;
use crate::auth::SecretKey;
use crate::images::album::AutoFormats;
use crate::images::limits::PRESETS_MAX;
use crate::images::options::Options;

/// Bytes of the name and of the options of a preset.
const NAME_BYTES_MAX: usize = 64;
const OPTIONS_BYTES_MAX: usize = 512;
/// Random bytes of a key that is made.
const KEY_BYTES: usize = 32;

/// What is to be set on the images of an environment; what is left out stays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewImages {
    /// A new key is made, and URLs that the old one signed are signed no more.
    pub new_key: bool,
    pub signed_only: Option<bool>,
    /// All of them, by name.
    pub presets: Option<BTreeMap<String, String>>,
    pub unsigned_variants_per_hour: Option<u32>,
    /// `avif` and `webp`: what is chosen by itself for clients that say to take it.
    pub auto_formats: Option<Vec<String>>,
}

fn sealed_as(of: &OfProject) -> String {
    format!("images/{}/{}", of.project, of.name)
}

impl Projects {
    /// Sets it. The key, if one was made: nobody is ever told it again.
    pub async fn set_images(&self, of: OfProject, new: NewImages) -> Result<Option<SecretKey>, ProjectsError> {
        for (name, options) in new.presets.iter().flatten() {
            check(name, options)?;
        }
        if new.presets.as_ref().is_some_and(|presets| presets.len() > PRESETS_MAX) {
            return Err(ProjectsError::TooMany("An environment has at most 100 presets"));
        }
        if let Some(formats) = &new.auto_formats {
            let known = AutoFormats::named(formats.iter().map(String::as_str));
            known.ok_or_else(|| ProjectsError::Invalid("The formats of auto_formats are avif and webp".to_owned()))?;
        }
        {
            let snapshot = self.snapshot()?;
            names::environment(&snapshot, &of.project, &of.name)?;
        }
        let made = match new.new_key {
            true => Some(made_key()?),
            false => None,
        };
        let sealed = match &made {
            Some(key) => Some(self.inner.directory.seal_setting(&sealed_as(&of), key.expose()).await?),
            None => None,
        };
        self.change(move |snapshot, now| {
            names::environment(snapshot, &of.project, &of.name)?;
            let Some(before) = snapshot.rows.environments.get(&of) else {
                return Err(ProjectsError::NoSuchEnvironment(of.name.clone()));
            };
            let mut after = before.clone();
            after.updated = now;
            apply(after.images.get_or_insert_default(), &new, sealed.clone());
            Ok((vec![ProjectChange::Environment(of.clone(), Some(after))], ()))
        })
        .await?;
        Ok(made)
    }

    /// What signs the URLs of an environment's images; `None`: nothing.
    pub async fn images_key(&self, of: &OfProject) -> Result<Option<SecretKey>, ProjectsError> {
        let sealed = {
            let snapshot = self.snapshot()?;
            let record = snapshot.rows.environments.get(of);
            record
                .and_then(|record| record.images.as_ref())
                .and_then(|images| images.signing_key.clone())
        };
        match sealed {
            Some(sealed) => Ok(self.inner.directory.open_setting(&sealed_as(of), &sealed).await?),
            None => Ok(None),
        }
    }
}

fn apply(images: &mut ImagesRecord, new: &NewImages, sealed: Option<Vec<u8>>) {
    if sealed.is_some() {
        images.signing_key = sealed;
    }
    if let Some(signed_only) = new.signed_only {
        images.signed_only = signed_only;
    }
    if let Some(presets) = &new.presets {
        let records = presets.iter().map(|(name, options)| PresetRecord {
            name: name.clone(),
            options: options.clone(),
        });
        images.presets = records.collect();
    }
    if let Some(most) = new.unsigned_variants_per_hour {
        images.unsigned_variants_per_hour = Some(most);
    }
    if let Some(formats) = &new.auto_formats {
        images.auto_formats = Some(formats.clone());
    }
}

fn check(name: &str, options: &str) -> Result<(), ProjectsError> {
    let of_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    if name.is_empty() || name.len() > NAME_BYTES_MAX || !name.bytes().all(of_name) {
        let rule = "The name of a preset is 1 to 64 letters, digits, - and _";
        return Err(ProjectsError::Invalid(rule.to_owned()));
    }
    if options.len() > OPTIONS_BYTES_MAX {
        return Err(ProjectsError::Invalid("A preset has at most 512 bytes".to_owned()));
    }
    let parsed = Options::parse(options);
    parsed.map_err(|error| ProjectsError::Invalid(format!("The preset {name}: {error}")))?;
    Ok(())
}

/// A key that clients can be given as text.
fn made_key() -> Result<SecretKey, ProjectsError> {
    let mut random = [0; KEY_BYTES];
    getrandom::fill(&mut random).map_err(|error| ProjectsError::NotOpen(error.to_string()))?;
    let text = hex_simd::encode_to_string(random, hex_simd::AsciiCase::Lower);
    Ok(SecretKey::new(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_stays() {
        let mut record = ImagesRecord::default();
        let presets = BTreeMap::from([("card".to_owned(), "fit-in/4x3".to_owned())]);
        let first = NewImages {
            presets: Some(presets),
            unsigned_variants_per_hour: Some(5),
            ..NewImages::default()
        };
        apply(&mut record, &first, Some(vec![1]));
        let second = NewImages {
            signed_only: Some(true),
            ..NewImages::default()
        };
        apply(&mut record, &second, None);
        assert_eq!((record.signing_key, record.signed_only), (Some(vec![1]), true));
        assert_eq!((record.presets.len(), record.unsigned_variants_per_hour), (1, Some(5)));
    }

    #[test]
    fn a_preset_that_no_url_could_have_is_refused() {
        assert!(check("card", "fit-in/400x300/filters:quality(75)").is_ok());
        for (name, options) in [
            ("", "4x3"),
            ("a/b", "4x3"),
            ("card", ""),
            ("card", "k.jpg"),
            ("card", "5000x0"),
            ("card", "filters:format(heic)"),
        ] {
            assert!(check(name, options).is_err(), "{name} {options}");
        }
    }

    #[test]
    fn keys_that_are_made_differ() {
        let (one, other) = (made_key().unwrap(), made_key().unwrap());
        assert_eq!(one.expose().len(), 2 * KEY_BYTES);
        assert_ne!(one.expose(), other.expose());
    }
}
