//! `netkeel pause`: stops the service from writing for a while.

use std::time::Duration;

use clap::Args;

use crate::arguments::{Place, parse_duration};
use crate::{exit, output};
use netkeel_apply::store::Store;
use netkeel_apply::store::actor::actor;
use netkeel_core::error::{Error, ErrorKind};
use netkeel_render::wording::utc::utc;
use netkeel_service::client;
use netkeel_service::client::Request;

/// Longest pause: people forget a longer one.
const LONGEST: Duration = Duration::from_secs(31 * 86_400);

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
    #[arg(value_name = "DURATION", value_parser = parse_duration, required_unless_present = "end")]
    duration: Option<Duration>,
    /// End the pause now
    #[arg(long, conflicts_with = "duration")]
    end: bool,
}

/// Runs the verb.
pub(crate) fn run(arguments: &Arguments) -> Result<u8, Error> {
    let store = Store::open(&arguments.place.netns())?;
    let mut message = match arguments.duration {
        Some(duration) if duration > LONGEST => {
            return Err(Error::new(ErrorKind::Input, "a pause lasts at most 31 days")
                .hint("stop the service, or run it with --mode observe"));
        }
        Some(duration) => {
            let pause = store.pause(duration, &actor())?;
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
    output::print(&message)?;
    Ok(exit::OK)
}
