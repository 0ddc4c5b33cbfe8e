//! The pauses after failures.

use std::time::Duration;

use tokio::time::sleep;

/// The pause after the first failure.
pub(crate) const PAUSE: Duration = Duration::from_millis(250);

/// The longest pause.
const PAUSE_LONGEST: Duration = Duration::from_secs(5);

/// Waits, and doubles the next pause. `spread` is from 0 to 1: it spreads the requests of many agents over time.
pub(crate) async fn wait(pause: &mut Duration, spread: f64) {
    sleep(pause.mul_f64(1.0 + spread.clamp(0.0, 1.0))).await;
    *pause = pause.saturating_mul(2).min(PAUSE_LONGEST);
}
