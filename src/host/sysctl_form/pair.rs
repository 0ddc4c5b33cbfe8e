//! Keys with two numbers that are the ends of a range.

/// The largest id of a group in `net.ipv4.ping_group_range` (`GID_T_MAX`, net/ipv4/sysctl_net_ipv4.c).
const LARGEST_GROUP: u32 = u32::MAX >> 1;

/// `net.ipv4.ping_group_range`. A range that does not ascend has no groups, which reads back as `1 0`
/// (`ipv4_ping_group_range`).
pub(super) fn groups(numbers: &str) -> Result<String, String> {
    let (first, last) = ends(numbers, 0, LARGEST_GROUP)?;
    Ok(match last < first {
        true => "1 0".to_owned(),
        false => format!("{first} {last}"),
    })
}

/// `net.ipv4.ip_local_port_range`, which ascends (`ipv4_local_port_range`).
pub(super) fn ports(numbers: &str) -> Result<String, String> {
    let (first, last) = ends(numbers, 1, u16::MAX.into())?;
    match last < first {
        true => Err(format!("takes ports that ascend, and not `{numbers}`")),
        false => Ok(format!("{first} {last}")),
    }
}

fn ends(numbers: &str, least: u32, most: u32) -> Result<(u32, u32), String> {
    let mut words = numbers.split(' ').map(|word| match word.parse::<u32>() {
        Ok(number) if (least..=most).contains(&number) => Ok(number),
        _ => Err(format!("takes numbers from {least} to {most}, and not `{word}`")),
    });
    match (words.next(), words.next(), words.next()) {
        (Some(first), Some(last), None) => Ok((first?, last?)),
        _ => Err(format!("takes two numbers, and not `{numbers}`")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_as_the_kernel_takes_them() {
        assert_eq!(groups("0 2147483647"), Ok("0 2147483647".into()));
        assert_eq!(groups("5 1"), Ok("1 0".into()));
        assert!(groups("0 4294967295").is_err());
        assert_eq!(ports("1024 60999"), Ok("1024 60999".into()));
        assert!(ports("0 10").is_err() && ports("60999 1024").is_err() && ports("1024").is_err());
    }
}
