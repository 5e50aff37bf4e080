//! The devices of a session in `admin.users.session.list`.

use super::faults::mix;
use crate::model::SessionKind;
use serde::Serialize;

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ListedDevice {
    /// `iPhone12,1`, `MacBookPro16,1`.
    pub device_hardware: String,
    /// `iOS`, `Windows`.
    pub os: String,
    /// `17.4`.
    pub os_version: String,
    /// `24.08.10`.
    pub slack_client_version: String,
    pub ip: String,
}

/// The device that signed in, and the one seen last if it is another one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SessionDevices {
    pub created: ListedDevice,
    /// `None` if it is the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recent: Option<ListedDevice>,
}

const MODELS: [(&str, &str, &str, &str); 4] = [
    ("MacBookPro18,3", "macOS", "14.6.1", "4.39.95"),
    ("iPhone15,2", "iOS", "17.6.1", "24.08.10"),
    ("Pixel 8", "Android", "14", "24.08.20.0"),
    ("Windows PC", "Windows", "10.0.22631", "4.39.95"),
];

impl SessionDevices {
    /// Mobile for phones, otherwise web.
    pub(super) fn kind(&self) -> SessionKind {
        if matches!(&*self.created.os, "iOS" | "Android") { SessionKind::Mobile } else { SessionKind::Web }
    }

    /// Always the same for a session. Every fourth session has another address now. Addresses are from the ranges for
    /// documentation (RFC 5737).
    pub(super) fn made_up(session: u64) -> Self {
        let draw = mix(session);
        let [model, first, second, moved, network, ..] = draw.to_le_bytes();
        let network = if network % 3 == 0 { "192.0.2" } else { "203.0.113" };
        let created = device(model, format!("{network}.{first}"));
        let recent = (moved % 4 == 0).then(|| device(model, format!("198.51.100.{second}")));
        Self { created, recent }
    }
}

fn device(model: u8, ip: String) -> ListedDevice {
    let (hardware, os, version, client) = MODELS[usize::from(model) % MODELS.len()];
    ListedDevice {
        device_hardware: hardware.into(),
        os: os.into(),
        os_version: version.into(),
        slack_client_version: client.into(),
        ip,
    }
}
