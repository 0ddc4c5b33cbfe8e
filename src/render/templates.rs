//! The files that netkeel ships for other programs.

/// A file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Template {
    /// Its name.
    pub name: &'static str,
    /// The directory or program it is for.
    pub place: &'static str,
    /// Its text.
    pub text: &'static str,
}

/// All of them.
pub const TEMPLATES: &[Template] = &[
    Template {
        name: "netkeel.service",
        place: "/etc/systemd/system: the service",
        text: include_str!("../../templates/netkeel.service"),
    },
    Template {
        name: "netkeel-boot.service",
        place: "/etc/systemd/system: applies the documents once before the network comes up",
        text: include_str!("../../templates/netkeel-boot.service"),
    },
    Template {
        name: "netkeel-recover.service",
        place: "/etc/systemd/system: undoes interrupted changes before sysctls are read",
        text: include_str!("../../templates/netkeel-recover.service"),
    },
    Template {
        name: "netkeel-pods.conf",
        place: "/etc/systemd/system/netkeel.service.d: lets the service set pods' ends of veths",
        text: include_str!("../../templates/netkeel-pods.conf"),
    },
    Template {
        name: "alerts.yaml",
        place: "Prometheus: alert rules",
        text: include_str!("../../templates/alerts.yaml"),
    },
    Template {
        name: "dashboard.json",
        place: "Grafana: a dashboard",
        text: include_str!("../../templates/dashboard.json"),
    },
];
