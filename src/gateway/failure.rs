//! What goes wrong after a request was allowed: on the way to the upstream, there, or on the way back.

use http::StatusCode;
use http::header::{HeaderValue, RETRY_AFTER};
use pingora::{Error, ErrorSource, ErrorType};

use super::answer::body_too_large;
use super::problem::{Answer, Problem, SOON};
use crate::policy::Reason;

/// Why a request that was allowed was not served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failure {
    /// No server of the upstream could be connected to; nothing was sent.
    UpstreamUnavailable,
    /// The upstream's answer broke off or was no HTTP.
    UpstreamFailed,
    /// The upstream took too long.
    UpstreamTimeout,
    /// The upstream speaks HTTP/2, over which nothing is upgraded.
    UpgradeImpossible,
    /// The client took too long to send its body.
    RequestTimeout,
    /// The client sends a body that is larger than it may be.
    BodyTooLarge,
    /// The client broke the framing of its body or connection.
    RequestInvalid,
    /// The client went away: there is nobody to answer.
    ClientGone,
    /// The gateway itself.
    Internal,
}

impl Failure {
    /// What pingora's error comes to.
    pub(super) fn of(error: &Error) -> Self {
        match error.esource() {
            ErrorSource::Upstream => match kind(error.etype()) {
                Kind::Connecting => Self::UpstreamUnavailable,
                Kind::Late => Self::UpstreamTimeout,
                Kind::Gone | Kind::Other => Self::UpstreamFailed,
            },
            ErrorSource::Downstream => match kind(error.etype()) {
                Kind::Late => Self::RequestTimeout,
                Kind::Gone => Self::ClientGone,
                Kind::Connecting | Kind::Other => Self::RequestInvalid,
            },
            ErrorSource::Internal | ErrorSource::Unset => Self::Internal,
        }
    }

    /// Whether a server has ended the exchange before it was at its end.
    pub(super) fn is_cut_off(error: &Error) -> bool {
        matches!((error.esource(), kind(error.etype())), (ErrorSource::Upstream, Kind::Gone))
    }

    /// Its code in bodies and audit lines.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::UpstreamUnavailable => "upstream_unavailable",
            Self::UpstreamFailed => "upstream_failed",
            Self::UpstreamTimeout => "upstream_timeout",
            Self::UpgradeImpossible => "upgrade_impossible",
            Self::RequestTimeout => "request_timeout",
            Self::BodyTooLarge => Reason::BodyTooLarge.as_str(),
            Self::RequestInvalid => "request_invalid",
            Self::ClientGone => "client_gone",
            Self::Internal => "internal_error",
        }
    }

    /// Its code, where the audit line says what went wrong with the upstream.
    pub(super) fn upstream_error(self) -> Option<&'static str> {
        match self {
            Self::UpstreamUnavailable
            | Self::UpstreamFailed
            | Self::UpstreamTimeout
            | Self::UpgradeImpossible
            | Self::Internal => Some(self.as_str()),
            Self::RequestTimeout | Self::BodyTooLarge | Self::RequestInvalid | Self::ClientGone => None,
        }
    }

    /// The answer to it, `None` where nobody is there to answer.
    pub(super) fn answer(self, request_id: &HeaderValue) -> Option<Answer> {
        let problem = match self {
            Self::UpstreamUnavailable => {
                let detail = "no server of the upstream can be reached right now";
                Problem::new(StatusCode::SERVICE_UNAVAILABLE, "Upstream unavailable", detail).with(RETRY_AFTER, SOON)
            }
            Self::UpstreamFailed => {
                let detail = "the upstream's answer broke off or could not be understood";
                Problem::new(StatusCode::BAD_GATEWAY, "Upstream failed", detail)
            }
            Self::UpstreamTimeout => {
                Problem::new(StatusCode::GATEWAY_TIMEOUT, "Upstream too slow", "the upstream did not answer in time")
            }
            Self::UpgradeImpossible => {
                let detail = "the upstream takes no upgrade to another protocol";
                Problem::new(StatusCode::NOT_IMPLEMENTED, "Upgrade impossible", detail)
            }
            Self::RequestTimeout => {
                let detail = "the body of the request did not arrive in time";
                Problem::new(StatusCode::REQUEST_TIMEOUT, "Request too slow", detail)
            }
            Self::BodyTooLarge => body_too_large(),
            Self::RequestInvalid => {
                let detail = "the body of the request is not framed as HTTP asks for";
                Problem::new(StatusCode::BAD_REQUEST, "Broken request", detail)
            }
            Self::Internal => {
                let detail = "the gateway could not serve the request";
                Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "Internal error", detail)
            }
            Self::ClientGone => return None,
        };
        Some(problem.answer(self.as_str(), request_id))
    }
}

/// The kinds of pingora's errors, as far as answers differ.
enum Kind {
    Connecting,
    Late,
    Gone,
    Other,
}

fn kind(error: &ErrorType) -> Kind {
    match error {
        ErrorType::ConnectTimedout
        | ErrorType::ConnectRefused
        | ErrorType::ConnectNoRoute
        | ErrorType::ConnectError
        | ErrorType::ConnectProxyFailure
        | ErrorType::BindError
        | ErrorType::SocketError
        | ErrorType::TLSWantX509Lookup
        | ErrorType::TLSHandshakeFailure
        | ErrorType::TLSHandshakeTimedout
        | ErrorType::InvalidCert
        | ErrorType::HandshakeError => Kind::Connecting,
        ErrorType::ReadTimedout | ErrorType::WriteTimedout => Kind::Late,
        // Of HTTP/2 it means a stream or a connection that the other end has ended.
        ErrorType::ReadError | ErrorType::WriteError | ErrorType::ConnectionClosed | ErrorType::H2Error => Kind::Gone,
        ErrorType::AcceptError
        | ErrorType::InvalidHTTPHeader
        | ErrorType::H1Error
        | ErrorType::H2Downgrade
        | ErrorType::InvalidH2
        | ErrorType::HTTPStatus(_)
        | ErrorType::FileOpenError
        | ErrorType::FileCreateError
        | ErrorType::FileReadError
        | ErrorType::FileWriteError
        | ErrorType::InternalError
        | ErrorType::UnknownError
        | ErrorType::Custom(_)
        | ErrorType::CustomCode(..) => Kind::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_answered_by_whose_it_is() {
        for (error, failure) in [
            (Error::new_up(ErrorType::ConnectRefused), Failure::UpstreamUnavailable),
            (Error::new_up(ErrorType::ConnectTimedout), Failure::UpstreamUnavailable),
            (Error::new_up(ErrorType::ReadTimedout), Failure::UpstreamTimeout),
            (Error::new_up(ErrorType::ConnectionClosed), Failure::UpstreamFailed),
            (Error::new_up(ErrorType::InvalidHTTPHeader), Failure::UpstreamFailed),
            (Error::new_down(ErrorType::ReadTimedout), Failure::RequestTimeout),
            (Error::new_down(ErrorType::ConnectionClosed), Failure::ClientGone),
            (Error::new_down(ErrorType::H2Error), Failure::ClientGone),
            (Error::new_down(ErrorType::InvalidHTTPHeader), Failure::RequestInvalid),
            (Error::new_in(ErrorType::InternalError), Failure::Internal),
            (Error::new(ErrorType::InternalError), Failure::Internal),
        ] {
            assert_eq!(Failure::of(&error), failure, "{error}");
        }
    }

    #[test]
    fn a_failure_is_a_problem_unless_nobody_is_there() {
        let id = HeaderValue::from_static("r-1");
        for (failure, status, retry) in [
            (Failure::UpstreamUnavailable, 503, true),
            (Failure::UpstreamFailed, 502, false),
            (Failure::UpstreamTimeout, 504, false),
            (Failure::UpgradeImpossible, 501, false),
            (Failure::RequestTimeout, 408, false),
            (Failure::RequestInvalid, 400, false),
            (Failure::BodyTooLarge, 413, false),
            (Failure::Internal, 500, false),
        ] {
            let answer = failure.answer(&id).unwrap();
            assert_eq!(answer.status.as_u16(), status);
            assert_eq!(answer.headers.iter().any(|(name, _)| name == RETRY_AFTER), retry);
            let body: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
            assert_eq!((&body["reason"], &body["status"]), (&failure.as_str().into(), &status.into()));
        }
        assert!(Failure::ClientGone.answer(&id).is_none());
    }
}
