//! The values of recent applies, so that `undo` can restore them. The history has them as text only.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::store::{Store, log};
use netkeel_core::error::{Error, ErrorKind};
use netkeel_core::maybe_secret::reveal;
use netkeel_plan::goal::undo::AppliedValues;

/// The version of the format.
const FORMAT: u32 = 1;

/// From so many bytes on, the file is set aside, in place of the one that was set aside before: some 20 applies of
/// a thousand pods.
const LONG: u64 = 8 << 20;

/// A line of the file.
#[derive(Serialize, Deserialize)]
struct Line {
    format: u32,
    #[serde(flatten)]
    values: AppliedValues,
}

/// The name in a line; the rest is not read.
#[derive(Deserialize)]
struct Name {
    apply: String,
}

impl Store {
    fn values_paths(&self) -> [PathBuf; 2] {
        ["values", "values.old"].map(|name| self.state.join(name))
    }

    /// Keeps the values of an apply. Only root can read the file: it has the text of secrets.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn keep_values(&self, values: &AppliedValues) -> Result<(), Error> {
        let [path, old] = self.values_paths();
        log::set_aside(&path, &old, LONG, &|_| false)?;
        let line = Line {
            format: FORMAT,
            values: values.clone(),
        };
        let text = reveal(|| serde_json::to_string(&line)).map_err(|error| {
            Error::new(
                ErrorKind::Unreadable,
                format!("the values cannot be written: {error}"),
            )
        })?;
        log::append(&path, &(text + "\n"), false)
    }

    /// The names of the applies whose values are kept.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn applies_with_values(&self) -> Result<BTreeSet<String>, Error> {
        let mut names = BTreeSet::new();
        for path in self.values_paths() {
            let text = log::read(&path)?.unwrap_or_default();
            let of = |line| Some(serde_json::from_str::<Name>(line).ok()?.apply);
            names.extend(text.lines().filter_map(of));
        }
        Ok(names)
    }

    /// The values of an apply; `None` if they were not kept, or were set aside since.
    ///
    /// # Errors
    /// When a file cannot be read, or the line of this apply makes no sense.
    pub fn values(&self, apply: &str) -> Result<Option<AppliedValues>, Error> {
        for path in self.values_paths() {
            let Some(text) = log::read(&path)? else { continue };
            // A line that a crash tore is no JSON; that of another apply is not parsed.
            let mut lines = text.lines().rev().filter(|line| line.contains(apply));
            let found = lines.find_map(|line| {
                serde_json::from_str::<Line>(line)
                    .ok()
                    .filter(|line| line.values.apply == apply)
            });
            match found {
                Some(line) if line.format == FORMAT => return Ok(Some(line.values)),
                Some(line) => {
                    let message = format!(
                        "{}: format {}; this netkeel reads format {FORMAT}",
                        path.display(),
                        line.format
                    );
                    return Err(Error::new(ErrorKind::Unreadable, message));
                }
                None => {}
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use netkeel_core::fact::{Fact, Value};
    use netkeel_core::name::netns::Netns;
    use netkeel_plan::ledger::OwnershipRecord;

    fn values(apply: &str) -> AppliedValues {
        let key = "net.ipv4.tcp_fastopen_key".parse().unwrap();
        AppliedValues {
            apply: apply.into(),
            owner: "default".into(),
            changes: vec![OwnershipRecord {
                device: None,
                fact: Fact::sysctl(&Netns::CURRENT, &key),
                owner: "default".into(),
                found: Some(Value::Text("secret".into())),
                wrote: None,
                caused_by: None,
            }],
            beside: BTreeSet::new(),
            held: Vec::new(),
        }
    }

    #[test]
    fn the_values_of_an_apply_are_found_whole_until_they_are_set_aside_twice() {
        let scratch = tempfile::tempdir().unwrap();
        let store = Store::at(scratch.path());
        store.make().unwrap();
        assert_eq!(store.values("t1").unwrap(), None);
        store.keep_values(&values("t1")).unwrap();
        log::append(&store.values_paths()[0], "{\"apply\": \"t1\", torn", false).unwrap();
        store.keep_values(&values("t2")).unwrap();
        for apply in ["t1", "t2"] {
            assert_eq!(store.values(apply).unwrap(), Some(values(apply)), "{apply}");
        }
        assert_eq!(store.values("t").unwrap(), None);
        let names: Vec<String> = store.applies_with_values().unwrap().into_iter().collect();
        assert_eq!(names, ["t1", "t2"]);
        for round in 0..2 {
            assert!(store.values("t1").unwrap().is_some(), "{round}");
            log::append(&store.values_paths()[0], &" ".repeat(LONG as usize), false).unwrap();
            store.keep_values(&values("t3")).unwrap();
        }
        assert_eq!(store.values("t1").unwrap(), None);
        assert_eq!(store.values("t3").unwrap(), Some(values("t3")));
    }
}
