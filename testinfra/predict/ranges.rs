//! The table of ranges is that of the kernel: each end is accepted, and the number beyond it is not.

use std::fmt::Write as _;
use std::fs;

use netkeel_core::name::sysctl::SysctlKey;
use netkeel_host::sysctl_form::mask;
use netkeel_host::sysctl_form::range::{RANGES, SECONDS, range};
use netkeel_kernel::live::snapshot::Live;

use netkeel_core::name::netns::Netns;
use netkeel_host::kernel::Kernel;
use netkeel_host::snapshot::scope::Scope;

/// Keys of which the ends are not tried: another key limits them too, their greatest number follows from the size of
/// a packet's memory, or the kernel never switches them off again.
const NOT_TRIED: &[&str] = &[
    "net/ipv4/ip_unprivileged_port_start",
    "net/ipv4/neigh/*/unres_qlen",
    "net/ipv6/neigh/*/unres_qlen",
    "net/netfilter/nf_hooks_lwtunnel",
];

#[test]
fn the_ranges_are_those_of_the_kernel() {
    let (tried, wrong) = crate::world::inside(|_| {
        let mut scope = Scope::default();
        scope.sysctls.insert(SysctlKey::known("net/ipv4/tcp_fin_timeout"));
        let host = Live::with(&Netns::CURRENT, |kernel| kernel.snapshot(&scope).unwrap()).unwrap();
        assert!(host.ticks.is_some());
        let patterns = RANGES.iter().flat_map(|(.., keys)| keys.iter()).chain(SECONDS);
        let (mut tried, mut wrong) = (0, String::new());
        for pattern in patterns.filter(|pattern| !NOT_TRIED.contains(pattern)) {
            let path = pattern
                .replace("/*/", "/eth0/")
                .replace("_timeout_*", "_timeout_established");
            let key: SysctlKey = path.parse().unwrap();
            let file = format!("/proc/sys/{path}");
            let Ok(before) = fs::read_to_string(&file) else {
                continue;
            };
            let Some((least, most)) = range(&key, &host.kernel, host.ticks) else {
                wrong.push_str("the ranges of this kernel are not listed\n");
                continue;
            };
            let count = before.split_ascii_whitespace().count();
            let accepts = |number: i128| {
                let text = vec![number.to_string(); count].join(" ");
                let accepted = fs::write(&file, text).is_ok();
                fs::write(&file, &before).unwrap();
                accepted
            };
            let mut must = |number: i128, is: bool| {
                if accepts(number) != is {
                    writeln!(wrong, "{path}: {number} should be accepted: {is}").unwrap();
                }
            };
            must(least, true);
            must(least - 1, false);
            if most != i128::MAX {
                must(most, true);
                must(most + 1, false);
            }
            tried += 1;
        }
        (tried, wrong)
    });
    assert_eq!(wrong, "");
    assert!(tried > 100, "{tried}");
}

/// A mask is as wide as a digit, and the kernel refuses the CPUs of the digit that the machine cannot have.
#[test]
fn the_cpus_of_a_mask_are_those_of_the_kernel() {
    crate::world::inside(|_| {
        let key = SysctlKey::known("net/core/rps_default_mask");
        let mut scope = Scope::default();
        scope.sysctls.insert(key.clone());
        let host = Live::with(&Netns::CURRENT, |kernel| kernel.snapshot(&scope).unwrap()).unwrap();
        let cpus = host.cpus.unwrap();
        for cpu in [0, cpus - 1, cpus] {
            let mut text = format!("{:x}", 1_u64 << (cpu % 32));
            text.push_str(&",00000000".repeat((cpu / 32) as usize));
            let refused = mask::refusal(&key, &text, host.cpus).is_some();
            // A kernel for few CPUs takes others, and does not show them.
            let file = "/proc/sys/net/core/rps_default_mask";
            let written = fs::write(file, &text);
            let digits = |text: &str| text.replace([',', '\n'], "").trim_start_matches('0').to_owned();
            let holds = written.is_ok() && digits(&fs::read_to_string(file).unwrap()) == digits(&text);
            assert_eq!(holds, !refused, "{text} of {cpus}: {written:?}");
            assert_eq!(refused, cpu == cpus, "{text} of {cpus}");
        }
    });
}
