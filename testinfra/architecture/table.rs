//! The rules as data: which crate may use which, and what a pure crate may name.

/// The crates in their order, each with the crates that it may use. A crate uses only crates above it.
pub const TABLE: &[(&str, &[&str])] = &[
    ("core", &[]),
    ("packet", &["core"]),
    ("source", &["core"]),
    ("host", &["core", "source"]),
    ("mtu", &["core", "host"]),
    ("document", &["core", "source", "host", "mtu"]),
    ("dialects", &["core", "source", "document"]),
    ("plan", &["core", "source", "host", "document"]),
    ("diagnose", &["core", "source", "host", "mtu", "document", "plan"]),
    ("reconcile", &["core", "host", "plan"]),
    (
        "render",
        &[
            "core",
            "source",
            "host",
            "mtu",
            "document",
            "plan",
            "diagnose",
            "reconcile",
        ],
    ),
    ("kernel", &["core", "packet", "host", "mtu"]),
    ("replicate", &["core", "packet", "kernel"]),
    ("apply", &["core", "source", "host", "plan", "kernel"]),
    ("kubernetes", &["core", "document"]),
    (
        "service",
        &[
            "core",
            "source",
            "host",
            "document",
            "plan",
            "diagnose",
            "reconcile",
            "render",
            "kernel",
            "replicate",
            "apply",
            "kubernetes",
        ],
    ),
    (
        "cli",
        &[
            "core",
            "packet",
            "source",
            "host",
            "mtu",
            "document",
            "dialects",
            "plan",
            "diagnose",
            "reconcile",
            "render",
            "kernel",
            "replicate",
            "apply",
            "kubernetes",
            "service",
        ],
    ),
];

/// Crates without I/O, environment, processes, threads or a clock.
pub const PURE: &[&str] = &[
    "core",
    "packet",
    "source",
    "host",
    "mtu",
    "document",
    "dialects",
    "plan",
    "diagnose",
    "reconcile",
    "render",
];

/// Crates that may hold `unsafe`.
pub const UNSAFE: &[&str] = &["kernel", "replicate"];

/// Dependencies that do no I/O with the features that netkeel enables. A pure crate has no other: a new
/// one is read first and then added here.
pub const PURE_DEPENDENCIES: &[&str] = &[
    "annotate-snippets",
    "base64",
    "bitflags",
    "etherparse",
    "indexmap",
    "ipnet",
    "itertools",
    "jsonc-parser",
    "minijinja",
    "prometheus-client",
    "saphyr-parser",
    "schemars",
    "serde",
    "serde_json",
    "serde-saphyr",
    "serde_path_to_error",
    "sha2",
    "similar",
    "strsim",
    "thiserror",
    "toml",
    "toml_edit",
    "toml_parser",
    "unicode-width",
    "yaml_serde",
];

/// Dependencies that belong to some crates only.
pub const RESERVED: &[(&str, &[&str])] = &[
    ("clap", &["cli"]),
    ("clap_complete", &["cli"]),
    ("clap_mangen", &["cli"]),
    ("tokio", &["kubernetes", "service"]),
];

/// Paths of the standard library that a pure crate does not name, nor anything below them.
pub const IMPURE: &[&str] = &[
    "std::env",
    "std::fs",
    "std::io::stdin",
    "std::io::Stdin",
    "std::io::stdout",
    "std::io::Stdout",
    "std::io::stderr",
    "std::io::Stderr",
    "std::net::TcpListener",
    "std::net::TcpStream",
    "std::net::ToSocketAddrs",
    "std::net::UdpSocket",
    "std::os::fd",
    "std::os::linux",
    "std::os::unix::fs",
    "std::os::unix::io",
    "std::os::unix::net",
    "std::os::unix::process",
    "std::os::unix::thread",
    "std::path::Path::canonicalize",
    "std::path::Path::exists",
    "std::path::Path::is_dir",
    "std::path::Path::is_file",
    "std::path::Path::is_symlink",
    "std::path::Path::metadata",
    "std::path::Path::read_dir",
    "std::path::Path::read_link",
    "std::path::Path::symlink_metadata",
    "std::path::Path::try_exists",
    "std::path::absolute",
    "std::process",
    "std::thread",
    "std::time::Instant::now",
    "std::time::SystemTime::elapsed",
    "std::time::SystemTime::now",
];

/// Lines of a file at most.
pub const LINES: usize = 500;

/// Files of a directory at most.
pub const FILES: usize = 16;
