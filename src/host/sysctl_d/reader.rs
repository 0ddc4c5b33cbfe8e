//! Files that are parsed once and asked for many keys.

use crate::sysctl_d::answer::{Resolution, by};
use crate::sysctl_d::copies;
use crate::sysctl_d::file::{Dialect, Files};
use crate::sysctl_d::mention::{Mention, mentions as mentions_of};
use crate::sysctl_d::settings::Settings;
use netkeel_core::name::sysctl::SysctlKey;

/// Files, with the settings that each program reads from them.
pub struct Judge<'a> {
    files: &'a Files,
    systemd: Settings,
    procps: Settings,
}

impl<'a> Judge<'a> {
    /// Resolves the files under the rules of both programs.
    pub fn new(files: &'a Files) -> Self {
        Judge {
            files,
            systemd: Settings::read(files, Dialect::Systemd, false),
            procps: Settings::read(files, Dialect::Procps, false),
        }
    }

    /// Resolves a key by the rules of one program. `integer` is as for
    /// [`answer`](crate::sysctl_d::answer).
    pub fn answer(&mut self, dialect: Dialect, key: &SysctlKey, integer: bool) -> Resolution {
        let settings = match dialect {
            Dialect::Systemd => &mut self.systemd,
            Dialect::Procps => &mut self.procps,
        };
        settings.integers = integer || copies::is_integer(key);
        by(settings, dialect, key)
    }

    /// Every line about the key, with its effect. Call [`Self::answer`] for the key first.
    pub fn lines(&self, key: &SysctlKey) -> Vec<Mention> {
        mentions_of(self.files, key, &self.systemd, &self.procps)
    }
}
