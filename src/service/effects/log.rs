//! The service's log: lines of `key=value` on standard error, with a priority for the journal. Each
//! event has a rate limit; suppressed lines are counted and reported. A reader of standard error that does not read
//! holds nothing up: lines that it leaves no room for are dropped and counted.

use std::collections::BTreeMap;
use std::fmt::{Display, Write as _};
use std::io::Write;
use std::time::{Duration, Instant};

use netkeel_core::text::escape::first_line;

use crate::effects::line_queue::LineQueue;

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
    lines: LineQueue,
    /// Dropped lines that no line has reported yet.
    unreported: u64,
    dropped: u64,
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
        Self::to(|| Box::new(std::io::stderr()))
    }

    fn to(open: fn() -> Box<dyn Write>) -> Self {
        Log {
            journal: std::env::var_os("JOURNAL_STREAM").is_some(),
            rates: BTreeMap::new(),
            lines: LineQueue::new(open),
            unreported: 0,
            dropped: 0,
        }
    }

    /// Number of lines dropped because standard error did not take them.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped
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
        self.report_dropped();
        let taken = self.lines.push(self.prioritised(level, &line));
        if !taken {
            self.dropped += 1;
            self.unreported += 1;
        }
    }

    /// Reports dropped lines, once there is room for a line again.
    pub(crate) fn report_dropped(&mut self) {
        if self.unreported == 0 || !self.lines.has_room() {
            return;
        }
        let then = "standard error did not take them";
        let text = line(
            Level::Warning,
            "log-lines-dropped",
            &[("lines", &self.unreported), ("why", &then)],
        );
        if self.lines.push(self.prioritised(Level::Warning, &text)) {
            self.unreported = 0;
        }
    }

    /// The bytes of a line: with its priority for the journal, and its end.
    fn prioritised(&self, level: Level, line: &str) -> String {
        match self.journal {
            true => format!("<{}>{line}\n", level as u8),
            false => format!("{line}\n"),
        }
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
    use std::io::{BufRead, BufReader};
    use std::sync::Mutex;

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

    #[test]
    fn lines_that_nobody_takes_are_counted_and_reported_once_there_is_room() {
        static READER: Mutex<Option<std::io::PipeReader>> = Mutex::new(None);
        let mut log = Log::to(|| {
            let (reader, writer) = std::io::pipe().unwrap();
            *READER.lock().unwrap() = Some(reader);
            Box::new(writer)
        });
        let long = "x".repeat(900);
        for _ in 0..2000 {
            // No rate holds these back.
            log.rates.clear();
            log.say(Level::Info, "finding", &[("long", &long)]);
        }
        let dropped = log.dropped();
        assert!(dropped > 0 && log.unreported == dropped, "{dropped}");
        log.report_dropped();
        assert_eq!(log.unreported, dropped, "there is no room yet");
        let reader = READER.lock().unwrap().take().unwrap();
        let mut lines = BufReader::new(reader).lines().map_while(Result::ok);
        // The queue empties while this reads; the report comes after the lines that were taken.
        let taken = lines.by_ref().take(2000 - dropped as usize);
        assert!(taken.into_iter().all(|line| line.contains("event=finding")));
        log.report_dropped();
        let report = format!(
            "level=warning event=log-lines-dropped lines={dropped} why=\"standard error did not take them\""
        );
        assert_eq!(lines.next(), Some(report));
        assert_eq!((log.unreported, log.dropped()), (0, dropped));
    }
}
