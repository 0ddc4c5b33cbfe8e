//! A kernel for tests: the model as a [`Kernel`]. It can be made to fail.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use crate::cni::state::Cni;
use crate::kernel::Kernel;
use crate::model::Model;
use crate::snapshot::default_route::DefaultRoute;
use crate::snapshot::lookup::Lookup;
use crate::snapshot::next_hop::NextHop;
use crate::snapshot::reading::{Support, SysctlReading};
use crate::snapshot::scope::Scope;
use crate::snapshot::{FORMAT, Snapshot, nflog};
use crate::wireguard::copy::Copied;
use netkeel_core::error::Error;
use netkeel_core::fact::Fact;
use netkeel_core::name::sysctl::SysctlKey;
use netkeel_core::op::Op;

/// The model kernel as a [`Kernel`].
#[derive(Clone, Debug)]
pub struct ModelKernel {
    /// The model.
    pub model: Model,
    /// The ops that were executed, in order.
    pub done: Vec<Op>,
    /// Number of calls of [`Kernel::execute`] so far, including failed ones.
    calls: usize,
    failures: BTreeMap<usize, Error>,
}

impl ModelKernel {
    /// A kernel with the state of this host.
    pub fn new(host: Snapshot) -> Self {
        ModelKernel {
            model: Model::new(host),
            done: Vec::new(),
            calls: 0,
            failures: BTreeMap::new(),
        }
    }

    /// Makes call number `at` of [`Kernel::execute`], counted from 0, fail without any change.
    #[must_use]
    pub fn failing(mut self, at: usize, error: Error) -> Self {
        self.failures.insert(at, error);
        self
    }
}

impl ModelKernel {
    /// The CNI configurations of a scope.
    fn cni(&self, scope: &Scope) -> Cni {
        let mut seen = self.model.host.cni.clone().unwrap_or_else(Cni::empty);
        let directory = match (&seen.runtime, scope.cni.directory) {
            (Some(runtime), true) => Some(runtime.directory.clone()),
            _ => None,
        };
        seen.files.retain(|path, _| {
            scope.cni.files.contains(path) || directory.as_deref().is_some_and(|at| path.parent() == Some(at))
        });
        for path in &scope.cni.files {
            seen.files.entry(path.clone()).or_default();
        }
        if !scope.cni.directory {
            seen.runtime = None;
        }
        seen
    }
}

impl Kernel for ModelKernel {
    fn snapshot(&mut self, scope: &Scope) -> Result<Snapshot, Error> {
        let host = &self.model.host;
        let all = || host.sysctl_number("net/ipv4/conf/all/rp_filter");
        let families = scope.families_of(host.links.values().map(Arc::as_ref), all);
        let mut snapshot = Snapshot {
            format: FORMAT,
            kernel: host.kernel.clone(),
            boot: host.boot,
            families,
            links: host.links.clone(),
            problems: host.problems.clone(),
            sysctl_d: host.sysctl_d.clone().filter(|_| scope.sysctl_d),
            ..Snapshot::empty(host.netns.clone())
        };
        for link in snapshot.links.values_mut().map(Arc::make_mut) {
            let wanted = |address: &ipnet::IpNet| match address {
                ipnet::IpNet::V4(_) => families.ipv4,
                ipnet::IpNet::V6(_) => families.ipv6,
            };
            link.addresses.retain(wanted);
            link.secondary.retain(wanted);
            if !scope.pods {
                link.pod = None;
            }
            link.routes.retain(|key, _| scope.routes.contains(&key.place()));
            if !scope.drivers {
                link.driver = None;
                link.bus = None;
            }
            if !scope.peer_routes {
                link.peer_routes = None;
            }
            if !scope.macs {
                link.mac = None;
                link.permanent_mac = None;
            }
        }
        for key in scope.sysctls_of(&host.links) {
            let reading = match host.sysctls.get(&key) {
                Some(reading) => reading.clone(),
                // A fact of a link, asked for by its sysctl key.
                None => match host.get(&Fact::sysctl(&host.netns, &key)) {
                    Lookup::Value(value) => SysctlReading::Value {
                        value: value.to_text(),
                        writable: true,
                    },
                    Lookup::Absent | Lookup::Unread => SysctlReading::Absent,
                },
            };
            snapshot.sysctls.insert(key, reading);
        }
        // The dump of interfaces shows an IPv6 MTU that is not the device's.
        for (name, link) in &host.links {
            let key = SysctlKey::conf("ipv6", *name, "mtu");
            if let Some(reading @ SysctlReading::Value { .. }) = host.sysctls.get(&key)
                && reading.number() != Some(link.mtu.into())
            {
                snapshot.sysctls.insert(key, reading.clone());
            }
        }
        for path in &scope.files {
            let file = host.files.get(path).cloned().flatten();
            snapshot.files.insert(path.clone(), file);
        }
        if !scope.cni.is_empty() {
            snapshot.cni = Some(self.cni(scope));
        }
        let measured = |target: &IpAddr| Some((*target, *host.path_mtus.get(target)?));
        snapshot.path_mtus = scope.paths.iter().filter_map(measured).collect();
        for (copy, source) in &scope.wireguard {
            let known = host.wireguard.get(copy).cloned();
            let copied = known.unwrap_or_else(|| Copied {
                source: source.clone(),
                source_there: true,
                is: None,
            });
            snapshot.wireguard.insert(copy.clone(), copied);
        }
        // A device that is down or deleted has no routes.
        let up = |route: &&DefaultRoute| host.links.get(&route.link).is_some_and(|link| link.up);
        let routes = host.default_routes.iter().flatten().filter(up).cloned();
        snapshot.default_routes = scope.default_routes.then(|| routes.collect());
        let up = |hop: &&NextHop| host.links.get(&hop.link).is_some_and(|link| link.up);
        // Next hops that were not read are not "none".
        let hops = host.next_hops.as_ref().filter(|_| scope.next_hops);
        snapshot.next_hops = hops.map(|hops| hops.iter().filter(up).cloned().collect());
        snapshot.policy_routing = host.policy_routing.clone().filter(|_| scope.next_hops);
        snapshot.announced_routes = host.announced_routes.clone().filter(|_| scope.announced_routes);
        snapshot.routes = scope.routes.clone();
        let support = |mode| host.tunnels.get(mode).cloned().unwrap_or(Support::Yes);
        let modes: BTreeSet<_> = scope.tunnels.iter().copied().collect();
        snapshot.tunnels = modes.iter().map(|mode| (*mode, support(mode))).collect();
        let module = |name: &String| Some((name.clone(), host.modules.get(name)?.clone()));
        snapshot.modules = scope.modules.iter().filter_map(module).collect();
        snapshot.ticks = host.ticks.filter(|_| scope.needs_ticks());
        snapshot.cpus = host.cpus.filter(|_| scope.needs_cpus());
        if scope.nflog {
            let observed = host.nflog.clone();
            snapshot.nflog = Some(observed.unwrap_or_else(|| nflog::NflogState::empty(Support::Yes)));
        }
        Ok(snapshot)
    }

    fn execute(&mut self, op: &Op) -> Result<(), Error> {
        let call = self.calls;
        self.calls += 1;
        if let Some(error) = self
            .failures
            .get(&call)
            .cloned()
            .or_else(|| self.model.refusal(op))
        {
            return Err(error);
        }
        self.model.apply(op);
        self.done.push(op.clone());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::link::Link;
    use netkeel_core::error::ErrorKind;
    use netkeel_core::name::netns::Netns;
    use netkeel_core::op::Target;

    #[test]
    fn it_does_what_it_is_asked_until_it_is_told_to_fail() {
        let mut host = Snapshot::empty(Netns::CURRENT);
        let link = Link {
            index: 2,
            mtu: 1500,
            min_mtu: 68,
            max_mtu: 9000,
            ..Link::default()
        };
        host.links.insert("eth0".parse().unwrap(), link.into());
        let set = |mtu| Op::SetMtu {
            target: Target {
                netns: Netns::CURRENT,
                index: 2,
                name: "eth0".parse().unwrap(),
            },
            mtu,
        };
        let mut kernel = ModelKernel::new(host).failing(1, Error::new(ErrorKind::Permission, "no"));
        kernel.execute(&set(1400)).unwrap();
        assert_eq!(kernel.execute(&set(1300)).unwrap_err().message, "no");
        assert_eq!(
            kernel.execute(&set(9001)).unwrap_err().message,
            "MTU 9001 is above the maximum of eth0, 9000"
        );
        let seen = kernel.snapshot(&Scope::default()).unwrap();
        assert_eq!(seen.links.values().next().map(|link| link.mtu), Some(1400));
        assert_eq!(kernel.done, [set(1400)]);
    }
}
