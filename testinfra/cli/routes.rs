//! Documents with routes, applied by the program on the real kernel.

use crate::namespace::Namespace;
use crate::run::Scratch;

use std::fs;

/// Metrics of routes of both families, of another table, and of one route of two.
const DOCUMENT: &str = "\
version: 1
route:
  default: { metric: 200, mtu: 1400, advmss: 1360 }
  10.0.0.0/8: { table: 100, window: 65535 }
  \"2001:db8::/32\": { mtu: 1300 }
";

/// The routes that a DHCP client, a CNI and a routing daemon could have made.
const ROUTES: &str = "\
ip link add wire type veth peer name far
ip link set wire up
ip link set far up
ip address add 192.0.2.1/24 dev wire
ip address add fd00::1/64 dev wire nodad
ip route add default via 192.0.2.2 metric 100
ip route add default via 192.0.2.3 metric 200 src 192.0.2.1 proto dhcp mtu lock 1450 initcwnd 20
ip route add 10.0.0.0/8 via 192.0.2.2 table 100 proto bird
ip route add 2001:db8::/32 via fd00::2 mtu 1400 window 4096
";

struct Host {
    namespace: Namespace,
    scratch: Scratch,
}

impl Host {
    fn new() -> Self {
        let host = Host {
            namespace: Namespace::new(),
            scratch: Scratch::new(&[("routes.yaml", DOCUMENT)]),
        };
        host.namespace.sh(ROUTES);
        host
    }

    fn document(&self, text: &str) {
        fs::write(self.scratch.path().join("routes.yaml"), text).unwrap();
    }

    /// Runs netkeel and returns its exit status with all that it prints.
    fn netkeel(&self, verb: &[&str]) -> (i32, String) {
        let done = self
            .scratch
            .run(&[verb, &["--netns", &self.namespace.name]].concat());
        let text = format!("{}{}", done.stdout, done.stderr);
        (done.code, text.replace(&self.namespace.name, "host"))
    }

    fn succeeds(&self, verb: &[&str]) -> String {
        let (code, text) = self.netkeel(verb);
        assert_eq!(code, 0, "{verb:?}: {text}");
        text
    }

    /// All routes that the document names, as `ip` prints them.
    fn routes(&self) -> String {
        let text = self
            .namespace
            .sh("ip route show default; ip route show table 100; ip -6 route show 2001:db8::/32");
        let lines = text.lines().map(str::trim_end);
        lines.map(|line| format!("{line}\n")).collect()
    }
}

/// The routes with the metrics that the document declares.
const WANTED: &str = "\
default via 192.0.2.2 dev wire metric 100
default via 192.0.2.3 dev wire proto dhcp src 192.0.2.1 metric 200 mtu lock 1400 advmss 1360 initcwnd 20
10.0.0.0/8 via 192.0.2.2 dev wire proto bird window 65535
2001:db8::/32 via fd00::2 dev wire metric 1024 mtu 1300 window 4096 pref medium
";

#[test]
fn metrics_are_applied_kept_and_given_back_and_all_else_of_a_route_stays() {
    let host = Host::new();
    let before = host.routes();
    let plan = host.netkeel(&["plan", "-f", "routes.yaml", "--detailed-exitcode"]);
    assert_eq!(plan.0, 2, "{}", plan.1);
    assert!(plan.1.contains("route 0.0.0.0/0 metric 200 mtu"), "{}", plan.1);
    assert_eq!(host.netkeel(&["check", "-f", "routes.yaml"]).0, 2);
    assert_eq!(host.routes(), before);

    host.succeeds(&["apply", "-f", "routes.yaml"]);
    assert_eq!(host.routes(), WANTED);
    host.succeeds(&["check", "-f", "routes.yaml"]);
    let again = host.succeeds(&["apply", "-f", "routes.yaml"]);
    assert!(again.contains("In sync"), "{again}");
    let explained = host.succeeds(&["explain", "wire"]);
    assert!(
        explained.contains("route 10.0.0.0/8 table 100 window"),
        "{explained}"
    );

    // A DHCP client that renews its lease puts its own route there again.
    host.namespace
        .sh("ip route replace default via 192.0.2.3 metric 200 src 192.0.2.1 proto dhcp mtu lock 1450 initcwnd 20");
    assert_eq!(host.netkeel(&["check", "-f", "routes.yaml"]).0, 2);
    host.succeeds(&["apply", "-f", "routes.yaml"]);
    assert_eq!(host.routes(), WANTED);

    host.succeeds(&["release"]);
    assert_eq!(host.routes(), before);
}

#[test]
fn an_apply_that_is_not_confirmed_is_undone() {
    let host = Host::new();
    let before = host.routes();
    host.succeeds(&["apply", "-f", "routes.yaml", "--confirm-within", "60s"]);
    assert_eq!(host.routes(), WANTED);
    host.succeeds(&["recover"]);
    assert_eq!(host.routes(), before);
}

#[test]
fn a_refusal_of_the_kernel_undoes_the_metrics() {
    let host = Host::new();
    let before = host.routes();
    // Its greatest number follows from the size of a packet's memory, which only the kernel knows.
    let refused = "sysctl: { net.ipv4.neigh.wire.unres_qlen: 2147483647 }\n";
    host.document(&format!("{DOCUMENT}{refused}"));
    let (code, text) = host.netkeel(&["apply", "-f", "routes.yaml"]);
    assert_eq!(code, 3, "{text}");
    assert!(text.contains("ip -n host route change"), "{text}");
    assert_eq!(host.routes(), before);
}

#[test]
fn a_saved_plan_is_refused_once_a_route_has_changed() {
    let host = Host::new();
    host.succeeds(&["plan", "-f", "routes.yaml", "--save", "saved.plan"]);
    host.namespace
        .sh("ip route change 10.0.0.0/8 via 192.0.2.2 table 100 proto bird window 32768");
    let changed = host.routes();
    let (code, text) = host.netkeel(&["apply", "--plan", "saved.plan"]);
    assert_ne!(code, 0, "{text}");
    assert_eq!(host.routes(), changed);
}

#[test]
fn a_route_that_another_program_changed_is_not_restored() {
    let host = Host::new();
    host.succeeds(&["apply", "-f", "routes.yaml"]);
    host.namespace
        .sh("ip route change 10.0.0.0/8 via 192.0.2.2 table 100 proto bird window 32768");
    let text = host.succeeds(&["release"]);
    assert!(text.contains("NK011"), "{text}");
    let routes = host.routes();
    assert!(
        routes.contains("10.0.0.0/8 via 192.0.2.2 dev wire proto bird window 32768\n"),
        "{routes}"
    );
    assert!(routes.contains("mtu lock 1450 initcwnd 20\n"), "{routes}");
}

#[test]
fn next_hops_and_next_hop_objects_keep_their_form() {
    let host = Host::new();
    host.namespace.sh("ip nexthop add id 7 via 192.0.2.9 dev wire
         ip route add 198.51.100.0/24 nhid 7
         ip route add 203.0.113.0/24 nexthop via 192.0.2.2 dev wire weight 2 nexthop via 192.0.2.3 dev wire");
    let show = || {
        host.namespace
            .sh("ip route show 198.51.100.0/24; ip route show 203.0.113.0/24")
    };
    let before = show();
    host.document("version: 1\nroute:\n  198.51.100.0/24: { mtu: 1300 }\n  203.0.113.0/24: { mtu: 1350 }\n");
    host.succeeds(&["apply", "-f", "routes.yaml"]);
    let now = show();
    assert!(now.contains("nhid 7") && now.contains("mtu 1300"), "{now}");
    assert!(now.contains("weight 2") && now.contains("mtu 1350"), "{now}");
    host.succeeds(&["release"]);
    assert_eq!(show(), before);
}

/// Of tunnels that are bound to no device, the kernel says by which route their packets leave.
#[test]
fn a_tunnel_without_a_device_is_held_against_the_route_to_its_other_end() {
    let host = Host::new();
    host.namespace.sh("
        ip link add storage type veth peer name other
        ip link set storage mtu 9000 up
        ip link set other mtu 9000 up
        ip address add 10.9.0.1/24 dev storage
        ip link add over-wire type vxlan id 1 remote 192.0.2.2 dstport 4789
        ip link set over-wire mtu 1450 up
        ip link add over-storage type vxlan id 2 remote 10.9.0.2 dstport 4790
        ip link set over-storage mtu 8950 up
        ip link add external type vxlan external dstport 4791
        ip link set external mtu 9000 up
        ip link add nowhere type vxlan id 3 local 192.0.2.1 dstport 4792
        ip link set nowhere mtu 1400 up");
    let judged = |verb: &[&str]| {
        let text = host.succeeds(verb);
        let found = text.lines().filter(|line| line.contains("NK016"));
        found.map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(judged(&["lint"]), [""; 0]);
    host.document("version: 1\npersist: no\nlink: { wire: { mtu: 1400 } }\n");
    let found = judged(&["lint", "-f", "routes.yaml"]);
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(
        found[0].contains(
            "over-wire: its MTU of 1450 and its 50 bytes of headers do not fit wire, by which its other end"
        ),
        "{found:#?}"
    );
    let found = judged(&["plan", "-f", "routes.yaml"]);
    assert!(found.len() == 1 && found[0].contains("over-wire"), "{found:#?}");
}
