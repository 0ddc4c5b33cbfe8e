//! The interfaces that are reconciled: `cali*` veths in a network namespace of their own, with
//! their other ends, as a node has for its pods, in a second one.

use std::ffi::OsStr;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};
use std::{fmt, fs, io};

use crate::measure::{output, run};
use netkeel_core::error::{Error, ErrorKind};
use netkeel_core::name::netns::Netns;
use netkeel_kernel::namespace::enter::inside;
use netkeel_kernel::namespace::identity::{Identity, identify};

/// What the names of the namespaces begin with; the id of this process follows.
const PREFIX: &str = "netkeel-bench-";

/// Where netkeel keeps what it knows of namespaces.
const STATE: &str = "/run/netkeel/netns";

/// What is wanted of them. What they are compared with writes one end of each, and so does this.
const DOCUMENT: &str = "\
version: 1
persist: false
sysctl:
  net.ipv4.conf.all.rp_filter: 0
  net.ipv4.conf.default.rp_filter: 1
link:
  pods: { match: { name: \"cali*\" }, mtu: 1460, pod_mtu: leave, rp_filter: strict }
";

/// Longest wait until the kernel has found the IPv6 addresses to be unique.
const PATIENCE: Duration = Duration::from_secs(20);

/// Whether the interfaces have IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ipv6 {
    /// It is disabled on them.
    Off,
    /// Each has its link-local address.
    LinkLocal,
}

impl fmt::Display for Ipv6 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Ipv6::Off => "",
            Ipv6::LinkLocal => " with IPv6",
        })
    }
}

/// Which values a blind write gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Values {
    /// Those of a host that nobody set up.
    Found,
    /// Those of the document.
    Wanted,
}

/// The namespaces and the files; both go with it.
pub struct Fleet {
    /// How many interfaces.
    pub interfaces: usize,
    /// Where they are.
    pub netns: Netns,
    /// The document that wants their values.
    pub document: PathBuf,
    directory: tempfile::TempDir,
    names: [String; 2],
}

impl Fleet {
    /// Makes the interfaces, up at both ends.
    pub fn new(interfaces: usize, ipv6: Ipv6) -> Result<Self, Error> {
        let names = ["host", "pods"].map(|end| format!("{PREFIX}{}-{end}", std::process::id()));
        let directory = tempfile::tempdir().map_err(io_error)?;
        let fleet = Fleet {
            interfaces,
            netns: Netns::named(&names[0]),
            document: directory.path().join("document.yaml"),
            directory,
            names,
        };
        write(&fleet.document, DOCUMENT)?;
        for values in [Values::Found, Values::Wanted] {
            fleet.write_files(values)?;
        }
        fleet.make(ipv6)?;
        Ok(fleet)
    }

    /// What `ip -batch` and `sysctl -p` are given to write these values.
    pub fn files(&self, values: Values) -> (PathBuf, PathBuf) {
        let name = format!("{values:?}").to_lowercase();
        let path = |extension| self.directory.path().join(format!("{name}.{extension}"));
        (path("batch"), path("conf"))
    }

    /// Removes what netkeel keeps of the namespace, journal, ledger and history: an apply is then
    /// the first one.
    pub fn forget(&self) {
        if let Ok(Identity::Other(cookie)) = identify(&self.netns) {
            let _ = fs::remove_dir_all(Path::new(STATE).join(cookie.to_string()));
        }
    }

    fn write_files(&self, values: Values) -> Result<(), Error> {
        let (mtu, rp_filter, default) = match values {
            Values::Found => (1500, 0, 0),
            Values::Wanted => (1460, 1, 1),
        };
        let (batch, conf) = self.files(values);
        let mut links = String::new();
        let mut sysctls =
            format!("net.ipv4.conf.all.rp_filter = 0\nnet.ipv4.conf.default.rp_filter = {default}\n");
        for name in self.interfaces() {
            let _ = writeln!(links, "link set dev {name} mtu {mtu}");
            let _ = writeln!(sysctls, "net.ipv4.conf.{name}.rp_filter = {rp_filter}");
        }
        write(&batch, &links)?;
        write(&conf, &sysctls)
    }

    fn interfaces(&self) -> impl Iterator<Item = String> {
        (0..self.interfaces).map(|number| format!("cali{number:05}"))
    }

    fn make(&self, ipv6: Ipv6) -> Result<(), Error> {
        let [host, pods] = &self.names;
        for name in &self.names {
            ip(&["netns", "add", name])?;
            let netns = Netns::named(name);
            if ipv6 == Ipv6::Off {
                let setting = "net.ipv6.conf.default.disable_ipv6=1".as_ref();
                inside(&netns, || run("sysctl", &["-w".as_ref(), setting], 0))??;
            }
        }
        let mut links = String::new();
        let mut ends = String::new();
        for (number, name) in self.interfaces().enumerate() {
            let _ = writeln!(
                links,
                "link add {name} up type veth peer name pod{number} netns {pods}"
            );
            let _ = writeln!(ends, "link set dev pod{number} up");
        }
        for (netns, commands) in [(host, links), (pods, ends)] {
            let path = self.directory.path().join("make.batch");
            write(&path, &commands)?;
            run(
                "ip",
                &["-n", netns, "-batch"]
                    .map(OsStr::new)
                    .iter()
                    .copied()
                    .chain([path.as_os_str()])
                    .collect::<Vec<_>>(),
                0,
            )?;
        }
        let start = Instant::now();
        while !output("ip", &["-n", host, "-6", "address", "show", "tentative"])?.is_empty() {
            if start.elapsed() > PATIENCE {
                break;
            }
            sleep(Duration::from_millis(200));
        }
        Ok(())
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        self.forget();
        for name in &self.names {
            let _ = ip(&["netns", "delete", name]);
        }
    }
}

/// Removes what an earlier run left that was killed.
pub fn remove_left_over() -> Result<(), Error> {
    let entries = match fs::read_dir("/run/netns") {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(io_error(error)),
    };
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let process = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').next());
        if process.is_some_and(|id| !Path::new("/proc").join(id).exists()) {
            ip(&["netns", "delete", &name])?;
        }
    }
    Ok(())
}

fn ip(arguments: &[&str]) -> Result<(), Error> {
    let arguments: Vec<&OsStr> = arguments.iter().map(OsStr::new).collect();
    run("ip", &arguments, 0).map(|_| ())
}

fn write(path: &Path, text: &str) -> Result<(), Error> {
    fs::write(path, text).map_err(io_error)
}

fn io_error(error: io::Error) -> Error {
    Error::new(ErrorKind::Refused, error.to_string())
}
