//! What is set on the images of an environment: the key that signs their URLs, and presets.
//!
//! The key is sealed by the directory of users, as an issuer's secret is, and told once, when it is made. What the options
//! of a preset mean is `images`'s to say.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

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
/// Hosts of one environment; bytes of a name, and of what stands between two dots (RFC 1035 §2.3.4).
const HOSTS_MAX: usize = 16;
const HOST_BYTES_MAX: usize = 253;
const LABEL_BYTES_MAX: usize = 63;
/// Random bytes of a key that is made.
const KEY_BYTES: usize = 32;
/// Bytes of a key that was made elsewhere: fewer can be guessed.
const OWN_KEY_BYTES: RangeInclusive<usize> = 16..=512;

/// What is to be set on the images of an environment; what is left out stays.
#[derive(Clone, Debug, Default)]
pub struct NewImages {
    /// A new key is made, and URLs that the old one signed are signed no more.
    pub new_key: bool,
    /// This key takes its place, as it was made elsewhere.
    pub own_key: Option<SecretKey>,
    pub signed_only: Option<bool>,
    /// All of them, by name.
    pub presets: Option<BTreeMap<String, String>>,
    pub unsigned_variants_per_hour: Option<u32>,
    /// `avif` and `webp`: what is chosen by itself for clients that say to take it.
    pub auto_formats: Option<Vec<String>>,
    /// Names of hosts that serve nothing but these images: all of them.
    pub hosts: Option<Vec<String>>,
}

fn sealed_as(of: &OfProject) -> String {
    format!("images/{}/{}", of.project, of.name)
}

impl Projects {
    /// Sets it. The key, if one was made: nobody is ever told it again.
    pub async fn set_images(&self, of: OfProject, mut new: NewImages) -> Result<Option<SecretKey>, ProjectsError> {
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
        if let Some(hosts) = &mut new.hosts {
            *hosts = checked_hosts(hosts)?;
        }
        {
            let snapshot = self.snapshot()?;
            names::environment(&snapshot, &of.project, &of.name)?;
        }
        let made = match new.new_key {
            true => Some(made_key()?),
            false => None,
        };
        new.own_key
            .as_ref()
            .map(|own| check_own_key(own, made.as_ref()))
            .transpose()?;
        let sealed = match made.as_ref().or(new.own_key.as_ref()) {
            Some(key) => Some(self.inner.directory.seal_setting(&sealed_as(&of), key.expose()).await?),
            None => None,
        };
        self.change(move |snapshot, now| {
            names::environment(snapshot, &of.project, &of.name)?;
            let Some(before) = snapshot.rows.environments.get(&of) else {
                return Err(ProjectsError::NoSuchEnvironment(of.name.clone()));
            };
            let taken = |host: &&String| snapshot.image_host(host).is_some_and(|other| *other != of);
            if let Some(host) = new.hosts.iter().flatten().find(taken) {
                return Err(ProjectsError::HostTaken(host.clone()));
            }
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
    if let Some(hosts) = &new.hosts {
        images.hosts.clone_from(hosts);
    }
}

fn check_own_key(own: &SecretKey, made: Option<&SecretKey>) -> Result<(), ProjectsError> {
    if made.is_some() {
        let rule = "A signing key is either made or named";
        return Err(ProjectsError::Invalid(rule.to_owned()));
    }
    let bytes = own.expose();
    if !OWN_KEY_BYTES.contains(&bytes.len()) || bytes.iter().any(u8::is_ascii_control) {
        let rule = "A signing key has 16 to 512 bytes, and no control characters";
        return Err(ProjectsError::Invalid(rule.to_owned()));
    }
    Ok(())
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

/// Names of hosts in lower case, each once and sorted. Whether one is the server's own is its front's to say.
fn checked_hosts(hosts: &[String]) -> Result<Vec<String>, ProjectsError> {
    if hosts.len() > HOSTS_MAX {
        return Err(ProjectsError::TooMany("An environment has at most 16 image hosts"));
    }
    let named = hosts.iter().map(|host| image_host(host));
    let all: Option<BTreeSet<String>> = named.collect();
    let rule = "An image host is the name of a host, with a dot in it and without port, and no address";
    let all = all.ok_or_else(|| ProjectsError::Invalid(rule.to_owned()))?;
    Ok(all.into_iter().collect())
}

/// The name of a host as it is kept and looked up; `None`: it is none.
pub fn image_host(text: &str) -> Option<String> {
    let host = text.to_ascii_lowercase();
    let of_label = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let is_label = |label: &str| {
        let fits = (1..=LABEL_BYTES_MAX).contains(&label.len()) && label.bytes().all(of_label);
        fits && !label.starts_with('-') && !label.ends_with('-')
    };
    let (_, last) = host.rsplit_once('.')?;
    // What ends in a number is an address of four of them, or means to be.
    let is_address = last.bytes().all(|byte| byte.is_ascii_digit());
    let fits = host.len() <= HOST_BYTES_MAX && !is_address && host.split('.').all(is_label);
    fits.then_some(host)
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
    fn an_image_host_is_a_name_and_no_address() {
        let hosts = |hosts: &[&str]| checked_hosts(&hosts.iter().map(|host| (*host).to_owned()).collect::<Vec<_>>());
        assert_eq!(
            hosts(&["img.B.test", "a.test", "A.test"]).unwrap(),
            ["a.test", "img.b.test"]
        );
        for wrong in [
            "",
            "localhost",
            "127.0.0.1",
            "1.2.3.4.",
            "[::1]",
            "::1",
            "img.test:9000",
            "img.test.",
            ".test",
            "a..test",
            "-a.test",
            "a-.test",
            "a_b.test",
            "a b.test",
            "*.test",
            "user@a.test",
            "https://a.test",
            "bücher.test",
        ] {
            assert!(matches!(hosts(&[wrong]), Err(ProjectsError::Invalid(_))), "{wrong}");
        }
        assert!(matches!(
            hosts(&[&format!("{}.test", "a".repeat(64))]),
            Err(ProjectsError::Invalid(_))
        ));
        let many: Vec<String> = (0..17).map(|number| format!("{number}.test")).collect();
        assert!(matches!(checked_hosts(&many), Err(ProjectsError::TooMany(_))));
    }

    #[test]
    fn a_key_that_was_made_elsewhere_is_long_enough_and_the_only_one() {
        let key = |text: &str| SecretKey::new(text.to_owned());
        assert!(check_own_key(&key("0123456789abcdef"), None).is_ok());
        for wrong in ["0123456789abcde", "", "0123456789abcdef\n", &"x".repeat(513)] {
            assert!(check_own_key(&key(wrong), None).is_err(), "{wrong:?}");
        }
        assert!(check_own_key(&key("0123456789abcdef"), Some(&key("made"))).is_err());
    }

    #[test]
    fn keys_that_are_made_differ() {
        let (one, other) = (made_key().unwrap(), made_key().unwrap());
        assert_eq!(one.expose().len(), 2 * KEY_BYTES);
        assert_ne!(one.expose(), other.expose());
    }
}
