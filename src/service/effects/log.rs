//! The service's log: lines of `key=value` on standard error, with a priority for the journal. Each
//! event has a rate limit; suppressed lines are counted and reported.

use std::collections::BTreeMap;
use std::fmt::{Display, Write as _};
use std::io::Write as _;
use std::time::{Duration, Instant};

use netkeel_core::text::escape::first_line;

/// Number of lines of one event that may be written in a burst.
const AT_ONCE: u32 = 10;

/// After a burst, one more line per this interval.
const EVERY: Duration = Duration::from_secs(5);

/// Maximum length of a value, characters: names and messages may come from other programs.
const LONGEST: usize = 1000;

/// Severity, as syslog numbers it (RFC 5424).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Level {
    /// Someone must act.
    Error = 3,
    /// Someone should check.
    Warning = 4,
    /// Information.
    Info = 6,
}

impl Level {
    fn word(self) -> &'static str {
        match self {
            Level::Error => "error",
            Level::Warning => "warning",
            Level::Info => "info",
        }
    }
}

/// The log, with the rate limit of each event.
#[derive(Debug)]
pub(crate) struct Log {
    /// Whether standard error goes to the journal, which reads `<N>` at the start of a line as priority.
    journal: bool,
    rates: BTreeMap<&'static str, Rate>,
}

#[derive(Debug)]
pub(crate) struct Rate {
    tokens: u32,
    counted: Instant,
    held_back: u64,
}

impl Log {
    /// A log on standard error.
    pub fn new() -> Self {
        Log {
            journal: std::env::var_os("JOURNAL_STREAM").is_some(),
            rates: BTreeMap::new(),
        }
    }

    /// Writes a line for an event, unless its rate limit suppresses it.
    pub fn say(&mut self, level: Level, event: &'static str, fields: &[(&str, &dyn Display)]) {
        let Some(held_back) = self.passes(event, Instant::now()) else {
            return;
        };
        let mut line = line(level, event, fields);
        if held_back > 0 {
            let _ = write!(line, " held_back={held_back}");
        }
        let priority = match self.journal {
            true => format!("<{}>", level as u8),
            false => String::new(),
        };
        // There is nowhere to report that standard error is closed.
        let _ = std::io::stderr()
            .lock()
            .write_all(format!("{priority}{line}\n").as_bytes());
    }

    /// The number of lines suppressed since the last one, or `None` to suppress this one.
    fn passes(&mut self, event: &'static str, now: Instant) -> Option<u64> {
        let rate = self.rates.entry(event).or_insert(Rate {
            tokens: AT_ONCE,
            counted: now,
            held_back: 0,
        });
        while rate.tokens < AT_ONCE && now.duration_since(rate.counted) >= EVERY {
            rate.tokens += 1;
            rate.counted += EVERY;
        }
        if rate.tokens == AT_ONCE {
            rate.counted = now;
        }
        if rate.tokens == 0 {
            rate.held_back += 1;
            return None;
        }
        rate.tokens -= 1;
        Some(std::mem::take(&mut rate.held_back))
    }
}

fn line(level: Level, event: &str, fields: &[(&str, &dyn Display)]) -> String {
    let mut line = format!("level={} event={event}", level.word());
    for (key, value) in fields {
        // A file or an excerpt does not belong into a log.
        let value = value.to_string();
        let value = match value.contains('\n') {
            true => first_line(&value),
            false => value,
        };
        let bare = !value.is_empty()
            && value
                .chars()
                .all(|c| c.is_ascii_graphic() && !matches!(c, '"' | '=' | '\\'));
        let shown: String = value.chars().take(LONGEST).collect();
        let _ = match bare {
            true => write!(line, " {key}={shown}"),
            // Debug output escapes control characters and quotes, so the value stays on one line.
            false => write!(line, " {key}={shown:?}"),
        };
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_stays_a_line() {
        let fields: &[(&str, &dyn Display)] =
            &[("link", &"cali1"), ("why", &"no\nlevel=error \"x\""), ("n", &3)];
        assert_eq!(
            line(Level::Warning, "flap", fields),
            r#"level=warning event=flap link=cali1 why="no [1 more line]" n=3"#
        );
        let escape: &[(&str, &dyn Display)] = &[("why", &"a\u{1b}[31m\"b")];
        assert_eq!(
            line(Level::Info, "x", escape),
            r#"level=info event=x why="a\u{1b}[31m\"b""#
        );
        assert!(
            line(Level::Info, "x", &[("long", &"ä".repeat(5000))])
                .chars()
                .count()
                < 1100
        );
    }

    #[test]
    fn a_kind_of_line_has_a_rate_and_what_is_held_back_is_counted() {
        let mut log = Log::new();
        let now = Instant::now();
        let passed = (0..100).filter(|_| log.passes("a", now).is_some()).count();
        assert_eq!(passed, AT_ONCE as usize);
        assert_eq!(log.passes("b", now), Some(0));
        assert_eq!(log.passes("a", now + EVERY), Some(90));
        assert_eq!(log.passes("a", now + EVERY), None);
    }
}
