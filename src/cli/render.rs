//! `netkeel render`: the files that netkeel comes with.

use clap::Args;
use clap::builder::{PossibleValue, PossibleValuesParser};

use super::{exit, output};
use crate::error::Error;
use crate::templates::TEMPLATES;

/// Prints a file that netkeel comes with: systemd units, alert rules, a dashboard.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Which one.
    #[arg(value_parser = names())]
    name: String,
}

fn names() -> PossibleValuesParser {
    let value =
        |template: &crate::templates::Template| PossibleValue::new(template.name).help(template.place);
    PossibleValuesParser::new(TEMPLATES.iter().map(value))
}

/// Runs the verb.
pub fn run(arguments: &Arguments) -> Result<u8, Error> {
    for template in TEMPLATES
        .iter()
        .filter(|template| template.name == arguments.name)
    {
        output::print(template.text)?;
    }
    Ok(exit::OK)
}
