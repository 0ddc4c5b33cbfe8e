//! Text that may be a secret: the value of a sysctl whose file only root can read. Its text can be
//! compared, written to the kernel and kept in netkeel's private files. `Display`, `Debug` and serde hide it.

use std::borrow::Cow;
use std::cell::Cell;
use std::cmp::Ordering;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Shown in place of a secret. It says nothing about the text: a hash of a short text can be guessed.
pub const MASK: &str = "(secret)";

/// Text, and whether it is a secret. Two of them are equal if their texts are.
#[derive(Clone, Default)]
pub struct MaybeSecret {
    text: Arc<str>,
    secret: bool,
}

/// The JSON form of a secret. The text is null outside of netkeel's private files.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Hidden {
    secret: Option<Arc<str>>,
}

thread_local! {
    /// Whether the value that this thread serializes goes to a private file.
    static REVEALED: Cell<bool> = const { Cell::new(false) };
}

/// Runs `serialize` for a file that only root can read, such as the journal: secrets keep their text.
/// Everywhere else serde hides them.
pub fn reveal<T>(serialize: impl FnOnce() -> T) -> T {
    /// Restores the state also after a panic.
    struct Restore(bool);
    impl Drop for Restore {
        fn drop(&mut self) {
            REVEALED.set(self.0);
        }
    }
    let _restore = Restore(REVEALED.replace(true));
    serialize()
}

impl MaybeSecret {
    /// The same text, as a secret if `secret` says so. A secret stays one.
    #[must_use]
    pub fn secret_if(mut self, secret: bool) -> Self {
        self.secret |= secret;
        self
    }

    /// Whether the text is a secret.
    pub fn is_secret(&self) -> bool {
        self.secret
    }

    /// The text itself, which no message may contain.
    pub fn reveal(&self) -> &Arc<str> {
        &self.text
    }
}

impl Deref for MaybeSecret {
    type Target = str;

    fn deref(&self) -> &str {
        &self.text
    }
}

impl<T: Into<Arc<str>>> From<T> for MaybeSecret {
    fn from(text: T) -> Self {
        MaybeSecret {
            text: text.into(),
            secret: false,
        }
    }
}

impl PartialEq for MaybeSecret {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for MaybeSecret {}

impl PartialOrd for MaybeSecret {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for MaybeSecret {
    fn cmp(&self, other: &Self) -> Ordering {
        self.text.cmp(&other.text)
    }
}

impl fmt::Display for MaybeSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(if self.secret { MASK } else { &self.text })
    }
}

impl fmt::Debug for MaybeSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.secret {
            true => f.write_str(MASK),
            false => fmt::Debug::fmt(&self.text, f),
        }
    }
}

impl Serialize for MaybeSecret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if !self.secret {
            return serializer.serialize_str(&self.text);
        }
        let secret = REVEALED.get().then(|| self.text.clone());
        Hidden { secret }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for MaybeSecret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "a string, or the text of a secret")]
        enum Form {
            Plain(Arc<str>),
            Secret { secret: Arc<str> },
        }
        Ok(match Form::deserialize(deserializer)? {
            Form::Plain(text) => text.into(),
            Form::Secret { secret } => MaybeSecret::from(secret).secret_if(true),
        })
    }
}

impl JsonSchema for MaybeSecret {
    fn schema_name() -> Cow<'static, str> {
        "MaybeSecret".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "Text. A secret is an object, whose text only netkeel's private files have.",
            "anyOf": [
                { "type": "string" },
                {
                    "type": "object",
                    "properties": { "secret": { "type": ["string", "null"] } },
                    "required": ["secret"],
                    "additionalProperties": false
                }
            ]
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_compared_and_kept_and_never_shown() {
        let secret = MaybeSecret::from("hunter2").secret_if(true);
        let plain = MaybeSecret::from("hunter2");
        assert_eq!(secret, plain);
        assert_ne!(secret, MaybeSecret::from("hunter3").secret_if(true));
        assert_eq!(
            format!("{secret} {secret:?} {plain} {plain:?}"),
            r#"(secret) (secret) hunter2 "hunter2""#
        );
        let json = |value: &MaybeSecret| serde_json::to_string(value).unwrap();
        assert_eq!(json(&secret), r#"{"secret":null}"#);
        assert_eq!(json(&plain), r#""hunter2""#);
        let kept = reveal(|| json(&secret));
        assert_eq!(kept, r#"{"secret":"hunter2"}"#);
        assert_eq!(json(&secret), r#"{"secret":null}"#);
        let read: MaybeSecret = serde_json::from_str(&kept).unwrap();
        assert!(read.is_secret() && read == plain);
        // Without its text nobody can compare it or write it.
        assert!(serde_json::from_str::<MaybeSecret>(r#"{"secret":null}"#).is_err());
    }

    #[test]
    fn a_panic_does_not_leave_secrets_revealed() {
        let caught = std::panic::catch_unwind(|| reveal(|| panic!("on purpose")));
        assert!(caught.is_err());
        let secret = MaybeSecret::from("hunter2").secret_if(true);
        assert_eq!(serde_json::to_string(&secret).unwrap(), r#"{"secret":null}"#);
    }
}
