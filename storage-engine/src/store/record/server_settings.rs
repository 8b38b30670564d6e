//! The records of the server's settings: what an operator stored in the environment's place, and what was stored before.
//!
//! Values stand here as they were given, secrets as sealed bytes; what a setting means is not the engine's to know.

use minicbor::{Decode, Encode};

use crate::store::clock::Timestamp;
use crate::store::record::Record;

/// All settings that are stored, sorted by group and key.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct ServerSettingsRecord {
    #[n(0)]
    pub changed: Timestamp,
    #[n(1)]
    pub values: Vec<StoredSetting>,
}

/// What was stored until a change.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct SettingsHistoryRecord {
    /// When the change came.
    #[n(0)]
    pub until: Timestamp,
    #[n(1)]
    pub values: Vec<StoredSetting>,
}

/// One setting that is stored.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
#[cbor(map)]
pub struct StoredSetting {
    #[n(0)]
    pub subsystem: String,
    /// Empty: the group without a name.
    #[n(1)]
    pub target: String,
    #[n(2)]
    pub key: String,
    #[n(3)]
    pub value: SettingValue,
}

/// The value of a stored setting.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub enum SettingValue {
    /// As it was given.
    #[n(0)]
    Plain(#[n(0)] String),
    /// A secret, sealed.
    #[n(1)]
    Sealed(#[cbor(n(0), with = "minicbor::bytes")] Vec<u8>),
}

impl Record for ServerSettingsRecord {
    const KIND: &'static str = "server settings";
}

impl Record for SettingsHistoryRecord {
    const KIND: &'static str = "settings history";
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::store::record::tests::{rejects_damage, survives};

    fn setting(target: &str, value: SettingValue) -> StoredSetting {
        StoredSetting {
            subsystem: "identity_openid".into(),
            target: target.into(),
            key: "client_secret".into(),
            value,
        }
    }

    #[test]
    fn settings_are_written_as_they_always_were() {
        let values = vec![
            setting("", SettingValue::Sealed(vec![1, 2])),
            setting("kc", SettingValue::Plain("x".into())),
        ];
        let bytes = b"\x01\xa2\x00\x07\x01\x82\
            \xa4\x00\x6fidentity_openid\x01\x60\x02\x6dclient_secret\x03\x82\x01\x81\x42\x01\x02\
            \xa4\x00\x6fidentity_openid\x01\x62kc\x02\x6dclient_secret\x03\x82\x00\x81\x61x";
        let at = Timestamp::from_millis(7);
        let now = ServerSettingsRecord {
            changed: at,
            values: values.clone(),
        };
        let before = SettingsHistoryRecord { until: at, values };
        for written in [now.to_value(), before.to_value()] {
            assert_eq!(written.escape_ascii().to_string(), bytes.escape_ascii().to_string());
        }
        assert_eq!(ServerSettingsRecord::from_value(bytes).unwrap(), now);
        assert_eq!(SettingsHistoryRecord::from_value(bytes).unwrap(), before);
    }

    proptest! {
        #[test]
        fn settings_survive_their_value(changed: u64, texts: Vec<String>, sealed: Vec<u8>) {
            let mut values: Vec<StoredSetting> =
                texts.into_iter().map(|text| setting(&text.clone(), SettingValue::Plain(text))).collect();
            values.push(setting("", SettingValue::Sealed(sealed)));
            let at = Timestamp::from_millis(changed);
            survives(&ServerSettingsRecord { changed: at, values: values.clone() });
            survives(&SettingsHistoryRecord { until: at, values });
        }
    }

    #[test]
    fn damage_is_refused() {
        let values = vec![
            setting("kc", SettingValue::Plain("x".into())),
            setting("", SettingValue::Sealed(vec![1; 40])),
        ];
        let at = Timestamp::from_millis(3);
        rejects_damage(&ServerSettingsRecord {
            changed: at,
            values: values.clone(),
        });
        rejects_damage(&SettingsHistoryRecord { until: at, values });
    }
}
