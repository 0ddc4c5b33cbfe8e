//! Masks of CPUs in the kernel's form.

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
