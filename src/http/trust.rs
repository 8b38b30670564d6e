//! Whom the server believes when it is a client itself: the certificates of the machine (or those of the files that
//! `SSL_CERT_FILE` and `SSL_CERT_DIR` name), and where an operator has authorities of their own, theirs.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, ConfigBuilder, RootCertStore, WantsVerifier};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

/// The folder of an operator's own authorities, in the folder of certificates.
const OWN: &str = "CAs";

/// A client's TLS, as far as it is the same whomever it believes.
pub fn builder() -> Result<ConfigBuilder<ClientConfig, WantsVerifier>, rustls::Error> {
    ClientConfig::builder_with_provider(aws_lc_rs::default_provider().into()).with_safe_default_protocol_versions()
}

/// TLS that believes who the machine's certificates vouch for.
pub fn of_machine() -> Result<ClientConfig, rustls::Error> {
    of_machine_and(&[])
}

/// The same, which also believes the authorities in the folder `CAs` of each of these folders of certificates: every file
/// there, in PEM. One that cannot be used is passed over, and the log says so.
pub fn of_machine_and(certs_dirs: &[PathBuf]) -> Result<ClientConfig, rustls::Error> {
    let mut roots = RootCertStore::empty();
    // A machine without certificates trusts nobody; the handshake says so.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    for folder in certs_dirs.iter().map(|folder| folder.join(OWN)) {
        for path in files(&folder) {
            match add(&mut roots, &path) {
                Ok(count) => {
                    tracing::info!(file = %path.display(), count, "authorities of the operator's own are believed")
                }
                Err(why) => tracing::warn!(file = %path.display(), %why, "no authority can be read from this file"),
            }
        }
    }
    Ok(builder()?.with_root_certificates(roots).with_no_client_auth())
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let found = match fs::read_dir(folder) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Vec::new(),
        Err(error) => {
            tracing::warn!(folder = %folder.display(), %error, "the operator's own authorities cannot be read");
            return Vec::new();
        }
    };
    let mut files: Vec<PathBuf> = found
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.is_file())
        .collect();
    files.sort();
    files
}

/// How many a file holds.
fn add(roots: &mut RootCertStore, path: &Path) -> Result<usize, String> {
    let text = fs::read(path).map_err(|error| error.to_string())?;
    let mut count = 0;
    for found in CertificateDer::pem_slice_iter(&text) {
        let certificate = found.map_err(|error| error.to_string())?;
        roots.add(certificate).map_err(|error| error.to_string())?;
        count += 1;
    }
    match count {
        0 => Err("it holds no certificate in PEM".to_owned()),
        count => Ok(count),
    }
}
