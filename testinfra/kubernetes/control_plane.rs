//! An etcd and a kube-apiserver on loopback, for one test.

use std::fs;
use std::io::Write;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// The longest start of either program.
const START: Duration = Duration::from_secs(120);

/// The token of the administrator, and the one that the follower has at first.
pub const ADMIN: &str = "admin-token";
pub const AGENT: &str = "agent-token";

/// A running control plane; it ends with this value.
pub struct ControlPlane {
    /// The address at which the API server is.
    address: Ipv4Addr,
    programs: PathBuf,
    place: tempfile::TempDir,
    etcd: Option<Child>,
    apiserver: Option<Child>,
    /// More API servers of the same cluster.
    others: Vec<Child>,
    etcd_port: u16,
    peer_port: u16,
    port: u16,
    /// More arguments of the API server, which win over those before them.
    arguments: Vec<String>,
}

fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.local_addr().unwrap().port()
}

/// The directory of the named programs, which are built if they are not cached.
pub fn programs(names: &[&str]) -> PathBuf {
    let build = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testinfra/kubernetes/build");
    let output = Command::new(build)
        .args(names)
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    assert!(output.status.success(), "the control plane was not built");
    String::from_utf8(output.stdout).unwrap().trim().into()
}

impl ControlPlane {
    pub fn start() -> Self {
        Self::start_at(Ipv4Addr::LOCALHOST)
    }

    /// Starts one whose API server has another address, for agents in namespaces of their own.
    pub fn start_at(address: Ipv4Addr) -> Self {
        Self::start_with(address, Vec::new())
    }

    /// The same with more arguments of the API server.
    pub fn start_with(address: Ipv4Addr, arguments: Vec<String>) -> Self {
        let programs = programs(&["server", "kube-apiserver"]);
        let place = tempfile::tempdir().unwrap();
        let at = |name: &str| place.path().join(name);
        let key = Command::new("openssl")
            .args(["genrsa", "-out"])
            .arg(at("sa.key"))
            .arg("2048")
            .stderr(Stdio::null())
            .status();
        assert!(key.unwrap().success());
        let (etcd_port, peer_port, port) = (free_port(), free_port(), free_port());
        let mut plane = ControlPlane {
            address,
            programs,
            place,
            etcd: None,
            apiserver: None,
            others: Vec::new(),
            etcd_port,
            peer_port,
            port,
            arguments,
        };
        plane.start_etcd();
        plane.accept(&[(ADMIN, "admin", "system:masters"), (AGENT, "agent", "agents")]);
        plane.start_apiserver();
        plane
    }

    fn start_etcd(&mut self) {
        let at = |name: &str| self.place.path().join(name);
        let peers = format!("http://127.0.0.1:{}", self.peer_port);
        let clients = format!("http://127.0.0.1:{}", self.etcd_port);
        let log = fs::File::create(at("etcd.log")).unwrap();
        let child = Command::new(self.programs.join("server"))
            .args(["--name=a", "--unsafe-no-fsync", "--log-level=error"])
            .arg(format!("--data-dir={}", at("etcd").display()))
            .arg(format!("--listen-client-urls={clients}"))
            .arg(format!("--advertise-client-urls={clients}"))
            .arg(format!("--listen-peer-urls={peers}"))
            .arg(format!("--initial-advertise-peer-urls={peers}"))
            .arg(format!("--initial-cluster=a={peers}"))
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        self.etcd = Some(child);
    }

    fn stop_etcd(&mut self) {
        if let Some(mut child) = self.etcd.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    fn copy_etcd(&mut self, from: &str, to: &str) {
        self.stop_etcd();
        let at = |name: &str| self.place.path().join(name);
        let _ = fs::remove_dir_all(at(to));
        let copied = Command::new("cp").arg("-a").arg(at(from)).arg(at(to)).status();
        assert!(copied.unwrap().success());
        self.start_etcd();
    }

    /// Saves the data of the cluster. The API server is stopped.
    pub fn save_etcd(&mut self) {
        self.copy_etcd("etcd", "etcd.saved");
    }

    /// Goes back to the saved data. The API server is stopped.
    pub fn restore_etcd(&mut self) {
        self.copy_etcd("etcd.saved", "etcd");
    }

    /// Sets the tokens that the API server accepts from its next start on, each with a user and a group.
    pub fn accept(&self, tokens: &[(&str, &str, &str)]) {
        let lines: String = tokens
            .iter()
            .map(|(token, user, group)| format!("{token},{user},{user},{group}\n"))
            .collect();
        fs::write(self.place.path().join("tokens"), lines).unwrap();
    }

    /// Starts the API server, and waits until it is ready.
    pub fn start_apiserver(&mut self) {
        self.apiserver = Some(self.spawn_apiserver(self.port, &self.arguments));
    }

    /// Starts one more API server on the same etcd, and returns its port.
    pub fn start_another_apiserver(&mut self, arguments: &[String]) -> u16 {
        let port = free_port();
        let child = self.spawn_apiserver(port, arguments);
        self.others.push(child);
        port
    }

    fn spawn_apiserver(&self, port: u16, arguments: &[String]) -> Child {
        let at = |name: &str| self.place.path().join(name).display().to_string();
        let log = fs::File::create(at(&format!("apiserver-{port}.log"))).unwrap();
        let child = Command::new(self.programs.join("kube-apiserver"))
            .arg(format!("--etcd-servers=http://127.0.0.1:{}", self.etcd_port))
            .arg(format!("--secure-port={port}"))
            .arg(format!("--bind-address={}", self.address))
            .arg(format!("--cert-dir={}", at("certificates")))
            .arg("--service-account-issuer=https://kubernetes.default.svc")
            .arg(format!("--service-account-signing-key-file={}", at("sa.key")))
            .arg(format!("--service-account-key-file={}", at("sa.key")))
            .args([
                "--authorization-mode=Node,RBAC",
                "--service-cluster-ip-range=10.96.0.0/16",
            ])
            .args([
                "--enable-admission-plugins=NodeRestriction",
                "--allow-privileged=true",
            ])
            .arg(format!("--token-auth-file={}", at("tokens")))
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let end = Instant::now() + START;
        while !self.is_ready(port) {
            let log = || fs::read_to_string(at(&format!("apiserver-{port}.log"))).unwrap_or_default();
            assert!(Instant::now() < end, "the API server is not ready:\n{}", log());
            std::thread::sleep(Duration::from_millis(200));
        }
        child
    }

    fn is_ready(&self, port: u16) -> bool {
        let url = format!("https://{}:{port}/readyz", self.address);
        let header = format!("Authorization: Bearer {ADMIN}");
        let output = Command::new("curl")
            .args(["-sk", "--max-time", "2", "-H", &header, &url])
            .output()
            .unwrap();
        output.stdout == b"ok"
    }

    /// Ends the API server at once.
    pub fn stop_apiserver(&mut self) {
        if let Some(mut child) = self.apiserver.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// The port of the API server.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Drops every change before now from etcd. An API server that starts after that knows no older version.
    pub fn compact_etcd(&self) {
        let post = |what: &str, body: &str| {
            let url = format!("http://127.0.0.1:{}/v3/kv/{what}", self.etcd_port);
            let output = Command::new("curl")
                .args(["-s", "--fail", "-X", "POST", "-d", body, &url])
                .output()
                .unwrap();
            assert!(output.status.success(), "{what}: {output:?}");
            serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap()
        };
        // The key "a": every answer has the revision.
        let answer = post("range", r#"{"key": "YQ=="}"#);
        let revision = answer["header"]["revision"].as_str().unwrap();
        post(
            "compaction",
            &format!(r#"{{"revision": "{revision}", "physical": true}}"#),
        );
    }

    /// A configuration of the client whose token is in a file, which is returned too.
    pub fn kubeconfig(&self, name: &str, token: &str) -> (PathBuf, PathBuf) {
        let token_file = self.place.path().join(format!("{name}.token"));
        fs::write(&token_file, token).unwrap();
        let path = self.place.path().join(format!("{name}.kubeconfig"));
        let text = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: c\ncontexts: [{{ name: c, context: {{ cluster: c, user: u, namespace: agents }} }}]\nclusters: [{{ name: c, cluster: {{ server: 'https://{}:{}', insecure-skip-tls-verify: true }} }}]\nusers: [{{ name: u, user: {{ tokenFile: '{}' }} }}]\n",
            self.address,
            self.port,
            token_file.display()
        );
        fs::write(&path, text).unwrap();
        (path, token_file)
    }
}

/// Runs kubectl with a configuration and an input.
pub fn kubectl(configuration: &Path, arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new(programs(&["kubectl"]).join("kubectl"))
        .args(arguments)
        .env("KUBECONFIG", configuration)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

impl Drop for ControlPlane {
    fn drop(&mut self) {
        for other in &mut self.others {
            let _ = other.kill();
            let _ = other.wait();
        }
        self.stop_apiserver();
        self.stop_etcd();
    }
}
