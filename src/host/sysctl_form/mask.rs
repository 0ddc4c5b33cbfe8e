//! Masks of CPUs in the kernel's form, and the CPUs that masks and lists name.

use crate::sysctl_form::handler::Handler;
use netkeel_core::name::sysctl::SysctlKey;

/// A mask of CPUs, as wide as the current one: the kernel refuses a CPU beyond those of the machine (`bitmap_parse`,
/// lib/bitmap-str.c), or does not show it.
pub(super) fn print(written: &str, live: &str) -> Result<String, String> {
    let digits = |text: &str| -> Option<String> {
        let mut all = String::new();
        for group in text.split(',') {
            let group = group.trim();
            let hexadecimal = !group.is_empty() && group.bytes().all(|byte| byte.is_ascii_hexdigit());
            if !hexadecimal || group.len() > 8 {
                return None;
            }
            all.push_str(&format!("{:0>8}", group.to_ascii_lowercase()));
        }
        Some(all.trim_start_matches('0').to_owned())
    };
    let wanted = digits(written).ok_or_else(|| {
        format!(
            "takes a mask in hexadecimal, in groups of up to 8 digits joined by commas, and not `{written}`"
        )
    })?;
    let width = live.bytes().filter(|byte| *byte != b',').count();
    if width > 0 && wanted.len() > width {
        return Err(format!(
            "takes a mask that is no wider than that of this machine, `{live}`, and not `{written}`"
        ));
    }
    let padded = format!("{wanted:0>width$}");
    let padded = if padded.is_empty() { "0".to_owned() } else { padded };
    let first = match padded.len() % 8 {
        0 => 8,
        rest => rest,
    };
    let mut groups = vec![padded.get(..first.min(padded.len())).unwrap_or_default()];
    let mut at = first;
    while at < padded.len() {
        groups.push(padded.get(at..at + 8).unwrap_or_default());
        at += 8;
    }
    Ok(groups.join(","))
}

/// Whether the value of a key names CPUs.
pub fn names_cpus(key: &SysctlKey) -> bool {
    matches!(Handler::of(key), Handler::CpuMask | Handler::CpuList)
}

/// Why a value in the kernel's form is refused on a machine that can have this number of CPUs. The width of a mask shows
/// that number up to a digit only.
pub fn refusal(key: &SysctlKey, value: &str, cpus: Option<u32>) -> Option<String> {
    let last = match Handler::of(key) {
        Handler::CpuMask => last_of_mask(value),
        Handler::CpuList => value.rsplit([',', '-']).next()?.parse().ok(),
        _ => None,
    }?;
    let most = cpus?.checked_sub(1)?;
    (last > most).then(|| format!("names CPU {last}, and the CPUs of this machine are 0 to {most}"))
}

/// The last CPU in a mask; none in an empty one.
fn last_of_mask(mask: &str) -> Option<u32> {
    let digits: String = mask.chars().filter(|digit| *digit != ',').collect();
    let digits = digits.trim_start_matches('0');
    let first = digits.chars().next()?.to_digit(16)?;
    let lower = u32::try_from(digits.len()).ok()?.checked_sub(1)?.checked_mul(4)?;
    lower.checked_add(first.ilog2())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cpu_beyond_the_machine_is_refused() {
        let why = |key: &str, value: &str, cpus: Option<u32>| refusal(&key.parse().unwrap(), value, cpus);
        let mask = |value: &str, cpus: u32| why("net.core.rps_default_mask", value, Some(cpus));
        for (value, cpus) in [
            ("3", 2),
            ("0", 2),
            ("f", 4),
            ("1,00000000", 33),
            ("00000000,00000003", 64),
        ] {
            assert_eq!(mask(value, cpus), None, "{value} of {cpus}");
        }
        let refused = "names CPU 3, and the CPUs of this machine are 0 to 1";
        assert_eq!(mask("f", 2).as_deref(), Some(refused));
        assert!(mask("1,00000000", 32).is_some() && mask("4", 2).is_some());
        let list = "net.ipv4.vs.est_cpulist";
        assert_eq!(why(list, "0-1", Some(2)), None);
        assert_eq!(why(list, "0-3", Some(2)).as_deref(), Some(refused));
        assert_eq!(why("net.core.rps_default_mask", "f", None), None);
        assert_eq!(why("net.core.somaxconn", "4096", Some(2)), None);
    }
}
