//! Sysctls whose value is the name of something that the kernel has or can load: TCP congestion
//! controls and queueing disciplines.

use netkeel_core::error::{Error, ErrorKind};
use netkeel_core::name::sysctl::{ALLOWED_CONGESTION_CONTROL, SysctlKey};
use netkeel_core::text::suggest::nearest;
use netkeel_host::snapshot::Snapshot;
use netkeel_host::snapshot::reading::{Support, SysctlReading};
use netkeel_host::snapshot::scope::Scope;
use netkeel_host::sysctl_form::handler::Handler;

/// The congestion controls that the kernel has, built in or loaded.
const AVAILABLE: &str = "net/ipv4/tcp_available_congestion_control";

/// The congestion controls in the source of Linux (net/ipv4/Kconfig). The kernel loads the module
/// `tcp_NAME` of one that is written (`tcp_ca_find_autoload`, net/ipv4/tcp_cong.c).
const CONTROLS: &[&str] = &[
    "bbr",
    "bic",
    "cdg",
    "cubic",
    "dctcp",
    "highspeed",
    "htcp",
    "hybla",
    "illinois",
    "lp",
    "nv",
    "reno",
    "scalable",
    "vegas",
    "veno",
    "westwood",
    "yeah",
];

/// The queueing disciplines that are always in the kernel (`pktsched_init`, net/sched/sch_api.c).
const QDISCS: &[&str] = &["bfifo", "mq", "noqueue", "pfifo", "pfifo_fast", "pfifo_head_drop"];

/// The queueing disciplines that can be a default: those with a module `sch_NAME` and no parameters that
/// must be given (net/sched/Kconfig).
const LOADED_QDISCS: &[&str] = &[
    "cake", "choke", "codel", "drr", "dualpi2", "fq", "fq_codel", "fq_pie", "gred", "hhf", "pie", "qfq",
    "sfb", "sfq",
];

/// The loggers of packets in the source of Linux (`struct nf_logger`, net/netfilter), and the word for none.
const LOGGERS: &[&str] = &[
    "NONE",
    "nf_log_arp",
    "nf_log_bridge",
    "nf_log_ipv4",
    "nf_log_ipv6",
    "nf_log_netdev",
    "nfnetlink_log",
];

/// The keys that name a logger, one for each protocol family.
const LOGS: &str = "net/netfilter/nf_log/";

/// Adds the facts that show whether the name exists.
pub(super) fn scope(key: &SysctlKey, value: &str, scope: &mut Scope) {
    match Handler::of(key) {
        Handler::CongestionControl | Handler::CongestionControls => {
            scope.sysctls.insert(SysctlKey::known(AVAILABLE));
            scope
                .modules
                .extend(value.split(' ').map(|name| format!("tcp_{name}")));
        }
        Handler::Qdisc if !QDISCS.contains(&value) => {
            scope.modules.insert(format!("sch_{value}"));
        }
        _ => {}
    }
}

/// The value in the kernel's order, if the kernel has or can load all of its names. `control` is the congestion
/// control of the same document, which is written, and so loaded, before those that are allowed.
///
/// # Errors
/// The reason why the kernel refuses it, as the end of a sentence that begins with the key.
pub(super) fn known(
    key: &SysctlKey,
    value: String,
    control: Option<&str>,
    host: &Snapshot,
) -> Result<String, Error> {
    let available = match host.sysctls.get(AVAILABLE) {
        Some(SysctlReading::Value { value, .. }) => Some(value.split(' ').collect::<Vec<_>>()),
        Some(SysctlReading::Hidden { .. } | SysctlReading::Absent) | None => None,
    };
    match (Handler::of(key), available) {
        _ if key.path().starts_with(LOGS) && !LOGGERS.contains(&value.as_str()) => {
            let message = format!("cannot be `{value}`: Linux has no logger of that name");
            Err(Error::new(ErrorKind::Input, message).hint(format!("the loggers are {}", LOGGERS.join(", "))))
        }
        (Handler::CongestionControl, Some(available)) => {
            if !available.contains(&value.as_str()) {
                loadable(&value, "tcp", "congestion control", CONTROLS, &available, host)?;
            }
            allowed_here(&value, host)?;
            Ok(value)
        }
        // A module is not loaded for this key (`tcp_set_allowed_congestion_control`).
        (Handler::CongestionControls, Some(available)) => {
            let wanted: Vec<&str> = value.split(' ').collect();
            let loaded = control.filter(|name| !available.contains(name));
            let is_there = |name: &str| available.contains(&name) || loaded == Some(name);
            match wanted.iter().find(|name| !is_there(name)) {
                Some(name) => Err(missing(name, "congestion control", &available).hint(
                    "a module that is not loaded does not count: load it at boot, by /etc/modules-load.d",
                )),
                None => {
                    let ordered: Vec<&str> = available
                        .into_iter()
                        .chain(loaded)
                        .filter(|name| wanted.contains(name))
                        .collect();
                    Ok(ordered.join(" "))
                }
            }
        }
        (Handler::Qdisc, _) if !QDISCS.contains(&value.as_str()) => {
            let live = host.sysctls.get(key);
            let live = match live {
                Some(SysctlReading::Value { value, .. }) => Some(&**value),
                Some(SysctlReading::Hidden { .. } | SysctlReading::Absent) | None => None,
            };
            if live != Some(value.as_str()) {
                loadable(&value, "sch", "queueing discipline", LOADED_QDISCS, QDISCS, host)?;
            }
            Ok(value)
        }
        _ => Ok(value),
    }
}

/// Another network namespace than the first one may only use what is allowed. There the list is read-only
/// (`tcp_set_default_congestion_control`, net/ipv4/tcp_cong.c).
fn allowed_here(name: &str, host: &Snapshot) -> Result<(), Error> {
    match host.sysctls.get(ALLOWED_CONGESTION_CONTROL) {
        Some(SysctlReading::Value {
            value,
            writable: false,
        }) if !value.split(' ').any(|allowed| allowed == name) => {
            let message = format!(
                "cannot be `{name}` in this network namespace: the host's {} is {value}",
                SysctlKey::known(ALLOWED_CONGESTION_CONTROL)
            );
            Err(Error::new(ErrorKind::Input, message).hint("add it to that list on the host"))
        }
        _ => Ok(()),
    }
}

/// Whether the kernel can load the module of a name. Where the modules cannot be seen, a name that is in
/// the source of Linux may be there.
fn loadable(
    name: &str,
    prefix: &str,
    what: &str,
    names: &[&str],
    available: &[&str],
    host: &Snapshot,
) -> Result<(), Error> {
    match host.modules.get(&format!("{prefix}_{name}")) {
        Some(Support::Yes) => Ok(()),
        Some(Support::Missing { module }) => {
            Err(missing(name, what, available)
                .hint(format!("the kernel {} has no module {module}", host.kernel)))
        }
        Some(Support::Unknown) | None if names.contains(&name) => Ok(()),
        Some(Support::Unknown) | None => {
            let error = missing(name, what, available);
            Err(match nearest(name, names.iter().chain(available).copied()) {
                Some(near) => error.hint(format!("did you mean `{near}`?")),
                None => error,
            })
        }
    }
}

fn missing(name: &str, what: &str, available: &[&str]) -> Error {
    Error::new(
        ErrorKind::Input,
        format!("cannot be `{name}`: this kernel has no {what} of that name"),
    )
    .hint(format!("available now: {}", available.join(", ")))
}
