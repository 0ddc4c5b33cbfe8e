//! Reverse path filtering whose effect differs from its setting.

use netkeel_core::finding::{Code, Findings};
use netkeel_core::name::link::LinkName;
use netkeel_core::name::tunnel::TunnelKind;
use netkeel_core::rp_filter::{Verdict, effective};
use netkeel_host::snapshot::Snapshot;

pub(crate) fn check(host: &Snapshot, wanted: &dyn Fn(LinkName) -> bool, findings: &mut Findings) {
    if host.sysctl_number("net/ipv4/conf/all/rp_filter") == Some(2) {
        for (name, link) in &host.links {
            // Felix sets its pods' interfaces to strict. Loose drops packets on an interface without an
            // address, and lets pods spoof on one with an address.
            let loosened = link.rp_filter == Some(1);
            if loosened && name.as_bytes().starts_with(b"cali") && wanted(*name) {
                let message = "Calico set its rp_filter to 1 (strict) and it is effectively 2 (loose): net.ipv4.conf.all.rp_filter is 2 and the larger counts";
                findings.add(
                    Code::NK018,
                    name,
                    message,
                    "set net.ipv4.conf.all.rp_filter to 0 or 1",
                );
            }
        }
    }
    let fallback = TunnelKind::Ipip
        .fallback_device()
        .parse()
        .ok()
        .and_then(|name: LinkName| host.links.get(&name));
    if fallback.is_some_and(|link| link.up) {
        let external = host
            .links
            .iter()
            .filter(|(name, link)| wanted(**name) && link.external && link.kind_name() == "ipip");
        for (name, _) in external {
            let message = "tunl0 is up too, as it is where Calico runs IPIP: both tunnels accept any sender, and the newer one gets every packet";
            findings.add(
                Code::NK020,
                name,
                message,
                "switch Calico to VXLAN or no encapsulation, or remove the tunnel",
            );
        }
    }
}

/// Tunnels that drop the packets that they decapsulate. A plan judges the tunnels that it wants itself.
pub(crate) fn tunnels(host: &Snapshot, findings: &mut Findings) {
    tunnels_but(host, &|_| false, findings);
}

/// As [`tunnels`], without those that are judged elsewhere.
pub(crate) fn tunnels_but(host: &Snapshot, judged: &dyn Fn(LinkName) -> bool, findings: &mut Findings) {
    let Some(all) = host.sysctl_number("net/ipv4/conf/all/rp_filter") else {
        return;
    };
    let tunnels = host
        .links
        .iter()
        .filter(|(name, link)| link.external && !judged(**name));
    for (name, link) in tunnels {
        let Some(own) = link.rp_filter.map(i64::from) else {
            continue;
        };
        let effective = effective(all, own, link.has_ipv4() || !host.families.ipv4);
        if effective.verdict != Verdict::Accept {
            let message = format!(
                "its effective rp_filter is {}: the packets that it decapsulates are dropped",
                effective.value
            );
            findings.add(
                Code::NK009,
                name,
                message,
                "set rp_filter to 0 on it and on net.ipv4.conf.all",
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use netkeel_host::snapshot::Snapshot;

    #[test]
    fn tunnels_and_pods_are_judged_by_the_effect() {
        let text = r#"{"format":1,"netns":null,"kernel":"6.1","families":{"ipv4":true,"ipv6":true},
            "sysctls":{"net/ipv4/conf/all/rp_filter":{"value":"2","writable":true}},
            "links":{"cali0":{"index":2,"kind":"veth","rp_filter":1},"tunl0":{"index":3,"kind":"ipip","up":true,"rp_filter":0},
                     "ipip0":{"index":4,"kind":"ipip","external":true,"rp_filter":0}}}"#;
        let findings = crate::lint::host::host(&Snapshot::from_json(text).unwrap());
        let lines: Vec<String> = findings
            .iter()
            .map(|f| format!("{} {}", f.code, f.subjects.join(",")))
            .collect();
        assert_eq!(lines, ["NK009 ipip0", "NK018 cali0", "NK020 ipip0"]);
    }
}
