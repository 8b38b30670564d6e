//! TLS from two files, `public.crt` and `private.key`, read again when they change.
//!
//! A change that cannot be used keeps the old certificate and says so; the server never falls back to plain HTTP.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::{Error as PemError, PemObject};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

const CERTIFICATE_FILE: &str = "public.crt";
const KEY_FILE: &str = "private.key";
/// How long before its end a certificate is worth a warning.
const NOTICE: Duration = Duration::from_secs(14 * 24 * 3600);
/// How often the files are looked at.
pub const RELOAD_INTERVAL: Duration = Duration::from_secs(5);

/// Why a certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("'{}' is there and '{}' is not; TLS needs both", present.display(), missing.display())]
    OneMissing { present: PathBuf, missing: PathBuf },
    #[error("cannot read '{}': {reason}", path.display())]
    Read { path: PathBuf, reason: String },
    #[error(
        "'{}' does not belong to '{}': put the key there that the certificate was made for",
        folder.join(KEY_FILE).display(),
        folder.join(CERTIFICATE_FILE).display()
    )]
    Mismatch { folder: PathBuf },
    #[error("the certificate and key in '{}' cannot be used: {source}", folder.display())]
    Unusable { folder: PathBuf, source: rustls::Error },
}

/// The certificate in a folder, as it now stands.
#[derive(Debug)]
pub struct Certificates {
    folder: PathBuf,
    current: ArcSwap<CertifiedKey>,
    stamp: parking_lot::Mutex<Stamp>,
}

/// Tells one state of the two files from another without reading them.
type Stamp = [Option<(SystemTime, u64)>; 2];

impl Certificates {
    /// The certificate in the first of `folders` that has one; `None` when none has.
    pub fn find(folders: &[PathBuf]) -> Result<Option<Arc<Self>>, TlsError> {
        for folder in folders {
            let [certificate, key] = [CERTIFICATE_FILE, KEY_FILE].map(|name| folder.join(name));
            match (certificate.exists(), key.exists()) {
                (false, false) => {}
                (true, false) => {
                    return Err(TlsError::OneMissing {
                        present: certificate,
                        missing: key,
                    });
                }
                (false, true) => {
                    return Err(TlsError::OneMissing {
                        present: key,
                        missing: certificate,
                    });
                }
                (true, true) => {
                    let stamp = stamp(folder);
                    let loaded = load(folder)?;
                    warn_of_dates(folder, &loaded);
                    return Ok(Some(Arc::new(Self {
                        current: ArcSwap::from_pointee(loaded),
                        stamp: parking_lot::Mutex::new(stamp),
                        folder: folder.clone(),
                    })));
                }
            }
        }
        Ok(None)
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// TLS 1.2 and 1.3, HTTP/2 and HTTP/1.1 by ALPN, always with the certificate that is current at the handshake.
    pub fn server_config(self: &Arc<Self>) -> Result<ServerConfig, TlsError> {
        let resolver: Arc<dyn ResolvesServerCert> = Arc::clone(self) as _;
        let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|source| TlsError::Unusable {
                folder: self.folder.clone(),
                source,
            })?
            .with_no_client_auth()
            .with_cert_resolver(resolver);
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(config)
    }

    /// Takes the files again if they changed. `Ok(true)` when a new certificate is in use.
    pub fn reload_if_changed(&self) -> Result<bool, TlsError> {
        let now = stamp(&self.folder);
        {
            let mut known = self.stamp.lock();
            if *known == now {
                return Ok(false);
            }
            *known = now;
        }
        let loaded = load(&self.folder)?;
        warn_of_dates(&self.folder, &loaded);
        self.current.store(Arc::new(loaded));
        Ok(true)
    }

    /// Looks for changes for ever.
    pub async fn watch(self: Arc<Self>, interval: Duration) {
        loop {
            tokio::time::sleep(interval).await;
            match self.reload_if_changed() {
                Ok(false) => {}
                Ok(true) => tracing::info!(folder = %self.folder.display(), "new TLS certificate in use"),
                Err(error) => tracing::warn!(%error, "the changed TLS certificate is not used, the old one stays"),
            }
        }
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current.load_full())
    }
}

/// A certificate out of its time is served all the same: whether to trust it is the client's to say.
fn warn_of_dates(folder: &Path, certified: &CertifiedKey) {
    if let Some(trouble) = wrong_date(&certified.cert, UnixTime::now()) {
        tracing::warn!("'{}' {trouble}", folder.join(CERTIFICATE_FILE).display());
    }
}

/// What clients will hold against the dates of a chain's first certificate, now or within [`NOTICE`].
fn wrong_date(chain: &[CertificateDer<'_>], now: UnixTime) -> Option<String> {
    let leaf = webpki::EndEntityCert::try_from(chain.first()?).ok()?;
    // Without an anchor the chain leads nowhere, which is said only after the dates.
    let verdict = |at: UnixTime| {
        let algorithms = default_provider().signature_verification_algorithms.all;
        leaf.verify_for_usage(algorithms, &[], &[], at, webpki::KeyUsage::server_auth(), None, None)
            .err()
    };
    let soon = UnixTime::since_unix_epoch(Duration::from_secs(now.as_secs()) + NOTICE);
    match (verdict(now)?, verdict(soon)?) {
        (webpki::Error::CertExpired { not_after, .. }, _) => {
            Some(format!("expired at {}: clients refuse it", utc(not_after)))
        }
        (webpki::Error::CertNotValidYet { not_before, .. }, _) => {
            Some(format!("is not valid before {}: clients refuse it", utc(not_before)))
        }
        (_, webpki::Error::CertExpired { not_after, .. }) => Some(format!("expires at {}", utc(not_after))),
        (_, _) => None,
    }
}

fn utc(at: UnixTime) -> String {
    let seconds = i64::try_from(at.as_secs()).unwrap_or(i64::MAX);
    OffsetDateTime::from_unix_timestamp(seconds)
        .ok()
        .and_then(|at| at.format(&Rfc3339).ok())
        .unwrap_or_else(|| format!("{seconds} s after 1970"))
}

fn stamp(folder: &Path) -> Stamp {
    [CERTIFICATE_FILE, KEY_FILE].map(|name| {
        let metadata = std::fs::metadata(folder.join(name)).ok()?;
        Some((metadata.modified().ok()?, metadata.len()))
    })
}

fn load(folder: &Path) -> Result<CertifiedKey, TlsError> {
    let read = |name: &str| {
        let path = folder.join(name);
        std::fs::read(&path).map_err(|error: io::Error| TlsError::Read {
            path,
            reason: error.to_string(),
        })
    };
    let unreadable = |name: &str, reason: String| TlsError::Read {
        path: folder.join(name),
        reason,
    };
    let chain = CertificateDer::pem_slice_iter(&read(CERTIFICATE_FILE)?)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| unreadable(CERTIFICATE_FILE, error.to_string()))?;
    if chain.is_empty() {
        return Err(unreadable(CERTIFICATE_FILE, "it holds no certificate".into()));
    }
    let key_text = zeroize::Zeroizing::new(read(KEY_FILE)?);
    let key = PrivateKeyDer::from_pem_slice(&key_text).map_err(|error| {
        let reason = match error {
            PemError::NoItemsFound => "it holds no private key in PEM that can be used; one with a passphrase cannot: \
                                       take it off with 'openssl pkey -in FILE -out private.key'"
                .to_owned(),
            other => other.to_string(),
        };
        unreadable(KEY_FILE, reason)
    })?;
    // Checks that the key is the certificate's.
    CertifiedKey::from_der(chain, key, &default_provider()).map_err(|source| {
        let folder = folder.to_owned();
        match source {
            rustls::Error::InconsistentKeys(_) => TlsError::Mismatch { folder },
            source => TlsError::Unusable { folder, source },
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write_pair(folder: &Path, name: &str) -> Vec<u8> {
        let made = rcgen::generate_simple_self_signed(vec![name.to_owned()]).unwrap();
        std::fs::write(folder.join(CERTIFICATE_FILE), made.cert.pem()).unwrap();
        std::fs::write(folder.join(KEY_FILE), made.signing_key.serialize_pem()).unwrap();
        made.cert.der().to_vec()
    }

    fn in_use(certificates: &Certificates) -> Vec<u8> {
        certificates.current.load().cert[0].to_vec()
    }

    #[test]
    fn a_changed_certificate_is_taken_and_a_broken_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let first = write_pair(folder.path(), "first.test");
        let certificates = Certificates::find(&[folder.path().to_owned()]).unwrap().unwrap();
        assert_eq!(in_use(&certificates), first);
        assert!(!certificates.reload_if_changed().unwrap());

        std::fs::write(folder.path().join(KEY_FILE), "no key").unwrap();
        assert!(certificates.reload_if_changed().is_err());
        assert_eq!(in_use(&certificates), first);

        let second = write_pair(folder.path(), "second-name.test");
        assert!(certificates.reload_if_changed().unwrap());
        assert_eq!(in_use(&certificates), second);
    }

    #[test]
    fn a_key_of_another_certificate_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        write_pair(folder.path(), "one.test");
        let other = rcgen::generate_simple_self_signed(vec!["other.test".to_owned()]).unwrap();
        std::fs::write(folder.path().join(KEY_FILE), other.signing_key.serialize_pem()).unwrap();
        let error = Certificates::find(&[folder.path().to_owned()]).unwrap_err();
        assert!(matches!(error, TlsError::Mismatch { .. }), "{error}");
    }

    #[test]
    fn a_certificate_out_of_its_time_or_near_its_end_is_told() {
        let mut made = rcgen::CertificateParams::new(vec!["store.test".to_owned()]).unwrap();
        made.not_before = rcgen::date_time_ymd(2030, 3, 1);
        made.not_after = rcgen::date_time_ymd(2031, 3, 1);
        let key = rcgen::KeyPair::generate().unwrap();
        let own = made.clone().self_signed(&key).unwrap().der().clone();
        made.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let as_openssl_makes_it = made.self_signed(&key).unwrap().der().clone();
        let day = |year, month, day| {
            let at = rcgen::date_time_ymd(year, month, day).unix_timestamp();
            UnixTime::since_unix_epoch(Duration::from_secs(u64::try_from(at).unwrap()))
        };
        for certificate in [own, as_openssl_makes_it] {
            let chain = [certificate];
            let table = [
                (day(2030, 2, 27), Some("is not valid before 2030-03-01T00:00:00Z")),
                (day(2030, 3, 2), None),
                (day(2031, 2, 14), None),
                (day(2031, 2, 16), Some("expires at 2031-03-01T00:00:00Z")),
                (day(2031, 3, 2), Some("expired at 2031-03-01T00:00:00Z")),
            ];
            for (now, expected) in table {
                let said = wrong_date(&chain, now);
                match expected {
                    Some(part) => assert!(said.as_ref().is_some_and(|said| said.starts_with(part)), "{said:?}"),
                    None => assert_eq!(said, None),
                }
            }
        }
    }

    #[test]
    fn a_key_with_a_passphrase_is_refused_with_the_cure() {
        let folder = tempfile::tempdir().unwrap();
        write_pair(folder.path(), "one.test");
        let locked = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIIBvTBXBgkq\n-----END ENCRYPTED PRIVATE KEY-----\n";
        std::fs::write(folder.path().join(KEY_FILE), locked).unwrap();
        let error = Certificates::find(&[folder.path().to_owned()]).unwrap_err().to_string();
        assert!(
            error.contains("passphrase") && error.contains("openssl pkey"),
            "{error}"
        );
    }

    #[test]
    fn no_files_mean_no_tls_and_one_alone_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let folders = [folder.path().join("absent"), folder.path().to_owned()];
        assert!(Certificates::find(&folders).unwrap().is_none());
        write_pair(folder.path(), "one.test");
        std::fs::remove_file(folder.path().join(KEY_FILE)).unwrap();
        assert!(matches!(Certificates::find(&folders), Err(TlsError::OneMissing { .. })));
    }
}
