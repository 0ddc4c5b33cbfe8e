//! `netkeel schema`: prints the JSON Schemas of netkeel's formats.

use clap::{Args, ValueEnum};

use crate::{exit, output};
use netkeel_core::error::Error;
use netkeel_document::document::SHAPE;
use netkeel_document::schema;

/// Print the JSON Schema of a document or of an output
///
/// `plan` is the output of `netkeel plan --output json`, `applied` that of
/// `netkeel apply --output json`, `diagnostics` that of `netkeel validate --output json`, `review` that of
/// `netkeel review --output json`, `path` that of `netkeel path --output json`, `diagnosis` that of
/// `netkeel doctor --output json`, `comparison` that of `netkeel doctor --compare --output json`, `path-mtu` that of
/// `netkeel probe pmtu --output json`, `encapsulated-syn` that of `netkeel probe ipip --output json`, and
/// `replicas` that of `netkeel probe replicate --output json`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Format to describe
    #[arg(value_enum, default_value_t)]
    of: Of,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Of {
    #[default]
    Document,
    Plan,
    Applied,
    Diagnostics,
    Review,
    Path,
    Diagnosis,
    Comparison,
    PathMtu,
    EncapsulatedSyn,
    Replicas,
    Snapshot,
}

/// Runs the verb.
pub(crate) fn run(arguments: &Arguments) -> Result<u8, Error> {
    output::print(&match arguments.of {
        Of::Document => output::pretty(&schema::json_schema(&SHAPE, "netkeel document")),
        Of::Plan => output::pretty(&netkeel_render::schema::plan()),
        Of::Applied => output::pretty(&netkeel_render::schema::applied()),
        Of::Diagnostics => output::pretty(&netkeel_render::schema::diagnostics()),
        Of::Review => output::pretty(&netkeel_render::schema::review()),
        Of::Path => output::pretty(&netkeel_render::schema::path()),
        Of::Diagnosis => output::pretty(&netkeel_render::schema::diagnosis()),
        Of::Comparison => output::pretty(&netkeel_render::schema::comparison()),
        Of::PathMtu => output::pretty(&netkeel_render::schema::path_mtu()),
        Of::EncapsulatedSyn => output::pretty(&netkeel_render::schema::encapsulated_syn()),
        Of::Replicas => output::pretty(&netkeel_render::schema::replicas()),
        Of::Snapshot => output::pretty(&netkeel_render::schema::snapshot()),
    })?;
    Ok(exit::OK)
}
