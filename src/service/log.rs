//! The service's log: lines of `key=value` on standard error, with a priority where the journal
//! reads them. Each kind of line has a rate; what is held back is counted and told.

use std::collections::BTreeMap;
use std::fmt::{Display, Write as _};
use std::io::Write as _;
use std::time::{Duration, Instant};

/// So many lines of a kind at once...
const AT_ONCE: u32 = 10;

/// ... and then one each so often.
const EVERY: Duration = Duration::from_secs(5);

/// Longest value, characters: what others write into names and messages has no say in this.
const LONGEST: usize = 1000;

/// How urgent a line is, by syslog's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Level {
    /// Somebody must do something.
    Error = 3,
    /// Somebody should look at it.
    Warning = 4,
    /// It is good to know.
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

/// Writes lines.
#[derive(Debug)]
pub(crate) struct Log {
    /// systemd reads standard error: it takes `<N>` at the start of a line for its priority.
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
    /// A log to standard error.
    pub fn new() -> Self {
        Log {
            journal: std::env::var_os("JOURNAL_STREAM").is_some(),
            rates: BTreeMap::new(),
        }
    }

    /// Writes a line of a kind, which is its `event`.
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
        // When nobody reads it, there is nobody to tell.
        let _ = std::io::stderr()
            .lock()
            .write_all(format!("{priority}{line}\n").as_bytes());
    }

    /// Whether a line of this kind may be written, and how many were held back before it.
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
        let value = value.to_string();
        let bare = !value.is_empty()
            && value
                .chars()
                .all(|c| c.is_ascii_graphic() && !matches!(c, '"' | '=' | '\\'));
        let shown: String = value.chars().take(LONGEST).collect();
        let _ = match bare {
            true => write!(line, " {key}={shown}"),
            // Control characters and quotes are escaped: a line stays a line.
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
            r#"level=warning event=flap link=cali1 why="no\nlevel=error \"x\"" n=3"#
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
