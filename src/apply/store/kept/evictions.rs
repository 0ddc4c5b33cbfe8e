//! The evictions of pods: an agent that was killed evicts nobody twice.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::store::{Store, log};
use netkeel_core::cluster_policies::evictions::EvictionRecord;
use netkeel_core::error::{Error, ErrorKind};

/// The version of the file's format.
const FORMAT: u32 = 1;

#[derive(Deserialize, Serialize)]
struct File {
    format: u32,
    #[serde(flatten)]
    record: EvictionRecord,
}

impl Store {
    fn evictions_path(&self) -> PathBuf {
        self.state.join("evictions.json")
    }

    /// The evictions on record; none if none were kept.
    ///
    /// # Errors
    /// When the file is there and cannot be read.
    pub fn evictions(&self) -> Result<EvictionRecord, Error> {
        match log::read(&self.evictions_path())? {
            Some(text) => parse(&text)
                .map_err(|why| Error::new(ErrorKind::Refused, why).context(self.evictions_path().display())),
            None => Ok(EvictionRecord::default()),
        }
    }

    /// Keeps the record in place of the one before.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn keep_evictions(&self, record: &EvictionRecord) -> Result<(), Error> {
        let path = self.evictions_path();
        let text =
            spell(record).map_err(|why| Error::new(ErrorKind::Refused, why).context(path.display()))?;
        if record.owners.is_empty() && log::read(&path).ok().flatten().is_none() {
            return Ok(());
        }
        self.keep(&path, &text)
    }
}

fn spell(record: &EvictionRecord) -> Result<String, String> {
    let file = File {
        format: FORMAT,
        record: record.clone(),
    };
    let mut text = serde_json::to_string_pretty(&file).map_err(|error| error.to_string())?;
    text.push('\n');
    Ok(text)
}

fn parse(text: &str) -> Result<EvictionRecord, String> {
    let file: File = serde_json::from_str(text).map_err(|error| error.to_string())?;
    match file.format {
        FORMAT => Ok(file.record),
        other => Err(format!("the file has the format {other}, not {FORMAT}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use netkeel_core::cluster_policies::evictions::OwnerRecord;

    #[test]
    fn a_record_is_read_as_it_was_written_and_half_a_file_is_an_error() {
        let mut record = EvictionRecord::default();
        let new = OwnerRecord {
            owner: "a/ReplicaSet/web".to_owned(),
            policy: "p".to_owned(),
            generation: 2,
            known: ["1".to_owned()].into(),
            ..OwnerRecord::default()
        };
        record.ask("o", "1", new, 7);
        let text = spell(&record).unwrap();
        assert_eq!(parse(&text).unwrap(), record);
        assert!(parse(&text[..text.len() / 2]).is_err());
        assert!(parse(r#"{"format": 2, "owners": {}}"#).is_err());
    }
}
