//! The manifests of an agent on each node, with documents: those of `kubernetes/base`.

use crate::write::node::{map, set, string};
use crate::write::yaml;
use netkeel_core::error::{Error, ErrorKind};
use netkeel_source::diagnostic::Diagnostics;
use netkeel_source::node::{Data, Node};
use netkeel_source::sources::Sources;
use netkeel_source::text::format::Format;

/// The manifests, as `helm template` renders the chart with its default values.
const BASE: [(&str, &str); 2] = [
    (
        "namespace.yaml",
        include_str!("../../kubernetes/base/namespace.yaml"),
    ),
    ("netkeel.yaml", include_str!("../../kubernetes/base/netkeel.yaml")),
];

/// The manifests with these texts of documents, the layers in their order, and this image.
///
/// # Errors
/// When there are more than 99 texts, or when the manifests cannot be written as YAML.
pub fn manifests(documents: &[String], image: &str) -> Result<String, Error> {
    if documents.len() > 99 {
        return Err(Error::new(
            ErrorKind::Input,
            "a ConfigMap for at most 99 documents is made",
        ));
    }
    let names: Vec<String> = (1..=documents.len())
        .map(|number| format!("{number:02}.yaml"))
        .collect();
    let files = names.iter().zip(documents);
    let data = map(files.map(|(name, text)| (name.as_str(), string(text))).collect());
    let (mut sources, mut diagnostics) = (Sources::default(), Diagnostics::default());
    let mut text = String::new();
    for (name, manifests) in BASE {
        let bytes = manifests.as_bytes().to_vec();
        for mut manifest in sources.load_with(name, bytes, Some(Format::Yaml), true, &mut diagnostics) {
            match manifest.get("kind").and_then(Node::text) {
                Some("ConfigMap") => set(&mut manifest, &["data"], data.clone()),
                Some("DaemonSet") => set_image(&mut manifest, image),
                _ => {}
            }
            text.push_str("---\n");
            text.push_str(&yaml::document(&manifest)?);
        }
    }
    Ok(text)
}

/// Sets each `image`.
fn set_image(node: &mut Node, image: &str) {
    match &mut node.data {
        Data::Map(entries) => {
            for entry in entries {
                if entry.key == "image" {
                    entry.value = string(image);
                } else {
                    set_image(&mut entry.value, image);
                }
            }
        }
        Data::List(items) => items.iter_mut().for_each(|item| set_image(item, image)),
        Data::Null | Data::Bool(_) | Data::Integer(_) | Data::Text { .. } => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_files_of_the_config_map_in_their_order() {
        let documents = [
            "version: 1\n# kept\n".to_owned(),
            "version: 1\nsysctl: {}\n".to_owned(),
        ];
        let text = manifests(&documents, "REGISTRY/netkeel:1").unwrap();
        for line in [
            "kind: Namespace",
            "kind: DaemonSet",
            "image: REGISTRY/netkeel:1",
            "  01.yaml: |\n    version: 1\n    # kept\n",
            "  02.yaml: |\n",
        ] {
            assert!(text.contains(line), "{line}: {text}");
        }
        assert!(!text.contains("50-chart.yaml"), "{text}");
    }
}
