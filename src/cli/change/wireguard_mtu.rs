//! `netkeel wireguard-mtu`: copies a WireGuard config with an MTU that fits this host.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use crate::arguments::{Format, OuterFamily, Place};
use crate::inspect::mtu::from_environment;
use crate::{exit, output};
use netkeel_core::error::{Error, ErrorKind};
use netkeel_core::name::link::LinkName;
use netkeel_host::wireguard::conf;
use netkeel_host::wireguard::endpoint::{Endpoints, endpoints};
use netkeel_kernel::files::private;
use netkeel_kernel::live::underlay::underlays;
use netkeel_kernel::namespace::identity;
use netkeel_mtu::budget::Budget;
use netkeel_mtu::layer::Layer;

/// The interface assumed without a default route.
const USUAL_INTERFACE: &str = "eth0";

/// The MTU assumed where it cannot be read, bytes.
const USUAL_MTU: i64 = 1500;

/// Copy a WireGuard config with an MTU that fits this host
///
/// The MTU is that of the underlay minus WireGuard's overhead. The underlay is the interface with the
/// smallest MTU on the routes to the endpoints of the config, for packets with its `FwMark`. Without a literal endpoint address it is
/// the interface of the default route. A smaller `MTU =` in the config is kept.
///
/// The source is only read, so it may be a mounted Secret. The copy has the same file name, because
/// wg-quick takes the interface name from it, and mode 0600. Use the copy in every wg-quick call.
///
/// The environment variables NETKEEL_MTU and NETKEEL_OVERHEAD override the derived values.
///
/// Exit status: 0 success; 1 error, or the floor leaves no room for WireGuard's headers.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// WireGuard config to copy
    #[arg(value_name = "FILE", default_value = "/etc/wireguard/wg0.conf")]
    source: PathBuf,
    /// Directory of the copy; created if missing
    #[arg(long, value_name = "DIR", default_value = "/tmp/wireguard")]
    directory: PathBuf,
    /// IP version of all endpoints; by default there is room for both
    #[arg(long, value_enum)]
    family: Option<OuterFamily>,
    /// Smallest MTU to use; an error if the headers do not fit
    #[arg(long, value_name = "MTU", default_value_t = 1280, value_parser = clap::value_parser!(i64).range(68..=65535))]
    floor: i64,
    /// Replace a smaller `MTU =` of the config
    #[arg(long = "override")]
    replace: bool,
    /// Print only the path of the copy
    #[arg(long, conflicts_with = "output")]
    print_path: bool,
    /// Output format
    #[arg(long, value_enum, default_value_t)]
    output: Format,
    #[command(flatten)]
    place: Place,
}

/// Runs the verb.
pub(crate) fn run(arguments: &Arguments) -> Result<u8, Error> {
    let target = target(&arguments.source, &arguments.directory)?;
    let text = private::read(&arguments.source)?;
    let mut warnings = Vec::new();
    let base = underlay(arguments, &endpoints(&text), &mut warnings);
    let layer = Layer::parse("wireguard", arguments.family.map(OuterFamily::family))?;
    let of_family = layer.note.as_ref().map(|note| format!("{}: {note}", layer.text));
    let budget = Budget {
        layers: vec![layer],
        floor: Some(arguments.floor),
        forced: from_environment("NETKEEL_MTU")?,
        forced_overhead: from_environment("NETKEEL_OVERHEAD")?,
        ..Budget::default()
    };
    let answer = budget.derive(base.mtu, &base.interface).map_err(|error| {
        error.hint(format!(
            "without IPv6 in the tunnel, use --floor {}",
            netkeel_mtu::budget::LEAST
        ))
    })?;
    // Room for both IP versions is the normal case and needs no warning.
    let notes = answer
        .notes
        .iter()
        .filter(|note| Some(*note) != of_family.as_ref());
    warnings.extend(notes.cloned());
    let mtu = match conf::mtu_of(&text) {
        Some(own) if own < answer.mtu && !arguments.replace => {
            warnings.push(format!(
                "the config has MTU {own}, which is less than {}: {own} is kept; --override replaces it",
                answer.mtu
            ));
            own
        }
        _ => answer.mtu,
    };
    for hook in conf::hooks_with_mtu(&text) {
        warnings.push(format!(
            "{hook} of the config mentions an MTU and may set another one"
        ));
    }
    let edited = conf::set_mtu(&text, mtu).map_err(|error| error.context(arguments.source.display()))?;
    private::write(&target, &edited)?;
    let path = target.display().to_string();
    let result = match arguments.output {
        Format::Json => {
            let copied = json!({
                "path": path,
                "mtu": mtu,
                "interface": base.interface,
                "interface_mtu": base.mtu,
                "endpoint": base.endpoint,
                "overhead": answer.overhead,
                "warnings": warnings,
            });
            output::pretty(&copied)
        }
        Format::Text if arguments.print_path => format!("{path}\n"),
        Format::Text => format!(
            "underlay: {}, MTU {} ({})\noverhead: {} bytes (WireGuard)\nMTU: {mtu}\ncopy: {path}\n",
            base.interface, base.mtu, base.because, answer.overhead,
        ),
    };
    if arguments.output == Format::Text {
        warnings.iter().for_each(|warning| warn(warning));
    }
    output::print(&result)?;
    Ok(exit::OK)
}

fn warn(message: &str) {
    output::say(&format!("warning: {message}\n"));
}

/// The path of the copy: the same name in another directory.
fn target(source: &Path, directory: &Path) -> Result<PathBuf, Error> {
    let refused = |message: String| Error::new(ErrorKind::Input, message);
    let name = source
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or_default();
    if name
        .strip_suffix(".conf")
        .and_then(|name| name.parse::<LinkName>().ok())
        .is_none()
    {
        return Err(refused(format!(
            "{} is not a file name that wg-quick accepts",
            source.display()
        ))
        .hint("name it after the interface, e.g. wg0.conf"));
    }
    let absolute = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
    let target = absolute(&directory.join(name));
    let same = |path: &Path| path.parent().and_then(|parent| parent.canonicalize().ok());
    let of_source = same(&absolute(source));
    if of_source.is_some() && of_source == same(&target) {
        return Err(refused(format!(
            "the copy would overwrite its source {}",
            source.display()
        ))
        .hint("set another directory with --directory; a mounted Secret cannot be written"));
    }
    Ok(target)
}

/// The interface that carries the tunnel.
struct Base {
    interface: String,
    /// Bytes.
    mtu: i64,
    endpoint: Option<IpAddr>,
    because: String,
}

/// The interface with the smallest MTU; defaults where nothing can be read.
fn underlay(arguments: &Arguments, endpoints: &Endpoints, warnings: &mut Vec<String>) -> Base {
    let netns = arguments.place.netns();
    let family = arguments.family;
    let counts = move |ipv6: bool| match family {
        Some(OuterFamily::Ipv4) => !ipv6,
        Some(OuterFamily::Ipv6) => ipv6,
        None => true,
    };
    if endpoints.names > 0 {
        warnings.push(format!(
            "netkeel does not resolve host names: for {} of the endpoints it assumes the {}",
            endpoints.names,
            if endpoints.addresses.is_empty() {
                "default route"
            } else {
                "routes to the other endpoints"
            },
        ));
    }
    if let (Some(mark), true) = (endpoints.mark, endpoints.addresses.is_empty()) {
        warnings.push(format!(
            "FwMark {mark} of the config may choose other routes than the default route that is assumed"
        ));
    }
    let host = match underlays(&netns, &endpoints.addresses, endpoints.mark, counts) {
        Ok(host) => host,
        Err(error) => {
            warnings.push(format!(
                "cannot read the interfaces ({}): using {USUAL_INTERFACE} with MTU {USUAL_MTU}",
                error.message
            ));
            return usual(USUAL_MTU);
        }
    };
    for endpoint in &host.unreachable {
        warnings.push(format!("there is no route to the endpoint {endpoint}"));
    }
    let base = match host.found.into_iter().min_by_key(|underlay| underlay.mtu) {
        Some(least) => Base {
            interface: least.link.to_string(),
            mtu: least.mtu.into(),
            endpoint: least.endpoint,
            because: match least.endpoint {
                Some(endpoint) => format!("route to {endpoint}"),
                None => "default route".to_owned(),
            },
        },
        None => {
            warnings.push(format!("there is no default route: using {USUAL_INTERFACE}"));
            let own = host
                .links
                .into_iter()
                .find(|(name, _)| name.as_bytes() == USUAL_INTERFACE.as_bytes());
            if own.is_none() {
                warnings.push(format!(
                    "cannot read the MTU of {USUAL_INTERFACE}: using {USUAL_MTU}"
                ));
            }
            usual(own.map_or(USUAL_MTU, |(_, mtu)| mtu.into()))
        }
    };
    let in_kubernetes = std::env::var_os("KUBERNETES_SERVICE_HOST").is_some();
    if in_kubernetes && identity::is_the_first(&netns) == Some(true) {
        warnings.push(format!(
            "this pod uses the host's network (hostNetwork): {} is the MTU of the node's {}, not of the pod network",
            base.mtu, base.interface
        ));
    }
    base
}

fn usual(mtu: i64) -> Base {
    Base {
        interface: USUAL_INTERFACE.to_owned(),
        mtu,
        endpoint: None,
        because: "assumed".to_owned(),
    }
}
