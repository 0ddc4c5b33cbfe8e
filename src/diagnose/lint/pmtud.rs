//! Settings that impair path MTU discovery on this host or through it.

use netkeel_core::finding::{Code, Findings};
use netkeel_host::snapshot::Snapshot;

pub(crate) fn check(host: &Snapshot, findings: &mut Findings) {
    if let Some(mode @ 1..) = host.sysctl_number("net/ipv4/ip_no_pmtu_disc") {
        let what = match mode {
            1 => "new sockets do not set DF: their packets are fragmented instead of shrunk",
            2 => "every ICMP \"packet too big\" is discarded",
            _ => "an ICMP \"packet too big\" is accepted only for protocols that can check it",
        };
        let message = format!("it is {mode}: {what}");
        findings.add(
            Code::NK021,
            "net.ipv4.ip_no_pmtu_disc",
            message,
            "set it to 0 to enable path MTU discovery",
        );
    }
    if let Some(least) = host.sysctl_number("net/ipv4/route/min_pmtu")
        && least > 552
    {
        let message = format!("it is {least}: a path with a smaller MTU is treated as {least}, with DF off");
        findings.add(
            Code::NK022,
            "net.ipv4.route.min_pmtu",
            message,
            "set 552, the kernel's own default",
        );
    }
    // "Fragmentation needed" is exempt from rate limits (`icmpv4_mask_allow`, net/ipv4/icmp.c). The
    // messages that traceroute needs are not. Destination unreachable is type 3 of the mask.
    let limited = host
        .sysctl_number("net/ipv4/icmp_ratemask")
        .is_some_and(|mask| mask & (1 << 3) != 0);
    if let Some(interval) = host.sysctl_number("net/ipv4/icmp_ratelimit")
        && limited
        && interval > 1000
    {
        let message = format!(
            "one ICMP error in {interval} ms goes to each destination: traceroute through this host has gaps"
        );
        findings.add(
            Code::NK023,
            "net.ipv4.icmp_ratelimit",
            message,
            "set 1000, the kernel's own default; \"packet too big\" is exempt",
        );
    }
    if let Some(per_second) = host.sysctl_number("net/ipv4/icmp_msgs_per_sec")
        && (1..1000).contains(&per_second)
    {
        let message = format!(
            "the whole host sends no more than {per_second} ICMP errors a second: traceroute through it has gaps"
        );
        findings.add(
            Code::NK023,
            "net.ipv4.icmp_msgs_per_sec",
            message,
            "set 1000, the kernel's own default; \"packet too big\" is exempt",
        );
    }
}

#[cfg(test)]
mod tests {
    use netkeel_host::snapshot::Snapshot;

    fn check(sysctls: &str) -> String {
        let text = format!(
            r#"{{"format":1,"netns":null,"kernel":"6.1","families":{{"ipv4":true,"ipv6":true}},"links":{{}},"sysctls":{{{sysctls}}}}}"#
        );
        let findings = crate::lint::host::host(&Snapshot::from_json(&text).unwrap());
        findings
            .iter()
            .map(|f| format!("{} {}", f.code, f.subjects.join(",")))
            .collect::<Vec<_>>()
            .join("; ")
    }

    #[test]
    fn defaults_are_fine_and_what_defeats_discovery_is_told() {
        let value =
            |key: &str, value: u32| format!(r#""net/ipv4/{key}":{{"value":"{value}","writable":true}}"#);
        let defaults = [
            value("ip_no_pmtu_disc", 0),
            value("route/min_pmtu", 552),
            value("icmp_ratelimit", 1000),
            value("icmp_ratemask", 6168),
        ];
        assert_eq!(check(&defaults.join(",")), "");
        let wrong = [
            value("ip_no_pmtu_disc", 2),
            value("route/min_pmtu", 1400),
            value("icmp_ratelimit", 5000),
            value("icmp_ratemask", 6168),
            value("icmp_msgs_per_sec", 50),
        ];
        assert_eq!(
            check(&wrong.join(",")),
            "NK021 net.ipv4.ip_no_pmtu_disc; NK022 net.ipv4.route.min_pmtu; NK023 net.ipv4.icmp_ratelimit; NK023 net.ipv4.icmp_msgs_per_sec"
        );
    }
}
