//! Parses a layer: a name with parameters, a stack of headers, or `NAME:BYTES`.

use crate::header::{Header, Wire, header, predecessor, words};
use crate::layer::{Family, Layer};
use crate::{convention, encapsulation};
use netkeel_core::error::{Error, ErrorKind};
use netkeel_core::text::escape::quoted;
use netkeel_core::text::number::decimal;
use netkeel_core::text::suggest::nearest;

/// The maximum size of a layer, bytes: larger than any headers, and small enough for sums.
const MOST: i64 = 65_535;

impl Layer {
    /// Parses a layer. `family` is the family of outer headers if the layer does not name one.
    ///
    /// # Errors
    /// [`ErrorKind::Input`] for an unknown layer, header or parameter.
    pub fn parse(text: &str, family: Option<Family>) -> Result<Self, Error> {
        let mut layer = if text.contains('+') {
            stack(text)?
        } else {
            let (name, parameters) = match text.split_once(':') {
                Some((name, parameters)) => (name, Some(parameters)),
                None => (text, None),
            };
            single(text, name, parameters, family)?
        };
        text.clone_into(&mut layer.text);
        Ok(layer)
    }
}

fn wrong(message: String) -> Error {
    Error::new(ErrorKind::Input, message)
}

/// `kubespan:80+ipv6+udp+geneve+ovnopt+eth`.
fn stack(text: &str) -> Result<Layer, Error> {
    let mut headers: Vec<Header> = Vec::new();
    let mut before = None;
    for word in text.split('+') {
        match word.split_once(':') {
            Some((name, bytes)) => headers.push(given(text, name, bytes)?),
            None => headers.push(header(word).ok_or_else(|| no_header(text, word))?),
        }
        if let Some(on) = predecessor(word)
            && before != Some(on)
        {
            return Err(wrong(format!(
                "{}: the header `{word}` must follow `{on}`",
                quoted(text)
            ))
            .hint(if encapsulation::find(word).is_some() {
                format!("the layer {word} with all its headers is a separate item")
            } else {
                format!("write {on}+{word}")
            }));
        }
        before = Some(word);
    }
    Ok(Layer::exact(Wire {
        headers,
        padding: None,
    }))
}

fn no_header(text: &str, word: &str) -> Error {
    let error = wrong(format!("{}: there is no header {}", quoted(text), quoted(word)));
    if encapsulation::find(word).is_some() || convention::find(word).is_some() {
        return error.hint(format!("{word} is a layer: give it as a separate item"));
    }
    match nearest(word, words()) {
        Some(near) => error.hint(format!("did you mean `{near}`?")),
        None => error.hint(format!(
            "headers are {}; others are written NAME:BYTES",
            words().collect::<Vec<_>>().join(", ")
        )),
    }
}

fn given(text: &str, name: &str, bytes: &str) -> Result<Header, Error> {
    let number = decimal(bytes).filter(|bytes| bytes.abs() <= MOST);
    match number {
        Some(bytes) if is_name(name) => Ok(Header {
            name: name.to_owned(),
            bytes,
        }),
        Some(_) => {
            Err(wrong(format!("{} is not a layer", quoted(text))).hint("a layer by its size is NAME:BYTES"))
        }
        None => Err(wrong(format!(
            "{}: {} is not a number of bytes up to {MOST}",
            quoted(text),
            quoted(bytes)
        ))
        .hint("a header by its size is NAME:BYTES, as esp:34")),
    }
}

fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
}

fn single(text: &str, name: &str, parameters: Option<&str>, family: Option<Family>) -> Result<Layer, Error> {
    let bytes = parameters.and_then(decimal);
    if let Some(build) = encapsulation::find(name).or_else(|| convention::find(name)) {
        let own = match (bytes, parameters) {
            (None, Some(parameters)) => parameters,
            _ => "",
        };
        let layer = build.build(name, own, family)?;
        return match bytes {
            Some(bytes) => by_bytes(
                text,
                bytes,
                layer,
                &build.build(name, "", Some(Family::Ipv4))?,
                build,
            ),
            None => Ok(layer),
        };
    }
    match (header(name), parameters) {
        (Some(header), None) => Ok(Layer::exact(Wire {
            headers: vec![header],
            padding: None,
        })),
        (_, Some(parameters)) if bytes.is_some() || !is_name(name) => {
            let header = given(text, name, parameters)?;
            Ok(Layer {
                flat: Some(header.bytes),
                wire: None,
                ..Layer::exact(Wire::default())
            })
        }
        _ => Err(no_layer(text, name)),
    }
}

/// A known layer with an explicit size, which cannot be less than its headers.
fn by_bytes(
    text: &str,
    bytes: i64,
    layer: Layer,
    least: &Layer,
    known: &encapsulation::Encapsulation,
) -> Result<Layer, Error> {
    let exact = |layer: &Layer| layer.wire.as_ref().map_or(0, Wire::bytes);
    if bytes > MOST || bytes < exact(least) {
        let error = wrong(format!(
            "{}: {} takes at least {} bytes",
            quoted(text),
            known.name,
            exact(least)
        ));
        return Err(match known.counted() {
            Some(parameter) => error.hint(format!("write {}:{parameter}={bytes}", known.name)),
            None => error,
        });
    }
    let wire = if bytes < exact(&layer) {
        least.wire.clone()
    } else {
        layer.wire.clone()
    };
    Ok(Layer {
        flat: Some(bytes),
        wire,
        ..layer
    })
}

fn no_layer(text: &str, name: &str) -> Error {
    let error = wrong(format!("there is no layer {}", quoted(text)));
    if text.parse::<u32>().is_ok() {
        return error.hint(format!(
            "the MTU below the layers is the underlay: --underlay {text}, in a document `underlay: {text}`"
        ));
    }
    let names: Vec<&str> = encapsulation::names()
        .chain(convention::names())
        .chain(words())
        .collect();
    match nearest(name, names) {
        Some(near) => error.hint(format!("did you mean `{near}`?")),
        None => error
            .hint(format!(
                "layers are {}; CNI conventions are {}",
                encapsulation::names().collect::<Vec<_>>().join(", "),
                convention::names().collect::<Vec<_>>().join(", ")
            ))
            .hint("a stack of headers is ipv4+udp+vxlan+eth, and anything else is NAME:BYTES"),
    }
}
