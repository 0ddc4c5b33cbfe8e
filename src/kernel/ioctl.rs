//! The questions that an ioctl answers faster than netlink, or that netlink does not answer: the name
//! of an index, and the driver of an interface. Any socket of the namespace will do.
#![expect(unsafe_code, reason = "an ioctl takes a pointer")]

use std::os::fd::{AsRawFd, RawFd};

use nix::errno::Errno;

use netkeel_core::name::link::LinkName;

/// ETHTOOL_GDRVINFO (include/uapi/linux/ethtool.h).
const ETHTOOL_GDRVINFO: u32 = 3;

/// `struct ethtool_drvinfo`: 196 bytes in all.
#[repr(C)]
struct DriverInfo {
    command: u32,
    driver: [u8; 32],
    version: [u8; 32],
    firmware: [u8; 32],
    bus: [u8; 32],
    rest: [u8; 64],
}

/// The driver of a device and its place on the bus, in bytes.
#[derive(Debug, Default)]
pub(crate) struct Driver {
    /// The driver's name; `None` for a device without a driver.
    pub name: Option<Vec<u8>>,
    /// The place on the bus; `None` for a device that is on none.
    pub bus: Option<Vec<u8>>,
}

/// The index of a name.
pub(crate) fn index_of(socket: &impl AsRawFd, name: LinkName) -> Result<i32, Errno> {
    let mut request = named(name);
    // SAFETY: SIOCGIFINDEX reads the name and writes the index, both inside of `request`.
    let result = unsafe { libc::ioctl(fd(socket), libc::SIOCGIFINDEX as _, &raw mut request) };
    Errno::result(result)?;
    // SAFETY: the call that succeeded wrote this member; any bytes are an integer.
    Ok(unsafe { request.ifr_ifru.ifru_ifindex })
}

/// The name of an index.
pub(crate) fn name_of(socket: &impl AsRawFd, index: i32) -> Result<LinkName, Errno> {
    let name = bytes_of(socket, index)?.map(|byte| byte as u8);
    let end = name.iter().position(|byte| *byte == 0).unwrap_or(name.len());
    LinkName::new(name.get(..end).unwrap_or_default()).map_err(|_| Errno::EILSEQ)
}

/// Whether an index has this name: what is asked of each interface before each write.
pub(crate) fn is_named(socket: &impl AsRawFd, index: i32, name: LinkName) -> Result<bool, Errno> {
    Ok(bytes_of(socket, index)? == named(name).ifr_name)
}

/// The name of an index, with zeros behind it: the kernel writes a name with one, and leaves the others.
fn bytes_of(socket: &impl AsRawFd, index: i32) -> Result<[libc::c_char; libc::IFNAMSIZ], Errno> {
    let mut request = empty();
    request.ifr_ifru.ifru_ifindex = index;
    // SAFETY: SIOCGIFNAME reads the index and writes the name, both inside of `request`.
    let result = unsafe { libc::ioctl(fd(socket), libc::SIOCGIFNAME as _, &raw mut request) };
    Errno::result(result)?;
    Ok(request.ifr_name)
}

/// The driver and the bus of a device.
pub(crate) fn driver_of(socket: &impl AsRawFd, name: LinkName) -> Result<Driver, Errno> {
    let mut info = DriverInfo {
        command: ETHTOOL_GDRVINFO,
        driver: [0; 32],
        version: [0; 32],
        firmware: [0; 32],
        bus: [0; 32],
        rest: [0; 64],
    };
    let mut request = named(name);
    request.ifr_ifru.ifru_data = (&raw mut info).cast();
    // SAFETY: ETHTOOL_GDRVINFO writes a `struct ethtool_drvinfo` where `ifru_data` points; `info`
    // has its layout and size and outlives the call.
    let result = unsafe { libc::ioctl(fd(socket), libc::SIOCETHTOOL as _, &raw mut request) };
    match Errno::result(result) {
        Ok(_) => {}
        Err(Errno::EOPNOTSUPP) => return Ok(Driver::default()),
        Err(errno) => return Err(errno),
    }
    let DriverInfo {
        command: _,
        driver,
        version: _,
        firmware: _,
        bus,
        rest: _,
    } = info;
    Ok(Driver {
        name: text_of(&driver),
        // Bridges say that they are on no bus (`br_getinfo`, net/bridge/br_device.c).
        bus: text_of(&bus).filter(|bus| bus != b"N/A"),
    })
}

/// The bytes before the first zero; `None` for an empty text.
fn text_of(bytes: &[u8; 32]) -> Option<Vec<u8>> {
    let text = bytes.split(|byte| *byte == 0).next()?;
    (!text.is_empty()).then(|| text.to_vec())
}

fn fd(socket: &impl AsRawFd) -> RawFd {
    socket.as_raw_fd()
}

fn empty() -> libc::ifreq {
    // SAFETY: `struct ifreq` is bytes and a union of integers and pointers: all zeros is a value.
    unsafe { std::mem::zeroed() }
}

fn named(name: LinkName) -> libc::ifreq {
    let mut request = empty();
    // A name has at most 15 bytes, so that a zero remains behind it.
    for (place, byte) in request.ifr_name.iter_mut().zip(name.as_bytes()) {
        *place = *byte as libc::c_char;
    }
    request
}
