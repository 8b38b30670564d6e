//! A real LDAP server (OpenLDAP's slapd, from Debian) on loopback, over a database made for one test; ends with its value.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::daemon::{Daemon, LIMIT, is_there, program};
use crate::process::run;
use crate::server::free_port;

/// Who may search everything.
pub const SEARCH_DN: &str = "cn=search,dc=example,dc=org";
/// The password of [`SEARCH_DN`].
pub const SEARCH_PASSWORD: &str = "search-secret";

/// The groups of `many`; the name of each has 64 bytes.
pub const GROUPS_OF_MANY: usize = 95;

/// The people and groups of every server: the password of `NAME` is `NAME-secret`, `ann` and `bob` are `staff`, and `many` is
/// in [`GROUPS_OF_MANY`].
const ENTRIES: &str = "\
dn: dc=example,dc=org
objectClass: dcObject
objectClass: organization
dc: example
o: Example

dn: ou=people,dc=example,dc=org
objectClass: organizationalUnit
ou: people

dn: ou=more,ou=people,dc=example,dc=org
objectClass: organizationalUnit
ou: more

dn: ou=groups,dc=example,dc=org
objectClass: organizationalUnit
ou: groups

dn: cn=staff,ou=groups,dc=example,dc=org
objectClass: groupOfNames
cn: staff
member: uid=ann,ou=people,dc=example,dc=org
member: uid=bob,ou=people,dc=example,dc=org

dn: cn=guests,ou=groups,dc=example,dc=org
objectClass: groupOfNames
cn: guests
member: uid=eve,ou=people,dc=example,dc=org
";
const PEOPLE: &[(&str, &str)] = &[
    ("ann", "ou=people"),
    ("bob", "ou=people"),
    ("eve", "ou=people"),
    ("many", "ou=people"),
    ("twin", "ou=people"),
    ("twin", "ou=more,ou=people"),
];

/// Its certificate, if it has one.
#[derive(Debug, Clone)]
pub struct Certificate {
    /// The chain, in PEM.
    pub chain: PathBuf,
    /// The key, in PEM.
    pub key: PathBuf,
    /// The authority's certificate, in PEM.
    pub authority: PathBuf,
}

/// A running server.
pub struct Slapd {
    _daemon: Daemon,
    /// The port of LDAP, with StartTLS where there is a certificate.
    pub port: u16,
    /// The port of LDAP over TLS.
    pub tls_port: u16,
}

/// Why there is none to start; `None`: it is installed.
#[must_use]
pub fn missing() -> Option<&'static str> {
    (!is_there("slapd")).then_some("the Debian package slapd is not installed")
}

impl Slapd {
    /// Starts one over a fresh database in `folder`. With a certificate it takes no password without TLS; without one it
    /// takes them all in the clear. A bind without a password succeeds, as it does on many servers.
    ///
    /// # Errors
    /// When it cannot be started, or does not listen within a minute.
    pub fn start(folder: &Path, certificate: Option<&Certificate>) -> Result<Self> {
        let database = folder.join("database");
        fs::create_dir_all(&database)?;
        let mut entries = ENTRIES.to_owned();
        for (name, place) in PEOPLE {
            entries.push_str(&format!(
                "\ndn: uid={name},{place},dc=example,dc=org\nobjectClass: inetOrgPerson\nuid: {name}\ncn: {name}\nsn: {name}\n\
                 userPassword: {name}-secret\n"
            ));
        }
        for number in 0..GROUPS_OF_MANY {
            let name = format!("group-of-64-bytes-and-of-many-{number:03}");
            entries.push_str(&format!(
                "\ndn: cn={name},ou=groups,dc=example,dc=org\nobjectClass: groupOfNames\ncn: {name}\n\
                 member: uid=many,ou=people,dc=example,dc=org\n"
            ));
        }
        let (settings, ldif) = (folder.join("slapd.conf"), folder.join("entries.ldif"));
        fs::write(&ldif, entries)?;
        fs::write(&settings, configuration(folder, &database, certificate))?;
        run(program("slapadd").arg("-f").arg(&settings).arg("-l").arg(&ldif), LIMIT)?;
        let (port, tls_port) = (free_port()?, free_port()?);
        let mut urls = format!("ldap://127.0.0.1:{port}/");
        if certificate.is_some() {
            urls.push_str(&format!(" ldaps://127.0.0.1:{tls_port}/"));
        }
        let mut command = program("slapd");
        // In the foreground, and quiet.
        command.args(["-d", "0", "-h", &urls, "-f"]).arg(&settings);
        Ok(Self {
            _daemon: Daemon::start(command, port, folder.join("slapd.log"))?,
            port,
            tls_port,
        })
    }
}

fn configuration(folder: &Path, database: &Path, certificate: Option<&Certificate>) -> String {
    let (here, database) = (folder.display(), database.display());
    let tls = certificate.map_or_else(String::new, |files| {
        format!(
            "TLSCertificateFile {}\nTLSCertificateKeyFile {}\nTLSCACertificateFile {}\nsecurity simple_bind=64\n",
            files.chain.display(),
            files.key.display(),
            files.authority.display()
        )
    });
    format!(
        "include /etc/ldap/schema/core.schema\n\
         include /etc/ldap/schema/cosine.schema\n\
         include /etc/ldap/schema/inetorgperson.schema\n\
         modulepath /usr/lib/ldap\n\
         moduleload back_mdb\n\
         pidfile {here}/slapd.pid\n\
         allow bind_anon_cred\n\
         {tls}\
         database mdb\n\
         maxsize 16777216\n\
         suffix \"dc=example,dc=org\"\n\
         rootdn \"{SEARCH_DN}\"\n\
         rootpw {SEARCH_PASSWORD}\n\
         directory {database}\n\
         access to attrs=userPassword by anonymous auth by * none\n\
         access to * by * none\n"
    )
}
