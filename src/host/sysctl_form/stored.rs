//! The value that reads back after a write, and the reason why the kernel refuses one.

use std::net::Ipv6Addr;

use crate::sysctl_form::handler::Handler;
use crate::sysctl_form::{mask, pair, ports};
use netkeel_core::name::sysctl::SysctlKey;

/// Ticks per second with which kernels are built (kernel/Kconfig.hz). A snapshot may not show it.
const TICKS: [u32; 4] = [100, 250, 300, 1000];

/// The unit of USER_HZ, per second (include/asm-generic/param.h).
const USER_HZ: u64 = 100;

/// Bytes of a page of buckets: PAGE_SIZE of 4096 divided by the size of a pointer
/// (`nf_conntrack_hash_resize`, net/netfilter/nf_conntrack_core.c).
const BUCKETS: u64 = 512;

/// The value as the kernel stores it, given the value as written and the current one.
///
/// The result is the current value where a write would leave it as it is. `ticks` is the number of
/// ticks per second, none if unknown.
///
/// # Errors
/// The reason why the kernel refuses the value, as the end of a sentence that begins with the key.
pub fn stored(
    key: &SysctlKey,
    written: &str,
    live: Option<&str>,
    ticks: Option<u32>,
) -> Result<String, String> {
    let handler = Handler::of(key);
    let texts = match live {
        // The first form is the one to write.
        Some(live) => forms(handler, written, live, ticks)?,
        None => forms(handler, written, written, ticks)?,
    };
    let same = live.filter(|live| texts.iter().any(|text| text == live));
    let first = texts.into_iter().next();
    Ok(same
        .map(str::to_owned)
        .or(first)
        .unwrap_or_else(|| written.to_owned()))
}

/// Whether two texts are one value of a key, each as it stands in a file or in /proc/sys. Text that the
/// kernel refuses equals only itself.
pub fn is_same(key: &SysctlKey, one: &str, other: &str, ticks: Option<u32>) -> bool {
    let (one, other) = (decimal(key, one), decimal(key, other));
    one == other || stored(key, &one, Some(&other), ticks).is_ok_and(|stored| stored == other)
}

/// Whether the kernel accepts a text from a file. `integers` says that the current value consists of
/// numbers, where that is known.
pub fn is_accepted(key: &SysctlKey, text: &str, integers: bool) -> bool {
    let handler = Handler::of(key);
    // The kernel reads as many numbers as the key has and ignores the rest (`do_proc_dointvec`), such as a
    // comment. The first word must be a number.
    let is_number = handler.is_number() || (handler == Handler::Unknown && integers);
    let text = match is_number {
        true => leading_numbers(text),
        false => text.to_owned(),
    };
    let text = match handler.takes_commas() {
        true => text,
        false => decimal(key, &text),
    };
    match handler {
        Handler::Unknown if integers => numbers(&text, &text, i64::MIN.into(), u64::MAX.into()).is_ok(),
        _ => forms(handler, &text, &text, None).is_ok(),
    }
}

/// The words up to the first that is not a number. Words end at a blank, a tab or a line's end, and at no other
/// white space (`proc_wspace_sep`, kernel/sysctl.c).
fn leading_numbers(text: &str) -> String {
    let words = text.split([' ', '\t', '\n']).filter(|word| !word.is_empty());
    let numbers = words.take_while(|word| octal(word).is_some() || number(word).is_ok());
    numbers.collect::<Vec<_>>().join(" ")
}

/// The text with single blanks, and its numbers in decimal: the kernel reads `010` as octal and `0x1F` as
/// hexadecimal (`simple_strtoul` with base 0).
fn decimal(key: &SysctlKey, text: &str) -> String {
    let handler = Handler::of(key);
    let plain = |word: &str| match octal(word).or_else(|| number(word).ok()) {
        Some(number) if handler.is_number() => number.to_string(),
        _ => word.to_owned(),
    };
    text.split_ascii_whitespace()
        .map(plain)
        .collect::<Vec<_>>()
        .join(" ")
}

/// A number with a leading zero.
fn octal(word: &str) -> Option<i128> {
    let (sign, digits) = match word.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, word),
    };
    let is_octal =
        digits.len() > 1 && digits.starts_with('0') && digits.bytes().all(|byte| byte.is_ascii_digit());
    let number = i128::from_str_radix(digits, 8).ok().filter(|_| is_octal)?;
    Some(sign * number)
}

/// The forms in which the value may read back, of which the first is written.
fn forms(handler: Handler, written: &str, live: &str, ticks: Option<u32>) -> Result<Vec<String>, String> {
    let known = ticks.map_or(TICKS.to_vec(), |ticks| vec![ticks]);
    let one = |text: String| Ok(vec![text]);
    match handler {
        Handler::Int => numbers(written, live, i32::MIN.into(), i32::MAX.into()).and_then(one),
        Handler::Byte => numbers(written, live, 0, u8::MAX.into()).and_then(one),
        Handler::Uint => numbers(written, live, 0, u32::MAX.into()).and_then(one),
        Handler::Ulong => numbers(written, live, 0, u64::MAX.into()).and_then(one),
        Handler::Milliseconds => {
            let time = single(written, live, i32::MAX.into())?;
            let rounded = |ticks: u64| ((time * ticks).div_ceil(1000) * 1000).div_ceil(ticks);
            Ok(times(time, &known, ticks.is_some(), rounded))
        }
        Handler::Hundredths => {
            // The kernel keeps the ticks in an `int` and does not check that (`clock_t_to_jiffies`).
            let fastest = known.iter().max().copied().map_or(1, i128::from);
            let time = single(
                written,
                live,
                i128::from(i32::MAX) * i128::from(USER_HZ) / fastest,
            )?;
            let rounded = |ticks: u64| (time * ticks / USER_HZ) * USER_HZ / ticks;
            Ok(times(time, &known, ticks.is_some(), rounded))
        }
        Handler::Groups => one(pair::groups(&numbers(written, live, 0, u32::MAX.into())?)?),
        Handler::Ports => one(pair::ports(&numbers(written, live, 0, u32::MAX.into())?)?),
        Handler::Flag => {
            let number = numbers(written, live, i32::MIN.into(), i32::MAX.into())?;
            one(if number == "0" { number } else { "1".to_owned() })
        }
        Handler::PowerOfTwo => {
            let number = single(written, live, i32::MAX.into())?;
            one(match number {
                0 => 0,
                number => number.next_power_of_two(),
            }
            .to_string())
        }
        Handler::Buckets => {
            let number = single(written, live, i32::MAX.into())?;
            let text = (number.div_ceil(BUCKETS) * BUCKETS).to_string();
            // The size of a page differs between architectures.
            Ok(vec![text, number.to_string()])
        }
        Handler::Ranges(limit) => one(ports::print(&ports::read(written, limit)?)),
        Handler::CpuList => one(ports::print(&ports::read(written, u32::from(u16::MAX))?)),
        Handler::CpuMask => one(mask::print(written, live)?),
        Handler::FastOpenKey => one(fast_open(written)?),
        Handler::Address => match written.parse::<Ipv6Addr>() {
            Ok(address) => {
                let groups = address.segments().map(|group| format!("{group:04x}"));
                one(groups.join(":"))
            }
            Err(_) => Err(format!("takes an IPv6 address, and not `{written}`")),
        },
        Handler::Unknown if is_numbers(live) => {
            numbers(written, live, i64::MIN.into(), u64::MAX.into()).and_then(one)
        }
        Handler::CongestionControl
        | Handler::CongestionControls
        | Handler::Qdisc
        | Handler::Text
        | Handler::Unknown => one(written.to_owned()),
    }
}

/// The value with each number of ticks. Where the number is known, its form is the only one.
fn times(time: u64, known: &[u32], certain: bool, rounded: impl Fn(u64) -> u64) -> Vec<String> {
    let forms = known.iter().map(|ticks| rounded(u64::from(*ticks)).to_string());
    match certain {
        true => forms.collect(),
        false => std::iter::once(time.to_string()).chain(forms).collect(),
    }
}

fn is_numbers(text: &str) -> bool {
    let mut words = text.split_ascii_whitespace().peekable();
    words.peek().is_some() && words.all(|word| word.parse::<i128>().is_ok())
}

/// Numbers as many as there are, each printed in decimal.
fn numbers(written: &str, live: &str, least: i128, most: i128) -> Result<String, String> {
    let words: Vec<&str> = written.split_ascii_whitespace().collect();
    let found = live.split_ascii_whitespace().count();
    let mut values = Vec::with_capacity(words.len());
    for word in &words {
        let number = number(word)?;
        if number < least || number > most {
            return Err(format!("takes a number from {least} to {most}, and not `{word}`"));
        }
        values.push(number.to_string());
    }
    match (values.len(), found) {
        (0, _) => Err("takes a number, and not an empty value".to_owned()),
        (given, found) if given == found || found == 0 => Ok(values.join(" ")),
        (given, 1) => Err(format!("takes one number, not {given}")),
        (given, found) => Err(format!(
            "has {found} values, which are given together, not {given}"
        )),
    }
}

/// One number that is not negative.
fn single(written: &str, live: &str, most: i128) -> Result<u64, String> {
    let text = numbers(written, live, 0, most)?;
    text.parse()
        .map_err(|_| format!("takes one number, and not `{written}`"))
}

/// A number as the kernel reads one: decimal or, after `0x`, hexadecimal. The kernel reads a leading
/// zero as octal (`simple_strtoul` with base 0), which hardly anybody means.
fn number(word: &str) -> Result<i128, String> {
    let (sign, digits) = match word.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, word),
    };
    let not = || format!("takes a number, and not `{word}`");
    if let Some(hexadecimal) = digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        let number = u64::from_str_radix(hexadecimal, 16).map_err(|_| not())?;
        return Ok(sign * i128::from(number));
    }
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(not());
    }
    let number: i128 = digits.parse().map_err(|_| not())?;
    if digits.len() > 1 && digits.starts_with('0') {
        return Err(match i128::from_str_radix(digits, 8) {
            Ok(octal) if octal != number => format!(
                "takes a number as the kernel writes it: `{word}` is {octal} to the kernel (octal); write {octal} or {number}"
            ),
            _ => format!("takes a number as the kernel writes it, {number} and not `{word}`"),
        });
    }
    Ok(sign * number)
}

/// One or two keys, each of four groups of 32 bits.
fn fast_open(written: &str) -> Result<String, String> {
    let words: Vec<&str> = written
        .split([',', ' '])
        .filter(|word| !word.is_empty())
        .collect();
    let form = "takes one or two keys joined by a comma, each as 00000000-00000000-00000000-00000000";
    if !matches!(words.len(), 1 | 2) {
        return Err(form.to_owned());
    }
    let mut keys = Vec::with_capacity(words.len());
    for word in words {
        let groups = word.split('-').map(|group| u32::from_str_radix(group, 16));
        let groups: Vec<u32> = groups
            .collect::<Result<_, _>>()
            .map_err(|_| format!("{form}, and not `{word}`"))?;
        if groups.len() != 4 {
            return Err(format!("{form}, and not `{word}`"));
        }
        keys.push(
            groups
                .iter()
                .map(|group| format!("{group:08x}"))
                .collect::<Vec<_>>()
                .join("-"),
        );
    }
    Ok(keys.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TICKS_250: Option<u32> = Some(250);

    fn form(key: &str, written: &str, live: &str, ticks: Option<u32>) -> String {
        stored(&key.parse().unwrap(), written, Some(live), ticks)
            .unwrap_or_else(|why| format!("error: {why}"))
    }

    #[test]
    fn ticks_that_overflow_are_refused() {
        let locktime = |written| form("net.ipv4.neigh.eth0.locktime", written, "100", TICKS_250);
        assert_eq!(locktime("858993458"), "858993458");
        assert!(locktime("2147483646").starts_with("error: "));
    }

    /// The values that Linux 6.12 and 6.18 (HZ=250) return after a write in a scratch namespace.
    #[test]
    fn a_value_reads_back_as_the_kernel_stores_it() {
        for (key, written, live, reads_back) in [
            (
                "net.ipv4.ip_local_reserved_ports",
                "10050,10051,11211",
                "",
                "10050-10051,11211",
            ),
            (
                "net.ipv4.ip_local_reserved_ports",
                "11211 10051,10050",
                "",
                "10050-10051,11211",
            ),
            ("net.ipv4.ip_local_reserved_ports", "", "8080", ""),
            ("net.ipv6.icmp.ratemask", "0,1,3-127", "5", "0-1,3-127"),
            ("net.ipv4.icmp_ratelimit", "5", "1000", "8"),
            ("net.ipv4.icmp_ratelimit", "1000", "8", "1000"),
            ("net.ipv4.neigh.default.retrans_time", "1", "100", "0"),
            ("net.ipv4.neigh.default.locktime", "100", "50", "100"),
            ("net.ipv4.tcp_fin_timeout", "0x3c", "30", "60"),
            (
                "net.ipv4.tcp_rmem",
                "4096 0x20000 6291456",
                "1 2 3",
                "4096 131072 6291456",
            ),
            (
                "net.ipv4.ipfrag_high_thresh",
                "4294967296",
                "4194304",
                "4294967296",
            ),
            ("net.bridge.bridge-nf-call-iptables", "5", "0", "1"),
            ("net.bridge.bridge-nf-call-iptables", "0", "1", "0"),
            ("net.core.rps_sock_flow_entries", "1000", "0", "1024"),
            ("net.core.rps_sock_flow_entries", "0", "1024", "0"),
            ("net.netfilter.nf_conntrack_buckets", "1000", "262144", "1024"),
            ("net.core.rps_default_mask", "03", "0", "3"),
            (
                "net.core.rps_default_mask",
                "F",
                "00000000,00000000",
                "00000000,0000000f",
            ),
            (
                "net.core.rps_default_mask",
                "1,00000001",
                "0,00000000",
                "1,00000001",
            ),
            ("net.core.rps_default_mask", "0,00000001", "0", "1"),
            (
                "net.ipv4.tcp_fastopen_key",
                "1-2-3-aBc",
                "",
                "00000001-00000002-00000003-00000abc",
            ),
            (
                "net.ipv4.tcp_fastopen_key",
                "1-2-3-4 5-6-7-8",
                "",
                "00000001-00000002-00000003-00000004,00000005-00000006-00000007-00000008",
            ),
            (
                "net.ipv6.conf.all.stable_secret",
                "2001:db8::1",
                "",
                "2001:0db8:0000:0000:0000:0000:0000:0001",
            ),
            ("net.core.default_qdisc", "fq", "fq_codel", "fq"),
            ("net.sctp.rto_min", "0x10", "1000", "16"),
            ("kernel.core_pattern", "|/bin/x", "core", "|/bin/x"),
        ] {
            assert_eq!(
                form(key, written, live, TICKS_250),
                reads_back,
                "{key} = {written}"
            );
        }
    }

    #[test]
    fn what_the_kernel_refuses_is_refused_with_what_to_write() {
        let refused = [
            ("net.ipv4.tcp_fin_timeout", "abc", "60"),
            ("net.ipv4.tcp_fin_timeout", "", "60"),
            ("net.ipv4.tcp_fin_timeout", "60 61", "60"),
            ("net.ipv4.tcp_fin_timeout", "4294967296", "60"),
            ("net.ipv4.tcp_fin_timeout", "010", "60"),
            ("net.ipv4.tcp_fin_timeout", "01", "60"),
            ("net.ipv4.tcp_rmem", "1 2", "1 2 3"),
            ("net.ipv4.tcp_sack", "256", "1"),
            ("net.ipv4.tcp_sack", "-1", "1"),
            ("net.ipv4.tcp_mem", "-1 2 3", "1 2 3"),
            ("net.ipv4.icmp_ratelimit", "-5", "1000"),
            ("net.ipv4.ip_local_reserved_ports", "70000", ""),
            ("net.ipv4.ip_local_reserved_ports", "20-10", ""),
            ("net.core.rps_default_mask", "0x3", "0"),
            ("net.core.rps_default_mask", "1,2", "0"),
            ("net.ipv4.tcp_fastopen_key", "1-2-3", ""),
            ("net.ipv6.conf.all.stable_secret", "secret", ""),
            ("net.sctp.rto_min", "abc", "1000"),
        ];
        let lines = refused.map(|(key, written, live)| form(key, written, live, TICKS_250));
        insta::assert_snapshot!(lines.join("\n"), @r"
        error: takes a number, and not `abc`
        error: takes a number, and not an empty value
        error: takes one number, not 2
        error: takes a number from -2147483648 to 2147483647, and not `4294967296`
        error: takes a number as the kernel writes it: `010` is 8 to the kernel (octal); write 8 or 10
        error: takes a number as the kernel writes it, 1 and not `01`
        error: has 3 values, which are given together, not 2
        error: takes a number from 0 to 255, and not `256`
        error: takes a number from 0 to 255, and not `-1`
        error: takes a number from 0 to 18446744073709551615, and not `-1`
        error: takes a number from 0 to 2147483647, and not `-5`
        error: takes numbers from 0 to 65535 and ranges of them, and not `70000`
        error: takes ranges that ascend, and not `20-10`
        error: takes a mask in hexadecimal, in groups of up to 8 digits joined by commas, and not `0x3`
        error: takes a mask that is no wider than that of this machine, `0`, and not `1,2`
        error: takes one or two keys joined by a comma, each as 00000000-00000000-00000000-00000000, and not `1-2-3`
        error: takes an IPv6 address, and not `secret`
        error: takes a number, and not `abc`
        ");
    }

    #[test]
    fn a_time_equals_what_some_kernel_makes_of_it_where_the_ticks_are_unknown() {
        let same =
            |written, live, ticks| is_same(&"net.ipv4.icmp_ratelimit".parse().unwrap(), written, live, ticks);
        for live in ["5", "10", "8", "7"] {
            assert!(same("5", live, None), "{live}");
        }
        assert!(!same("5", "6", None));
        assert!(same("5", "8", Some(250)) && !same("5", "10", Some(250)));
        assert_eq!(form("net.ipv4.icmp_ratelimit", "5", "1000", None), "5");
    }

    #[test]
    fn one_value_in_two_spellings_is_the_same() {
        let same = |key: &str, one, other| is_same(&key.parse().unwrap(), one, other, None);
        assert!(same("net.ipv4.ip_local_reserved_ports", "1,2,3", "1-3"));
        assert!(same("net.ipv4.tcp_rmem", "4096\t1  2", "4096 1 2"));
        assert!(!same("net.ipv4.tcp_fin_timeout", "abc", "60"));
        assert!(!same("net.ipv4.tcp_fin_timeout", "60", "61"));
        assert!(same("net.ipv4.conf.all.rp_filter", "0x1", "1"));
        assert!(same("net.ipv4.conf.all.rp_filter", "010", "8"));
        assert!(!same("kernel.core_pattern", "010", "8"));
    }

    #[test]
    fn what_a_file_says_is_accepted_as_the_kernel_reads_it() {
        let accepted = |key: &str, text| is_accepted(&key.parse().unwrap(), text, false);
        assert!(accepted("net.ipv4.ipfrag_high_thresh", "4294967296"));
        assert!(!accepted("net.ipv4.tcp_fin_timeout", "4294967296"));
        assert!(accepted("net.ipv4.tcp_rmem", "4096 131072 6291456"));
        assert!(!accepted("net.ipv4.tcp_rmem", "\"4096 131072 6291456\""));
        assert!(accepted("net.ipv4.conf.all.rp_filter", "010"));
        assert!(!accepted("net.ipv4.conf.all.rp_filter", "08"));
        assert!(accepted("net.ipv4.conf.all.rp_filter", "1 # why"));
        assert!(!accepted("net.ipv4.conf.all.rp_filter", "# why"));
        assert!(accepted("net.ipv4.conf.all.rp_filter", "1\t\rx"));
        assert!(!accepted(
            "net.ipv4.conf.all.rp_filter",
            "1\rnet.ipv4.tcp_ecn = 1"
        ));
        assert!(is_accepted(&"kernel.pid_max".parse().unwrap(), "1 # why", true));
        assert!(accepted("net.core.default_qdisc", "fq"));
        assert!(accepted("kernel.core_pattern", "\"x\""));
        assert!(!is_accepted(&"kernel.pid_max".parse().unwrap(), "\"1\"", true));
    }
}
