//! `netkeel pause`: the service writes nothing for a while.

use std::time::Duration;

use clap::Args;

use crate::arguments::{Place, parse_duration};
use crate::{exit, output};
use netkeel_apply::clock::now;
use netkeel_apply::store::Store;
use netkeel_apply::store::actor::actor;
use netkeel_core::error::{Error, ErrorKind};
use netkeel_render::utc::utc;
use netkeel_service::client;
use netkeel_service::client::Request;

/// Nobody remembers a pause that is longer than this.
const LONGEST: Duration = Duration::from_secs(31 * 86_400);

/// Keeps the service from writing, until the time is over or --end is given. It goes on to look and
/// to report what differs.
///
/// A pause survives a restart of the service and of the host. What is applied by hand is not
/// affected.
///
/// Exit status: 0.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    place: Place,
    /// For how long, as 30m or 1h; 31 days at most.
    #[arg(value_name = "DURATION", value_parser = parse_duration, required_unless_present = "end")]
    duration: Option<Duration>,
    /// End the pause now.
    #[arg(long, conflicts_with = "duration")]
    end: bool,
}

/// Runs the verb.
pub(crate) fn run(arguments: &Arguments) -> Result<u8, Error> {
    let store = Store::open(&arguments.place.netns())?;
    let mut said = match arguments.duration {
        Some(duration) if duration > LONGEST => {
            return Err(Error::new(ErrorKind::Input, "a pause lasts 31 days at most")
                .hint("stop the service, or run it with --mode observe"));
        }
        Some(duration) => {
            let since = now();
            // A part of a second is a whole one: the pause is not over before its time.
            let until = since + duration.as_secs() + u64::from(duration.subsec_nanos() > 0);
            store.pause(since, until, &actor())?;
            format!("Paused until {}.\n", utc(until))
        }
        None if store.resume_service()? => "The pause is over.\n".to_owned(),
        None => "It was not paused.\n".to_owned(),
    };
    match client::ask(&store, Request::Look) {
        Ok(_) => {}
        Err(error) if error.kind == ErrorKind::Missing => {
            if !arguments.end {
                said.push_str("No service runs now; one that is started before that is paused too.\n");
            }
        }
        Err(error) => return Err(error),
    }
    output::print(&said)?;
    Ok(exit::OK)
}
