//! The cost of following the Nodes of a large cluster: CPU for each event.
//!
//!     cargo bench -p netkeel-kubernetes --bench cluster [-- NODES]
//!
//! A server in this process gives a list and a watch of Nodes with 50 images, without TLS. The follower has a thread of its own,
//! whose CPU time counts. The floor reads the same bytes with serde_json and keeps nothing.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{IpAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use serde::de::IgnoredAny;
use serde_json::{Value, json};

use netkeel_core::replication::cluster_peers::{ClusterPeers, NotReady, PeerFamily, PeerNews, PeerObjects};
use netkeel_kubernetes::connection::Connection;
use netkeel_kubernetes::follow::follow;

const NODES: usize = 5_000;

/// Events of a round, and rounds.
const EVENTS: usize = 2_000;
const ROUNDS: usize = 5;

/// A Node as a kubelet writes it: some 11 kB, of which the images are the most.
fn node(number: usize, version: usize, address: &str) -> Value {
    let images: Vec<Value> = (0..50)
        .map(|image| {
            let name = format!("registry.example/image-{image}");
            json!({ "names": [format!("{name}@sha256:{image:064}"), format!("{name}:v1")], "sizeBytes": 1_000_000 })
        })
        .collect();
    let seconds = version % 60;
    let condition = |kind: &str, status: &str| {
        json!({
            "type": kind, "status": status, "reason": "KubeletReady", "message": "kubelet is posting ready status",
            "lastHeartbeatTime": format!("2026-01-01T00:00:{seconds:02}Z"), "lastTransitionTime": "2026-01-01T00:00:00Z",
        })
    };
    json!({
        "apiVersion": "v1", "kind": "Node",
        "metadata": {
            "name": format!("node-{number}"), "uid": format!("uid-{number}"), "resourceVersion": version.to_string(),
            "labels": { "kubernetes.io/os": "linux", "kubernetes.io/hostname": format!("node-{number}") },
        },
        "spec": { "podCIDR": "10.1.0.0/24", "podCIDRs": ["10.1.0.0/24"] },
        "status": {
            "addresses": [{ "type": "InternalIP", "address": address }, { "type": "Hostname", "address": format!("node-{number}") }],
            "conditions": [
                condition("MemoryPressure", "False"), condition("DiskPressure", "False"), condition("PIDPressure", "False"),
                condition("Ready", "True"),
            ],
            "images": images,
        },
    })
}

fn address(number: usize) -> String {
    format!("10.{}.{}.1", number / 250, number % 250)
}

/// Answers the follower: pages of the list, and one watch with what `events` gives.
fn serve(listener: TcpListener, nodes: usize, events: Receiver<Vec<u8>>) {
    let mut events = Some(events);
    for stream in listener.incoming().map_while(Result::ok) {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        while let Some(path) = request(&mut reader) {
            let parameters: BTreeMap<&str, &str> = path
                .split(['?', '&'])
                .filter_map(|pair| pair.split_once('='))
                .collect();
            match parameters.contains_key("watch") {
                false => list(&stream, nodes, &parameters),
                true => {
                    let (events, stream) = (events.take().unwrap(), stream.try_clone().unwrap());
                    thread::spawn(move || watch(stream, events));
                    break;
                }
            }
        }
    }
}

/// The path of the next request.
fn request(reader: &mut impl BufRead) -> Option<String> {
    let mut first = String::new();
    reader.read_line(&mut first).ok().filter(|bytes| *bytes > 0)?;
    let mut line = String::new();
    while reader.read_line(&mut line).ok()? > 2 {
        line.clear();
    }
    first.split(' ').nth(1).map(str::to_owned)
}

fn list(mut stream: &TcpStream, nodes: usize, parameters: &BTreeMap<&str, &str>) {
    let from: usize = parameters.get("continue").map_or(0, |text| text.parse().unwrap());
    let limit: usize = parameters
        .get("limit")
        .map_or(nodes, |text| text.parse().unwrap());
    let to = nodes.min(from + limit);
    let more = (to < nodes).then(|| to.to_string());
    let items: Vec<Value> = (from..to)
        .map(|number| node(number, 1, &address(number)))
        .collect();
    let list = json!({
        "apiVersion": "v1", "kind": "NodeList", "items": items,
        "metadata": { "resourceVersion": "1", "continue": more.unwrap_or_default() },
    });
    let body = list.to_string();
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(body.as_bytes()).unwrap();
}

fn watch(mut stream: TcpStream, events: Receiver<Vec<u8>>) {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
    stream.write_all(head.as_bytes()).unwrap();
    for event in events {
        stream
            .write_all(format!("{:x}\r\n", event.len()).as_bytes())
            .unwrap();
        stream.write_all(&event).unwrap();
        stream.write_all(b"\r\n").unwrap();
    }
}

fn event(number: usize, version: usize, address: &str) -> Vec<u8> {
    let event = json!({ "type": "MODIFIED", "object": node(number, version, address) });
    format!("{event}\n").into_bytes()
}

/// The CPU time of this thread, ns.
#[allow(clippy::disallowed_methods, reason = "a benchmark reads its own time")]
fn cpu() -> u64 {
    let text = fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    text.split(' ').next().unwrap().parse().unwrap()
}

fn configuration(port: u16) -> PathBuf {
    let path = std::env::temp_dir().join(format!("netkeel-bench-{}.kubeconfig", std::process::id()));
    let text = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: c\ncontexts: [{{ name: c, context: {{ cluster: c, user: u }} }}]\nclusters: [{{ name: c, cluster: {{ server: 'http://127.0.0.1:{port}' }} }}]\nusers: [{{ name: u, user: {{}} }}]\n"
    );
    fs::write(&path, text).unwrap();
    path
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// µs of CPU for each of the events.
fn each(from: u64, to: u64) -> f64 {
    (to - from) as f64 / 1_000.0 / EVENTS as f64
}

#[allow(clippy::print_stdout, reason = "the results")]
fn main() {
    let mut numbers = std::env::args().filter_map(|word| word.parse().ok());
    let nodes = numbers.next_back().unwrap_or(NODES);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (sender, events) = channel();
    thread::spawn(move || serve(listener, nodes, events));
    let path = configuration(port);
    let wanted = ClusterPeers {
        objects: PeerObjects::Nodes {
            selector: BTreeMap::new(),
            not_ready: NotReady::Keep,
        },
        families: PeerFamily::all(),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let (heartbeats, changes, floors) = runtime.block_on(async {
        let (news, mut told) = tokio::sync::mpsc::channel(1);
        tokio::spawn(follow(Connection::Kubeconfig(path.clone()), wanted, 0.0, news));
        let mut has = async |wanted: &str| {
            let wanted: IpAddr = wanted.parse().unwrap();
            loop {
                let PeerNews::Peers { addresses, .. } = told.recv().await.unwrap() else {
                    panic!("the list failed");
                };
                if addresses.contains(&wanted) {
                    return;
                }
            }
        };
        has(&address(0)).await;
        let (mut heartbeats, mut changes, mut floors) = (Vec::new(), Vec::new(), Vec::new());
        let mut version = 2;
        for round in 0..ROUNDS {
            // Heartbeats, and one change by which the end is known.
            let mut bytes = Vec::new();
            for number in 0..EVENTS {
                let number = 1 + number % (nodes - 1);
                version += 1;
                bytes.push(event(number, version, &address(number)));
            }
            let last = format!("192.0.2.{}", 1 + round);
            bytes.push(event(0, version + 1, &last));
            version += 1;
            let begin = cpu();
            for event in &bytes {
                serde_json::from_slice::<IgnoredAny>(event).unwrap();
            }
            floors.push(each(begin, cpu()));
            let begin = cpu();
            bytes.into_iter().for_each(|event| sender.send(event).unwrap());
            has(&last).await;
            heartbeats.push(each(begin, cpu()));

            let last = format!("198.51.{round}.{}", EVENTS % 250);
            let bytes: Vec<Vec<u8>> = (1..=EVENTS)
                .map(|number| {
                    version += 1;
                    let address = match number == EVENTS {
                        true => last.clone(),
                        false => format!("203.0.{}.{}", number / 250, number % 250),
                    };
                    event(0, version, &address)
                })
                .collect();
            let begin = cpu();
            bytes.into_iter().for_each(|event| sender.send(event).unwrap());
            has(&last).await;
            changes.push(each(begin, cpu()));
        }
        (median(heartbeats), median(changes), median(floors))
    });
    let _ = fs::remove_file(path);
    println!("{nodes} nodes, {EVENTS} events a round, the median of {ROUNDS} rounds:");
    println!("{floors:>8.1} µs an event: serde_json reads it, and keeps nothing");
    println!(
        "{heartbeats:>8.1} µs an event: a heartbeat, {:.2} of the former",
        heartbeats / floors
    );
    println!("{changes:>8.1} µs an event: another address, and a report of the whole list");
}
