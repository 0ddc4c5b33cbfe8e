//! The forms of the files of /proc/net with counters.

use std::collections::BTreeMap;

use netkeel_host::counters::counter::{Counter, CpuStat};

/// `Udp: InDatagrams …` above `Udp: 12 …`, as snmp and netstat have it.
pub(super) fn paired(text: &str) -> BTreeMap<Counter, u64> {
    let mut found = BTreeMap::new();
    let mut lines = text.lines();
    while let (Some(names), Some(values)) = (lines.next(), lines.next()) {
        let (Some((group, names)), Some((_, values))) = (names.split_once(':'), values.split_once(':'))
        else {
            continue;
        };
        for (name, value) in names.split_whitespace().zip(values.split_whitespace()) {
            // `Tcp: MaxConn` is -1: a setting, and no counter.
            if let Ok(value) = value.parse() {
                found.insert(Counter::protocol(group, name), value);
            }
        }
    }
    found
}

/// `Ip6FragFails 0`, as snmp6 has it.
pub(super) fn lines(text: &str) -> BTreeMap<Counter, u64> {
    let line = |line: &str| {
        let (name, value) = line.split_once(char::is_whitespace)?;
        let value = value.trim().parse().ok()?;
        let group = ["Icmp6", "Ip6", "UdpLite6", "Udp6"]
            .into_iter()
            .find(|group| name.starts_with(group))?;
        Some((Counter::protocol(group, name.strip_prefix(group)?), value))
    };
    text.lines().filter_map(line).collect()
}

/// Hexadecimal columns, one line for each CPU (`softnet_seq_show`, net/core/net-procfs.c). The thirteenth is
/// the number of the CPU. Without it, lines and CPUs cannot be matched.
pub(super) fn softnet(text: &str) -> Option<BTreeMap<Counter, u64>> {
    let mut found = BTreeMap::new();
    for line in text.lines() {
        let columns: Vec<u64> = line
            .split_whitespace()
            .map(|column| u64::from_str_radix(column, 16))
            .collect::<Result<_, _>>()
            .ok()?;
        let cpu = u32::try_from(*columns.get(12)?).ok()?;
        for (at, stat) in [CpuStat::Processed, CpuStat::Dropped, CpuStat::Squeezed]
            .into_iter()
            .enumerate()
        {
            found.insert(Counter::Cpu(cpu, stat), *columns.get(at)?);
        }
    }
    Some(found)
}

/// A head line, then hexadecimal columns for each CPU, which are added up. `entries` is no counter.
pub(super) fn per_cpu(
    text: &str,
    counter: impl Fn(std::sync::Arc<str>) -> Counter,
) -> Option<BTreeMap<Counter, u64>> {
    let mut lines = text.lines();
    let names: Vec<&str> = lines.next()?.split_whitespace().collect();
    let mut found: BTreeMap<Counter, u64> = BTreeMap::new();
    for line in lines {
        for (name, value) in names.iter().zip(line.split_whitespace()) {
            if *name == "entries" {
                continue;
            }
            let value = u64::from_str_radix(value, 16).ok()?;
            let sum = found.entry(counter((*name).into())).or_default();
            *sum = sum.saturating_add(value);
        }
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_forms_of_the_kernel() {
        let snmp = "Udp: InDatagrams RcvbufErrors\nUdp: 7 3\nTcp: MaxConn InSegs\nTcp: -1 9\n";
        let found = paired(snmp);
        assert_eq!(found[&Counter::protocol("Udp", "RcvbufErrors")], 3);
        assert_eq!(found.len(), 3);
        let six = lines("Ip6FragFails                    \t4\nUdp6InCsumErrors   5\n");
        assert_eq!(six[&Counter::protocol("Ip6", "FragFails")], 4);
        assert_eq!(six[&Counter::protocol("Udp6", "InCsumErrors")], 5);
        let cpus = "0000000a 00000001 00000002 0 0 0 0 0 0 0 0 0 00000003 0 0\n";
        assert_eq!(softnet(cpus).unwrap()[&Counter::Cpu(3, CpuStat::Dropped)], 1);
        assert_eq!(softnet("0000000a 1\n"), None);
        let stat = "entries  insert_failed drop\n00000005 0000000a 1\n00000005 00000001 2\n";
        let found = per_cpu(stat, Counter::Conntrack).unwrap();
        assert_eq!(found[&Counter::Conntrack("insert_failed".into())], 11);
        assert_eq!(found.len(), 2);
    }
}
