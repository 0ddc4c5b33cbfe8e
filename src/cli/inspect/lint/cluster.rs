//! `netkeel lint --objects` and `--cluster`: reports misconfigurations among the objects of a Kubernetes cluster.

use std::io;
use std::path::{Path, PathBuf};

use crate::load::directory::documents_in;
use crate::load::file::{read_file, read_from, take_standard_input};
use crate::output;
use netkeel_core::error::{Error, ErrorKind};
use netkeel_core::finding::Finding;
use netkeel_core::text::escape::one_line;
use netkeel_diagnose::cluster::{Judged, judge};
use netkeel_source::diagnostic::Diagnostics;
use netkeel_source::node::Node;
use netkeel_source::sources::Sources;

/// The findings; and whether everything could be judged. `None` when a file is not YAML or JSON: that was printed.
pub(super) fn findings(
    files: &[PathBuf],
    cluster: bool,
    agents: Option<&DaemonSetName>,
) -> Result<Option<(Vec<Finding>, bool)>, Error> {
    let (mut sources, mut diagnostics) = (Sources::default(), Diagnostics::default());
    let mut nodes: Vec<Node> = Vec::new();
    let mut read = |name: &str, bytes: Vec<u8>| {
        // An object may have secrets: messages show none of its values.
        nodes.extend(sources.load_foreign(name, bytes, true, &|_| false, &mut diagnostics));
    };
    for file in files {
        for (name, bytes) in texts(file)? {
            read(&name, bytes);
        }
    }
    let mut troubles = Vec::new();
    let refused = |why: String| Error::new(ErrorKind::Refused, why);
    if let Some(name) = agents {
        for object in agents_of_cluster(name).map_err(refused)? {
            read("cluster", object.into_bytes());
        }
    }
    if cluster {
        let (objects, failed) = of_cluster().map_err(refused)?;
        troubles = failed;
        for object in objects {
            read("cluster", object.into_bytes());
        }
    }
    if !diagnostics.is_empty() {
        output::diagnostics(&diagnostics, &sources);
        return Ok(None);
    }
    let Judged { findings, unknown } = judge(&nodes);
    troubles.extend(unknown);
    for trouble in &troubles {
        output::error(&Error::new(ErrorKind::Unreadable, one_line(trouble)));
    }
    Ok(Some((findings, troubles.is_empty())))
}

/// The name of a DaemonSet.
#[derive(Clone, Debug)]
pub(super) struct DaemonSetName {
    namespace: String,
    name: String,
}

impl DaemonSetName {
    /// Reads `NAMESPACE/NAME`.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let is_name = |part: &str| {
            let is_of_name =
                |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.');
            !part.is_empty() && part.bytes().all(is_of_name)
        };
        let parts = text.split_once('/');
        let parts = parts.filter(|(namespace, name)| is_name(namespace) && is_name(name));
        let (namespace, name) = parts.ok_or("it is not NAMESPACE/NAME")?;
        Ok(DaemonSetName {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        })
    }
}

/// The texts of a file, of a directory, or of standard input.
fn texts(path: &Path) -> Result<Vec<(String, Vec<u8>)>, Error> {
    if path == Path::new("-") {
        take_standard_input()?;
        let bytes = read_from(&mut io::stdin().lock(), Path::new("standard input"))?;
        return Ok(vec![("standard input".to_owned(), bytes)]);
    }
    let files = match path.is_dir() {
        true => documents_in(&[path])?,
        false => vec![path.to_owned()],
    };
    let read = |file: PathBuf| Ok((file.display().to_string(), read_file(&file)?));
    files.into_iter().map(read).collect()
}

/// The objects of the cluster as JSON, and why some of them could not be read.
#[cfg(feature = "kubernetes")]
fn of_cluster() -> Result<(Vec<String>, Vec<String>), String> {
    use netkeel_kubernetes::connection::Connection;
    use netkeel_kubernetes::objects::read_objects;

    read_objects(&Connection::Inferred)
}

/// A DaemonSet with its pods and events as JSON.
#[cfg(feature = "kubernetes")]
fn agents_of_cluster(set: &DaemonSetName) -> Result<Vec<String>, String> {
    use netkeel_kubernetes::connection::Connection;
    use netkeel_kubernetes::objects::read_agents;

    read_agents(&Connection::Inferred, &set.namespace, &set.name)
}

#[cfg(not(feature = "kubernetes"))]
const WITHOUT: &str =
    "this netkeel is built without the feature `kubernetes`: give --objects the output of kubectl";

#[cfg(not(feature = "kubernetes"))]
fn of_cluster() -> Result<(Vec<String>, Vec<String>), String> {
    Err(WITHOUT.to_owned())
}

#[cfg(not(feature = "kubernetes"))]
fn agents_of_cluster(set: &DaemonSetName) -> Result<Vec<String>, String> {
    let DaemonSetName { namespace, name } = set;
    Err(format!(
        "{WITHOUT}, for {namespace}/{name}: kubectl get daemonsets,pods,events"
    ))
}
