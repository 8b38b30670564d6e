//! What the operator sees at start: where the store listens, on which drives it stands, and what is wrong.

use std::net::SocketAddr;

use storage_engine::backend::{DriveState, Health, ServiceState};

use crate::http::health::drives_in;

/// What the banner tells.
pub(super) struct Banner<'a> {
    pub(super) addresses: &'a [SocketAddr],
    pub(super) tls: bool,
    pub(super) server_url: Option<&'a str>,
    pub(super) console: &'a [SocketAddr],
    pub(super) health: &'a Health,
}

impl Banner<'_> {
    /// URLs under which clients reach the store.
    pub(super) fn endpoints(&self) -> Vec<String> {
        let scheme = if self.tls { "https" } else { "http" };
        let public = self.server_url.map(str::to_owned);
        public
            .into_iter()
            .chain(self.addresses.iter().map(|address| url(scheme, *address)))
            .collect()
    }

    /// One line on how many drives may still be lost.
    pub(super) fn safety(&self) -> String {
        let health = self.health;
        let (all, parity) = (health.drives.len(), health.parity);
        let drives = if all == 1 { "drive" } else { "drives" };
        format!(
            "{} of {all} {drives}, EC:{parity}, {} more may be lost",
            drives_in(health),
            health.tolerated_losses
        )
    }

    /// What does not stand as it should, one line each.
    pub(super) fn troubles(&self) -> Vec<String> {
        let mut troubles = Vec::new();
        match &self.health.state {
            ServiceState::ReadWrite => {}
            ServiceState::ReadOnly(why) => troubles.push(format!("READ-ONLY: {why}")),
            ServiceState::NotReady(why) => troubles.push(format!("NOT READY: {why}")),
        }
        if let Some(why) = &self.health.large_bodies_fail {
            troubles.push(format!("LARGE OBJECTS CANNOT BE WRITTEN: {why}"));
        }
        for drive in &self.health.drives {
            match drive.state {
                DriveState::In | DriveState::Draining => {}
                DriveState::Out => troubles.push(format!("drive {} is out: {}", drive.path, drive.reason)),
                DriveState::Missing => troubles.push(format!("drive {} is missing: {}", drive.path, drive.reason)),
            }
        }
        troubles
    }

    /// The banner as lines for a person.
    pub(super) fn text(&self) -> String {
        let mut text = format!("Drystone {}\n", env!("CARGO_PKG_VERSION"));
        let mut line = |name: &str, value: &str| text.push_str(&format!("  {name:<9} {value}\n"));
        let every = self.addresses.iter().any(|address| address.ip().is_unspecified());
        let others = if every {
            "  (and every other address of this machine)"
        } else {
            ""
        };
        line("S3", &format!("{}{others}", self.endpoints().join("  ")));
        if !self.console.is_empty() {
            let urls: Vec<String> = self.console.iter().map(|address| url("http", *address)).collect();
            line("Console", &format!("{}  (not built yet)", urls.join("  ")));
        }
        line("Drives", &self.safety());
        for drive in &self.health.drives {
            line("", &drive.path);
        }
        for trouble in self.troubles() {
            line("WARNING", &trouble);
        }
        text
    }
}

/// A URL that can be pasted: every address of the machine is told by one of them.
fn url(scheme: &str, address: SocketAddr) -> String {
    if address.ip().is_unspecified() {
        return format!("{scheme}://127.0.0.1:{}", address.port());
    }
    format!("{scheme}://{address}")
}

#[cfg(test)]
mod tests {
    use storage_engine::backend::DriveHealth;

    use super::*;

    #[test]
    fn the_banner_names_endpoints_drives_and_what_is_degraded() {
        let drive = |number: usize, state, reason: &str| DriveHealth {
            id: number.to_string(),
            path: format!("/data{number}"),
            state,
            reason: reason.to_owned(),
            capacity_bytes: 0,
            free_bytes: 0,
        };
        let health = Health {
            store: "id".into(),
            state: ServiceState::ReadWrite,
            large_bodies_fail: None,
            drives: vec![
                drive(1, DriveState::In, ""),
                drive(2, DriveState::Missing, "no such folder"),
                drive(3, DriveState::In, ""),
                drive(4, DriveState::In, ""),
            ],
            parity: 2,
            tolerated_losses: 1,
        };
        let banner = Banner {
            addresses: &["127.0.0.1:9000".parse().unwrap()],
            tls: true,
            server_url: Some("https://store.test"),
            console: &["127.0.0.1:9001".parse().unwrap()],
            health: &health,
        };
        let everywhere = Banner {
            addresses: &["[::]:9000".parse().unwrap()],
            server_url: None,
            ..banner
        };
        let line = "https://127.0.0.1:9000  (and every other address of this machine)\n";
        assert!(everywhere.text().contains(line), "{}", everywhere.text());
        let text = banner.text();
        for part in [
            "https://store.test  https://127.0.0.1:9000",
            "http://127.0.0.1:9001  (not built yet)",
            "3 of 4 drives, EC:2, 1 more may be lost",
            "WARNING   drive /data2 is missing: no such folder",
        ] {
            assert!(text.contains(part), "'{part}' is not in\n{text}");
        }
    }
}
