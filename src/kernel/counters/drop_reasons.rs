//! Kernel drop reasons (tracepoint `skb:kfree_skb`), counted by perf events with a filter for each reason. Nothing is
//! written to tracefs, and the kernel takes the counters away when their descriptors close, whatever ends the process.
#![expect(unsafe_code, reason = "perf_event_open and its ioctl take pointers")]

use std::ffi::CString;
use std::fs::File;
use std::io::Read;
use std::mem::size_of;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::path::Path;
use std::sync::Arc;

use nix::errno::Errno;
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::counters::not_read::NotRead;
use crate::files::read;
use crate::files::read::{ReadError, Symlinks};
use netkeel_host::counters::counter::Counter;
use netkeel_host::counters::reading::Reading;

/// Where tracefs is mounted.
const TRACEFS: [&str; 2] = ["/sys/kernel/tracing", "/sys/kernel/debug/tracing"];

/// The tracepoint, below tracefs.
const EVENT: &str = "events/skb/kfree_skb";

/// The reasons that are counted: those of a packet that its sender or receiver misses. `NO_SOCKET`, the many reasons
/// of TCP and `NOT_SPECIFIED` have harmless causes.
const REASONS: [&str; 37] = [
    "BPF_CGROUP_EGRESS",
    "BRIDGE_INGRESS_STP_STATE",
    "CPU_BACKLOG",
    "DEV_READY",
    "FRAG_REASM_TIMEOUT",
    "FULL_RING",
    "ICMP_CSUM",
    "IP_CSUM",
    "IP_INADDRERRORS",
    "IP_INNOROUTES",
    "IP_INVALID_SOURCE",
    "IP_LOCAL_SOURCE",
    "IP_OUTNOROUTES",
    "IP_RPFILTER",
    "IP_TUNNEL_ECN",
    "NEIGH_CREATEFAIL",
    "NEIGH_FAILED",
    "NEIGH_QUEUEFULL",
    "NETFILTER_DROP",
    "NOMEM",
    "NO_TX_TARGET",
    "OTHERHOST",
    "PKT_TOO_BIG",
    "PROTO_MEM",
    "QDISC_CONGESTED",
    "QDISC_DROP",
    "QDISC_OVERLIMIT",
    "SKB_CSUM",
    "SOCKET_BACKLOG",
    "SOCKET_RCVBUFF",
    "TCP_CSUM",
    "TC_EGRESS",
    "TC_INGRESS",
    "TUNNEL_TXINFO",
    "UDP_CSUM",
    "VXLAN_VNI_NOT_FOUND",
    "XDP",
];

/// The counters of drop reasons of the whole machine, as long as this lives.
#[derive(Debug)]
pub struct DropReasons(Result<Vec<(Arc<str>, File)>, NotRead>);

impl DropReasons {
    /// Counts none.
    pub fn not_asked() -> Self {
        DropReasons(Err(NotRead::failed("they are read only with --drop-reasons")))
    }

    /// Begins to count. A failure shows in each reading.
    pub fn attach() -> Self {
        DropReasons(attach())
    }

    /// Adds the counters. They are of all network namespaces, so only a reading of the first one has them.
    pub(super) fn read(&self, reading: &mut Reading) -> Result<(), NotRead> {
        let counters = self.0.as_ref().map_err(Clone::clone)?;
        if reading.initial != Some(true) {
            let why =
                "they are of the whole machine, and this is not known to be its first network namespace";
            return Err(NotRead::failed(why));
        }
        for (reason, counter) in counters {
            let mut bytes = [0; size_of::<u64>()];
            let mut from: &File = counter;
            from.read_exact(&mut bytes).map_err(NotRead::failed)?;
            let sum = reading
                .counters
                .entry(Counter::DropReason(reason.clone()))
                .or_default();
            *sum = sum.saturating_add(u64::from_ne_bytes(bytes));
        }
        Ok(())
    }
}

fn attach() -> Result<Vec<(Arc<str>, File)>, NotRead> {
    let id = described("id")?;
    let id: u64 = id
        .trim()
        .parse()
        .map_err(|_| NotRead::failed(format!("{EVENT}/id is no number")))?;
    let format = described("format")?;
    let known: Vec<(u32, &str)> = reasons(&format)
        .into_iter()
        .filter(|(_, name)| REASONS.contains(name))
        .collect();
    if known.is_empty() {
        return Err(NotRead::failed(
            "this kernel does not say why it drops a packet (Linux 5.17 and later do)",
        ));
    }
    let online = read::system("/sys/devices/system/cpu/online").map_err(NotRead::failed)?;
    let cpus = list(online.trim()).ok_or_else(|| NotRead::failed("the list of CPUs has an unknown form"))?;
    allow(known.len().saturating_mul(cpus.len()))?;
    let mut counters = Vec::new();
    for (number, name) in known {
        let name: Arc<str> = name.into();
        for cpu in &cpus {
            let counter = counter(id, *cpu, number)
                .map_err(|errno| NotRead::failed(format!("perf_event_open: {}", errno.desc())))?;
            counters.push((name.clone(), counter));
        }
    }
    Ok(counters)
}

/// A file of the tracepoint.
fn described(name: &str) -> Result<String, NotRead> {
    /// The list of reasons has a few kilobytes.
    const LONGEST: u64 = 256 * 1024;
    for root in TRACEFS {
        match read::text(&Path::new(root).join(EVENT).join(name), Symlinks::Follow, LONGEST) {
            Ok(text) => return Ok(text),
            Err(ReadError::Io(cause)) if cause.kind() == std::io::ErrorKind::NotFound => {}
            Err(cause) => return Err(NotRead::failed(format!("{root}/{EVENT}: {cause}"))),
        }
    }
    let [usual, _] = TRACEFS;
    Err(NotRead::failed(format!(
        "{usual} has no {EVENT}: `mount -t tracefs tracefs {usual}`"
    )))
}

/// The reasons with their numbers, which differ from kernel to kernel: `{ 12, "NETFILTER_DROP" }`.
fn reasons(format: &str) -> Vec<(u32, &str)> {
    let Some((_, symbols)) = format.split_once("__print_symbolic(REC->reason,") else {
        return Vec::new();
    };
    fn one(pair: &str) -> Option<(u32, &str)> {
        let (number, rest) = pair.split_once(',')?;
        let name = rest.trim().strip_prefix('"')?.split('"').next()?;
        Some((number.trim().parse().ok()?, name))
    }
    symbols.split('{').skip(1).filter_map(one).collect()
}

/// A list of CPUs: `0-3,8`.
fn list(text: &str) -> Option<Vec<i32>> {
    let mut cpus = Vec::new();
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        cpus.extend(first.parse::<i32>().ok()?..=last.parse().ok()?);
    }
    Some(cpus)
}

/// Raises the soft limit of open files so that so many more fit.
fn allow(more: usize) -> Result<(), NotRead> {
    /// Descriptors of the rest of the program.
    const OTHERS: u64 = 256;
    let wanted = u64::try_from(more).unwrap_or(u64::MAX).saturating_add(OTHERS);
    let failed = |errno: Errno| NotRead::failed(errno.desc());
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).map_err(failed)?;
    if soft >= wanted {
        return Ok(());
    }
    if hard < wanted {
        return Err(NotRead::failed(format!(
            "they need {wanted} open files, and the limit is {hard}"
        )));
    }
    setrlimit(Resource::RLIMIT_NOFILE, wanted, hard).map_err(failed)
}

/// `struct perf_event_attr` in its first form (PERF_ATTR_SIZE_VER0, include/uapi/linux/perf_event.h).
#[repr(C)]
struct Attributes {
    kind: u32,
    size: u32,
    config: u64,
    sample_period: u64,
    sample_type: u64,
    read_format: u64,
    flags: u64,
    wakeup_events: u32,
    breakpoint_kind: u32,
    breakpoint_address: u64,
}

/// Counts the drops of a reason on a CPU.
fn counter(tracepoint: u64, cpu: i32, reason: u32) -> Result<File, Errno> {
    const PERF_TYPE_TRACEPOINT: u32 = 2;
    const PERF_FLAG_FD_CLOEXEC: libc::c_ulong = 8;
    /// `_IOW('$', 6, char *)`.
    const SET_FILTER: libc::Ioctl =
        (1 << 30 | size_of::<*const libc::c_char>() << 16 | 0x24 << 8 | 6) as libc::Ioctl;
    let attributes = Attributes {
        kind: PERF_TYPE_TRACEPOINT,
        size: size_of::<Attributes>() as u32,
        config: tracepoint,
        sample_period: 0,
        sample_type: 0,
        read_format: 0,
        flags: 0,
        wakeup_events: 0,
        breakpoint_kind: 0,
        breakpoint_address: 0,
    };
    // SAFETY: the kernel reads `size` bytes of `attributes`, which has that many and outlives the call.
    let descriptor = unsafe {
        libc::syscall(
            libc::SYS_perf_event_open,
            &raw const attributes,
            -1 as libc::c_int,
            cpu,
            -1 as libc::c_int,
            PERF_FLAG_FD_CLOEXEC,
        )
    };
    let descriptor = RawFd::try_from(Errno::result(descriptor)?).map_err(|_| Errno::EBADF)?;
    // SAFETY: the kernel just opened it, and nothing else owns it.
    let counter = File::from(unsafe { OwnedFd::from_raw_fd(descriptor) });
    let filter = CString::new(format!("reason == {reason}")).map_err(|_| Errno::EINVAL)?;
    // SAFETY: the kernel reads the filter up to its zero; the text outlives the call.
    let done = unsafe { libc::ioctl(counter.as_raw_fd(), SET_FILTER, filter.as_ptr()) };
    Errno::result(done)?;
    Ok(counter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_names_its_reasons() {
        let format = "field:enum skb_drop_reason reason;\tsize:4;\n\nprint fmt: \"reason: %s\", \
            __print_symbolic(REC->reason, { 2, \"NOT_SPECIFIED\" }, { 16, \"IP_RPFILTER\" })\n";
        assert_eq!(reasons(format), [(2, "NOT_SPECIFIED"), (16, "IP_RPFILTER")]);
        // Before Linux 5.17.
        assert_eq!(reasons("print fmt: \"protocol=%u\", REC->protocol"), []);
        assert!(REASONS.is_sorted());
    }

    #[test]
    fn reads_lists_of_cpus() {
        assert_eq!(list("0-2,8"), Some(vec![0, 1, 2, 8]));
        assert_eq!(list("0"), Some(vec![0]));
        assert_eq!(list(""), None);
    }

    #[test]
    fn without_being_asked_none_is_read() {
        let mut reading = Reading {
            initial: Some(true),
            ..Reading::default()
        };
        assert!(DropReasons::not_asked().read(&mut reading).is_err());
        let elsewhere = DropReasons(Ok(Vec::new()));
        assert_eq!(elsewhere.read(&mut reading), Ok(()));
        reading.initial = Some(false);
        assert!(elsewhere.read(&mut reading).is_err());
    }
}
