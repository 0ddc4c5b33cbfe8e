//! A document for the files of a host that does not run: what sysctl.d and CNI configurations set.

use crate::import::others::add_cni;
use crate::import::selection::Selection;
use crate::import::sysctl_d;
use netkeel_core::error::Error;
use netkeel_document::draft::Draft;
use netkeel_host::cni::configuration::Contents;
use netkeel_host::cni::state::Cni;
use netkeel_host::sysctl_d::file::Files;

/// The document as YAML, with comments. `from` names the root directory.
///
/// # Errors
/// When the document would be invalid whatever is left out, which is a bug.
pub fn import_files(files: &Files, cni: &Cni, from: &str, selection: &Selection) -> Result<String, Error> {
    let mut draft = Draft::new(&[
        &format!("The network path of the files below {from}, as `netkeel import` read them."),
        "Sysctls are those that systemd-sysctl sets at boot. Files do not show interfaces or tunnels.",
    ]);
    let sysctls = sysctl_d::add(files, selection, &mut draft);
    let mut cni = cni.clone();
    selection.retain_cni(&mut cni);
    cni.files.retain(|_, file| {
        let reading = file.as_ref().map(|file| &file.reading);
        selection.is_all() || matches!(reading, Some(Contents::Plugins(plugins)) if !plugins.is_empty())
    });
    add_cni(&cni, &mut draft);
    selection.require_entries(&draft, &sysctls, &cni)?;
    draft.finish()
}
