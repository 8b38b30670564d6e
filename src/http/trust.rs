//! Whom the server believes when it is a client itself: the certificates of the machine, or those of the files that
//! `SSL_CERT_FILE` and `SSL_CERT_DIR` name.

use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, ConfigBuilder, RootCertStore, WantsVerifier};

/// A client's TLS, as far as it is the same whomever it believes.
pub fn builder() -> Result<ConfigBuilder<ClientConfig, WantsVerifier>, rustls::Error> {
    ClientConfig::builder_with_provider(aws_lc_rs::default_provider().into()).with_safe_default_protocol_versions()
}

/// TLS that believes who the machine's certificates vouch for.
pub fn of_machine() -> Result<ClientConfig, rustls::Error> {
    let mut roots = RootCertStore::empty();
    // A machine without certificates trusts nobody; the handshake says so.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    Ok(builder()?.with_root_certificates(roots).with_no_client_auth())
}
