//! `netkeel schema`: JSON Schema of what netkeel reads and prints.

use clap::{Args, ValueEnum};

use super::{exit, output};
use crate::document::{SHAPE, schema};
use crate::error::Error;

/// Prints the JSON Schema of a document, of a plan (`plan --output json`), of what an apply came to
/// (`apply --output json`) or of a snapshot.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Of what.
    #[arg(value_enum, default_value_t)]
    of: Of,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Of {
    #[default]
    Document,
    Plan,
    Applied,
    Snapshot,
}

/// Runs the verb.
pub fn run(arguments: &Arguments) -> Result<u8, Error> {
    output::print(&match arguments.of {
        Of::Document => output::pretty(&schema::json_schema(&SHAPE, "netkeel document")),
        Of::Plan => include_str!("../render/plan.schema.json").to_owned(),
        Of::Applied => include_str!("../render/applied.schema.json").to_owned(),
        Of::Snapshot => include_str!("../snapshot/snapshot.schema.json").to_owned(),
    })?;
    Ok(exit::OK)
}
