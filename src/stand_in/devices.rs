//! The device columns of `admin.users.session.list` (slack.md, "The sibling methods").

use super::faults::mix;
use serde::Serialize;

/// One device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Device {
    /// `iPhone12,1`, `MacBookPro16,1`.
    pub device_hardware: String,
    /// `iOS`, `Windows`.
    pub os: String,
    /// `17.4`.
    pub os_version: String,
    /// `24.08.10`.
    pub slack_client_version: String,
    /// The address last seen.
    pub ip: String,
}

/// What the session began on and, where that changed, what it was last seen on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Devices {
    /// At sign-in.
    pub created: Device,
    /// Last seen, where it is not the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recent: Option<Device>,
}

const MODELS: [(&str, &str, &str, &str); 4] = [
    ("MacBookPro18,3", "macOS", "14.6.1", "4.39.95"),
    ("iPhone15,2", "iOS", "17.6.1", "24.08.10"),
    ("Pixel 8", "Android", "14", "24.08.20.0"),
    ("Windows PC", "Windows", "10.0.22631", "4.39.95"),
];

impl Devices {
    /// The same devices for the same session, every time; every fourth session has moved to another address. The
    /// addresses are of the ranges set aside for documentation (RFC 5737).
    pub(super) fn made_up(session: u64) -> Self {
        let lot = mix(session);
        let [model, first, second, moved, ..] = lot.to_le_bytes();
        let created = device(model, format!("203.0.113.{first}"));
        let recent = (moved % 4 == 0).then(|| device(model, format!("198.51.100.{second}")));
        Self { created, recent }
    }
}

fn device(model: u8, ip: String) -> Device {
    let (hardware, os, version, client) = MODELS[usize::from(model) % MODELS.len()];
    Device {
        device_hardware: hardware.into(),
        os: os.into(),
        os_version: version.into(),
        slack_client_version: client.into(),
        ip,
    }
}
