//! Facts of the machine and its boot, which all its network namespaces share.

use nix::sys::time::TimeValLike;
use nix::time::{ClockId, clock_getres};

use crate::files::read;
use netkeel_core::error::{Error, ErrorKind};
use netkeel_core::name::device::BootId;

/// The boot that runs.
pub(super) fn boot() -> Result<BootId, Error> {
    const BOOT: &str = "/proc/sys/kernel/random/boot_id";
    let unreadable =
        |why: &dyn std::fmt::Display| Error::new(ErrorKind::Unreadable, format!("{BOOT}: {why}"));
    let text = read::system(BOOT).map_err(|cause| unreadable(&cause))?;
    text.trim().parse().map_err(|error: Error| unreadable(&error))
}

/// Ticks per second: the resolution of a coarse clock is one tick (`hrtimer_get_res` does not apply to
/// it; `posix_get_coarse_res`, kernel/time/posix-timers.c).
pub(super) fn ticks() -> Option<u32> {
    let tick = clock_getres(ClockId::CLOCK_MONOTONIC_COARSE).ok()?;
    let nanoseconds = u32::try_from(tick.num_nanoseconds()).ok()?;
    1_000_000_000_u32.checked_div(nanoseconds)
}

/// The CPUs that the machine can have, after the last one (`nr_cpu_ids`).
pub(super) fn cpus() -> Option<u32> {
    let possible = read::system("/sys/devices/system/cpu/possible").ok()?;
    let last = possible.trim().rsplit([',', '-']).next()?;
    last.parse::<u32>().ok()?.checked_add(1)
}
