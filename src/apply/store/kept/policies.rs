//! The last good policies of a cluster: they stay in force while its API server is away, also across a restart.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::store::{Store, log};
use netkeel_core::error::{Error, ErrorKind};

/// The version of the file's format.
const FORMAT: u32 = 1;

/// Policies as JSON objects, which this module does not read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeptPolicies {
    /// The policies in force.
    pub in_force: Vec<String>,
    /// The policies that no longer apply, and whose settings are not yet released or given up.
    pub leaving: Vec<String>,
    /// The UIDs of those among them that were enforced at some time.
    pub enforced: Vec<String>,
    /// The changes that failed.
    pub failed: Vec<FailedChange>,
}

/// A change to a version of a policy that failed. It is not tried again.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct FailedChange {
    /// The UID of the policy.
    pub uid: String,
    /// Its generation.
    pub generation: i64,
    /// The hash of its document.
    pub document: String,
    /// One line.
    pub why: String,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct File {
    format: u32,
    in_force: Vec<Value>,
    leaving: Vec<Value>,
    enforced: Vec<String>,
    #[serde(default)]
    failed: Vec<FailedChange>,
}

impl Store {
    fn policies_path(&self) -> PathBuf {
        self.state.join("policies.json")
    }

    /// The kept policies; none if none were kept.
    ///
    /// # Errors
    /// When the file is there and cannot be read.
    pub fn policies(&self) -> Result<KeptPolicies, Error> {
        match log::read(&self.policies_path())? {
            Some(text) => parse(&text)
                .map_err(|why| Error::new(ErrorKind::Refused, why).context(self.policies_path().display())),
            None => Ok(KeptPolicies::default()),
        }
    }

    /// Keeps policies in place of the ones before.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn keep_policies(&self, policies: &KeptPolicies) -> Result<(), Error> {
        let path = self.policies_path();
        let text =
            spell(policies).map_err(|why| Error::new(ErrorKind::Refused, why).context(path.display()))?;
        self.keep(&path, &text)
    }
}

fn spell(policies: &KeptPolicies) -> Result<String, String> {
    let values = |texts: &[String]| -> Result<Vec<Value>, String> {
        let parsed = texts.iter().map(|text| serde_json::from_str(text));
        parsed
            .collect::<Result<_, _>>()
            .map_err(|error: serde_json::Error| error.to_string())
    };
    let file = File {
        format: FORMAT,
        in_force: values(&policies.in_force)?,
        leaving: values(&policies.leaving)?,
        enforced: policies.enforced.clone(),
        failed: policies.failed.clone(),
    };
    let mut text = serde_json::to_string_pretty(&file).map_err(|error| error.to_string())?;
    text.push('\n');
    Ok(text)
}

fn parse(text: &str) -> Result<KeptPolicies, String> {
    let file: File = serde_json::from_str(text).map_err(|error| error.to_string())?;
    if file.format != FORMAT {
        return Err(format!("the file has the format {}, not {FORMAT}", file.format));
    }
    let texts = |values: Vec<Value>| values.iter().map(Value::to_string).collect();
    Ok(KeptPolicies {
        in_force: texts(file.in_force),
        leaving: texts(file.leaving),
        enforced: file.enforced,
        failed: file.failed,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_are_read_as_they_were_written_and_half_a_file_is_an_error() {
        let policies = KeptPolicies {
            in_force: vec![r#"{"kind":"NetkeelPolicy","metadata":{"name":"b","uid":"2"}}"#.to_owned()],
            leaving: vec![r#"{"a":[1]}"#.to_owned()],
            enforced: vec!["2".to_owned()],
            failed: vec![FailedChange {
                uid: "2".to_owned(),
                generation: 3,
                document: "ab12".to_owned(),
                why: "no".to_owned(),
            }],
        };
        let text = spell(&policies).unwrap();
        assert_eq!(parse(&text).unwrap(), policies);
        assert!(parse(&text[..text.len() / 2]).is_err());
        assert!(parse(r#"{"format": 2, "in_force": [], "leaving": [], "enforced": []}"#).is_err());
        assert!(
            spell(&KeptPolicies {
                in_force: vec!["{".to_owned()],
                ..KeptPolicies::default()
            })
            .is_err()
        );
    }
}
