//! Each crate uses only the crates that the table gives it.

use crate::table::{RESERVED, TABLE};
use crate::workspace::{Crate, short_name};

/// What the crates use against the table.
pub fn violations(crates: &[Crate]) -> Vec<String> {
    let mut found = Vec::new();
    for one in crates {
        let Some((_, allowed)) = TABLE.iter().find(|(name, _)| *name == one.name) else {
            found.push(format!("the crate {} is not in the table", one.name));
            continue;
        };
        for dependency in &one.dependencies {
            if let Some(used) = short_name(dependency)
                && !allowed.contains(&used)
            {
                found.push(format!("{} may not use {used}", one.name));
            }
            let owners = RESERVED.iter().find(|(name, _)| name == dependency);
            if let Some((_, owners)) = owners
                && !owners.contains(&one.name.as_str())
            {
                found.push(format!(
                    "{} may not depend on {dependency}: only {} may",
                    one.name,
                    owners.join(", ")
                ));
            }
        }
    }
    found
}
