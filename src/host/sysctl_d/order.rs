//! The files that are read, their order, and which are hidden by another of the same name.

use crate::sysctl_d::file::{Dialect, File, FileLine, Files};

/// The directories that both programs read, highest priority first (`CONF_PATHS` of systemd,
/// `PreloadSystem` of procps). The last is another name of the one before it where /usr is merged.
/// systemd 255 and later require that and do not read the last one.
pub const DIRECTORIES: [&str; 5] = [
    "/etc/sysctl.d",
    "/run/sysctl.d",
    "/usr/local/lib/sysctl.d",
    "/usr/lib/sysctl.d",
    "/lib/sysctl.d",
];

/// procps reads this after all others; systemd does not.
const SYSCTL_CONF: &str = "/etc/sysctl.conf";

/// How a program uses a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use<'a> {
    /// It is read.
    Read,
    /// A file of the same name in a directory of higher priority hides it, even if that file is
    /// empty, dangling or unreadable.
    Hidden(&'a File),
    /// The program does not read that directory.
    Ignored,
}

impl Files {
    /// All files, lowest priority first, each with its use. They are ordered by name, as bytes,
    /// whatever the directory.
    pub(crate) fn in_order(&self, dialect: Dialect) -> Vec<(&File, Use<'_>)> {
        let mut sorted: Vec<&File> = self.dropins.iter().collect();
        sorted.sort_by(|a, b| (&a.name, a.directory).cmp(&(&b.name, b.directory)));
        let mut order: Vec<(&File, Use<'_>)> = Vec::new();
        let mut strongest: Option<&File> = None;
        for file in sorted {
            let ignored =
                !file.name.ends_with(".conf") || (dialect == Dialect::Systemd && file.name.starts_with('.'));
            let used = match strongest {
                _ if ignored => Use::Ignored,
                Some(by) if by.name == file.name => Use::Hidden(by),
                _ => {
                    strongest = Some(file);
                    Use::Read
                }
            };
            order.push((file, used));
        }
        if let Some(file) = &self.sysctl_conf {
            let used = match dialect {
                Dialect::Systemd => Use::Ignored,
                Dialect::Procps => Use::Read,
            };
            order.push((file, used));
        }
        order
    }

    /// Whether a file is /etc/sysctl.conf itself.
    pub(crate) fn is_sysctl_conf(&self, file: &File) -> bool {
        self.sysctl_conf
            .as_ref()
            .is_some_and(|conf| std::ptr::eq(conf, file))
    }

    /// The path of a file as the programs name it.
    pub fn path(&self, file: &File) -> String {
        if self.is_sysctl_conf(file) {
            return SYSCTL_CONF.to_owned();
        }
        let directory = DIRECTORIES.get(file.directory).copied().unwrap_or_default();
        format!("{directory}/{}", file.name)
    }

    /// A line of a file.
    pub fn place(&self, file: &File, line: usize) -> FileLine {
        let path = self.path(file);
        FileLine {
            target: (file.target != path).then(|| file.target.clone()),
            file: path,
            line,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sysctl_d::file::Content;

    fn file(directory: usize, name: &str) -> File {
        File {
            directory,
            name: name.to_owned(),
            target: format!("{}/{name}", DIRECTORIES[directory]),
            content: Content::Null,
        }
    }

    #[test]
    fn files_sort_by_name_and_hide_their_namesakes() {
        let files = Files {
            dropins: vec![
                file(3, "50-default.conf"),
                file(0, "60-b.conf"),
                file(1, "70-a.conf"),
                file(0, "50-default.conf"),
                file(0, "README"),
                file(0, ".50-x.conf"),
                file(4, "50-default.conf"),
                file(2, "9-last.conf"),
            ],
            sysctl_conf: Some(file(0, "sysctl.conf")),
        };
        let shown = |dialect| -> String {
            let line = |(file, used): &(&File, Use<'_>)| match used {
                Use::Read => format!("{}\n", files.path(file)),
                Use::Hidden(by) => format!("  {} is hidden by {}\n", files.path(file), files.path(by)),
                Use::Ignored => format!("  {} is not read\n", files.path(file)),
            };
            files.in_order(dialect).iter().map(line).collect()
        };
        insta::assert_snapshot!(shown(Dialect::Systemd), @r"
      /etc/sysctl.d/.50-x.conf is not read
    /etc/sysctl.d/50-default.conf
      /usr/lib/sysctl.d/50-default.conf is hidden by /etc/sysctl.d/50-default.conf
      /lib/sysctl.d/50-default.conf is hidden by /etc/sysctl.d/50-default.conf
    /etc/sysctl.d/60-b.conf
    /run/sysctl.d/70-a.conf
    /usr/local/lib/sysctl.d/9-last.conf
      /etc/sysctl.d/README is not read
      /etc/sysctl.conf is not read
    ");
        insta::assert_snapshot!(shown(Dialect::Procps), @r"
    /etc/sysctl.d/.50-x.conf
    /etc/sysctl.d/50-default.conf
      /usr/lib/sysctl.d/50-default.conf is hidden by /etc/sysctl.d/50-default.conf
      /lib/sysctl.d/50-default.conf is hidden by /etc/sysctl.d/50-default.conf
    /etc/sysctl.d/60-b.conf
    /run/sysctl.d/70-a.conf
    /usr/local/lib/sysctl.d/9-last.conf
      /etc/sysctl.d/README is not read
    /etc/sysctl.conf
    ");
    }
}
