//! `netkeel man`: prints manual pages made from the help texts and the shape of a document.

use std::fs;
use std::path::PathBuf;

use clap::{Args, Command};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use crate::load::file::io_error;
use crate::print::document_page;
use crate::{exit, output};
use netkeel_core::error::{Error, ErrorKind};

/// Print a manual page in roff
///
/// The pages are those of netkeel and of each command, such as `netkeel man plan` and
/// `netkeel man probe-ipip`, and `netkeel man netkeel.yaml` for the format of documents.
///
/// Exit status: 0 success; 1 error.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Page to print; without it, the page of netkeel
    page: Option<String>,
    /// Write all pages to this directory instead
    #[arg(long, value_name = "DIR", conflicts_with = "page")]
    out: Option<PathBuf>,
}

/// The footer and the header of each page: program and version, and the name of the manual.
const SOURCE: &str = concat!("netkeel ", env!("CARGO_PKG_VERSION"));
const MANUAL: &str = "netkeel manual";

/// An empty date would shift the arguments of the title. The version dates a page.
const NO_DATE: &str = " ";

/// System administration commands.
const SECTION: &str = "8";

/// A page, by the name of its file without the section.
struct Page {
    name: String,
    section: &'static str,
    text: Vec<u8>,
}

/// Runs the verb; `command` has the options of every verb.
pub(crate) fn run(arguments: &Arguments, command: Command) -> Result<u8, Error> {
    let pages = pages(command)?;
    if let Some(directory) = &arguments.out {
        for page in &pages {
            let path = directory.join(format!("{}.{}", page.name, page.section));
            fs::write(&path, &page.text).map_err(|error| io_error(&error).context(path.display()))?;
        }
        return Ok(exit::OK);
    }
    let name = match &arguments.page {
        None => "netkeel".to_owned(),
        Some(name) if name == document_page::NAME => name.clone(),
        Some(name) => format!("netkeel-{name}"),
    };
    let page = pages.iter().find(|page| page.name == name).ok_or_else(|| {
        let asked = arguments.page.as_deref().unwrap_or_default();
        let hint = format!(
            "name a command, or {} for the format of documents",
            document_page::NAME
        );
        Error::new(ErrorKind::Input, format!("there is no page `{asked}`")).hint(hint)
    })?;
    output::print(&String::from_utf8_lossy(&page.text))?;
    Ok(exit::OK)
}

/// All pages, in the order of their commands.
fn pages(command: Command) -> Result<Vec<Page>, Error> {
    let mut pages = Vec::new();
    add("netkeel", "netkeel", command, &mut pages)?;
    pages.push(Page {
        name: document_page::NAME.to_owned(),
        section: document_page::SECTION,
        text: document_page::text([NO_DATE, SOURCE, MANUAL]).into_bytes(),
    });
    Ok(pages)
}

/// Adds the page of a command and those of its subcommands. `words` is how the command is called.
fn add(name: &str, words: &str, command: Command, pages: &mut Vec<Page>) -> Result<(), Error> {
    let mut command = command
        .disable_help_subcommand(true)
        .display_name(name)
        .bin_name(words);
    command.build();
    let below: Vec<Command> = command
        .get_subcommands()
        .filter(|below| !below.is_hide_set() && below.get_name() != "help")
        .cloned()
        .collect();
    let man = Man::new(command)
        .section(SECTION)
        .date(NO_DATE)
        .source(SOURCE)
        .manual(MANUAL);
    let mut text = Vec::new();
    render(&man, &below, name, &mut text)
        .map_err(|error| Error::new(ErrorKind::Unreadable, format!("cannot render {name}: {error}")))?;
    pages.push(Page {
        name: name.to_owned(),
        section: SECTION,
        text,
    });
    for command in below {
        let last = command.get_name();
        let (name, words) = (format!("{name}-{last}"), format!("{words} {last}"));
        add(&name, &words, command, pages)?;
    }
    Ok(())
}

/// Renders the sections of a page in the order of man-pages(7).
fn render(man: &Man, below: &[Command], name: &str, page: &mut Vec<u8>) -> std::io::Result<()> {
    man.render_title(page)?;
    man.render_name_section(page)?;
    man.render_synopsis_section(page)?;
    man.render_description_section(page)?;
    man.render_options_section(page)?;
    let is_whole = name == "netkeel";
    let mut end = Roff::new();
    if !below.is_empty() {
        end.control("SH", ["SUBCOMMANDS"]);
    }
    for command in below {
        end.control("TP", []);
        end.text([bold(format!("{name}-{}({SECTION})", command.get_name()))]);
        end.text([roman(
            command.get_about().map(ToString::to_string).unwrap_or_default(),
        )]);
    }
    if is_whole {
        end.control("SH", ["FILES"]);
        for (path, what) in FILES {
            end.control("TP", []);
            end.text([bold(*path)]);
            end.text([roman(*what)]);
        }
    }
    end.control("SH", ["SEE ALSO"]);
    let others: &[&str] = if is_whole {
        &["netkeel.yaml(5)"]
    } else {
        &["netkeel(8)", "netkeel.yaml(5)"]
    };
    let all = others.iter().copied().chain(["ip(8)", "sysctl.d(5)"]);
    end.text([roman(all.collect::<Vec<_>>().join(", "))]);
    end.to_writer(page)
}

/// The files of netkeel, with their use.
const FILES: &[(&str, &str)] = &[
    (
        "/etc/netkeel/desired.d, /run/netkeel/desired.d, /usr/lib/netkeel/desired.d",
        "Documents of the host. A file hides those of its name in later directories.",
    ),
    (
        "/etc/default/netkeel, /etc/sysconfig/netkeel",
        "Options of the service: NETKEEL_OPTIONS.",
    ),
    (
        "/etc/sysctl.d/90-netkeel.conf",
        "The drop-in that keeps sysctls at boot.",
    ),
    (
        "/var/lib/netkeel",
        "The values that netkeel wrote, and those from before, which a release restores.",
    ),
    ("/run/netkeel", "The state of this boot."),
];

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Arg;

    #[test]
    fn each_command_that_is_shown_has_a_page() {
        let deep = Command::new("ipip").about("Measure");
        let verb = Command::new("probe").about("Probe").subcommand(deep);
        let hidden = Command::new("worker").hide(true);
        let option = Arg::new("file").short('f').help("Document");
        let command = Command::new("netkeel")
            .about("Keep in sync")
            .arg(option)
            .subcommands([verb, hidden]);
        let pages = pages(command).unwrap();
        let names: Vec<String> = pages
            .iter()
            .map(|page| format!("{}.{}", page.name, page.section))
            .collect();
        assert_eq!(
            names,
            [
                "netkeel.8",
                "netkeel-probe.8",
                "netkeel-probe-ipip.8",
                "netkeel.yaml.5"
            ]
        );
        let text = |index: usize| String::from_utf8(pages[index].text.clone()).unwrap();
        assert!(text(0).contains("netkeel\\-probe(8)\\fR\nProbe"), "{}", text(0));
        assert!(text(0).contains(".SH FILES"), "{}", text(0));
        assert!(text(2).contains("\\fBnetkeel probe ipip\\fR"), "{}", text(2));
        assert!(!text(2).contains(".SH FILES"), "{}", text(2));
    }
}
