//! `netkeel schema`: JSON Schema of what netkeel reads and prints.

use clap::{Args, ValueEnum};

use super::{exit, output};
use crate::document::{SHAPE, schema};
use crate::error::Error;
use crate::render;

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
        Of::Plan => output::pretty(&render::schema::plan()),
        Of::Applied => output::pretty(&render::schema::applied()),
        Of::Snapshot => output::pretty(&render::schema::snapshot()),
    })?;
    Ok(exit::OK)
}
