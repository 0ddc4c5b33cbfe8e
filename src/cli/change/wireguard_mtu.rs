//! `netkeel wireguard-mtu`: copies a WireGuard config with an MTU that fits this host.

use std::path::{Path, PathBuf};

use clap::Args;

use crate::arguments::{OuterFamily, Place};
use crate::inspect::mtu::from_environment;
use crate::{exit, output};
use netkeel_core::error::{Error, ErrorKind};
use netkeel_core::name::link::LinkName;
use netkeel_host::kernel::Kernel;
use netkeel_host::snapshot::routes::default_routes;
use netkeel_host::snapshot::scope::Scope;
use netkeel_host::wireguard::conf;
use netkeel_kernel::files::private;
use netkeel_kernel::live::snapshot::Live;
use netkeel_kernel::namespace::identity;
use netkeel_mtu::budget::Budget;
use netkeel_mtu::layer::Layer;

/// The interface assumed without a default route.
const USUAL_INTERFACE: &str = "eth0";

/// The MTU assumed where it cannot be read, bytes.
const USUAL_MTU: i64 = 1500;

/// Copy a WireGuard config with an MTU that fits this host
///
/// The MTU is that of the default route's interface minus WireGuard's overhead. The source is only
/// read, so it may be a mounted Secret. The copy has the same file name, because wg-quick takes the
/// interface name from it, and mode 0600.
///
/// The last line of output is the path to use in every wg-quick call. The environment variables
/// NETKEEL_MTU and NETKEEL_OVERHEAD override the derived values.
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
    #[command(flatten)]
    place: Place,
}

/// Runs the verb.
pub(crate) fn run(arguments: &Arguments) -> Result<u8, Error> {
    let target = target(&arguments.source, &arguments.directory)?;
    let text = private::read(&arguments.source)?;
    let (interface, base) = underlay(arguments);
    let layer = Layer::parse("wireguard", arguments.family.map(OuterFamily::family))?;
    let of_family = layer.note.as_ref().map(|note| format!("{}: {note}", layer.text));
    let budget = Budget {
        layers: vec![layer],
        floor: Some(arguments.floor),
        forced: from_environment("NETKEEL_MTU")?,
        forced_overhead: from_environment("NETKEEL_OVERHEAD")?,
        ..Budget::default()
    };
    let answer = budget.derive(base, &interface).map_err(|error| {
        error.hint(format!(
            "without IPv6 in the tunnel, use --floor {}",
            netkeel_mtu::budget::LEAST
        ))
    })?;
    let edited =
        conf::set_mtu(&text, answer.mtu).map_err(|error| error.context(arguments.source.display()))?;
    private::write(&target, &edited)?;
    output::print(&format!(
        "🔍 Detecting network MTU for WireGuard configuration...\n\
         📊 Network MTU Analysis:\n   \
            Interface: {interface}\n   \
            Base MTU: {base}\n   \
            WireGuard overhead: {} bytes\n   \
            Calculated WireGuard MTU: {mtu}\n\
         ✅ WireGuard MTU configured: {mtu} (using {})\n",
        answer.overhead,
        target.display(),
        mtu = answer.mtu,
    ))?;
    // Room for both IP versions is the normal case and needs no warning.
    for note in answer
        .notes
        .iter()
        .filter(|note| Some(*note) != of_family.as_ref())
    {
        warn(note);
    }
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

/// The interface that carries the tunnel, and its MTU; defaults where they cannot be read.
fn underlay(arguments: &Arguments) -> (String, i64) {
    let netns = arguments.place.netns();
    let scope = Scope {
        default_routes: true,
        ..Scope::default()
    };
    let host = Live::with(&netns, |kernel| kernel.snapshot(&scope)).and_then(|host| host);
    let host = match host {
        Ok(host) => host,
        Err(error) => {
            warn(&format!(
                "cannot read the interfaces ({}): using {USUAL_INTERFACE} with MTU {USUAL_MTU}",
                error.message
            ));
            return (USUAL_INTERFACE.to_owned(), USUAL_MTU);
        }
    };
    let routes = default_routes(&host).unwrap_or_default();
    let least = routes.into_iter().min_by_key(|(_, mtu, _)| *mtu);
    let (interface, mtu) = match least {
        Some((name, mtu, _)) => (name.to_string(), Some(mtu)),
        None => {
            warn(&format!("there is no default route: using {USUAL_INTERFACE}"));
            let name = USUAL_INTERFACE.parse::<LinkName>().ok();
            let link = name.and_then(|name| host.links.get(&name));
            (USUAL_INTERFACE.to_owned(), link.map(|link| link.mtu.into()))
        }
    };
    let mtu = mtu.unwrap_or_else(|| {
        warn(&format!("cannot read the MTU of {interface}: using {USUAL_MTU}"));
        USUAL_MTU
    });
    let in_kubernetes = std::env::var_os("KUBERNETES_SERVICE_HOST").is_some();
    if in_kubernetes && identity::is_the_first(&netns) == Some(true) {
        warn(&format!(
            "this pod uses the host's network (hostNetwork): {mtu} is the MTU of the node's {interface}, not of the pod network"
        ));
    }
    (interface, mtu)
}
