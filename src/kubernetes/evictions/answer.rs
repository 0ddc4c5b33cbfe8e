//! The server's answer to an eviction.

use std::time::Duration;

use serde::Deserialize;

use crate::trouble::of_status;
use netkeel_document::policy::eviction::news::EvictionEnd;

/// The longest wait that an answer is believed.
const LONGEST: Duration = Duration::from_secs(3600);

#[derive(Default, Deserialize)]
struct Answer {
    #[serde(default)]
    message: String,
    #[serde(default)]
    details: Details,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Details {
    #[serde(default)]
    retry_after_seconds: u64,
    #[serde(default)]
    causes: Vec<Cause>,
}

#[derive(Deserialize)]
struct Cause {
    #[serde(default)]
    message: String,
}

/// The end of an eviction, from the code of the answer, its header `Retry-After` and its text.
///
/// # Errors
/// One line, if the server did not evict the pod for a reason that is not of the moment.
pub(super) fn end(code: u16, retry_after: Option<&str>, text: &str) -> Result<EvictionEnd, String> {
    let answer: Answer = serde_json::from_str(text).unwrap_or_default();
    match code {
        200..=299 => Ok(EvictionEnd::Evicted),
        // 409: the pod of that name has another UID.
        404 | 409 => Ok(EvictionEnd::Gone),
        // Of a server that timed out or broke nobody knows what it did. More than one budget over the pod is 500, too.
        500..=599 => {
            let failed = of_status(code, &answer.message, "create", "evictions");
            Ok(EvictionEnd::Unknown(failed.into()))
        }
        429 => {
            // RFC 9110 allows a date, too, which no API server sends.
            let header = retry_after.and_then(|value| value.trim().parse::<u64>().ok());
            let seconds = header.unwrap_or(0).max(answer.details.retry_after_seconds);
            let cause = answer.details.causes.iter().map(|cause| &cause.message);
            let why = cause.chain([&answer.message]).find(|text| !text.is_empty());
            let why = why.and_then(|text| text.lines().next());
            Ok(EvictionEnd::Refused {
                after: (seconds > 0).then(|| Duration::from_secs(seconds).min(LONGEST)),
                why: why.unwrap_or("the API server is overloaded (429)").to_owned(),
            })
        }
        _ => Err(of_status(code, &answer.message, "create", "evictions").into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_server_says_when_to_try_again_or_does_not() {
        let budget = r#"{"kind":"Status","code":429,"reason":"TooManyRequests","message":"Cannot evict pod as it would violate the pod's disruption budget.",
            "details":{"causes":[{"reason":"DisruptionBudget","message":"The disruption budget web needs 2 healthy pods and has 2 currently"}]}}"#;
        let refused = |after: Option<u64>, why: &str| {
            Ok(EvictionEnd::Refused {
                after: after.map(Duration::from_secs),
                why: why.to_owned(),
            })
        };
        let needs = "The disruption budget web needs 2 healthy pods and has 2 currently";
        assert_eq!(end(429, None, budget), refused(None, needs));
        assert_eq!(end(429, Some("7"), budget), refused(Some(7), needs));
        let late = budget.replace(r#""causes""#, r#""retryAfterSeconds":10,"causes""#);
        assert_eq!(end(429, None, &late), refused(Some(10), needs));
        assert_eq!(
            end(429, Some("1"), "too many requests"),
            refused(Some(1), "the API server is overloaded (429)")
        );
        assert_eq!(
            end(429, Some("x"), &budget[..20]),
            refused(None, "the API server is overloaded (429)")
        );
    }

    #[test]
    fn a_pod_that_is_gone_or_has_another_uid_is_no_error() {
        assert_eq!(end(201, None, "{}"), Ok(EvictionEnd::Evicted));
        assert_eq!(end(404, None, "{}"), Ok(EvictionEnd::Gone));
        assert_eq!(end(409, None, "{}"), Ok(EvictionEnd::Gone));
        assert_eq!(
            end(403, None, "{}"),
            Err("the token may not create evictions (403)".to_owned())
        );
    }

    #[test]
    fn an_error_of_the_server_does_not_say_that_the_pod_stays() {
        for code in [500, 502, 503, 504] {
            let unknown = EvictionEnd::Unknown(format!("the API server answers {code}: more"));
            assert_eq!(end(code, None, r#"{"message": "more"}"#), Ok(unknown));
        }
        assert!(end(422, None, "{}").is_err());
    }
}
