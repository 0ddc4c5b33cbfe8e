//! An API server for tests. It answers as a test wants, and keeps what it was asked.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

/// An answer.
pub(crate) enum Answer {
    /// A status and a body.
    Is(u16, Value),
    /// A stream that has no event and does not end.
    Watch,
}

/// The server refuses a request for now.
pub(crate) fn refused() -> Answer {
    Answer::Is(
        429,
        json!({ "kind": "Status", "code": 429, "message": "too many requests" }),
    )
}

/// A server, as long as the process lasts.
pub(crate) struct Server {
    place: tempfile::TempDir,
    asked: Arc<Mutex<Vec<String>>>,
}

type Answers = Arc<Mutex<dyn FnMut(&str) -> Answer + Send>>;

impl Server {
    /// Starts one. A request is given as `get nodes`, `watch nodes from 7` or `post leases (dry run)`.
    pub(crate) fn start(answer: impl FnMut(&str) -> Answer + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let place = tempfile::tempdir().unwrap();
        let text = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "c",
            "contexts": [{ "name": "c", "context": { "cluster": "c", "user": "u", "namespace": "agents" } }],
            "clusters": [{ "name": "c", "cluster": { "server": format!("http://127.0.0.1:{port}") } }],
            "users": [{ "name": "u", "user": {} }],
        });
        std::fs::write(place.path().join("kubeconfig"), text.to_string()).unwrap();
        let asked = Arc::default();
        let server = Server {
            place,
            asked: Arc::clone(&asked),
        };
        let answers: Answers = Arc::new(Mutex::new(answer));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (answers, asked) = (answers.clone(), asked.clone());
                std::thread::spawn(move || serve(&stream.unwrap(), &answers, &asked));
            }
        });
        server
    }

    /// The file with its address.
    pub(crate) fn kubeconfig(&self) -> PathBuf {
        self.place.path().join("kubeconfig")
    }

    /// The requests so far.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

/// Answers the requests of a connection until the client closes it.
fn serve(mut stream: &TcpStream, answers: &Answers, asked: &Mutex<Vec<String>>) {
    let mut reader = BufReader::new(stream);
    loop {
        let mut lines: Vec<String> = Vec::new();
        while lines.last().is_none_or(|line| line != "\r\n") {
            let mut line = String::new();
            if reader.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            lines.push(line);
        }
        let header = |line: &String| {
            line.to_lowercase()
                .strip_prefix("content-length:")?
                .trim()
                .parse()
                .ok()
        };
        let length: usize = lines.iter().find_map(header).unwrap_or(0);
        reader.read_exact(&mut vec![0; length]).unwrap();
        let request = request(&lines[0]);
        asked.lock().unwrap().push(request.clone());
        let answer = (answers.lock().unwrap())(&request);
        let text = match answer {
            Answer::Is(code, body) => {
                let body = if body.is_null() {
                    String::new()
                } else {
                    body.to_string()
                };
                format!(
                    "HTTP/1.1 {code} A\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
                    body.len()
                )
            }
            Answer::Watch => "HTTP/1.1 200 A\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned(),
        };
        if stream.write_all(text.as_bytes()).is_err() {
            return;
        }
    }
}

/// A request by its first line.
fn request(line: &str) -> String {
    let mut words = line.split(' ');
    let (method, target) = (words.next().unwrap().to_lowercase(), words.next().unwrap());
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let what = path.rsplit('/').next().unwrap();
    let value = |key: &str| {
        let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        Some(pairs.find(|(found, _)| *found == key)?.1)
    };
    if value("watch").is_some() {
        return format!(
            "watch {what} from {}",
            value("resourceVersion").unwrap_or("nothing")
        );
    }
    let dry = if value("dryRun").is_some() {
        " (dry run)"
    } else {
        ""
    };
    format!("{method} {what}{dry}")
}
