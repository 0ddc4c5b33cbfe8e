//! The messages between netkeel and its worker: one line of JSON each, with the version of the format.
//! Both are the same program, but a worker may outlive an upgrade of its executable.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use netkeel_core::error::{Error, ErrorKind};
use netkeel_core::replication::settings::Settings;
use netkeel_core::replication::statistics::Statistics;

/// The version of the format.
const VERSION: u32 = 1;

/// A message to the worker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ToWorker {
    /// Use these settings from now on.
    Configure(Box<Settings>),
}

/// A message from the worker.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum FromWorker {
    /// The settings are in effect.
    Configured {
        /// The user that the worker runs as.
        uid: u32,
    },
    /// The current counters; sent every second.
    Statistics(Box<Statistics>),
    /// The worker ends because of an error, or rejects new settings and keeps the previous ones.
    Failed {
        /// The error.
        message: String,
        /// Ways to fix it.
        hints: Vec<String>,
    },
}

#[derive(Serialize, Deserialize)]
struct Envelope<T> {
    version: u32,
    #[serde(flatten)]
    message: T,
}

#[derive(Deserialize)]
struct Version {
    version: u32,
}

/// Encodes a message as a line.
pub(crate) fn encode<T: Serialize>(message: &T) -> String {
    let envelope = Envelope {
        version: VERSION,
        message,
    };
    // All keys of a message are text, so this cannot fail.
    serde_json::to_string(&envelope).unwrap_or_default() + "\n"
}

/// Decodes a line.
///
/// # Errors
/// [`ErrorKind::Unreadable`] when the line is not a valid message of this version.
pub(crate) fn decode<T: DeserializeOwned>(line: &str) -> Result<T, Error> {
    let unreadable = |error: serde_json::Error| {
        Error::new(
            ErrorKind::Unreadable,
            format!("a message cannot be read: {error}"),
        )
    };
    let Version { version } = serde_json::from_str(line).map_err(unreadable)?;
    if version != VERSION {
        return Err(Error::new(
            ErrorKind::Unreadable,
            format!("a message has format {version}, and this netkeel reads {VERSION}"),
        )
        .hint("the service and its worker are of different versions: restart the service"));
    }
    let envelope: Envelope<T> = serde_json::from_str(line).map_err(unreadable)?;
    Ok(envelope.message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use netkeel_core::replication::refusal::Refusal;

    #[test]
    fn messages_are_lines_with_a_version() {
        let mut statistics = Statistics::default();
        statistics.refused.insert(Refusal::Duplicate, 3);
        let message = FromWorker::Statistics(Box::new(statistics));
        let line = encode(&message);
        assert!(
            line.starts_with(r#"{"version":1,"statistics":{"received":0,"#),
            "{line}"
        );
        assert!(line.contains(r#""refused":{"duplicate":3}"#), "{line}");
        assert_eq!(line.find('\n'), Some(line.len() - 1));
        assert_eq!(decode::<FromWorker>(&line).unwrap(), message);
    }

    #[test]
    fn another_version_is_refused() {
        let error = decode::<ToWorker>(r#"{"version":2,"configure":{}}"#).unwrap_err();
        assert_eq!(error.message, "a message has format 2, and this netkeel reads 1");
        assert!(decode::<ToWorker>("{}").is_err());
        assert!(decode::<ToWorker>(r#"{"version":1,"dance":{}}"#).is_err());
    }
}
