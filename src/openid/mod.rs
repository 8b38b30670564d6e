//! Identity providers: whom an issuer of tokens vouches for.
//!
//! Owns discovery, the issuer's keys (kept, looked for anew when a token names one that is not among them) and the checks
//! of a token: its signature by the key's own algorithm, issuer, audience and times. It knows neither users nor policies,
//! gives out no credential, and never shows a token. An issuer that cannot be reached holds nothing up but its own tokens.

mod error;
mod fetch;
mod issuer;
mod keys;
mod pinned;
mod token;

#[cfg(test)]
pub(crate) mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use base64_simd::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};
use time::OffsetDateTime;

pub use error::OpenIdError;
pub use issuer::Pace;
pub use pinned::{IssuerKeys, Issuers, PinError, Pinned, Proved, issuer_said};

use crate::config::{Grants, OpenIdProvider};
use fetch::Fetch;
use issuer::{Issuer, Place};
use token::{Expected, LEEWAY, Token};

/// Where an issuer has its document (OpenID Connect Discovery 1.0, 4).
const DISCOVERY: &str = "/.well-known/openid-configuration";
/// Most bytes of the names and values of the claims that are passed on.
const CLAIMS_BYTES_MAX: usize = 6 * 1024;
const SUBJECT_BYTES_MAX: usize = 255;

/// All providers that are configured. Cheap to clone.
#[derive(Clone, Default)]
pub struct Providers(Arc<Vec<Provider>>);

/// One provider.
pub struct Provider {
    settings: OpenIdProvider,
    /// What clients choose it by; `None`: the one without a role.
    role_arn: Option<String>,
    issuer: Issuer,
}

/// Somebody an issuer vouches for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vouched {
    pub issuer: String,
    pub subject: String,
    /// The client that the token was made for.
    pub audience: String,
    /// What the token says, by the name of a condition key (`jwt:…`, lower case): texts, numbers, truth values, and lists
    /// of them.
    pub claims: BTreeMap<String, Vec<String>>,
    /// What the claim of the policies names; `None`: the provider's policies stand in its settings.
    pub policies: Option<Vec<String>>,
    /// When the token ends.
    pub ends: OffsetDateTime,
}

impl Providers {
    /// `region`: stands in the names of roles. Nothing is fetched yet.
    pub fn new(settings: Vec<OpenIdProvider>, region: Option<&str>, pace: Pace) -> Result<Self, rustls::Error> {
        if settings.is_empty() {
            return Ok(Self::default());
        }
        let fetch = Fetch::new()?;
        let made = settings.into_iter().map(|settings| Provider {
            role_arn: role_arn(&settings, region.unwrap_or_default()),
            issuer: Issuer::new(Place::Discovery(settings.config_url.clone()), fetch.clone(), pace),
            settings,
        });
        Ok(Self(Arc::new(made.collect())))
    }

    /// The provider whose role a client names. Where there are no roles, what it names chooses nothing.
    pub fn of_role(&self, role: Option<&str>) -> Result<&Provider, OpenIdError> {
        let has_roles = self.0.iter().any(|provider| provider.role_arn.is_some());
        let role = role.filter(|role| has_roles && !role.is_empty());
        let found = self.0.iter().find(|provider| provider.role_arn.as_deref() == role);
        match (found, self.0.is_empty()) {
            (Some(provider), _) => Ok(provider),
            (None, true) => Err(OpenIdError::NoProvider),
            (None, false) => Err(OpenIdError::NoRole),
        }
    }

    /// Whether another provider is known to be this issuer: no two vouch for the same people.
    pub fn is_of_another(&self, provider: &Provider, issuer: &str) -> bool {
        let mut others = self
            .0
            .iter()
            .filter(|other| other.config_url() != provider.config_url());
        others.any(|other| other.issuer.is(issuer) || other.config_url() == format!("{issuer}{DISCOVERY}"))
    }

    /// Whom `token` proves at `now`, and by which provider's word, for somebody who wants a role of the directory: what the
    /// token or the settings name as their policies does not count there.
    pub async fn vouched_for_role(
        &self,
        token: &str,
        now: OffsetDateTime,
    ) -> Result<(&Provider, Vouched), OpenIdError> {
        // Its own word only says whom to ask first: no issuer that is down holds up another's tokens.
        let claims = Token::parse(token)?.claims()?;
        let said = claims.get("iss").and_then(Value::as_str).unwrap_or_default();
        let is_named =
            |provider: &&Provider| provider.issuer.is(said) || provider.config_url() == format!("{said}{DISCOVERY}");
        let (first, others): (Vec<&Provider>, Vec<&Provider>) = self.0.iter().partition(is_named);
        let mut refused = None;
        for provider in if first.is_empty() { others } else { first } {
            let proved = provider.proved(token, now).await.map(|(vouched, _)| vouched);
            let why = match proved {
                Ok(vouched) if !self.is_of_another(provider, &vouched.issuer) => return Ok((provider, vouched)),
                Ok(_) => OpenIdError::Refused("its issuer is another identity provider's"),
                Err(why) => why,
            };
            refused.get_or_insert(why);
        }
        Err(refused.unwrap_or(OpenIdError::NoProvider))
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Provider> {
        self.0.iter()
    }
}

/// MinIO's name for the role of a provider: clients are configured with it.
fn role_arn(settings: &OpenIdProvider, region: &str) -> Option<String> {
    match settings.grants {
        Grants::Claim(_) => None,
        Grants::Role(_) => {
            let hash = digest(&SHA1_FOR_LEGACY_USE_ONLY, settings.client_id.as_bytes());
            let id = URL_SAFE_NO_PAD.encode_to_string(hash);
            Some(format!("arn:minio:iam:{region}::role/{id}"))
        }
    }
}

impl Provider {
    /// The role that clients choose it by, if it has one.
    pub fn role_arn(&self) -> Option<&str> {
        self.role_arn.as_deref()
    }

    /// What it is told by in logs and answers.
    pub fn config_url(&self) -> String {
        self.settings.config_url.to_string()
    }

    /// What the issuer calls itself, which its tokens are compared with; as long as it was not asked, [`Self::place_url`].
    pub fn issuer_url(&self) -> String {
        self.issuer.name().unwrap_or_else(|| self.place_url())
    }

    /// The issuer's URL, by where its discovery document is.
    pub fn place_url(&self) -> String {
        let url = self.config_url();
        url.strip_suffix(DISCOVERY).map_or_else(|| url.clone(), str::to_owned)
    }

    /// The client that tokens must be made for.
    pub fn client_id(&self) -> &str {
        &self.settings.client_id
    }

    /// Tells it from every other that ever was configured.
    pub fn id(&self) -> String {
        format!("{}:{}", self.settings.name, self.settings.client_id)
    }

    /// Which policies its people have.
    pub fn grants(&self) -> &Grants {
        &self.settings.grants
    }

    /// Whom `token` proves at `now`. Asks the issuer for its keys where they are not known; bounded in time and size.
    pub async fn vouched(&self, token: &str, now: OffsetDateTime) -> Result<Vouched, OpenIdError> {
        let (mut vouched, claims) = self.proved(token, now).await?;
        vouched.policies = match &self.settings.grants {
            Grants::Role(_) => None,
            Grants::Claim(name) => Some(policies(&claims, name)?),
        };
        Ok(vouched)
    }

    /// Whom `token` proves, whatever their policies are, and all it says.
    async fn proved(&self, token: &str, now: OffsetDateTime) -> Result<(Vouched, Map<String, Value>), OpenIdError> {
        let token = Token::parse(token)?;
        let known = self.issuer.keys(|keys| token.may_be_signed_by(keys)).await?;
        if !token.is_signed_by(&known.keys) {
            return Err(OpenIdError::Refused("no key of the issuer made its signature"));
        }
        let claims = token.claims()?;
        let expected = Expected {
            issuer: Some(&known.issuer),
            client: Some(&self.settings.client_id),
            leeway: LEEWAY,
        };
        let ends = token::check(&claims, &expected, now)?;
        let subject = match claims.get("sub").and_then(Value::as_str) {
            Some(subject) if !subject.is_empty() && subject.len() <= SUBJECT_BYTES_MAX => subject.to_owned(),
            Some(_) | None => return Err(OpenIdError::Refused("it names no subject")),
        };
        if subject.chars().any(char::is_control) {
            return Err(OpenIdError::Refused("its subject holds control characters"));
        }
        let vouched = Vouched {
            issuer: known.issuer.clone(),
            subject,
            audience: self.settings.client_id.clone(),
            claims: condition_keys(&claims)?,
            policies: None,
            ends,
        };
        Ok((vouched, claims))
    }
}

/// The policies a claim names: a text with commas, or a list of such.
fn policies(claims: &Map<String, Value>, name: &str) -> Result<Vec<String>, OpenIdError> {
    let texts = claims.get(name).and_then(texts).unwrap_or_default();
    let names = texts.iter().flat_map(|text| text.split(','));
    let mut names: Vec<String> = names
        .map(|name| name.trim().to_owned())
        .filter(|name| !name.is_empty())
        .collect();
    names.sort();
    names.dedup();
    match names.is_empty() {
        true => Err(OpenIdError::NoPolicies(name.to_owned())),
        false => Ok(names),
    }
}

/// A value as texts; `None`: nothing that a policy could compare.
pub(crate) fn texts(value: &Value) -> Option<Vec<String>> {
    match value {
        Value::String(text) => Some(vec![text.clone()]),
        Value::Number(number) => Some(vec![number.to_string()]),
        Value::Bool(truth) => Some(vec![truth.to_string()]),
        Value::Array(values) => {
            let each: Option<Vec<Vec<String>>> = values
                .iter()
                .map(|value| if value.is_array() { None } else { texts(value) })
                .collect();
            each.map(|each| each.concat())
        }
        Value::Null | Value::Object(_) => None,
    }
}

/// The claims as condition keys. Condition keys know no case: two claims that differ in nothing else are no claim.
pub(crate) fn condition_keys(claims: &Map<String, Value>) -> Result<BTreeMap<String, Vec<String>>, OpenIdError> {
    let mut keys = BTreeMap::new();
    let mut bytes = 0_usize;
    for (name, value) in claims {
        let Some(values) = texts(value) else { continue };
        let name = format!("jwt:{}", name.to_ascii_lowercase());
        bytes = values.iter().fold(bytes.saturating_add(name.len()), |sum, value| {
            sum.saturating_add(value.len())
        });
        if bytes > CLAIMS_BYTES_MAX {
            return Err(OpenIdError::Refused("its claims are larger than 6 KiB together"));
        }
        if keys.insert(name, values).is_some() {
            return Err(OpenIdError::Refused(
                "two of its claims differ in upper and lower case only",
            ));
        }
    }
    Ok(keys)
}
