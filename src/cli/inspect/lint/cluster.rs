//! `netkeel lint --objects` and `--cluster`: reports misconfigurations among the objects of a Kubernetes cluster.

use std::io;
use std::path::{Path, PathBuf};

use crate::load::directory::documents_in;
use crate::load::file::{read_file, read_from};
use crate::output;
use netkeel_core::error::{Error, ErrorKind};
use netkeel_core::finding::Finding;
use netkeel_core::text::escape::one_line;
use netkeel_diagnose::cluster::{Judged, judge};
use netkeel_source::diagnostic::Diagnostics;
use netkeel_source::node::Node;
use netkeel_source::sources::Sources;

/// The findings; and whether everything could be judged. `None` when a file is not YAML or JSON: that was printed.
pub(super) fn findings(files: &[PathBuf], cluster: bool) -> Result<Option<(Vec<Finding>, bool)>, Error> {
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
    if cluster {
        let refused = |why: String| Error::new(ErrorKind::Refused, why);
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

/// The texts of a file, of a directory, or of standard input.
fn texts(path: &Path) -> Result<Vec<(String, Vec<u8>)>, Error> {
    if path == Path::new("-") {
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

#[cfg(not(feature = "kubernetes"))]
fn of_cluster() -> Result<(Vec<String>, Vec<String>), String> {
    Err(
        "this netkeel is built without the feature `kubernetes`: give --objects the output of kubectl"
            .to_owned(),
    )
}
