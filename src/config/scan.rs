//! The scanner of what is uploaded.

use super::{ConfigError, Secret, Setting};
use crate::webhooks::sign;

/// What the operator says of scanning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScanConfig {
    pub scanner: ScannerAddress,
    /// Most bytes of a file that is scanned.
    pub bytes_max: u64,
    pub too_large: TooLarge,
    pub down: Down,
}

/// Which scanner, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ScannerAddress {
    /// A clamd that listens there, as `HOST:PORT`.
    Clamd(String),
    /// Whoever answers a POST of the bytes there.
    Webhook {
        url: String,
        /// What signs the requests; `None`: nothing does.
        secret: Option<Secret>,
    },
}

/// What becomes of files that are larger than is scanned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TooLarge {
    Pass,
    #[default]
    Quarantine,
}

/// What becomes of files while the scanner does not answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Down {
    /// They wait.
    #[default]
    Hold,
    /// They pass, after it was asked a few times.
    Pass,
}

/// Most bytes of a file that is scanned, if nothing is said: what a clamd takes by itself.
const BYTES_MAX: u64 = 100 << 20;
/// What a clamd counts with: pieces have their lengths in 32 bits, and so has the whole in its settings.
const BYTES_RANGE: std::ops::RangeInclusive<u64> = 1..=4_294_967_295;

/// What is said of it; `None`: there is none.
pub(super) fn scan(setting: Setting<'_>) -> Result<Option<ScanConfig>, ConfigError> {
    let Some(scanner) = setting("SCAN")? else {
        return Ok(None);
    };
    // What is wrong is not repeated: an address may hold a secret.
    let wrong = |variable: &str, problem: &'static str| ConfigError::Provider {
        variable: variable.to_owned(),
        problem,
    };
    let bytes_max = match setting("SCAN_MAX_BYTES")? {
        Some(text) => text.parse().ok().filter(|bytes| BYTES_RANGE.contains(bytes)),
        None => Some(BYTES_MAX),
    };
    let too_large = match setting("SCAN_TOO_LARGE")?.as_deref() {
        None | Some("quarantine") => TooLarge::Quarantine,
        Some("pass") => TooLarge::Pass,
        Some(_) => return Err(wrong("DRYSTONE_SCAN_TOO_LARGE", "must be pass or quarantine")),
    };
    let down = match setting("SCAN_DOWN")?.as_deref() {
        None | Some("hold") => Down::Hold,
        Some("pass") => Down::Pass,
        Some(_) => return Err(wrong("DRYSTONE_SCAN_DOWN", "must be hold or pass")),
    };
    let problem = "must be clamd:HOST:PORT or an address that begins with https://";
    let mut scanner = address(&scanner).ok_or(wrong("DRYSTONE_SCAN", problem))?;
    if let Some(given) = setting("SCAN_SECRET")?.map(Secret::new) {
        let ScannerAddress::Webhook { secret, .. } = &mut scanner else {
            let problem = "is for a scanner that is asked by https://";
            return Err(wrong("DRYSTONE_SCAN_SECRET", problem));
        };
        if !sign::is_secret(given.expose()) {
            let problem = "must be whsec_ and the base64 of 24 to 64 bytes";
            return Err(wrong("DRYSTONE_SCAN_SECRET", problem));
        }
        *secret = Some(given);
    }
    Ok(Some(ScanConfig {
        scanner,
        bytes_max: bytes_max.ok_or(wrong(
            "DRYSTONE_SCAN_MAX_BYTES",
            "must be a number of bytes from 1 to 4294967295",
        ))?,
        too_large,
        down,
    }))
}

fn address(text: &str) -> Option<ScannerAddress> {
    if let Some(address) = text.strip_prefix("clamd:") {
        let (host, port) = address.rsplit_once(':')?;
        let is_port = port.parse::<u16>().is_ok_and(|port| port > 0);
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        return (is_port && !bare.is_empty()).then(|| ScannerAddress::Clamd(address.to_owned()));
    }
    let is_url = text.starts_with("https://") || text.starts_with("http://");
    is_url.then(|| ScannerAddress::Webhook {
        url: text.to_owned(),
        secret: None,
    })
}
