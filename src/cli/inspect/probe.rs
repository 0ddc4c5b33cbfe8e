//! `netkeel probe`: measures paths with packets of its own.

mod ipip;
mod replicate;

use clap::{Args, Subcommand, ValueEnum};

use crate::arguments::Format;
use crate::load::address::{IpVersion, resolve};
use crate::{exit, output};
use netkeel_core::error::{Error, ErrorKind};
use netkeel_core::name::netns::Netns;
use netkeel_core::name::sandbox::Sandbox;
use netkeel_core::text::escape::quoted;
use netkeel_diagnose::path::select::{self, Start};
use netkeel_host::kernel::Kernel;
use netkeel_host::snapshot::scope::Scope;
use netkeel_kernel::live::snapshot::Live;
use netkeel_kernel::namespace::enter::inside;
use netkeel_kernel::pod::ends;
use netkeel_kernel::pod::name::pod_names;
use netkeel_kernel::probe::path_mtu::probe;
use netkeel_mtu::probe::reply::Method;
use netkeel_render::mtu::measured_path::MeasuredPath;
use netkeel_render::mtu::path_mtu::path_mtu;
use netkeel_render::paint::Paint;

const EXAMPLES: &str = "Examples:
  netkeel probe pmtu 10.2.0.9 --expect 1460
  netkeel probe pmtu www.example.org --proto tcp --from default/web-1";

/// Measure a path, or test replication
///
/// netkeel sends packets of its own and changes no setting.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    probe: Probe,
}

#[derive(Debug, Subcommand)]
enum Probe {
    Pmtu(PmtuArguments),
    Ipip(ipip::Arguments),
    Replicate(replicate::Arguments),
}

/// Measure the path MTU to a host, and find black holes
///
/// netkeel sends packets that may not be fragmented, and searches for the largest one that the target
/// answers. The path MTU that the kernel has cached is not used. A size that gets no answer is a black hole
/// only if a smaller one is answered; a target that does not answer at all is not measured.
///
/// Without --proto, netkeel asks with ICMP echo, then with UDP, then with a TCP SYN, until one of them
/// measures the path. ICMP and TCP need CAP_NET_RAW.
///
/// Exit status: 0 measured and as expected; 2 a black hole, or less than --expect; 1 not measured, or an error.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
struct PmtuArguments {
    /// Address or name of the host
    target: String,
    /// Ask by this protocol only
    #[arg(long, value_enum)]
    proto: Option<Protocol>,
    /// Port; without --proto, of TCP [default: 33434 for UDP, 443 for TCP]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    port: Option<u16>,
    /// Exit with status 2 if the path MTU is smaller
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u32).range(68..=65535))]
    expect: Option<u32>,
    /// IP version, for a target that has addresses of both
    #[arg(long, value_enum)]
    family: Option<IpVersion>,
    /// Send from this pod, a NAMESPACE/NAME or the host's end of its veth
    #[arg(long, value_name = "POD")]
    from: Option<String>,
    /// Output format
    #[arg(long, value_enum, default_value_t)]
    output: Format,
    /// Send from this network namespace, as `ip netns` names it; with --from, the pod's host is this namespace
    #[arg(long, value_name = "NAME")]
    netns: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Protocol {
    /// ICMP echo
    Icmp,
    /// A UDP datagram
    Udp,
    /// A TCP SYN with data
    Tcp,
}

/// Runs the verb.
pub(crate) fn run(arguments: &Arguments) -> Result<u8, Error> {
    match &arguments.probe {
        Probe::Pmtu(arguments) => pmtu(arguments),
        Probe::Ipip(arguments) => ipip::run(arguments),
        Probe::Replicate(arguments) => replicate::run(arguments),
    }
}

fn pmtu(arguments: &PmtuArguments) -> Result<u8, Error> {
    let target = resolve(&arguments.target, arguments.family)?;
    let methods = methods(arguments.proto, arguments.port)?;
    let netns = arguments.netns.as_deref().map_or(Netns::CURRENT, Netns::named);
    let report = match &arguments.from {
        Some(pod) => ends::enter(&sandbox(pod, &netns)?, || probe(target, &methods))?,
        None => inside(&netns, || probe(target, &methods))??,
    };
    let well = report.is_well(arguments.expect);
    let shown = match arguments.output {
        Format::Text => path_mtu(
            &arguments.target,
            &report,
            arguments.expect,
            Paint(output::stdout_colour()),
        ),
        Format::Json => output::json(&MeasuredPath::new(&report, arguments.expect))?,
    };
    output::print(&shown)?;
    Ok(match well {
        Some(true) => exit::OK,
        Some(false) => exit::CHANGES,
        None => exit::ERROR,
    })
}

fn methods(protocol: Option<Protocol>, port: Option<u16>) -> Result<Vec<Method>, Error> {
    if let (Some(Protocol::Icmp), Some(_)) = (protocol, port) {
        return Err(Error::new(ErrorKind::Input, "ICMP echo has no port")
            .hint("use --port with --proto udp or --proto tcp"));
    }
    let protocol = protocol.map(|protocol| match protocol {
        Protocol::Icmp => netkeel_core::probe::Protocol::Icmp,
        Protocol::Udp => netkeel_core::probe::Protocol::Udp,
        Protocol::Tcp => netkeel_core::probe::Protocol::Tcp,
    });
    Ok(Method::all(protocol, port))
}

/// The namespace of a pod whose veth has its other end in `netns`.
fn sandbox(pod: &str, netns: &Netns) -> Result<Sandbox, Error> {
    let scope = Scope {
        pods: true,
        ..Scope::default()
    };
    let host = Live::with(netns, |kernel| kernel.snapshot(&scope))??;
    let names = pod_names();
    let sandbox = match select::start(&host, pod, &|path: &str| names.get(path).cloned()) {
        Some(Start::Pod(name)) => host
            .link(name)
            .and_then(|link| link.pod.as_deref()?.sandbox.clone()),
        Some(Start::Everywhere | Start::Interface(_) | Start::Address(_)) | None => None,
    };
    sandbox.ok_or_else(|| {
        Error::new(ErrorKind::Missing, format!("there is no pod {}", quoted(pod)))
            .hint("`netkeel pods` lists the pods and the host's ends of their veths")
    })
}
