//! The diagnosis that `netkeel doctor` makes of the host of a pod.

use std::fs;
use std::io::Read as _;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use serde_json::Value;

use super::namespace::Namespace;
pub use super::pod_net::{Net, PEER, POD};

impl Net {
    /// A pod and the uplink as ports of a bridge, the uplink smaller.
    pub fn switched() -> Self {
        Net::switched_with(1500, 1500, 1400, 1400)
    }

    /// The kinds and the grounds of the causes that the program names while a place sends 40 packets of a size
    /// from an address to another.
    pub fn causes(&self, sender: Option<(&Namespace, &str, &str, u32)>) -> Vec<(String, String)> {
        causes(&self.sending(sender))
    }

    /// While a place sends, this cause is named and no other, and these signs and no others.
    #[track_caller]
    pub fn alone(
        &self,
        sender: Option<(&Namespace, &str, &str, u32)>,
        cause: (&str, &str),
        signs: &[&str],
    ) -> Value {
        let report = self.sending(sender);
        sole(&causes(&report), cause.0, cause.1);
        assert_eq!(self::signs(&report), signs, "{report}");
        report
    }

    /// The diagnosis while a place sends 40 packets of a size from an address to another.
    fn sending(&self, sender: Option<(&Namespace, &str, &str, u32)>) -> Value {
        let traffic = sender.map(|(place, from, to, bytes)| {
            let payload = bytes - 28;
            let script = format!(
                "import socket, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.IPPROTO_IP, 10, 2)
s.bind(('{from}', 0))
time.sleep(0.4)
for _ in range(40):
    try:
        s.sendto(b'x' * {payload}, ('{to}', 9))
    except OSError:
        pass
    time.sleep(0.01)
"
            );
            (place, script)
        });
        self.report(traffic.as_ref().map(|(place, script)| (*place, script.as_str())))
    }

    /// The diagnosis of a window in which a place runs a script of Python from its beginning to its end.
    pub fn report(&self, traffic: Option<(&Namespace, &str)>) -> Value {
        let mut seconds = 3;
        loop {
            if let Some(report) = self.report_within(seconds, traffic) {
                return report;
            }
            seconds *= 2;
            assert!(seconds < 100, "this machine is too slow");
        }
    }

    /// The diagnosis of a window of so many seconds, unless the script ends after it.
    fn report_within(&self, seconds: u32, traffic: Option<(&Namespace, &str)>) -> Option<Value> {
        let traffic = traffic.map(|(place, script)| Halted::start(place, script));
        let doctor = Command::new(env!("CARGO_BIN_EXE_netkeel"))
            .args(["doctor", "--output", "json", "--window"])
            .arg(format!("{seconds}s"))
            .args(["--netns", &self.host.name])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut in_time = true;
        if let Some(traffic) = traffic {
            wait_for_window(doctor.id());
            traffic.run();
            in_time = sleeps(doctor.id());
        }
        let done = doctor.wait_with_output().unwrap();
        if !in_time {
            return None;
        }
        let text = String::from_utf8_lossy(&done.stdout);
        let report = serde_json::from_str(&text)
            .unwrap_or_else(|error| panic!("{error}: {text}{}", String::from_utf8_lossy(&done.stderr)));
        Some(report)
    }
}

/// A script of Python in a namespace that waits for the word to begin: Python takes long to start on a busy machine.
struct Halted(Child);

impl Halted {
    fn start(place: &Namespace, script: &str) -> Self {
        let halted = format!(
            "import socket, struct, sys, time\nprint('ready', flush=True)\nsys.stdin.readline()\n{script}"
        );
        let mut child = command(place, &halted)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut ready = [0];
        child.stdout.as_mut().unwrap().read_exact(&mut ready).unwrap();
        Halted(child)
    }

    fn run(mut self) {
        drop(self.0.stdin.take());
        assert!(self.0.wait().unwrap().success());
    }
}

/// Python that makes messages to a subsystem of netfilter, with `struct nfgenmsg`, and their attributes.
pub const MESSAGES: &str = "
import socket, struct, time
def message(subsystem, kind, family, number, attributes):
    body = struct.pack('!BBH', family, 0, number) + attributes
    return struct.pack('=IHHII', 16 + len(body), subsystem << 8 | kind, 1, 0, 0) + body
def attribute(kind, value):
    size = 4 + len(value)
    return struct.pack('=HH', size, kind) + value + bytes(-size % 4)
n = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12)
";

/// Python for scripts that send TCP by hand: a segment to port 9 with its checksum, which is of its pseudo header too.
pub const SEGMENTS: &str = r"
import socket, struct, time
def checksum(data):
    total = sum(struct.unpack('!%dH' % (len(data) // 2), data))
    total = (total >> 16) + (total & 0xffff)
    return ~(total + (total >> 16)) & 0xffff
def segment(source, target, port, acknowledges, flags):
    bare = struct.pack('!HHIIBBHHH', port, 9, 1, acknowledges, 5 << 4, flags, 1000, 0, 0)
    pseudo = socket.inet_aton(source) + socket.inet_aton(target) + struct.pack('!BBH', 0, 6, len(bare))
    return bare[:16] + struct.pack('!H', checksum(pseudo + bare)) + bare[18:]
";

/// Waits until `netkeel doctor` has read the counters and sleeps, however busy this machine is.
fn wait_for_window(doctor: u32) {
    for _ in 0..6000 {
        if sleeps(doctor) {
            return;
        }
        sleep(Duration::from_millis(10));
    }
    panic!("netkeel doctor did not begin its window");
}

fn sleeps(doctor: u32) -> bool {
    let call = fs::read_to_string(format!("/proc/{doctor}/syscall")).unwrap_or_default();
    call.starts_with(&format!("{} ", libc::SYS_clock_nanosleep))
}

/// Runs a script of Python in a namespace.
pub fn python(place: &Namespace, script: &str) -> Child {
    command(place, script).spawn().unwrap()
}

fn command(place: &Namespace, script: &str) -> Command {
    let mut command = Command::new("ip");
    command.args(["netns", "exec", &place.name, "python3", "-c", script]);
    command
}

/// The kinds and the grounds of the causes of a diagnosis.
pub fn causes(report: &Value) -> Vec<(String, String)> {
    let causes = report["causes"].as_array().unwrap().iter();
    let word = |cause: &Value, key: &str| cause[key].as_str().unwrap().to_owned();
    causes
        .map(|cause| (word(cause, "kind"), word(cause, "grounds")))
        .collect()
}

/// The kinds of signs of a report. Martians and squeezes are counted over the machine, where other tests provoke them.
pub fn signs(report: &Value) -> Vec<&str> {
    let signs = report["signs"].as_array().unwrap().iter();
    let kinds = signs.filter_map(|sign| sign["kind"].as_str());
    kinds
        .filter(|kind| !matches!(*kind, "martians" | "squeezed"))
        .collect()
}

/// Whether this is the cause, on these grounds, and no other is named.
#[track_caller]
pub fn sole(causes: &[(String, String)], kind: &str, grounds: &str) {
    assert_eq!(causes, [(kind.to_owned(), grounds.to_owned())]);
}
