//! `netkeel pause`: stops the service from writing for a while.

use std::time::Duration;

use clap::Args;

use crate::arguments::{Place, parse_pause};
use crate::{exit, output};
use netkeel_apply::store::Store;
use netkeel_apply::store::actor::actor;
use netkeel_core::error::{Error, ErrorKind};
use netkeel_render::wording::utc::utc;
use netkeel_service::client;
use netkeel_service::client::Request;

/// Stop the service from writing for a while
///
/// The service keeps checking and reporting drift. The pause ends after the given time or with
/// --end. It survives restarts of the service and the host. `netkeel apply` is not affected.
///
/// Exit status: 0 success; 1 error.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    place: Place,
    /// Duration, e.g. 30m or 1h; at most 31 days
    #[arg(value_name = "DURATION", value_parser = parse_pause, required_unless_present = "end")]
    duration: Option<Duration>,
    /// Reason, for whoever finds the service paused
    ///
    /// `netkeel status`, the log and the metric `netkeel_pause_info` show it.
    #[arg(long, value_name = "TEXT", value_parser = parse_reason, conflicts_with = "end")]
    reason: Option<String>,
    /// End the pause now
    #[arg(long, conflicts_with = "duration")]
    end: bool,
}

/// Longest reason, characters: it is a label of a metric.
const LONGEST_REASON: usize = 200;

fn parse_reason(text: &str) -> Result<String, Error> {
    let text = text.trim();
    let refused = |why: String| Err(Error::new(ErrorKind::Input, why));
    match text.chars().count() {
        0 => refused("a reason is not empty".to_owned()),
        number if number > LONGEST_REASON => refused(format!(
            "a reason has at most {LONGEST_REASON} characters; this one has {number}"
        )),
        _ if text.chars().any(char::is_control) => refused("a reason is one line of text".to_owned()),
        _ => Ok(text.to_owned()),
    }
}

/// Runs the verb.
pub(crate) fn run(arguments: &Arguments) -> Result<u8, Error> {
    let store = Store::open(&arguments.place.netns())?;
    let mut message = match arguments.duration {
        Some(duration) => {
            let pause = store.pause(duration, &actor(), arguments.reason.as_deref())?;
            format!("Paused until {}.\n", utc(pause.until))
        }
        None if store.resume_service()? => "The pause has ended.\n".to_owned(),
        None => "The service was not paused.\n".to_owned(),
    };
    match client::ask(&store, Request::Look) {
        Ok(_) => {}
        Err(error) if error.kind == ErrorKind::Missing => {
            if !arguments.end {
                message
                    .push_str("The service is not running. A service started before then is paused too.\n");
            }
        }
        Err(error) => return Err(error),
    }
    output::print_done(&message);
    Ok(exit::OK)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_one_short_line() {
        assert_eq!(
            parse_reason(" upgrade of the CNI ").unwrap(),
            "upgrade of the CNI"
        );
        for wrong in ["", "  ", "a\nb", "\u{1b}[31m", &"x".repeat(201)] {
            assert!(parse_reason(wrong).is_err(), "{wrong:?}");
        }
    }
}
