//! An issuer: what its discovery document says, and its keys, kept for a while.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use http::Uri;
use serde::Deserialize;

use super::error::OpenIdError;
use super::fetch::Fetch;
use super::keys::KeySet;

/// How often an issuer is asked, and how long it may take.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Each of the two documents must be whole within this time.
    pub patience: Duration,
    /// Least time between two looks: tokens with made-up key names cause no more.
    pub pause: Duration,
    /// Least time after a look that failed.
    pub pause_after_failure: Duration,
    /// From then on keys are asked for anew: one that the issuer took away ends.
    pub fresh: Duration,
    /// For so long keys hold of an issuer that cannot be reached.
    pub holds: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            patience: Duration::from_secs(5),
            pause: Duration::from_secs(10),
            pause_after_failure: Duration::from_secs(2),
            fresh: Duration::from_secs(3_600),
            holds: Duration::from_secs(24 * 3_600),
        }
    }
}

/// What is known of an issuer.
pub(super) struct Known {
    /// As its tokens must name it.
    pub(super) issuer: String,
    pub(super) keys: KeySet,
    at: Instant,
}

/// Where an issuer says which keys are its own.
pub(super) enum Place {
    /// A discovery document names it and them.
    Discovery(Uri),
    /// The set of keys itself, of an issuer whose name is known.
    KeySet { url: Uri, issuer: String },
}

pub(super) struct Issuer {
    place: Place,
    fetch: Fetch,
    pace: Pace,
    known: ArcSwapOption<Known>,
    /// When it was asked last, and whether it answered. Held while it is asked: by one task at a time.
    asked: tokio::sync::Mutex<Option<(Instant, bool)>>,
}

#[derive(Deserialize)]
struct Discovery {
    issuer: String,
    jwks_uri: String,
}

impl Issuer {
    pub(super) fn new(place: Place, fetch: Fetch, pace: Pace) -> Self {
        Self {
            place,
            fetch,
            pace,
            known: ArcSwapOption::empty(),
            asked: tokio::sync::Mutex::new(None),
        }
    }

    /// Whether it is known to call itself so.
    pub(super) fn is(&self, issuer: &str) -> bool {
        self.known.load().as_ref().is_some_and(|known| known.issuer == issuer)
    }

    /// What it calls itself; `None`: it has not answered yet.
    pub(super) fn name(&self) -> Option<String> {
        self.known.load().as_ref().map(|known| known.issuer.clone())
    }

    /// Its keys. Those that are known, if `enough` says so and they are fresh; else it is asked, unless it just was.
    pub(super) async fn keys(&self, enough: impl Fn(&KeySet) -> bool) -> Result<Arc<Known>, OpenIdError> {
        let standing = || {
            let known = self.known.load_full();
            known.filter(|known| known.at.elapsed() < self.pace.fresh && enough(&known.keys))
        };
        if let Some(known) = standing() {
            return Ok(known);
        }
        let mut asked = self.asked.lock().await;
        // Whoever held it may have asked for the same.
        if let Some(known) = standing() {
            return Ok(known);
        }
        let too_early = asked.is_some_and(|(when, answered)| {
            let pause = if answered {
                self.pace.pause
            } else {
                self.pace.pause_after_failure
            };
            when.elapsed() < pause
        });
        if !too_early {
            // Counts also if whoever waits goes away meanwhile.
            *asked = Some((Instant::now(), false));
            let answer = self.ask().await;
            *asked = Some((Instant::now(), answer.is_ok()));
            match answer {
                Ok(known) => self.known.store(Some(Arc::new(known))),
                Err(why) => tracing::warn!("the keys of an identity provider cannot be had: {why}"),
            }
        }
        let known = self.known.load_full();
        known
            .filter(|known| known.at.elapsed() < self.pace.holds)
            .ok_or(OpenIdError::Unreachable)
    }

    async fn ask(&self) -> Result<Known, String> {
        let at = Instant::now();
        let (issuer, url) = match &self.place {
            Place::Discovery(config_url) => self.discovered(config_url).await?,
            Place::KeySet { url, issuer } => (issuer.clone(), url.clone()),
        };
        let keys = self.fetch.get(&url, self.pace.patience).await?;
        let keys = KeySet::parse(&keys).ok_or_else(|| format!("{url}: no set of keys"))?;
        if keys.len() == 0 {
            return Err(format!("{url}: no key that signs tokens"));
        }
        Ok(Known { issuer, keys, at })
    }

    /// What the discovery document calls the issuer, and where it says that its keys are.
    async fn discovered(&self, config_url: &Uri) -> Result<(String, Uri), String> {
        let document = self.fetch.get(config_url, self.pace.patience).await?;
        let named = |what: &str| format!("{config_url}: {what}");
        let discovery: Discovery =
            serde_json::from_slice(&document).map_err(|_| named("no discovery document with issuer and jwks_uri"))?;
        let uri: Uri = discovery
            .jwks_uri
            .parse()
            .map_err(|_| named("its jwks_uri is no URL"))?;
        // A document that came encrypted sends nobody to keys that do not.
        let schemes: &[&str] = match config_url.scheme_str() {
            Some("https") => &["https"],
            Some(_) | None => &["http", "https"],
        };
        if !uri.scheme_str().is_some_and(|scheme| schemes.contains(&scheme)) || uri.authority().is_none() {
            return Err(named("its jwks_uri is no URL that can be trusted"));
        }
        if discovery.issuer.is_empty()
            || discovery.issuer.contains('#')
            || discovery.issuer.chars().any(char::is_control)
        {
            return Err(named("its issuer is no URL"));
        }
        Ok((discovery.issuer, uri))
    }
}
