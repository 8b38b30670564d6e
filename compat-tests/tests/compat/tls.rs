//! The matrix of path style and virtual host, http and https, two regions: by boto3 alone, over two servers.

use std::fs;

use anyhow::{Context as _, Result};
use compat_tests::clients::{Client, scripts};
use compat_tests::server::Setup;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

use crate::scripts::told;
use crate::stage::{Stage, Test, script};

const DOMAIN: &str = "s3.compat.test";

pub(crate) fn tests() -> Vec<Test> {
    vec![Test::with(
        Client::Boto3,
        "boto3_by_path_and_virtual_host_http_and_https_two_regions",
        matrix,
    )]
}

fn matrix(stage: &mut Stage) -> Result<()> {
    let (certificates, authority) = certificates(stage)?;
    let second = stage.files.join("second");
    fs::create_dir(&second)?;
    let domain = ("MINIO_DOMAIN".to_owned(), DOMAIN.to_owned());
    stage.setup.environment.push(domain.clone());
    let mut secure = Setup::fresh(&second)?;
    secure.environment.push(domain);
    secure.certificates = Some(certificates);
    let plain = stage.start()?;
    let encrypted = secure.start()?;
    let mut command = stage.command(&stage.program);
    command
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("COMPAT_DOMAIN", DOMAIN)
        .env("COMPAT_CA", authority)
        .env("COMPAT_HTTP_PORT", stage.setup.port.to_string())
        .env("COMPAT_HTTPS_PORT", secure.port.to_string())
        .arg(scripts("boto3/matrix.py")?);
    script(told(&mut command, stage), 8).with_context(|| format!("the TLS server said:\n{}", secure.log_tail()))?;
    encrypted.stop()?;
    plain.stop()
}

/// A folder with `public.crt` and `private.key` for the domain and all names below it, and the file of their authority.
pub(crate) fn certificates(stage: &Stage) -> Result<(std::path::PathBuf, std::path::PathBuf)> {
    let folder = stage.files.join("certs");
    fs::create_dir(&folder)?;
    let mut own = CertificateParams::new(Vec::<String>::new())?;
    // With the name the leaf gets by default the two would look like one certificate that signs itself.
    own.distinguished_name.push(DnType::CommonName, "compat authority");
    own.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(own, KeyPair::generate()?)?;
    let key = KeyPair::generate()?;
    let names = vec![
        DOMAIN.to_owned(),
        format!("*.{DOMAIN}"),
        "localhost".to_owned(),
        "127.0.0.1".to_owned(),
    ];
    let leaf = CertificateParams::new(names)?.signed_by(&key, &authority)?;
    fs::write(folder.join("public.crt"), leaf.pem())?;
    fs::write(folder.join("private.key"), key.serialize_pem())?;
    let file = stage.file("authority.pem", authority.pem().as_bytes())?;
    Ok((folder, file))
}
